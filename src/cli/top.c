/* SPDX-License-Identifier: Apache-2.0 */
#include "base/core/macros.h"
#include "base/os/json.h"
#include "cli/table.h"
#include "cli/verb.h"
#include "cli/verbs.h"

static const struct opt top_opts[] = { OPT_FORMAT, { 0 } };

static int top_run(struct cli *cli, const struct args *args, struct err *err)
{
	static const struct column columns[] = {
		{ "PID", "pid" },
		{ "USER", "user" },
		{ "TIME", "time" },
		{ "COMMAND", "command" },
	};
	AUTO(instance_fini) struct instance instance = { 0 };
	AUTO(json_decref_p) json_t *rows = NULL;
	struct manager *manager;
	bool json;

	int r = table_format(args, &json, err);
	r = r < 0 ? r : verb_find(cli, args->argv[0], &manager, &instance, err);
	r = r < 0 ? r : manager_processes(&instance, &rows, err);
	return r < 0 ? r : table_print(columns, ARRAY_SIZE(columns), rows, json, err);
}

const struct cmd cmd_top = {
	.name = "top",
	.operands = "INSTANCE",
	.summary = "List its processes",
	.notes = "The pids are the host's.",
	.opts = top_opts,
	.min_operands = 1,
	.max_operands = 1,
	.run = top_run,
};
