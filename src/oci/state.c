/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/os/fd.h"
#include "base/os/json.h"
#include "oci/oci.h"

static const struct opt state_opts[] = { { 0 } };

static int state(const struct oci *oci, const struct args *args, struct err *err)
{
	AUTO(oci_close) struct subject subject;
	int r = oci_open(oci, args->argv[0], &subject, err);

	if (r < 0)
		return r;
	bool stopped = subject.status == CONTAINER_STOPPED;
	char *text = container_state(&subject.container, &subject.config, subject.status,
				     stopped ? 0 : subject.container.pid);
	if (!text)
		return err_set(err, ENOMEM, "state");
	(void)puts(text); /* main looks at the stream's end */
	free(text);
	return 0;
}

const struct verb oci_verb_state = {
	.name = "state",
	.operands = "ID",
	.summary = "print the state of a container",
	.opts = state_opts,
	.min_operands = 1,
	.max_operands = 1,
	.run = state,
};

static const struct opt list_opts[] = {
	{ 'f', OPT_TEXT, "format", "FORMAT", "table (default) or json" },
	{ 'q', OPT_SWITCH, "quiet", NULL, "only the ids" },
	{ 0 },
};

static json_t *list_row(const struct subject *subject)
{
	const bool stopped = subject->status == CONTAINER_STOPPED;
	struct stat st = { .st_uid = 0 };
	char owner[16];

	(void)fstat(subject->container.dir, &st);	       /* else it is root's */
	(void)snprintf(owner, sizeof(owner), "%u", st.st_uid); /* fits */
	return json_pack("{s:s, s:s, s:i, s:s, s:s, s:s, s:s}", "ociVersion", CONFIG_VERSION, "id",
			 subject->container.id, "pid", stopped ? 0 : (int)subject->container.pid,
			 "status", container_status_names[subject->status], "bundle",
			 subject->container.bundle, "created", subject->container.created, "owner",
			 st.st_uid == 0 ? "root" : owner);
}

/* One that goes while we look is not there. */
static json_t *list_rows(const struct oci *oci, struct err *err)
{
	DIR *dir = opendir(oci->root);
	const struct dirent *entry;

	if (!dir && errno != ENOENT) { /* that: none was ever made */
		(void)err_set(err, errno, "open %s", oci->root);
		return NULL;
	}
	if (dir && container_check_owner(dirfd(dir), oci->root, err) < 0) {
		dir_close_p(&dir);
		return NULL;
	}
	json_t *rows = json_array();
	if (!rows)
		(void)err_set(err, ENOMEM, "list");
	while (dir && rows && (entry = readdir(dir))) {
		struct subject subject;
		if (entry->d_name[0] == '.' || oci_open(oci, entry->d_name, &subject, NULL) < 0)
			continue;
		(void)json_array_append_new(rows,
					    list_row(&subject)); /* one less where memory ran out */
		oci_close(&subject);
	}
	dir_close_p(&dir);
	return rows;
}

static int list_table(const json_t *rows, bool quiet)
{
	size_t i;
	json_t *row;

	if (!quiet)
		(void)printf("%-24s %-8s %-9s %-30s %-32s %s\n", "ID", "PID", "STATUS", "BUNDLE",
			     "CREATED", "OWNER");
	json_array_foreach((json_t *)(uintptr_t)rows, i, row)
	{
		if (quiet)
			(void)puts(json_str(row, "id", ""));
		else
			(void)printf("%-24s %-8d %-9s %-30s %-32s %s\n", json_str(row, "id", ""),
				     (int)json_int(row, "pid", 0), json_str(row, "status", ""),
				     json_str(row, "bundle", ""), json_str(row, "created", ""),
				     json_str(row, "owner", ""));
	}
	return 0;
}

static int list(const struct oci *oci, const struct args *args, struct err *err)
{
	const char *format = args_text(args, "format", "table");
	const bool json = !strcmp(format, "json");

	if (!json && strcmp(format, "table") != 0)
		return err_say(err, EINVAL, "--format %.40s: must be table or json", format);
	AUTO(json_decref_p) json_t *rows = list_rows(oci, err);
	if (!rows)
		return -EIO;
	if (!json || args_on(args, "quiet"))
		return list_table(rows, args_on(args, "quiet"));
	char *text = json_text(rows, 0);
	if (!text)
		return err_set(err, ENOMEM, "list");
	(void)puts(text); /* main looks at the stream's end */
	free(text);
	return 0;
}

const struct verb oci_verb_list = {
	.name = "list",
	.operands = "",
	.summary = "list containers",
	.opts = list_opts,
	.run = list,
};
