/* SPDX-License-Identifier: Apache-2.0 */
/* --userns auto: ids of its own for each instance, so that whoever breaks out is nobody, and not its neighbour. */
#include "manager/userns.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/os/file.h"
#include "base/os/json.h"

#define USERNS_BLOCK	UINT32_C(65536)
#define USERNS_END	UINT32_C(0x7fffffff)
#define USERNS_FILE_MAX (1 << 20)

void userns_fini(struct userns_ranges *ranges)
{
	free(ranges->of);
	*ranges = (struct userns_ranges){ 0 };
}

int userns_add(struct userns_ranges *ranges, uint64_t first, uint64_t count)
{
	if (ranges->n == ranges->cap) {
		size_t cap = ranges->cap ? ranges->cap * 2 : 32;
		struct userns_range *of = realloc(ranges->of, cap * sizeof(*of));
		if (!of)
			return -ENOMEM;
		ranges->of = of;
		ranges->cap = cap;
	}
	ranges->of[ranges->n++] = (struct userns_range){ first, first + count };
	return 0;
}

/* "NAME:FIRST:COUNT" of subuid(5); any other line is none of ours. */
static int userns_line(const char *line, struct userns_ranges *ours, struct userns_ranges *taken)
{
	uint32_t first, count;
	size_t name = strcspn(line, ":");

	if (!line[name] || sscanf(line + name, ":%" SCNu32 ":%" SCNu32, &first, &count) != 2)
		return 0;
	bool is_ours = (name == 10 && !memcmp(line, "containers", name)) ||
		       (name == 6 && !memcmp(line, "strata", name));
	return userns_add(is_ours ? ours : taken, first, count);
}

int userns_parse(char *text, struct userns_ranges *ours, struct userns_ranges *taken)
{
	char *save = NULL;
	int r = 0;

	for (char *line = strtok_r(text, "\n", &save); line && r == 0;
	     line = strtok_r(NULL, "\n", &save))
		r = userns_line(line, ours, taken);
	return r;
}

/* The lowest free block in a range; 0: there is none. Every step passes one taken range for good. */
static uint32_t userns_free(const struct userns_range *range, const struct userns_ranges *taken)
{
	uint64_t at = range->first ? range->first : USERNS_BLOCK; /* never the host's root */

	for (size_t i = 0; i < taken->n && at + USERNS_BLOCK <= range->end;) {
		const struct userns_range *t = &taken->of[i];
		if (t->first < at + USERNS_BLOCK && at < t->end) {
			at = t->end;
			i = 0;
		} else {
			i++;
		}
	}
	return at + USERNS_BLOCK <= range->end && at <= USERNS_END ? (uint32_t)at : 0;
}

uint32_t userns_pick(const struct userns_ranges *ours, const struct userns_ranges *taken)
{
	/*
	 * Where nobody was given a range for us: first what systemd.io/UIDS-GIDS calls unused, as neither useradd (SUB_UID_MAX of
	 * login.defs(5)) nor systemd will hand it out; then anything.
	 */
	static const struct userns_range any[] = {
		{ UINT32_C(0x70000000), UINT32_C(0x7ffe0000) },
		{ UINT32_C(1) << 20, USERNS_END },
	};
	uint32_t first = 0;

	for (size_t i = 0; !first && !ours->n && i < ARRAY_SIZE(any); i++)
		first = userns_free(&any[i], taken);
	for (size_t i = 0; !first && i < ours->n; i++)
		first = userns_free(&ours->of[i], taken);
	return first;
}

/* Whether by us or by their users. */
int userns_rows(struct db *db, const char *member, struct userns_ranges *taken, struct err *err)
{
	AUTO(db_stmt_p) sqlite3_stmt *stmt = NULL;
	int r = db_prepare(
		db, &stmt, err,
		"SELECT json_extract(m.value, '$.outside'), json_extract(m.value, '$.size') "
		"FROM instance, json_each(instance.spec, '$.' || ?) AS m",
		"s", member);

	while (r == 0 && (r = db_step(db, stmt, err)) == 1) {
		r = userns_add(taken, (uint64_t)db_col_int(stmt, 0), (uint64_t)db_col_int(stmt, 1));
		if (r < 0)
			return err_set(err, ENOMEM, "user namespace");
	}
	return r;
}

static int userns_map(struct store *store, int lock, json_t *spec, const char *member,
		      const char *path, struct err *err)
{
	AUTO(userns_fini) struct userns_ranges ours = { 0 };
	AUTO(userns_fini) struct userns_ranges taken = { 0 };
	AUTO(buf_fini) struct buf text = { 0 };
	int r = file_read(AT_FDCWD, path, USERNS_FILE_MAX, &text);

	if (r < 0 && r != -ENOENT)
		return err_set(err, -r, "read %s", path);
	if (r == 0 && text.len && userns_parse(text.data, &ours, &taken) < 0)
		return err_set(err, ENOMEM, "user namespace");
	r = userns_rows(&store->db, member, &taken, err);
	if (r == 0)
		r = userns_others(store, lock, member, &taken, err);
	if (r < 0)
		return r;
	uint32_t first = userns_pick(&ours, &taken);
	if (!first)
		return err_say(
			err, ENOSPC,
			"--userns auto: no 65536 ids are free%s%s: remove instances, or give it more ids",
			ours.n ? " in the ranges of containers or strata in " : "",
			ours.n ? path : "");
	json_t *map = json_pack("[{s:i,s:I,s:I}]", "inside", 0, "outside", (json_int_t)first,
				"size", (json_int_t)USERNS_BLOCK);
	return json_object_set_new(spec, member, map) ? err_set(err, ENOMEM, "user namespace") : 0;
}

int userns_assign(struct store *store, int lock, json_t *spec, struct err *err)
{
	int r = userns_map(store, lock, spec, "uid_map", "/etc/subuid", err);

	return r < 0 ? r : userns_map(store, lock, spec, "gid_map", "/etc/subgid", err);
}
