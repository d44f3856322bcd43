/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/oslevel/pidone.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/os/fd.h"

/* We are given a few dozen at most: mounts' sources, a console, a socket. */
#define PIDONE_FDS 4096

/* Signals that are about this process, not about its workload. */
static bool pidone_own(int sig)
{
	return sig == SIGCHLD || sig == SIGSEGV || sig == SIGBUS || sig == SIGFPE ||
	       sig == SIGILL || sig == SIGTRAP || sig == SIGABRT || sig == SIGSYS;
}

/* Reaps all that ended; leaves with the workload's own end, which takes the whole namespace with it. */
static void pidone_reap(pid_t child)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == child)
			_exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
	}
	if (pid < 0 && errno == ECHILD)
		_exit(125);
}

/* Also where process 1 has died: the kernel ends us with it. */
static void pidone_await(int ready)
{
	char byte;

	while (read(ready, &byte, 1) < 0 && errno == EINTR)
		;
}

int pidone_fork(pid_t *ret_child, struct err *err)
{
	int ends[2];
	int r = 0;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_set(err, errno, "a pipe for the workload's start");
	pid_t child = fork();
	if (child < 0)
		r = err_set(err, errno, "start the workload below its init");
	if (child <= 0)
		fd_close(ends[1]); /* else pidone_run() does */
	if (child == 0)
		pidone_await(ends[0]);
	fd_close(ends[0]);
	*ret_child = child;
	return r;
}

/* A filter of the user's that is older than close_range(2) forbids it: one by one then, as far as we may have opened any. */
static void pidone_close(void)
{
	if (close_range(0, ~0U, 0) == 0)
		return;
	for (int fd = 0; fd < PIDONE_FDS; fd++)
		(void)close(fd); /* most are not open */
}

_Noreturn void pidone_run(pid_t child)
{
	sigset_t all;

	(void)prctl(PR_SET_NAME, "strata-init"); /* cosmetic */
	(void)sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, NULL); /* valid arguments: cannot fail */
	pidone_close();				    /* our end of the workload's wait, too */
	for (;;) {
		pidone_reap(child);
		int sig = sigwaitinfo(&all, NULL);
		if (sig > 0 && !pidone_own(sig))
			(void)kill(child, sig); /* gone already: the next reap ends us */
	}
}
