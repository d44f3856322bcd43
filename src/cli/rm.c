/* SPDX-License-Identifier: Apache-2.0 */
#include "base/core/macros.h"
#include "cli/verb.h"
#include "cli/verbs.h"

static const struct opt rm_opts[] = {
	{ 'f', OPT_SWITCH, "force", NULL, "kill it first, if it runs" },
	{ 'v', OPT_SWITCH, "volumes", NULL, "its volumes without a name too" },
	{ 0 },
};

static int rm_one(struct manager *manager, struct instance *instance, const struct args *args,
		  struct err *err)
{
	return manager_remove(manager, instance, args_on(args, "force"), args_on(args, "volumes"),
			      err);
}

static int rm_run(struct cli *cli, const struct args *args, struct err *err)
{
	return verb_each(cli, args, rm_one, err);
}

const struct cmd cmd_rm = {
	.name = "rm",
	.operands = "INSTANCE...",
	.summary = "Remove instances",
	.opts = rm_opts,
	.min_operands = 1,
	.max_operands = -1,
	.run = rm_run,
};
