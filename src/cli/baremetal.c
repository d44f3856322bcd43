/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>

#include "base/core/macros.h"
#include "cli/cmd.h"
#include "cli/verbs.h"
#include "engines/baremetal/media.h"

static const struct opt baremetal_image_opts[] = {
	{ 'o', OPT_TEXT, "output", "FILE", "NAME.iso, NAME.efi, or a new directory" },
	{ 0, OPT_TEXT, "config", "FILE", "the guests to start at power-on (JSON)" },
	{ 0, OPT_TEXT, "words", "TEXT", "the hypervisor's command line: console=com2" },
	{ 0 },
};

static int baremetal_image_run(struct cli *cli, const struct args *args, struct err *err)
{
	AUTO(media_fini) struct media media = { .n_files = 0 };
	const char *out = args_text(args, "output", NULL),
		   *config = args_text(args, "config", NULL);
	int r = 0;

	(void)cli;
	if (!out)
		return err_say(err, EINVAL,
			       "-o says what to make: NAME.iso, NAME.efi or a directory");
	if (config)
		r = media_config(&media, config, err);
	for (int i = 0; r == 0 && i < args->argc; i++)
		r = media_add(&media, args->argv[i], NULL, err);
	r = r < 0 ? r : media_build(&media, out, args_text(args, "words", NULL), err);
	if (r == 0)
		(void)puts(out); /* main() looks at ferror(stdout) */
	return r;
}

static const struct cmd cmd_baremetal_image = {
	.name = "image",
	.operands = "[FILE...]",
	.summary = "Make what a server boots the hypervisor from",
	.notes = "Further FILEs are put beside the guests' and loaded with them.",
	.opts = baremetal_image_opts,
	.max_operands = -1,
	.run = baremetal_image_run,
};
static const struct cmd *const baremetal_subs[] = { &cmd_baremetal_image, NULL };

const struct cmd cmd_baremetal = {
	.name = "baremetal",
	.summary = "The bare-metal hypervisor",
	.subs = baremetal_subs,
};
