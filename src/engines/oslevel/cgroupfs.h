/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a container sees at /sys/fs/cgroup. */
#include <stdint.h>

#include "base/core/err.h"
#include "engines/cgroup/cgroup.h"

/*
 * cgroupfs_mount() - v2 as it is; v1 as directories, one a hierarchy, v2 beside them as "unified"
 * @used: bit n: hierarchy n has a group of the container's; others are left out: they would show the host's tree
 * @group: NULL: from within the container's cgroup namespace; else its group's path, whose directories are bound
 * @attrs: MOUNT_ATTR_x
 * Return: 0, or a negative errno. Without any hierarchy nothing is mounted.
 */
int cgroupfs_mount(const struct cgroup_layout *layout, unsigned used, const char *group, int root,
		   const char *target, uint64_t attrs, struct err *err);
