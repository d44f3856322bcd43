/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/volume_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "base/core/buf.h"
#include "base/core/macros.h"
#include "base/os/fd.h"
#include "storage/disk/disk.h"
#include "storage/disk/qcow2.h"
#include "storage/ext4.h"
#include "storage/staging.h"

static const struct {
	const char *name, *file;
	enum disk_format format;
} volume_kinds[VOLUME_KIND_MAX] = {
	[VOLUME_DIRECTORY] = { "directory", NULL, DISK_FORMAT_AUTO },
	[VOLUME_RAW] = { "raw", "disk.img", DISK_FORMAT_RAW },
	[VOLUME_QCOW2] = { "qcow2", "disk.qcow2", DISK_FORMAT_QCOW2 },
};

const char *volume_kind_name(enum volume_kind kind)
{
	return volume_kinds[kind].name;
}

const char *volume_disk_name(enum volume_kind kind)
{
	return volume_kinds[kind].file;
}

void volume_disk_clear(int dir, const char *name)
{
	static const char *const ends[] = { "", EXT4_NEW };
	char path[NAME_MAX + 32];

	for (unsigned i = 0; i < VOLUME_KIND_MAX; i++) {
		for (unsigned k = 0; volume_kinds[i].file && k < ARRAY_SIZE(ends); k++) {
			(void)snprintf(path, sizeof(path), "%s/%s%s", name, volume_kinds[i].file,
				       ends[k]);      /* fits */
			(void)unlinkat(dir, path, 0); /* mostly it is not there */
		}
	}
}

int volume_disk_make(struct store *store, const char *name, enum volume_kind kind,
		     uint64_t size_bytes, struct err *err)
{
	AUTO(buf_fini) struct buf path = { 0 };

	if (buf_printf(&path, "%s/volumes/%s/%s", store->root, name, volume_kinds[kind].file) < 0)
		return err_set(err, ENOMEM, "make volume %s", name);
	int r = disk_create(path.data, volume_kinds[kind].format, size_bytes, err);
	return r < 0 && err ? err_wrap(err, "make volume %s", name) : r;
}

uint64_t volume_size(const struct volume *volume)
{
	uint64_t size;

	if (volume->kind == VOLUME_DIRECTORY)
		return 0;
	return disk_size(volume->path, volume_kinds[volume->kind].format, &size, NULL) < 0
		       ? volume->recorded_bytes
		       : size;
}

int volume_check(struct store *store, const char *name, bool repair,
		 void (*found)(void *arg, const char *text), void *arg, struct volume_check *ret,
		 struct err *err)
{
	AUTO(volume_fini) struct volume volume = { 0 };
	const struct qcow2_finds finds = { found, arg };
	struct qcow2_check check = { 0 };
	int r = volume_find(store, name, &volume, err);

	if (r < 0)
		return r;
	if (volume.kind == VOLUME_DIRECTORY)
		return err_say(
			err, EINVAL,
			"volume %s is a directory: only a virtual machine's disk has tables to "
			"check",
			name);
	bool has_structure = volume.kind == VOLUME_QCOW2;
	if (has_structure)
		r = qcow2_check_tell(volume.path, repair, found ? &finds : NULL, &check, err);
	if (r == -EBUSY)
		return err_say(err, EBUSY, "volume %s is in use: stop the virtual machine first",
			       name);
	if (r < 0)
		return err ? err_wrap(err, "check volume %s", name) : r;
	*ret = (struct volume_check){
		.has_structure = has_structure,
		.leaks = check.leaks,
		.errors = check.errors,
		.low = check.low,
		.not_closed = check.not_closed,
		.marked = check.marked,
		.repaired = check.repaired,
	};
	return 0;
}

/* The image first: where the record is not written any more, it says less than there is, and the image counts. */
static int volume_resize_in(struct store *store, const struct volume *volume, uint64_t size_bytes,
			    struct err *err)
{
	if (volume->kind == VOLUME_DIRECTORY)
		return err_say(
			err, EINVAL,
			"volume %s is a directory: it has no size of its own, and takes what its "
			"file system has",
			volume->name);
	int r = disk_resize(volume->path, volume_kinds[volume->kind].format, size_bytes, err);
	if (r == -EBUSY)
		return err_say(err, EBUSY, "volume %s is in use: stop the virtual machine first",
			       volume->name);
	if (r < 0)
		return err ? err_wrap(err, "resize volume %s", volume->name) : r;
	return db_run(&store->db, err, "UPDATE volumes SET size_bytes = ? WHERE name = ?", "is",
		      (int64_t)size_bytes, volume->name);
}

int volume_resize(struct store *store, const char *name, uint64_t size_bytes, struct err *err)
{
	AUTO(volume_fini) struct volume volume = { 0 };
	int r = db_begin(&store->db, true, err);

	if (r < 0)
		return r;
	r = volume_find(store, name, &volume, err);
	if (r == 0)
		r = volume_resize_in(store, &volume, size_bytes, err);
	if (r == 0)
		r = db_commit(&store->db, err);
	if (r < 0)
		db_rollback(&store->db);
	return r;
}
