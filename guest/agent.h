/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The agent: the conversation with the host from READY to the power off, the workload's streams, the sessions.
 *
 * One thread, one poll loop, no blocking write to the host. Whatever the host says, it answers; it ends by itself only
 * when the host says STOP or closes the control port.
 */
#include "process.h"

/* What differs between a VM and a test in namespaces. */
struct agent_ops {
	int (*assemble)(const struct config *config, struct root *root, struct err *err);
	int (*cgroup)(const struct config *config,
		      struct err *err); /* the workload's cgroup.procs, or -EBADF; -errno */
	int (*devices)(
		struct
		err *err); /* optional: restrict it; a failure goes to the kernel's log, and no more */
};

struct agent_ports {
	int control;
	int in, out, err; /* -EBADF: there is none */
	int listener;	  /* a socket that gives sessions, or -EBADF */
	bool host_only;	  /* the listener is vsock's: sessions come from the host or are refused */
};

/*
 * agent_run() - all of it. Takes ownership of the ports, which must be O_NONBLOCK.
 * Return: 0: the host said STOP or left; or a negative errno: it could not even begin.
 */
int agent_run(const struct agent_ops *ops, const struct agent_ports *take_ports);
