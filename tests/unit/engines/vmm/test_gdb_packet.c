/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <string.h>

#include "engines/vmm/gdb_packet.h"

/* What comes of the last byte. */
static enum gdb_input feed(struct gdb_reader *reader, const char *bytes, size_t len)
{
	enum gdb_input input = GDB_INPUT_NONE;

	for (size_t i = 0; i < len; i++) {
		if (i)
			assert_int_equal(input, GDB_INPUT_NONE);
		input = gdb_reader_byte(reader, (uint8_t)bytes[i]);
	}
	return input;
}

#define FEED(reader, text) feed(reader, text, sizeof(text) - 1)

static void a_packet_comes_byte_by_byte(void **state)
{
	struct gdb_reader reader = { 0 };

	(void)state;
	assert_int_equal(FEED(&reader, "$qC#b4"), GDB_INPUT_PACKET);
	assert_int_equal(reader.len, 2);
	assert_string_equal((const char *)reader.data, "qC");
	assert_int_equal(FEED(&reader, "$#00"), GDB_INPUT_PACKET);
	assert_int_equal(reader.len, 0);
	assert_int_equal(FEED(&reader, "$qC#B4"), GDB_INPUT_PACKET);
}

static void what_is_between_packets(void **state)
{
	struct gdb_reader reader = { 0 };

	(void)state;
	assert_int_equal(FEED(&reader, "+"), GDB_INPUT_ACK);
	assert_int_equal(FEED(&reader, "-"), GDB_INPUT_NAK);
	assert_int_equal(FEED(&reader, "\x03"), GDB_INPUT_INTERRUPT);
	assert_int_equal(FEED(&reader, "noise#00\n"), GDB_INPUT_NONE);
	assert_int_equal(FEED(&reader, "$g#67"), GDB_INPUT_PACKET);
}

static void damage_is_noticed(void **state)
{
	struct gdb_reader reader = { 0 };

	(void)state;
	assert_int_equal(FEED(&reader, "$qC#b5"), GDB_INPUT_DAMAGED);
	assert_int_equal(FEED(&reader, "$qC#zz"), GDB_INPUT_DAMAGED);
	assert_int_equal(FEED(&reader, "$g}#e4"), GDB_INPUT_DAMAGED); /* half an escape */
	assert_int_equal(FEED(&reader, "$g#67"), GDB_INPUT_PACKET);
	assert_int_equal(FEED(&reader, "$lost$g#67"), GDB_INPUT_PACKET);
	assert_int_equal(reader.len, 1);
}

static void escapes_are_undone(void **state)
{
	struct gdb_reader reader = { 0 };

	(void)state;
	assert_int_equal(FEED(&reader, "$}\x03}]\x00\x03#5d"), GDB_INPUT_PACKET);
	assert_int_equal(reader.len, 4);
	assert_memory_equal(reader.data, "#}\0\x03", 4);
}

static void the_longest_packet_fits_and_no_longer(void **state)
{
	static char bytes[GDB_PACKET_BYTES + 8];
	struct gdb_reader reader = { 0 };

	(void)state;
	memset(bytes, 0, sizeof(bytes));
	bytes[0] = '$';
	memcpy(bytes + 1 + GDB_PACKET_BYTES, "#00", 3);
	assert_int_equal(feed(&reader, bytes, GDB_PACKET_BYTES + 4), GDB_INPUT_PACKET);
	assert_int_equal(reader.len, GDB_PACKET_BYTES);
	memset(bytes + 1, 0, sizeof(bytes) - 1);
	memcpy(bytes + 2 + GDB_PACKET_BYTES, "#00", 3);
	assert_int_equal(feed(&reader, bytes, GDB_PACKET_BYTES + 5), GDB_INPUT_DAMAGED);
	assert_int_equal(FEED(&reader, "$g#67"), GDB_INPUT_PACKET);
}

static void numbers_and_bytes_are_hexadecimal(void **state)
{
	static const uint8_t text[] = "1fFz0011223344556677889,abc";
	struct gdb_cursor in = { text, text + sizeof(text) - 1 };
	uint64_t value = 7;
	uint8_t bytes[4];

	(void)state;
	assert_true(gdb_number(&in, &value));
	assert_int_equal(value, 0x1ff);
	assert_false(gdb_number(&in, &value));
	assert_true(gdb_skip(&in, "z"));
	assert_false(gdb_skip(&in, "z"));
	assert_false(gdb_number(&in, &value)); /* 19 digits */
	assert_int_equal(value, 0x1ff);
	in.at = text + 4;
	assert_true(gdb_bytes(&in, bytes, 4));
	assert_memory_equal(bytes, "\x00\x11\x22\x33", 4);
	in.at = text + sizeof(text) - 4;
	assert_false(gdb_bytes(&in, bytes, 2)); /* half of it is missing */
	assert_true(gdb_bytes(&in, bytes, 1));
	assert_int_equal(bytes[0], 0xab);
	assert_false(gdb_at_end(&in));
}

static void replies_are_framed_and_escaped(void **state)
{
	struct gdb_text text = { 0 };
	char frame[GDB_FRAME_BYTES];

	(void)state;
	assert_int_equal(gdb_frame(&text, frame), 4);
	assert_memory_equal(frame, "$#00", 4);
	gdb_text_add(&text, "m}$#*");
	size_t n = gdb_frame(&text, frame);
	assert_int_equal(n, 13);
	assert_memory_equal(frame, "$m}]}\x04}\x03}\n#", 11);
	struct gdb_reader reader = { 0 };
	assert_int_equal(feed(&reader, frame, n), GDB_INPUT_PACKET);
	assert_memory_equal(reader.data, "m}$#*", 5);
}

static void what_does_not_fit_is_dropped(void **state)
{
	struct gdb_text text = { 0 };
	char frame[GDB_FRAME_BYTES];

	(void)state;
	for (unsigned i = 0; i < GDB_PACKET_BYTES; i++)
		gdb_text_hex(&text, "}", 1);
	gdb_text_number(&text, UINT64_MAX);
	assert_int_equal(text.len, GDB_PACKET_BYTES);
	memset(text.data, '}', sizeof(text.data));
	assert_int_equal(gdb_frame(&text, frame), GDB_FRAME_BYTES);
}

static void numbers_have_no_leading_zeros(void **state)
{
	struct gdb_text text = { 0 };

	(void)state;
	gdb_text_number(&text, 0);
	gdb_text_add(&text, ",");
	gdb_text_number(&text, 0x10f);
	gdb_text_add(&text, ",");
	gdb_text_number(&text, UINT64_MAX);
	assert_memory_equal(text.data, "0,10f,ffffffffffffffff", 22);
	assert_int_equal(text.len, 22);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_packet_comes_byte_by_byte),
		cmocka_unit_test(what_is_between_packets),
		cmocka_unit_test(damage_is_noticed),
		cmocka_unit_test(escapes_are_undone),
		cmocka_unit_test(the_longest_packet_fits_and_no_longer),
		cmocka_unit_test(numbers_and_bytes_are_hexadecimal),
		cmocka_unit_test(replies_are_framed_and_escaped),
		cmocka_unit_test(what_does_not_fit_is_dropped),
		cmocka_unit_test(numbers_have_no_leading_zeros),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
