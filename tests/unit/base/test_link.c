/* SPDX-License-Identifier: Apache-2.0 */
#include "base/core/link.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/core/bytes.h"

#define NONCE	   UINT64_C(0x1122334455667788)
#define STEP_NS	   UINT64_C(1000000)
#define STEP_BYTES 11U /* of 115200 bits a second */
#define FIFO_BYTES 16U
#define SECOND	   1000U /* steps */

/* What happens to one byte in so many; 0: never. */
struct faults {
	unsigned drop, flip, twice, cut; /* cut: it and the 99 behind it are lost */
};

/* One end, and the wire from it. */
struct end {
	struct link link;
	struct channel_reader line;
	uint8_t fifo[FIFO_BYTES];
	size_t fifo_len;
	unsigned cut_left;
	uint64_t wire_bytes;
	unsigned sent, got; /* frames */
	unsigned to_send;
	uint8_t frame[CHANNEL_FRAME_MAX];
	size_t frame_at, frame_len;
	bool is_stuck; /* takes no frame */
};

struct wire {
	struct end ends[2];
	struct faults faults;
	uint64_t seed, now_ns;
	bool is_out; /* the cable */
};

static uint32_t wire_random(struct wire *w)
{
	w->seed = w->seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(w->seed >> 33);
}

static bool wire_hits(struct wire *w, unsigned one_in)
{
	return one_in && wire_random(w) % one_in == 0;
}

static void line_begin(struct channel_reader *r)
{
	channel_reader_init(r);
	channel_reader_line(r);
	channel_reader_key(r, NONCE);
}

static struct wire *wire_new(struct faults faults, uint64_t seed, unsigned there, unsigned back)
{
	struct wire *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->faults = faults;
	w->seed = seed;
	w->now_ns = 1;
	for (int i = 0; i < 2; i++) {
		line_begin(&w->ends[i].line);
		link_begin(&w->ends[i].link, NONCE, &w->ends[i].line);
	}
	w->ends[0].to_send = there;
	w->ends[1].to_send = back;
	return w;
}

/* ---- frames: number n of an end has a length and a content of its own ---- */

static size_t frame_content(unsigned end, unsigned n, uint8_t ret[CHANNEL_PAYLOAD_MAX])
{
	const size_t len = n % 7 == 3 ? CHANNEL_PAYLOAD_MAX : n * 37 % 600 + 1;

	for (size_t i = 0; i < len; i++)
		ret[i] = n % 5 == 4 ? 0 : (uint8_t)(end * 91 + n * 17 + i * i);
	return len;
}

static void end_write(struct end *e, unsigned number)
{
	uint8_t content[CHANNEL_PAYLOAD_MAX];

	for (;;) {
		e->frame_at +=
			link_put(&e->link, e->frame + e->frame_at, e->frame_len - e->frame_at);
		if (e->frame_at < e->frame_len || e->sent == e->to_send)
			return;
		const size_t len = frame_content(number, e->sent, content);
		e->frame_len = channel_frame_make(e->frame, NONCE, CHANNEL_DATA, e->sent + 1,
						  content, len, NULL, 0);
		e->frame_at = 0;
		e->sent++;
	}
}

static void end_heed(struct end *e, unsigned from)
{
	uint8_t content[CHANNEL_PAYLOAD_MAX];
	struct channel_frame f;
	enum channel_read got;

	while (!e->is_stuck &&
	       (got = channel_reader_next(&e->link.reader, &f)) != CHANNEL_READ_MORE) {
		assert_int_equal(got, CHANNEL_READ_FRAME);
		assert_int_equal(f.type, CHANNEL_DATA);
		assert_int_equal(f.stream, e->got + 1);
		assert_int_equal(f.len, frame_content(from, e->got, content));
		assert_memory_equal(f.payload, content, f.len);
		e->got++;
	}
}

/* ---- the wire ---- */

static void end_hear(struct wire *w, unsigned number, const uint8_t *bytes, size_t len)
{
	struct end *e = &w->ends[number];
	struct channel_frame f;
	enum channel_read got;

	assert_int_equal(channel_reader_put(&e->line, bytes, len), len);
	while ((got = channel_reader_next(&e->line, &f)) != CHANNEL_READ_MORE) {
		if (got == CHANNEL_READ_FRAME)
			link_take(&e->link, &f, w->now_ns);
		end_heed(e, !number);
	}
}

/* Into the FIFO, as much as fits. */
static void end_say(struct wire *w, struct end *e)
{
	const uint8_t *bytes;
	size_t len;

	while (e->fifo_len < FIFO_BYTES && (len = link_out(&e->link, w->now_ns, &bytes))) {
		const size_t room = FIFO_BYTES - e->fifo_len, n = len < room ? len : room;
		memcpy(e->fifo + e->fifo_len, bytes, n);
		e->fifo_len += n;
		link_went(&e->link, n, w->now_ns);
	}
}

static void wire_carry(struct wire *w, unsigned number)
{
	struct end *e = &w->ends[number];
	const size_t n = e->fifo_len < STEP_BYTES ? e->fifo_len : STEP_BYTES;
	uint8_t left[2 * STEP_BYTES];
	size_t len = 0;

	for (size_t i = 0; i < n; i++) {
		uint8_t byte = e->fifo[i];
		if (wire_hits(w, w->faults.cut))
			e->cut_left = 100;
		if (wire_hits(w, w->faults.flip))
			byte ^= (uint8_t)(1U << wire_random(w) % 8);
		const bool gone = w->is_out || wire_hits(w, w->faults.drop) || e->cut_left;
		e->cut_left -= e->cut_left > 0;
		if (!gone)
			left[len++] = byte;
		if (!gone && wire_hits(w, w->faults.twice))
			left[len++] = byte;
	}
	e->wire_bytes += n;
	e->fifo_len -= n;
	memmove(e->fifo, e->fifo + n, e->fifo_len);
	end_hear(w, !number, left, len);
}

static void wire_step(struct wire *w)
{
	for (unsigned i = 0; i < 2; i++) {
		end_heed(&w->ends[i], !i);
		end_write(&w->ends[i], i);
		end_say(w, &w->ends[i]);
	}
	for (unsigned i = 0; i < 2; i++)
		wire_carry(w, i);
	w->now_ns += STEP_NS;
}

static bool wire_is_done(const struct wire *w)
{
	return w->ends[0].got == w->ends[1].to_send && w->ends[1].got == w->ends[0].to_send;
}

/* Return: steps that it took. */
static unsigned wire_run(struct wire *w, unsigned most)
{
	unsigned steps = 0;

	while (!wire_is_done(w)) {
		assert_true(steps++ < most);
		wire_step(w);
	}
	return steps;
}

/* ---- */

static void on_a_clean_line_nothing_goes_twice(void **state)
{
	struct wire *w = wire_new((struct faults){ 0 }, 1, 60, 0);
	uint8_t content[CHANNEL_PAYLOAD_MAX];
	uint64_t bytes = 0;

	(void)state;
	for (unsigned i = 0; i < 60; i++)
		bytes += sizeof(struct channel_head) + frame_content(0, i, content);
	const unsigned steps = wire_run(w, 100 * SECOND);
	/* The packets' heads are all that is more; the line never stands still. */
	assert_true(w->ends[0].wire_bytes <= bytes + bytes / 32 + 16 * sizeof(struct channel_head));
	assert_true(steps <= w->ends[0].wire_bytes / STEP_BYTES + 100);
	free(w);
}

static void every_frame_arrives_once_and_in_order(void **state)
{
	static const struct faults faults[] = {
		{ .drop = 3000 },
		{ .flip = 3000 },
		{ .twice = 3000 },
		{ .cut = 6000 },
		{ .drop = 4000, .flip = 4000, .twice = 4000, .cut = 20000 },
		{ .drop = 1000, .flip = 1000 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		for (uint64_t seed = 1; seed <= 6; seed++) {
			struct wire *w =
				wire_new(faults[i], seed * 77 + i, 150, (unsigned)seed % 3 * 70);
			(void)wire_run(w, 1500 * SECOND);
			free(w);
		}
	}
}

/* One lost packet in a busy line: what is behind it asks for it, and no time passes. */
static void a_hole_is_asked_for_at_once(void **state)
{
	struct wire *w = wire_new((struct faults){ 0 }, 1, 60, 0);
	struct wire *clean = wire_new((struct faults){ 0 }, 1, 60, 0);

	(void)state;
	for (unsigned i = 0; i < 2 * SECOND; i++) {
		w->is_out = i == SECOND; /* 11 bytes */
		wire_step(w);
	}
	const unsigned steps = wire_run(w, 100 * SECOND) + 2 * SECOND;
	assert_true(steps < wire_run(clean, 100 * SECOND) + SECOND / 2);
	free(w);
	free(clean);
}

static void a_cable_that_is_out_costs_little_and_is_got_over(void **state)
{
	struct wire *w = wire_new((struct faults){ 0 }, 1, 60, 20);

	(void)state;
	for (unsigned i = 0; i < SECOND; i++)
		wire_step(w);
	const uint64_t before = w->ends[0].wire_bytes;
	w->is_out = true;
	for (unsigned i = 0; i < 120 * SECOND; i++)
		wire_step(w);
	/* The window, and one packet each time, ever more rarely. */
	assert_true(w->ends[0].wire_bytes - before < CHANNEL_PACKET_WINDOW + 25 * 528);
	assert_false(wire_is_done(w));
	w->is_out = false;
	(void)wire_run(w, 60 * SECOND);
	free(w);
}

static void one_who_takes_nothing_is_not_flooded_and_goes_on_at_once(void **state)
{
	struct wire *w = wire_new((struct faults){ 0 }, 1, 60, 60);

	(void)state;
	w->ends[1].is_stuck = true;
	for (unsigned i = 0; i < 40 * SECOND; i++)
		wire_step(w);
	assert_int_equal(w->ends[1].got, 0);
	/* The other way goes on all the while. */
	assert_int_equal(w->ends[0].got, 60);
	const uint64_t before = w->ends[0].wire_bytes;
	for (unsigned i = 0; i < 60 * SECOND; i++)
		wire_step(w);
	assert_true(w->ends[0].wire_bytes - before < 10 * 528);
	w->ends[1].is_stuck = false;
	for (unsigned i = 0; i < SECOND; i++)
		wire_step(w);
	assert_true(w->ends[0].wire_bytes - before > 9000);
	(void)wire_run(w, 60 * SECOND);
	free(w);
}

static void numbers_go_round(void **state)
{
	struct wire *w = wire_new((struct faults){ .drop = 3000, .flip = 3000 }, 5, 60, 60);

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct link *l = &w->ends[i].link;
		l->acked = l->sent = l->most = l->put = l->wanted = 0xffffe000;
	}
	(void)wire_run(w, 1000 * SECOND);
	assert_true(w->ends[0].link.acked < 0x80000000);
	free(w);
}

/* A slow emulator's line: answers come after many seconds. What was sent is not sent over and over. */
static void answers_that_take_long_are_waited_for(void **state)
{
	struct channel_reader line;
	struct link l;
	const uint8_t *bytes;
	uint8_t byte = 0;
	unsigned packets = 0, answers = 0;
	uint64_t now = 1, times[60];

	(void)state;
	line_begin(&line);
	link_begin(&l, NONCE, &line);
	for (uint32_t i = 0; i < 40; i++) {
		const struct channel_frame f = { .type = CHANNEL_PACKET, .stream = (i + 1) << 16 };
		assert_int_equal(link_put(&l, &byte, 1), 1);
		/* One for each packet, also for those that went in vain. */
		while (answers < packets || link_due_ns(&l) != LINK_NEVER || l.put != l.sent) {
			const size_t len = link_out(&l, now, &bytes);
			link_went(&l, len, now);
			if (len) {
				assert_true(packets < sizeof(times) / sizeof(times[0]));
				times[packets++] = now + 3 * SECOND * STEP_NS;
			}
			now += STEP_NS;
			if (answers < packets && times[answers] <= now) {
				link_take(&l, &f, now);
				answers++;
			}
		}
	}
	assert_true(packets < 45);
}

/* Each time that there was nothing to be written the wait began anew: with other things to do, it never ended. */
static void who_looks_often_does_not_put_off_the_wait(void **state)
{
	struct channel_reader line;
	struct link l;
	const uint8_t *bytes;
	unsigned packets = 0;

	(void)state;
	line_begin(&line);
	link_begin(&l, NONCE, &line);
	assert_int_equal(link_put(&l, "x", 1), 1);
	for (uint64_t now = 1; now < 20 * LINK_WAIT_FIRST_NS; now += STEP_NS) {
		const size_t len = link_out(&l, now, &bytes);
		packets += len > 0;
		link_went(&l, len, now);
	}
	assert_in_range(packets, 4, 6); /* after 1.5, 3, 6 and 8 s */
}

static void what_makes_no_sense_changes_nothing(void **state)
{
	static const uint8_t zeroes[CHANNEL_PACKET_BYTES + 1];
	const struct channel_frame bad[] = {
		{ .type = CHANNEL_PACKET, .stream = 101U << 16 },   /* never sent */
		{ .type = CHANNEL_AGAIN, .stream = 0x8000U << 16 }, /* likewise */
		{ .type = CHANNEL_AGAIN, .stream = 0xffffU << 16 }, /* before all */
		{ .type = CHANNEL_DATA, .len = 8, .payload = zeroes },
		{ .type = CHANNEL_PACKET, .len = 513, .payload = zeroes },
		{ .type = CHANNEL_PACKET, .len = 8, .stream = 0xff00, .payload = zeroes },
		{ .type = CHANNEL_PACKET, .len = 8, .stream = 0x7fff, .payload = zeroes },
	};
	struct channel_reader line;
	struct link l;
	const uint8_t *bytes;

	(void)state;
	line_begin(&line);
	link_begin(&l, NONCE, &line);
	assert_int_equal(link_put(&l, zeroes, 100), 100);
	link_went(&l, link_out(&l, 1, &bytes), 1);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		link_take(&l, &bad[i], 2);
		assert_true(l.acked == 0 && l.sent == 100 && l.wanted == 0);
		assert_int_equal(channel_reader_room(&l.reader), sizeof(l.reader.buffer));
	}
	/* Without a session nothing is heard, and nothing said. */
	link_begin(&l, 0, &line);
	const struct channel_frame good = { .type = CHANNEL_PACKET, .len = 8, .payload = zeroes };
	link_take(&l, &good, 3);
	(void)link_put(&l, zeroes, 10);
	assert_int_equal(link_out(&l, 4, &bytes), 0);
	assert_int_equal(l.wanted, 0);
}

/* ---- the line's reader ---- */

/* A head that was damaged told of 4 KiB, and the line stood still until as many had come. */
static void a_damaged_length_is_not_waited_for(void **state)
{
	static const uint8_t payload[CHANNEL_PACKET_BYTES];
	uint8_t packet[CHANNEL_FRAME_MAX];
	struct channel_reader r;
	struct channel_frame f;
	enum channel_read got;

	(void)state;
	line_begin(&r);
	size_t n = channel_frame_make(packet, NONCE, CHANNEL_PACKET, 0, payload, 20, NULL, 0);
	packet[offsetof(struct channel_head, len) + 1] ^= 8;
	assert_int_equal(channel_reader_put(&r, packet, n), n);
	n = channel_frame_make(packet, NONCE, CHANNEL_PACKET, 7, payload, 20, NULL, 0);
	assert_int_equal(channel_reader_put(&r, packet, n), n);
	while ((got = channel_reader_next(&r, &f)) == CHANNEL_READ_BAD)
		;
	assert_int_equal(got, CHANNEL_READ_FRAME);
	assert_int_equal(f.stream, 7);
}

/* A broken packet's payload has whole frames in it. */
static void frames_within_a_broken_packet_are_none(void **state)
{
	uint8_t packet[CHANNEL_FRAME_MAX], inner[CHANNEL_FRAME_MAX];
	struct channel_reader r;
	struct channel_frame f;
	enum channel_read got;

	(void)state;
	line_begin(&r);
	const size_t len =
		channel_frame_make(inner, NONCE, CHANNEL_REQUEST, 0, "01234567", 8, NULL, 0);
	const size_t n = channel_frame_make(packet, NONCE, CHANNEL_PACKET, 0, inner, len, NULL, 0);
	packet[5] ^= 1;
	assert_int_equal(channel_reader_put(&r, packet, n), n);
	while ((got = channel_reader_next(&r, &f)) == CHANNEL_READ_BAD)
		;
	assert_int_equal(got, CHANNEL_READ_MORE);
}

static void hello_has_its_zeroes_in_front(void **state)
{
	static const uint8_t zeroes[CHANNEL_PACKET_QUIET];
	const struct channel_hello hello = { .version = CHANNEL_VERSION, .nonce = NONCE };
	uint8_t frame[CHANNEL_FRAME_MAX];
	const size_t n =
		channel_frame_make(frame, 0, CHANNEL_HELLO, 0, &hello, sizeof(hello), NULL, 0);

	(void)state;
	for (size_t fewer = 0; fewer < 2; fewer++) {
		struct channel_reader r;
		struct channel_frame f;
		enum channel_read got;
		line_begin(&r);
		(void)channel_reader_put(&r, "x", 1);
		(void)channel_reader_put(&r, zeroes, sizeof(zeroes) - fewer);
		(void)channel_reader_put(&r, frame, n);
		while ((got = channel_reader_next(&r, &f)) == CHANNEL_READ_BAD)
			;
		assert_int_equal(got, fewer ? CHANNEL_READ_MORE : CHANNEL_READ_FRAME);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(on_a_clean_line_nothing_goes_twice),
		cmocka_unit_test(every_frame_arrives_once_and_in_order),
		cmocka_unit_test(a_hole_is_asked_for_at_once),
		cmocka_unit_test(a_cable_that_is_out_costs_little_and_is_got_over),
		cmocka_unit_test(one_who_takes_nothing_is_not_flooded_and_goes_on_at_once),
		cmocka_unit_test(numbers_go_round),
		cmocka_unit_test(answers_that_take_long_are_waited_for),
		cmocka_unit_test(who_looks_often_does_not_put_off_the_wait),
		cmocka_unit_test(what_makes_no_sense_changes_nothing),
		cmocka_unit_test(a_damaged_length_is_not_waited_for),
		cmocka_unit_test(frames_within_a_broken_packet_are_none),
		cmocka_unit_test(hello_has_its_zeroes_in_front),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
