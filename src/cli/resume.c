/* SPDX-License-Identifier: Apache-2.0 */
#include "base/core/macros.h"
#include "cli/verb.h"
#include "cli/verbs.h"

static int resume_one(struct manager *manager, struct instance *instance, const struct args *args,
		      struct err *err)
{
	(void)args;
	return manager_resume(manager, instance, err);
}

static int resume_run(struct cli *cli, const struct args *args, struct err *err)
{
	return verb_each_host(cli, args, resume_one, HOST_RESUME, err);
}

const struct cmd cmd_resume = {
	.name = "resume",
	.alias = "unpause",
	.operands = "INSTANCE...",
	.summary = "Let paused instances run on",
	.min_operands = 1,
	.max_operands = -1,
	.run = resume_run,
};
