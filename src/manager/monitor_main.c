/* SPDX-License-Identifier: Apache-2.0 */
/*
 * strata-monitor: started by strata only, by fd and with the fds of manager/monitor_args.h. A program of its own, so
 * that what rests beside each instance is small, and so that what enters a container is not the
 * command on the host's disk: it is executed through a read-only mount (CVE-2019-5736).
 */
#include <stdio.h>
#include <string.h>

#include "manager/monitor_args.h"

int main(int argc, char **argv)
{
	if (argc == MONITOR_ARGS && !strcmp(argv[MONITOR_ARG_MODE], "run"))
		return monitor_run(argv);
	if (argc == MONITOR_EXEC_ARGS && !strcmp(argv[MONITOR_ARG_MODE], "exec"))
		return monitor_exec(argv);
	(void)fprintf(stderr, "strata-monitor: started by strata, not by hand; see strata(1)\n");
	return 125;
}
