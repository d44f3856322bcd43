/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/reader.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pool_block {
	struct pool_block *next;
	max_align_t data[];
};

void *pool_get(struct pool *pool, size_t n, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(n, size, &bytes) ||
	    __builtin_add_overflow(bytes, sizeof(struct pool_block), &bytes))
		return NULL;
	struct pool_block *block = calloc(1, bytes);
	if (!block)
		return NULL;
	block->next = pool->blocks;
	pool->blocks = block;
	return block->data;
}

const char *pool_text(struct pool *pool, const char *fmt, ...)
{
	va_list args, again;

	va_start(args, fmt);
	va_copy(again, args);
	int n = vsnprintf(NULL, 0, fmt, args);
	char *text = n < 0 ? NULL : pool_get(pool, (size_t)n + 1, 1);
	if (text)
		(void)vsnprintf(text, (size_t)n + 1, fmt, again);
	va_end(again);
	va_end(args);
	return text;
}

void pool_fini(struct pool *pool)
{
	while (pool->blocks) {
		struct pool_block *next = pool->blocks->next;
		free(pool->blocks);
		pool->blocks = next;
	}
}

struct reader reader_start(struct reading *all, const json_t *obj)
{
	return (struct reader){ .all = all, .obj = obj };
}

/* What the error quotes may hold anything: one line is what is promised. */
static void reader_one_line(char *text)
{
	for (; *text; text++) {
		if ((unsigned char)*text < ' ' || *text == 127)
			*text = '?';
	}
}

void reader_fail(const struct reader *rd, const char *key, int code, const char *fmt, ...)
{
	char text[256];
	va_list args;

	if (rd->all->failed)
		return;
	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args); /* a cut text is still a text */
	va_end(args);
	reader_one_line(text);
	rd->all->failed =
		err_say(rd->all->err, code, "%s: %s%s %s", rd->all->what, rd->at, key, text);
}

void *reader_get(const struct reader *rd, size_t n, size_t size)
{
	void *data = rd->all->failed ? NULL : pool_get(rd->all->pool, n, size);

	if (!data)
		reader_fail(rd, "", ENOMEM, "takes more memory than there is");
	return data;
}

const json_t *reader_member(const struct reader *rd, const char *key)
{
	const json_t *v = rd->all->failed ? NULL : json_object_get(rd->obj, key);

	return json_is_null(v) ? NULL : v;
}

struct reader reader_enter(const struct reader *rd, const char *key)
{
	struct reader in = { .all = rd->all, .obj = reader_member(rd, key) };

	if (in.obj && !json_is_object(in.obj))
		reader_fail(rd, key, EINVAL, "must be an object");
	if (rd->all->failed)
		in.obj = NULL;
	(void)snprintf(in.at, sizeof(in.at), "%.60s%.40s.", rd->at, key); /* fits */
	return in;
}

const json_t *reader_list(const struct reader *rd, const char *key, size_t *ret_n)
{
	const json_t *list = reader_member(rd, key);

	*ret_n = 0;
	if (!list)
		return NULL;
	if (!json_is_array(list)) {
		reader_fail(rd, key, EINVAL, "must be an array");
		return NULL;
	}
	*ret_n = json_array_size(list);
	return list;
}

struct reader reader_item(const struct reader *rd, const char *key, const json_t *list, size_t i)
{
	struct reader in = { .all = rd->all, .obj = json_array_get(list, i) };
	char name[64];

	(void)snprintf(name, sizeof(name), "%.30s[%zu]", key, i); /* fits */
	if (!json_is_object(in.obj))
		reader_fail(rd, name, EINVAL, "must be an object");
	if (rd->all->failed)
		in.obj = NULL;
	(void)snprintf(in.at, sizeof(in.at), "%.50s%s.", rd->at, name); /* fits */
	return in;
}

static const char *reader_text(const struct reader *rd, const char *key, const json_t *v)
{
	if (!json_is_string(v)) {
		reader_fail(rd, key, EINVAL, "must be a string");
		return NULL;
	}
	if (strlen(json_string_value(v)) != json_string_length(v)) {
		reader_fail(rd, key, EINVAL, "must not hold a NUL character");
		return NULL;
	}
	return json_string_value(v);
}

const char *reader_str(const struct reader *rd, const char *key, const char *dflt)
{
	const json_t *v = reader_member(rd, key);
	const char *text = v ? reader_text(rd, key, v) : NULL;

	return text ? text : dflt;
}

const char *reader_path(const struct reader *rd, const char *key)
{
	const char *path = reader_str(rd, key, NULL);

	if (!path)
		reader_fail(rd, key, EINVAL, "is missing");
	else if (path[0] != '/')
		reader_fail(rd, key, EINVAL, "must be an absolute path");
	return rd->all->failed ? "/" : path;
}

bool reader_bool(const struct reader *rd, const char *key, bool dflt)
{
	const json_t *v = reader_member(rd, key);

	if (v && !json_is_boolean(v))
		reader_fail(rd, key, EINVAL, "must be true or false");
	return v && json_is_boolean(v) ? json_is_true(v) : dflt;
}

int64_t reader_int(const struct reader *rd, const char *key, int64_t min, int64_t max, int64_t dflt)
{
	const json_t *v = reader_member(rd, key);

	if (!v)
		return dflt;
	if (!json_is_integer(v) || json_integer_value(v) < min || json_integer_value(v) > max) {
		reader_fail(rd, key, EINVAL, "must be a whole number from %" PRId64 " to %" PRId64,
			    min, max);
		return dflt;
	}
	return json_integer_value(v);
}

uint32_t reader_u32(const struct reader *rd, const char *key, uint32_t dflt)
{
	return (uint32_t)reader_int(rd, key, 0, UINT32_MAX, dflt);
}

/* The parser keeps whole numbers of 63 bits, and what is larger as a real one. */
uint64_t reader_u64(const struct reader *rd, const char *key, uint64_t dflt)
{
	const json_t *v = reader_member(rd, key);

	if (v && json_is_real(v) && json_real_value(v) >= 9223372036854775807.0 &&
	    json_real_value(v) <= 18446744073709551616.0)
		return UINT64_MAX;
	return (uint64_t)reader_int(rd, key, 0, INT64_MAX, (int64_t)dflt);
}

const char **reader_strings(const struct reader *rd, const char *key, size_t *ret_n)
{
	static const char *nothing[] = { NULL };
	size_t n;
	const json_t *list = reader_list(rd, key, &n);
	const char **texts = reader_get(rd, n + 1, sizeof(*texts));

	for (size_t i = 0; texts && i < n; i++) {
		char name[64];
		(void)snprintf(name, sizeof(name), "%.30s[%zu]", key, i); /* fits */
		texts[i] = reader_text(rd, name, json_array_get(list, i));
	}
	*ret_n = rd->all->failed ? 0 : n;
	return texts ? texts : nothing;
}

int reader_word(const struct reader *rd, const char *key, const char *const words[], int dflt)
{
	const char *text = reader_str(rd, key, NULL);

	if (!text) {
		if (dflt < 0)
			reader_fail(rd, key, EINVAL, "is missing");
		return dflt < 0 ? 0 : dflt;
	}
	for (int i = 0; words[i]; i++) {
		if (!strcmp(words[i], text))
			return i;
	}
	reader_fail(rd, key, EINVAL, "'%.40s' is not known", text);
	return 0;
}

/* true: nothing is asked, by a writer that spells out what it leaves alone. */
static bool reader_is_idle(const json_t *v, unsigned depth)
{
	const char *key;
	json_t *inner;

	if (!v || json_is_null(v) || json_is_false(v))
		return true;
	if (json_is_string(v))
		return !json_string_length(v);
	if (json_is_integer(v))
		return json_integer_value(v) == 0;
	if (json_is_array(v))
		return !json_array_size(v);
	if (!json_is_object(v) || depth == 4)
		return false;
	json_object_foreach((json_t *)(uintptr_t)v, key, inner)
	{
		if (!reader_is_idle(inner, depth + 1))
			return false;
	}
	return true;
}

void reader_refuse(const struct reader *rd, const char *key, const char *why)
{
	if (!reader_is_idle(reader_member(rd, key), 0))
		reader_fail(rd, key, ENOTSUP, "is not supported%s%s", why ? ": " : "",
			    why ? why : "");
}
