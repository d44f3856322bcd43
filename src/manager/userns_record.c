/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation. Ids belong to the host, stores do not know of each other: each has a record of its instances' ids in a
 * directory of the host's, which the others read. A record is a function of the store's rows, written whole, under a lock on the
 * directory; it is named by the digest of the store's root, which it names too: where there is no database any more, the record
 * goes. It outlasts a reboot, as an instance's files do, which have its ids.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os/digest.h"
#include "base/os/fd.h"
#include "base/os/file.h"
#include "base/os/json.h"
#include "manager/userns.h"

#define RECORD_DIR	"/var/lib/strata-ids"
#define RECORD_FILE_MAX (64u << 20)

int userns_lock(struct err *err)
{
	struct stat st;

	if (mkdir(RECORD_DIR, 0700) < 0 && errno != EEXIST)
		return err_set(err, errno, "make %s, where stores tell each other their ids",
			       RECORD_DIR);
	AUTO(fd_close_p)
	int fd = open(RECORD_DIR, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(err, errno, "open %s", RECORD_DIR);
	if (st.st_uid != geteuid())
		return err_say(err, EPERM, "%s belongs to another user", RECORD_DIR);
	int r = fd_lock(fd);
	return r < 0 ? err_set(err, -r, "lock %s", RECORD_DIR) : fd_take(&fd);
}

/* ---- others' ---- */

static int record_add(const json_t *record, const char *member, struct userns_ranges *taken)
{
	size_t i;
	json_t *range;
	int r = 0;

	json_array_foreach(json_object_get(record, member), i, range)
	{
		int64_t first = json_int(range, "outside", -1), size = json_int(range, "size", -1);
		if (first < 0 || first > UINT32_MAX || size < 0 || size > UINT32_MAX)
			return -EBADMSG;
		if (r == 0)
			r = userns_add(taken, (uint64_t)first, (uint64_t)size);
	}
	return r;
}

static bool record_is_dead(const json_t *record)
{
	AUTO(buf_fini) struct buf path = { 0 };

	return buf_printf(&path, "%s/strata.db", json_str(record, "root", "")) == 0 &&
	       access(path.data, F_OK) < 0 && (errno == ENOENT || errno == ENOTDIR);
}

static int record_read(int lock, const char *name, const char *member, struct userns_ranges *taken,
		       struct err *err)
{
	AUTO(json_decref_p) json_t *record = NULL;
	AUTO(buf_fini) struct buf text = { 0 };
	int r = file_read(lock, name, RECORD_FILE_MAX, &text);

	if (r < 0)
		return err_set(err, -r, "read %s/%s", RECORD_DIR, name);
	r = json_parse(buf_str(&text), text.len, "ids of another store", &record, err);
	if (r < 0)
		return err_wrap(err, "read %s/%s", RECORD_DIR, name);
	if (record_is_dead(record)) {
		(void)unlinkat(lock, name, 0); /* the next one tries again */
		return 0;
	}
	r = record_add(record, member, taken);
	return r < 0 ? err_set(err, -r, "read %s/%s", RECORD_DIR, name) : 0;
}

int userns_others(struct store *store, int lock, const char *member, struct userns_ranges *taken,
		  struct err *err)
{
	char own[DIGEST_HEX + 1];
	int r = 0;

	digest_of(store->root, strlen(store->root), own);
	AUTO(fd_close_p) int fd = openat(lock, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO(dir_close_p) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir)
		return err_set(err, errno, "list %s", RECORD_DIR);
	(void)fd_take(&fd); /* it is dir's */
	for (struct dirent *e = readdir(dir); r == 0 && e; e = readdir(dir)) {
		if (!digest_is_hex(e->d_name))
			(void)unlinkat(lock, e->d_name, 0); /* half of one: we have the lock */
		else if (strcmp(e->d_name, own) != 0)
			r = record_read(lock, e->d_name, member, taken, err);
	}
	return r;
}

/* ---- our own ---- */

static int record_member(struct store *store, json_t *record, const char *member, bool *ret_any,
			 struct err *err)
{
	AUTO(userns_fini) struct userns_ranges ranges = { 0 };
	json_t *array = json_array();
	int r = userns_rows(&store->db, member, &ranges, err);

	for (size_t i = 0; r == 0 && i < ranges.n; i++) {
		const struct userns_range *range = &ranges.of[i];
		json_t *one = json_pack("{s:I,s:I}", "outside", (json_int_t)range->first, "size",
					(json_int_t)(range->end - range->first));
		if (json_array_append_new(array, one))
			r = err_set(err, ENOMEM, "user namespace");
	}
	if (json_object_set_new(record, member, array) && r == 0)
		r = err_set(err, ENOMEM, "user namespace");
	*ret_any = *ret_any || ranges.n;
	return r;
}

int userns_record(struct store *store, int lock, struct err *err)
{
	AUTO(json_decref_p) json_t *record = json_pack("{s:s}", "root", store->root);
	char name[DIGEST_HEX + 1];
	bool any = false;
	int r = record_member(store, record, "uid_map", &any, err);

	if (r == 0)
		r = record_member(store, record, "gid_map", &any, err);
	if (r < 0)
		return r;
	digest_of(store->root, strlen(store->root), name);
	if (!any)
		return unlinkat(lock, name, 0) < 0 && errno != ENOENT
			       ? err_set(err, errno, "remove %s/%s", RECORD_DIR, name)
			       : 0;
	char *text = json_text(record, 0);
	if (!text)
		return err_set(err, ENOMEM, "user namespace");
	r = file_replace(lock, name, 0600, text, strlen(text), true);
	free(text);
	return r < 0 ? err_set(err, -r, "write %s/%s", RECORD_DIR, name) : 0;
}
