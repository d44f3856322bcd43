/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "engines/spec.h"

/* What a command hands to the strata-monitor it starts: fds, and positions in argv. */
#define MONITOR_SPEC_FD	  3 /* a memfd with the spec's JSON, "run": once WIRE_BEGIN has come */
#define MONITOR_SOCKET_FD 4 /* manager/wire.h; the starter is the owner until it closes it */

enum monitor_arg {
	MONITOR_ARG_NAME,
	MONITOR_ARG_MODE, /* "run", "exec" */
	MONITOR_ARG_STRATA,
	MONITOR_ARG_ROOT,
	MONITOR_ARG_RUN_ROOT,
	MONITOR_ARGS,
};

/* "exec" mode: [2] pid of the guest, then these fds beside the spec's */
#define MONITOR_EXEC_STARTED_FD 4 /* one byte: it runs; then struct wire_failure or nothing */
#define MONITOR_EXEC_TTY_FD	5 /* with a terminal: a socket that its master side is sent over */
enum { MONITOR_EXEC_PID = 2, MONITOR_EXEC_ARGS = 3 };

/* monitor_spec_read() - from MONITOR_SPEC_FD, which is closed. */
int monitor_spec_read(struct spec *ret, struct err *err);
int monitor_run(char **args);
int monitor_exec(char **args);
