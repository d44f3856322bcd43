/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The image's files for what is not ours: an overlay over its layers, as a container of ours has one, that only one process
 * and what it starts see. What is written goes into a directory of the comparison's, and away with it.
 */
#include "base/core/err.h"
#include "compare/column.h"

struct rootfs {
	const struct column_setup *setup;
	char dir[3072]; /* of this one: upper, work, root */
};

/* rootfs_make() - @name: tells them apart; rootfs_remove() when whoever saw it has ended. */
int rootfs_make(const struct column_setup *setup, const char *name, struct rootfs *ret,
		struct err *err);
void rootfs_remove(const struct rootfs *rootfs);
/*
 * In a child, which gets name spaces of its own for it, of mounts and with a network that is nothing but a loopback, as
 * --network none has it.
 * rootfs_attach() - on dir/root   rootfs_enter() - then make it the root, with /proc, /sys and /dev, and become the image's user
 */
int rootfs_attach(const struct rootfs *rootfs, struct err *err);
int rootfs_enter(const struct rootfs *rootfs, struct err *err);
