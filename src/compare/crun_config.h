/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "compare/rootfs.h"

/*
 * crun_config_write() - DIR/config.json, the bundle of a container in DIR/root
 * In a child that has it mounted; the image's user is looked up in there.
 * @kept: one that is measured inside: CAP_SYS_NICE besides, for cyclictest, as ours have it
 * @cgroup: absolute, below the hierarchies' tops; NULL: crun's own choice
 * Source: OCI Runtime Specification 1.0, config.md and config-linux.md.
 */
int crun_config_write(const struct rootfs *rootfs, const char *const *argv, bool kept,
		      const char *cgroup, struct err *err);
