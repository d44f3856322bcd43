/* SPDX-License-Identifier: Apache-2.0 */
/* The channel on a serial line that damages one byte in 400: the host, at the other end of the rig, sees nothing of it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "hypervisor/vm/channel_rig.h"

#define GUEST "guest a\nmemory 4M\nkernel k\nport one\nport two\nvsock\n"

static size_t before; /* bytes that an idle channel holds */

static int setup(void **state)
{
	(void)state;
	rig_serial(400);
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
	return id;
}

static void open_stream(uint32_t id, struct channel_open open, const char *name)
{
	uint8_t payload[200];

	memcpy(payload, &open, sizeof(open));
	memcpy(payload + sizeof(open), name, strlen(name));
	rig_frame(CHANNEL_OPEN, id, payload, sizeof(open) + strlen(name));
	rig_run();
}

/* A lost frame was a request without an end; one that was sent twice would be EALREADY, or a second guest. */
static void each_request_is_done_once(void **state)
{
	struct channel_info info;
	uint8_t reply[CHANNEL_PAYLOAD_MAX];

	(void)state;
	for (unsigned i = 1; i <= 15; i++) {
		uint32_t guest = create();
		assert_int_equal(guest, i);
		assert_int_equal(rig_request(CHANNEL_START, &guest, sizeof(guest), NULL), 0);
		assert_int_equal(rig_request(CHANNEL_PAUSE, &guest, sizeof(guest), NULL), 0);
		assert_int_equal(rig_request(CHANNEL_RESUME, &guest, sizeof(guest), NULL), 0);
		assert_int_equal(rig_request(CHANNEL_STATS, &guest, sizeof(guest), reply), 0);
	}
	assert_int_equal(rig_request(CHANNEL_INFO, NULL, 0, reply), 0);
	memcpy(&info, reply, sizeof(info));
	assert_int_equal(info.guests, 15);
	assert_true(info.bad_frames > 10); /* or the line was a good one */
	assert_int_equal(rig_bad_events(), 0);
	assert_int_equal(rig_clear(), before);
}

static void streams_lose_nothing(void **state)
{
	static uint8_t data[CHANNEL_PAYLOAD_MAX];
	uint32_t guest = create(), more = 1000000;
	const struct channel_open open = { .kind = CHANNEL_KIND_PORT,
					   .guest = guest,
					   .credit = 1000 };
	const struct rig_stream *s = rig_stream(7);

	(void)state;
	assert_int_equal(rig_request(CHANNEL_START, &guest, sizeof(guest), NULL), 0);
	open_stream(7, open, "two");
	rig_frame(CHANNEL_CREDIT, 7, &more, sizeof(more));
	for (size_t i = 1; i <= 30; i++) {
		memset(data, (int)i, sizeof(data));
		rig_frame(CHANNEL_DATA, 7, data, sizeof(data));
		rig_run();
		assert_int_equal(s->got, i * sizeof(data));
		assert_int_equal(s->last[s->last_len - 1], i);
	}
	rig_frame(CHANNEL_CLOSE, 7, NULL, 0);
	rig_run();
	assert_true(!s->is_open && s->status == 0);
	assert_int_equal(rig_clear(), before);
}

static void an_upload_is_whole(void **state)
{
	static uint8_t data[CHANNEL_PAYLOAD_MAX];
	const struct channel_open open = { .kind = CHANNEL_KIND_FILE,
					   .size = 15 * sizeof(data) + 100000 };
	const uint64_t hole = 100000;
	const struct rig_stream *s = rig_stream(5);

	(void)state;
	open_stream(5, open, "file");
	assert_true(s->is_opened);
	for (unsigned i = 0; i < 15; i++) {
		memset(data, (int)i, sizeof(data));
		rig_frame(CHANNEL_DATA, 5, data, sizeof(data));
		if (i % 5 == 4)
			rig_run();
	}
	rig_frame(CHANNEL_HOLE, 5, &hole, sizeof(hole));
	rig_frame(CHANNEL_END, 5, NULL, 0);
	rig_run();
	assert_true(!s->is_open && !s->status); /* one byte more were EFBIG */
	assert_int_equal(rig_request(CHANNEL_FILE_DROP, "file", 4, NULL), 0);
	assert_int_equal(rig_clear(), before);
}

/* While it may heed no request it hears what was received: without that neither side would go on. */
static void replies_that_wait_for_the_keeper_come_through(void **state)
{
	uint32_t guests[20];
	unsigned n = 0;

	(void)state;
	for (; n < 15; n++)
		guests[n] = create();
	rig_keeper(true);
	for (unsigned i = 0; i < n; i++) {
		const struct channel_request head = { .id = 5000 + i, .verb = CHANNEL_DESTROY };
		uint8_t payload[12];
		memcpy(payload, &head, sizeof(head));
		memcpy(payload + 8, &guests[i], 4);
		rig_frame(CHANNEL_REQUEST, 0, payload, sizeof(payload));
	}
	rig_run();
	rig_keeper(false);
	rig_run(); /* all are answered: it checks */
	assert_int_equal(rig_clear(), before);
}

static void a_cable_that_was_out_for_a_while_is_got_over(void **state)
{
	static uint8_t data[CHANNEL_PAYLOAD_MAX];
	const struct channel_open open = { .kind = CHANNEL_KIND_FILE, .size = 15 * sizeof(data) };
	const struct rig_stream *s = rig_stream(5);

	(void)state;
	open_stream(5, open, "file");
	for (unsigned i = 0; i < 15; i++)
		rig_frame(CHANNEL_DATA, 5, data, sizeof(data));
	rig_frame(CHANNEL_END, 5, NULL, 0);
	rig_cable(true);
	rig_run();
	assert_true(s->is_open);
	rig_cable(false);
	rig_run();
	assert_true(!s->is_open && !s->status);
	assert_int_equal(rig_clear(), before);
}

/* Its upload kept its memory until somebody came. */
static void a_host_that_is_gone_for_good_holds_nothing(void **state)
{
	const struct channel_open open = { .kind = CHANNEL_KIND_FILE, .size = 1000000 };
	const struct channel_request head = { .id = 1, .verb = CHANNEL_INFO };

	(void)state;
	open_stream(5, open, "file");
	assert_true(rig_stream(5)->is_opened);
	rig_frame(CHANNEL_REQUEST, 0, &head, sizeof(head));
	assert_int_equal(rig_silence(), before);
	rig_connect();
	assert_int_equal(rig_clear(), before);
}

/* The former one had not read what there was for it, and the new one is told nothing of it. */
static void who_connects_anew_begins_anew(void **state)
{
	uint32_t guest = create();
	struct channel_open open = { .kind = CHANNEL_KIND_CONSOLE,
				     .guest = guest,
				     .credit = 100000 };

	(void)state;
	rig_cable(true);
	open_stream(3, open, "");
	rig_frame(CHANNEL_REQUEST, 0, "0123", 4);
	rig_cable(false);
	rig_connect();
	assert_int_equal(rig_request(CHANNEL_KILL, &guest, sizeof(guest), NULL), EINVAL);
	assert_int_equal(rig_clear(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_request_is_done_once),
		cmocka_unit_test(streams_lose_nothing),
		cmocka_unit_test(an_upload_is_whole),
		cmocka_unit_test(replies_that_wait_for_the_keeper_come_through),
		cmocka_unit_test(a_cable_that_was_out_for_a_while_is_got_over),
		cmocka_unit_test(a_host_that_is_gone_for_good_holds_nothing),
		cmocka_unit_test(who_connects_anew_begins_anew),
	};
	return cmocka_run_group_tests(tests, setup, NULL);
}
