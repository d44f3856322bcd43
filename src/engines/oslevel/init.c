/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engines/oslevel/private.h"

/* Signals that are about this process, not about its workload. */
static bool init_own_signal(int sig)
{
	return sig == SIGCHLD || sig == SIGSEGV || sig == SIGBUS || sig == SIGFPE ||
	       sig == SIGILL || sig == SIGTRAP || sig == SIGABRT || sig == SIGSYS;
}

/* Reaps all that ended; leaves with the workload's own end, which takes the whole namespace with it. */
static void init_reap(pid_t child)
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

/*
 * Our arguments hold paths of the host, and the workload reads /proc/1/cmdline. execve(2) puts arguments,
 * environment and the program's path one after the other; none of them is needed any more.
 */
static void init_hide_arguments(void)
{
	static const char name[] = "strata-init";
	char *first = program_invocation_name;
	uintptr_t end = (uintptr_t)getauxval(AT_EXECFN);

	if (end <= (uintptr_t)first + sizeof(name))
		return;
	memset(first, 0, end - (uintptr_t)first);
	memcpy(first, name, sizeof(name));
}

_Noreturn void init_run(pid_t child)
{
	sigset_t all;

	init_hide_arguments();
	(void)prctl(PR_SET_DUMPABLE, 0); /* what the monitor knows is still in memory */

	(void)prctl(PR_SET_NAME, "strata-init"); /* cosmetic */
	(void)sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, NULL); /* valid arguments: cannot fail */
	for (;;) {
		init_reap(child);
		int sig = sigwaitinfo(&all, NULL);
		if (sig > 0 && !init_own_signal(sig))
			(void)kill(child, sig); /* gone already: the next reap ends us */
	}
}
