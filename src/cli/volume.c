/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/volume.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/macros.h"
#include "base/os/json.h"
#include "cli/inspect.h"
#include "cli/table.h"
#include "cli/verb.h"
#include "cli/verbs.h"
#include "storage/volume.h"

static const struct opt volume_create_opts[] = {
	{ 0, OPT_TEXT, "size", "BYTES", "a virtual machine's disk of this size, not a directory" },
	{ 0, OPT_TEXT, "format", "raw|qcow2", "of the disk (default: raw)" },
	{ 'l', OPT_LIST, "label", "K=V", "a note on it" },
	{ 0 },
};
static const struct opt volume_list_opts[] = {
	{ 'q', OPT_SWITCH, "quiet", NULL, "only the names" },
	OPT_FORMAT,
	{ 0 },
};
static const struct opt volume_inspect_opts[] = { OPT_INSPECT_FORMAT, { 0 } };
static const struct opt volume_check_opts[] = {
	{ 0, OPT_SWITCH, "repair", NULL, "put right what can be without loss" },
	{ 0 },
};
static const struct opt volume_prune_opts[] = {
	{ 'a', OPT_SWITCH, "all", NULL, "those with a name, too" },
	{ 'f', OPT_SWITCH, "force", NULL, "do not ask" },
	{ 0 },
};

struct volumes {
	struct volume *list;
	size_t n;
};

static void volumes_fini(struct volumes *volumes)
{
	for (size_t i = 0; i < volumes->n; i++)
		volume_fini(&volumes->list[i]);
	free(volumes->list);
}

static json_t *volume_size_json(const struct volume *volume, bool json)
{
	char size[32];

	if (volume->kind == VOLUME_DIRECTORY)
		return json ? json_null() : json_string("");
	int64_t bytes = (int64_t)volume_size(volume);
	verb_size(bytes, size);
	return json ? json_integer(bytes) : json_string(size);
}

static json_t *volume_json(const struct volume *volume, bool json)
{
	return json_pack("{s:s, s:s, s:s, s:o, s:b, s:o, s:O?}", "name", volume->name, "path",
			 volume->path, "kind", volume_kind_name(volume->kind),
			 json ? "size_bytes" : "size", volume_size_json(volume, json), "anonymous",
			 (int)volume->anonymous, "created",
			 json ? verb_time(volume->created_ns) : verb_ago(volume->created_ns),
			 "labels", volume->labels);
}

/* Disks have whole sectors: a size is rounded up. */
static int volume_size_arg(const char *text, const char *flag, uint64_t *ret, struct err *err)
{
	int64_t bytes;

	int r = args_size(text, flag, &bytes, err);
	if (r == 0 && (bytes <= 0 || bytes > INT64_MAX - 511))
		r = err_say(err, EINVAL, "%s: %s is not a disk's size", flag, text);
	if (r == 0)
		*ret = ((uint64_t)bytes + 511) & ~UINT64_C(511);
	return r;
}

/* VOLUME_DIRECTORY without --size. */
static int volume_kind_arg(const struct args *args, enum volume_kind *ret, uint64_t *ret_size,
			   struct err *err)
{
	const char *size = args_text(args, "size", NULL);
	const char *format = args_text(args, "format", NULL);
	bool is_qcow2 = format && !strcmp(format, "qcow2");

	if (format && !size)
		return err_say(err, EINVAL, "--format: a disk has a format, and a --size");
	if (format && !is_qcow2 && strcmp(format, "raw") != 0)
		return err_say(err, EINVAL, "--format: '%s' is not known; write raw or qcow2",
			       format);
	*ret = !size ? VOLUME_DIRECTORY : is_qcow2 ? VOLUME_QCOW2 : VOLUME_RAW;
	return size ? volume_size_arg(size, "--size", ret_size, err) : 0;
}

static int volume_create_run(struct cli *cli, const struct args *args, struct err *err)
{
	AUTO(volume_fini) struct volume volume = { 0 };
	AUTO(json_decref_p) json_t *labels = NULL;
	enum volume_kind kind = VOLUME_DIRECTORY;
	uint64_t size = 0;
	struct manager *manager;

	int r = verb_labels(args, &labels, err);
	r = r < 0 ? r : volume_kind_arg(args, &kind, &size, err);
	r = r < 0 ? r : cli_manager(cli, &manager, err);
	if (r < 0)
		return r;
	r = kind == VOLUME_DIRECTORY
		    ? volume_create(&manager->store, args->argv[0], labels, &volume, err)
		    : volume_create_disk(&manager->store, args->argv[0], labels, kind, size,
					 &volume, err);
	if (r < 0)
		return r;
	(void)puts(volume.name); /* main() looks at ferror(stdout) */
	return 0;
}

static int volume_list_run(struct cli *cli, const struct args *args, struct err *err)
{
	static const struct column columns[] = {
		{ "VOLUME NAME", "name" }, { "KIND", "kind" },		 { "SIZE", "size" },
		{ "CREATED", "created" },  { "ANONYMOUS", "anonymous" }, { "PATH", "path" },
	};
	AUTO(volumes_fini) struct volumes volumes = { 0 };
	AUTO(json_decref_p) json_t *rows = json_array();
	bool quiet = args_on(args, "quiet"), json;
	struct manager *manager;

	int r = table_format(args, &json, err);
	r = r < 0 ? r : cli_manager(cli, &manager, err);
	r = r < 0 ? r : volume_list(&manager->store, &volumes.list, &volumes.n, err);
	for (size_t i = 0; r == 0 && i < volumes.n; i++) {
		if (quiet)
			(void)puts(volumes.list[i].name); /* main() looks at ferror(stdout) */
		else
			r = verb_row(rows, volume_json(&volumes.list[i], json), err);
	}
	if (r < 0 || quiet)
		return r;
	return table_print(columns, ARRAY_SIZE(columns), rows, json, err);
}

int volume_inspect(struct cli *cli, const char *ref, json_t **ret, struct err *err)
{
	AUTO(volume_fini) struct volume volume = { 0 };
	struct manager *manager;

	int r = cli_manager(cli, &manager, err);
	r = r < 0 ? r : volume_find(&manager->store, ref, &volume, err);
	if (r < 0)
		return r;
	json_t *object = volume_json(&volume, true);
	if (!object)
		return err_set(err, ENOMEM, "inspect %s", ref);
	*ret = object;
	return 0;
}

static int volume_inspect_run(struct cli *cli, const struct args *args, struct err *err)
{
	return inspect_all(cli, args, "volume", err);
}

static int volume_resize_run(struct cli *cli, const struct args *args, struct err *err)
{
	struct manager *manager;
	uint64_t size = 0;

	int r = volume_size_arg(args->argv[1], "SIZE", &size, err);
	r = r < 0 ? r : cli_manager(cli, &manager, err);
	r = r < 0 ? r : volume_resize(&manager->store, args->argv[0], size, err);
	if (r < 0)
		return r;
	(void)puts(args->argv[0]); /* main() looks at ferror(stdout) */
	return 0;
}

/* Of `volume check`; 0: sound. */
enum { VOLUME_LEAKS = 1, VOLUME_DAMAGED = 2 };

static void volume_say_find(void *arg, const char *text)
{
	(void)printf("%s: %s\n", (const char *)arg, text); /* main() looks at ferror(stdout) */
}

/* What is left after a repair, or of a look alone. */
static int volume_status(const struct volume_check *check)
{
	if (check->errors || (check->marked && !check->repaired))
		return VOLUME_DAMAGED;
	return (check->leaks || check->not_closed) && !check->repaired ? VOLUME_LEAKS : 0;
}

static const char *volume_verdict(const struct volume_check *check)
{
	bool any = check->leaks || check->low || check->not_closed || check->marked;

	if (!check->has_structure)
		return "a raw disk: its bytes, and nothing to check";
	if (check->errors > check->low)
		return "damaged: do not write to it, and copy what is left ('qemu-img check -r all' may "
		       "mend it)";
	if (check->repaired)
		return any ? "repaired" : "sound";
	if (volume_status(check) == VOLUME_DAMAGED)
		return "not to be written to before --repair puts it right";
	return any ? "usable: --repair frees what is lost" : "sound";
}

static int volume_check_run(struct cli *cli, const struct args *args, struct err *err)
{
	struct volume_check check;
	struct manager *manager;

	int r = cli_manager(cli, &manager, err);
	r = r < 0 ? r
		  : volume_check(&manager->store, args->argv[0], args_on(args, "repair"),
				 volume_say_find, args->argv[0], &check, err);
	if (r < 0)
		return r;
	if (check.not_closed)
		volume_say_find(args->argv[0], "it was not closed by who wrote it last");
	if (check.marked)
		volume_say_find(args->argv[0], "it is marked as damaged by who wrote it");
	volume_say_find(args->argv[0], volume_verdict(&check));
	return volume_status(&check);
}

static int volume_rm_run(struct cli *cli, const struct args *args, struct err *err)
{
	return verb_remove(cli, args, volume_remove, err);
}

static int volume_prune_run(struct cli *cli, const struct args *args, struct err *err)
{
	AUTO(json_decref_p) json_t *names = NULL;
	bool all = args_on(args, "all");
	struct manager *manager;
	const json_t *name;
	size_t i;

	int r = verb_confirm(args,
			     all ? "Remove all volumes that no instance uses, and their data?"
				 : "Remove the volumes without a name that no instance uses?",
			     err);
	r = r < 0 ? r : cli_manager(cli, &manager, err);
	r = r < 0 ? r : volume_prune(&manager->store, all, &names, err);
	if (r < 0)
		return r;
	json_array_foreach(names, i, name)(void)
		puts(json_string_value(name)); /* main() looks at ferror(stdout) */
	return 0;
}

static const struct cmd volume_create_cmd = {
	.name = "create",
	.operands = "[NAME]",
	.summary = "Make a volume",
	.opts = volume_create_opts,
	.max_operands = 1,
	.run = volume_create_run,
};
static const struct cmd volume_list_cmd = {
	.name = "list",
	.alias = "ls",
	.summary = "List volumes",
	.opts = volume_list_opts,
	.run = volume_list_run,
};
static const struct cmd volume_inspect_cmd = {
	.name = "inspect",
	.operands = "VOLUME...",
	.summary = "Tell all about volumes",
	.opts = volume_inspect_opts,
	.min_operands = 1,
	.max_operands = -1,
	.run = volume_inspect_run,
};
static const struct cmd volume_resize_cmd = {
	.name = "resize",
	.operands = "VOLUME SIZE",
	.summary = "Make a disk larger",
	.min_operands = 2,
	.max_operands = 2,
	.run = volume_resize_run,
};
static const struct cmd volume_check_cmd = {
	.name = "check",
	.operands = "VOLUME",
	.summary = "Look for damage in a qcow2 disk",
	.notes = "Exit status: 0 sound or repaired, 1 clusters are lost (no harm), 2 damaged.",
	.opts = volume_check_opts,
	.min_operands = 1,
	.max_operands = 1,
	.run = volume_check_run,
};
static const struct cmd volume_rm_cmd = {
	.name = "rm",
	.alias = "remove",
	.operands = "VOLUME...",
	.summary = "Remove volumes and their data",
	.min_operands = 1,
	.max_operands = -1,
	.run = volume_rm_run,
};
static const struct cmd volume_prune_cmd = {
	.name = "prune",
	.summary = "Remove volumes that nothing uses",
	.opts = volume_prune_opts,
	.run = volume_prune_run,
};
static const struct cmd *const volume_subs[] = {
	&volume_create_cmd, &volume_list_cmd, &volume_inspect_cmd, &volume_resize_cmd,
	&volume_check_cmd,  &volume_rm_cmd,   &volume_prune_cmd,   NULL,
};

const struct cmd cmd_volume = {
	.name = "volume",
	.summary = "Make, list, remove volumes",
	.subs = volume_subs,
};
