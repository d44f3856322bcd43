/* SPDX-License-Identifier: Apache-2.0 */
#include "base/core/macros.h"
#include "cli/verb.h"
#include "cli/verbs.h"

static int pause_one(struct manager *manager, struct instance *instance, const struct args *args,
		     struct err *err)
{
	(void)args;
	return manager_pause(manager, instance, err);
}

static int pause_run(struct cli *cli, const struct args *args, struct err *err)
{
	return verb_each_host(cli, args, pause_one, HOST_PAUSE, err);
}

const struct cmd cmd_pause = {
	.name = "pause",
	.operands = "INSTANCE...",
	.summary = "Freeze instances",
	.min_operands = 1,
	.max_operands = -1,
	.run = pause_run,
};
