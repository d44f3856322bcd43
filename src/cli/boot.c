/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "cli/cmd.h"
#include "cli/verbs.h"

static int boot_run(struct cli *cli, const struct args *args, struct err *err)
{
	struct manager *manager;
	unsigned started;

	(void)args;
	int r = cli_manager(cli, &manager, err);
	r = r < 0 ? r : manager_boot(manager, &started, err);
	if (r < 0)
		return r;
	(void)printf("%u started\n", started); /* main() looks at ferror(stdout) */
	return 0;
}

const struct cmd cmd_boot = {
	.name = "boot",
	.summary = "Start what --restart wants",
	.notes = "For the time after a reboot of the host: strata.service runs it.",
	.run = boot_run,
};
