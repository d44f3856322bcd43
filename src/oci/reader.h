/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Reading a configuration that its writer may have got wrong in any way, member by member. The first failure sticks: every
 * read after it gives the default, so the reader is asked once, at the end. The error names the place: "linux.devices[2].path".
 */
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/core/err.h"

/* Memory that lives as long as what was read. */
struct pool {
	struct pool_block *blocks;
};
/* pool_get() - zeroed; NULL on ENOMEM */
void *pool_get(struct pool *pool, size_t n, size_t size);
/* pool_text() - formatted; NULL on ENOMEM */
const char *pool_text(struct pool *pool, const char *fmt, ...) PRINTF_LIKE(2, 3);
void pool_fini(struct pool *pool); /* a zeroed one is a no-op */

struct reading {
	const char *what; /* "config.json" */
	struct pool *pool;
	int failed; /* 0 or a negative errno */
	struct err *err;
};

struct reader {
	struct reading *all;
	const json_t *obj; /* NULL: absent, everything has its default */
	char at[120]; /* "linux.devices[2]." in front of a member's name; cut where it is longer */
};

struct reader reader_start(struct reading *all, const json_t *obj);
/* reader_fail() - the member is wrong, and how; reader_nomem() */
void reader_fail(const struct reader *rd, const char *key, int code, const char *fmt, ...)
	PRINTF_LIKE(4, 5);
void *reader_get(const struct reader *rd, size_t n, size_t size); /* from the pool; fails */

/* Members; null counts as absent. */
const json_t *reader_member(const struct reader *rd, const char *key);
struct reader reader_enter(const struct reader *rd,
			   const char *key); /* an object; absent is fine */
const json_t *reader_list(const struct reader *rd, const char *key, size_t *ret_n);
/* reader_item() - the object at a place of a list */
struct reader reader_item(const struct reader *rd, const char *key, const json_t *list, size_t i);
const char *reader_str(const struct reader *rd, const char *key, const char *dflt);
/* reader_path() - absolute; required */
const char *reader_path(const struct reader *rd, const char *key);
bool reader_bool(const struct reader *rd, const char *key, bool dflt);
int64_t reader_int(const struct reader *rd, const char *key, int64_t min, int64_t max,
		   int64_t dflt);
uint32_t reader_u32(const struct reader *rd, const char *key, uint32_t dflt);
/* reader_u64() - up to 2^64 - 1; JSON's writers of larger numbers than 2^63 - 1 mean "no limit" */
uint64_t reader_u64(const struct reader *rd, const char *key, uint64_t dflt);
/* reader_strings() - a NULL-ended array of the pool's; never NULL, but after a failure its only member is NULL */
const char **reader_strings(const struct reader *rd, const char *key, size_t *ret_n);
/* reader_word() - the index of a text in a NULL-ended list; dflt < 0: it is required. Always a valid index. */
int reader_word(const struct reader *rd, const char *key, const char *const words[], int dflt);
/* reader_refuse() - -ENOTSUP where a member is there and is not false, 0, "" or empty */
void reader_refuse(const struct reader *rd, const char *key, const char *why);
