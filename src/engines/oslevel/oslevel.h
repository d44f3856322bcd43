/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * OS-level virtualization: the host's kernel divides itself. The door of this room.
 *
 * Theory of operation. Everything that touches a path of the host happens in the monitor before the clone: the
 * overlay root file system and every bind source become detached mounts, the seccomp filter and /dev/null
 * become fds. The child, born into its new namespaces, only moves those mounts below its root (each target
 * resolved by the kernel within that root, openat2(2) RESOLVE_IN_ROOT), so no link or race in an image or a volume
 * leads outside, and no mount is ever visible on the host. Meanwhile the parent makes the cgroups and the
 * network. They talk over one socket pair:
 *
 *   monitor                                  child (pid 1 of its namespace)
 *   clone3 ------------------------------->  waits for its user mapping (user namespace only)
 *   uid_map, gid_map; 'M' ---------------->  mounts
 *   limits, device rules, network; 'G' --->  cgroup namespace, cgroup mounts, pivot_root, user lookup
 *   with a terminal: its master side <- 'T'
 *                                            capabilities, seccomp, execve
 *   end of file: it runs; or 'E' <---------  what went wrong, and 125, 126 or 127
 */
#include "engines/engine.h"

extern const struct engine_ops oslevel_engine;
