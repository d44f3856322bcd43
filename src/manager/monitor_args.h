/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "engines/spec.h"
#include "manager/wire.h"

/* What a command hands to the strata-monitor it starts: fds, and positions in argv. */
#define MONITOR_SPEC_FD	  3 /* a memfd with the spec's JSON, "run": once WIRE_BEGIN has come */
#define MONITOR_SOCKET_FD 4 /* manager/wire.h; the starter is the owner until it closes it */

/* In the run directory: what an instance's checks said, as JSON; bytes at most. */
#define MONITOR_HEALTH_FILE "health"
#define MONITOR_HEALTH_MAX  (256 << 10)

enum monitor_arg {
	MONITOR_ARG_NAME,
	MONITOR_ARG_MODE, /* "run", "exec" */
	MONITOR_ARG_STRATA,
	MONITOR_ARG_ROOT,
	MONITOR_ARG_RUN_ROOT,
	MONITOR_ARGS,
};

/* "exec" mode: these fds beside the spec's */
#define MONITOR_EXEC_STARTED_FD                                                                    \
	4 /* a zero byte: it runs; struct monitor_exec_failure: it does not, or was lost */
#define MONITOR_EXEC_TTY_FD 5 /* with a terminal: a socket that its master side is sent over */

enum monitor_exec_arg {
	MONITOR_EXEC_PID = MONITOR_ARG_MODE + 1, /* of the guest */
	MONITOR_EXEC_STATE,			 /* struct guest_dirs */
	MONITOR_EXEC_RUN,
	MONITOR_EXEC_ARGS,
};

struct monitor_exec_failure {
	char tag; /* MONITOR_EXEC_FAILED */
	struct wire_failure failure;
};
#define MONITOR_EXEC_FAILED 'f'

/* monitor_spec_read() - from MONITOR_SPEC_FD, which is closed. */
int monitor_spec_read(struct spec *ret, struct err *err);
int monitor_run(char **args);
int monitor_exec(char **args);
