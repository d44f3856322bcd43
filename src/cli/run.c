/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/core/macros.h"
#include "base/os/json.h"
#include "cli/create.h"
#include "cli/run_config.h"
#include "cli/verb.h"
#include "cli/verbs.h"

static int run_check(const struct args *args, struct verb_start *start, struct err *err)
{
	bool tty = args_on(args, "tty"), in = args_on(args, "interactive");

	start->attach = !args_on(args, "detach");
	start->forward_in = in;
	/* Of an init a signal asks for something else: SIGINT for a reboot. */
	start->sig_proxy = args_given(args, "sig-proxy") ? args_on(args, "sig-proxy")
							 : !args_on(args, "system");
	if (start->attach && tty && in && !isatty(STDIN_FILENO))
		return err_say(
			err, ENOTTY,
			"-t with -i needs a terminal, and standard input is none: leave out -t");
	if (!start->attach)
		return 0;
	return verb_detach_keys(args_text(args, "detach-keys", NULL), &start->detach_keys, err);
}

static int run_run(struct cli *cli, const struct args *args, struct err *err)
{
	AUTO(instance_fini) struct instance instance = { 0 };
	struct verb_start start = { .fresh = true };
	struct manager *manager;

	int r = run_check(args, &start, err);
	if (r < 0)
		return r;
	r = create_instance(cli, args, true, &manager, &instance, err);
	if (r < 0)
		return r;
	int status = verb_start(manager, &instance, &start, NULL);
	if (!start.attach && !status)
		(void)puts(instance.id); /* main() looks at ferror(stdout) */
	return status;
}

const struct cmd cmd_run = {
	.name = "run",
	.operands = "[IMAGE [COMMAND [ARG...]]]",
	.summary = "Run a command in a new instance",
	.opts = run_opts,
	.stop_at_operand = true,
	.min_operands = 0,
	.max_operands = -1,
	.run = run_run,
};
