/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/core/bytes.h"

#define MIB UINT64_C(0x100000)
#define KIB UINT64_C(1024)

static void what_is_written_is_there(void **state)
{
	struct rig *rig = rig_of(state);

	rig_qcow2(rig, "d.qcow2", 64 * MIB, 0, NULL, DISK_FORMAT_AUTO);
	struct disk *disk = rig_open(rig, "d.qcow2", DISK_FORMAT_AUTO, false);
	assert_string_equal(disk->ops->name, "qcow2");
	assert_int_equal(disk->size_bytes, 64 * MIB);
	rig_expect(rig, disk, 0, MIB, 0);
	rig_fill(rig, disk, 512, 1024, 'a');		/* inside a cluster */
	rig_fill(rig, disk, 300 * KIB, 200 * KIB, 'b'); /* across clusters */
	rig_fill(rig, disk, 64 * MIB - 512, 512, 'z');
	rig_fill(rig, disk, 1024, 512, 'c'); /* in place */
	rig_flush(rig, disk);
	for (int again = 0; again < 2; again++) {
		rig_expect(rig, disk, 0, 512, 0);
		rig_expect(rig, disk, 512, 512, 'a');
		rig_expect(rig, disk, 1024, 512, 'c');
		rig_expect(rig, disk, 1536, 298 * KIB + 512, 0);
		rig_expect(rig, disk, 300 * KIB, 200 * KIB, 'b');
		rig_expect(rig, disk, 500 * KIB, 12 * KIB, 0);
		rig_expect(rig, disk, 64 * MIB - 1024, 512, 0);
		rig_expect(rig, disk, 64 * MIB - 512, 512, 'z');
		disk_close(disk);
		rig_check(rig, "d.qcow2");
		disk = rig_open(rig, "d.qcow2", DISK_FORMAT_AUTO, again == 0);
	}
	disk_close(disk);
}

static void closing_keeps_what_was_not_flushed(void **state)
{
	struct rig *rig = rig_of(state);

	rig_qcow2(rig, "d.qcow2", 64 * MIB, 0, NULL, DISK_FORMAT_AUTO);
	struct disk *disk = rig_open(rig, "d.qcow2", DISK_FORMAT_AUTO, false);
	rig_fill(rig, disk, 5 * MIB, MIB, 'a');
	disk_close(disk);
	rig_check(rig, "d.qcow2");
	disk = rig_open(rig, "d.qcow2", DISK_FORMAT_AUTO, false);
	rig_expect(rig, disk, 5 * MIB, MIB, 'a');
	disk_close(disk);
}

static void an_overlay_shows_what_is_under_it(void **state)
{
	struct rig *rig = rig_of(state);

	rig_file(rig, "base.raw", 3 * MIB + 512);
	struct disk *disk = rig_open(rig, "base.raw", DISK_FORMAT_RAW, false);
	rig_fill(rig, disk, 0, 3 * MIB + 512, 'r');
	disk_close(disk);
	rig_qcow2(rig, "mid.qcow2", 4 * MIB, 12, "base.raw", DISK_FORMAT_RAW);
	disk = rig_open(rig, "mid.qcow2", DISK_FORMAT_AUTO, false);
	rig_fill(rig, disk, MIB, 5 * KIB, 'm');
	disk_close(disk);
	rig_qcow2(rig, "top.qcow2", 8 * MIB, 0, "mid.qcow2", DISK_FORMAT_QCOW2);
	disk = rig_open(rig, "top.qcow2", DISK_FORMAT_AUTO, false);
	rig_expect(rig, disk, 0, MIB, 'r');
	rig_expect(rig, disk, MIB, 5 * KIB, 'm');
	rig_expect(rig, disk, 3 * MIB, 512, 'r');
	rig_expect(rig, disk, 3 * MIB + 512, 5 * MIB - 512, 0);
	/* Copy on write: what is around comes along. */
	rig_fill(rig, disk, MIB + 2 * KIB, KIB, 't');
	rig_fill(rig, disk, 3 * MIB + 1024, 512, 't');
	rig_expect(rig, disk, MIB - 60 * KIB, 60 * KIB, 'r');
	rig_expect(rig, disk, MIB, 2 * KIB, 'm');
	rig_expect(rig, disk, MIB + 2 * KIB, KIB, 't');
	rig_expect(rig, disk, MIB + 3 * KIB, 2 * KIB, 'm');
	rig_expect(rig, disk, MIB + 5 * KIB, 100 * KIB, 'r');
	rig_expect(rig, disk, 3 * MIB, 512, 'r');
	rig_expect(rig, disk, 3 * MIB + 512, 512, 0);
	rig_expect(rig, disk, 3 * MIB + 1024, 512, 't');
	rig_expect(rig, disk, 3 * MIB + 1536, 100 * KIB, 0);
	rig_flush(rig, disk);
	disk_close(disk);
	rig_check(rig, "top.qcow2");
	rig_check(rig, "mid.qcow2");
	disk = rig_open(rig, "mid.qcow2", DISK_FORMAT_AUTO, true);
	rig_expect(rig, disk, MIB, 5 * KIB, 'm');
	disk_close(disk);
}

static void discarded_clusters_are_used_again(void **state)
{
	struct rig *rig = rig_of(state);
	struct stat before, after;

	rig_qcow2(rig, "d.qcow2", 64 * MIB, 0, NULL, DISK_FORMAT_AUTO);
	struct disk *disk = rig_open(rig, "d.qcow2", DISK_FORMAT_AUTO, false);
	rig_fill(rig, disk, 0, 4 * MIB, 'a');
	rig_flush(rig, disk);
	assert_int_equal(stat(rig_path(rig, "d.qcow2"), &before), 0);
	for (int i = 0; i < 8; i++) {
		assert_int_equal(rig_io(rig, disk, DISK_DISCARD, 0, NULL, 4 * MIB), 0);
		rig_expect(rig, disk, 0, 4 * MIB, 0);
		rig_flush(rig, disk);
		rig_fill(rig, disk, 8 * MIB * (uint64_t)(i % 4) + 512, 4 * MIB - 1024, 'b');
		/* Clusters that held 'a' are filled anew, to their ends. */
		rig_expect(rig, disk, 8 * MIB * (uint64_t)(i % 4), 512, 0);
		rig_expect(rig, disk, 8 * MIB * (uint64_t)(i % 4) + 4 * MIB - 512, 512, 0);
		assert_int_equal(rig_io(rig, disk, DISK_DISCARD, 0, NULL, 64 * MIB), 0);
		rig_flush(rig, disk);
	}
	disk_close(disk);
	rig_check(rig, "d.qcow2");
	assert_int_equal(stat(rig_path(rig, "d.qcow2"), &after), 0);
	assert_true(after.st_size <= before.st_size + (off_t)(4 * MIB));
	assert_true(after.st_blocks < before.st_blocks);
}

static void a_discard_hides_the_backing_image(void **state)
{
	struct rig *rig = rig_of(state);

	rig_file(rig, "base.raw", 4 * MIB);
	struct disk *disk = rig_open(rig, "base.raw", DISK_FORMAT_RAW, false);
	rig_fill(rig, disk, 0, 4 * MIB, 'r');
	disk_close(disk);
	rig_qcow2(rig, "top.qcow2", 4 * MIB, 0, "base.raw", DISK_FORMAT_RAW);
	disk = rig_open(rig, "top.qcow2", DISK_FORMAT_AUTO, false);
	assert_true(disk->can_discard);
	assert_int_equal(rig_io(rig, disk, DISK_DISCARD, MIB, NULL, MIB), 0);
	rig_expect(rig, disk, MIB, MIB, 0);
	assert_int_equal(rig_zeroes(rig, disk, 512, 100 * KIB, true), 0);
	rig_expect(rig, disk, 0, 512, 'r');
	rig_expect(rig, disk, 512, 100 * KIB, 0);
	rig_expect(rig, disk, 512 + 100 * KIB, 100 * KIB, 'r');
	/* Writing into a cluster that is zero. */
	rig_fill(rig, disk, MIB + 4096, 4096, 'w');
	rig_expect(rig, disk, MIB, 4096, 0);
	rig_expect(rig, disk, MIB + 4096, 4096, 'w');
	rig_expect(rig, disk, MIB + 8192, 100 * KIB, 0);
	disk_close(disk);
	rig_check(rig, "top.qcow2");
}

static void zeroes_that_keep_their_place(void **state)
{
	struct rig *rig = rig_of(state);

	rig_qcow2(rig, "d.qcow2", 4 * MIB, 0, NULL, DISK_FORMAT_AUTO);
	struct disk *disk = rig_open(rig, "d.qcow2", DISK_FORMAT_AUTO, false);
	rig_fill(rig, disk, 0, MIB, 'a');
	assert_int_equal(rig_zeroes(rig, disk, 0, MIB, false), 0);
	rig_expect(rig, disk, 0, MIB, 0);
	rig_flush(rig, disk);
	rig_fill(rig, disk, 1000 * 512, 512, 'b');
	rig_expect(rig, disk, 0, 1000 * 512, 0);
	rig_expect(rig, disk, 1000 * 512, 512, 'b');
	rig_expect(rig, disk, 1001 * 512, MIB - 1001 * 512, 0);
	rig_flush(rig, disk);
	disk_close(disk);
	rig_check(rig, "d.qcow2");
}

/* The whole disk, all at once, against a copy in memory. */
struct shadow {
	struct rig *rig;
	struct disk *disk;
	uint8_t *bytes;
	uint64_t len, random;
};

#define SHADOW_BURST 24

struct shadow_io {
	struct disk_request req;
	struct mem_iov iov[3];
	uint8_t *data;
	unsigned *left;
};

static void shadow_done(struct disk_request *req, int result)
{
	assert_int_equal(result, 0);
	--*container_of(req, struct shadow_io, req)->left;
}

/* Ranges of one burst do not overlap: each has its own stripe. */
static void shadow_burst(struct shadow *s)
{
	static struct shadow_io ios[SHADOW_BURST];
	static uint8_t data[SHADOW_BURST][128 * 1024];
	uint64_t stripe = s->len / SHADOW_BURST & ~UINT64_C(511);
	unsigned left = SHADOW_BURST;

	for (unsigned i = 0; i < SHADOW_BURST; i++) {
		uint64_t n = (1 + rig_random(&s->random) % 256) * 512;
		uint64_t at;
		enum disk_op op = (enum disk_op)(rig_random(&s->random) % 5);
		if (n > stripe)
			n = stripe;
		at = i * stripe + rig_random(&s->random) % ((stripe - n) / 512 + 1) * 512;
		ios[i] = (struct shadow_io){ .req = { .op = op,
						      .may_unmap = rig_random(&s->random) % 2,
						      .offset_bytes = at,
						      .len_bytes = n,
						      .iov = ios[i].iov,
						      .n_iov = 3,
						      .done = shadow_done },
					     .data = data[i],
					     .left = &left };
		ios[i].iov[0] = (struct mem_iov){ data[i], 100 };
		ios[i].iov[1] = (struct mem_iov){ data[i] + 100, n - 101 };
		ios[i].iov[2] = (struct mem_iov){ data[i] + n - 1, 1 };
		if (op == DISK_WRITE) {
			memset(data[i], (int)(rig_random(&s->random) % 255 + 1), n);
			memcpy(s->bytes + at, data[i], n);
		} else if (op == DISK_WRITE_ZEROES) {
			memset(s->bytes + at, 0, n);
		} else if (op == DISK_FLUSH || op == DISK_DISCARD) {
			ios[i].req.op = DISK_FLUSH;
			ios[i].req.offset_bytes = ios[i].req.len_bytes = 0;
			ios[i].req.n_iov = 0;
		}
		s->disk->ops->submit(s->disk, &ios[i].req);
	}
	while (left)
		(void)aio_wait(s->rig->aio);
	for (unsigned i = 0; i < SHADOW_BURST; i++) {
		if (ios[i].req.op == DISK_READ)
			assert_memory_equal(data[i], s->bytes + ios[i].req.offset_bytes,
					    ios[i].req.len_bytes);
	}
}

static void shadow_compare(struct shadow *s)
{
	uint8_t *all = malloc(s->len);

	assert_non_null(all);
	assert_int_equal(rig_io(s->rig, s->disk, DISK_READ, 0, all, s->len), 0);
	assert_memory_equal(all, s->bytes, s->len);
	free(all);
}

static void shadow_run(struct rig *rig, const char *name, uint64_t len, unsigned bursts)
{
	struct shadow s = { .rig = rig, .len = len, .random = len, .bytes = calloc(1, len) };

	assert_non_null(s.bytes);
	s.disk = rig_open(rig, name, DISK_FORMAT_AUTO, false);
	assert_int_equal(rig_io(rig, s.disk, DISK_READ, 0, s.bytes, len), 0);
	for (unsigned i = 0; i < bursts; i++) {
		shadow_burst(&s);
		if (i % 16 == 15) {
			shadow_compare(&s);
			disk_close(s.disk);
			rig_check(rig, name);
			s.disk = rig_open(rig, name, DISK_FORMAT_AUTO, false);
		}
	}
	shadow_compare(&s);
	disk_close(s.disk);
	rig_check(rig, name);
	free(s.bytes);
}

static void many_at_once_agree_with_memory(void **state)
{
	struct rig *rig = rig_of(state);

	rig_qcow2(rig, "a.qcow2", 32 * MIB, 0, NULL, DISK_FORMAT_AUTO);
	shadow_run(rig, "a.qcow2", 32 * MIB, 32);
	/* The smallest clusters: new refcount blocks and L2 tables all the time, and far more slices than are kept. */
	rig_qcow2(rig, "b.qcow2", 8 * MIB, 9, NULL, DISK_FORMAT_AUTO);
	shadow_run(rig, "b.qcow2", 8 * MIB, 32);
	rig_qcow2(rig, "c.qcow2", 9 * MIB, 12, "b.qcow2", DISK_FORMAT_QCOW2);
	shadow_run(rig, "c.qcow2", 9 * MIB, 32);
	rig_check(rig, "b.qcow2");
}

static void growing_past_every_table(void **state)
{
	struct rig *rig = rig_of(state);
	struct qcow2_info info;

	rig_qcow2(rig, "d.qcow2", MIB, 9, NULL, DISK_FORMAT_AUTO);
	struct disk *disk = rig_open(rig, "d.qcow2", DISK_FORMAT_AUTO, false);
	rig_fill(rig, disk, 0, MIB, 'a');
	disk_close(disk);
	/* An L1 entry covers 32 KiB, an L1 cluster 2 MiB, a refcount table cluster 8 MiB of file. */
	assert_int_equal(qcow2_resize(rig_path(rig, "d.qcow2"), 2 * MIB, &rig->err), 0);
	rig_check(rig, "d.qcow2");
	assert_int_equal(qcow2_resize(rig_path(rig, "d.qcow2"), 24 * MIB, &rig->err), 0);
	rig_check(rig, "d.qcow2");
	disk = rig_open(rig, "d.qcow2", DISK_FORMAT_AUTO, false);
	assert_int_equal(disk->size_bytes, 24 * MIB);
	rig_expect(rig, disk, 0, MIB, 'a');
	rig_expect(rig, disk, MIB, 23 * MIB, 0);
	rig_fill(rig, disk, MIB, 23 * MIB, 'b');
	rig_expect(rig, disk, 0, MIB, 'a');
	rig_expect(rig, disk, MIB, 23 * MIB, 'b');
	disk_close(disk);
	rig_check(rig, "d.qcow2");
	assert_int_equal(qcow2_resize(rig_path(rig, "d.qcow2"), MIB, &rig->err), -EINVAL);
	assert_non_null(strstr(rig->err.text, "can only grow"));
	assert_int_equal(qcow2_info(rig_path(rig, "d.qcow2"), &info, &rig->err), 0);
	assert_int_equal(info.size_bytes, 24 * MIB);
}

static void resize_waits_for_nobody(void **state)
{
	struct rig *rig = rig_of(state);

	rig_qcow2(rig, "d.qcow2", MIB, 0, NULL, DISK_FORMAT_AUTO);
	struct disk *disk = rig_open(rig, "d.qcow2", DISK_FORMAT_AUTO, false);
	assert_int_equal(qcow2_resize(rig_path(rig, "d.qcow2"), 2 * MIB, &rig->err), -EBUSY);
	disk_close(disk);
	assert_int_equal(qcow2_resize(rig_path(rig, "d.qcow2"), 2 * MIB + 1, &rig->err), -EINVAL);
}

static void bad_chains_are_refused(void **state)
{
	struct rig *rig = rig_of(state);
	const struct disk_open_opts o = { 0 }, lone = { .no_backing = true };
	char name[16], under[16];

	rig_qcow2(rig, "a.qcow2", MIB, 0, "b.qcow2", DISK_FORMAT_QCOW2);
	rig_refuse(rig, "a.qcow2", &o, -ENOENT, "backing file of disk");
	rig_refuse(rig, "a.qcow2", &lone, -EPROTO, "not allowed here");
	rig_qcow2(rig, "b.qcow2", MIB, 0, "a.qcow2", DISK_FORMAT_QCOW2);
	rig_refuse(rig, "a.qcow2", &o, -EBUSY, "in use"); /* locked by this very opening */
	{
		const struct disk_open_opts ro = { .read_only = true };
		rig_refuse(rig, "a.qcow2", &ro, -ELOOP, "its own backing file");
	}
	rig_qcow2(rig, "p.qcow2", MIB, 0, "nbd://host/x", DISK_FORMAT_RAW);
	rig_refuse(rig, "p.qcow2", &o, -EPROTO, "protocols");
	rig_file(rig, "0.qcow2", MIB);
	for (unsigned i = 1; i < 12; i++) {
		(void)snprintf(name, sizeof(name), "%u.qcow2", i);
		(void)snprintf(under, sizeof(under), "%u.qcow2", i - 1);
		rig_qcow2(rig, name, MIB, 0, under, i == 1 ? DISK_FORMAT_RAW : DISK_FORMAT_QCOW2);
	}
	rig_refuse(rig, "11.qcow2", &o, -ELOOP, "more than 7 backing files");
	disk_close(rig_open(rig, "7.qcow2", DISK_FORMAT_AUTO, false));
}

static void backing_files_are_locked_against_writers(void **state)
{
	struct rig *rig = rig_of(state);
	const struct disk_open_opts o = { 0 };

	rig_file(rig, "base.raw", MIB);
	rig_qcow2(rig, "x.qcow2", 0, 0, "base.raw", DISK_FORMAT_RAW);
	rig_qcow2(rig, "y.qcow2", 0, 0, "base.raw", DISK_FORMAT_RAW);
	struct disk *x = rig_open(rig, "x.qcow2", DISK_FORMAT_AUTO, false);
	struct disk *y = rig_open(rig, "y.qcow2", DISK_FORMAT_AUTO, false);
	assert_int_equal(x->size_bytes, MIB);
	rig_refuse(rig, "base.raw", &o, -EBUSY, "in use");
	disk_close(x);
	disk_close(y);
	disk_close(rig_open(rig, "base.raw", DISK_FORMAT_AUTO, false));
}

static void features_are_refused_by_name(void **state)
{
	static const struct {
		uint64_t offset;
		uint8_t byte;
		int code;
		const char *words;
	} cases[] = {
		{ 35, 1, -EPROTO, "AES" },
		{ 35, 2, -EPROTO, "LUKS" },
		{ 79, 1 << 1, -EPROTO, "marked as damaged" },
		{ 79, 1 << 2, -EPROTO, "external data file" },
		{ 79, 1 << 3, -EPROTO, "zstd" },
		{ 79, 1 << 4, -EPROTO, "extended L2" },
		{ 79, 1 << 5, -EPROTO, "unknown incompatible features (0x20)" },
		{ 72, 1 << 7, -EPROTO, "unknown incompatible features (0x8000000000000000)" },
		{ 99, 3, -EPROTO, "refcounts of 8 bits" },
		{ 99, 7, -EINVAL, "width of its refcounts" },
		{ 63, 1, -EPROTO, "snapshots" },
		{ 7, 4, -EPROTO, "version 4" },
		{ 23, 8, -EINVAL, "size of its clusters" },
		{ 23, 22, -EINVAL, "size of its clusters" },
		{ 31, 1, -EINVAL, "multiple of 512" },
		{ 28, 0xff, -EINVAL, "L1 table does not fit" },
		{ 24, 0xff, -EINVAL, "L1 table does not fit" },
		{ 46, 1, -EINVAL, "offset of its L1 table" },
		{ 54, 1, -EINVAL, "offset of its refcount table" },
		{ 56, 1, -EINVAL, "size of its refcount table" },
		{ 103, 0x60, -EINVAL, "length of its header" },
		{ 100, 0xff, -EINVAL, "length of its header" },
		{ 8, 0xff, -EINVAL, "name of its backing file" },
	};
	struct rig *rig = rig_of(state);
	const struct disk_open_opts o = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		rig_qcow2(rig, "d.qcow2", MIB, 0, NULL, DISK_FORMAT_AUTO);
		rig_patch(rig, "d.qcow2", cases[i].offset, &cases[i].byte, 1);
		rig_refuse(rig, "d.qcow2", &o, cases[i].code, cases[i].words);
		assert_int_equal(unlink(rig_path(rig, "d.qcow2")), 0);
	}
}

/* An L2 entry that points at the header: a guest's write there could name any file as the backing file. */
static void tables_are_not_written_as_data(void **state)
{
	static const uint64_t places[] = { 0, 65536,
					   3 * 65536 }; /* header, refcount table, L1 table */
	struct rig *rig = rig_of(state);
	uint8_t data[512] = { 1 };

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		struct be64 entry = be64_of(places[i] | UINT64_C(1) << 63 | (i == 0 ? 512 : 0));
		rig_qcow2(rig, "d.qcow2", MIB, 0, NULL, DISK_FORMAT_AUTO);
		struct disk *disk = rig_open(rig, "d.qcow2", DISK_FORMAT_AUTO, false);
		rig_fill(rig, disk, 0, 65536, 'a');
		disk_close(disk);
		rig_patch(rig, "d.qcow2", 4 * 65536, &entry, 8); /* the L2 table */
		disk = rig_open(rig, "d.qcow2", DISK_FORMAT_AUTO, false);
		assert_int_equal(rig_io(rig, disk, DISK_WRITE, 0, data, 512), -EIO);
		disk_close(disk);
		assert_int_equal(unlink(rig_path(rig, "d.qcow2")), 0);
	}
}

static void an_image_whose_tables_are_counted_as_free_is_not_extended(void **state)
{
	struct rig *rig = rig_of(state);
	uint8_t data[512] = { 1 }, zeroes[16] = { 0 };

	rig_qcow2(rig, "d.qcow2", MIB, 0, NULL, DISK_FORMAT_AUTO);
	rig_patch(rig, "d.qcow2", 2 * 65536, zeroes, 8); /* refcounts of header, tables and L1 */
	struct disk *disk = rig_open(rig, "d.qcow2", DISK_FORMAT_AUTO, false);
	assert_int_equal(rig_io(rig, disk, DISK_WRITE, 0, data, 512), -EIO);
	rig_expect(rig, disk, 0, 512, 0);
	disk_close(disk);
	rig_qcow2(rig, "e.qcow2", MIB, 0, NULL, DISK_FORMAT_AUTO);
	rig_patch(rig, "e.qcow2", 65536, zeroes, 8); /* no refcount block at all */
	disk = rig_open(rig, "e.qcow2", DISK_FORMAT_AUTO, false);
	assert_int_equal(rig_io(rig, disk, DISK_WRITE, 0, data, 512), -EIO);
	disk_close(disk);
}

static void the_checker_counts_leaks_and_errors(void **state)
{
	struct rig *rig = rig_of(state);
	struct qcow2_check found;
	struct be16 count = be16_of(2);
	uint8_t zeroes[8] = { 0 };

	rig_qcow2(rig, "d.qcow2", 16 * MIB, 0, NULL, DISK_FORMAT_AUTO);
	struct disk *disk = rig_open(rig, "d.qcow2", DISK_FORMAT_AUTO, false);
	rig_fill(rig, disk, 0, MIB, 'a');
	disk_close(disk);
	rig_patch(rig, "d.qcow2", 2 * 65536 + 2 * 6, &count, 2);
	rig_patch(rig, "d.qcow2", 2 * 65536 + 2 * 100, &count, 2);
	assert_int_equal(qcow2_check(rig_path(rig, "d.qcow2"), false, &found, &rig->err), 0);
	assert_int_equal(found.leaks, 2);
	assert_int_equal(found.errors, 0);
	assert_int_equal(found.clusters, 4 + 1 + 16);
	rig_patch(rig, "d.qcow2", 2 * 65536 + 2 * 8, zeroes, 2);
	assert_int_equal(qcow2_check(rig_path(rig, "d.qcow2"), false, &found, &rig->err), 0);
	assert_int_equal(found.errors, 1);
	assert_non_null(strstr(found.first, "refcount that is too low"));
	assert_false(found.repaired);
	assert_int_equal(qcow2_check(rig_path(rig, "d.qcow2"), true, &found, &rig->err), 0);
	assert_true(found.repaired);
	assert_int_equal(found.leaks, 2);
	assert_int_equal(found.low, 1);
	assert_int_equal(found.errors, 0);
	rig_check(rig, "d.qcow2");
}

struct told {
	char text[4][160];
	unsigned n;
};

static void told_one(void *arg, const char *text)
{
	struct told *told = arg;

	assert_true(told->n < ARRAY_SIZE(told->text));
	(void)snprintf(told->text[told->n++], sizeof(told->text[0]), "%s", text);
}

static void each_find_is_told_in_words(void **state)
{
	struct rig *rig = rig_of(state);
	struct qcow2_check found;
	struct told told = { 0 };
	const struct qcow2_finds finds = { told_one, &told };
	struct be16 one[3] = { be16_of(1), be16_of(1), be16_of(1) };
	struct be64 astray = be64_of(UINT64_C(1) << 63 | 0x7fff0000);
	uint8_t corrupt = 2;

	rig_qcow2(rig, "d.qcow2", 16 * MIB, 0, NULL, DISK_FORMAT_AUTO);
	struct disk *disk = rig_open(rig, "d.qcow2", DISK_FORMAT_AUTO, false);
	rig_fill(rig, disk, 0, MIB, 'a');
	disk_close(disk);
	rig_patch(rig, "d.qcow2", 2 * 65536 + 2 * 100, one, sizeof(one)); /* neighbours are one */
	rig_patch(rig, "d.qcow2", 2 * 65536 + 2 * 110, one, 2);
	rig_patch(rig, "d.qcow2", 79, &corrupt, 1);
	const char *path = rig_path(rig, "d.qcow2");
	assert_int_equal(qcow2_check_tell(path, false, &finds, &found, &rig->err), 0);
	assert_int_equal(told.n, 2);
	assert_string_equal(told.text[0], "3 leaked clusters at 0x640000");
	assert_string_equal(told.text[1], "1 leaked cluster at 0x6e0000");
	assert_true(found.marked);
	assert_int_equal(qcow2_check_tell(path, true, NULL, &found, &rig->err), 0);
	assert_true(found.marked);
	assert_true(found.repaired);
	assert_int_equal(qcow2_check_tell(path, true, NULL, &found, &rig->err), 0);
	assert_false(found.marked);
	/* Of the tables themselves nothing is made up, and then nothing else is changed either. */
	rig_patch(rig, "d.qcow2", 4 * 65536 + 8 * 200, &astray, sizeof(astray));
	rig_patch(rig, "d.qcow2", 2 * 65536 + 2 * 110, one, 2);
	told.n = 0;
	assert_int_equal(qcow2_check_tell(path, true, &finds, &found, &rig->err), 0);
	assert_false(found.repaired);
	assert_int_equal(found.errors, 1);
	assert_int_equal(found.leaks, 1);
	assert_non_null(strstr(told.text[0], "past the end of the file"));
	assert_int_equal(qcow2_check(path, false, &found, &rig->err), 0);
	assert_int_equal(found.leaks, 1);
}

/* As a program leaves it that postpones refcounts, and was killed. */
static void an_image_that_was_not_closed_is_mended(void **state)
{
	struct rig *rig = rig_of(state);
	struct qcow2_info info;
	uint8_t dirty = 1, zeroes[16] = { 0 };

	rig_qcow2(rig, "d.qcow2", 16 * MIB, 0, NULL, DISK_FORMAT_AUTO);
	struct disk *disk = rig_open(rig, "d.qcow2", DISK_FORMAT_AUTO, false);
	rig_fill(rig, disk, 0, MIB, 'a');
	disk_close(disk);
	rig_patch(rig, "d.qcow2", 79, &dirty, 1);
	rig_patch(rig, "d.qcow2", 2 * 65536 + 2 * 8, zeroes, 16);
	assert_int_equal(qcow2_info(rig_path(rig, "d.qcow2"), &info, &rig->err), 0);
	assert_true(info.dirty);
	disk = rig_open(rig, "d.qcow2", DISK_FORMAT_AUTO, true);
	rig_expect(rig, disk, 0, MIB, 'a');
	disk_close(disk);
	disk = rig_open(rig, "d.qcow2", DISK_FORMAT_AUTO, false);
	rig_expect(rig, disk, 0, MIB, 'a');
	rig_fill(rig, disk, 2 * MIB, MIB, 'b');
	rig_expect(rig, disk, 0, MIB, 'a');
	disk_close(disk);
	rig_check(rig, "d.qcow2");
	assert_int_equal(qcow2_info(rig_path(rig, "d.qcow2"), &info, &rig->err), 0);
	assert_false(info.dirty);
}

static void a_failed_create_leaves_nothing(void **state)
{
	struct rig *rig = rig_of(state);
	struct qcow2_create_opts o = { .size_bytes = 1000 };

	assert_int_equal(qcow2_create(rig_path(rig, "x.qcow2"), &o, &rig->err), -EINVAL);
	o.size_bytes = UINT64_C(1) << 60;
	assert_int_equal(qcow2_create(rig_path(rig, "x.qcow2"), &o, &rig->err), -EINVAL);
	o = (struct qcow2_create_opts){ .size_bytes = MIB, .backing = "y" };
	assert_int_equal(qcow2_create(rig_path(rig, "x.qcow2"), &o, &rig->err), -EINVAL);
	o = (struct qcow2_create_opts){ .backing = "y", .format = DISK_FORMAT_RAW };
	assert_int_equal(qcow2_create(rig_path(rig, "x.qcow2"), &o, &rig->err), -ENOENT);
	assert_int_equal(access(rig_path(rig, "x.qcow2"), F_OK), -1);
	rig_qcow2(rig, "x.qcow2", MIB, 0, NULL, DISK_FORMAT_AUTO);
	o = (struct qcow2_create_opts){ .size_bytes = MIB };
	assert_int_equal(qcow2_create(rig_path(rig, "x.qcow2"), &o, &rig->err), -EEXIST);
	rig_check(rig, "x.qcow2");
}

/* A raw disk under an image that does not say so could be anything that its guest wrote. */
static void an_unnamed_format_is_qcow2_or_refused(void **state)
{
	struct rig *rig = rig_of(state);
	const struct disk_open_opts o = { 0 };

	rig_file(rig, "base.img", MIB);
	rig_qcow2(rig, "base.qcow2", MIB, 0, NULL, DISK_FORMAT_AUTO);
	rig_qcow2(rig, "a.qcow2", MIB, 0, "base.img", DISK_FORMAT_RAW);
	rig_qcow2(rig, "b.qcow2", MIB, 0, "base.qcow2", DISK_FORMAT_QCOW2);
	rig_patch(rig, "a.qcow2", 104, "\0\0\0\0", 4); /* the extension that says the format */
	rig_patch(rig, "b.qcow2", 104, "\0\0\0\0", 4);
	rig_refuse(rig, "a.qcow2", &o, -EINVAL, "does not say the format of its backing file");
	disk_close(rig_open(rig, "b.qcow2", DISK_FORMAT_AUTO, false));
}

/* ---- with qemu-img ---- */

static void skip_without_qemu(struct rig *rig)
{
	if (rig_qemu(rig, "qemu-img --version") < 0)
		SKIP("qemu-img is not installed");
}

static void qemu_reads_what_we_wrote(void **state)
{
	struct rig *rig = rig_of(state);

	skip_without_qemu(rig);
	rig_qcow2(rig, "d.qcow2", 16 * MIB, 0, NULL, DISK_FORMAT_AUTO);
	rig_file(rig, "d.raw", 16 * MIB);
	struct disk *q = rig_open(rig, "d.qcow2", DISK_FORMAT_AUTO, false);
	struct disk *raw = rig_open(rig, "d.raw", DISK_FORMAT_RAW, false);
	uint64_t random = 42;
	for (unsigned i = 0; i < 200; i++) {
		uint64_t n = (rig_random(&random) % 100 + 1) * 512;
		uint64_t at = rig_random(&random) % (16 * MIB - n) & ~UINT64_C(511);
		uint8_t byte = (uint8_t)(i + 1);
		rig_fill(rig, q, at, n, byte);
		rig_fill(rig, raw, at, n, byte);
	}
	disk_close(q);
	disk_close(raw);
	assert_int_equal(rig_qemu(rig, "qemu-img compare -f qcow2 -F raw d.qcow2 d.raw"), 0);
	rig_check(rig, "d.qcow2");
}

static void we_read_what_qemu_wrote(void **state)
{
	static const char *const made[] = {
		"qemu-img convert -f raw -O qcow2 s.raw t.qcow2",
		"qemu-img convert -f raw -O qcow2 -o compat=0.10 s.raw t.qcow2",
		"qemu-img convert -f raw -O qcow2 -c s.raw t.qcow2",
		"qemu-img convert -f raw -O qcow2 -c -o cluster_size=4k s.raw t.qcow2",
		"qemu-img convert -f raw -O qcow2 -o cluster_size=2M s.raw t.qcow2",
		"qemu-img convert -f raw -O qcow2 -o cluster_size=512 s.raw t.qcow2",
		"qemu-img convert -O qcow2 -o preallocation=metadata,lazy_refcounts=on s.raw t.qcow2",
	};
	struct rig *rig = rig_of(state);
	uint64_t random = 7, len = 5 * MIB + 512;
	uint8_t *bytes = malloc(len), *got = malloc(len);

	skip_without_qemu(rig);
	assert_true(bytes && got);
	rig_file(rig, "s.raw", len);
	struct disk *disk = rig_open(rig, "s.raw", DISK_FORMAT_RAW, false);
	for (uint64_t i = 0; i < len; i++)
		bytes[i] = i / MIB % 2 ? (uint8_t)(rig_random(&random) >> 60) : 0;
	assert_int_equal(rig_io(rig, disk, DISK_WRITE, 0, bytes, len), 0);
	disk_close(disk);
	for (size_t i = 0; i < ARRAY_SIZE(made); i++) {
		assert_int_equal(rig_qemu(rig, made[i]), 0);
		disk = rig_open(rig, "t.qcow2", DISK_FORMAT_AUTO, false);
		assert_int_equal(disk->size_bytes, len);
		assert_int_equal(rig_io(rig, disk, DISK_READ, 0, got, len), 0);
		assert_memory_equal(got, bytes, len);
		/* In small pieces too, and written into. */
		for (uint64_t at = 0; at < len; at += 512 * 37) {
			uint64_t n = len - at < 512 * 37 ? len - at : 512 * 37;
			assert_int_equal(rig_io(rig, disk, DISK_READ, at, got, n), 0);
			assert_memory_equal(got, bytes + at, n);
		}
		for (uint64_t at = 512; at + 512 < len; at += 512 * 371)
			rig_fill(rig, disk, at, 512, 'w');
		assert_int_equal(rig_zeroes(rig, disk, 4 * MIB - 512, 200 * KIB, true), 0);
		assert_int_equal(rig_io(rig, disk, DISK_READ, 0, got, len), 0);
		for (uint64_t at = 0; at < len; at += 512) {
			bool written = at % (512 * 371) == 512 && at + 512 < len;
			bool zero = at >= 4 * MIB - 512 && at < 4 * MIB - 512 + 200 * KIB;
			if (!written && !zero)
				assert_memory_equal(got + at, bytes + at, 512);
			assert_true(!written || got[at] == (zero ? 0 : 'w'));
		}
		disk_close(disk);
		rig_check(rig, "t.qcow2");
		assert_int_equal(unlink(rig_path(rig, "t.qcow2")), 0);
	}
	free(bytes);
	free(got);
}

static void images_that_we_do_not_have_are_named(void **state)
{
	static const struct {
		const char *make, *words;
	} cases[] = {
		{ "qemu-img create -q -f qcow2 -o extended_l2=on x.qcow2 1M", "extended L2" },
		{ "qemu-img create -q -f qcow2 -o compression_type=zstd x.qcow2 1M", "zstd" },
		{ "qemu-img create -q -f qcow2 -o data_file=x.data x.qcow2 1M",
		  "external data file" },
		{ "qemu-img create -q -f qcow2 -o refcount_bits=8 x.qcow2 1M",
		  "refcounts of 8 bits" },
		{ "qemu-img create -q -f qcow2 x.qcow2 1M && qemu-img snapshot -c s x.qcow2",
		  "snapshots" },
		{ "cp /dev/null base.img && qemu-img create -q -f qcow2 -u -F vmdk -b base.img x.qcow2 "
		  "1M",
		  "vmdk" },
	};
	const struct disk_open_opts o = { 0 }, ro = { .read_only = true };
	struct rig *rig = rig_of(state);
	struct disk *disk;

	skip_without_qemu(rig);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		(void)unlink(rig_path(rig, "x.qcow2"));
		if (rig_qemu(rig, cases[i].make) != 0)
			fail_msg("%s", cases[i].make);
		int r = disk_open(rig_path(rig, "x.qcow2"), &o, rig->aio, &disk, &rig->err);
		assert_true(r < 0);
		if (!strstr(rig->err.text, cases[i].words))
			fail_msg("\"%s\" does not say %s", rig->err.text, cases[i].words);
		/* Refcounts and snapshots matter to writers only. */
		if (strstr("refcounts of 8 bits snapshots", cases[i].words)) {
			assert_int_equal(disk_open(rig_path(rig, "x.qcow2"), &ro, rig->aio, &disk,
						   &rig->err),
					 0);
			disk_close(disk);
		}
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		RIG_TEST(what_is_written_is_there),
		RIG_TEST(closing_keeps_what_was_not_flushed),
		RIG_TEST(an_overlay_shows_what_is_under_it),
		RIG_TEST(discarded_clusters_are_used_again),
		RIG_TEST(a_discard_hides_the_backing_image),
		RIG_TEST(zeroes_that_keep_their_place),
		RIG_TEST(many_at_once_agree_with_memory),
		RIG_TEST_ONCE(growing_past_every_table),
		RIG_TEST_ONCE(resize_waits_for_nobody),
		RIG_TEST_ONCE(bad_chains_are_refused),
		RIG_TEST_ONCE(backing_files_are_locked_against_writers),
		RIG_TEST_ONCE(features_are_refused_by_name),
		RIG_TEST_ONCE(tables_are_not_written_as_data),
		RIG_TEST_ONCE(an_image_whose_tables_are_counted_as_free_is_not_extended),
		RIG_TEST_ONCE(the_checker_counts_leaks_and_errors),
		RIG_TEST_ONCE(each_find_is_told_in_words),
		RIG_TEST_ONCE(an_image_that_was_not_closed_is_mended),
		RIG_TEST_ONCE(a_failed_create_leaves_nothing),
		RIG_TEST_ONCE(an_unnamed_format_is_qcow2_or_refused),
		RIG_TEST_ONCE(qemu_reads_what_we_wrote),
		RIG_TEST(we_read_what_qemu_wrote),
		RIG_TEST_ONCE(images_that_we_do_not_have_are_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
