/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/rootless.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/core/buf.h"
#include "base/os/fd.h"
#include "base/os/file.h"

#define ROOTLESS_MARK	   "_STRATA_OCI_ENTERED"
#define ROOTLESS_RANGES	   16
#define ROOTLESS_MAPS	   340 /* user_namespaces(7) */
#define ROOTLESS_FILE_MAX  (1 << 20)
#define ROOTLESS_DEPTH_MAX 32 /* user_namespaces(7): nested namespaces */

size_t rootless_parse(const char *text, struct spec_idmap *ret, size_t max)
{
	size_t n = 0;

	for (const char *line = text; *line && n < max;) {
		struct spec_idmap map;
		if (sscanf(line, "%" SCNu32 " %" SCNu32 " %" SCNu32, &map.inside, &map.outside,
			   &map.size) == 3)
			ret[n++] = map;
		line += strcspn(line, "\n");
		line += *line == '\n';
	}
	return n;
}

static size_t rootless_own(const char *path, struct spec_idmap ret[ROOTLESS_MAPS])
{
	AUTO(buf_fini) struct buf text = { 0 };

	return file_read(AT_FDCWD, path, ROOTLESS_FILE_MAX, &text) < 0
		       ? 0
		       : rootless_parse(buf_str(&text), ret, ROOTLESS_MAPS);
}

enum rootless rootless_here(void)
{
	struct spec_idmap map[ROOTLESS_MAPS];

	if (geteuid() != 0)
		return ROOTLESS_USER;
	/* The first namespace has every id there is, as itself. */
	size_t n = rootless_own("/proc/self/uid_map", map);
	return n != 1 || map[0].inside || map[0].outside || map[0].size != UINT32_MAX
		       ? ROOTLESS_INSIDE
		       : ROOTLESS_NO;
}

int rootless_state(char ret[PATH_MAX])
{
	const char *dir = getenv("XDG_RUNTIME_DIR");
	int n;

	if (!dir || dir[0] != '/')
		return -ENOENT;
	n = snprintf(ret, PATH_MAX, "%s/strata-oci", dir);
	return n < 0 || n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

/* "NAME:FIRST:COUNT", where the name may be a number. */
size_t rootless_ranges(const char *text, const char *name, uint32_t uid, struct spec_idmap *ret,
		       size_t max)
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
			ret[n++] = (struct spec_idmap){ (uint32_t)inside, first, count };
			inside += count;
		}
		line += strcspn(line, "\n");
		line += *line == '\n';
	}
	return n;
}

/* Of passwd(5), by number; "" where it has none. Without the C library's lookup, which a static program has not. */
static void rootless_name(uint32_t uid, char ret[64])
{
	AUTO(buf_fini) struct buf text = { 0 };

	ret[0] = '\0';
	if (file_read(AT_FDCWD, "/etc/passwd", ROOTLESS_FILE_MAX, &text) < 0)
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

/* newuidmap(1): false where it is not there, or refuses. In a child of ours that stayed outside. */
static bool rootless_map_by(const char *program, pid_t pid, uint32_t own, const char *file)
{
	AUTO(buf_fini) struct buf text = { 0 };
	struct spec_idmap ranges[ROOTLESS_RANGES];
	char name[64], words[5 + 3 * ROOTLESS_RANGES][16];
	const char *args[7 + 3 * ROOTLESS_RANGES] = { program };
	size_t n = 0;

	rootless_name(getuid(), name);
	if (file_read(AT_FDCWD, file, ROOTLESS_FILE_MAX, &text) < 0)
		return false;
	size_t n_ranges = rootless_ranges(buf_str(&text), name, getuid(), ranges, ROOTLESS_RANGES);
	if (!n_ranges)
		return false;
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
	int status = 1;
	if (child == 0) {
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);
		if (null >= 0)
			(void)dup2(
				null,
				2); /* what it says is not ours: what cannot be mapped is told later */
		(void)execvp(program, (char *const *)(uintptr_t)args); /* returns on error */
		_exit(127);
	}
	while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	return child > 0 && status == 0;
}

static _Noreturn void rootless_helper(int socket, pid_t pid)
{
	char byte;

	if (read(socket, &byte, 1) != 1)
		_exit(1);
	_exit(rootless_map_by("newuidmap", pid, getuid(), "/etc/subuid") &&
			      rootless_map_by("newgidmap", pid, getgid(), "/etc/subgid")
		      ? 0
		      : 1);
}

/* Just ourselves: what everybody may. */
static int rootless_map_self(uint32_t uid, uint32_t gid)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "0 %" PRIu32 " 1\n", uid); /* fits */
	int r = file_write(AT_FDCWD, "/proc/self/uid_map", text);
	if (r == 0 || r == -EPERM) /* newuidmap did, and newgidmap did not */
		r = file_write(AT_FDCWD, "/proc/self/setgroups", "deny");
	(void)snprintf(text, sizeof(text), "0 %" PRIu32 " 1\n", gid); /* fits */
	return r < 0 ? r : file_write(AT_FDCWD, "/proc/self/gid_map", text);
}

static int rootless_become(struct err *err)
{
	if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
		return err_set(err, errno, "become root of our user namespace");
	if (setenv(ROOTLESS_MARK, "1", 1) < 0)
		return err_set(err, errno, "environment");
	return 0;
}

int rootless_enter(struct err *err)
{
	const uint32_t uid = getuid(), gid = getgid();
	const pid_t self = getpid();
	int pair[2], status = 1;

	if (pipe2(pair, O_CLOEXEC) < 0)
		return err_set(err, errno, "pipe");
	pid_t helper = fork();
	if (helper == 0) {
		fd_close(pair[1]);
		rootless_helper(pair[0], self);
	}
	fd_close(pair[0]);
	int r = helper < 0 ? -errno : unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0 ? -errno : 0;
	if (r == 0 && write(pair[1], "", 1) != 1)
		r = -errno;
	fd_close(pair[1]);
	while (helper > 0 && waitpid(helper, &status, 0) < 0 && errno == EINTR)
		;
	if (r < 0)
		return err_set(
			err, -r,
			"make a user namespace, which a container of an ordinary user takes");
	if (status != 0)
		r = rootless_map_self(uid, gid);
	return r < 0 ? err_set(err, -r, "map our ids into a user namespace") : rootless_become(err);
}

/* The ancestor of that process's user namespace, or itself, that is a child of ours; an fd. */
static int rootless_ancestor(pid_t pid)
{
	char path[48];
	struct stat own, parent;

	(void)snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)pid); /* fits */
	AUTO(fd_close_p) int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || stat("/proc/self/ns/user", &own) < 0)
		return -errno;
	for (int depth = 0; depth < ROOTLESS_DEPTH_MAX; depth++) {
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

int rootless_join(pid_t pid, struct err *err)
{
	AUTO(fd_close_p) int fd = rootless_ancestor(pid);

	if (fd < 0 || setns(fd, CLONE_NEWUSER) < 0 || unshare(CLONE_NEWNS) < 0)
		return err_set(err, fd < 0 ? -fd : errno, "enter the container's user namespace");
	return rootless_become(err);
}

bool rootless_entered(void)
{
	const bool entered = getenv(ROOTLESS_MARK) != NULL;

	(void)unsetenv(ROOTLESS_MARK); /* cannot fail: a valid name */
	return entered;
}

static int map_one(const struct spec_idmap *own, size_t n_own, struct spec_idmap asked,
		   struct spec_idmap *ret)
{
	for (size_t i = 0; i < n_own; i++) {
		const uint32_t at = asked.outside - own[i].outside;
		if (asked.outside < own[i].outside || at >= own[i].size)
			continue;
		const uint32_t most = own[i].size - at;
		*ret = (struct spec_idmap){ asked.inside, own[i].inside + at,
					    asked.size < most ? asked.size : most };
		return 0;
	}
	return -EPERM;
}

int rootless_map(const struct spec_idmap *own, size_t n_own, const struct spec_idmap *asked,
		 size_t n_asked, struct spec_idmap *ret, size_t max, size_t *ret_n,
		 uint32_t *ret_id)
{
	size_t n = 0;

	for (size_t i = 0; i < n_asked; i++) {
		struct spec_idmap left = asked[i];
		while (left.size) {
			if (n == max)
				return -E2BIG;
			if (map_one(own, n_own, left, &ret[n]) < 0) {
				*ret_id = left.outside;
				return -EPERM;
			}
			left.inside += ret[n].size;
			left.outside += ret[n].size;
			left.size -= ret[n++].size;
		}
	}
	*ret_n = n;
	return 0;
}

static int translate_one(struct pool *pool, const char *own_path, const char *what,
			 const struct spec_idmap **map, size_t *n, struct err *err)
{
	struct spec_idmap own[ROOTLESS_MAPS];
	const size_t n_own = rootless_own(own_path, own);
	struct spec_idmap *to = pool_get(pool, ROOTLESS_MAPS, sizeof(*to));
	uint32_t id = 0;

	if (!to)
		return err_set(err, ENOMEM, "user namespace");
	int r = rootless_map(own, n_own, *map, *n, to, ROOTLESS_MAPS, n, &id);
	if (r == -EPERM)
		return err_say(err, EPERM,
			       "linux.%s: the host's id %" PRIu32 " is not yours: /etc/sub%s and "
			       "new%smap give more than your own",
			       what, id, what[0] == 'u' ? "uid" : "gid",
			       what[0] == 'u' ? "uid" : "gid");
	*map = to;
	return r < 0 ? err_say(err, E2BIG, "linux.%s: too many pieces", what) : 0;
}

int rootless_translate(struct config *config, struct err *err)
{
	struct idmap *ids = &config->bundle.ids;

	if (!ids->n_uids)
		return err_say(err, EPERM,
			       "linux.namespaces: a container of an ordinary user takes a user "
			       "namespace");
	int r = translate_one(&config->pool, "/proc/self/uid_map", "uidMappings", &ids->uids,
			      &ids->n_uids, err);
	if (r == 0)
		r = translate_one(&config->pool, "/proc/self/gid_map", "gidMappings", &ids->gids,
				  &ids->n_gids, err);
	for (size_t i = 0; i < config->bundle.n_mounts; i++) {
		if (config->bundle.mounts[i].container_ids)
			config->bundle.mounts[i].ids = *ids;
	}
	return r;
}
