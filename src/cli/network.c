/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/network.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/core/macros.h"
#include "base/os/json.h"
#include "cli/inspect.h"
#include "cli/table.h"
#include "cli/verb.h"
#include "cli/verbs.h"
#include "network/network.h"

static const struct opt network_create_opts[] = {
	{ 0, OPT_TEXT, "subnet", "A.B.C.D/N", "its addresses (default: a free /24)" },
	{ 0, OPT_TEXT, "gateway", "ADDRESS", "the host's own there (default: the first)" },
	{ 0, OPT_SWITCH, "internal", NULL, "no way out of it" },
	{ 'l', OPT_LIST, "label", "K=V", "a note on it" },
	{ 0 },
};
static const struct opt network_list_opts[] = {
	{ 'q', OPT_SWITCH, "quiet", NULL, "only the names" },
	OPT_FORMAT,
	{ 0 },
};
static const struct opt network_inspect_opts[] = { OPT_INSPECT_FORMAT, { 0 } };
static const struct opt network_prune_opts[] = {
	{ 'f', OPT_SWITCH, "force", NULL, "taken as in Docker: nothing is asked anyway" },
	{ 0 },
};

struct networks {
	struct network *list;
	size_t n;
};

static void networks_fini(struct networks *networks)
{
	for (size_t i = 0; i < networks->n; i++)
		network_fini(&networks->list[i]);
	free(networks->list);
}

static json_t *network_json(const struct network *network, bool json)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:b, s:o, s:O?}", "name", network->name, "subnet",
			 network->subnet, "gateway", network->gateway, "bridge", network->bridge,
			 "internal", (int)network->internal, "created",
			 json ? verb_time(network->created_ns) : verb_ago(network->created_ns),
			 "labels", network->labels);
}

static int network_create_run(struct cli *cli, const struct args *args, struct err *err)
{
	AUTO(network_fini) struct network network = { 0 };
	AUTO(json_decref_p) json_t *labels = NULL;
	struct network_opts opts = {
		.subnet = args_text(args, "subnet", NULL),
		.gateway = args_text(args, "gateway", NULL),
		.internal = args_on(args, "internal"),
	};
	struct manager *manager;

	int r = verb_labels(args, &labels, err);
	opts.labels = labels;
	r = r < 0 ? r : cli_manager(cli, &manager, err);
	r = r < 0 ? r : network_create(&manager->store, args->argv[0], &opts, &network, err);
	if (r < 0)
		return r;
	(void)puts(network.name); /* main() looks at ferror(stdout) */
	return 0;
}

static int network_list_run(struct cli *cli, const struct args *args, struct err *err)
{
	static const struct column columns[] = {
		{ "NETWORK", "name" },	{ "SUBNET", "subnet" },	    { "GATEWAY", "gateway" },
		{ "BRIDGE", "bridge" }, { "INTERNAL", "internal" }, { "CREATED", "created" },
	};
	AUTO(networks_fini) struct networks networks = { 0 };
	AUTO(json_decref_p) json_t *rows = json_array();
	bool quiet = args_on(args, "quiet"), json;
	struct manager *manager;

	int r = table_format(args, &json, err);
	r = r < 0 ? r : cli_manager(cli, &manager, err);
	r = r < 0 ? r : network_list(&manager->store, &networks.list, &networks.n, err);
	for (size_t i = 0; r == 0 && i < networks.n; i++) {
		if (quiet)
			(void)puts(networks.list[i].name); /* main() looks at ferror(stdout) */
		else
			r = verb_row(rows, network_json(&networks.list[i], json), err);
	}
	if (r < 0 || quiet)
		return r;
	return table_print(columns, ARRAY_SIZE(columns), rows, json, err);
}

int network_inspect(struct cli *cli, const char *ref, json_t **ret, struct err *err)
{
	AUTO(network_fini) struct network network = { 0 };
	struct manager *manager;

	int r = cli_manager(cli, &manager, err);
	r = r < 0 ? r : network_find(&manager->store, ref, &network, err);
	if (r < 0)
		return r;
	json_t *object = network_json(&network, true);
	if (!object)
		return err_set(err, ENOMEM, "inspect %s", ref);
	*ret = object;
	return 0;
}

static int network_inspect_run(struct cli *cli, const struct args *args, struct err *err)
{
	return inspect_all(cli, args, "network", err);
}

static int network_rm_run(struct cli *cli, const struct args *args, struct err *err)
{
	return verb_remove(cli, args, network_remove, err);
}

static int network_prune_run(struct cli *cli, const struct args *args, struct err *err)
{
	AUTO(json_decref_p) json_t *names = NULL;
	struct manager *manager;
	const json_t *name;
	size_t i;

	(void)args;
	int r = cli_manager(cli, &manager, err);
	r = r < 0 ? r : network_prune(&manager->store, &names, err);
	if (r < 0)
		return r;
	json_array_foreach(names, i, name)(void)
		puts(json_string_value(name)); /* main() looks at ferror(stdout) */
	return 0;
}

static const struct cmd network_create_cmd = {
	.name = "create",
	.operands = "NAME",
	.summary = "Make a network",
	.opts = network_create_opts,
	.min_operands = 1,
	.max_operands = 1,
	.run = network_create_run,
};
static const struct cmd network_list_cmd = {
	.name = "list",
	.alias = "ls",
	.summary = "List networks",
	.opts = network_list_opts,
	.run = network_list_run,
};
static const struct cmd network_inspect_cmd = {
	.name = "inspect",
	.operands = "NETWORK...",
	.summary = "Tell all about networks",
	.opts = network_inspect_opts,
	.min_operands = 1,
	.max_operands = -1,
	.run = network_inspect_run,
};
static const struct cmd network_rm_cmd = {
	.name = "rm",
	.alias = "remove",
	.operands = "NETWORK...",
	.summary = "Remove networks",
	.min_operands = 1,
	.max_operands = -1,
	.run = network_rm_run,
};
static const struct cmd network_prune_cmd = {
	.name = "prune",
	.summary = "Remove networks that nothing uses",
	.opts = network_prune_opts,
	.run = network_prune_run,
};
static const struct cmd *const network_subs[] = {
	&network_create_cmd, &network_list_cmd,	 &network_inspect_cmd,
	&network_rm_cmd,     &network_prune_cmd, NULL,
};

const struct cmd cmd_network = {
	.name = "network",
	.summary = "Make, list, remove networks",
	.subs = network_subs,
};
