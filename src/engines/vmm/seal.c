/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/vmm/seal.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/file.h"

static int seal_become_nobody(struct err *err)
{
	if (setgroups(0, NULL) < 0 || setresgid(SEAL_NOBODY, SEAL_NOBODY, SEAL_NOBODY) < 0 ||
	    setresuid(SEAL_NOBODY, SEAL_NOBODY, SEAL_NOBODY) < 0)
		return err_set(err, errno, "give up root");
	/* The change made /proc/self root's, and the maps are still to be written. */
	if (prctl(PR_SET_DUMPABLE, 1) < 0)
		return err_set(err, errno, "give up root");
	return 0;
}

/* One id, itself: nothing else of the host's can be named in there. */
static int seal_map_ids(uid_t uid, gid_t gid)
{
	char uids[40], gids[40];

	(void)snprintf(uids, sizeof(uids), "%u %u 1", uid, uid); /* fits */
	(void)snprintf(gids, sizeof(gids), "%u %u 1", gid, gid);
	int r = file_write(AT_FDCWD, "/proc/self/setgroups", "deny");
	if (r == 0)
		r = file_write(AT_FDCWD, "/proc/self/uid_map", uids);
	return r < 0 ? r : file_write(AT_FDCWD, "/proc/self/gid_map", gids);
}

/* A root directory with nothing in it, read-only. */
static int seal_empty_root(void)
{
	if (mount(NULL, "/", NULL, MS_PRIVATE | MS_REC, NULL) < 0 ||
	    mount("none", "/tmp", "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
		  "size=0,nr_inodes=2,mode=555") < 0 ||
	    chdir("/tmp") < 0)
		return -errno;
	if (syscall(SYS_pivot_root, ".", ".") == 0)
		return umount2(".", MNT_DETACH) < 0 || chdir("/") < 0 ? -errno : 0;
	/* A host that runs from its initial RAM disk has a root that cannot be exchanged: it is covered instead. */
	if (errno != EINVAL || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 ||
	    chdir("/") < 0)
		return -errno;
	return 0;
}

static int seal_namespaces(uid_t uid, gid_t gid, bool keep_net)
{
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP |
		    (keep_net ? 0 : CLONE_NEWNET)) < 0)
		return -errno;
	int r = seal_map_ids(uid, gid);
	return r < 0 ? r : seal_empty_root();
}

/* Set-user-ID, file capabilities and ambient ones give nothing any more, and nobody takes that back: capabilities(7). */
#define SEAL_SECUREBITS                                                                            \
	(SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |                           \
	 SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE |   \
	 SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED)

/* Takes CAP_SETPCAP: root has it, and who owns its user namespace. */
int seal_bound(struct err *err)
{
	/* The first that is refused is above the kernel's last: EINVAL. */
	for (unsigned long cap = 0; prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0; cap++)
		;
	if (errno != EINVAL || prctl(PR_SET_SECUREBITS, SEAL_SECUREBITS) < 0)
		return err_set(err, errno, "drop capabilities for good");
	return 0;
}

static int seal_drop_caps(struct err *err)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { { 0 }, { 0 } };

	if (syscall(SYS_capset, &head, none) < 0)
		return err_set(err, errno, "drop capabilities");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_set(err, errno, "no_new_privs");
	return 0;
}

int vmm_seal_process(bool keep_net, struct seal_report *ret, struct err *err)
{
	struct seal_report report = { .user = geteuid() == 0 };
	const struct rlimit no_core = { 0, 0 };
	int r = 0;

	if (report.user)
		r = seal_become_nobody(err);
	if (r < 0)
		return r;
	r = seal_namespaces(geteuid(), getegid(), keep_net);
	report.namespaces = r == 0;
	/* Root may make namespaces; that an ordinary user may not is this host's policy. */
	if (r < 0 && report.user)
		return err_set(err, -r, "seal the virtual machine's process: namespaces");
	/* Without a namespace of its own an ordinary user's process may not; no_new_privs says enough then. */
	r = report.namespaces ? seal_bound(err) : 0;
	if (r == 0)
		r = seal_drop_caps(err);
	if (r < 0)
		return r;
	(void)setrlimit(RLIMIT_CORE, &no_core); /* lowering is always allowed */
	(void)prctl(PR_SET_DUMPABLE, 0);	/* nobody else's process may trace it */
	*ret = report;
	return 0;
}
