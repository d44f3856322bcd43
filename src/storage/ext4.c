/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/ext4.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/core/buf.h"
#include "base/core/bytes.h"
#include "base/core/macros.h"
#include "base/os/fd.h"
#include "storage/disk/disk.h"
#include "storage/helper.h"

/* Linux, Documentation/filesystems/ext4/super.rst, "Super Block": at byte 1024; s_magic, s_feature_incompat. */
#define EXT4_SUPER_AT	 1024
#define EXT4_MAGIC_AT	 0x38
#define EXT4_MAGIC	 0xef53
#define EXT4_INCOMPAT_AT 0x60
#define EXT4_RECOVER	 0x4 /* its journal is to be replayed: it is mounted, or was not unmounted */
#define EXT4_CHUNK	 65536

/* @hold: a lock that lasts as long as mke2fs does, or -EBADF */
static int ext4_make_at(int fd, const char *path, int64_t size_bytes, unsigned journal_mib,
			int hold, struct err *err)
{
	AUTO(fd_close_p) int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	const int fds[] = { null, null, null, fd, hold };
	char blocks[32], journal[32];
	const char *argv[16] = {
		"mke2fs", "-q",	  "-F",
		"-t",	  "ext4", "-m",
		"0",	  "-E",	  "lazy_itable_init=1,lazy_journal_init=1,nodiscard"
	};
	size_t n = 9;
	pid_t pid;

	if (ftruncate(fd, size_bytes) < 0)
		return err_set(err, errno, "make %s", path);
	(void)snprintf(blocks, sizeof(blocks), "%lldk", (long long)(size_bytes >> 10)); /* fits */
	(void)snprintf(journal, sizeof(journal), "size=%u", journal_mib);		/* fits */
	if (journal_mib) {
		argv[n++] = "-J";
		argv[n++] = journal;
	}
	argv[n++] = "/proc/self/fd/3"; /* whatever has its name by then */
	argv[n] = blocks;
	int r = helper_spawn(argv, fds, ARRAY_SIZE(fds), &pid, err);
	if (r < 0)
		return r;
	int status = helper_wait(pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	return err_say(err, WIFEXITED(status) && WEXITSTATUS(status) == 127 ? ENOENT : EIO,
		       "mke2fs made no file system in %s: is Debian's package e2fsprogs there, and "
		       "room on the disk?",
		       path);
}

int ext4_make(const char *path, int64_t size_bytes, unsigned journal_mib, struct err *err)
{
	AUTO(fd_close_p) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	return fd < 0 ? err_set(err, errno, "make %s", path)
		      : ext4_make_at(fd, path, size_bytes, journal_mib, -EBADF, err);
}

/* Does it hold a byte that is not zero from here to end? */
static int ext4_scan(int fd, off_t at, off_t end, bool *ret)
{
	char chunk[EXT4_CHUNK];

	while (at < end) {
		size_t want = end - at < EXT4_CHUNK ? (size_t)(end - at) : EXT4_CHUNK;
		ssize_t n = pread(fd, chunk, want, at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : 0;
		if (chunk[0] || memcmp(chunk, chunk + 1, (size_t)n - 1) != 0) {
			*ret = true;
			return 0;
		}
		at += n;
	}
	return 0;
}

/* Holes are skipped: lseek(2), SEEK_DATA. A file system without them says that all is data. */
static int ext4_holds_data(int fd, off_t size, bool *ret)
{
	*ret = false;
	for (off_t at = 0; at < size && !*ret;) {
		off_t data = lseek(fd, at, SEEK_DATA);
		if (data < 0)
			return errno == ENXIO ? 0 : -errno;
		off_t hole = lseek(fd, data, SEEK_HOLE);
		int r = hole < 0 ? -errno : ext4_scan(fd, data, hole, ret);
		if (r < 0)
			return r;
		at = hole;
	}
	return 0;
}

static bool ext4_is_there(int fd, uint32_t *ret_incompat)
{
	uint8_t super[EXT4_INCOMPAT_AT + 4];

	if (pread(fd, super, sizeof(super), EXT4_SUPER_AT) != sizeof(super))
		return false;
	*ret_incompat = le32_load(super + EXT4_INCOMPAT_AT);
	return le16_load(super + EXT4_MAGIC_AT) == EXT4_MAGIC;
}

/* Beside the empty image, then in its place: killed at any moment, there is the one or the other. */
static int ext4_replace(int fd, const char *path, const struct stat *st, struct err *err)
{
	AUTO(buf_fini) struct buf making = { 0 };

	if (buf_printf(&making, "%s" EXT4_NEW, path) < 0)
		return err_set(err, ENOMEM, "make a file system in %s", path);
	(void)unlink(making.data); /* of a command that was killed */
	AUTO(fd_close_p) int new = open(making.data, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (new < 0)
		return err_set(err, errno, "make %s", making.data);
	int r = ext4_make_at(new, path, st->st_size, 0, fd, err);
	if (r == 0 &&
	    (fchown(new, st->st_uid, st->st_gid) < 0 || fchmod(new, st->st_mode & 07777) < 0 ||
	     fsync(new) < 0 || rename(making.data, path) < 0))
		r = err_set(err, errno, "make a file system in %s", path);
	if (r == 0)
		return disk_sync_dir(path, err);
	(void)unlink(making.data); /* the first error is the one to report */
	return r;
}

/* @fd: keeps machines from the image. */
static int ext4_fill(int fd, const char *path, struct err *err)
{
	bool data;
	struct stat st;
	uint32_t incompat;

	if (ext4_is_there(fd, &incompat))
		return 0; /* made by another command just now */
	int r = fstat(fd, &st) < 0 ? -errno : ext4_holds_data(fd, st.st_size, &data);
	if (r < 0)
		return err_set(err, -r, "read %s", path);
	if (data)
		return err_say(err, EINVAL,
			       "%s holds something, and no ext4 file system: give it to a machine "
			       "as a bare disk (--disk), or make another volume",
			       path);
	return ext4_replace(fd, path, &st, err);
}

int ext4_ensure(const char *path, bool read_only, struct err *err)
{
	AUTO(fd_close_p) int fd = open(path, O_RDWR | O_CLOEXEC);
	uint32_t incompat;

	if (fd < 0)
		return err_set(err, errno, "open %s", path);
	if (!ext4_is_there(fd, &incompat)) {
		AUTO(fd_close_p) int hold = disk_hold(path, false, err);
		return hold < 0 ? hold : ext4_fill(hold, path, err);
	}
	if (!read_only || !(incompat & EXT4_RECOVER))
		return 0;
	return err_say(
		err, EUCLEAN,
		"%s is in use, or was not unmounted, and to be read only it must be clean: start a "
		"machine that mounts it writable, and stop that",
		path);
}
