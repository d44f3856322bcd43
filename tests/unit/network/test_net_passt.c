/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/core/bytes.h"
#include "base/core/macros.h"
#include "base/os/loop.h"
#include "network/passt.h"

#define HEADER 12

struct rig {
	struct loop *loop;
	struct net *net;
	int peer;
	unsigned readable, writable;
};

static void heard_readable(struct net *net, void *arg)
{
	(void)net;
	((struct rig *)arg)->readable++;
}

static void heard_writable(struct net *net, void *arg)
{
	(void)net;
	((struct rig *)arg)->writable++;
}

static int setup(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	int pair[2];

	assert_non_null(rig);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(loop_create(&rig->loop, NULL), 0);
	assert_int_equal(net_passt_open(pair[0], rig->loop, &rig->net, NULL), 0);
	rig->peer = pair[1];
	rig->net->readable = heard_readable;
	rig->net->writable = heard_writable;
	rig->net->arg = rig;
	*state = rig;
	return 0;
}

static int teardown(void **state)
{
	struct rig *rig = *state;

	rig->net->ops->close(rig->net);
	loop_free(rig->loop);
	if (rig->peer >= 0)
		(void)close(rig->peer);
	free(rig);
	return 0;
}

static void say(struct rig *rig, const void *data, size_t len)
{
	assert_int_equal(write(rig->peer, data, len), (ssize_t)len);
}

static void say_length(struct rig *rig, uint32_t len)
{
	uint8_t bytes[4];

	be32_store(bytes, len);
	say(rig, bytes, sizeof(bytes));
}

static int64_t take(struct rig *rig, void *to, size_t size)
{
	const struct mem_iov iov = { to, size };

	return rig->net->ops->receive(rig->net, &iov, 1);
}

static int give(struct rig *rig, const void *data, size_t len)
{
	uint8_t header[HEADER] = { 0xff };
	const struct mem_iov iov[2] = { { header, HEADER }, { (void *)(uintptr_t)data, len } };

	return rig->net->ops->send(rig->net, iov, 2);
}

static void it_has_no_offloads_and_says_its_mtu(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(rig->net->offloads, 0);
	assert_int_equal(rig->net->mtu, PASST_MTU);
	assert_string_equal(rig->net->ops->name, "passt");
}

static void a_frame_goes_out_behind_its_length_without_the_header(void **state)
{
	struct rig *rig = *state;
	uint8_t frame[60], got[100];

	memset(frame, 0x5a, sizeof(frame));
	assert_int_equal(give(rig, frame, sizeof(frame)), 0);
	assert_int_equal(read(rig->peer, got, sizeof(got)), 64);
	assert_int_equal(be32_load(got), 60);
	assert_memory_equal(got + 4, frame, 60);
}

static void a_header_cut_into_pieces_is_left_out_whole(void **state)
{
	struct rig *rig = *state;
	uint8_t bytes[HEADER + 20], got[64];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)i;
	const struct mem_iov iov[] = { { bytes, 5 },
				       { bytes + 5, 3 },
				       { bytes + 8, 10 },
				       { bytes + 18, sizeof(bytes) - 18 } };
	assert_int_equal(rig->net->ops->send(rig->net, iov, 4), 0);
	assert_int_equal(read(rig->peer, got, sizeof(got)), 24);
	assert_memory_equal(got + 4, bytes + HEADER, 20);
}

static void a_frame_too_short_or_too_long_is_lost_and_the_next_goes(void **state)
{
	struct rig *rig = *state;
	uint8_t *big = calloc(1, PASST_FRAME_MAX + 1);
	uint8_t got[64];

	assert_non_null(big);
	assert_int_equal(give(rig, big, PASST_FRAME_MIN - 1), -EMSGSIZE);
	assert_int_equal(give(rig, big, 0), -EMSGSIZE);
	assert_int_equal(give(rig, big, PASST_FRAME_MAX + 1), -EMSGSIZE);
	assert_int_equal(give(rig, big, PASST_FRAME_MIN), 0);
	assert_int_equal(read(rig->peer, got, sizeof(got)), 4 + PASST_FRAME_MIN);
	free(big);
}

static void a_frame_comes_in_behind_a_header_of_zeroes(void **state)
{
	struct rig *rig = *state;
	uint8_t frame[50], got[HEADER + 50], zero[HEADER] = { 0 };

	memset(frame, 0x33, sizeof(frame));
	memset(got, 0xee, sizeof(got));
	say_length(rig, sizeof(frame));
	say(rig, frame, sizeof(frame));
	assert_int_equal(take(rig, got, sizeof(got)), sizeof(got));
	assert_memory_equal(got, zero, HEADER);
	assert_memory_equal(got + HEADER, frame, sizeof(frame));
	assert_int_equal(take(rig, got, sizeof(got)), -EAGAIN);
}

static void lengths_and_frames_may_come_a_byte_at_a_time(void **state)
{
	struct rig *rig = *state;
	uint8_t bytes[4 + 20] = { 0, 0, 0, 20 }, got[64];

	memset(bytes + 4, 7, 20);
	for (unsigned round = 0; round < 2; round++) {
		for (size_t i = 0; i + 1 < sizeof(bytes); i++) {
			say(rig, bytes + i, 1);
			assert_int_equal(take(rig, got, sizeof(got)), -EAGAIN);
		}
		say(rig, bytes + sizeof(bytes) - 1, 1);
		assert_int_equal(take(rig, got, sizeof(got)), HEADER + 20);
	}
}

static void frames_that_came_together_are_told_one_by_one(void **state)
{
	struct rig *rig = *state;
	uint8_t frame[100], got[200];

	for (uint8_t i = 0; i < 30; i++) {
		memset(frame, i, sizeof(frame));
		say_length(rig, 14U + i);
		say(rig, frame, 14U + i);
	}
	for (uint8_t i = 0; i < 30; i++) {
		assert_int_equal(take(rig, got, sizeof(got)), HEADER + 14 + i);
		assert_int_equal(got[HEADER], i);
		assert_int_equal(got[HEADER + 13 + i], i);
	}
	assert_int_equal(take(rig, got, sizeof(got)), -EAGAIN);
}

static void a_frame_that_does_not_fit_is_cut_and_its_length_told(void **state)
{
	struct rig *rig = *state;
	uint8_t frame[100], got[40];

	memset(frame, 9, sizeof(frame));
	memset(got, 0xee, sizeof(got));
	say_length(rig, sizeof(frame));
	say(rig, frame, sizeof(frame));
	const struct mem_iov iov[] = { { got, 10 }, { got + 10, 20 } };
	assert_int_equal(rig->net->ops->receive(rig->net, iov, 2), HEADER + 100);
	assert_int_equal(got[29], 9);
	assert_int_equal(got[30], 0xee);
}

static void a_length_that_no_frame_has_closes_the_network(void **state)
{
	static const uint32_t lengths[] = {
		0, 1, PASST_FRAME_MIN - 1, PASST_FRAME_MAX + 1, 0x80000000, UINT32_MAX
	};
	uint8_t got[64], frame[20] = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		void *one;
		setup(&one);
		struct rig *rig = one;
		say_length(rig, lengths[i]);
		assert_int_equal(take(rig, got, sizeof(got)), -EPIPE);
		assert_int_equal(take(rig, got, sizeof(got)), -EPIPE);
		assert_int_equal(give(rig, frame, sizeof(frame)), -EPIPE);
		assert_int_equal(read(rig->peer, got, sizeof(got)), 0); /* told, so that it ends */
		teardown(&one);
	}
}

static void the_longest_frame_passes_both_ways(void **state)
{
	struct rig *rig = *state;
	uint8_t *frame = malloc(PASST_FRAME_MAX), *got = malloc(HEADER + PASST_FRAME_MAX);

	assert_non_null(frame);
	assert_non_null(got);
	memset(frame, 0x77, PASST_FRAME_MAX);
	say_length(rig, PASST_FRAME_MAX);
	say(rig, frame, PASST_FRAME_MAX);
	assert_int_equal(take(rig, got, HEADER + PASST_FRAME_MAX), HEADER + PASST_FRAME_MAX);
	assert_memory_equal(got + HEADER, frame, PASST_FRAME_MAX);
	assert_int_equal(give(rig, frame, PASST_FRAME_MAX), 0);
	free(frame);
	free(got);
}

/* Until the peer's buffer is full, then until all that was taken has come out whole and in order. */
static void a_full_socket_says_again_and_loses_nothing(void **state)
{
	struct rig *rig = *state;
	uint8_t frame[3000], got[3004];
	unsigned sent = 0;
	int r;

	for (;; sent++) {
		memset(frame, (int)(sent & 0xff), sizeof(frame));
		r = give(rig, frame, sizeof(frame));
		if (r < 0)
			break;
		assert_true(sent < 100000);
	}
	assert_int_equal(r, -EAGAIN);
	assert_true(sent > 0);
	for (unsigned i = 0; i < sent; i++) {
		for (size_t have = 0; have < sizeof(got);) {
			(void)loop_run_once(rig->loop, 0, NULL); /* sends what waits */
			ssize_t n = recv(rig->peer, got + have, sizeof(got) - have, MSG_DONTWAIT);
			assert_true(n > 0);
			have += (size_t)n;
		}
		assert_int_equal(be32_load(got), sizeof(frame));
		assert_int_equal(got[4], i & 0xff);
		assert_int_equal(got[sizeof(got) - 1], i & 0xff);
	}
	assert_true(rig->writable > 0);
	assert_int_equal(recv(rig->peer, got, 1, MSG_DONTWAIT), -1);
	assert_int_equal(give(rig, frame, sizeof(frame)), 0);
}

static void what_comes_is_told_once_until_it_was_asked_for(void **state)
{
	struct rig *rig = *state;
	uint8_t frame[20] = { 0 }, got[64];

	assert_int_equal(take(rig, got, sizeof(got)), -EAGAIN);
	say_length(rig, sizeof(frame));
	say(rig, frame, sizeof(frame));
	assert_int_equal(loop_run_once(rig->loop, 0, NULL), 1);
	assert_int_equal(loop_run_once(rig->loop, 0, NULL), 0);
	assert_int_equal(rig->readable, 1);
	assert_int_equal(take(rig, got, sizeof(got)), HEADER + 20);
}

static void an_end_is_told_once_and_not_for_ever(void **state)
{
	struct rig *rig = *state;
	uint8_t frame[20] = { 0 }, got[64];

	say_length(rig, sizeof(frame));
	say(rig, frame, sizeof(frame));
	(void)close(rig->peer);
	rig->peer = -1;
	assert_int_equal(loop_run_once(rig->loop, 0, NULL), 1);
	assert_int_equal(loop_run_once(rig->loop, 0, NULL), 0); /* nobody asked: no busy loop */
	assert_int_equal(take(rig, got, sizeof(got)), HEADER + 20);
	assert_int_equal(take(rig, got, sizeof(got)), -EPIPE);
	assert_int_equal(give(rig, frame, sizeof(frame)), -EPIPE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(it_has_no_offloads_and_says_its_mtu, setup,
						teardown),
		cmocka_unit_test_setup_teardown(
			a_frame_goes_out_behind_its_length_without_the_header, setup, teardown),
		cmocka_unit_test_setup_teardown(a_header_cut_into_pieces_is_left_out_whole, setup,
						teardown),
		cmocka_unit_test_setup_teardown(
			a_frame_too_short_or_too_long_is_lost_and_the_next_goes, setup, teardown),
		cmocka_unit_test_setup_teardown(a_frame_comes_in_behind_a_header_of_zeroes, setup,
						teardown),
		cmocka_unit_test_setup_teardown(lengths_and_frames_may_come_a_byte_at_a_time, setup,
						teardown),
		cmocka_unit_test_setup_teardown(frames_that_came_together_are_told_one_by_one,
						setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_frame_that_does_not_fit_is_cut_and_its_length_told, setup, teardown),
		cmocka_unit_test(a_length_that_no_frame_has_closes_the_network),
		cmocka_unit_test_setup_teardown(the_longest_frame_passes_both_ways, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_full_socket_says_again_and_loses_nothing, setup,
						teardown),
		cmocka_unit_test_setup_teardown(what_comes_is_told_once_until_it_was_asked_for,
						setup, teardown),
		cmocka_unit_test_setup_teardown(an_end_is_told_once_and_not_for_ever, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
