/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <sys/utsname.h>

#include "base/core/macros.h"
#include "base/os/json.h"
#include "cli/cmd.h"
#include "cli/table.h"
#include "cli/verbs.h"

static const struct opt version_opts[] = { OPT_FORMAT, { 0 } };

static int version_run(struct cli *cli, const struct args *args, struct err *err)
{
	struct utsname host;
	bool json;

	(void)cli;
	int r = table_format(args, &json, err);
	if (r < 0)
		return r;
	if (uname(&host) < 0)
		return err_set(err, errno, "ask for the kernel's version");
	if (!json) {
		/* main() looks at ferror(stdout) */
		(void)printf("strata   %s\nkernel   %s %s\nmachine  %s\n", STRATA_VERSION,
			     host.sysname, host.release, host.machine);
		return 0;
	}
	AUTO(json_decref_p)
	json_t *version = json_pack("{s:s, s:s, s:s}", "strata", STRATA_VERSION, "kernel",
				    host.release, "machine", host.machine);
	return version ? print_json(version, err) : err_set(err, ENOMEM, "print the version");
}

const struct cmd cmd_version = {
	.name = "version",
	.summary = "Print the version",
	.opts = version_opts,
	.run = version_run,
};
