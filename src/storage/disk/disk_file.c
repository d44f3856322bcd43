/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/core/buf.h"
#include "base/core/macros.h"
#include "base/os/fd.h"
#include "storage/disk/private.h"

#define DISK_BLOCK_MAX	  4096U
#define DISK_LOCK_WAIT_MS 1000U
#define DISK_LOCK_STEP_MS 5U
#define DISK_TRIES	  10U

void disk_file_close(struct disk_file *file)
{
	fd_close_p(&file->fd);
	free(file->path);
	file->path = NULL;
}

static int disk_file_size(struct disk_file *file, const struct stat *st, struct err *err)
{
	int logical = 0;

	file->is_block = S_ISBLK(st->st_mode);
	if (!file->is_block) {
		file->size_bytes = (uint64_t)st->st_size;
		file->block_bytes = DISK_BLOCK_MAX;
		return 0;
	}
	if (ioctl(file->fd, BLKGETSIZE64, &file->size_bytes) < 0 ||
	    ioctl(file->fd, BLKSSZGET, &logical) < 0)
		return err_set(err, errno, "ask disk %s for its size", file->path);
	file->block_bytes =
		logical > 512 && logical <= (int)DISK_BLOCK_MAX ? (uint32_t)logical : 512;
	return 0;
}

/* Open file description locks: they belong to this opening, not to the process, and end with it. Source: fcntl(2). */
static int disk_file_lock(const struct disk_file *file, unsigned wait_ms, struct err *err)
{
	const struct timespec pause = { .tv_nsec = DISK_LOCK_STEP_MS * 1000000L };
	struct flock lock = { .l_type = (short)(file->read_only ? F_RDLCK : F_WRLCK),
			      .l_whence = SEEK_SET };

	for (unsigned waited = 0;; waited += DISK_LOCK_STEP_MS) {
		if (fcntl(file->fd, F_OFD_SETLK, &lock) == 0)
			return 0;
		if (errno != EAGAIN && errno != EACCES)
			return err_set(err, errno, "lock disk %s", file->path);
		if (waited >= (wait_ms ? wait_ms : DISK_LOCK_WAIT_MS))
			return err_say(err, EBUSY, "disk %s is in use by another virtual machine",
				       file->path);
		(void)nanosleep(&pause, NULL);
	}
}

/* O_NONBLOCK: a FIFO must not hold us up. O_EXCL: a block device that is mounted is refused. */
static int disk_file_open_fd(struct disk_file *file, struct stat *st, struct err *err)
{
	int flags = (file->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;

	if (stat(file->path, st) < 0)
		return err_set(err, errno, "open disk %s", file->path);
	if (!S_ISREG(st->st_mode) && !S_ISBLK(st->st_mode))
		return err_say(err, EINVAL, "disk %s is neither a file nor a block device",
			       file->path);
	if (S_ISBLK(st->st_mode) && !file->read_only)
		flags |= O_EXCL;
	file->fd = open(file->path, flags);
	if (file->fd < 0 && errno == EBUSY)
		return err_say(err, EBUSY, "disk %s is in use by this host: unmount it first",
			       file->path);
	if (file->fd < 0 || fstat(file->fd, st) < 0 ||
	    fcntl(file->fd, F_SETFL, flags & ~(O_NONBLOCK | O_EXCL)) < 0)
		return err_set(err, errno, "open disk %s", file->path);
	if (!S_ISREG(st->st_mode) && !S_ISBLK(st->st_mode)) /* changed under us */
		return err_say(err, EINVAL, "disk %s is neither a file nor a block device",
			       file->path);
	return 0;
}

/* Whether the path still names what was locked: a disk may be replaced by a rename while its lock is waited for. */
static bool disk_file_current(const struct disk_file *file)
{
	struct stat st;

	return stat(file->path, &st) == 0 && st.st_dev == file->dev && st.st_ino == file->ino;
}

static int disk_file_try(const char *path, bool read_only, unsigned wait_ms, struct disk_file *ret,
			 struct err *err)
{
	AUTO(disk_file_close) struct disk_file file = { .fd = -EBADF, .read_only = read_only };
	struct stat st;

	file.path = strdup(path);
	if (!file.path)
		return err_set(err, ENOMEM, "open disk %s", path);
	int r = disk_file_open_fd(&file, &st, err);
	if (r == 0)
		r = disk_file_size(&file, &st, err);
	if (r == 0)
		r = disk_file_lock(&file, wait_ms, err);
	if (r < 0)
		return r;
	file.dev = st.st_dev;
	file.ino = st.st_ino;
	*ret = file;
	file = (struct disk_file)DISK_FILE_NONE;
	return 0;
}

int disk_file_open(const char *path, bool read_only, unsigned wait_ms, struct disk_file *ret,
		   struct err *err)
{
	for (unsigned tries = 0; tries < DISK_TRIES; tries++) {
		AUTO(disk_file_close) struct disk_file file = DISK_FILE_NONE;
		int r = disk_file_try(path, read_only, wait_ms, &file, err);
		if (r < 0)
			return r;
		if (!disk_file_current(&file))
			continue;
		*ret = file;
		file = (struct disk_file)DISK_FILE_NONE;
		return 0;
	}
	return err_say(err, EAGAIN, "disk %s is replaced again and again", path);
}

int disk_hold(const char *path, bool read_only, struct err *err)
{
	AUTO(disk_file_close) struct disk_file file = DISK_FILE_NONE;
	int r = disk_file_open(path, read_only, 0, &file, err);

	return r < 0 ? r : fd_take(&file.fd);
}

int disk_file_read(const struct disk_file *file, uint64_t offset, void *ret, size_t len,
		   struct err *err)
{
	size_t got = 0;

	while (got < len) {
		ssize_t n = pread(file->fd, (char *)ret + got, len - got, (off_t)(offset + got));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(err, errno, "read disk %s", file->path);
		if (n == 0)
			break;
		got += (size_t)n;
	}
	memset((char *)ret + got, 0, len - got);
	return 0;
}

int disk_file_write(const struct disk_file *file, uint64_t offset, const void *data, size_t len,
		    struct err *err)
{
	size_t put = 0;

	while (put < len) {
		ssize_t n = pwrite(file->fd, (const char *)data + put, len - put,
				   (off_t)(offset + put));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_set(err, n < 0 ? errno : ENOSPC, "write disk %s", file->path);
		put += (size_t)n;
	}
	return 0;
}

int disk_file_sync(const struct disk_file *file, struct err *err)
{
	return fdatasync(file->fd) < 0 ? err_set(err, errno, "write disk %s", file->path) : 0;
}

int disk_sync_dir(const char *path, struct err *err)
{
	AUTO(buf_fini) struct buf dir = { 0 };
	const char *slash = strrchr(path, '/');

	if (slash && buf_add(&dir, path, (size_t)(slash - path) + 1) < 0)
		return err_set(err, ENOMEM, "make disk %s", path);
	AUTO(fd_close_p)
	int fd = open(slash ? dir.data : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 || fsync(fd) < 0 ? err_set(err, errno, "make disk %s", path) : 0;
}
