/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/core/macros.h"
#include "base/os/json.h"
#include "cli/flags.h"
#include "cli/verb.h"
#include "cli/verbs.h"

static const struct opt update_opts[] = {
	{ 'm', OPT_TEXT, "memory", "SIZE", NULL },
	{ 0, OPT_TEXT, "memory-swap", "SIZE", "alone; with swap (-1: no limit)" },
	{ 0, OPT_TEXT, "memory-reservation", "SIZE", "what it keeps when memory is short" },
	{ 0, OPT_TEXT, "cpus", "N", "CPUs' worth of time: 0.5, 2 (0: no limit)" },
	{ 0, OPT_TEXT, "cpu-shares", "N", NULL },
	{ 0, OPT_TEXT, "cpuset-cpus", "LIST", "weight (1024); which: 0-1,3" },
	{ 0, OPT_TEXT, "pids-limit", "N", "processes (-1: no limit)" },
	{ 0, OPT_TEXT, "blkio-weight", "N", "share of block I/O (100)" },
	{ 0, OPT_LIST, "device-read-bps", "DISK:SIZE", NULL },
	{ 0, OPT_LIST, "device-write-bps", "DISK:SIZE", "bytes a second from and to a disk" },
	{ 0, OPT_LIST, "device-read-iops", "DISK:N", NULL },
	{ 0, OPT_LIST, "device-write-iops", "DISK:N", "requests a second (0: no limit)" },
	{ 0, OPT_TEXT, "ingress-rate", "RATE", NULL },
	{ 0, OPT_TEXT, "egress-rate", "RATE", "bits a second to and from it: 10m (0: no limit)" },
	{ 0 },
};

static int update_one(struct manager *manager, struct instance *instance, const struct args *args,
		      struct err *err)
{
	AUTO(json_decref_p) json_t *changes = json_object();

	if (!changes)
		return err_set(err, ENOMEM, "update");
	int r = flag_limits(args, true, changes, err);
	return r < 0 ? r : manager_update(manager, instance, changes, err);
}

static int update_run(struct cli *cli, const struct args *args, struct err *err)
{
	AUTO(json_decref_p) json_t *changes = json_object();

	if (!changes)
		return err_set(err, ENOMEM, "update");
	int r = flag_limits(args, true, changes, err);
	if (r < 0)
		return r;
	if (!json_object_size(changes))
		return err_say(err, EINVAL,
			       "update: say what to change; see 'strata update --help'");
	return verb_each(cli, args, update_one, err);
}

const struct cmd cmd_update = {
	.name = "update",
	.operands = "INSTANCE...",
	.summary = "Change limits of instances",
	.opts = update_opts,
	.min_operands = 1,
	.max_operands = -1,
	.run = update_run,
};
