/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>

#include "engines/oslevel/pidone.h"
#include "engines/oslevel/private.h"

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

int init_run(pid_t child, const struct process *process, struct err *err)
{
	(void)fcntl(process->sync, F_SETFL, O_RDWR | O_NONBLOCK); /* valid: ours */
	init_hide_arguments();
	/* No more rights than the workload: CAP_SYS_PTRACE inside would be enough to take over any that it kept. */
	int r = process_drop(process, err);
	if (r == 0)
		r = process_tie(err);
	if (r == 0 && process_orphaned(process))
		r = err_say(err, EOWNERDEAD, "its monitor is gone");
	if (r == 0)
		r = process_seal(process, err);
	if (r < 0)
		return r;
	(void)prctl(PR_SET_DUMPABLE, 0); /* what the monitor knows is still in memory */
	pidone_run(child);
}
