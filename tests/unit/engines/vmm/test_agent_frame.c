/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/core/bytes.h"
#include "engines/vmm/agent_frame.h"

/* A frame of 3 bytes, one of none, one of 300. */
static void three_frames(struct buf *buf)
{
	char long_text[300];

	memset(long_text, 'x', sizeof(long_text));
	frame_add(buf, 7, "abc", 3);
	frame_add(buf, 8, NULL, 0);
	frame_add(buf, 9, long_text, sizeof(long_text));
	assert_false(buf->failed);
	assert_int_equal(buf->len, 3 * 8 + 303);
}

static void frames_come_whole_from_pieces_of_any_size(void **state)
{
	AUTO(buf_fini) struct buf buf = { 0 };

	(void)state;
	three_frames(&buf);
	for (size_t piece = 1; piece <= buf.len; piece++) {
		struct frame_reader reader;
		unsigned seen = 0;
		frame_reader_init(&reader, 300);
		for (size_t at = 0; at < buf.len;) {
			size_t used = 0, left = buf.len - at;
			int r = frame_reader_feed(&reader, buf.data + at,
						  left < piece ? left : piece, &used);
			assert_in_range(r, 0, 1);
			assert_true(used > 0);
			at += used;
			if (r == 0)
				continue;
			assert_int_equal(reader.type, 7 + seen);
			assert_int_equal(reader.body.len, reader.len);
			assert_int_equal(reader.body.data[reader.len], 0);
			seen++;
		}
		assert_int_equal(seen, 3);
		frame_reader_fini(&reader);
	}
}

static void a_frame_that_is_too_long_is_refused_by_its_head(void **state)
{
	struct frame_reader reader;
	uint8_t head[8];
	size_t used = 0;

	(void)state;
	frame_reader_init(&reader, 100);
	le32_store(head, 1);
	le32_store(head + 4, 101);
	assert_int_equal(frame_reader_feed(&reader, head, sizeof(head), &used), -EPROTO);
	assert_null(reader.body.data);
	frame_reader_fini(&reader);
}

static void memory_grows_with_what_came_not_with_what_was_announced(void **state)
{
	struct frame_reader reader;
	uint8_t data[12] = { 0 };
	size_t used = 0;

	(void)state;
	frame_reader_init(&reader, 4 << 20);
	le32_store(data, 1);
	le32_store(data + 4, 4 << 20);
	assert_int_equal(frame_reader_feed(&reader, data, sizeof(data), &used), 0);
	assert_int_equal(used, sizeof(data));
	assert_true(reader.body.cap < 4096);
	frame_reader_fini(&reader);
}

static void fields_come_back_as_they_were_added(void **state)
{
	AUTO(buf_fini) struct buf buf = { 0 };
	struct frame_field field;
	uint64_t number = 0;

	(void)state;
	frame_field_add_text(&buf, 1, "text");
	frame_field_add_text(&buf, 2, NULL);
	frame_field_add_text(&buf, 3, "");
	frame_field_add_u64(&buf, 4, UINT64_C(0x1122334455667788));
	struct frame_fields fields = { (uint8_t *)buf.data, (uint8_t *)buf.data + buf.len };
	assert_int_equal(frame_fields_next(&fields, &field), 1);
	assert_int_equal(field.tag, 1);
	assert_int_equal(field.len, 4);
	assert_memory_equal(field.data, "text", 4);
	assert_int_equal(frame_field_u64(&field, &number), -EPROTO);
	assert_int_equal(frame_fields_next(&fields, &field), 1);
	assert_int_equal(field.tag, 3);
	assert_int_equal(field.len, 0);
	assert_int_equal(frame_fields_next(&fields, &field), 1);
	assert_int_equal(frame_field_u64(&field, &number), 0);
	assert_true(number == UINT64_C(0x1122334455667788));
	assert_int_equal(frame_fields_next(&fields, &field), 0);
}

static void a_cut_list_of_fields_is_damage(void **state)
{
	AUTO(buf_fini) struct buf buf = { 0 };
	struct frame_field field;

	(void)state;
	frame_field_add_text(&buf, 1, "text");
	for (size_t len = 1; len < buf.len; len++) {
		struct frame_fields fields = { (uint8_t *)buf.data, (uint8_t *)buf.data + len };
		assert_int_equal(frame_fields_next(&fields, &field), -EPROTO);
	}
	le32_store(buf.data + 4, UINT32_MAX);
	struct frame_fields fields = { (uint8_t *)buf.data, (uint8_t *)buf.data + buf.len };
	assert_int_equal(frame_fields_next(&fields, &field), -EPROTO);
}

static void a_text_has_no_nul(void **state)
{
	(void)state;
	assert_true(frame_text_ok("abc", 3));
	assert_true(frame_text_ok(NULL, 0));
	assert_false(frame_text_ok("a\0c", 3));
	assert_false(frame_text_ok("abc", 4));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_come_whole_from_pieces_of_any_size),
		cmocka_unit_test(a_frame_that_is_too_long_is_refused_by_its_head),
		cmocka_unit_test(memory_grows_with_what_came_not_with_what_was_announced),
		cmocka_unit_test(fields_come_back_as_they_were_added),
		cmocka_unit_test(a_cut_list_of_fields_is_damage),
		cmocka_unit_test(a_text_has_no_nul),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
