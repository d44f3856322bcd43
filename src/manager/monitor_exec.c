/* SPDX-License-Identifier: Apache-2.0 */
/* strata-monitor's other mode: the parent of one more process in a running guest. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "engines/engine.h"
#include "manager/monitor_args.h"
#include "manager/status.h"

static void monitor_exec_failed(int status, const struct err *err)
{
	struct monitor_exec_failure message = {
		.tag = MONITOR_EXEC_FAILED,
		.failure = { .status = status, .code = err->code },
	};

	(void)snprintf(message.failure.text, sizeof(message.failure.text), "%s",
		       err->text);						/* both 480 bytes */
	(void)fd_write_all(MONITOR_EXEC_STARTED_FD, &message, sizeof(message)); /* nobody left */
}

static bool monitor_exec_lives(const struct guest_exec *exec)
{
	AUTO(fd_close_p) int run_fd = open(exec->dirs.run, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return run_fd >= 0 && status_is_first(run_fd, exec->pid);
}

static int monitor_exec_guest(const struct spec *spec, char **args, struct err *err)
{
	const struct engine_ops *engine = engine_find(spec->virt, false);
	const struct guest_exec exec = {
		.spec = spec,
		.dirs = { args[MONITOR_EXEC_STATE], args[MONITOR_EXEC_RUN] },
		.pid = (pid_t)strtol(args[MONITOR_EXEC_PID], NULL, 10),
		.lives = monitor_exec_lives,
		.io = { STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO },
		.tty_socket = spec->tty ? MONITOR_EXEC_TTY_FD : -EBADF,
		.started_fd = MONITOR_EXEC_STARTED_FD,
	};

	if (engine)
		return engine->exec(&exec, err);
	(void)err_say(err, ENOTSUP, "this build has no engine %s", spec->virt);
	return 125;
}

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
	if (r == 0)
		status = monitor_exec_guest(&spec, args, &err);
	if (err.code)
		monitor_exec_failed(status, &err);
	spec_fini(&spec);
	return status;
}
