/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/oslevel/label.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/file.h"

/* Linux, security/apparmor/lsm.c: module parameter "enabled". */
bool label_has_apparmor(void)
{
	AUTO(fd_close_p)
	int fd = open("/sys/module/apparmor/parameters/enabled", O_RDONLY | O_CLOEXEC);
	char word[4];

	return fd >= 0 && fd_read_text(fd, word, sizeof(word)) > 0 && word[0] == 'Y';
}

/* Linux, security/selinux/selinuxfs.c: it is there where SELinux is. */
bool label_has_selinux(void)
{
	return access("/sys/fs/selinux/enforce", F_OK) == 0;
}

static bool label_asked(const char *label)
{
	return label && *label;
}

int label_check(const char *apparmor, const char *selinux, struct err *err)
{
	if (label_asked(apparmor) && !label_has_apparmor())
		return err_say(err, ENOTSUP,
			       "process.apparmorProfile %.60s: this kernel does not run AppArmor",
			       apparmor);
	if (label_asked(selinux) && !label_has_selinux())
		return err_say(err, ENOTSUP,
			       "process.selinuxLabel %.60s: this kernel does not run SELinux",
			       selinux);
	return 0;
}

bool label_wanted(const char *apparmor, const char *selinux)
{
	return label_asked(apparmor) || label_asked(selinux);
}

static int label_file(int proc, const char *name)
{
	AUTO(fd_close_p)
	int own = proc < 0 ? open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC) : -EBADF;

	return openat(proc < 0 ? own : proc, name, O_WRONLY | O_CLOEXEC);
}

int label_open(int proc, const char *apparmor, const char *selinux, struct label *ret,
	       struct err *err)
{
	*ret = (struct label){ -EBADF, -EBADF };
	if (label_asked(apparmor)) {
		ret->apparmor = label_file(proc, "thread-self/attr/apparmor/exec");
		if (ret->apparmor < 0) /* before Linux 5.1 there is one for all modules */
			ret->apparmor = label_file(proc, "thread-self/attr/exec");
		if (ret->apparmor < 0)
			return err_set(err, errno, "process.apparmorProfile");
	}
	if (label_asked(selinux)) {
		ret->selinux = label_file(proc, "thread-self/attr/exec");
		if (ret->selinux < 0)
			return err_set(err, errno, "process.selinuxLabel");
	}
	return 0;
}

/* Linux Documentation/admin-guide/LSM/apparmor.rst has no word of it; libapparmor's aa_change_onexec(3) writes this. */
int label_text(const char *profile, char ret[512])
{
	int n = snprintf(ret, 512, "exec %s", profile);

	return n < 0 || n >= 512 ? -ENAMETOOLONG : 0;
}

static int label_write(int fd, const char *text)
{
	ssize_t n = write(fd, text, strlen(text));

	return n < 0 ? -errno : 0;
}

int label_set(const struct label *label, const char *apparmor, const char *selinux, struct err *err)
{
	char text[512];
	int r = 0;

	if (label->apparmor >= 0) {
		r = label_text(apparmor, text);
		if (r == 0)
			r = label_write(label->apparmor, text);
		if (r < 0)
			return err_set(err, -r, "process.apparmorProfile %.60s", apparmor);
	}
	if (label->selinux >= 0)
		r = label_write(label->selinux, selinux);
	return r < 0 ? err_set(err, -r, "process.selinuxLabel %.60s", selinux) : 0;
}

void label_close(struct label *label)
{
	fd_close_p(&label->apparmor);
	fd_close_p(&label->selinux);
}
