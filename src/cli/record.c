/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cmd.h"
#include "cli/verbs.h"

static int record_run(struct cli *cli, const struct args *args, struct err *err)
{
	struct manager *manager;
	int r = cli_manager(cli, &manager, err);

	return r < 0 ? r : manager_reconcile(manager, args->argv[0], err);
}

/* What a monitor runs last: nobody types it, so no help lists it. */
const struct cmd cmd_record = {
	.name = "record",
	.operands = "INSTANCE",
	.summary = "Record the end of what has ended",
	.min_operands = 1,
	.max_operands = 1,
	.hidden = true,
	.run = record_run,
};
