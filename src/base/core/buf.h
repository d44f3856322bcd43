/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A growable byte string that is always NUL-terminated once something was added. Out of memory is
 * sticky: adding to a failed buffer does nothing, and buf_failed() says so once, at the end.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/core/macros.h"

struct buf {
	char *data; /* owned; NULL while empty */
	size_t len; /* bytes, without the NUL */
	size_t cap;
	bool failed;
};

void buf_fini(struct buf *buf); /* for AUTO; leaves an empty, usable buffer */

/* Each returns 0, or -ENOMEM and keeps what was there. */
int buf_reserve(struct buf *buf, size_t more);
int buf_add(struct buf *buf, const void *data, size_t len);
int buf_adds(struct buf *buf, const char *s);
int buf_printf(struct buf *buf, const char *fmt, ...) PRINTF_LIKE(2, 3);

/*
 * buf_shift() - the first *at bytes are done with: a queue, which who fills it never finds empty
 * They go when all are, or as many as are left: *at is less then. No more is held than twice what waits, and a little.
 */
void buf_shift(struct buf *buf, size_t *at);

/* buf_str() - the text, "" while empty; borrowed until the next change. */
const char *buf_str(const struct buf *buf);
/* buf_steal() - the text, now the caller's to free(); NULL where nothing was added or memory ran out. */
char *buf_steal(struct buf *buf);
