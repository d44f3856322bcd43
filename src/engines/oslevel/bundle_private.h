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
	int root; /* the root file system, a detached mount; without mounts of its own, what the child makes of it */
	int place; /* host->place, or -EBADF */
	int proc;  /* the host's /proc, for a label's sake; else -EBADF */
	/*
	 * One a mount: a bind's is a detached mount, that of a file system with mapped ids their user namespace; -EBADF for others,
	 * and for a bind that is the child's to make.
	 */
	int *sources;
	int *devices; /* in a user namespace, bound: default ones, then the bundle's */
	size_t n_devices;
	int sync, ours; /* the child's end, and the other */
	pid_t pid;
	bool userns;
	bool joins_userns; /* it is somebody else's, and not ours */
	bool plain;	   /* in the child: nothing is mounted, bundle.h says when */
};

/* What the maker left for a moment, to have its child born elsewhere. */
struct bundle_away {
	int fds[8]; /* our own namespaces */
	int flags[8];
	unsigned n;
	int timens; /* for timens_leave() */
};
/* bundle_join_takes_helper() - whether it is in namespaces that the maker would not come back from */
bool bundle_join_takes_helper(const struct bundle_work *work);
int bundle_away_enter(const struct bundle *bundle, struct bundle_away *away, struct err *err);
int bundle_away_leave(struct bundle_away *away, struct err *err);
/* bundle_fork_helped() - have the first process born by a helper; its number.  @ours: closed there */
long bundle_fork_helped(struct bundle_work *work, uint64_t flags, int ours, struct err *err);
/* bundle_join_v2() - this process enters the v2 group, if there is one; 0 or -errno */
int bundle_join_v2(const struct bundle_work *work);
/*
 * bundle_pivot_open() - where the new root hangs for a moment; with the rights of whoever makes the container
 * bundle_root() - in the child: the root file system where the container's mounts can go
 */
int bundle_pivot_open(const struct bundle_work *work);
int bundle_root(struct bundle_work *work, int pivot, struct err *err);
/* bundle_enter_root() - this process's root is the container's, and what linux says of it holds */
int bundle_enter_root(const struct bundle_work *work, struct err *err);

/* bundle_proc_open() - the host's /proc, where a label takes it: the child is born where others may have mounted over theirs */
int bundle_proc_open(const struct bundle_process *as, int *ret, struct err *err);
/* bundle_listener() - from a process that loads its filter to whoever gets it; nothing where it has none */
int bundle_listener(int sync, pid_t pid, const struct bundle_notify *notify, struct err *err);
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
