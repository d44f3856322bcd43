/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/image.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/macros.h"
#include "base/os/json.h"
#include "base/os/log.h"
#include "cli/image_use.h"
#include "cli/inspect.h"
#include "cli/table.h"
#include "cli/verb.h"
#include "cli/verbs.h"
#include "storage/image.h"

static const struct opt image_list_opts[] = {
	{ 'q', OPT_SWITCH, "quiet", NULL, "only the ids" },
	{ 0, OPT_SWITCH, "no-trunc", NULL, "whole ids" },
	OPT_FORMAT,
	{ 0 },
};
static const struct opt image_inspect_opts[] = { OPT_INSPECT_FORMAT, { 0 } };
static const struct opt image_rm_opts[] = {
	{ 'f', OPT_SWITCH, "force", NULL, "by its id: though it has several names" },
	{ 0 },
};
static const struct opt image_prune_opts[] = {
	{ 'a', OPT_SWITCH, "all", NULL, "images without a name that no instance uses, too" },
	{ 'f', OPT_SWITCH, "force", NULL, "do not ask" },
	{ 0 },
};

struct images {
	struct image *list;
	size_t n;
};

static void images_fini(struct images *images)
{
	for (size_t i = 0; i < images->n; i++)
		image_fini(&images->list[i]);
	free(images->list);
}

/* "demo:1" is "demo" and "1"; a colon before a slash is a registry's port */
static size_t image_tag_at(const char *tag)
{
	const char *colon = strrchr(tag, ':');

	return colon && !strchr(colon, '/') ? (size_t)(colon - tag) : strlen(tag);
}

static json_t *image_row(const struct image *image, const char *tag, bool json, bool whole)
{
	size_t at = tag ? image_tag_at(tag) : 0;
	char size[32];

	verb_size(image->size_bytes, size);
	return json_pack("{s:s%, s:s, s:s%, s:o, s:o}", "repository", tag ? tag : "<none>",
			 tag ? at : (size_t)6, "tag", tag && tag[at] ? tag + at + 1 : "<none>",
			 "id", image->id, (size_t)(json || whole ? DIGEST_HEX : ID_SHORT),
			 "created",
			 json ? verb_time(image->created_ns) : verb_ago(image->created_ns),
			 json ? "size_bytes" : "size",
			 json ? json_integer(image->size_bytes) : json_string(size));
}

/* a row for each name; one for an image without */
static int image_rows(const struct image *image, bool json, bool whole, json_t *rows,
		      struct err *err)
{
	static char *const no_tags[] = { NULL };
	char *const *tag = image->tags ? image->tags : no_tags;
	int r;

	do {
		r = verb_row(rows, image_row(image, *tag, json, whole), err);
	} while (r == 0 && *tag && *++tag);
	return r;
}

static int image_list_run(struct cli *cli, const struct args *args, struct err *err)
{
	static const struct column columns[] = {
		{ "REPOSITORY", "repository" }, { "TAG", "tag" },   { "IMAGE ID", "id" },
		{ "CREATED", "created" },	{ "SIZE", "size" },
	};
	bool quiet = args_on(args, "quiet"), whole = args_on(args, "no-trunc"), json;
	AUTO(json_decref_p) json_t *rows = json_array();
	AUTO(images_fini) struct images images = { 0 };
	struct manager *manager;

	int r = table_format(args, &json, err);
	r = r < 0 ? r : cli_manager(cli, &manager, err);
	r = r < 0 ? r : image_list(&manager->store, &images.list, &images.n, err);
	for (size_t i = 0; r == 0 && i < images.n; i++) {
		if (quiet) /* main() looks at ferror(stdout) */
			(void)printf("%.*s\n", whole ? DIGEST_HEX : ID_SHORT, images.list[i].id);
		else
			r = image_rows(&images.list[i], json, whole, rows, err);
	}
	if (r < 0 || quiet)
		return r;
	return table_print(columns, ARRAY_SIZE(columns), rows, json, err);
}

static json_t *image_strings(char *const *strings)
{
	json_t *list = json_array();

	for (; list && strings && *strings; strings++) {
		if (json_array_append_new(list, json_string(*strings))) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

int image_inspect(struct cli *cli, const char *ref, json_t **ret, struct err *err)
{
	AUTO(image_fini) struct image image = { 0 };
	struct manager *manager;

	int r = cli_manager(cli, &manager, err);
	r = r < 0 ? r : image_find(&manager->store, ref, &image, err);
	if (r < 0)
		return r;
	json_t *object = json_pack(
		"{s:s, s:o, s:o, s:I, s:o, s:O}", "id", image.id, "tags", image_strings(image.tags),
		"created", verb_time(image.created_ns), "size_bytes", (json_int_t)image.size_bytes,
		"layers", image_strings(image.layers), "config", image.config);
	if (!object)
		return err_set(err, ENOMEM, "inspect %s", ref);
	*ret = object;
	return 0;
}

static int image_inspect_run(struct cli *cli, const struct args *args, struct err *err)
{
	return inspect_all(cli, args, "image", err);
}

static int image_tag_run(struct cli *cli, const struct args *args, struct err *err)
{
	struct manager *manager;

	int r = cli_manager(cli, &manager, err);
	return r < 0 ? r : image_tag(&manager->store, args->argv[0], args->argv[1], err);
}

static int image_rm_run(struct cli *cli, const struct args *args, struct err *err)
{
	AUTO(image_use_p) char **in_use = NULL;
	struct manager *manager;
	bool failed = false;

	int r = cli_manager(cli, &manager, err);
	r = r < 0 ? r : image_in_use(manager, &in_use, err);
	if (r < 0)
		return r;
	for (int i = 0; i < args->argc; i++) {
		*err = (struct err){ 0 };
		if (image_remove(&manager->store, args->argv[i], args_on(args, "force"),
				 (const char *const *)in_use, err) < 0) {
			failed = true;
			log_error(err);
		} else {
			(void)puts(args->argv[i]); /* main() looks at ferror(stdout) */
		}
	}
	return failed ? EXIT_STRATA : 0;
}

static int image_prune_run(struct cli *cli, const struct args *args, struct err *err)
{
	AUTO(image_use_p) char **in_use = NULL;
	bool all = args_on(args, "all");
	struct manager *manager;
	int64_t bytes;
	char size[32];
	int r = 0;

	/* what no name leads to is debris: nobody misses it, nobody is asked */
	if (all)
		r = verb_confirm(args, "Remove all images without a name that no instance uses?",
				 err);
	r = r < 0 ? r : cli_manager(cli, &manager, err);
	r = r < 0 ? r : image_in_use(manager, &in_use, err);
	r = r < 0 ? r : image_prune(&manager->store, all, (const char *const *)in_use, &bytes, err);
	if (r < 0)
		return r;
	verb_size(bytes, size);
	(void)printf("%s freed\n", size); /* main() looks at ferror(stdout) */
	return 0;
}

const struct cmd cmd_image_list = {
	.name = "list",
	.alias = "ls",
	.summary = "List images",
	.opts = image_list_opts,
	.run = image_list_run,
};
const struct cmd cmd_image_tag = {
	.name = "tag",
	.operands = "IMAGE NAME[:TAG]",
	.summary = "Give an image another name",
	.min_operands = 2,
	.max_operands = 2,
	.run = image_tag_run,
};
const struct cmd cmd_image_rm = {
	.name = "rm",
	.alias = "remove",
	.operands = "IMAGE...",
	.summary = "Remove names of images, and with the last one the image",
	.opts = image_rm_opts,
	.min_operands = 1,
	.max_operands = -1,
	.run = image_rm_run,
};
static const struct cmd cmd_image_inspect = {
	.name = "inspect",
	.operands = "IMAGE...",
	.summary = "Tell all about images",
	.opts = image_inspect_opts,
	.min_operands = 1,
	.max_operands = -1,
	.run = image_inspect_run,
};
static const struct cmd cmd_image_prune = {
	.name = "prune",
	.summary = "Remove what broken imports and removed images left",
	.opts = image_prune_opts,
	.run = image_prune_run,
};
static const struct cmd *const image_subs[] = {
	&cmd_image_import,
	&cmd_image_pull,
	&cmd_image_list,
	&cmd_image_inspect,
	&cmd_image_tag,
	&cmd_image_export,
	&cmd_image_rm,
	&cmd_image_prune,
	&cmd_image_kernel,
	&cmd_image_build_bench,
	NULL,
};

const struct cmd cmd_image = {
	.name = "image",
	.summary = "Make, fetch, remove images",
	.subs = image_subs,
};
