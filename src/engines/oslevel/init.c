/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
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

_Noreturn void init_run(pid_t child)
{
	init_hide_arguments();
	(void)prctl(PR_SET_DUMPABLE, 0); /* what the monitor knows is still in memory */
	pidone_run(child);
}
