/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio/driver.h"
#include "devices/virtio/fake_share.h"

#include "scratch.h"

#include <errno.h>
#include <string.h>

#include "base/core/bytes.h"
#include "devices/virtio/fs.h"

enum { HIPRIO, REQUEST };
enum { FORGET = 2, GETATTR = 3 };

#define HEAD  SHARE_HEAD_BYTES
#define REPLY SHARE_REPLY_BYTES

struct scene {
	struct rig rig;
	struct fake_share share;
	struct virtio_fs fs;
};

static struct scene *scene_new(void)
{
	struct scene *s = test_calloc(1, sizeof(*s));

	assert_true(rig_init(&s->rig));
	fake_share_init(&s->share);
	virtio_fs_init(&s->fs, &s->rig.place, &s->share.share, "folder");
	assert_true(rig_attach(&s->rig, &s->fs.virtio));
	assert_true(rig_start(&s->rig, F_VERSION_1 | F_EVENT_IDX | F_INDIRECT, 2, FS_QUEUE_SIZE));
	return s;
}

static void scene_free(struct scene *s)
{
	rig_fini(&s->rig);
	test_free(s);
}

struct request {
	gpa_t out, in;
	uint16_t queue, head;
};

/* out bytes, header too, of which its length says `said`; room for in bytes. */
static struct request send(struct scene *s, uint32_t opcode, uint32_t out, uint32_t said,
			   uint32_t in)
{
	struct request r = { .out = rig_alloc(&s->rig, out < HEAD ? HEAD : out),
			     .in = rig_alloc(&s->rig, in + 1),
			     .queue = opcode == FORGET ? HIPRIO : REQUEST };
	const struct rig_buf bufs[] = { { r.out, out, false }, { r.in, in, true } };
	uint8_t *head = rig_at(&s->rig, r.out);

	le32_store(head, said);
	le32_store(head + 4, opcode);
	le64_store(head + 8, 0x1234567800000000U | r.out);
	memset(rig_at(&s->rig, r.in), 0xee, in);
	r.head = rig_add(&s->rig, r.queue, bufs, in ? 2 : 1, true);
	rig_kick(&s->rig, r.queue);
	rig_run(&s->rig);
	return r;
}

static struct request ask(struct scene *s, uint32_t in)
{
	return send(s, GETATTR, HEAD + 16, HEAD + 16, in);
}

/* The guest got a reply of so many bytes, whose header says that error. */
static void expect(struct scene *s, struct request r, uint32_t len, int error)
{
	uint32_t head, got;

	assert_true(rig_used(&s->rig, r.queue, &head, &got));
	assert_int_equal(head, r.head);
	assert_int_equal(got, len);
	if (!len)
		return;
	const uint8_t *reply = rig_at(&s->rig, r.in);
	assert_int_equal(le32_load(reply), len);
	assert_int_equal((int32_t)le32_load(reply + 4), error);
	assert_true(le64_load(reply + 8) == (0x1234567800000000U | r.out));
}

static void nothing_used(struct scene *s, uint16_t queue)
{
	uint32_t head, len;

	assert_false(rig_used(&s->rig, queue, &head, &len));
}

static void the_tag_and_one_request_queue(void **state)
{
	struct scene *s = scene_new();

	(void)state;
	for (unsigned i = 0; i < FS_TAG_BYTES; i++)
		assert_int_equal(rig_dev_config(&s->rig, i, 1), i < 6 ? "folder"[i] : 0);
	assert_int_equal(rig_dev_config(&s->rig, FS_TAG_BYTES, 4), 1);
	scene_free(s);
}

static void replies_in_any_order(void **state)
{
	struct scene *s = scene_new();

	(void)state;
	struct request a = ask(s, 100), b = ask(s, 200);
	assert_int_equal(s->share.n_waiting, 2);
	nothing_used(s, REQUEST);
	assert_true(fake_share_answer(&s->share, 1, 60, 60, 0));
	expect(s, b, 60, 0);
	assert_int_equal(rig_at(&s->rig, b.in)[59], 0xa5);
	assert_int_equal(rig_at(&s->rig, b.in)[60], 0xee);
	assert_true(fake_share_answer(&s->share, 0, REPLY, REPLY, -ENOENT));
	expect(s, a, REPLY, -ENOENT);
	scene_free(s);
}

static void what_is_forgotten_has_no_reply(void **state)
{
	struct scene *s = scene_new();

	(void)state;
	struct request r = send(s, FORGET, HEAD + 8, HEAD + 8, 0);
	assert_true(s->share.waiting[0]->urgent);
	assert_true(fake_share_result(&s->share, 0, 0));
	expect(s, r, 0, 0);
	scene_free(s);
}

static void a_reply_that_does_not_fit_its_request_is_an_error(void **state)
{
	static const struct {
		uint32_t len, said;
		int32_t error;
	} bad[] = {
		{ 60, 61, 0 },
		{ 60, 59, 0 },
		{ 60, 0, 0 },
		{ 60, UINT32_MAX, 0 },
		{ 101, 101, 0 },
		{ REPLY, REPLY, 1 },
		{ REPLY, REPLY, -1000 },
		{ REPLY, REPLY, INT32_MIN },
	};
	struct scene *s = scene_new();

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct request r = ask(s, 100);
		assert_true(fake_share_answer(&s->share, 0, bad[i].len, bad[i].said, bad[i].error));
		expect(s, r, REPLY, -EIO);
	}
	struct request other = ask(s, 100);
	s->share.waiting[0]->head[8] ^= 1; /* answered as if it were another's */
	le64_store(s->share.waiting[0]->reply + 8, 7);
	le32_store(s->share.waiting[0]->reply, REPLY);
	s->share.waiting[0]->head[8] ^= 1;
	assert_true(fake_share_result(&s->share, 0, REPLY));
	expect(s, other, REPLY, -EIO);
	scene_free(s);
}

static void failures_are_replies(void **state)
{
	struct scene *s = scene_new();

	(void)state;
	struct request r = ask(s, 100);
	assert_true(fake_share_result(&s->share, 0, -ENOTCONN));
	expect(s, r, REPLY, -ENOTCONN);
	r = ask(s, 100);
	assert_true(fake_share_result(&s->share, 0, 0)); /* no reply where there must be one */
	expect(s, r, REPLY, -EIO);
	s->share.refuse = -EIO;
	expect(s, ask(s, 100), REPLY, -EIO);
	expect(s, ask(s, REPLY - 1), 0, 0); /* no room to say so */
	expect(s, send(s, FORGET, HEAD + 8, HEAD + 8, 0), 0, 0);
	scene_free(s);
}

static void lengths_that_lie_never_reach_the_share(void **state)
{
	struct scene *s = scene_new();

	(void)state;
	expect(s, send(s, GETATTR, HEAD + 16, HEAD + 17, 100), REPLY, -EINVAL);
	expect(s, send(s, GETATTR, HEAD + 16, HEAD, 100), REPLY, -EINVAL);
	expect(s, send(s, GETATTR, HEAD + 16, 0, 100), REPLY, -EINVAL);
	expect(s, send(s, GETATTR, HEAD + 16, UINT32_MAX, 100), REPLY, -EINVAL);
	expect(s, ask(s, SHARE_MESSAGE_MAX + 1), REPLY, -E2BIG);
	assert_int_equal(s->share.n_requests, 0);
	assert_false(virtio_needs_reset(&s->fs.virtio));
	scene_free(s);
}

static void a_request_without_a_header_breaks_the_device(void **state)
{
	struct scene *s = scene_new();

	(void)state;
	(void)send(s, GETATTR, HEAD - 1, HEAD - 1, 100);
	assert_true(virtio_needs_reset(&s->fs.virtio));
	assert_int_equal(s->share.n_requests, 0);
	assert_true(rig_reset(&s->rig));
	scene_free(s);
}

static void more_than_there_are_slots_wait_their_turn(void **state)
{
	struct scene *s = scene_new();
	struct request r[FS_REQUESTS + 3];

	(void)state;
	for (unsigned i = 0; i < FS_REQUESTS + 3; i++)
		r[i] = ask(s, 100);
	assert_int_equal(s->share.n_waiting, FS_REQUESTS);
	struct request forget =
		send(s, FORGET, HEAD + 8, HEAD + 8, 0); /* which do not wait for those */
	assert_true(fake_share_result(&s->share, FS_REQUESTS, 0));
	expect(s, forget, 0, 0);
	for (unsigned i = 0; i < FS_REQUESTS + 3; i++) {
		unsigned k = 0;
		while (s->share.waiting[k]->head[8] != (uint8_t)r[i].out ||
		       le64_load(s->share.waiting[k]->head + 8) != (0x1234567800000000U | r[i].out))
			k++;
		assert_true(fake_share_answer(&s->share, k, 20, 20, 0));
		rig_run(&s->rig);
		expect(s, r[i], 20, 0);
	}
	assert_int_equal(s->share.n_waiting, 0);
	scene_free(s);
}

static void a_reset_waits_for_what_is_under_way(void **state)
{
	struct scene *s = scene_new();

	(void)state;
	struct request r = ask(s, 100);
	assert_false(rig_reset(&s->rig));
	assert_true(fake_share_answer(&s->share, 0, 60, 60, 0));
	rig_run(&s->rig);
	assert_int_equal(rig_status(&s->rig), 0);
	assert_int_equal(rig_at(&s->rig, r.in)[0], 0xee); /* its header was not written */
	assert_true(rig_start(&s->rig, F_VERSION_1 | F_INDIRECT, 2, FS_QUEUE_SIZE));
	r = ask(s, 100);
	assert_true(fake_share_answer(&s->share, 0, 60, 60, 0));
	expect(s, r, 60, 0);
	scene_free(s);
}

static void what_was_written_is_told(void **state)
{
	struct scene *s = scene_new();

	(void)state;
	struct request r = ask(s, 100);
	uint64_t before = s->rig.wrote_bytes;
	assert_true(fake_share_answer(&s->share, 0, 90, 91, 0)); /* refused, but it was written */
	expect(s, r, REPLY, -EIO);
	assert_true(s->rig.wrote_bytes - before >= 90);
	scene_free(s);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_tag_and_one_request_queue),
		cmocka_unit_test(replies_in_any_order),
		cmocka_unit_test(what_is_forgotten_has_no_reply),
		cmocka_unit_test(a_reply_that_does_not_fit_its_request_is_an_error),
		cmocka_unit_test(failures_are_replies),
		cmocka_unit_test(lengths_that_lie_never_reach_the_share),
		cmocka_unit_test(a_request_without_a_header_breaks_the_device),
		cmocka_unit_test(more_than_there_are_slots_wait_their_turn),
		cmocka_unit_test(a_reset_waits_for_what_is_under_way),
		cmocka_unit_test(what_was_written_is_told),
	};

	return cmocka_run_group_tests_name("devices/virtio/fs", tests, NULL, NULL);
}
