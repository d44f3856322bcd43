/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hypervisor/vm/channel_rig.h"

#define GUEST "guest a\nmemory 4M\nkernel k\nport one\nport two\nvsock\n"

static size_t before; /* bytes that an idle channel holds */

static int setup(void **state)
{
	(void)state;
	rig_init();
	before = rig_clear();
	return 0;
}

static uint32_t create(void)
{
	uint8_t reply[CHANNEL_PAYLOAD_MAX];
	uint32_t id;

	assert_int_equal(rig_request(CHANNEL_CREATE, GUEST, strlen(GUEST), reply), 0);
	memcpy(&id, reply, sizeof(id));
	assert_int_equal(rig_request(CHANNEL_START, &id, sizeof(id), NULL), 0);
	return id;
}

static struct rig_stream *open_stream(uint32_t id, struct channel_open open, const char *name)
{
	uint8_t payload[200];

	memcpy(payload, &open, sizeof(open));
	memcpy(payload + sizeof(open), name, strlen(name));
	rig_frame(CHANNEL_OPEN, id, payload, sizeof(open) + strlen(name));
	rig_run();
	return rig_stream(id);
}

static void credit(uint32_t id, uint32_t bytes)
{
	rig_frame(CHANNEL_CREDIT, id, &bytes, sizeof(bytes));
	rig_run();
}

static void what_a_port_gets_comes_back_within_the_credit(void **state)
{
	static uint8_t data[CHANNEL_PAYLOAD_MAX];
	uint32_t guest = create();
	struct rig_stream *s = open_stream(
		7,
		(struct channel_open){ .kind = CHANNEL_KIND_PORT, .guest = guest, .credit = 100 },
		"two");

	(void)state;
	assert_true(s->is_opened && s->credit > 4096);
	memset(data, 0x5a, sizeof(data));
	rig_frame(CHANNEL_DATA, 7, data, sizeof(data));
	rig_run();
	assert_int_equal(s->got, 100);
	credit(7, 1000);
	assert_int_equal(s->got, 1100);
	credit(7, 100000);
	assert_int_equal(s->got, 4096);
	assert_int_equal(s->last[0], 0x5a);
	rig_frame(CHANNEL_CLOSE, 7, NULL, 0);
	rig_run();
	assert_true(!s->is_open && s->status == 0);
	assert_int_equal(rig_clear(), before);
}

static void data_without_credit_closes_that_stream_only(void **state)
{
	static uint8_t data[CHANNEL_PAYLOAD_MAX];
	uint32_t guest = create();
	struct channel_open open = { .kind = CHANNEL_KIND_PORT, .guest = guest };
	struct rig_stream *one = open_stream(1, open, "one"), *two = open_stream(2, open, "two");

	(void)state;
	for (unsigned i = 0; i < 6; i++)
		rig_frame(CHANNEL_DATA, 1, data, sizeof(data));
	rig_run();
	assert_int_equal(one->status, EPROTO);
	assert_true(!one->is_open && two->is_open);
	assert_int_equal(rig_bad_events(), 0); /* what was under way behind it is late, not wrong */
	assert_int_equal(rig_clear(), before);
}

static void a_console_says_what_was_lost(void **state)
{
	uint32_t guest = create();
	struct channel_open open = { .kind = CHANNEL_KIND_CONSOLE, .guest = guest, .credit = 10 };
	struct rig_stream *s = open_stream(3, open, "");

	(void)state;
	assert_int_equal(s->got, 10);
	assert_int_equal(s->last[0], (uint8_t)(50000 - CHANNEL_CONSOLE_KEEPS));
	credit(3, 1000000);
	assert_int_equal(s->got, CHANNEL_CONSOLE_KEEPS);
	assert_true(s->is_open);
	assert_int_equal(rig_request(CHANNEL_KILL, &guest, sizeof(guest), NULL), 0);
	rig_run();
	assert_false(s->is_open);
	assert_int_equal(rig_clear(), before);
}

static void a_socket_closes_once_both_sides_are_over(void **state)
{
	uint32_t guest = create();
	struct channel_open open = {
		.kind = CHANNEL_KIND_VSOCK, .guest = guest, .credit = 50000, .port = 9
	};

	(void)state;
	assert_int_equal(open_stream(4, open, "")->status, ECONNREFUSED);
	open.port = 1;
	struct rig_stream *s = open_stream(4, open, "");
	assert_true(s->is_opened);
	rig_frame(CHANNEL_DATA, 4, "abc", 3);
	rig_frame(CHANNEL_END, 4, NULL, 0);
	rig_run();
	assert_int_equal(s->got, 3);
	assert_memory_equal(s->last, "abc", 3);
	assert_false(s->is_open);
	assert_int_equal(s->status, 0);
	assert_int_equal(rig_clear(), before);
}

static void an_upload_is_whole_or_gone(void **state)
{
	struct channel_open open = { .kind = CHANNEL_KIND_FILE, .size = 3000000 };
	const uint64_t hole = 2000000;
	struct rig_stream *s = open_stream(5, open, "file");

	(void)state;
	assert_true(s->is_opened);
	rig_frame(CHANNEL_DATA, 5, "head", 4);
	rig_frame(CHANNEL_HOLE, 5, &hole, sizeof(hole));
	rig_frame(CHANNEL_DATA, 5, "tail", 4);
	rig_frame(CHANNEL_END, 5, NULL, 0);
	rig_run();
	assert_true(!s->is_open && !s->status);
	assert_int_equal(open_stream(5, open, "file")->status, EEXIST);
	assert_int_equal(rig_request(CHANNEL_FILE_DROP, "file", 4, NULL), 0);
	assert_int_equal(rig_request(CHANNEL_FILE_DROP, "file", 4, NULL), ENOENT);
	s = open_stream(6, open, "half");
	rig_frame(CHANNEL_DATA, 6, "head", 4);
	rig_run();
	assert_int_equal(rig_request(CHANNEL_FILE_DROP, "half", 4, NULL), EBUSY);
	rig_connect(); /* its client is gone */
	assert_int_equal(rig_request(CHANNEL_FILE_DROP, "half", 4, NULL), ENOENT);
	assert_int_equal(rig_clear(), before);
}

static void destroyed_guests_take_their_streams_along(void **state)
{
	uint32_t guest = create();
	struct channel_open open = { .guest = guest, .credit = 1000000, .kind = CHANNEL_KIND_PORT };
	struct rig_stream *port = open_stream(1, open, "one");

	(void)state;
	open.kind = CHANNEL_KIND_VSOCK;
	struct rig_stream *sock = open_stream(2, open, "");
	open.kind = CHANNEL_KIND_CONSOLE;
	struct rig_stream *console = open_stream(3, open, "");
	assert_int_equal(rig_request(CHANNEL_DESTROY, &guest, sizeof(guest), NULL), 0);
	rig_run();
	assert_int_equal(port->status, ESTALE);
	assert_int_equal(sock->status, ESTALE);
	assert_int_equal(console->status, ESTALE);
	assert_int_equal(rig_clear(), before);
}

/* The keeper still had it: freed under its hands, and its DESTROY was never answered. */
static void a_server_s_guest_that_ends_while_it_is_destroyed_is_freed_once(void **state)
{
	const struct channel_request head = { .id = 77, .verb = CHANNEL_DESTROY };
	uint32_t guest = create();
	uint8_t payload[12];

	(void)state;
	memcpy(payload, &head, sizeof(head));
	memcpy(payload + 8, &guest, 4);
	rig_keeper(true);
	rig_frame(CHANNEL_REQUEST, 0, payload, sizeof(payload));
	rig_run();
	rig_end(guest);
	rig_run();
	rig_keeper(false);
	rig_run();
	assert_int_equal(rig_request(CHANNEL_DESTROY, &guest, sizeof(guest), NULL), ENOENT);
	assert_int_equal(rig_clear(), before); /* which sees that all requests were answered */
}

static void who_does_not_read_is_not_heard(void **state)
{
	uint32_t guest = create();

	(void)state;
	rig_deaf(true);
	for (unsigned i = 0; i < 50; i++) {
		const struct channel_request head = { .id = i, .verb = CHANNEL_KILL };
		uint8_t payload[12];
		memcpy(payload, &head, sizeof(head));
		memcpy(payload + 8, &guest, 4);
		rig_frame(CHANNEL_REQUEST, 0, payload, sizeof(payload));
		rig_run();
	}
	rig_deaf(false);
	rig_run(); /* and then all are answered: it checks */
	assert_int_equal(rig_clear(), before);
}

/* Its HELLO was taken for the former one's, and its session ended with that. */
static void who_comes_right_behind_a_client_that_left_is_heard(void **state)
{
	(void)state;
	rig_follow("STCH", 4);
	assert_int_equal(rig_request(CHANNEL_INFO, NULL, 0, NULL), 0);
	assert_int_equal(rig_clear(), before);
}

static void the_server_s_console_comes_in_pieces(void **state)
{
	struct channel_printed printed = { 0 };
	uint8_t data[CHANNEL_PAYLOAD_MAX];
	uint64_t at = RIG_PRINTED_LOST;

	(void)state;
	while (printed.at < RIG_PRINTED) {
		assert_int_equal(rig_request(CHANNEL_PRINTED, &printed, sizeof(printed), data), 0);
		memcpy(&printed, data, sizeof(printed));
		assert_true(printed.at > at && printed.at - at <= sizeof(data) - sizeof(printed));
		for (size_t i = sizeof(printed); at < printed.at; i++, at++)
			assert_int_equal(data[i], 'a' + at % 26);
	}
	assert_int_equal(rig_request(CHANNEL_PRINTED, &printed, sizeof(printed), data), 0);
	memcpy(&printed, data, sizeof(printed));
	assert_int_equal(printed.at, RIG_PRINTED);
}

static void requests_that_make_no_sense_are_refused(void **state)
{
	uint8_t body[CHANNEL_PAYLOAD_MAX - sizeof(struct channel_request)] = { 0 };

	(void)state;
	for (unsigned verb = 0; verb < 20; verb++) {
		static const size_t lens[] = { 1, 3, 5, 100, sizeof(body) };
		for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++)
			assert_int_not_equal(
				rig_request((enum channel_verb)verb, body, lens[i], NULL), 0);
	}
	assert_int_equal(rig_request((enum channel_verb)99, NULL, 0, NULL), EOPNOTSUPP);
	assert_int_equal(rig_request(CHANNEL_CREATE, "guest xa\nmemory 2M\nkernel k\n", 28, NULL),
			 ENOMEM);
	assert_int_equal(rig_clear(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_port_gets_comes_back_within_the_credit),
		cmocka_unit_test(data_without_credit_closes_that_stream_only),
		cmocka_unit_test(a_console_says_what_was_lost),
		cmocka_unit_test(a_socket_closes_once_both_sides_are_over),
		cmocka_unit_test(an_upload_is_whole_or_gone),
		cmocka_unit_test(destroyed_guests_take_their_streams_along),
		cmocka_unit_test(a_server_s_guest_that_ends_while_it_is_destroyed_is_freed_once),
		cmocka_unit_test(who_does_not_read_is_not_heard),
		cmocka_unit_test(who_comes_right_behind_a_client_that_left_is_heard),
		cmocka_unit_test(the_server_s_console_comes_in_pieces),
		cmocka_unit_test(requests_that_make_no_sense_are_refused),
	};
	return cmocka_run_group_tests(tests, setup, NULL);
}
