/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/core/err.h"
#include "base/os/db.h"

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
 * userns_assign() - a spec's uid_map and gid_map: 65536 ids that no other instance has
 * Inside the transaction that records the spec: of two commands at once each gets its own.
 * Errors: -ENOSPC, -ENOMEM, and those of reading /etc/subuid and the database.
 */
int userns_assign(struct db *db, json_t *spec, struct err *err);
