/* SPDX-License-Identifier: Apache-2.0 */
#include "base/core/crc32.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/core/macros.h"

/* The catalogue's check value, and a polynomial division bit by bit. */
static uint32_t slow(const uint8_t *bytes, size_t len)
{
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < len; i++) {
		crc ^= bytes[i];
		for (unsigned bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0xedb88320) : 0);
	}
	return ~crc;
}

static void known(void **state)
{
	(void)state;
	assert_int_equal(crc32_add(0, "123456789", 9), 0xcbf43926);
	assert_int_equal(crc32_add(0, "", 0), 0);
}

static void every_length_and_alignment_and_cut(void **state)
{
	uint8_t bytes[80];
	(void)state;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 167 + 13);
	for (size_t at = 0; at < 4; at++) {
		for (size_t len = 0; len < 70; len++) {
			uint32_t whole = crc32_add(0, bytes + at, len);
			assert_int_equal(whole, slow(bytes + at, len));
			assert_int_equal(crc32_add(crc32_add(0, bytes + at, len / 3),
						   bytes + at + len / 3, len - len / 3),
					 whole);
		}
	}
}

static void every_byte(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 256; i++) {
		const uint8_t bytes[] = { (uint8_t)i, 0, (uint8_t)(255 - i), (uint8_t)(i * 7),
					  (uint8_t)i };
		assert_int_equal(crc32_add(0, bytes, sizeof(bytes)), slow(bytes, sizeof(bytes)));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known),
		cmocka_unit_test(every_length_and_alignment_and_cut),
		cmocka_unit_test(every_byte),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
