/* SPDX-License-Identifier: Apache-2.0 */
#include "erofs_read.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/core/buf.h"
#include "base/core/bytes.h"

#define BLOCK 4096

struct disk_inode {
	struct seen seen;
	uint64_t at; /* on the disk */
	uint32_t block, xattr_bytes;
	bool inlined;
};

static void get(int disk, uint64_t at, void *ret, size_t len)
{
	assert_int_equal(pread(disk, ret, len, (off_t)at), (ssize_t)len);
}

static struct disk_inode inode_read(int disk, uint64_t nid)
{
	struct disk_inode i = { .at = BLOCK + nid * 32 };
	uint8_t raw[64];

	get(disk, i.at, raw, sizeof(raw));
	assert_true(i.at % BLOCK <= BLOCK - sizeof(raw));
	assert_true(nid > 0); /* readdir(3) shows no inode 0 */
	const uint16_t format = le16_load(raw), count = le16_load(raw + 2);
	assert_int_equal(format & ~4U, 1); /* extended; plain or inline */
	i.inlined = format & 4;
	i.xattr_bytes = count ? 12 + (count - 1U) * 4 : 0;
	i.block = le32_load(raw + 16);
	i.seen = (struct seen){
		.there = true,
		.nid = nid,
		.mode = le16_load(raw + 4),
		.size = le64_load(raw + 8),
		.rdev = le32_load(raw + 16),
		.uid = le32_load(raw + 24),
		.gid = le32_load(raw + 28),
		.mtime_s = le64_load(raw + 32),
		.mtime_ns = le32_load(raw + 40),
		.links = le32_load(raw + 44),
	};
	return i;
}

static void inode_data(int disk, const struct disk_inode *i, uint64_t at, void *ret, size_t len)
{
	const uint64_t tail_at = i->at + 64 + i->xattr_bytes;
	const uint64_t whole = i->inlined ? i->seen.size / BLOCK * BLOCK : i->seen.size;
	uint8_t *to = ret;

	assert_true(at + len <= i->seen.size);
	if (i->inlined)
		assert_true(tail_at % BLOCK + i->seen.size % BLOCK <= BLOCK);
	for (; len > 0; at++, len--)
		get(disk, at < whole ? (uint64_t)i->block * BLOCK + at : tail_at + (at - whole),
		    to++, 1);
}

/* What is next in a directory's block; false: nothing. */
static bool name_at(const uint8_t *block, size_t len, size_t n, char ret[256], uint64_t *ret_nid)
{
	const size_t first = le16_load(block + 8);
	const uint8_t *entry = block + n * 12;

	if (n * 12 >= first)
		return false;
	const size_t from = le16_load(entry + 8);
	const size_t to = (n + 1) * 12 < first ? le16_load(entry + 20) : len;
	assert_true(from < to && to <= len && to - from < 256);
	memcpy(ret, block + from, to - from);
	ret[to - from] = '\0';
	*ret_nid = le64_load(entry);
	return true;
}

static char *dir_walk(int disk, const struct disk_inode *dir, const char *want, uint64_t *ret_nid)
{
	struct buf names = { 0 };
	uint8_t block[BLOCK];
	char name[256], last[256] = "";
	uint64_t nid;

	assert_true(S_ISDIR(dir->seen.mode));
	*ret_nid = UINT64_MAX;
	for (uint64_t at = 0; at < dir->seen.size; at += BLOCK) {
		const size_t len =
			dir->seen.size - at < BLOCK ? (size_t)(dir->seen.size - at) : BLOCK;
		inode_data(disk, dir, at, block, len);
		for (size_t real = len, n = 0;; n++) {
			while (real > 0 && !block[real - 1]) /* a full block may end with zeroes */
				real--;
			if (!name_at(block, real, n, name, &nid))
				break;
			assert_true(strcmp(last, name) < 0); /* a kernel searches by halves */
			memcpy(last, name, sizeof(last));
			assert_int_equal(buf_printf(&names, " %s", name), 0);
			if (want && !strcmp(want, name))
				*ret_nid = nid;
		}
	}
	return buf_steal(&names);
}

static bool inode_find(int disk, const char *path, struct disk_inode *ret)
{
	uint8_t super[128];
	char part[256];
	uint64_t nid;

	get(disk, 1024, super, sizeof(super));
	assert_int_equal(le32_load(super), 0xe0f5e1e2);
	assert_int_equal(super[12], 12);
	assert_int_equal(le32_load(super + 40), 1);
	assert_int_equal(lseek(disk, 0, SEEK_END), (off_t)le32_load(super + 36) * BLOCK);
	*ret = inode_read(disk, le16_load(super + 14));
	while (*path) {
		const size_t n = strcspn(path, "/");
		memcpy(part, path, n);
		part[n] = '\0';
		path += n + (path[n] == '/');
		free(dir_walk(disk, ret, part, &nid));
		if (nid == UINT64_MAX)
			return false;
		*ret = inode_read(disk, nid);
	}
	return true;
}

struct seen seen_at(int disk, const char *path)
{
	struct disk_inode i;

	return inode_find(disk, path, &i) ? i.seen : (struct seen){ 0 };
}

char *seen_read(int disk, const char *path)
{
	struct disk_inode i;

	assert_true(inode_find(disk, path, &i));
	char *text = calloc(1, (size_t)i.seen.size + 1);
	assert_non_null(text);
	inode_data(disk, &i, 0, text, (size_t)i.seen.size);
	return text;
}

int seen_xattr(int disk, const char *path, uint8_t index, const char *rest, void *ret, size_t size)
{
	struct disk_inode i;
	uint8_t entry[4];
	char name[256];

	assert_true(inode_find(disk, path, &i));
	for (uint64_t at = 12; at < i.xattr_bytes;) {
		get(disk, i.at + 64 + at, entry, sizeof(entry));
		const size_t len = le16_load(entry + 2);
		assert_true(at + 4 + entry[0] + len <= i.xattr_bytes);
		get(disk, i.at + 64 + at + 4, name, entry[0]);
		if (entry[1] == index && entry[0] == strlen(rest) &&
		    !memcmp(name, rest, entry[0])) {
			assert_true(len <= size);
			get(disk, i.at + 64 + at + 4 + entry[0], ret, len);
			return (int)len;
		}
		at += (4U + entry[0] + len + 3) / 4 * 4;
	}
	return -1;
}

char *seen_names(int disk, const char *path)
{
	struct disk_inode i;
	uint64_t unused;

	assert_true(inode_find(disk, path, &i));
	return dir_walk(disk, &i, NULL, &unused);
}
