/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "storage/helper.h"
#include "storage/program.h"
#include "storage/rootdisk_priv.h"

#define TEXT_MAX     (1U << 20)
#define EXIT_MISSING 127

/* All that the child needs, made before the fork. */
struct maker {
	int dir; /* the staging directory */
	int out; /* for its words */
	pid_t parent;
	bool as_root;
	char uid_map[32], gid_map[32];
	struct buf options; /* overlay's */
};

static void maker_fini(struct maker *maker)
{
	buf_fini(&maker->options);
}

/* Layers have long names, and mount(2) takes a page of options: links with short names stand for them. */
static int maker_layers(struct store *store, const struct image *image, struct maker *maker,
			struct err *err)
{
	size_t n = 0;

	while (image->layers[n])
		n++;
	(void)buf_adds(&maker->options, "lowerdir=");
	for (size_t i = 0; i < n; i++) {
		AUTO(buf_fini) struct buf layer = { 0 };
		char name[24];
		(void)snprintf(name, sizeof(name), "%zu", i); /* fits */
		/* Highest first. */
		if (buf_printf(&layer, "%s/layers/%s", store->root, image->layers[n - 1 - i]) < 0 ||
		    buf_printf(&maker->options, "%s:", name) < 0)
			return err_set(err, ENOMEM, "make the image's disk");
		if (symlinkat(layer.data, maker->dir, name) < 0)
			return err_set(err, errno, "make the image's disk");
	}
	/* Overlay wants two layers at least. */
	if (buf_adds(&maker->options, maker->as_root ? "empty" : "empty,userxattr") < 0)
		return err_set(err, ENOMEM, "make the image's disk");
	if (mkdirat(maker->dir, "empty", 0755) < 0 || mkdirat(maker->dir, "merged", 0755) < 0)
		return err_set(err, errno, "make the image's disk");
	return maker->options.len >= 4000
		       ? err_say(err, E2BIG, "make the image's disk: it has too many layers (%zu)",
				 n)
		       : 0;
}

static void child_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd >= 0)
		(void)!write(fd, text, strlen(text)); /* the mount will fail, and say so */
	fd_close(fd);
}

_Noreturn static void child_fail(const struct maker *maker, const char *what)
{
	(void)dprintf(maker->out, "%s: %s\n", what, strerror(errno)); /* nobody else to tell */
	_exit(1);
}

static void child_users(const struct maker *maker)
{
	if (maker->as_root)
		return;
	child_write("/proc/self/setgroups", "deny");
	child_write("/proc/self/uid_map", maker->uid_map);
	child_write("/proc/self/gid_map", maker->gid_map);
}

/* Reading whatever it is, and seeing "trusted." attributes: what is left to a program that walks an image's files. */
static void child_confine(const struct maker *maker)
{
	const uint32_t keep = UINT32_C(1) << CAP_DAC_READ_SEARCH | UINT32_C(1) << CAP_SYS_ADMIN;
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	const struct __user_cap_data_struct caps[2] = { { .effective = keep, .permitted = keep } };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || syscall(SYS_capset, &head, caps) < 0)
		child_fail(maker, "drop capabilities");
}

_Noreturn static void child_run(const struct maker *maker)
{
	const char *const argv[] = { "mkfs.erofs", ROOTDISK_FILE, "merged", NULL };
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	/* First: unshare(2) takes the working directory along, an fd it leaves in the old namespace. */
	if (fchdir(maker->dir) < 0 ||
	    unshare(CLONE_NEWNS | (maker->as_root ? 0 : CLONE_NEWUSER)) < 0)
		child_fail(maker, "new namespace");
	child_users(maker);
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("overlay", "merged", "overlay", MS_RDONLY | MS_NODEV | MS_NOSUID | MS_NOEXEC,
		  buf_str(&maker->options)) < 0)
		child_fail(maker, "mount the image's layers");
	child_confine(maker);
	if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(maker->out, 2) < 0 ||
	    close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
		child_fail(maker, "standard streams");
	/* Here, not before: becoming another user clears it. */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (getppid() != maker->parent)
		_exit(1);
	(void)execvp(argv[0], (char *const *)argv);
	_exit(errno == ENOENT ? EXIT_MISSING : 126);
}

static int maker_wait(pid_t pid, int words, struct err *err)
{
	AUTO(buf_fini) struct buf text = { 0 };

	(void)fd_read_all(words, TEXT_MAX, &text); /* a cut text is still a text */
	int status = helper_wait(pid);
	if (status == 0)
		return 0;
	if (status == EXIT_MISSING << 8)
		return err_say(err, ENOENT,
			       "make the image's disk: mkfs.erofs is missing: apt-get install "
			       "erofs-utils");
	return err_say(err, EIO, "make the image's disk: %.350s", program_last_line(&text));
}

int rootdisk_make(struct store *store, const struct image *image, struct staging *staging,
		  struct err *err)
{
	AUTO(maker_fini)
	struct maker maker = { .dir = staging->fd, .parent = getpid(), .as_root = geteuid() == 0 };
	AUTO(fd_close_p) int words = -EBADF;
	int pipes[2];

	(void)snprintf(maker.uid_map, sizeof(maker.uid_map), "0 %u 1", geteuid()); /* fits */
	(void)snprintf(maker.gid_map, sizeof(maker.gid_map), "0 %u 1", getegid()); /* fits */
	int r = maker_layers(store, image, &maker, err);
	if (r < 0)
		return r;
	if (pipe2(pipes, O_CLOEXEC) < 0)
		return err_set(err, errno, "make a pipe");
	words = pipes[0];
	maker.out = pipes[1];
	pid_t pid = fork();
	if (pid == 0)
		child_run(&maker);
	fd_close(pipes[1]);
	return pid < 0 ? err_set(err, errno, "make the image's disk") : maker_wait(pid, words, err);
}
