/* SPDX-License-Identifier: Apache-2.0 */
#include "base/os/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
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

int dir_make(int dirfd, const char *path, mode_t mode)
{
	char part[PATH_MAX];
	size_t len = strlen(path);

	if (mkdirat(dirfd, path, mode) == 0 || errno == EEXIST)
		return 0;
	if (errno != ENOENT)
		return -errno;
	if (len >= sizeof(part))
		return -ENAMETOOLONG;
	memcpy(part, path, len + 1);
	for (char *p = part + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdirat(dirfd, part, mode) < 0 && errno != EEXIST)
			return -errno;
		*p = '/';
	}
	return mkdirat(dirfd, part, mode) < 0 && errno != EEXIST ? -errno : 0;
}

static void dir_close_p(DIR **dir)
{
	if (*dir)
		(void)closedir(*dir);
}

/* Deeper than this a directory is moved up to the top before it is emptied. */
#define DIR_DEPTH_MAX 64

struct dir_top {
	int fd;		/* of the tree being removed */
	dev_t dev;	/* mounts are not crossed */
	unsigned moved; /* directories moved up so far: makes their names differ */
};

static int dir_empty(struct dir_top *top, int fd, unsigned depth);

/*
 * An enemy's tree may be deeper than a process may have fds: past a bound a directory is moved up,
 * where the top's next pass finds it.
 */
static int dir_move_up(struct dir_top *top, int at, const char *name)
{
	char up[48];

	(void)snprintf(up, sizeof(up), ".removed.%ld.%u", (long)getpid(), top->moved++); /* fits */
	return renameat(at, name, top->fd, up) < 0 ? -errno : 0;
}

static int dir_empty_child(struct dir_top *top, int at, const char *name, unsigned depth)
{
	struct stat st;

	if (depth >= DIR_DEPTH_MAX && fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISDIR(st.st_mode) && st.st_dev == top->dev && dir_move_up(top, at, name) == 0)
		return 0;
	int sub = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (sub < 0)
		return -errno;
	if (fstat(sub, &st) < 0 || st.st_dev != top->dev) {
		fd_close(sub);
		return -EXDEV;
	}
	int r = dir_empty(top, sub, depth + 1);
	if (unlinkat(at, name, AT_REMOVEDIR) == 0)
		return 0;
	return r < 0 ? r : -errno;
}

/* Removes what fd, a directory, holds. Takes ownership of fd. */
static int dir_empty(struct dir_top *top, int fd, unsigned depth)
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
		if (unlinkat(dirfd(dir), e->d_name, 0) == 0)
			continue;
		int r = -errno;
		if (r == -EISDIR || r == -EPERM)
			r = dir_empty_child(top, dirfd(dir), e->d_name, depth);
		if (r < 0 && r != -ENOENT && first == 0)
			first = r;
	}
}

int dir_remove(int dirfd, const char *path)
{
	if (unlinkat(dirfd, path, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -errno;

	int fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	struct stat st;
	if (fstat(fd, &st) < 0) {
		int r = -errno;
		fd_close(fd);
		return r;
	}
	struct dir_top top = { .fd = fd, .dev = st.st_dev };
	unsigned moved;
	int r;
	do {
		moved = top.moved;
		int pass = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		r = pass < 0 ? -errno : dir_empty(&top, pass, 0);
	} while (top.moved != moved);
	fd_close(fd);
	if (unlinkat(dirfd, path, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return 0;
	return r < 0 ? r : -errno;
}
