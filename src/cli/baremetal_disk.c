/* SPDX-License-Identifier: Apache-2.0 */
/* strata baremetal disk: a server's disk is prepared on this host. No store is opened: an image is enough. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/core/macros.h"
#include "base/os/json.h"
#include "base/os/log.h"
#include "cli/cmd.h"
#include "cli/table.h"
#include "cli/verb.h"
#include "cli/verbs.h"
#include "engines/baremetal/server_disk.h"

static const struct opt disk_format_opts[] = {
	{ 0, OPT_SWITCH, "force", NULL, "although there is something: it is lost" },
	{ 0, OPT_TEXT, "sector-size", "BYTES", "of an image: 512 (default) or 4096" },
	{ 0 },
};

static int disk_format_run(struct cli *cli, const struct args *args, struct err *err)
{
	const char *sector = args_text(args, "sector-size", NULL);
	int64_t bytes = 0;
	int r = 0;

	(void)cli;
	if (sector)
		r = args_int(sector, "--sector-size", 512, 4096, &bytes, err);
	if (r == 0 && bytes && bytes != 512 && bytes != 4096)
		r = err_say(err, EINVAL, "--sector-size must be 512 or 4096, not %s", sector);
	r = r < 0 ? r
		  : server_disk_format(args->argv[0], (uint32_t)bytes, args_on(args, "force"), err);
	if (r == 0)
		(void)puts(args->argv[0]); /* main() looks at ferror(stdout) */
	return r;
}

/* Opens it, and says what was found wrong with a copy of the table. */
static int disk_open(const char *path, bool write, struct server_disk *disk, struct err *err)
{
	int r = server_disk_open(path, write, disk, err);

	if (r == 0 && disk->note.code)
		log_warn("%s: %s", path, disk->note.text);
	return r;
}

static json_t *extent_json(const struct extent *e, bool json)
{
	char size[32], start[32];

	(void)snprintf(size, sizeof(size), "%" PRIu64 " MiB", e->len_bytes / EXTENTS_UNIT_BYTES);
	(void)snprintf(start, sizeof(start), "%" PRIu64 " MiB",
		       e->start_bytes / EXTENTS_UNIT_BYTES); /* both fit */
	if (!json)
		return json_pack("{s:s, s:s, s:s, s:s}", "name", e->name, "size", size, "start",
				 start, "access",
				 e->flags & EXTENT_READ_ONLY ? "read-only" : "read-write");
	return json_pack("{s:s, s:I, s:I, s:b}", "name", e->name, "size_bytes",
			 (json_int_t)e->len_bytes, "start_bytes", (json_int_t)e->start_bytes,
			 "read_only", (e->flags & EXTENT_READ_ONLY) != 0);
}

static int disk_list_run(struct cli *cli, const struct args *args, struct err *err)
{
	static const struct column columns[] = {
		{ "NAME", "name" }, { "SIZE", "size" }, { "START", "start" }, { "ACCESS", "access" }
	};
	AUTO(server_disk_fini) struct server_disk disk = { .fd = -1 };
	AUTO(json_decref_p) json_t *rows = json_array();
	bool json;

	(void)cli;
	int r = table_format(args, &json, err);
	r = r < 0 ? r : disk_open(args->argv[0], false, &disk, err);
	for (unsigned i = 0; r == 0 && i < disk.table.n; i++)
		r = verb_row(rows, extent_json(&disk.table.at[i], json), err);
	return r < 0 ? r : table_print(columns, ARRAY_SIZE(columns), rows, json, err);
}

static const struct opt disk_add_opts[] = {
	{ 0, OPT_TEXT, "from", "FILE", "what is in it: a raw image" },
	{ 0, OPT_SWITCH, "read-only", NULL, "guests do not write to it" },
	{ 0 },
};

static int disk_add_run(struct cli *cli, const struct args *args, struct err *err)
{
	AUTO(server_disk_fini) struct server_disk disk = { .fd = -1 };
	const char *from = args_text(args, "from", NULL);
	int64_t bytes = 0;
	int r = 0;

	(void)cli;
	if (args->argc == 3)
		r = args_size(args->argv[2], "SIZE", &bytes, err);
	if (r == 0 && bytes <= 0 && (args->argc == 3 || !from))
		r = err_say(err, EINVAL, "an extent needs a SIZE, or --from FILE");
	r = r < 0 ? r : disk_open(args->argv[0], true, &disk, err);
	r = r < 0 ? r
		  : server_disk_add(&disk, args->argv[1], (uint64_t)bytes,
				    args_on(args, "read-only") ? EXTENT_READ_ONLY : 0, from, err);
	if (r == 0)
		(void)puts(args->argv[1]); /* main() looks at ferror(stdout) */
	return r;
}

static int disk_rm_run(struct cli *cli, const struct args *args, struct err *err)
{
	AUTO(server_disk_fini) struct server_disk disk = { .fd = -1 };
	int r = disk_open(args->argv[0], true, &disk, err);

	(void)cli;
	for (int i = 1; r == 0 && i < args->argc; i++) {
		r = server_disk_remove(&disk, args->argv[i], err);
		if (r == 0)
			(void)puts(args->argv[i]); /* main() looks at ferror(stdout) */
	}
	return r;
}

static const struct cmd cmd_disk_format = {
	.name = "format",
	.operands = "FILE",
	.summary = "Make a disk image or block device a server's, with room for extents",
	.notes = "FILE gets a GUID partition table with one partition, Strata's own.",
	.opts = disk_format_opts,
	.min_operands = 1,
	.max_operands = 1,
	.run = disk_format_run,
};
static const struct opt disk_list_opts[] = { OPT_FORMAT, { 0 } };
static const struct cmd cmd_disk_list = {
	.name = "list",
	.alias = "ls",
	.operands = "FILE",
	.summary = "List the extents of a server's disk",
	.opts = disk_list_opts,
	.min_operands = 1,
	.max_operands = 1,
	.run = disk_list_run,
};
static const struct cmd cmd_disk_add = {
	.name = "add",
	.operands = "FILE NAME [SIZE]",
	.summary = "Add an extent, a guest's disk: \"server\": \"strata:NAME\"",
	.notes = "Without --from it is all zeroes, and needs a SIZE, in whole MiB.",
	.opts = disk_add_opts,
	.min_operands = 2,
	.max_operands = 3,
	.run = disk_add_run,
};
static const struct cmd cmd_disk_rm = {
	.name = "rm",
	.operands = "FILE NAME...",
	.summary = "Remove extents",
	.min_operands = 2,
	.max_operands = -1,
	.run = disk_rm_run,
};
static const struct cmd *const disk_subs[] = { &cmd_disk_format, &cmd_disk_list, &cmd_disk_add,
					       &cmd_disk_rm, NULL };
const struct cmd cmd_baremetal_disk = {
	.name = "disk",
	.summary = "The extents of a server's disk, for its guests",
	.subs = disk_subs,
};
