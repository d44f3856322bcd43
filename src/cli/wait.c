/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/core/macros.h"
#include "base/os/log.h"
#include "cli/verb.h"
#include "cli/verbs.h"

static int wait_one(struct cli *cli, const char *ref, struct err *err)
{
	AUTO(instance_fini) struct instance instance = { 0 };
	struct manager *manager;
	int status;

	int r = verb_find(cli, ref, &manager, &instance, err);
	r = r < 0 ? r : manager_wait(manager, &instance, &status, err);
	if (r < 0)
		return r;
	(void)printf("%d\n", status); /* main() looks at ferror(stdout) */
	(void)fflush(stdout);	      /* likewise; scripts read it while the next is awaited */
	return 0;
}

static int wait_run(struct cli *cli, const struct args *args, struct err *err)
{
	bool failed = false;

	for (int i = 0; i < args->argc; i++) {
		*err = (struct err){ 0 };
		if (wait_one(cli, args->argv[i], err) < 0) {
			failed = true;
			log_error(err);
		}
	}
	return failed ? EXIT_STRATA : 0;
}

const struct cmd cmd_wait = {
	.name = "wait",
	.operands = "INSTANCE...",
	.summary = "Wait until instances end",
	.notes = "Prints the exit status of each.",
	.min_operands = 1,
	.max_operands = -1,
	.run = wait_run,
};
