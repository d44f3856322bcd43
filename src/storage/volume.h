/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Volumes: named writable storage. A directory that containers mount, <root>/volumes/NAME/data; or the disk of
 * a virtual machine, <root>/volumes/NAME/disk.img (raw) or disk.qcow2.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/os/store.h"

/* In the database as numbers. */
enum volume_kind { VOLUME_DIRECTORY, VOLUME_RAW, VOLUME_QCOW2, VOLUME_KIND_MAX };

struct volume {
	char *name;
	char *path; /* the data directory, or the disk image */
	enum volume_kind kind;
	uint64_t
		recorded_bytes; /* a disk's size when it was made or resized; volume_size() asks the disk */
	json_t *labels;
	bool anonymous; /* made by `-v /path` or the image's VOLUME: goes with its instance's `rm -v`, `--rm` */
	int64_t created_ns;
};
void volume_fini(struct volume *volume);

/* volume_create() - name NULL: an anonymous one with a random name. -EEXIST, -EINVAL for a bad name. */
int volume_create(struct store *store, const char *name, const json_t *labels, struct volume *ret,
		  struct err *err);
/* volume_create_disk() - likewise, with a sparse image of size_bytes, a multiple of 512; @kind: not VOLUME_DIRECTORY. */
int volume_create_disk(struct store *store, const char *name, const json_t *labels,
		       enum volume_kind kind, uint64_t size_bytes, struct volume *ret,
		       struct err *err);
/*
 * volume_resize() - a larger disk; -EBUSY while a machine has it open, -EINVAL for a directory, or to shrink
 * A file system that it holds is the guest's to grow: strata-init does, where it mounts the volume (guest/grow.h).
 */
int volume_resize(struct store *store, const char *name, uint64_t size_bytes, struct err *err);
struct volume_check {
	bool has_structure; /* a qcow2 disk; a raw one, which is nothing but its bytes, has none that could be wrong */
	uint64_t leaks, errors, low; /* storage/disk/qcow2.h, struct qcow2_check */
	bool not_closed, marked, repaired;
};
/*
 * volume_check() - whether a disk's tables agree with each other
 * @repair: where nothing but the count of its clusters is wrong, put that right   @found: each find in words, or NULL
 * Errors: -EBUSY while a machine has it open, -EINVAL for a directory, -EPROTO for what we do not write. 0, whatever was found.
 */
int volume_check(struct store *store, const char *name, bool repair,
		 void (*found)(void *arg, const char *text), void *arg, struct volume_check *ret,
		 struct err *err);
/* volume_size() - of a disk, in bytes, as its guest sees it; 0 for a directory. Opens the disk: only for who shows it. */
uint64_t volume_size(const struct volume *volume);
const char *volume_kind_name(enum volume_kind kind); /* "directory", "raw", "qcow2" */
int volume_find(struct store *store, const char *name, struct volume *ret, struct err *err);
int volume_list(struct store *store, struct volume **ret, size_t *ret_n, struct err *err);
/*
 * volume_use()/volume_unuse() - who holds a volume, so that volume_remove() can refuse (-EBUSY, naming the user)
 * @user: an instance id. Both are idempotent; call them within the caller's transaction or without one.
 */
int volume_use(struct store *store, const char *name, const char *user, struct err *err);
int volume_unuse(struct store *store, const char *user, struct err *err);
int volume_remove(struct store *store, const char *name, struct err *err);
int volume_prune(struct store *store, bool all, json_t **ret_names, struct err *err);
