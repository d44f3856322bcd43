/* SPDX-License-Identifier: Apache-2.0 */
#include "base/os/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/os/fd.h"

int file_read(int dirfd, const char *path, size_t max, struct buf *buf)
{
	AUTO(fd_close_p) int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return fd_read_all(fd, max, buf);
}

int file_write(int dirfd, const char *path, const char *text)
{
	AUTO(fd_close_p) int fd = openat(dirfd, path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ssize_t n = write(fd, text, strlen(text));
	if (n < 0)
		return -errno;
	return (size_t)n == strlen(text) ? 0 : -EIO;
}

int file_replace(int dirfd, const char *name, mode_t mode, const void *data, size_t len,
		 bool durable)
{
	char temp[PATH_MAX];
	static unsigned counter; /* only makes names differ within a process */

	int n = snprintf(temp, sizeof(temp), "%s.tmp.%ld.%u", name, (long)getpid(),
			 __atomic_fetch_add(&counter, 1, __ATOMIC_RELAXED));
	if (n < 0 || (size_t)n >= sizeof(temp))
		return -ENAMETOOLONG;

	AUTO(fd_close_p)
	int fd = openat(dirfd, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	if (fd < 0)
		return -errno;
	int r = fd_write_all(fd, data, len);
	if (r == 0 && durable && fsync(fd) < 0)
		r = -errno;
	if (r == 0 && renameat(dirfd, temp, dirfd, name) < 0)
		r = -errno;
	if (r < 0) {
		(void)unlinkat(dirfd, temp, 0); /* the first error is the one to report */
		return r;
	}
	if (!durable)
		return 0;

	AUTO(fd_close_p) int dir = -EBADF;
	const char *slash = strrchr(name, '/');
	if (slash) {
		temp[slash - name] = '\0'; /* temp starts with name */
		dir = openat(dirfd, slash == name ? "/" : temp, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	} else {
		dir = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	if (dir < 0 || fsync(dir) < 0)
		return -errno;
	return 0;
}

/* mkdir(2), content with a directory, or a link to one, that is there already. */
static int dir_make_one(int dirfd, const char *path, mode_t mode)
{
	struct stat st;

	if (mkdirat(dirfd, path, mode) == 0)
		return 0;
	if (errno != EEXIST)
		return -errno;
	if (fstatat(dirfd, path, &st, 0) < 0)
		return -errno;
	return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

int file_fifo(int dirfd, const char *name)
{
	if ((unlinkat(dirfd, name, 0) < 0 && errno != ENOENT) || mkfifoat(dirfd, name, 0600) < 0)
		return -errno;
	int fd = openat(dirfd, name, O_RDWR | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int dir_make(int dirfd, const char *path, mode_t mode)
{
	char part[PATH_MAX];
	size_t len = strlen(path);

	int r = dir_make_one(dirfd, path, mode);
	if (r != -ENOENT)
		return r;
	if (len >= sizeof(part))
		return -ENAMETOOLONG;
	if (len == 0)
		return -ENOENT;
	memcpy(part, path, len + 1);
	for (char *p = part + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		r = dir_make_one(dirfd, part, mode);
		if (r < 0)
			return r;
		*p = '/';
	}
	return dir_make_one(dirfd, part, mode);
}

/*
 * How deep dir_empty() recurses, each level holding one fd. What lies deeper is moved up to the top
 * first: whoever made the tree chose its depth, and must not choose our stack and our fds.
 */
#define DIR_DEPTH 24

struct dir_top {
	int fd;	       /* the directory that is being emptied; borrowed */
	uint64_t next; /* number in the next name that is made up */
	bool moved;    /* something was moved up since the last round: look again */
};

/* One that its owner closed to himself, as overlayfs does with its own. */
static int dir_open_up(int dirfd, const char *name)
{
	char path[40];
	AUTO(fd_close_p)
	int fd = openat(dirfd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd); /* fits */
	return chmod(path, 0700) < 0 ? -errno : 0;
}

/* A sub-directory, never through a link or into a mount: not even one of the same file system. */
static int dir_open_sub(int dirfd, const char *name)
{
	struct open_how how = {
		.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS,
	};
	long fd = syscall(SYS_openat2, dirfd, name, &how, sizeof(how));

	if (fd < 0 && errno == EACCES) {
		if (dir_open_up(dirfd, name) < 0)
			return -EACCES;
		fd = syscall(SYS_openat2, dirfd, name, &how, sizeof(how));
	}
	return fd < 0 ? -errno : (int)fd;
}

static int dir_move_up(struct dir_top *top, int dirfd, const char *name)
{
	/* Somebody may have taken the names on purpose; a few hundred are skipped, not for ever. */
	for (int tries = 0; tries < 1024; tries++) {
		char temp[64];
		(void)snprintf(temp, sizeof(temp), ".remove.%ld.%llx", (long)getpid(),
			       (unsigned long long)top->next++); /* fits */
		if (renameat2(dirfd, name, top->fd, temp, RENAME_NOREPLACE) == 0) {
			top->moved = true;
			return 0;
		}
		if (errno != EEXIST)
			return -errno;
	}
	return -EEXIST;
}

static int dir_empty(int fd, unsigned depth, struct dir_top *top);

static int dir_remove_entry(int dirfd, const char *name, unsigned depth, struct dir_top *top)
{
	if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
		return 0;
	int r = -errno;
	if (r != -EISDIR && r != -EPERM)
		return r;
	if (unlinkat(dirfd, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return 0;
	if (errno == ENOTDIR)
		return r; /* a file that may not be removed: immutable, or not ours */
	if (depth == DIR_DEPTH)
		return dir_move_up(top, dirfd, name);

	int sub = dir_open_sub(dirfd, name);
	if (sub < 0)
		return sub == -ENOENT ? 0 : sub;
	r = dir_empty(sub, depth + 1, top);
	if (unlinkat(dirfd, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return 0;
	return r < 0 ? r : -errno;
}

/* Removes what fd holds, as far as it can, and says what first stood in the way. Takes ownership of fd. */
static int dir_empty(int fd, unsigned depth, struct dir_top *top)
{
	AUTO(dir_close_p) DIR *dir = fdopendir(fd);
	if (!dir) {
		int r = -errno;
		fd_close(fd);
		return r;
	}

	int first = 0;
	for (;;) {
		errno = 0;
		struct dirent *e = readdir(dir);
		if (!e)
			return errno && !first ? -errno : first;
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		int r = dir_remove_entry(dirfd(dir), e->d_name, depth, top);
		if (r < 0 && first == 0)
			first = r;
	}
}

/* Each round removes DIR_DEPTH levels at least, or ends. */
static int dir_empty_top(int fd)
{
	struct dir_top top = { .fd = fd };
	int r;

	do {
		int again = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (again < 0)
			return -errno;
		top.moved = false;
		r = dir_empty(again, 0, &top);
	} while (top.moved);
	return r;
}

/* The directory that holds path's last name, and that name. */
static int dir_open_parent(int dirfd, const char *path, const char **ret_name)
{
	char parent[PATH_MAX];
	const char *slash = strrchr(path, '/');
	size_t len = slash ? (size_t)(slash - path) : 0;

	if (len >= sizeof(parent))
		return -ENAMETOOLONG;
	if (!slash)
		memcpy(parent, ".", 2);
	else if (len == 0)
		memcpy(parent, "/", 2);
	else {
		memcpy(parent, path, len);
		parent[len] = '\0';
	}
	int fd = openat(dirfd, parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*ret_name = slash ? slash + 1 : path;
	return fd;
}

int dir_remove(int dirfd, const char *path)
{
	const char *name;
	AUTO(fd_close_p) int parent = dir_open_parent(dirfd, path, &name);
	if (parent < 0)
		return parent == -ENOENT ? 0 : parent;
	if (!*name || !strcmp(name, ".") || !strcmp(name, ".."))
		return -EINVAL;

	if (unlinkat(parent, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -errno;
	int r = -errno;
	AUTO(fd_close_p) int fd = dir_open_sub(parent, name);
	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		return fd == -ENOTDIR ? r : fd;
	r = dir_empty_top(fd);
	if (unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return 0;
	return r < 0 ? r : -errno;
}
