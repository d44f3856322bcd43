/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/core/err.h"
#include "base/os/db.h"
#include "base/os/store.h"

/* Ids of the host: first up to, but not, end. */
struct userns_range {
	uint64_t first, end;
};
struct userns_ranges {
	struct userns_range *of;
	size_t n, cap;
};

void userns_fini(struct userns_ranges *ranges);				      /* for AUTO */
int userns_add(struct userns_ranges *ranges, uint64_t first, uint64_t count); /* -ENOMEM */
/*
 * userns_parse() - subuid(5): what the users "containers" and "strata" were given, and what everybody else
 * @text: cut up in place; lines of another form do not count
 * Errors: -ENOMEM.
 */
int userns_parse(char *text, struct userns_ranges *ours, struct userns_ranges *taken);
/* userns_pick() - the first id of 65536 free ones, within ours where there is any; 0: none. */
uint32_t userns_pick(const struct userns_ranges *ours, const struct userns_ranges *taken);
/*
 * userns_lock() - from here on no other store of this host gives ids to an instance, until the fd is closed
 * In a transaction or outside of any, but not before one.
 */
int userns_lock(struct err *err);
/*
 * userns_assign() - a spec's uid_map and gid_map: 65536 ids that no other instance has, in whichever store of this host
 * Inside the transaction that records the spec: of two commands at once each gets its own.  @lock: userns_lock()'s
 * Errors: -ENOSPC, -ENOMEM, and those of reading /etc/subuid, the database and the records of other stores.
 */
int userns_assign(struct store *store, int lock, json_t *spec, struct err *err);
/*
 * userns_record() - tell the other stores what this one's instances have, by its rows as they are
 * Before a new row is committed, and after one was removed: what may be in use is never told to be free.
 */
int userns_record(struct store *store, int lock, struct err *err);

/* Between the two files of this. */
/* userns_rows() - add what this store's instances have.  @member: uid_map or gid_map */
int userns_rows(struct db *db, const char *member, struct userns_ranges *taken, struct err *err);
/* userns_others() - add what other stores' have, and remove the records of stores that are gone */
int userns_others(struct store *store, int lock, const char *member, struct userns_ranges *taken,
		  struct err *err);
