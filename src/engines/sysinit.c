/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/sysinit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os/fd.h"

/* Where Linux looks (init/main.c, kernel_init()), and where distributions keep theirs beside. */
static const char *const sysinit_places[] = {
	"/sbin/init",
	"/usr/sbin/init",
	"/lib/systemd/systemd",
	"/usr/lib/systemd/systemd",
	"/sbin/openrc-init",
	"/sbin/runit-init",
	"/etc/init",
	"/bin/init",
	"/init",
};

/* Of a systemd of that version: it comes with exactly one. */
static const char *const sysinit_libraries[] = {
	"/usr/lib/systemd",
	"/lib/systemd",
	"/usr/lib/x86_64-linux-gnu/systemd",
	"/usr/lib64/systemd",
};
#define SYSINIT_ENTRIES 4096 /* of a directory that are looked at */

static const struct {
	const char *program; /* the last part of the path that is executed in the end */
	enum sysinit_kind kind;
} sysinit_programs[] = {
	{ "systemd", SYSINIT_SYSTEMD },	   { "init", SYSINIT_SYSV },
	{ "busybox", SYSINIT_BUSYBOX },	   { "busybox.static", SYSINIT_BUSYBOX },
	{ "openrc-init", SYSINIT_OPENRC }, { "runit-init", SYSINIT_RUNIT },
	{ "runit", SYSINIT_RUNIT },
};

static const char *const sysinit_names[SYSINIT_KINDS] = {
	[SYSINIT_OTHER] = "init",      [SYSINIT_SYSTEMD] = "systemd", [SYSINIT_SYSV] = "sysvinit",
	[SYSINIT_BUSYBOX] = "busybox", [SYSINIT_OPENRC] = "OpenRC",   [SYSINIT_RUNIT] = "runit",
};

static const char *sysinit_base(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

const char *sysinit_name(enum sysinit_kind kind)
{
	return sysinit_names[kind];
}

enum sysinit_kind sysinit_kind_of(const char *target)
{
	const char *base = sysinit_base(target);

	for (size_t i = 0; i < ARRAY_SIZE(sysinit_programs); i++) {
		if (!strcmp(base, sysinit_programs[i].program))
			return sysinit_programs[i].kind;
	}
	return SYSINIT_OTHER;
}

bool sysinit_named(const char *command)
{
	const enum sysinit_kind kind = sysinit_kind_of(command);

	return kind != SYSINIT_OTHER && kind != SYSINIT_BUSYBOX;
}

int sysinit_stop_signal(enum sysinit_kind kind)
{
	switch (kind) {
	case SYSINIT_SYSTEMD:
		return SIGRTMIN + 3; /* halt.target */
	case SYSINIT_SYSV:
		return SIGINT;
	case SYSINIT_BUSYBOX:
		return SIGUSR2; /* poweroff */
	case SYSINIT_RUNIT:
		return SIGCONT;
	case SYSINIT_OPENRC:
	default:
		return SIGTERM;
	}
}

bool sysinit_wants_tty1(enum sysinit_kind kind)
{
	return kind != SYSINIT_SYSTEMD && kind != SYSINIT_OTHER;
}

static void sysinit_mode(int root, const char *path, uid_t uid, mode_t mode)
{
	AUTO(fd_close_p) int fd = fd_open_in(root, path, O_RDONLY | O_NONBLOCK | O_CLOEXEC, 0);
	struct stat st;

	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == uid)
		(void)fchmod(fd, mode); /* then it is killed when its time is up */
}

void sysinit_tell(enum sysinit_kind kind, int root, uid_t uid)
{
	if (kind != SYSINIT_RUNIT)
		return;
	/* Debian's are elsewhere. */
	sysinit_mode(root, "/etc/runit/reboot", uid, 0);
	sysinit_mode(root, "/run/runit.reboot", uid, 0);
	sysinit_mode(root, "/etc/runit/stopit", uid, S_IXUSR);
	sysinit_mode(root, "/run/runit.stopit", uid, S_IXUSR);
}

unsigned sysinit_version(const char *file)
{
	static const char stem[] = "libsystemd-shared-";

	if (strncmp(file, stem, sizeof(stem) - 1) != 0)
		return 0;
	unsigned long n = strtoul(file + sizeof(stem) - 1, NULL, 10);
	return n < 100000 ? (unsigned)n : 0;
}

static unsigned sysinit_version_in(int root, const char *path)
{
	int fd = fd_open_in(root, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (fd < 0)
		return 0;
	AUTO(dir_close_p) DIR *dir = fdopendir(fd);
	if (!dir) {
		fd_close(fd);
		return 0;
	}
	unsigned version = 0, n = 0;
	for (struct dirent *e; !version && n < SYSINIT_ENTRIES && (e = readdir(dir)); n++)
		version = sysinit_version(e->d_name);
	return version;
}

/* A program, and which one its links lead to. */
static int sysinit_look(int root, const char *path, struct sysinit *ret)
{
	char link[32], target[PATH_MAX];
	AUTO(fd_close_p) int fd = fd_open_in(root, path, O_PATH, 0);
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || !(st.st_mode & 0111))
		return -EACCES;
	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd); /* fits */
	ssize_t n = readlink(link, target, sizeof(target) - 1);
	if (n < 0)
		return -errno;
	target[n] = '\0';
	*ret = (struct sysinit){ .kind = sysinit_kind_of(target), .path = path };
	for (size_t i = 0;
	     ret->kind == SYSINIT_SYSTEMD && !ret->version && i < ARRAY_SIZE(sysinit_libraries);
	     i++)
		ret->version = sysinit_version_in(root, sysinit_libraries[i]);
	return 0;
}

int sysinit_find(int root, const char *asked, struct sysinit *ret, struct err *err)
{
	int r = asked && asked[0] == '/' ? sysinit_look(root, asked, ret) : -ENOENT;

	if (asked && r < 0 && asked[0] == '/')
		return err_set(err, -r, "no init to boot: %s in the image", asked);
	for (size_t i = 0; r < 0 && i < ARRAY_SIZE(sysinit_places); i++) {
		if (!asked || !strcmp(sysinit_base(sysinit_places[i]), asked))
			r = sysinit_look(root, sysinit_places[i], ret);
	}
	if (r == 0)
		return 0;
	return err_say(
		err, ENOENT,
		"the image has no init to boot (no program at /sbin/init, /lib/systemd/systemd, "
		"/sbin/openrc-init, ...): install one in it (Debian: systemd-sysv), say its path after "
		"the image's name, or leave out --system");
}
