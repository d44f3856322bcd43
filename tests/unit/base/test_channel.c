/* SPDX-License-Identifier: Apache-2.0 */
#include "base/core/channel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define NONCE UINT64_C(0x1122334455667788)

static const uint8_t zeroes[CHANNEL_QUIET_SENT];

struct line {
	uint8_t bytes[65536];
	size_t len;
};

static void line_add(struct line *l, const void *bytes, size_t len)
{
	assert_true(l->len + len <= sizeof(l->bytes));
	memcpy(l->bytes + l->len, bytes, len);
	l->len += len;
}

static void line_frame(struct line *l, uint64_t nonce, enum channel_type type, uint32_t stream,
		       const void *payload, size_t len)
{
	uint8_t frame[CHANNEL_FRAME_MAX];

	line_add(l, frame, channel_frame_make(frame, nonce, type, stream, payload, len, NULL, 0));
}

static void line_hello(struct line *l)
{
	const struct channel_hello hello = { .version = CHANNEL_VERSION, .nonce = NONCE };

	line_add(l, zeroes, sizeof(zeroes));
	line_frame(l, 0, CHANNEL_HELLO, 0, &hello, sizeof(hello));
}

/* What a reader makes of a line that comes in pieces: "H" for HELLO, "D3" DATA on stream 3, ... */
static void read_all(struct channel_reader *r, const struct line *l, size_t piece, char *ret,
		     size_t room)
{
	struct channel_frame f;
	size_t n = 0;

	ret[0] = 0;
	for (size_t at = 0; at < l->len;) {
		size_t len = piece < l->len - at ? piece : l->len - at;
		size_t took = channel_reader_put(r, l->bytes + at, len);
		assert_true(took > 0 && took <= len);
		at += took;
		enum channel_read got;
		while ((got = channel_reader_next(r, &f)) != CHANNEL_READ_MORE) {
			if (got == CHANNEL_READ_BAD)
				continue;
			if (f.type == CHANNEL_HELLO)
				channel_reader_key(r, NONCE);
			assert_true(n + 16 < room);
			n += (size_t)snprintf(ret + n, room - n, "%c%u:%u ",
					      f.type == CHANNEL_HELLO  ? 'H'
					      : f.type == CHANNEL_DATA ? 'D'
								       : 'o',
					      f.stream, f.len);
		}
	}
}

static void line_is(const struct line *l, const char *expected)
{
	static const size_t pieces[] = { 1, 3, 16, 1000, 4112, 65536 };

	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		struct channel_reader r;
		char text[512];
		channel_reader_init(&r);
		read_all(&r, l, pieces[i], text, sizeof(text));
		assert_string_equal(text, expected);
	}
}

static void frames_come_as_they_were_sent(void **state)
{
	uint8_t full[CHANNEL_PAYLOAD_MAX];
	struct line l = { .len = 0 };
	(void)state;

	memset(full, 0xa5, sizeof(full));
	line_hello(&l);
	line_frame(&l, NONCE, CHANNEL_DATA, 7, "abc", 3);
	line_frame(&l, NONCE, CHANNEL_END, 7, NULL, 0);
	line_frame(&l, NONCE, CHANNEL_DATA, 255, full, sizeof(full));
	line_is(&l, "H0:24 D7:3 o7:0 D255:4096 ");
}

static void payload_is_whole(void **state)
{
	uint8_t frame[CHANNEL_FRAME_MAX];
	struct channel_reader r;
	struct channel_frame f;
	(void)state;

	channel_reader_init(&r);
	channel_reader_key(&r, NONCE);
	size_t len = channel_frame_make(frame, NONCE, CHANNEL_REPLY, 0, "head", 4, "tail!", 5);
	assert_int_equal(len, sizeof(struct channel_head) + 9);
	assert_int_equal(channel_reader_put(&r, frame, len), len);
	assert_int_equal(channel_reader_next(&r, &f), CHANNEL_READ_FRAME);
	assert_int_equal(f.type, CHANNEL_REPLY);
	assert_memory_equal(f.payload, "headtail!", 9);
	assert_int_equal(channel_reader_next(&r, &f), CHANNEL_READ_MORE);
}

static void garbage_between_frames_is_skipped(void **state)
{
	struct line l = { .len = 0 };
	(void)state;

	line_add(&l, "SeaBIOS\r\nSTCH STCHSTCH", 22);
	line_hello(&l);
	line_add(&l, "STC", 3);
	line_frame(&l, NONCE, CHANNEL_DATA, 1, "a", 1);
	line_add(&l, "STCH\0\0\0\0\1\0\xff\xff....", 16);
	line_frame(&l, NONCE, CHANNEL_DATA, 2, "b", 1);
	line_is(&l, "H0:24 D1:1 D2:1 ");
}

static void a_wrong_bit_loses_that_frame_only(void **state)
{
	struct line l = { .len = 0 };
	(void)state;

	line_hello(&l);
	size_t at = l.len;
	line_frame(&l, NONCE, CHANNEL_DATA, 1, "abcdefgh", 8);
	line_frame(&l, NONCE, CHANNEL_DATA, 2, "b", 1);
	for (size_t i = 0; i < (sizeof(struct channel_head) + 8) * 8; i++) {
		if (i / 8 == offsetof(struct channel_head, len))
			continue; /* it is longer then: the next one begins inside of it, and is found all the same */
		l.bytes[at + i / 8] ^= (uint8_t)(1U << i % 8);
		struct channel_reader r;
		char text[512];
		channel_reader_init(&r);
		struct line more = l;
		line_frame(&more, NONCE, CHANNEL_DATA, 3, zeroes, 4096);
		read_all(&r, &more, 100, text, sizeof(text));
		assert_string_equal(text, "H0:24 D2:1 D3:4096 ");
		l.bytes[at + i / 8] ^= (uint8_t)(1U << i % 8);
	}
}

static void nothing_is_taken_before_hello(void **state)
{
	struct line l = { .len = 0 };
	(void)state;

	line_frame(&l, NONCE, CHANNEL_DATA, 1, "a", 1);
	line_frame(&l, 0, CHANNEL_DATA, 1, "a", 1);
	line_is(&l, "");
}

static void another_sessions_frame_is_none(void **state)
{
	struct line l = { .len = 0 };
	(void)state;

	line_hello(&l);
	line_frame(&l, NONCE + 1, CHANNEL_DATA, 1, "a", 1);
	line_frame(&l, 0, CHANNEL_REQUEST, 0, "12345678", 8);
	line_frame(&l, NONCE, CHANNEL_DATA, 2, "a", 1);
	line_is(&l, "H0:24 D2:1 ");
}

/* A client that died in the middle of the longest frame: the next one's zeroes end it. */
static void hello_after_a_cut_frame(void **state)
{
	uint8_t frame[CHANNEL_FRAME_MAX];
	(void)state;

	size_t len = channel_frame_make(frame, NONCE, CHANNEL_DATA, 9, zeroes, 4096, NULL, 0);
	for (size_t cut = 1; cut < len; cut += cut < 20 || cut > 4090 ? 1 : 97) {
		struct line l = { .len = 0 };
		struct channel_reader r;
		char text[512];
		line_hello(&l);
		line_add(&l, frame, cut);
		line_hello(&l);
		line_frame(&l, NONCE, CHANNEL_DATA, 2, "a", 1);
		channel_reader_init(&r);
		read_all(&r, &l, 65536, text, sizeof(text));
		/* They are what was missing of it. */
		if (cut > offsetof(struct channel_head, stream))
			assert_string_equal(text, "H0:24 D9:4096 H0:24 D2:1 ");
		else
			assert_string_equal(text, "H0:24 H0:24 D2:1 ");
	}
}

/* A guest prints frames, in a frame whose own checksum is broken by the line. */
static void hello_inside_a_payload_is_none(void **state)
{
	const struct channel_hello hello = { .version = CHANNEL_VERSION, .nonce = 5 };
	uint8_t inner[CHANNEL_FRAME_MAX], payload[CHANNEL_PAYLOAD_MAX] = { 0 };
	struct line l = { .len = 0 };
	(void)state;

	size_t n = channel_frame_make(inner, 0, CHANNEL_HELLO, 0, &hello, sizeof(hello), NULL, 0);
	memcpy(payload + sizeof(payload) - n, inner, n);
	line_hello(&l);
	line_frame(&l, NONCE, CHANNEL_DATA, 1, zeroes, 4096);
	line_frame(&l, NONCE, CHANNEL_DATA, 1, payload, sizeof(payload));
	l.bytes[l.len - 1] ^= 1;
	l.bytes[l.len - n - 4096] ^= 0; /* the zeroes in front stay */
	line_add(&l, zeroes, 100);
	line_frame(&l, NONCE, CHANNEL_DATA, 2, "a", 1);
	line_is(&l, "H0:24 D1:4096 D2:1 ");
}

static void a_second_hello_changes_the_key(void **state)
{
	struct channel_reader r;
	struct line l = { .len = 0 };
	char text[512];
	(void)state;

	channel_reader_init(&r);
	channel_reader_key(&r, 42);
	line_frame(&l, 42, CHANNEL_DATA, 1, "a", 1);
	line_hello(&l);
	line_frame(&l, 42, CHANNEL_DATA, 2, "a", 1);
	line_frame(&l, NONCE, CHANNEL_DATA, 3, "a", 1);
	read_all(&r, &l, 65536, text, sizeof(text));
	assert_string_equal(text, "D1:1 H0:24 D3:1 ");
	assert_true(r.bad >= 1);
}

static void any_bytes_end(void **state)
{
	struct channel_reader r;
	struct line l = { .len = 0 };
	uint32_t random = 1;
	(void)state;

	channel_reader_init(&r);
	channel_reader_key(&r, NONCE);
	while (l.len + 16 < sizeof(l.bytes)) {
		random = random * 1664525 + 1013904223;
		uint32_t words[4] = { CHANNEL_MAGIC, random, 7 | (random >> 20) << 16, random };
		line_add(&l, words, random % 3 ? 16 : 7);
	}
	char text[512];
	read_all(&r, &l, 777, text, sizeof(text));
	assert_string_equal(text, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_come_as_they_were_sent),
		cmocka_unit_test(payload_is_whole),
		cmocka_unit_test(garbage_between_frames_is_skipped),
		cmocka_unit_test(a_wrong_bit_loses_that_frame_only),
		cmocka_unit_test(nothing_is_taken_before_hello),
		cmocka_unit_test(another_sessions_frame_is_none),
		cmocka_unit_test(hello_after_a_cut_frame),
		cmocka_unit_test(hello_inside_a_payload_is_none),
		cmocka_unit_test(a_second_hello_changes_the_key),
		cmocka_unit_test(any_bytes_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
