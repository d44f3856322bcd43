/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/vmm/vhost_fake.h"

#include "scratch.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/core/macros.h"
#include "base/os/fd.h"
#include "engines/vmm/vhost_user.h"

struct scene {
	int ours, its; /* ends of one socket */
	int memory, kick;
	struct vhost_user_ring ring;
	struct vhost_user_setup setup;
	struct err err;
};

static void scene_init(struct scene *s)
{
	int pair[2];

	*s = (struct scene){ .err = { 0 } };
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	s->ours = pair[0];
	s->its = pair[1];
	s->memory = s->kick = eventfd(0, EFD_CLOEXEC);
	s->ring = (struct vhost_user_ring){ s->kick, s->kick, 0x100, 0x200, 0x300, 64 };
	s->setup = (struct vhost_user_setup){ s->memory, 0x10000, &s->ring, 1 };
}

static void scene_fini(struct scene *s)
{
	fd_close(s->ours);
	fd_close(s->its);
	fd_close(s->kick);
}

static int begin(struct scene *s)
{
	(void)shutdown(s->its, SHUT_WR); /* it says no more: nothing waits for long */
	return vhost_user_begin(s->ours, &s->setup, &s->err);
}

struct heard {
	uint32_t request, flags, len;
	uint8_t payload[64];
	int fd;
};

static bool hear(struct scene *s, struct heard *ret)
{
	uint8_t head[12];

	ret->fd = -EBADF;
	if (fd_receive(s->its, head, sizeof(head), &ret->fd) != sizeof(head))
		return false;
	ret->request = le32_load(head);
	ret->flags = le32_load(head + 4);
	ret->len = le32_load(head + 8);
	assert_true(ret->len <= sizeof(ret->payload));
	if (ret->len)
		assert_int_equal(recv(s->its, ret->payload, ret->len, MSG_WAITALL), ret->len);
	return true;
}

static void what_a_program_is_told(void **state)
{
	static const uint32_t order[] = { 1, 15, 16, 3, 2, 5, 8, 10, 9, 13, 12, 18, 1 };
	struct scene s;
	struct heard h;

	(void)state;
	scene_init(&s);
	vhost_fake_agree(s.its, 1, 99, 0);
	assert_int_equal(begin(&s), 0);
	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		assert_true(hear(&s, &h));
		assert_int_equal(h.request, order[i]);
		const bool asks = h.request == 1 || h.request == 15 || h.request == 16;
		assert_int_equal(h.flags, asks ? 1 : 9);
		assert_int_equal(h.fd >= 0, h.request == 5 || h.request == 12 || h.request == 13);
		if (h.request == 2)
			assert_true(le64_load(h.payload) == (FAKE_VERSION_1 | FAKE_PROTOCOL));
		if (h.request == 16)
			assert_true(le64_load(h.payload) == FAKE_ACK);
		if (h.request == 5) {
			assert_int_equal(le32_load(h.payload), 1);
			assert_int_equal(le64_load(h.payload + 16), 0x10000);
		}
		if (h.request == 8)
			assert_int_equal(le32_load(h.payload + 4), 64);
		fd_close(h.fd);
	}
	scene_fini(&s);
}

static void one_without_extras_will_do(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s);
	vhost_fake_say(s.its, 1, 5, 8, FAKE_VERSION_1);
	vhost_fake_say(s.its, 1, 5, 8, FAKE_VERSION_1);
	assert_int_equal(begin(&s), 0);
	scene_fini(&s);
}

static void nonsense_is_refused(void **state)
{
	static const struct {
		uint32_t request, flags, len;
		uint64_t value;
	} bad[] = {
		{ 1, 5, 8, 0 },		     /* no virtio 1 */
		{ 2, 5, 8, FAKE_VERSION_1 }, /* an answer to something else */
		{ 1, 1, 8, FAKE_VERSION_1 }, /* none at all */
		{ 1, 6, 8, FAKE_VERSION_1 }, /* another version */
		{ 1, 5, 4, FAKE_VERSION_1 },
		{ 1, 5, UINT32_MAX, FAKE_VERSION_1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct scene s;
		scene_init(&s);
		vhost_fake_say(s.its, bad[i].request, bad[i].flags, bad[i].len, bad[i].value);
		assert_int_equal(begin(&s), -EPROTO);
		assert_string_equal(s.err.text, "its program talks nonsense");
		scene_fini(&s);
	}
}

/* Each of the ten that it acknowledges may fail. */
static void a_refusal_is_a_failure(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 9; n++) {
		struct scene s;
		scene_init(&s);
		vhost_fake_agree(s.its, 1, n, 1);
		assert_int_equal(begin(&s), -EPROTO);
		scene_fini(&s);
	}
}

static void one_that_ends_is_said_to_have_ended(void **state)
{
	struct scene s;
	uint8_t part[5] = { 1 };

	(void)state;
	scene_init(&s);
	assert_int_equal(begin(&s), -ECONNRESET);
	assert_string_equal(s.err.text, "its program ended");
	scene_fini(&s);
	scene_init(&s);
	assert_int_equal(send(s.its, part, sizeof(part), 0), sizeof(part));
	assert_int_equal(begin(&s), -ECONNRESET);
	scene_fini(&s);
	scene_init(&s);
	fd_close(s.its);
	s.its = -EBADF;
	assert_int_equal(vhost_user_begin(s.ours, &s.setup, &s.err), -ECONNRESET);
	scene_fini(&s);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_program_is_told),
		cmocka_unit_test(one_without_extras_will_do),
		cmocka_unit_test(nonsense_is_refused),
		cmocka_unit_test(a_refusal_is_a_failure),
		cmocka_unit_test(one_that_ends_is_said_to_have_ended),
	};

	return cmocka_run_group_tests_name("engines/vmm/vhost_user", tests, NULL, NULL);
}
