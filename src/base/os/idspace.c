/* SPDX-License-Identifier: Apache-2.0 */
#include "base/os/idspace.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/core/buf.h"
#include "base/os/fd.h"
#include "base/os/file.h"
#include "base/os/wait.h"

#define IDS_RANGES    16
#define IDS_FILE_MAX  (1 << 20)
#define IDS_DEPTH_MAX 32 /* user_namespaces(7): nested namespaces */

/* ---- tables ---- */

size_t ids_parse(const char *text, struct ids_map *ret, size_t max)
{
	size_t n = 0;

	for (const char *line = text; *line && n < max;) {
		struct ids_map map;
		if (sscanf(line, "%" SCNu32 " %" SCNu32 " %" SCNu32, &map.inside, &map.outside,
			   &map.size) == 3)
			ret[n++] = map;
		line += strcspn(line, "\n");
		line += *line == '\n';
	}
	return n;
}

size_t ids_own(bool groups, struct ids_map ret[IDS_MAPS])
{
	AUTO(buf_fini) struct buf text = { 0 };
	const char *path = groups ? "/proc/self/gid_map" : "/proc/self/uid_map";

	return file_read(AT_FDCWD, path, IDS_FILE_MAX, &text) < 0
		       ? 0
		       : ids_parse(buf_str(&text), ret, IDS_MAPS);
}

enum ids_here ids_here(void)
{
	struct ids_map map[IDS_MAPS];

	if (geteuid() != 0)
		return IDS_USER;
	/* The first namespace has every id there is, as itself. */
	size_t n = ids_own(false, map);
	return n != 1 || map[0].inside || map[0].outside || map[0].size != UINT32_MAX ? IDS_INSIDE
										      : IDS_HOST;
}

/* "NAME:FIRST:COUNT", where the name may be a number. */
size_t ids_ranges(const char *text, const char *name, uint32_t uid, struct ids_map *ret, size_t max)
{
	uint64_t inside = 1;
	size_t n = 0;

	for (const char *line = text; *line && n < max;) {
		size_t len = strcspn(line, ":\n");
		char number[16];
		uint32_t first, count;
		(void)snprintf(number, sizeof(number), "%" PRIu32, uid); /* fits */
		bool ours = (len && len == strlen(name) && !memcmp(line, name, len)) ||
			    (len == strlen(number) && !memcmp(line, number, len));
		if (ours && line[len] == ':' &&
		    sscanf(line + len, ":%" SCNu32 ":%" SCNu32, &first, &count) == 2 && count &&
		    inside + count <= UINT32_MAX) {
			ret[n++] = (struct ids_map){ (uint32_t)inside, first, count };
			inside += count;
		}
		line += strcspn(line, "\n");
		line += *line == '\n';
	}
	return n;
}

/* Of passwd(5), by number; "" where it has none. Without the C library's lookup, which a static program has not. */
static void ids_name(uint32_t uid, char ret[64])
{
	AUTO(buf_fini) struct buf text = { 0 };

	ret[0] = '\0';
	if (file_read(AT_FDCWD, "/etc/passwd", IDS_FILE_MAX, &text) < 0)
		return;
	for (const char *line = buf_str(&text); *line;) {
		char name[64];
		uint32_t is;
		if (sscanf(line, "%63[^:\n]:%*[^:\n]:%" SCNu32 ":", name, &is) == 2 && is == uid) {
			memcpy(ret, name, sizeof(name));
			return;
		}
		line += strcspn(line, "\n");
		line += *line == '\n';
	}
}

/* A user's group ranges go by the user's name and number too: subgid(5). */
static size_t ids_given(const char *file, struct ids_map ret[IDS_RANGES])
{
	AUTO(buf_fini) struct buf text = { 0 };
	char name[64];

	if (file_read(AT_FDCWD, file, IDS_FILE_MAX, &text) < 0)
		return 0;
	ids_name(getuid(), name);
	return ids_ranges(buf_str(&text), name, getuid(), ret, IDS_RANGES);
}

uint64_t ids_count(void)
{
	struct ids_map ranges[IDS_RANGES];
	uint64_t count = 1;
	size_t n = ids_given("/etc/subuid", ranges);

	for (size_t i = 0; i < n; i++)
		count += ranges[i].size;
	return count;
}

bool ids_no_groups(pid_t pid)
{
	char path[40], word[8];

	if (pid)
		(void)snprintf(path, sizeof(path), "/proc/%d/setgroups", (int)pid); /* fits */
	else
		(void)snprintf(path, sizeof(path), "/proc/self/setgroups"); /* fits */
	AUTO(fd_close_p) int fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd >= 0 && fd_read_text(fd, word, sizeof(word)) > 0 && word[0] == 'd';
}

/* ---- the way in ---- */

/* newuidmap(1): its pid, or 0 where there is nothing to ask for. In a child of ours that stayed outside. */
static pid_t ids_map_by(const char *program, pid_t pid, uint32_t own, const char *file)
{
	struct ids_map ranges[IDS_RANGES];
	char words[4 + 3 * IDS_RANGES][16];
	const char *args[6 + 3 * IDS_RANGES] = { program };
	const size_t n_ranges = ids_given(file, ranges);
	size_t n = 0;

	if (!n_ranges)
		return 0;
	(void)snprintf(words[n++], sizeof(words[0]), "%d", (int)pid); /* numbers fit */
	(void)snprintf(words[n++], sizeof(words[0]), "0");
	(void)snprintf(words[n++], sizeof(words[0]), "%" PRIu32, own);
	(void)snprintf(words[n++], sizeof(words[0]), "1");
	for (size_t i = 0; i < n_ranges; i++) {
		(void)snprintf(words[n++], sizeof(words[0]), "%" PRIu32, ranges[i].inside);
		(void)snprintf(words[n++], sizeof(words[0]), "%" PRIu32, ranges[i].outside);
		(void)snprintf(words[n++], sizeof(words[0]), "%" PRIu32, ranges[i].size);
	}
	for (size_t i = 0; i < n; i++)
		args[i + 1] = words[i];
	pid_t child = fork();
	if (child == 0) {
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);
		if (null >= 0)
			(void)dup2(
				null,
				2); /* what it says is not ours: what cannot be mapped is told later */
		(void)execvp(program, (char *const *)(uintptr_t)args); /* returns on error */
		_exit(127);
	}
	return child;
}

/* Either is a process of milliseconds: at once. */
static _Noreturn void ids_helper(int socket, pid_t pid)
{
	char byte;

	if (read(socket, &byte, 1) != 1)
		_exit(1);
	const pid_t users = ids_map_by("newuidmap", pid, getuid(), "/etc/subuid");
	const pid_t groups = ids_map_by("newgidmap", pid, getgid(), "/etc/subgid");
	const bool mapped = users > 0 && groups > 0;
	const int user = users > 0 ? wait_child(users) : 1;
	const int group = groups > 0 ? wait_child(groups) : 1;
	_exit(mapped && user == 0 && group == 0 ? 0 : 1);
}

/* Just ourselves: what everybody may. */
static int ids_map_self(uint32_t uid, uint32_t gid)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "0 %" PRIu32 " 1\n", uid); /* fits */
	int r = file_write(AT_FDCWD, "/proc/self/uid_map", text);
	if (r < 0 && r != -EPERM) /* newuidmap did, and newgidmap did not */
		return r;
	r = file_write(AT_FDCWD, "/proc/self/setgroups", "deny");
	(void)snprintf(text, sizeof(text), "0 %" PRIu32 " 1\n", gid); /* fits */
	int group = file_write(AT_FDCWD, "/proc/self/gid_map", text);
	if (group == -EPERM && r == -EPERM) /* or the other way round */
		return 0;
	return group < 0 ? group : r;
}

static bool ids_setting(const char *path, char value)
{
	AUTO(buf_fini) struct buf text = { 0 };

	return file_read(AT_FDCWD, path, 64, &text) == 0 && text.len && text.data[0] == value;
}

/* Why a host gives an ordinary user no namespaces, where it says. */
static int ids_refused(int r, struct err *err)
{
	if (ids_setting("/proc/sys/kernel/unprivileged_userns_clone", '0'))
		return err_say(
			err, EPERM,
			"this host gives ordinary users no user namespaces: its administrator can, by "
			"'sysctl kernel.unprivileged_userns_clone=1'");
	if (r == -ENOSPC || ids_setting("/proc/sys/user/max_user_namespaces", '0'))
		return err_say(
			err, ENOSPC,
			"this host gives no more user namespaces: its administrator can, by 'sysctl "
			"user.max_user_namespaces=15000'");
	if (ids_setting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", '1'))
		return err_say(
			err, EPERM,
			"AppArmor gives programs of ordinary users no rights in a user namespace: the "
			"administrator can, by 'sysctl "
			"kernel.apparmor_restrict_unprivileged_userns=0' or a profile for strata");
	return err_set(err, -r,
		       "make a user namespace, which a container of an ordinary user takes");
}

static int ids_become(void)
{
	/* Whoever could not be root of it before is so only now, to AppArmor too. */
	return setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0 ? -errno : 0;
}

static int ids_enter_alone(struct err *err)
{
	const uint32_t uid = getuid(), gid = getgid();
	int r = unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0 ? -errno : ids_map_self(uid, gid);

	if (r == 0)
		r = ids_become();
	return r < 0 ? ids_refused(r, err) : 0;
}

int ids_enter(struct err *err)
{
	const uint32_t uid = getuid(), gid = getgid();
	const pid_t self = getpid();
	int pair[2];

	if (pipe2(pair, O_CLOEXEC) < 0)
		return err_set(err, errno, "pipe");
	pid_t helper = fork();
	if (helper == 0) {
		fd_close(pair[1]);
		ids_helper(pair[0], self);
	}
	fd_close(pair[0]);
	int r = helper < 0 ? -errno : unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0 ? -errno : 0;
	if (r == 0 && write(pair[1], "", 1) != 1)
		r = -errno;
	fd_close(pair[1]);
	const int mapped = helper > 0 ? wait_child(helper) : 1;
	if (r == 0 && mapped != 0)
		r = ids_map_self(uid, gid);
	if (r == 0)
		r = ids_become();
	return r < 0 ? ids_refused(r, err) : 0;
}

/* The ancestor of that process's user namespace, or itself, that is a child of ours; an fd. */
static int ids_ancestor(pid_t pid)
{
	char path[48];
	struct stat own, parent;

	(void)snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)pid); /* fits */
	AUTO(fd_close_p) int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || stat("/proc/self/ns/user", &own) < 0)
		return -errno;
	for (int depth = 0; depth < IDS_DEPTH_MAX; depth++) {
		AUTO(fd_close_p) int up = ioctl(fd, NS_GET_PARENT);
		if (up < 0 || fstat(up, &parent) < 0)
			return -errno;
		if (parent.st_ino == own.st_ino && parent.st_dev == own.st_dev)
			return fd_take(&fd);
		fd_close(fd);
		fd = fd_take(&up);
	}
	return -ELOOP;
}

int ids_join(pid_t pid, struct err *err)
{
	AUTO(fd_close_p) int fd = ids_ancestor(pid);
	int r = fd < 0 ? fd : setns(fd, CLONE_NEWUSER) < 0 || unshare(CLONE_NEWNS) < 0 ? -errno : 0;

	if (r == 0)
		r = ids_become();
	return r < 0 ? err_set(err, -r, "enter the container's user namespace") : 0;
}

/* ---- a child there ---- */

struct ids_said {
	int r;
	struct err err;
};

static _Noreturn void ids_child(pid_t parent, pid_t pid, int (*fn)(void *arg, struct err *err),
				void *arg, int to)
{
	struct ids_said said = { 0 };

	said.r = pid > 0	    ? ids_join(pid, &said.err)
		 : pid == IDS_ALONE ? ids_enter_alone(&said.err)
				    : ids_enter(&said.err);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* a change of ids cleared it */
	if (said.r == 0 && getppid() == parent)
		said.r = fn(arg, &said.err);
	(void)fd_write_all(
		to, &said,
		sizeof(said)); /* shorter than PIPE_BUF; a parent that is gone needs no answer */
	_exit(0);
}

int ids_call(pid_t pid, int (*fn)(void *arg, struct err *err), void *arg, struct err *err)
{
	const pid_t self = getpid();
	char text[sizeof(struct ids_said) + 1];
	struct ids_said said;
	int pair[2];

	if (pipe2(pair, O_CLOEXEC) < 0)
		return err_set(err, errno, "pipe");
	pid_t child = fork();
	if (child == 0) {
		fd_close(pair[0]);
		ids_child(self, pid, fn, arg, pair[1]);
	}
	const int code = errno;
	fd_close(pair[1]);
	AUTO(fd_close_p) int from = pair[0];
	if (child < 0)
		return err_set(err, code, "start a process");
	const ssize_t n = fd_read_text(from, text, sizeof(text));
	(void)wait_child(child);
	if (n != (ssize_t)sizeof(said))
		return err_say(err, ECHILD, "the process in the user namespace died");
	memcpy(&said, text, sizeof(said)); /* of this very program: its pointer is ours */
	if (said.r < 0 && err)
		*err = said.err;
	return said.r;
}

struct ids_removal {
	int dirfd;
	const char *path;
};

static int ids_remove_inside(void *arg, struct err *err)
{
	const struct ids_removal *removal = arg;
	int r = dir_remove(removal->dirfd, removal->path);

	return r < 0 ? err_set(err, -r, "remove %s", removal->path) : 0;
}

int ids_remove(int dirfd, const char *path)
{
	struct ids_removal removal = { dirfd, path };
	int r = dir_remove(dirfd, path);

	if ((r != -EACCES && r != -EPERM) || geteuid() == 0)
		return r;
	int inside = ids_call(0, ids_remove_inside, &removal, NULL);
	return inside < 0 ? r : 0;
}
