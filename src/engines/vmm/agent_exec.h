/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The host's end of an exec session (abi/agent.h), for a short-lived process of its own: `strata exec`, `strata cp`, `strata stats`. Blocking.
 *
 * @socket of each: a stream socket that is connected to the unix socket of the VM's vsock device, with nothing said yet:
 * "CONNECT 1\n" and its answer are said here (Firecracker, docs/vsock.md, "Host-Initiated Connections"). One call a socket; it
 * stays the caller's to close, who thereby ends what still runs. SIGPIPE must be ignored.
 */
#include "engines/vmm/agent_wire.h"

struct agent_exec {
	int socket;
	const struct spec *
		spec; /* args, env, cwd, user, groups, caps, ulimits, tty, stdin_open, no_new_privileges, seccomp */
	int in, out, err; /* with a terminal in and out only; -EBADF: no such stream */
	int tty;     /* asked for its size at first and at each SIGWINCH; -EBADF: nothing to ask */
	int signals; /* a signalfd: SIGWINCH as above, the others go to the process; or -EBADF */
	int started; /* gets one byte once the command runs; or -EBADF */
};

/*
 * agent_exec() - run a process in the workload's namespaces to its end, its streams copied
 * Return: 0 with the process's exit status (128+n for signal n); or a negative errno, *ret_status being 125, or
 * 126 and 127 where the command is the cause.
 */
int agent_exec(const struct agent_exec *exec, int *ret_status, struct err *err);

/* agent_put() - unpack the tar that in_fd has into a directory of the workload's root, made where it is missing. */
int agent_put(int socket, const char *path, int in_fd, struct err *err);
/*
 * agent_get() - a tar of what is at a path, to out_fd; "DIR/." is what the directory holds
 * @as: its name in the tar; NULL: the path's last part
 */
int agent_get(int socket, const char *path, bool follow, const char *as, int out_fd,
	      struct err *err);
/* agent_stats() - what the guest counts itself, into *ret; -ETIMEDOUT where it does not answer within 5 s. */
int agent_stats(int socket, struct guest_stats *ret, struct err *err);
/* agent_stat() - what is at a path: -ENOENT, or *ret. */
int agent_stat(int socket, const char *path, bool follow, struct agent_stat *ret, struct err *err);
