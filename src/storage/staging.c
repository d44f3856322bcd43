/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/staging.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/file.h"
#include "base/os/idspace.h"

int storage_dir(struct store *store, const char *name, mode_t mode, int *ret, struct err *err)
{
	int fd = openat(store->root_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT) {
		if (mkdirat(store->root_fd, name, mode) < 0 && errno != EEXIST)
			return err_set(err, errno, "make %s/%s", store->root, name);
		fd = openat(store->root_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	}
	if (fd < 0)
		return err_set(err, errno, "open %s/%s", store->root, name);
	*ret = fd;
	return 0;
}

int storage_lock(struct store *store, struct err *err)
{
	AUTO(fd_close_p)
	int fd = openat(store->root_fd, "images.lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC,
			0600);
	if (fd < 0)
		return err_set(err, errno, "open %s/images.lock", store->root);
	int r = fd_lock(fd);
	return r < 0 ? err_set(err, -r, "lock %s/images.lock", store->root) : fd_take(&fd);
}

static int staging_name(const char *kind, char ret[48])
{
	unsigned char random[6];

	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return -EIO;
	(void)snprintf(ret, 48, "tmp/%.20s-%02x%02x%02x%02x%02x%02x", kind, random[0], random[1],
		       random[2], random[3], random[4], random[5]); /* fits */
	return 0;
}

int staging_open(struct store *store, const char *kind, struct staging *ret, struct err *err)
{
	struct staging staging = { .root_fd = store->root_fd, .fd = -EBADF };
	AUTO(fd_close_p) int tmp = -EBADF;
	AUTO(fd_close_p) int lock = -EBADF;
	int64_t unused = 0;

	int r = staging_reap(store, &unused, err);
	if (r == 0)
		r = storage_dir(store, "tmp", 0700, &tmp, err);
	if (r < 0)
		return r;
	/* Between mkdir and flock it looks dead: whoever reaps holds the same lock. */
	lock = storage_lock(store, err);
	if (lock < 0)
		return lock;
	r = staging_name(kind, staging.path);
	if (r < 0)
		return err_set(err, -r, "random name");
	if (mkdirat(store->root_fd, staging.path, 0700) < 0)
		return err_set(err, errno, "make %s/%s", store->root, staging.path);
	staging.fd = openat(store->root_fd, staging.path,
			    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (staging.fd < 0 || flock(staging.fd, LOCK_EX | LOCK_NB) < 0) {
		r = err_set(err, errno, "lock %s/%s", store->root, staging.path);
		staging_close(&staging);
		return r;
	}
	*ret = staging;
	return 0;
}

void staging_close(struct staging *staging)
{
	if (staging->path[0])
		(void)ids_remove(staging->root_fd,
				 staging->path); /* else the next command reaps it */
	fd_close(fd_take(&staging->fd));
	staging->path[0] = '\0';
}

/* What a tree takes on disk. Bounded like everything that walks trees an image made. */
static int64_t staging_usage(int at, const char *name, unsigned depth)
{
	struct stat st;

	if (fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	int64_t bytes = (int64_t)st.st_blocks * 512;
	if (!S_ISDIR(st.st_mode) || depth > 256)
		return bytes;
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	AUTO(dir_close_p) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		fd_close(fd);
		return bytes;
	}
	for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
			bytes += staging_usage(dirfd(dir), e->d_name, depth + 1);
	}
	return bytes;
}

int64_t staging_bytes(const struct staging *staging)
{
	return staging_usage(staging->root_fd, staging->path, 0);
}

static bool staging_is_dead(int tmp, const char *name)
{
	AUTO(fd_close_p)
	int fd = openat(tmp, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0;
}

int staging_reap(struct store *store, int64_t *bytes, struct err *err)
{
	int tmp = openat(store->root_fd, "tmp", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (tmp < 0)
		return errno == ENOENT ? 0 : err_set(err, errno, "open %s/tmp", store->root);
	AUTO(dir_close_p) DIR *dir = fdopendir(tmp);
	if (!dir) {
		fd_close(tmp);
		return err_set(err, errno, "list %s/tmp", store->root);
	}
	for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..") ||
		    !strncmp(e->d_name, STAGING_COMPARE "-", sizeof(STAGING_COMPARE)))
			continue;
		AUTO(fd_close_p) int lock = storage_lock(store, err);
		if (lock < 0)
			return lock;
		bool dead = staging_is_dead(dirfd(dir), e->d_name);
		fd_close(fd_take(&lock));
		if (!dead)
			continue;
		/* Its maker is gone, and nobody works in another's: no lock is needed to remove it. */
		*bytes += staging_usage(dirfd(dir), e->d_name, 0);
		int r = ids_remove(dirfd(dir), e->d_name);
		if (r < 0)
			return err_set(err, -r, "remove %s/tmp/%s", store->root, e->d_name);
	}
	return 0;
}

/* Numbered, since a plain layer's blob and its directory have the same name. */
static void staging_discarded_name(unsigned nth, const char *name, char ret[NAME_MAX + 1])
{
	(void)snprintf(ret, NAME_MAX + 1, "%u-%.200s", nth, name); /* fits */
}

int storage_discard(struct staging *staging, int dir, const char *name, struct err *err)
{
	char to[NAME_MAX + 1];

	staging_discarded_name(staging->discarded++, name, to);
	if (renameat(dir, name, staging->fd, to) < 0 && errno != ENOENT)
		return err_set(err, errno, "remove %.80s from the store", name);
	return 0;
}

void storage_restore(struct staging *staging, unsigned nth, int dir, const char *name)
{
	char from[NAME_MAX + 1];

	staging_discarded_name(nth, name, from);
	(void)renameat(staging->fd, from, dir,
		       name); /* the error that led here is the one to report */
}
