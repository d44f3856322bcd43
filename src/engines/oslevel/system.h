/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What a system container has beyond others: its image's init is process 1, and finds what it would on a machine of its own: a
 * cgroup tree that it may divide, empty /run, /run/lock and /tmp, a machine id that is its own.
 */
#include "engines/cgroup/cgroup.h"
#include "engines/oslevel/private.h"
#include "engines/oslevel/views.h"

#define SYSTEM_TTY1 "tty1" /* below /dev: the console by the name of a machine's first terminal */

/* system_prepare() - in the monitor, with the root open: which init, and by which cgroup hierarchy it knows its processes. */
int system_prepare(struct launch *launch, struct err *err);
/*
 * system_views_attach() - in the child, once its /proc and /sys are there: files of theirs that show its limits instead of the host,
 * where lxcfs serves them; it answers by the cgroups of who asks
 */
int system_views_attach(const struct launch *launch, struct err *err);
/* system_delegate() - in the monitor, before SYNC_GO: that hierarchy's group becomes the container's root's. */
int system_delegate(const struct launch *launch, const struct cgroup *cgroup, struct err *err);
/* system_mounts() - in the child: the tmpfs ones, and /etc/machine-id of the root file system itself. */
int system_mounts(const struct launch *launch, struct err *err);
/* system_cgroups() - in the child, in its cgroup namespace; @attrs: of v1 hierarchies that only show. */
int system_cgroups(const struct launch *launch, unsigned used, uint64_t attrs, struct err *err);
/* system_sysctls() - its network namespace's sysctls: a mount to be put back over a /proc/sys that is locked, or -EBADF. */
int system_sysctls(const struct launch *launch, struct err *err);
int system_sysctls_attach(const struct launch *launch, int mount, struct err *err);
/*
 * system_files() - in the monitor, before the clone: mounts of files of ours in /proc that show its limits; where lxcfs serves them of
 * the boot id alone. Where they cannot be made it is the host's that are seen.
 * Return: lxcfs does, and views_write() need not.
 */
bool system_files(struct launch *launch, const char *run_dir, struct views *views);
/* system_stopping() - in the monitor, before guest->stop_signal: some inits want to find more than that. */
void system_stopping(const struct launch *launch, const struct guest *guest);
