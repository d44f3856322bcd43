/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/oslevel/pidone.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

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

_Noreturn void pidone_run(pid_t child)
{
	sigset_t all;

	(void)prctl(PR_SET_NAME, "strata-init"); /* cosmetic */
	(void)sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, NULL); /* valid arguments: cannot fail */
	for (;;) {
		pidone_reap(child);
		int sig = sigwaitinfo(&all, NULL);
		if (sig > 0 && !pidone_own(sig))
			(void)kill(child, sig); /* gone already: the next reap ends us */
	}
}
