/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The table of a partition of Strata's own: named extents, each the disk of a guest on the hypervisor.
 *
 * Theory of operation. The partition's first MiB holds two copies of the table, 512 KiB apart; what follows is extents, whole MiB.
 * A change is written over the copy that is not in use, with the next generation, and only then flushed and in use: wherever
 * that write is cut off, its CRC is wrong and the other copy is what the table was before. The copy in use is never written to.
 *
 * A copy, 8192 bytes, little-endian; everything not named is zero:
 *	0 "STRATAXT"	8 le32 version 1	12 le32 CRC-32 of the copy with zero here	16 le64 generation	24 le32 entries
 *	64 + 64 * i: 0 name, 24 bytes, NUL-ended	24 le64 first MiB	32 le64 MiB	40 le32 flags
 * The layout is our own; nobody else reads it. The bytes are hostile: a guest with the whole disk may have written them.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/core/err.h"

#define EXTENTS_MAX	   126U
#define EXTENTS_NAME_BYTES 24U /* with the NUL */
#define EXTENTS_COPY_BYTES 8192U
#define EXTENTS_UNIT_BYTES (UINT64_C(1) << 20)
#define EXTENTS_COPIES	   2U

#define EXTENT_READ_ONLY (1U << 0) /* guests do not write to it */

/* The partition's type GUID, as it is on the disk: 8f1d3c52-6a0b-4e7d-9c24-535452415441 */
extern const uint8_t extents_type[16];

struct extent {
	char name[EXTENTS_NAME_BYTES];
	uint64_t start_bytes, len_bytes; /* in the partition */
	uint32_t flags;			 /* EXTENT_x */
};

struct extents {
	uint64_t part_bytes;
	uint64_t generation;
	unsigned copy; /* which copy it was read from; the next one goes to the other */
	unsigned n;
	struct extent at[EXTENTS_MAX]; /* in no order */
};

/* extents_name_ok() - 1 to 23 letters, digits, '.' '_' '-', the first a letter or digit */
bool extents_name_ok(const char *name);
/* extents_copy_offset() - where in the partition copy 0 or 1 is */
uint64_t extents_copy_offset(unsigned copy);

/* extents_init() - a table without extents, generation 0 */
void extents_init(struct extents *table, uint64_t part_bytes);
/*
 * extents_read_copy() - one copy of EXTENTS_COPY_BYTES
 * Return: 0; -ENODATA: there is none; -EBADMSG, with why: its sum is wrong, an extent is outside of the partition or over another, a
 * name is there twice or none, flags or versions nobody knows.
 */
int extents_read_copy(const uint8_t *copy, uint64_t part_bytes, struct extents *ret,
		      struct err *err);
/*
 * extents_read() - both copies; the newer that is good
 * Return: 0; err->code is set with a line if the other copy was refused. -ENODATA: there is no table; -EBADMSG: no copy is good.
 */
int extents_read(const uint8_t *const copies[EXTENTS_COPIES], uint64_t part_bytes,
		 struct extents *ret, struct err *err);
/* extents_build() - a copy of EXTENTS_COPY_BYTES from a table */
void extents_build(const struct extents *table, uint8_t *copy);

/* extents_find() - by name; NULL: there is none */
const struct extent *extents_find(const struct extents *table, const char *name);
/*
 * extents_add() - an extent in the lowest gap that is large enough; @len_bytes is rounded up to whole MiB
 * Errors: -EINVAL: the name; -EEXIST; -E2BIG: EXTENTS_MAX are there; -ENOSPC. The table is as it was then.
 */
int extents_add(struct extents *table, const char *name, uint64_t len_bytes, uint32_t flags,
		struct err *err);
/* extents_remove() - Errors: -ENOENT */
int extents_remove(struct extents *table, const char *name, struct err *err);

/* What a table is written through: offsets in the partition. Each returns 0 or -errno. */
struct extents_io {
	int (*write)(const struct extents_io *io, uint64_t offset_bytes, const void *data,
		     size_t len_bytes);
	int (*flush)(const struct extents_io *io);
};
/*
 * extents_commit() - write a changed table over the copy that is not in use
 * What was written to the extents before is flushed first. Return: 0, or what io said: the disk has then the table of before, or this one.
 */
int extents_commit(struct extents *table, const struct extents_io *io);
