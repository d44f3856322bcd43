/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/core/err.h"

/*
 * devices_restrict() - let a cgroup's processes open no devices but null, zero, full, random, urandom and terminals, as at
 * OS level (engines/cgroup/cgroup_devices.c): a workload that may make nodes must not reach the disks below its root
 * @cgroup: path of its directory
 * Errors: those of bpf(2): a kernel without CONFIG_CGROUP_BPF cannot.
 */
int devices_restrict(const char *cgroup, struct err *err);
