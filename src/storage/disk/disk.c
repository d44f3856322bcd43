/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/disk/disk.h"

#include <errno.h>
#include <string.h>

#include "base/core/macros.h"
#include "storage/disk/private.h"
#include "storage/disk/qcow2.h"

int disk_request_check(const struct disk *disk, const struct disk_request *req)
{
	if (req->op == DISK_FLUSH)
		return 0;
	if (req->op != DISK_READ && disk->read_only)
		return -EROFS;
	if ((req->offset_bytes | req->len_bytes) % DISK_SECTOR_BYTES)
		return -EINVAL;
	if (req->offset_bytes > disk->size_bytes ||
	    req->len_bytes > disk->size_bytes - req->offset_bytes)
		return -EIO;
	return 0;
}

static int disk_format(const struct disk_file *file, enum disk_format *format, struct err *err)
{
	size_t n = strlen(file->path);
	bool named = n > 6 && strcmp(file->path + n - 6, ".qcow2") == 0;
	uint8_t head[4];

	if (*format != DISK_FORMAT_AUTO)
		return 0;
	int r = disk_file_read(file, 0, head, sizeof(head), err);
	if (r < 0)
		return r;
	if (!named && memcmp(head, QCOW2_MAGIC, sizeof(head)) == 0)
		return err_say(
			err, EINVAL,
			"disk %s starts as a qcow2 image does, but is not called .qcow2: say "
			"format=qcow2 if it is one, format=raw if a guest wrote that",
			file->path);
	*format = named ? DISK_FORMAT_QCOW2 : DISK_FORMAT_RAW;
	return 0;
}

static void disk_set_id(struct disk *disk, const char *id)
{
	size_t n = id ? strnlen(id, sizeof(disk->id) - 1) : 0;

	if (n)
		memcpy(disk->id, id, n);
	disk->id[n] = '\0';
}

int disk_open(const char *path, const struct disk_open_opts *opts, struct aio *aio,
	      struct disk **ret, struct err *err)
{
	AUTO(disk_file_close) struct disk_file file = DISK_FILE_NONE;
	struct disk_open_opts o = opts ? *opts : (struct disk_open_opts){ 0 };

	int r = disk_file_open(path, o.read_only, o.wait_ms, &file, err);
	if (r == 0)
		r = disk_format(&file, &o.format, err);
	if (r == 0)
		r = o.format == DISK_FORMAT_RAW ? raw_open(&file, &o, aio, ret, err)
						: qcow2_open(&file, &o, aio, ret, err);
	if (r == 0)
		disk_set_id(*ret, o.id);
	return r;
}

void disk_close(struct disk *disk)
{
	if (disk)
		disk->ops->close(disk);
}
