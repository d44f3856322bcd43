/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/stop.h"

#include <errno.h>

#include "base/core/macros.h"
#include "cli/verb.h"
#include "cli/verbs.h"

static const struct opt stop_opts[] = { OPT_STOP_TIME, { 0 } };

int stop_timeout(const struct args *args, int64_t *ret_ms, struct err *err)
{
	const char *text = args_text(args, "time", NULL);
	int64_t seconds = 0;

	int r = text ? args_int(text, "--time", -1, 86400, &seconds, err) : 0;
	if (r < 0)
		return r;
	*ret_ms = text && seconds >= 0 ? seconds * 1000 : -1;
	return 0;
}

static int stop_one(struct manager *manager, struct instance *instance, const struct args *args,
		    struct err *err)
{
	int64_t timeout_ms;

	int r = stop_timeout(args, &timeout_ms, err);
	if (r < 0)
		return r;
	/* asked for twice, or over already: it is stopped */
	if (instance->state == INSTANCE_EXITED || instance->state == INSTANCE_CREATED ||
	    instance->state == INSTANCE_DEAD)
		return 0;
	return manager_stop(manager, instance, timeout_ms, err);
}

static int stop_run(struct cli *cli, const struct args *args, struct err *err)
{
	int64_t timeout_ms;

	int r = stop_timeout(args, &timeout_ms, err); /* a bad flag is reported once */
	return r < 0 ? r : verb_each_host(cli, args, stop_one, HOST_STOP, err);
}

const struct cmd cmd_stop = {
	.name = "stop",
	.operands = "INSTANCE...",
	.summary = "Stop instances, kindly first",
	.opts = stop_opts,
	.min_operands = 1,
	.max_operands = -1,
	.run = stop_run,
};
