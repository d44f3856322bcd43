/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/vmm/vhost_fake.h"

#include "scratch.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/core/macros.h"
#include "base/os/fd.h"
#include "engines/vmm/vhost_fs.h"

#define HEAD  SHARE_HEAD_BYTES
#define REPLY SHARE_REPLY_BYTES

struct ask {
	struct share_request share;
	struct mem_iov out[2], in[3];
	uint8_t data[256], room[256];
	int64_t result;
	unsigned n_done;
};

struct scene {
	struct loop *loop;
	struct vhost_fs fs;
	int its;
	struct ask asks[20];
};

static void done(struct share_request *share, int64_t result)
{
	struct ask *a = container_of(share, struct ask, share);

	a->result = result;
	a->n_done++;
}

static struct scene *scene_new(void)
{
	struct scene *s = test_calloc(1, sizeof(*s));
	struct err err = { 0 };
	int pair[2];

	assert_int_equal(loop_create(&s->loop, &err), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	vhost_fake_agree(pair[1], VHOST_FS_QUEUES, 99, 0);
	assert_int_equal(vhost_fs_open(&s->fs, pair[0], s->loop, &err), 0);
	s->its = pair[1];
	return s;
}

static void scene_free(struct scene *s)
{
	vhost_fs_fini(&s->fs);
	loop_free(s->loop);
	fd_close(s->its);
	test_free(s);
}

/* A request with 50 bytes behind the head in two pieces, and room for 100 in three. */
static int submit(struct scene *s, unsigned i, uint32_t opcode)
{
	struct ask *a = &s->asks[i];

	*a = (struct ask){
		.share = { .n_out = 2, .n_in = 3, .out_bytes = 50, .in_bytes = 100, .done = done }
	};
	a->out[0] = (struct mem_iov){ a->data, 7 };
	a->out[1] = (struct mem_iov){ a->data + 100, 43 };
	a->in[0] = (struct mem_iov){ a->room, 3 };
	a->in[1] = (struct mem_iov){ a->room + 50, 20 };
	a->in[2] = (struct mem_iov){ a->room + 150, 77 };
	for (unsigned k = 0; k < sizeof(a->data); k++)
		a->data[k] = (uint8_t)(i + k);
	memset(a->share.head, 0x40 + (int)i, HEAD);
	le32_store(a->share.head + 4, opcode);
	a->share.out = a->out;
	a->share.in = a->in;
	return s->fs.share.ops->submit(&s->fs.share, &a->share);
}

static struct vhost_fs_queue *queue(struct scene *s)
{
	return &s->fs.queues[1];
}

static void use(struct scene *s, uint16_t at, uint32_t head, uint32_t len)
{
	le32_store(queue(s)->used + 4 + (size_t)(at % VHOST_FS_RING) * 8, head);
	le32_store(queue(s)->used + 8 + (size_t)(at % VHOST_FS_RING) * 8, len);
}

static void publish(struct scene *s, uint16_t idx)
{
	struct err err = { 0 };

	le16_store(queue(s)->used + 2, idx);
	fd_poke(queue(s)->call);
	for (unsigned i = 0; i < 4; i++)
		assert_true(loop_run_once(s->loop, 0, &err) >= 0);
}

static const uint8_t *desc(struct scene *s, unsigned i)
{
	return queue(s)->desc + (size_t)i * 16;
}

static void a_request_is_copied_in_and_its_reply_out(void **state)
{
	struct scene *s = scene_new();
	uint64_t rung = 0;

	(void)state;
	assert_int_equal(submit(s, 0, 3), 0);
	const unsigned head = le16_load(queue(s)->avail + 4);
	assert_int_equal(le16_load(queue(s)->avail + 2), 1);
	assert_int_equal(read(queue(s)->kick, &rung, sizeof(rung)), sizeof(rung));
	assert_int_equal(le32_load(desc(s, head) + 8), HEAD + 50);
	assert_int_equal(le16_load(desc(s, head) + 12), 1);
	assert_int_equal(le16_load(desc(s, head) + 14), head + 1);
	assert_int_equal(le32_load(desc(s, head + 1) + 8), 100);
	assert_int_equal(le16_load(desc(s, head + 1) + 12), 2);
	const uint8_t *out = s->fs.at + le64_load(desc(s, head));
	assert_memory_equal(out, s->asks[0].share.head, HEAD);
	assert_memory_equal(out + HEAD, s->asks[0].data, 7);
	assert_memory_equal(out + HEAD + 7, s->asks[0].data + 100, 43);
	uint8_t *in = s->fs.at + le64_load(desc(s, head + 1));
	for (unsigned i = 0; i < 100; i++)
		in[i] = (uint8_t)(200 - i);
	use(s, 0, head, 90);
	publish(s, 1);
	assert_int_equal(s->asks[0].n_done, 1);
	assert_int_equal(s->asks[0].result, 90);
	assert_memory_equal(s->asks[0].share.reply, in, REPLY);
	assert_int_equal(s->asks[0].room[0], 0); /* the header is its checker's to write */
	assert_int_equal(s->asks[0].room[50 + 12], 0);
	assert_memory_equal(s->asks[0].room + 50 + 13, in + REPLY, 7);
	assert_memory_equal(s->asks[0].room + 150, in + 23, 67);
	assert_int_equal(s->asks[0].room[150 + 67], 0);
	assert_true(vhost_fs_alive(&s->fs));
	scene_free(s);
}

/* So that a program can hand the data on from where it is. */
static void the_data_of_a_write_is_by_itself(void **state)
{
	struct scene *s = scene_new();

	(void)state;
	assert_int_equal(submit(s, 0, 16), 0);
	const unsigned head = le16_load(queue(s)->avail + 4);
	assert_int_equal(le32_load(desc(s, head) + 8), HEAD);
	assert_int_equal(le32_load(desc(s, head + 1) + 8), 40);
	assert_int_equal(le32_load(desc(s, head + 2) + 8), 10);
	assert_int_equal(le32_load(desc(s, head + 3) + 8), 100);
	assert_true(le64_load(desc(s, head + 2)) == le64_load(desc(s, head)) + HEAD + 40);
	scene_free(s);
}

static void slots_are_used_again_and_never_twice(void **state)
{
	struct scene *s = scene_new();
	uint16_t idx = 0;

	(void)state;
	for (unsigned round = 0; round < 20; round++) {
		for (unsigned i = 0; i < VHOST_FS_SLOTS; i++)
			assert_int_equal(submit(s, i, 3), 0);
		assert_int_equal(submit(s, 19, 3), -E2BIG);
		for (unsigned i = 0; i < VHOST_FS_SLOTS; i++)
			use(s, (uint16_t)(idx + i), (VHOST_FS_SLOTS - 1 - i) * 4, 0);
		idx = (uint16_t)(idx + VHOST_FS_SLOTS);
		publish(s, idx);
		for (unsigned i = 0; i < VHOST_FS_SLOTS; i++)
			assert_int_equal(s->asks[i].n_done, 1);
	}
	assert_true(vhost_fs_alive(&s->fs));
	scene_free(s);
}

/* Whatever it says: what is under way fails, what comes later too, and nobody listens to it any more. */
static void lost(struct scene *s)
{
	assert_false(vhost_fs_alive(&s->fs));
	assert_int_equal(s->asks[0].n_done, 1);
	assert_int_equal(s->asks[0].result, -EIO);
	assert_int_equal(submit(s, 1, 3), -EIO);
	assert_int_equal(s->asks[1].n_done, 0);
	scene_free(s);
}

static void nonsense_in_the_used_ring(void **state)
{
	static const struct {
		uint32_t head, len;
		uint16_t idx;
	} bad[] = {
		{ 1, 20, 1 }, /* no request begins there */
		{ 4, 20, 1 }, /* a free slot, or the one of nobody */
		{ 64, 20, 1 },		{ UINT32_MAX, 20, 1 },
		{ 0x10000, 20, 1 },	{ 60, 101, 1 }, /* longer than there is room */
		{ 60, UINT32_MAX, 1 },	{ 60, REPLY - 1, 1 },
		{ 60, 1, 1 },		{ 60, 20, 2 }, /* more than there are */
		{ 60, 20, UINT16_MAX }, { 60, 20, 0x8000 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct scene *s = scene_new();
		assert_int_equal(submit(s, 0, 3), 0);
		assert_int_equal(le16_load(queue(s)->avail + 4),
				 60); /* the slot that was freed last */
		use(s, 0, bad[i].head, bad[i].len);
		publish(s, bad[i].idx);
		lost(s);
	}
}

static void one_that_is_answered_twice(void **state)
{
	struct scene *s = scene_new();

	(void)state;
	assert_int_equal(submit(s, 0, 3), 0);
	assert_int_equal(submit(s, 2, 3), 0);
	use(s, 0, 56, 0);
	use(s, 1, 56, 0);
	publish(s, 2);
	assert_int_equal(s->asks[2].n_done, 1);
	assert_int_equal(s->asks[2].result, 0);
	lost(s);
}

static void one_that_ends_and_one_that_talks(void **state)
{
	struct err err = { 0 };

	(void)state;
	for (int talks = 0; talks < 2; talks++) {
		struct scene *s = scene_new();
		assert_int_equal(submit(s, 0, 3), 0);
		if (talks) {
			vhost_fake_say(s->its, 1, 5, 8, 0);
		} else {
			fd_close(s->its);
			s->its = -EBADF;
		}
		assert_true(loop_run_once(s->loop, 0, &err) >= 0);
		lost(s);
	}
}

static void one_that_cannot_be_agreed_with(void **state)
{
	struct vhost_fs fs;
	struct loop *loop;
	struct err err = { 0 };
	int pair[2];

	(void)state;
	assert_int_equal(loop_create(&loop, &err), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	fd_close(pair[1]);
	assert_int_equal(vhost_fs_open(&fs, pair[0], loop, &err), -ECONNRESET);
	assert_string_equal(err.text, "shared folders: its program ended");
	loop_free(loop);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_is_copied_in_and_its_reply_out),
		cmocka_unit_test(the_data_of_a_write_is_by_itself),
		cmocka_unit_test(slots_are_used_again_and_never_twice),
		cmocka_unit_test(nonsense_in_the_used_ring),
		cmocka_unit_test(one_that_is_answered_twice),
		cmocka_unit_test(one_that_ends_and_one_that_talks),
		cmocka_unit_test(one_that_cannot_be_agreed_with),
	};

	return cmocka_run_group_tests_name("engines/vmm/vhost_fs", tests, NULL, NULL);
}
