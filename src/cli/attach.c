/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/core/macros.h"
#include "base/os/fd.h"
#include "base/os/json.h"
#include "cli/verb.h"
#include "cli/verbs.h"

static const struct opt attach_opts[] = {
	{ 0, OPT_SWITCH, "no-stdin", NULL, "do not pass standard input on" },
	{ 0, OPT_TEXT, "detach-keys", "KEYS", "what leaves it: ctrl-p,ctrl-q" },
	{ 0, OPT_SWITCH, "sig-proxy", NULL, "pass signals on (default: true)" },
	{ 0 },
};

static int attach_verb(struct cli *cli, const struct args *args, struct err *err)
{
	AUTO(instance_fini) struct instance instance = { 0 };
	struct attach_opts opts = { 0 };
	struct manager *manager;
	AUTO(fd_close_p) int fd = -EBADF;
	int status;

	int r = verb_detach_keys(args_text(args, "detach-keys", NULL), &opts.detach_keys, err);
	if (r < 0)
		return r;
	r = verb_find(cli, args->argv[0], &manager, &instance, err);
	if (r < 0)
		return r;
	opts.tty = json_bool(instance.spec, "tty", false);
	opts.forward_in =
		json_bool(instance.spec, "stdin_open", false) && !args_on(args, "no-stdin");
	opts.proxy_signals = !args_given(args, "sig-proxy") || args_on(args, "sig-proxy");
	r = manager_attach(manager, &instance, &fd, err);
	if (r < 0)
		return r;
	r = attach_run(fd, &opts, &status, err);
	return r < 0 ? r : status < 0 ? 0 : status;
}

const struct cmd cmd_attach = {
	.name = "attach",
	.operands = "INSTANCE",
	.summary = "Join a running instance",
	.notes = "The exit status is the instance's, or 0 when left with the detach keys.",
	.opts = attach_opts,
	.min_operands = 1,
	.max_operands = 1,
	.run = attach_verb,
};
