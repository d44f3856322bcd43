/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>

#include "base/core/macros.h"
#include "cli/verb.h"
#include "cli/verbs.h"

static const struct opt kill_opts[] = {
	{ 's', OPT_TEXT, "signal", "SIG", "which: a name or a number (default: KILL)" },
	{ 0 },
};

static int kill_one(struct manager *manager, struct instance *instance, const struct args *args,
		    struct err *err)
{
	int sig;

	int r = args_signal(args_text(args, "signal", "KILL"), "--signal", &sig, err);
	return r < 0 ? r : manager_kill(manager, instance, sig, err);
}

static int kill_run(struct cli *cli, const struct args *args, struct err *err)
{
	int sig;

	/* a bad flag is reported once */
	int r = args_signal(args_text(args, "signal", "KILL"), "--signal", &sig, err);
	return r < 0 ? r
		     : verb_each_host(cli, args, kill_one, sig == SIGKILL ? HOST_KILL : HOST_NONE,
				      err);
}

const struct cmd cmd_kill = {
	.name = "kill",
	.operands = "INSTANCE...",
	.summary = "Send instances a signal",
	.opts = kill_opts,
	.min_operands = 1,
	.max_operands = -1,
	.run = kill_run,
};
