/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Requests that wait in a disk's back end, the first to come first. What links them is backend[DISK_ROW_NEXT], which is the row's
 * while they are in it; no memory is taken, and locking is the owner's. A row stays where it was initialised.
 */
#include <stdbool.h>
#include <stddef.h>

#include "machine/ops.h"

#define DISK_ROW_NEXT 0U

struct disk_row {
	struct disk_request *first; /* NULL: nobody waits */
	struct disk_request **end;
};

static inline struct disk_request **disk_row_next(struct disk_request *req)
{
	return (struct disk_request **)(void *)&req->backend[DISK_ROW_NEXT];
}

static inline void disk_row_init(struct disk_row *row)
{
	row->first = NULL;
	row->end = &row->first;
}

static inline void disk_row_put(struct disk_row *row, struct disk_request *req)
{
	*disk_row_next(req) = NULL;
	*row->end = req;
	row->end = disk_row_next(req);
}

/* disk_row_remove() - Return: false: it is not in it */
static inline bool disk_row_remove(struct disk_row *row, const struct disk_request *req)
{
	struct disk_request **at = &row->first;

	while (*at && *at != req)
		at = disk_row_next(*at);
	if (!*at)
		return false;
	*at = *disk_row_next(*at);
	if (!*at)
		row->end = at;
	return true;
}

/* disk_row_take() - the first; NULL: nobody waits */
static inline struct disk_request *disk_row_take(struct disk_row *row)
{
	struct disk_request *req = row->first;

	if (req)
		(void)disk_row_remove(row, req);
	return req;
}
