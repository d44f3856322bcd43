/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The kernel's mount API by file descriptor (fsopen(2), open_tree(2), move_mount(2), mount_setattr(2)). */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/core/err.h"

struct mount_option {
	const char *key;
	const char *value; /* NULL: a flag */
};

/*
 * mount_new() - a new file system as a detached mount
 * @options: ended by a NULL key   @attrs: MOUNT_ATTR_x of mount_setattr(2)
 * Return: the mount's fd, or a negative errno.
 */
int mount_new(const char *type, const struct mount_option *options, uint64_t attrs,
	      struct err *err);
/* mount_clone() - a detached copy of what is mounted at path, with the mounts below it when recursive. */
int mount_clone(int dirfd, const char *path, bool recursive, struct err *err);
/* mount_attrs() - set and clear MOUNT_ATTR_x on a mount fd; 0 or -errno. */
int mount_attrs(int mount_fd, bool recursive, uint64_t set, uint64_t clear);
/* mount_propagation() - MS_PRIVATE, MS_SLAVE, MS_SHARED; 0 or -errno. */
int mount_propagation(int mount_fd, bool recursive, uint64_t propagation);
/* mount_idmap() - let the ids of a user namespace stand for the file system's; 0 or -errno. */
int mount_idmap(int mount_fd, bool recursive, int userns_fd);
/* mount_idmap_error() - what it means: @r is its -errno, @what is or shall be mounted. Returns @r. */
int mount_idmap_error(struct err *err, int r, const char *what);
/*
 * mount_lock() - have the kernel keep what detached mounts forbid (read-only, nosuid, ...), and what is mounted below them, from whoever
 * owns the mount namespace that they will be moved to, and not ours: else he remounts them as he likes
 * @fds: each is closed, and is one of a mount of the same then; shared ones have become slaves; no more than some hundreds
 * Return: 0 or a negative errno. Some may be replaced by then; all are open.
 */
int mount_lock(int *const *fds, size_t n, struct err *err);
/* mount_onto() - attach a detached mount at an O_PATH fd (target fd stays the caller's); 0 or -errno. */
int mount_onto(int mount_fd, int target_fd);
/* mount_named() - the same at a new name in a directory of ours, of the mount's own kind; 0 or -errno. */
int mount_named(int mount_fd, int dir, const char *name);

/*
 * mount_check_proc() - refuse (-EPERM) to have anything but a proc file system at /proc: what it says would be believed by us and by
 * whoever runs inside (CVE-2019-16884). Other targets are fine.  @hint: the end of the refusal; ""
 */
int mount_check_proc(int fd, const char *target, const char *hint, struct err *err);

enum mount_target { MOUNT_TARGET_DIR, MOUNT_TARGET_FILE };
enum mount_trust {
	MOUNT_TRUST_NONE, /* links are followed within the root; nothing is mounted inside /proc */
	MOUNT_TRUST_EXACT, /* no link is followed at all: for /proc, /sys and /dev, which an image must not redirect */
	MOUNT_TRUST_PROC, /* as none, but the caller has seen to what is mounted inside /proc */
};
/*
 * mount_at() - attach a detached mount below a root, making the target where it is missing
 * @root_fd: nothing outside is ever touched, whatever links the target holds
 */
int mount_at(int mount_fd, int root_fd, const char *target, enum mount_target kind,
	     enum mount_trust trust, struct err *err);
