/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/core/macros.h"
#include "cli/stop.h"
#include "cli/verb.h"
#include "cli/verbs.h"

static const struct opt restart_opts[] = { OPT_STOP_TIME, { 0 } };

static int restart_one(struct manager *manager, struct instance *instance, const struct args *args,
		       struct err *err)
{
	int64_t timeout_ms;
	int status = 0;

	int r = stop_timeout(args, &timeout_ms, err);
	if (r < 0)
		return r;
	if (instance->state != INSTANCE_EXITED && instance->state != INSTANCE_CREATED &&
	    instance->state != INSTANCE_DEAD) {
		r = manager_stop(manager, instance, timeout_ms, err);
		if (r < 0)
			return r;
	}
	return manager_start(manager, instance, NULL, &status, err);
}

static int restart_run(struct cli *cli, const struct args *args, struct err *err)
{
	int64_t timeout_ms;

	int r = stop_timeout(args, &timeout_ms, err); /* a bad flag is reported once */
	return r < 0 ? r : verb_each(cli, args, restart_one, err);
}

const struct cmd cmd_restart = {
	.name = "restart",
	.operands = "INSTANCE...",
	.summary = "Stop instances and start them",
	.opts = restart_opts,
	.min_operands = 1,
	.max_operands = -1,
	.run = restart_run,
};
