/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Rates of a disk for an instance whose root is a file on that disk behind a loop device: what is written there reaches the disk by a
 * process of the kernel's, whom cgroup v1 asks for no rate. So the loop device has the same rates as the disk below it.
 */
#include "base/core/err.h"
#include "engines/spec.h"

#define ROOTDISK_LOOPS                                                                             \
	4 /* of one file at once: a loop device of a life before goes in the kernel's own time */

struct rootdisk_limits {
	struct spec_limits limits; /* borrows from those that were asked, but for io */
	char loops[ROOTDISK_LOOPS][32];
};

/*
 * rootdisk_limits() - the limits, and those of the loop devices that the instance's root is on
 * @sys_block: "/sys/block"; tests give another   *ret needs rootdisk_limits_fini(). Errors: -ENOMEM.
 */
int rootdisk_limits(const char *sys_block, const struct spec *spec,
		    const struct spec_limits *limits, struct rootdisk_limits *ret, struct err *err);
void rootdisk_limits_fini(struct rootdisk_limits *limits);
