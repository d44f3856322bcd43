/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Inside bundle_*.c: what the maker prepares and the first process uses. */
#include "engines/oslevel/bundle.h"
#include "engines/oslevel/label.h"
#include "engines/oslevel/private.h"

struct bundle_work {
	const struct bundle *bundle;
	const struct bundle_host *host;
	struct cgroup_layout layout;
	struct cgroup cgroup;
	int joins
		[CGROUP_HIERARCHIES]; /* v1 tasks files, then v2's cgroup.procs where the clone was not into it */
	unsigned n_joins;
	int root; /* the root file system, a detached mount */
	/*
	 * One a mount: a bind's is a detached mount, that of a file system with mapped ids their user namespace; -EBADF for others,
	 * and for a bind that is the child's to make.
	 */
	int *sources;
	int *devices; /* in a user namespace, bound: default ones, then the bundle's */
	size_t n_devices;
	int sync, ours; /* the child's end, and the other */
	pid_t pid;
	bool userns, own_cgroups;
};

/* bundle_listener() - from a process that loads its filter to whoever gets it; nothing where it has none */
int bundle_listener(int sync, pid_t pid, const struct bundle_notify *notify, struct err *err);
/* bundle_source() - a bind's source, as the container will see it: a detached mount. */
int bundle_source(const struct bundle_mount *mount, struct err *err);
/* bundle_mounts() - in the child: all mounts, devices, masks; up to pivot_root. */
int bundle_mounts(const struct bundle_work *work, struct err *err);
/* bundle_devices_prepare() - in the maker: what is to be bound where mknod(2) is refused. */
int bundle_devices_prepare(struct bundle_work *work, struct err *err);
/* bundle_devices() - in the child: /dev's nodes and links. */
int bundle_devices(const struct bundle_work *work, struct err *err);
/* bundle_protect() - masked and read-only paths. */
int bundle_protect(const struct bundle_work *work, int null, struct err *err);
/* bundle_sysctls() - through a proc file system of our own, whatever the bundle has at /proc. */
int bundle_sysctls(const struct bundle *bundle, struct err *err);
/* bundle_process_of() - the process of a bundle, ready for process_limits() */
int bundle_process_of(const struct bundle *bundle, const struct bundle_host *host, int sync,
		      struct process *ret, struct err *err);
/* bundle_console() - a terminal of its own; its master side goes to the host's socket. @bind: it becomes /dev/console */
int bundle_console(const struct bundle *bundle, const struct bundle_host *host, bool bind,
		   int *ret_slave, struct err *err);
/* bundle_find() - whether the command is there; *ret_status 126 or 127 */
int bundle_find(const struct process *process, int *ret_status, struct err *err);
/*
 * bundle_streams() - the terminal, or what it got, become 0, 1 and 2. Before it waits for its start: a manager that gave pipes
 * beside a terminal reads them to their end before it goes on.
 */
int bundle_streams(const struct bundle_host *host, int slave, struct err *err);
/* bundle_become() - privileges, execve(2); returns only on failure. */
int bundle_become(const struct bundle *bundle, const struct process *process,
		  const struct label *label, int *ret_status, struct err *err);
/* bundle_child() - the rest of the first process's life. */
_Noreturn void bundle_child(struct bundle_work *work);
