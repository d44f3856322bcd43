/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a command hands to the strata-monitor it starts: fds, and positions in argv. */
#define MONITOR_SPEC_FD	  3 /* a memfd with the spec's JSON */
#define MONITOR_SOCKET_FD 4 /* manager/wire.h; the starter is the owner until it closes it */
#define MONITOR_LOCK_FD                                                                            \
	5 /* the starter's lock on the instance: kept until the monitor has its own */

enum monitor_arg {
	MONITOR_ARG_NAME,
	MONITOR_ARG_MODE, /* "run", "exec" */
	MONITOR_ARG_STATE,
	MONITOR_ARG_RUN,
	MONITOR_ARG_STRATA,
	MONITOR_ARG_ROOT,
	MONITOR_ARG_RUN_ROOT,
	MONITOR_ARGS,
};

/* "exec" mode: [2] pid of the guest, then these fds beside the spec's */
#define MONITOR_EXEC_STARTED_FD 4 /* one byte: it runs; then struct wire_failure or nothing */
#define MONITOR_EXEC_TTY_FD	5 /* with a terminal: a socket that its master side is sent over */
enum { MONITOR_EXEC_PID = 2, MONITOR_EXEC_ARGS = 3 };

int monitor_run(char **args);
int monitor_exec(char **args);
