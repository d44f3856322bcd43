/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* From the kernel's first user process to the agent, and from the agent's end to the power off. */
#include "agent.h"

#define BOOT_MODULES                                                                               \
	"/strata/modules" /* a list in the initramfs: names of files beside it, in load order */

/* boot_mounts() - /proc, /sys, /dev and the directories that the agent works in. */
int boot_mounts(struct err *err);
/* boot_modules() - load what BOOT_MODULES lists, and give its memory back. A module that is loaded already is no error. */
int boot_modules(struct err *err);
/* boot_ports() - open the ports by their names, waiting for strata.control; and the vsock listener where there is one. */
int boot_ports(struct agent_ports *ret, struct err *err);
/* boot_cgroup() - struct agent_ops: the workload's cgroup, on the agent's own cgroup2 mount. */
int boot_cgroup(const struct config *config, struct err *err);
/*
 * boot_devices() - struct agent_ops: that cgroup's processes open only what a container's may by default: a workload that
 * may make nodes must not reach the disks below its root
 */
int boot_devices(struct err *err);
/* boot_power_off() - end everything and the machine. */
_Noreturn void boot_power_off(void);
