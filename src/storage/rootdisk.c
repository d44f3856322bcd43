/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/rootdisk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "storage/rootdisk_priv.h"

/*
 * Who makes an image's disk holds a byte of one file, chosen by the image's id: others wait, makers of other
 * disks do not. fcntl(2), Open file description locks: gone with the fd, however the process ends.
 */
static int disk_lock(struct store *store, const struct image *image, struct err *err)
{
	AUTO(fd_close_p)
	int fd = openat(store->root_fd, "disks.lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC,
			0600);
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1 };
	char digits[16];

	(void)snprintf(digits, sizeof(digits), "%.15s", image->id); /* 60 bits: never negative */
	lock.l_start = (off_t)strtoull(digits, NULL, 16);
	if (fd < 0)
		return err_set(err, errno, "open %s/disks.lock", store->root);
	while (fcntl(fd, F_OFD_SETLKW, &lock) < 0) {
		if (errno != EINTR)
			return err_set(err, errno, "lock %s/disks.lock", store->root);
	}
	return fd_take(&fd);
}

/* The image may have been removed while its disk was made: then nobody would remove that. */
static int disk_commit(struct store *store, const struct image *image, struct staging *staging,
		       int disks, struct err *err)
{
	AUTO(fd_close_p)
	int fd = openat(staging->fd, ROOTDISK_FILE, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	AUTO(fd_close_p) int lock = -EBADF;
	AUTO(db_stmt_p) sqlite3_stmt *stmt = NULL;

	if (fd < 0 || fchmod(fd, 0444) < 0 || fsync(fd) < 0)
		return err_set(err, errno, "make the image's disk");
	lock = storage_lock(store, err);
	if (lock < 0)
		return lock;
	int r = db_prepare(&store->db, &stmt, err, "SELECT 1 FROM images WHERE id = ?", "s",
			   image->id);
	if (r == 0)
		r = db_step(&store->db, stmt, err);
	if (r == 0)
		return err_say(err, ESTALE, "make the image's disk: the image was removed");
	if (r > 0 &&
	    (renameat(staging->fd, ROOTDISK_FILE, disks, image->id) < 0 || fsync(disks) < 0))
		return err_set(err, errno, "put the image's disk into %s/disks", store->root);
	return r < 0 ? r : 0;
}

static int disk_make(struct store *store, const struct image *image, int disks, struct err *err)
{
	AUTO(staging_close) struct staging staging = STAGING_NONE;
	AUTO(fd_close_p) int lock = disk_lock(store, image, err);

	if (lock < 0)
		return lock;
	if (faccessat(disks, image->id, R_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return 0; /* made while this one waited */
	int r = staging_open(store, "disk", &staging, err);
	if (r == 0)
		r = rootdisk_make(store, image, &staging, err);
	return r < 0 ? r : disk_commit(store, image, &staging, disks, err);
}

int rootdisk_path(struct store *store, const struct image *image, char **ret, struct err *err)
{
	AUTO(buf_fini) struct buf path = { 0 };
	AUTO(fd_close_p) int disks = -EBADF;

	if (!digest_is_hex(image->id))
		return err_say(err, EINVAL, "make the image's disk: no image");
	int r = storage_dir(store, "disks", 0700, &disks, err);
	if (r == 0 && faccessat(disks, image->id, R_OK, AT_SYMLINK_NOFOLLOW) < 0)
		r = disk_make(store, image, disks, err);
	if (r < 0)
		return r;
	(void)buf_printf(&path, "%s/disks/%s", store->root, image->id);
	*ret = buf_steal(&path);
	return *ret ? 0 : err_set(err, ENOMEM, "make the image's disk");
}
