/* SPDX-License-Identifier: Apache-2.0 */
/* strata-monitor's other mode: the parent of one more process in a running guest. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "engines/oslevel/oslevel.h"
#include "manager/monitor_args.h"
#include "manager/wire.h"

int monitor_exec(char **args)
{
	struct spec spec = { 0 };
	struct err err = { 0 };
	int status = 125;

	(void)prctl(PR_SET_NAME, "strata-exec"); /* it was executed by fd: that would be its name */
	(void)close_range(MONITOR_EXEC_TTY_FD + 1, ~0U, 0); /* what the command itself inherited */
	(void)fcntl(MONITOR_EXEC_STARTED_FD, F_SETFD, FD_CLOEXEC); /* valid: the starter gave it */
	int r = monitor_spec_read(&spec, &err);
	if (r == 0 && spec.tty)
		(void)fcntl(MONITOR_EXEC_TTY_FD, F_SETFD, FD_CLOEXEC); /* likewise */
	if (r == 0) {
		const struct guest_exec exec = {
			.spec = &spec,
			.pid = (pid_t)strtol(args[MONITOR_EXEC_PID], NULL, 10),
			.io = { STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO },
		};
		status = oslevel_exec(&exec, spec.tty ? MONITOR_EXEC_TTY_FD : -EBADF,
				      MONITOR_EXEC_STARTED_FD, &err);
	}
	if (err.code) {
		struct wire_failure failure = { .status = status, .code = err.code };
		(void)snprintf(failure.text, sizeof(failure.text), "%s",
			       err.text); /* both 480 bytes */
		(void)fd_write_all(MONITOR_EXEC_STARTED_FD, &failure,
				   sizeof(failure)); /* nobody left */
	}
	spec_fini(&spec);
	return status;
}
