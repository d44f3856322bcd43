/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Power cuts. A queue of our own performs requests in any order and writes down what goes to the file. A cut leaves what the
 * last fdatasync covered, and any of the sectors that were written since. Each such image must be sound, and hold what a
 * completed flush covered, or newer.
 */
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "storage/disk/private.h"

#define IMAGE_MAX UINT64_C(0x2000000)
#define SECTORS	  4096U /* 2 MiB */
#define SLOTS	  8U
#define SLOT_MAX  200U /* sectors */
#define QUEUE	  64U
#define WRITES	  4096U

struct write {
	uint64_t offset, len;
	uint8_t *data; /* NULL: zeroes */
};

struct tape {
	struct aio aio;
	uint64_t random;
	struct aio_request *queue[QUEUE];
	unsigned n_queue;
	struct write writes[WRITES]; /* since the last sync */
	unsigned n_writes;
	uint8_t *durable;
	uint64_t durable_len;
	void (*each)(struct tape *tape); /* before each request that is performed */
	unsigned refuse;		 /* one in so many writes finds the host full; 0: none */
	bool sync_fails;
	bool lies; /* fdatasync does nothing: for the test of this test */
};

struct mark {
	uint32_t issued, zeroed, done, covered, flushed;
};

struct power {
	struct rig *rig;
	struct tape tape;
	struct disk *disk;
	struct mark marks[SECTORS];
	uint32_t generation;
	unsigned under_way, cuts, bad, failed;
	const char *why;
};

struct slot {
	struct disk_request req;
	struct mem_iov iov;
	struct power *power;
	uint32_t sector, n, generation;
	uint64_t data[SLOT_MAX * 64];
};

/* ---- the queue ---- */

static struct tape *tape_of(struct aio *aio)
{
	return container_of(aio, struct tape, aio);
}

static void tape_apply(const struct write *w, uint64_t from, uint64_t len, uint8_t *image,
		       uint64_t *image_len)
{
	assert_true(w->offset + from + len <= IMAGE_MAX);
	if (w->data)
		memcpy(image + w->offset + from, w->data + from, len);
	else
		memset(image + w->offset + from, 0, len);
	if (w->data && *image_len < w->offset + from + len)
		*image_len = w->offset + from + len;
}

static void tape_sync(struct tape *tape)
{
	for (unsigned i = 0; i < tape->n_writes; i++) {
		tape_apply(&tape->writes[i], 0, tape->writes[i].len, tape->durable,
			   &tape->durable_len);
		free(tape->writes[i].data);
	}
	tape->n_writes = 0;
}

static void tape_record(struct tape *tape, uint64_t offset, uint64_t len,
			const struct aio_request *req)
{
	struct write *w = &tape->writes[tape->n_writes++];
	uint64_t at = 0;

	assert_true(tape->n_writes < WRITES);
	*w = (struct write){ .offset = offset, .len = len, .data = req ? malloc(len) : NULL };
	for (unsigned i = 0; req && i < req->n_part && at < len; i++) {
		uint64_t n = req->part[i].len < len - at ? req->part[i].len : len - at;
		memcpy(w->data + at, req->part[i].hva, n);
		at += n;
	}
}

static int64_t tape_perform(struct tape *tape, const struct aio_request *req)
{
	const struct iovec *iov = (const void *)req->part;
	uint64_t at = req->offset_bytes + req->moved_bytes;
	int64_t n;

	if ((req->op == AIO_WRITE || req->op == AIO_PUNCH) && tape->refuse &&
	    rig_random(&tape->random) % tape->refuse == 0)
		return -ENOSPC;
	if (req->op == AIO_SYNC && tape->sync_fails)
		return -EIO;
	switch (req->op) {
	case AIO_READ:
		n = preadv(req->fd, iov, (int)req->n_part, (off_t)at);
		break;
	case AIO_WRITE:
		n = pwritev(req->fd, iov, (int)req->n_part, (off_t)at);
		if (n > 0)
			tape_record(tape, at, (uint64_t)n, req);
		break;
	case AIO_PUNCH:
		n = fallocate(req->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)at,
			      (off_t)req->len_bytes);
		if (n == 0)
			tape_record(tape, at, req->len_bytes, NULL);
		break;
	case AIO_SYNC:
		if (!tape->lies)
			tape_sync(tape);
		return 0;
	case AIO_ZERO:
	default:
		return -EOPNOTSUPP;
	}
	return n < 0 ? -errno : n;
}

static void tape_start(struct aio *aio, struct aio_request *req)
{
	struct tape *tape = tape_of(aio);

	assert_true(tape->n_queue < QUEUE);
	tape->queue[tape->n_queue++] = req;
}

/* One, any one. */
static void tape_collect(struct aio *aio)
{
	struct tape *tape = tape_of(aio);

	if (tape->n_queue == 0)
		return;
	tape->each(tape);
	unsigned i = (unsigned)(rig_random(&tape->random) % tape->n_queue);
	struct aio_request *req = tape->queue[i];
	tape->queue[i] = tape->queue[--tape->n_queue];
	aio_step(aio, req, tape_perform(tape, req));
}

static void tape_nothing(struct aio *aio)
{
	(void)aio;
}

static int tape_fd(const struct aio *aio)
{
	(void)aio;
	return -EBADF;
}

static int tape_seal(struct aio *aio, struct err *err)
{
	(void)aio;
	(void)err;
	return 0;
}

static int tape_on_threads(struct aio *aio, int (*fn)(void *arg), void *arg)
{
	(void)aio;
	(void)fn;
	(void)arg;
	return 0;
}

static const struct aio_ops tape_ops = {
	.destroy = tape_nothing,
	.fd = tape_fd,
	.seal = tape_seal,
	.on_threads = tape_on_threads,
	.start = tape_start,
	.kick = tape_nothing,
	.collect = tape_collect,
	.wait = tape_nothing,
};

static void tape_init(struct tape *tape, struct rig *rig, const char *name, uint64_t random)
{
	aio_init(&tape->aio, &tape_ops, QUEUE);
	tape->random = random;
	tape->durable = calloc(1, IMAGE_MAX);
	assert_non_null(tape->durable);
	AUTO(fd_close_p) int fd = openat(rig->scratch->fd, name, O_RDONLY | O_CLOEXEC);
	ssize_t n = pread(fd, tape->durable, IMAGE_MAX, 0);
	assert_true(n > 0);
	tape->durable_len = (uint64_t)n;
}

static void tape_fini(struct tape *tape)
{
	tape_sync(tape);
	free(tape->durable);
}

/* ---- the cut ---- */

/* What was not synced is there by sectors, some of them. */
static void cut_image(struct power *p)
{
	struct tape *tape = &p->tape;
	uint8_t *image = malloc(IMAGE_MAX);
	uint64_t len = tape->durable_len;
	unsigned odds = (unsigned)(rig_random(&tape->random) % 5);

	assert_non_null(image);
	memcpy(image, tape->durable, IMAGE_MAX);
	for (unsigned i = 0; i < tape->n_writes; i++) {
		const struct write *w = &tape->writes[i];
		for (uint64_t at = 0; at < w->len;) {
			uint64_t n = 512 - (w->offset + at) % 512;
			if (n > w->len - at)
				n = w->len - at;
			if (rig_random(&tape->random) % 4 < odds)
				tape_apply(w, at, n, image, &len);
			at += n;
		}
	}
	AUTO(fd_close_p)
	int fd = openat(p->rig->scratch->fd, "cut.qcow2", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(pwrite(fd, image, len, 0), (ssize_t)len);
	assert_int_equal(ftruncate(fd, (off_t)len), 0); /* O_TRUNC would make ext4 write */
	free(image);
}

static bool cut_sector_ok(const struct mark *mark, uint32_t sector, const uint64_t *data)
{
	uint32_t generation = (uint32_t)(data[0] >> 32);

	if (data[0] == 0)
		return mark->zeroed >= mark->flushed;
	return (uint32_t)data[0] == sector && generation >= mark->flushed &&
	       generation <= mark->issued;
}

static void cut_bad(struct power *p, const char *why)
{
	p->bad++;
	p->why = why;
}

static void cut(struct power *p)
{
	uint64_t *data = malloc(SECTORS * 512ULL);
	struct qcow2_check found;

	p->cuts++;
	cut_image(p);
	if (qcow2_check(rig_path(p->rig, "cut.qcow2"), false, &found, &p->rig->err) < 0)
		cut_bad(p, "it cannot be checked");
	else if (found.errors)
		cut_bad(p, "it has errors");
	struct disk *disk = rig_open(p->rig, "cut.qcow2", DISK_FORMAT_AUTO, true);
	if (rig_io(p->rig, disk, DISK_READ, 0, data, SECTORS * 512ULL) != 0)
		cut_bad(p, "it cannot be read");
	for (uint32_t i = 0; i < SECTORS; i++) {
		if (!cut_sector_ok(&p->marks[i], i, data + i * 64ULL))
			cut_bad(p, "a sector is older than its flush");
	}
	disk_close(disk);
	free(data);
}

static void cut_sometimes(struct tape *tape)
{
	if (rig_random(&tape->random) % 8 == 0)
		cut(container_of(tape, struct power, tape));
}

/* ---- the guest ---- */

static void power_done(struct disk_request *req, int result)
{
	struct slot *slot = container_of(req, struct slot, req);
	struct power *p = slot->power;

	if (result != 0 && (result != -ENOSPC || !p->tape.refuse))
		fail_msg("a request failed: %d", result);
	p->failed += result != 0;
	for (uint32_t i = 0; result == 0 && i < slot->n && req->op != DISK_DISCARD; i++)
		p->marks[slot->sector + i].done = slot->generation;
	for (uint32_t i = 0; result == 0 && i < SECTORS && req->op == DISK_FLUSH; i++)
		p->marks[i].flushed = p->marks[i].covered;
	p->under_way--;
}

static void power_flush(struct power *p, struct slot *slot)
{
	for (uint32_t i = 0; i < SECTORS; i++)
		p->marks[i].covered = p->marks[i].done;
	slot->n = 0;
	slot->req = (struct disk_request){ .op = DISK_FLUSH, .done = power_done };
	p->disk->ops->submit(p->disk, &slot->req);
}

static void power_write(struct power *p, struct slot *slot, uint32_t sector, uint32_t n)
{
	static const enum disk_op ops[] = { DISK_WRITE, DISK_WRITE,	   DISK_WRITE,
					    DISK_WRITE, DISK_WRITE_ZEROES, DISK_DISCARD };
	enum disk_op op = ops[rig_random(&p->tape.random) % ARRAY_SIZE(ops)];

	slot->sector = sector;
	slot->n = n;
	slot->generation = ++p->generation;
	for (uint32_t i = 0; i < n; i++) {
		struct mark *mark = &p->marks[sector + i];
		mark->issued = slot->generation;
		if (op != DISK_WRITE)
			mark->zeroed = slot->generation;
		for (uint32_t w = 0; w < 64; w++)
			slot->data[i * 64 + w] = (uint64_t)slot->generation << 32 | (sector + i);
	}
	slot->iov = (struct mem_iov){ slot->data, n * 512ULL };
	slot->req = (struct disk_request){ .op = op,
					   .may_unmap = rig_random(&p->tape.random) % 2,
					   .offset_bytes = sector * 512ULL,
					   .len_bytes = n * 512ULL,
					   .iov = &slot->iov,
					   .n_iov = 1,
					   .done = power_done };
	p->disk->ops->submit(p->disk, &slot->req);
}

static void power_batch(struct power *p, struct slot *slots)
{
	uint32_t chunk = rig_random(&p->tape.random) % 2 ? 13 : SLOT_MAX;
	uint32_t base = (uint32_t)(rig_random(&p->tape.random) % (SECTORS - SLOTS * chunk));

	for (uint32_t i = 0; i < SLOTS; i++) {
		uint32_t n = (uint32_t)(rig_random(&p->tape.random) % chunk) + 1;
		slots[i].power = p;
		p->under_way++;
		if (i == SLOTS / 2)
			power_flush(p, &slots[i]);
		else
			power_write(p, &slots[i], base + i * chunk, n);
	}
	while (p->under_way)
		(void)aio_reap(&p->tape.aio);
}

static void power_run(struct rig *rig, struct power *p, const char *name, unsigned batches,
		      bool lies, unsigned refuse)
{
	const struct disk_open_opts opts = { 0 };
	struct slot *slots = calloc(SLOTS, sizeof(*slots));
	struct disk *disk;

	assert_non_null(slots);
	/* Whatever an opening changes is behind it. */
	disk_close(rig_open(rig, name, DISK_FORMAT_AUTO, false));
	p->rig = rig;
	tape_init(&p->tape, rig, name, 4711 + batches);
	p->tape.lies = lies;
	p->tape.refuse = refuse;
	p->tape.each = cut_sometimes;
	assert_int_equal(disk_open(rig_path(rig, name), &opts, &p->tape.aio, &disk, &rig->err), 0);
	p->disk = disk;
	for (unsigned i = 0; i < batches; i++)
		power_batch(p, slots);
	disk_close(disk);
	tape_fini(&p->tape);
	free(slots);
	if (!refuse)
		rig_check(rig, name);
}

static void cuts_leave_sound_images(struct rig *rig, unsigned cluster_bits, const char *backing)
{
	struct power *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	rig_qcow2(rig, "p.qcow2", SECTORS * 512ULL, cluster_bits, backing, DISK_FORMAT_RAW);
	power_run(rig, p, "p.qcow2", 14, false, 0);
	if (p->bad)
		fail_msg("%u of %u cuts: %s", p->bad, p->cuts, p->why);
	assert_true(p->cuts > 5);
	free(p);
}

static void large_clusters(void **state)
{
	cuts_leave_sound_images(rig_of(state), 16, NULL);
}

static void clusters_of_a_page(void **state)
{
	cuts_leave_sound_images(rig_of(state), 12, NULL);
}

static void clusters_of_a_sector(void **state)
{
	cuts_leave_sound_images(rig_of(state), 9, NULL);
}

static void over_a_backing_image(void **state)
{
	struct rig *rig = rig_of(state);

	rig_file(rig, "base.raw", SECTORS * 256ULL);
	cuts_leave_sound_images(rig, 12, "base.raw");
}

/* Now and then there is no room on the host: the guest hears of it, cuts included the image stays sound. */
static void a_full_host_is_the_guests_error(void **state)
{
	static const unsigned bits[] = { 9, 12, 16 };
	struct rig *rig = rig_of(state);

	for (size_t i = 0; i < ARRAY_SIZE(bits); i++) {
		struct power *p = calloc(1, sizeof(*p));
		struct qcow2_check found;
		assert_non_null(p);
		rig_qcow2(rig, "p.qcow2", SECTORS * 512ULL, bits[i], NULL, DISK_FORMAT_RAW);
		power_run(rig, p, "p.qcow2", 12, false, 20);
		if (p->bad)
			fail_msg("%u of %u cuts: %s", p->bad, p->cuts, p->why);
		assert_true(p->failed > 0);
		assert_int_equal(qcow2_check(rig_path(rig, "p.qcow2"), false, &found, &rig->err),
				 0);
		assert_int_equal(found.errors, 0);
		assert_int_equal(unlink(rig_path(rig, "p.qcow2")), 0);
		free(p);
	}
}

struct one {
	struct disk_request req;
	bool done;
	int result;
};

static void one_done(struct disk_request *req, int result)
{
	struct one *one = container_of(req, struct one, req);

	one->done = true;
	one->result = result;
}

static int one_run(struct power *p, enum disk_op op, void *data, uint64_t len)
{
	struct mem_iov iov = { data, len };
	struct one one = {
		.req = { .op = op, .len_bytes = len, .iov = &iov, .n_iov = 1, .done = one_done }
	};

	p->disk->ops->submit(p->disk, &one.req);
	while (!one.done)
		(void)aio_reap(&p->tape.aio);
	return one.result;
}

static void cut_never(struct tape *tape)
{
	(void)tape;
}

/* After a failed fdatasync nobody knows what is in the file: it is left as it is. */
static void a_failed_sync_ends_all_writing(void **state)
{
	const struct disk_open_opts opts = { 0 };
	struct rig *rig = rig_of(state);
	struct power *p = calloc(1, sizeof(*p));
	uint8_t data[512] = { 1 }, got[512];

	assert_non_null(p);
	rig_qcow2(rig, "p.qcow2", SECTORS * 512ULL, 16, NULL, DISK_FORMAT_RAW);
	tape_init(&p->tape, rig, "p.qcow2", 99);
	p->tape.each = cut_never;
	assert_int_equal(
		disk_open(rig_path(rig, "p.qcow2"), &opts, &p->tape.aio, &p->disk, &rig->err), 0);
	assert_int_equal(one_run(p, DISK_WRITE, data, 512), 0);
	p->tape.sync_fails = true;
	assert_int_equal(one_run(p, DISK_FLUSH, NULL, 0), -EIO);
	p->tape.sync_fails = false;
	assert_int_equal(one_run(p, DISK_FLUSH, NULL, 0), -EIO);
	assert_int_equal(one_run(p, DISK_WRITE, data, 512), -EIO);
	assert_int_equal(one_run(p, DISK_DISCARD, NULL, 512), -EIO);
	assert_int_equal(one_run(p, DISK_READ, got, 512), 0);
	assert_memory_equal(got, data, 512);
	disk_close(p->disk);
	tape_fini(&p->tape);
	free(p);
}

/* Without fdatasync the same cuts must be seen to do harm: else this file shows nothing. */
static void a_disk_that_lies_is_found_out(void **state)
{
	struct rig *rig = rig_of(state);
	struct power *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	rig_qcow2(rig, "p.qcow2", SECTORS * 512ULL, 12, NULL, DISK_FORMAT_RAW);
	power_run(rig, p, "p.qcow2", 10, true, 0);
	assert_true(p->bad > 0);
	free(p);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		RIG_TEST_ONCE(large_clusters),
		RIG_TEST_ONCE(clusters_of_a_page),
		RIG_TEST_ONCE(clusters_of_a_sector),
		RIG_TEST_ONCE(over_a_backing_image),
		RIG_TEST_ONCE(a_full_host_is_the_guests_error),
		RIG_TEST_ONCE(a_failed_sync_ends_all_writing),
		RIG_TEST_ONCE(a_disk_that_lies_is_found_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
