/* SPDX-License-Identifier: Apache-2.0 */
#include "base/core/extents.h"

#include <errno.h>
#include <string.h>

#include "base/core/bytes.h"
#include "base/core/crc32.h"

#define VERSION	    1U
#define ENTRY_BYTES 64U
#define COPY_GAP    (UINT64_C(512) << 10)
#define KNOWN_FLAGS EXTENT_READ_ONLY

enum head_field { HEAD_VERSION = 8, HEAD_CRC = 12, HEAD_GENERATION = 16, HEAD_N = 24 };
enum entry_field { ENTRY_FIRST = 24, ENTRY_LEN = 32, ENTRY_FLAGS = 40 };

static const char magic[8] = { 'S', 'T', 'R', 'A', 'T', 'A', 'X', 'T' };

const uint8_t extents_type[16] = { 0x52, 0x3c, 0x1d, 0x8f, 0x0b, 0x6a, 0x7d, 0x4e,
				   0x9c, 0x24, 0x53, 0x54, 0x52, 0x41, 0x54, 0x41 };

_Static_assert(ENTRY_BYTES *(EXTENTS_MAX + 1) <= EXTENTS_COPY_BYTES, "they fit");

static bool is_alnum(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool extents_name_ok(const char *name)
{
	size_t i = 0;

	while (i < EXTENTS_NAME_BYTES &&
	       (is_alnum(name[i]) || (i && (name[i] == '.' || name[i] == '_' || name[i] == '-'))))
		i++;
	return i && i < EXTENTS_NAME_BYTES && !name[i];
}

uint64_t extents_copy_offset(unsigned copy)
{
	return copy ? COPY_GAP : 0;
}

void extents_init(struct extents *table, uint64_t part_bytes)
{
	memset(table, 0, sizeof(*table));
	table->part_bytes = part_bytes;
}

static bool overlap(const struct extent *a, const struct extent *b)
{
	return a->start_bytes < b->start_bytes + b->len_bytes &&
	       b->start_bytes < a->start_bytes + a->len_bytes;
}

static bool is_zero(const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (bytes[i])
			return false;
	}
	return true;
}

/* The name is all of its field: what is behind its end is zero. */
static bool name_read(const uint8_t *from, char to[EXTENTS_NAME_BYTES])
{
	size_t len = 0;

	memcpy(to, from, EXTENTS_NAME_BYTES);
	if (!extents_name_ok(to))
		return false;
	while (to[len])
		len++;
	return is_zero(from + len, EXTENTS_NAME_BYTES - len);
}

/* Appends one entry. */
static int entry_read(const uint8_t *entry, struct extents *table, struct err *err)
{
	uint64_t first = le64_load(entry + ENTRY_FIRST), len = le64_load(entry + ENTRY_LEN);
	uint64_t units = table->part_bytes / EXTENTS_UNIT_BYTES;
	struct extent *e = &table->at[table->n];

	if (!name_read(entry, e->name))
		return err_say(err, EBADMSG, "the name of extent %u is none", table->n);
	e->flags = le32_load(entry + ENTRY_FLAGS);
	if (e->flags & ~KNOWN_FLAGS ||
	    !is_zero(entry + ENTRY_FLAGS + 4, ENTRY_BYTES - ENTRY_FLAGS - 4))
		return err_say(err, EBADMSG, "extent %s has flags that nobody knows", e->name);
	if (!first || !len || first >= units || len > units - first)
		return err_say(err, EBADMSG, "extent %s is not inside of the partition", e->name);
	e->start_bytes = first * EXTENTS_UNIT_BYTES;
	e->len_bytes = len * EXTENTS_UNIT_BYTES;
	for (unsigned i = 0; i < table->n; i++) {
		if (!memcmp(table->at[i].name, e->name, EXTENTS_NAME_BYTES))
			return err_say(err, EBADMSG, "two extents are called %s", e->name);
		if (overlap(&table->at[i], e))
			return err_say(err, EBADMSG, "extents %s and %s overlap", table->at[i].name,
				       e->name);
	}
	table->n++;
	return 0;
}

static uint32_t copy_crc(const uint8_t *copy)
{
	static const uint8_t zero[4];
	uint32_t crc = crc32_add(0, copy, HEAD_CRC);

	crc = crc32_add(crc, zero, sizeof(zero));
	return crc32_add(crc, copy + HEAD_CRC + 4, EXTENTS_COPY_BYTES - HEAD_CRC - 4);
}

int extents_read_copy(const uint8_t *copy, uint64_t part_bytes, struct extents *ret,
		      struct err *err)
{
	extents_init(ret, part_bytes);
	if (memcmp(copy, magic, sizeof(magic)) != 0)
		return err_say(err, ENODATA, "there is no table");
	if (copy_crc(copy) != le32_load(copy + HEAD_CRC))
		return err_say(err, EBADMSG, "its checksum is wrong");
	if (le32_load(copy + HEAD_VERSION) != VERSION)
		return err_say(err, EBADMSG, "its version is %u, not %u",
			       le32_load(copy + HEAD_VERSION), VERSION);
	uint32_t n = le32_load(copy + HEAD_N);
	ret->generation = le64_load(copy + HEAD_GENERATION);
	if (n > EXTENTS_MAX || ret->generation == UINT64_MAX)
		return err_say(err, EBADMSG, "its head makes no sense");
	size_t used = (size_t)ENTRY_BYTES * (n + 1);
	if (!is_zero(copy + HEAD_N + 4, ENTRY_BYTES - HEAD_N - 4) ||
	    !is_zero(copy + used, EXTENTS_COPY_BYTES - used))
		return err_say(err, EBADMSG, "there is something where nothing may be");
	int r = 0;
	for (uint32_t i = 0; r == 0 && i < n; i++)
		r = entry_read(copy + (size_t)ENTRY_BYTES * (i + 1), ret, err);
	return r;
}

int extents_read(const uint8_t *const copies[EXTENTS_COPIES], uint64_t part_bytes,
		 struct extents *ret, struct err *err)
{
	struct err why[EXTENTS_COPIES] = { { 0 } };
	uint64_t generation[EXTENTS_COPIES];
	int r[EXTENTS_COPIES];

	for (unsigned i = 0; i < EXTENTS_COPIES; i++) {
		r[i] = extents_read_copy(copies[i], part_bytes, ret, &why[i]);
		generation[i] = ret->generation;
	}
	if (r[0] == -ENODATA && r[1] == -ENODATA)
		return err_say(err, ENODATA, "there is no table");
	if (r[0] < 0 && r[1] < 0)
		return err_say(err, EBADMSG, "neither copy of the table is good: %.200s; %.200s",
			       why[0].text, why[1].text);
	unsigned best = r[0] == 0 && (r[1] < 0 || generation[0] >= generation[1]) ? 0 : 1;
	if (r[!best] < 0)
		(void)err_say(err, -r[!best],
			      "copy %u of the table is refused (%.300s), copy %u is used", !best,
			      why[!best].text, best);
	int again = extents_read_copy(copies[best], part_bytes, ret, &why[best]);
	ret->copy = best;
	return again;
}

void extents_build(const struct extents *table, uint8_t *copy)
{
	memset(copy, 0, EXTENTS_COPY_BYTES);
	memcpy(copy, magic, sizeof(magic));
	le32_store(copy + HEAD_VERSION, VERSION);
	le64_store(copy + HEAD_GENERATION, table->generation);
	le32_store(copy + HEAD_N, table->n);
	for (unsigned i = 0; i < table->n; i++) {
		uint8_t *entry = copy + (size_t)ENTRY_BYTES * (i + 1);
		const struct extent *e = &table->at[i];
		memcpy(entry, e->name, EXTENTS_NAME_BYTES);
		le64_store(entry + ENTRY_FIRST, e->start_bytes / EXTENTS_UNIT_BYTES);
		le64_store(entry + ENTRY_LEN, e->len_bytes / EXTENTS_UNIT_BYTES);
		le32_store(entry + ENTRY_FLAGS, e->flags);
	}
	le32_store(copy + HEAD_CRC, copy_crc(copy));
}

/* A good name, with zeroes to the end of its field: names compare as memory. */
static void name_pad(const char *name, char to[EXTENTS_NAME_BYTES])
{
	memset(to, 0, EXTENTS_NAME_BYTES);
	for (size_t i = 0; name[i]; i++)
		to[i] = name[i];
}

const struct extent *extents_find(const struct extents *table, const char *name)
{
	char padded[EXTENTS_NAME_BYTES];

	if (!extents_name_ok(name))
		return NULL;
	name_pad(name, padded);
	for (unsigned i = 0; i < table->n; i++) {
		if (!memcmp(table->at[i].name, padded, EXTENTS_NAME_BYTES))
			return &table->at[i];
	}
	return NULL;
}

/* Moves up past whatever is in the way, until nothing is. Each round passes one extent for good. */
static bool gap_find(const struct extents *table, struct extent *e)
{
	bool moved = true;

	e->start_bytes = EXTENTS_UNIT_BYTES;
	while (moved) {
		moved = false;
		if (e->start_bytes >= table->part_bytes ||
		    e->len_bytes > table->part_bytes - e->start_bytes)
			return false;
		for (unsigned i = 0; i < table->n; i++) {
			if (overlap(&table->at[i], e)) {
				e->start_bytes = table->at[i].start_bytes + table->at[i].len_bytes;
				moved = true;
				break;
			}
		}
	}
	return true;
}

int extents_add(struct extents *table, const char *name, uint64_t len_bytes, uint32_t flags,
		struct err *err)
{
	struct extent e = { .flags = flags };

	if (!extents_name_ok(name))
		return err_say(
			err, EINVAL,
			"'%.60s' is no extent's name: 1 to %u letters, digits, . _ -, the first a letter or digit",
			name, EXTENTS_NAME_BYTES - 1);
	if (extents_find(table, name))
		return err_say(err, EEXIST, "there is an extent %s already", name);
	if (table->n == EXTENTS_MAX)
		return err_say(err, E2BIG, "there are %u extents already, which is all that fit",
			       EXTENTS_MAX);
	if (!len_bytes || len_bytes > table->part_bytes)
		return err_say(err, len_bytes ? ENOSPC : EINVAL, "extent %s: %s", name,
			       len_bytes ? "the partition is smaller" : "it has no bytes");
	name_pad(name, e.name);
	e.len_bytes =
		(len_bytes + EXTENTS_UNIT_BYTES - 1) / EXTENTS_UNIT_BYTES * EXTENTS_UNIT_BYTES;
	if (!gap_find(table, &e))
		return err_say(err, ENOSPC, "extent %s: there is no free piece of %llu MiB", name,
			       (unsigned long long)(e.len_bytes / EXTENTS_UNIT_BYTES));
	table->at[table->n++] = e;
	return 0;
}

int extents_remove(struct extents *table, const char *name, struct err *err)
{
	const struct extent *e = extents_find(table, name);

	if (!e)
		return err_say(err, ENOENT, "there is no extent %.60s", name);
	size_t i = (size_t)(e - table->at);
	memmove(&table->at[i], &table->at[i + 1], (table->n - i - 1) * sizeof(table->at[0]));
	table->n--;
	return 0;
}

int extents_commit(struct extents *table, const struct extents_io *io)
{
	uint8_t copy[EXTENTS_COPY_BYTES];

	table->generation++;
	table->copy = !table->copy;
	extents_build(table, copy);
	int r = io->flush(io);
	r = r < 0 ? r : io->write(io, extents_copy_offset(table->copy), copy, sizeof(copy));
	return r < 0 ? r : io->flush(io);
}
