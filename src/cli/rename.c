/* SPDX-License-Identifier: Apache-2.0 */
#include "base/core/macros.h"
#include "cli/verb.h"
#include "cli/verbs.h"

static int rename_run(struct cli *cli, const struct args *args, struct err *err)
{
	AUTO(instance_fini) struct instance instance = { 0 };
	struct manager *manager;

	int r = verb_find(cli, args->argv[0], &manager, &instance, err);
	return r < 0 ? r : manager_rename(manager, &instance, args->argv[1], err);
}

const struct cmd cmd_rename = {
	.name = "rename",
	.operands = "INSTANCE NAME",
	.summary = "Rename an instance",
	.min_operands = 2,
	.max_operands = 2,
	.run = rename_run,
};
