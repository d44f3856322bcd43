/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/core/macros.h"
#include "base/os/json.h"
#include "cli/verb.h"
#include "cli/verbs.h"

static const struct opt start_opts[] = {
	{ 'a', OPT_SWITCH, "attach", NULL, "stay with it: its output, its exit status" },
	{ 'i', OPT_SWITCH, "interactive", NULL, "and its standard input" },
	{ 0, OPT_TEXT, "detach-keys", "KEYS", "what leaves it: ctrl-p,ctrl-q" },
	{ 0, OPT_SWITCH, "sig-proxy", NULL, "pass signals on (default: true)" },
	{ 0 },
};

static int start_one(struct manager *manager, struct instance *instance, const struct args *args,
		     struct err *err)
{
	int status = 0;

	(void)args;
	return manager_start(manager, instance, NULL, &status, err);
}

static int start_attached(struct cli *cli, const struct args *args, struct err *err)
{
	AUTO(instance_fini) struct instance instance = { 0 };
	struct verb_start start = { .attach = true };
	struct manager *manager;

	if (args->argc != 1)
		return err_say(err, EINVAL, "--attach takes one instance at a time");
	int r = verb_detach_keys(args_text(args, "detach-keys", NULL), &start.detach_keys, err);
	if (r < 0)
		return r;
	r = verb_find(cli, args->argv[0], &manager, &instance, err);
	if (r < 0)
		return r;
	start.forward_in =
		args_on(args, "interactive") && json_bool(instance.spec, "stdin_open", false);
	start.sig_proxy = !args_given(args, "sig-proxy") || args_on(args, "sig-proxy");
	return verb_start(manager, &instance, &start, NULL);
}

static int start_run(struct cli *cli, const struct args *args, struct err *err)
{
	if (args_on(args, "attach") || args_on(args, "interactive"))
		return start_attached(cli, args, err);
	return verb_each(cli, args, start_one, err);
}

const struct cmd cmd_start = {
	.name = "start",
	.operands = "INSTANCE...",
	.summary = "Start stopped instances",
	.opts = start_opts,
	.min_operands = 1,
	.max_operands = -1,
	.run = start_run,
};
