/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One exec session (abi/agent.h): in a process of its own, so that none can harm another or the agent. */
#include <sys/types.h>

struct session_start {
	int fd;		/* the connection, O_NONBLOCK */
	pid_t workload; /* whose namespaces it joins; 0: nothing runs, which the host is told */
	int cgroup;	/* the workload's cgroup.procs, or -EBADF */
};

/* session_main() - in the session's process: serve it to its end; the process's exit status. */
int session_main(const struct session_start *start);
