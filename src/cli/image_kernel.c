/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels for virtual machines that run an image. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/core/macros.h"
#include "base/os/json.h"
#include "cli/table.h"
#include "cli/verb.h"
#include "cli/verbs.h"
#include "storage/kernel.h"

static const struct opt kernel_fetch_opts[] = {
	{ 0, OPT_TEXT, "from", "FILE", "this package file, and no network" },
	{ 0 },
};
static const struct opt kernel_list_opts[] = {
	{ 'q', OPT_SWITCH, "quiet", NULL, "only the versions" },
	OPT_FORMAT,
	{ 0 },
};

static int kernel_fetch_run(struct cli *cli, const struct args *args, struct err *err)
{
	AUTO(kernel_fini) struct kernel kernel = { 0 };
	const char *from = args_text(args, "from", NULL);
	struct manager *manager;

	if (from && args->argc)
		return err_say(err, EINVAL, "--from and the package %s: one of them",
			       args->argv[0]);
	int r = cli_manager(cli, &manager, err);
	if (r < 0)
		return r;
	r = from ? kernel_add(&manager->store, from, &kernel, err)
		 : kernel_fetch(&manager->store, args->argc ? args->argv[0] : KERNEL_PACKAGE,
				&kernel, err);
	if (r == 0)
		(void)printf("%s %.12s\n", kernel.version,
			     kernel.digest); /* main() looks at ferror(stdout) */
	return r;
}

static json_t *kernel_row(const struct kernel *kernel, bool json)
{
	char size[32];

	verb_size(kernel->size_bytes, size);
	return json_pack("{s:s, s:s%, s:o, s:s, s:o, s:o}", "version", kernel->version, "digest",
			 kernel->digest, (size_t)(json ? DIGEST_HEX : ID_SHORT), "created",
			 json ? verb_time(kernel->created_ns) : verb_ago(kernel->created_ns),
			 "package", kernel->package, json ? "size_bytes" : "size",
			 json ? json_integer(kernel->size_bytes) : json_string(size), "default",
			 json ? json_boolean(kernel->is_default)
			      : json_string(kernel->is_default ? "*" : ""));
}

static int kernel_list_run(struct cli *cli, const struct args *args, struct err *err)
{
	static const struct column columns[] = {
		{ "VERSION", "version" }, { "DEFAULT", "default" }, { "DIGEST", "digest" },
		{ "CREATED", "created" }, { "SIZE", "size" },
	};
	AUTO(json_decref_p) json_t *rows = json_array();
	bool quiet = args_on(args, "quiet"), json;
	struct kernel *kernels = NULL;
	struct manager *manager;
	size_t n = 0;

	int r = table_format(args, &json, err);
	r = r < 0 ? r : cli_manager(cli, &manager, err);
	r = r < 0 ? r : kernel_list(&manager->store, &kernels, &n, err);
	for (size_t i = 0; r == 0 && i < n; i++) {
		if (quiet)
			(void)puts(kernels[i].version); /* main() looks at ferror(stdout) */
		else
			r = verb_row(rows, kernel_row(&kernels[i], json), err);
	}
	kernels_fini(kernels, n);
	if (r < 0 || quiet)
		return r;
	return table_print(columns, ARRAY_SIZE(columns), rows, json, err);
}

static int kernel_rm_run(struct cli *cli, const struct args *args, struct err *err)
{
	return verb_remove(cli, args, kernel_remove, err);
}

static const struct cmd cmd_kernel_fetch = {
	.name = "fetch",
	.operands = "[PACKAGE]",
	.summary = "Get Debian's kernel for virtual machines; it becomes the default",
	.opts = kernel_fetch_opts,
	.max_operands = 1,
	.run = kernel_fetch_run,
};
static const struct cmd cmd_kernel_list = {
	.name = "list",
	.alias = "ls",
	.summary = "List kernels",
	.opts = kernel_list_opts,
	.run = kernel_list_run,
};
static const struct cmd cmd_kernel_rm = {
	.name = "rm",
	.alias = "remove",
	.operands = "KERNEL...",
	.summary = "Remove kernels",
	.min_operands = 1,
	.max_operands = -1,
	.run = kernel_rm_run,
};
static const struct cmd *const kernel_subs[] = {
	&cmd_kernel_fetch,
	&cmd_kernel_list,
	&cmd_kernel_rm,
	NULL,
};

const struct cmd cmd_image_kernel = {
	.name = "kernel",
	.summary = "Kernels for virtual machines that run an image",
	.subs = kernel_subs,
};
