/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/baremetal/chan.h"

#include "scratch.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/core/macros.h"
#include "base/os/loop.h"
#include "engines/baremetal/hv_ask.h"

#include "hv_fake.h"

struct scene {
	struct loop *loop;
	struct chan chan;
	pid_t fake;
	bool lost;
	unsigned events;
};

static void scene_event(struct chan *chan, uint32_t kind, const void *body, size_t len)
{
	struct scene *s = container_of(chan, struct scene, chan);

	(void)body;
	assert_int_equal(kind, CHANNEL_EVENT_ENDED);
	assert_int_equal(len, sizeof(struct channel_guest));
	s->events++;
}

static void scene_lost(struct chan *chan, const struct err *why)
{
	assert_true(why->code != 0);
	assert_false(container_of(chan, struct scene, chan)->lost);
	container_of(chan, struct scene, chan)->lost = true;
}

static const struct chan_events scene_events = { .event = scene_event, .lost = scene_lost };

static struct scene *scene_new(enum fake_manner manner, unsigned again_ms, int expected)
{
	struct scene *s = test_calloc(1, sizeof(*s));
	int line;

	s->fake = fake_start(manner, &line);
	assert_int_equal(loop_create(&s->loop, NULL), 0);
	assert_int_equal(chan_start(&s->chan, line, s->loop, &scene_events, NULL), 0);
	assert_int_equal(chan_wait_ready(&s->chan, again_ms, 100000, NULL), expected);
	return s;
}

static void scene_free(struct scene *s)
{
	chan_fini(&s->chan);
	fake_wait(s->fake);
	loop_free(s->loop);
	test_free(s);
}

static uint32_t scene_create(struct scene *s, const char *name)
{
	AUTO(buf_fini) struct buf data = { 0 };
	uint32_t guest;

	assert_int_equal(chan_call(&s->chan, CHANNEL_CREATE, name, strlen(name), &data, NULL), 0);
	assert_int_equal(data.len, sizeof(guest));
	memcpy(&guest, data.data, sizeof(guest));
	return guest;
}

static void a_session_begins_whatever_is_on_the_line_before(void **state)
{
	static const enum fake_manner manners[] = { FAKE_NORMAL, FAKE_NOISY };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(manners); i++) {
		struct scene *s = scene_new(manners[i], 100000, 0);
		AUTO(buf_fini) struct buf data = { 0 };
		assert_int_equal(s->chan.boot, 4711);
		assert_int_equal(chan_call(&s->chan, CHANNEL_INFO, NULL, 0, &data, NULL), 0);
		assert_int_equal(data.len, 4);
		assert_memory_equal(data.data, "info", 4);
		scene_free(s);
	}
}

static void hello_is_said_again_where_nobody_answered(void **state)
{
	(void)state;
	scene_free(scene_new(FAKE_DEAF, 10, 0));
}

/* Each HELLO made the answer to the one before count no more: a server at a tenth of its speed was never heard. */
static void an_answer_that_takes_longer_than_hello_waits_is_heard(void **state)
{
	(void)state;
	scene_free(scene_new(FAKE_SLOW, 10, 0));
}

static void another_version_is_said_so(void **state)
{
	struct scene *s = scene_new(FAKE_NEWER, 100000, -EPIPE);

	(void)state;
	assert_true(s->lost);
	scene_free(s);
}

static void an_errno_of_the_other_side_is_an_error_with_its_line(void **state)
{
	struct scene *s = scene_new(FAKE_NORMAL, 100000, 0);
	const struct channel_ref ref = { .guest = 9 };
	struct err err = { 0 };

	(void)state;
	assert_int_equal(chan_call(&s->chan, CHANNEL_START, &ref, sizeof(ref), NULL, &err),
			 -ENOENT);
	assert_non_null(strstr(err.text, "no such guest"));
	scene_free(s);
}

static void a_peer_that_is_gone_is_told_once_and_calls_fail(void **state)
{
	struct scene *s = scene_new(FAKE_NORMAL, 100000, 0);

	(void)state;
	(void)kill(s->fake, SIGKILL); /* our child */
	while (!s->lost)
		assert_true(loop_run_once(s->loop, 100000, NULL) >= 0);
	assert_int_equal(chan_call(&s->chan, CHANNEL_INFO, NULL, 0, NULL, NULL), -EPIPE);
	chan_fini(&s->chan);
	(void)waitpid(s->fake, NULL, 0);
	loop_free(s->loop);
	test_free(s);
}

/* ---- streams ---- */

struct echo {
	struct chan_stream stream;
	size_t got, sent, total;
	uint64_t sum;
	bool end, closed;
	uint32_t status;
};

static void echo_pump(struct chan_stream *stream)
{
	struct echo *e = container_of(stream, struct echo, stream);
	uint8_t bytes[1000];

	while (e->sent < e->total) {
		size_t n = e->total - e->sent < sizeof(bytes) ? e->total - e->sent : sizeof(bytes);
		memset(bytes, (int)(e->sent / sizeof(bytes)), n);
		size_t took = chan_stream_send(stream, bytes, n);
		e->sent += took;
		if (took < n)
			return;
	}
	if (e->sent == e->total && !e->end)
		chan_stream_end(stream);
	e->end = true;
}

static void echo_data(struct chan_stream *stream, const void *data, size_t len)
{
	struct echo *e = container_of(stream, struct echo, stream);

	(void)data;
	e->got += len;
	chan_stream_credit(stream, (uint32_t)len);
}

static void echo_closed(struct chan_stream *stream, uint32_t status, const char *text)
{
	struct echo *e = container_of(stream, struct echo, stream);

	(void)text;
	e->closed = true;
	e->status = status;
}

static const struct chan_stream_events echo_events = {
	.opened = echo_pump,
	.room = echo_pump,
	.data = echo_data,
	.closed = echo_closed,
};

static void many_bytes_go_through_little_credit_and_back(void **state)
{
	struct scene *s = scene_new(FAKE_NORMAL, 100000, 0);
	struct channel_open open = { .kind = CHANNEL_KIND_CONSOLE, .credit = 16384 };
	struct echo e = { .total = 300000 };

	(void)state;
	open.guest = scene_create(s, "a");
	assert_int_equal(chan_stream_open(&s->chan, &e.stream, &echo_events, &open, ""), 0);
	while (!e.closed)
		assert_true(loop_run_once(s->loop, 100000, NULL) >= 0);
	assert_int_equal(e.status, 0);
	assert_int_equal(e.got, e.total);
	/* The number is free again. */
	assert_false(s->chan.ids[1]);
	scene_free(s);
}

static void a_stream_that_cannot_be_is_closed_with_why(void **state)
{
	struct scene *s = scene_new(FAKE_NORMAL, 100000, 0);
	const struct channel_open open = { .kind = CHANNEL_KIND_CONSOLE, .guest = 77 };
	struct echo e = { .total = 1 };

	(void)state;
	assert_int_equal(chan_stream_open(&s->chan, &e.stream, &echo_events, &open, ""), 0);
	while (!e.closed)
		assert_true(loop_run_once(s->loop, 100000, NULL) >= 0);
	assert_int_equal(e.status, ENOENT);
	assert_int_equal(e.sent, 0);
	scene_free(s);
}

static void a_closed_stream_s_number_waits_for_the_other_side(void **state)
{
	struct scene *s = scene_new(FAKE_NORMAL, 100000, 0);
	struct channel_open open = { .kind = CHANNEL_KIND_CONSOLE, .credit = 100 };
	struct echo e = { .total = 0 }, f = { .total = 0 };

	(void)state;
	open.guest = scene_create(s, "a");
	assert_int_equal(chan_stream_open(&s->chan, &e.stream, &echo_events, &open, ""), 0);
	chan_stream_close(&e.stream);
	assert_int_equal(chan_stream_open(&s->chan, &f.stream, &echo_events, &open, ""), 0);
	assert_int_equal(f.stream.id, 2);
	assert_int_equal(chan_call(&s->chan, CHANNEL_INFO, NULL, 0, NULL, NULL), 0);
	assert_false(e.closed); /* nothing of it is told any more */
	assert_false(s->chan.ids[1]);
	chan_stream_close(&f.stream);
	scene_free(s);
}

static void a_hypervisor_that_lies_is_outlived(void **state)
{
	struct scene *s = scene_new(FAKE_LIAR, 100000, 0);
	struct channel_open open = { .kind = CHANNEL_KIND_CONSOLE, .credit = 1 };
	struct echo e = { .total = 10 };

	(void)state;
	open.guest = scene_create(s, "a");
	assert_int_equal(chan_stream_open(&s->chan, &e.stream, &echo_events, &open, ""), 0);
	assert_int_equal(chan_call(&s->chan, CHANNEL_INFO, NULL, 0, NULL, NULL), 0);
	assert_false(s->lost);
	chan_stream_close(&e.stream);
	scene_free(s);
}

static void an_end_is_an_event(void **state)
{
	struct scene *s = scene_new(FAKE_NORMAL, 100000, 0);
	const struct channel_ref ref = { .guest = scene_create(s, "a") };

	(void)state;
	assert_int_equal(chan_call(&s->chan, CHANNEL_KILL, &ref, sizeof(ref), NULL, NULL), 0);
	while (!s->events)
		assert_true(loop_run_once(s->loop, 100000, NULL) >= 0);
	scene_free(s);
}

/* 144 bytes a guest, until there was no memory left. */
static void a_list_without_an_end_is_not_kept(void **state)
{
	AUTO(buf_fini) struct buf list = { 0 };
	struct hv_ask ask = { .loop = NULL };
	int line;

	(void)state;
	pid_t fake = fake_start(FAKE_ENDLESS, &line);
	assert_int_equal(loop_create(&ask.loop, NULL), 0);
	assert_int_equal(chan_start(&ask.chan, line, ask.loop, &scene_events, NULL), 0);
	assert_int_equal(chan_wait_ready(&ask.chan, 100000, 100000, NULL), 0);
	assert_int_equal(hv_ask_list(&ask, &list, NULL), -EPROTO);
	hv_ask_close(&ask);
	fake_wait(fake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_session_begins_whatever_is_on_the_line_before),
		cmocka_unit_test(a_list_without_an_end_is_not_kept),
		cmocka_unit_test(hello_is_said_again_where_nobody_answered),
		cmocka_unit_test(an_answer_that_takes_longer_than_hello_waits_is_heard),
		cmocka_unit_test(another_version_is_said_so),
		cmocka_unit_test(an_errno_of_the_other_side_is_an_error_with_its_line),
		cmocka_unit_test(a_peer_that_is_gone_is_told_once_and_calls_fail),
		cmocka_unit_test(many_bytes_go_through_little_credit_and_back),
		cmocka_unit_test(a_stream_that_cannot_be_is_closed_with_why),
		cmocka_unit_test(a_closed_stream_s_number_waits_for_the_other_side),
		cmocka_unit_test(a_hypervisor_that_lies_is_outlived),
		cmocka_unit_test(an_end_is_an_event),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
