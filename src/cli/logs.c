/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/core/macros.h"
#include "base/os/clock.h"
#include "cli/verb.h"
#include "cli/verbs.h"

static const struct opt logs_opts[] = {
	{ 'f', OPT_SWITCH, "follow", NULL, "go on as more is written" },
	{ 't', OPT_SWITCH, "timestamps", NULL, "when each line was written" },
	{ 'n', OPT_TEXT, "tail", "N", "only the last N lines" },
	{ 0, OPT_TEXT, "since", "TIME", "from then on: RFC 3339, or 10m for ten minutes ago" },
	{ 0, OPT_TEXT, "until", "TIME", "up to then" },
	{ 0 },
};

static int logs_read(const struct args *args, struct logs_opts *ret, struct err *err)
{
	const char *tail = args_text(args, "tail", "all");
	const char *since = args_text(args, "since", NULL);
	const char *until = args_text(args, "until", NULL);
	int64_t now = clock_real_ns();
	int r = 0;

	ret->follow = args_on(args, "follow");
	ret->timestamps = args_on(args, "timestamps");
	ret->tail = -1;
	if (strcmp(tail, "all") != 0)
		r = args_int(tail, "--tail", -1, INT64_MAX, &ret->tail, err);
	if (r == 0 && since)
		r = args_time_ns(since, "--since", now, &ret->since_ns, err);
	if (r == 0 && until)
		r = args_time_ns(until, "--until", now, &ret->until_ns, err);
	return r;
}

/* Without a name: the server's. What the hypervisor printed has no times. */
static int logs_server(struct cli *cli, const struct args *args, struct err *err)
{
	if (!cli->host)
		return err_say(err, EINVAL,
			       "logs: of which INSTANCE? Without one it is a server's own console, "
			       "which --host names");
	if (args_on(args, "timestamps") || args_text(args, "tail", NULL) ||
	    args_text(args, "since", NULL) || args_text(args, "until", NULL))
		return err_say(err, EINVAL, "of a server's own console: --follow only");
	return host_logs(cli, args_on(args, "follow"), err);
}

static int logs_run(struct cli *cli, const struct args *args, struct err *err)
{
	AUTO(instance_fini) struct instance instance = { 0 };
	struct logs_opts opts = { 0 };
	struct manager *manager;

	int r = logs_read(args, &opts, err);
	if (r < 0)
		return r;
	if (!args->argc)
		return logs_server(cli, args, err);
	r = verb_find(cli, args->argv[0], &manager, &instance, err);
	if (r == -ENOENT) /* what was said stands where there is no such guest either */
		return host_guest_logs(cli, args->argv[0], err);
	return r < 0 ? r : manager_logs(manager, &instance, &opts, stdout, stderr, err);
}

const struct cmd cmd_logs = {
	.name = "logs",
	.operands = "[INSTANCE]",
	.summary = "Print what an instance wrote",
	.notes = "With --host and no INSTANCE: what the server itself printed.",
	.opts = logs_opts,
	.max_operands = 1,
	.run = logs_run,
};
