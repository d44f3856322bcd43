/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/core/macros.h"
#include "cli/cmd.h"
#include "cli/verbs.h"
#include "storage/bench_image.h"

static const struct opt image_import_opts[] = {
	{ 't', OPT_TEXT, "tag", "NAME[:TAG]", "call the image so" },
	{ 'c', OPT_LIST, "change", "LINE", "of a plain tree: 'CMD [\"sh\"]', 'ENV A=b', 'USER 1'" },
	{ 'i', OPT_TEXT, "input", "FILE", "the same as SOURCE" },
	{ 'q', OPT_SWITCH, "quiet", NULL, "no progress; print only the id" },
	{ 0 },
};
static const struct opt image_pull_opts[] = {
	{ 't', OPT_TEXT, "tag", "NAME[:TAG]", "call the image so (default: as the registry does)" },
	{ 'q', OPT_SWITCH, "quiet", NULL, "no progress; print only the id" },
	{ 0 },
};
static const struct opt image_export_opts[] = {
	{ 'o', OPT_TEXT, "output", "FILE", "where to (default: standard output)" },
	{ 0, OPT_TEXT, "format", "docker|oci|oci-dir", "the kind of archive (default: docker)" },
	{ 0 },
};

static const struct opt image_build_bench_opts[] = {
	{ 0, OPT_TEXT, "mirror", "URL",
	  "get Debian's packages there (default: as this host does)" },
	{ 'q', OPT_SWITCH, "quiet", NULL, "no progress; print only the id" },
	{ 0 },
};

static int image_transfer_print(const struct image *image, bool quiet)
{
	const char *tag = image->tags && image->tags[0] ? image->tags[0] : NULL;

	/* main() looks at ferror(stdout) */
	if (quiet || !tag)
		(void)puts(image->id);
	else
		(void)printf("%s %.12s\n", tag, image->id);
	return 0;
}

/* "import SOURCE [NAME]", "load -i FILE", "load < FILE" */
static int image_import_source(const struct args *args, const char **ret_source,
			       const char **ret_tag, struct err *err)
{
	const char *input = args_text(args, "input", NULL);
	const char *source = input ? input : args->argc ? args->argv[0] : "-";
	int rest = input ? 0 : 1;

	if (args->argc > rest + 1)
		return err_say(err, EINVAL, "'%s' is one word too many", args->argv[rest + 1]);
	if (args->argc > rest && args_given(args, "tag"))
		return err_say(err, EINVAL, "the name is given twice, as --tag and as '%s'",
			       args->argv[rest]);
	if (!strcmp(source, "-") && isatty(STDIN_FILENO))
		return err_say(err, EINVAL,
			       "name a directory or an archive, or send one to standard "
			       "input, which is a terminal");
	*ret_source = source;
	*ret_tag = args->argc > rest ? args->argv[rest] : args_text(args, "tag", NULL);
	return 0;
}

static void image_changes_p(const char ***changes)
{
	free(*changes);
}

static int image_import_run(struct cli *cli, const struct args *args, struct err *err)
{
	const struct args_value *change = args_list(args, "change");
	AUTO(image_changes_p)
	const char **changes = calloc((size_t)change->count + 1, sizeof(*changes));
	AUTO(image_fini) struct image image = { 0 };
	struct import_opts opts = { .progress = !args_on(args, "quiet"), .changes = changes };
	struct manager *manager;
	const char *source = NULL;

	if (!changes)
		return err_set(err, ENOMEM, "read the flags");
	for (unsigned i = 0; i < change->count; i++)
		changes[i] = change->texts[i];
	int r = image_import_source(args, &source, &opts.tag, err);
	r = r < 0 ? r : cli_manager(cli, &manager, err);
	r = r < 0 ? r : image_import(&manager->store, source, &opts, &image, err);
	return r < 0 ? r : image_transfer_print(&image, args_on(args, "quiet"));
}

static int image_pull_run(struct cli *cli, const struct args *args, struct err *err)
{
	AUTO(image_fini) struct image image = { 0 };
	struct import_opts opts = {
		.tag = args_text(args, "tag", NULL),
		.progress = !args_on(args, "quiet"),
	};
	struct manager *manager;

	int r = cli_manager(cli, &manager, err);
	r = r < 0 ? r : image_pull(&manager->store, args->argv[0], &opts, &image, err);
	return r < 0 ? r : image_transfer_print(&image, args_on(args, "quiet"));
}

static int image_build_bench_run(struct cli *cli, const struct args *args, struct err *err)
{
	AUTO(image_fini) struct image image = { 0 };
	struct import_opts opts = {
		.tag = args->argc ? args->argv[0] : BENCH_IMAGE,
		.progress = !args_on(args, "quiet"),
	};
	struct manager *manager;

	int r = cli_manager(cli, &manager, err);
	r = r < 0 ? r
		  : bench_image_build(&manager->store, args_text(args, "mirror", NULL), &opts,
				      &image, err);
	return r < 0 ? r : image_transfer_print(&image, args_on(args, "quiet"));
}

static int image_export_run(struct cli *cli, const struct args *args, struct err *err)
{
	const char *format = args_text(args, "format", "docker");
	const char *output = args_text(args, "output", "-");
	bool dir = !strcmp(format, "oci-dir");
	struct manager *manager;

	if (!dir && strcmp(format, "docker") != 0 && strcmp(format, "oci") != 0)
		return err_say(err, EINVAL,
			       "--format: '%s' is not known; write docker, oci or oci-dir", format);
	if (dir && !strcmp(output, "-"))
		return err_say(err, EINVAL, "--format oci-dir needs --output DIR");
	if (!strcmp(output, "-") && isatty(STDOUT_FILENO))
		return err_say(err, EINVAL,
			       "an archive is nothing for a terminal: add --output FILE");
	int r = cli_manager(cli, &manager, err);
	return r < 0 ? r : image_export(&manager->store, args->argv[0], format, output, err);
}

const struct cmd cmd_image_import = {
	.name = "import",
	.alias = "load",
	.operands = "[SOURCE [NAME[:TAG]]]",
	.summary = "Make an image of a directory or an archive",
	.notes = "SOURCE is a directory, a tar (plain, gzip, zstd), a docker-save archive, an OCI\n"
		 "layout directory or archive; - or nothing is standard input.",
	.opts = image_import_opts,
	.max_operands = 2,
	.run = image_import_run,
};
const struct cmd cmd_image_pull = {
	.name = "pull",
	.operands = "IMAGE",
	.summary = "Fetch an image from a registry",
	.notes = "skopeo does the fetching, with the log-ins and mirrors it is set up for.",
	.opts = image_pull_opts,
	.min_operands = 1,
	.max_operands = 1,
	.run = image_pull_run,
};
const struct cmd cmd_image_build_bench = {
	.name = "build-bench",
	.operands = "[NAME[:TAG]]",
	.summary = "Make the image that 'strata compare' measures with",
	.notes =
		"Of packages of Debian 12, which are downloaded and unpacked; nothing of the host's\n"
		"own packages is touched. 140 MB to fetch, 260 MB to keep.",
	.opts = image_build_bench_opts,
	.max_operands = 1,
	.run = image_build_bench_run,
};
const struct cmd cmd_image_export = {
	.name = "export",
	.alias = "save",
	.operands = "IMAGE",
	.summary = "Write an image to an archive",
	.opts = image_export_opts,
	.min_operands = 1,
	.max_operands = 1,
	.run = image_export_run,
};
