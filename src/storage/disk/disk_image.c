/* SPDX-License-Identifier: Apache-2.0 */
/* Making and growing images: apart from what runs a disk, so that a program that only does this stays small. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/core/macros.h"
#include "base/os/fd.h"
#include "storage/disk/private.h"
#include "storage/disk/qcow2.h"

static int image_check_size(const char *path, uint64_t size_bytes, struct err *err)
{
	if (size_bytes == 0 || size_bytes % DISK_SECTOR_BYTES || size_bytes > INT64_MAX)
		return err_say(err, EINVAL,
			       "disk %s: its size, %llu, is not a multiple of 512, or zero", path,
			       (unsigned long long)size_bytes);
	return 0;
}

static int image_create_raw(const char *path, uint64_t size_bytes, struct err *err)
{
	int r = image_check_size(path, size_bytes, err);

	if (r < 0)
		return r;
	AUTO(fd_close_p) int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_set(err, errno, "make disk %s", path);
	if (ftruncate(fd, (off_t)size_bytes) < 0 || fsync(fd) < 0)
		r = err_set(err, errno, "make disk %s", path);
	if (r == 0)
		r = disk_sync_dir(path, err);
	if (r < 0)
		(void)unlink(path); /* made just now, by us alone */
	return r;
}

int disk_create(const char *path, enum disk_format format, uint64_t size_bytes, struct err *err)
{
	const struct qcow2_create_opts opts = { .size_bytes = size_bytes };

	return format == DISK_FORMAT_QCOW2 ? qcow2_create(path, &opts, err)
					   : image_create_raw(path, size_bytes, err);
}

static int image_resize_raw(const char *path, uint64_t size_bytes, struct err *err)
{
	AUTO(disk_file_close) struct disk_file file = DISK_FILE_NONE;

	int r = image_check_size(path, size_bytes, err);
	if (r == 0)
		r = disk_file_open(path, false, 0, &file, err);
	if (r < 0)
		return r;
	if (file.is_block)
		return err_say(err, EINVAL, "disk %s is a block device: only its owner can grow it",
			       path);
	if (size_bytes < file.size_bytes)
		return err_say(
			err, EINVAL,
			"disk %s has %llu bytes, and can only grow: what lies past its new end "
			"would be lost",
			path, (unsigned long long)file.size_bytes);
	if (ftruncate(file.fd, (off_t)size_bytes) < 0 || fsync(file.fd) < 0)
		return err_set(err, errno, "resize disk %s", path);
	return 0;
}

int disk_resize(const char *path, enum disk_format format, uint64_t size_bytes, struct err *err)
{
	return format == DISK_FORMAT_QCOW2 ? qcow2_resize(path, size_bytes, err)
					   : image_resize_raw(path, size_bytes, err);
}

int disk_size(const char *path, enum disk_format format, uint64_t *ret, struct err *err)
{
	struct qcow2_info info;
	struct stat st;

	if (format == DISK_FORMAT_QCOW2) {
		int r = qcow2_info(path, &info, err);
		if (r == 0)
			*ret = info.size_bytes;
		return r;
	}
	if (stat(path, &st) < 0)
		return err_set(err, errno, "open disk %s", path);
	*ret = (uint64_t)st.st_size;
	return 0;
}
