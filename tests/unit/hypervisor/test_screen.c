/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/screen.h"

#define WIDTH  44U /* five characters, and a half */
#define HEIGHT 56U /* three, and a half */
#define PAD    8U  /* bytes at the end of a row that are nobody's */
#define PITCH  (WIDTH * 4 + PAD)
#define GUARD  0x5a

/* In a struct of its own, since a screen is larger than a test's stack should bear. */
static struct rig {
	struct screen screen, again;
	_Alignas(4) uint8_t pixels[HEIGHT + 1][PITCH], fresh[HEIGHT + 1][PITCH];
	uint16_t cells[3 * 5 + 1];
} rig;

static void say(struct screen *screen, const char *text)
{
	for (; *text; text++)
		screen_put(screen, *text);
}

static bool is_lit(uint32_t pixel_bytes, uint32_t x, uint32_t y)
{
	uint8_t dark[4] = { 0 };

	return memcmp(&rig.pixels[y][(size_t)x * pixel_bytes], dark, pixel_bytes) != 0;
}

static unsigned lit_in(uint32_t pixel_bytes, uint32_t row, uint32_t column)
{
	unsigned n = 0;

	for (uint32_t y = row * 16; y < row * 16 + 16; y++) {
		for (uint32_t x = column * 8; x < column * 8 + 8; x++)
			n += is_lit(pixel_bytes, x, y);
	}
	return n;
}

static void nobodys_bytes_are_left(uint32_t pixel_bytes)
{
	for (uint32_t y = 0; y < HEIGHT; y++) {
		for (size_t x = (size_t)WIDTH * pixel_bytes; x < PITCH; x++)
			assert_int_equal(rig.pixels[y][x], GUARD);
	}
	for (uint32_t x = 0; x < PITCH; x++)
		assert_int_equal(rig.pixels[HEIGHT][x], GUARD);
}

/* GRUB gives 24 bits a pixel on some graphics: the screen of a server by UEFI stayed black. */
static void text_is_on_pixels_of_24_and_of_32_bits(void **state)
{
	(void)state;
	for (uint32_t pixel_bytes = 3; pixel_bytes <= 4; pixel_bytes++) {
		memset(&rig, GUARD, sizeof(rig));
		screen_init(&rig.screen, rig.pixels, PITCH, WIDTH, HEIGHT, pixel_bytes);
		for (uint32_t y = 0; y < HEIGHT; y++) {
			for (uint32_t x = 0; x < WIDTH; x++)
				assert_false(is_lit(pixel_bytes, x, y));
		}
		say(&rig.screen, "a.\r\n\001|");
		/* a full stop: one dot, drawn 2 by 3, in the last of five rows */
		assert_int_equal(lit_in(pixel_bytes, 0, 1), 6);
		for (uint32_t y = 12; y < 15; y++) {
			for (uint32_t x = 10; x < 12; x++)
				assert_true(is_lit(pixel_bytes, x, y));
		}
		assert_true(lit_in(pixel_bytes, 0, 0) > 6);
		assert_true(lit_in(pixel_bytes, 1, 0) >
			    6); /* what has no glyph is a question mark */
		assert_int_equal(lit_in(pixel_bytes, 1, 1), 30);
		assert_int_equal(lit_in(pixel_bytes, 0, 2), 0);
		assert_int_equal(lit_in(pixel_bytes, 2, 0), 0);
		nobodys_bytes_are_left(pixel_bytes);
	}
}

static void a_scrolled_screen_is_as_one_that_is_drawn_anew(void **state)
{
	(void)state;
	for (uint32_t pixel_bytes = 3; pixel_bytes <= 4; pixel_bytes++) {
		memset(&rig, GUARD, sizeof(rig));
		screen_init(&rig.screen, rig.pixels, PITCH, WIDTH, HEIGHT, pixel_bytes);
		screen_init(&rig.again, rig.fresh, PITCH, WIDTH, HEIGHT, pixel_bytes);
		say(&rig.screen, "one\ntwo\nlonger than a line");
		/* five to a line, so "longe" is gone */
		say(&rig.again, "r than a line");
		assert_memory_equal(rig.pixels, rig.fresh, sizeof(rig.pixels));
		nobodys_bytes_are_left(pixel_bytes);
	}
}

static void one_that_cannot_be_is_left_alone(void **state)
{
	static const struct {
		uint32_t pitch, width, height, pixel_bytes;
	} none[] = {
		{ PITCH, WIDTH, HEIGHT, 2 },
		{ PITCH, WIDTH, HEIGHT, 0 },
		{ PITCH, WIDTH, HEIGHT, 5 },
		{ WIDTH * 4 - 4, WIDTH, HEIGHT, 4 },
		{ WIDTH * 3 - 1, WIDTH, HEIGHT, 3 },
		{ PITCH - 1, WIDTH, HEIGHT, 4 },
		{ PITCH, 7, HEIGHT, 4 },
		{ PITCH, WIDTH, 15, 4 },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		memset(&rig, 0, sizeof(rig));
		screen_init(&rig.screen, rig.pixels, none[i].pitch, none[i].width, none[i].height,
			    none[i].pixel_bytes);
		say(&rig.screen, "abc\n\n\n\n\n");
		assert_memory_equal(rig.pixels, rig.fresh, sizeof(rig.pixels));
	}
}

static void one_that_is_very_large_is_used_in_part(void **state)
{
	(void)state;
	memset(&rig, 0, sizeof(rig));
	screen_init(&rig.screen, rig.pixels, PITCH, WIDTH, HEIGHT, 4);
	assert_int_equal(rig.screen.columns, 5);
	assert_int_equal(rig.screen.rows, 3);
	static uint8_t large[(SCREEN_ROWS_MAX + 1) * 16][(SCREEN_COLUMNS_MAX + 1) * 8 * 3];
	screen_init(&rig.screen, large, sizeof(large[0]), sizeof(large[0]) / 3,
		    (SCREEN_ROWS_MAX + 1) * 16, 3);
	assert_int_equal(rig.screen.columns, SCREEN_COLUMNS_MAX);
	assert_int_equal(rig.screen.rows, SCREEN_ROWS_MAX);
	for (unsigned i = 0; i < (SCREEN_ROWS_MAX + 2) * SCREEN_COLUMNS_MAX; i++)
		screen_put(&rig.screen, '#');
	for (size_t y = (size_t)SCREEN_ROWS_MAX * 16; y < (SCREEN_ROWS_MAX + 1) * 16; y++) {
		for (size_t x = 0; x < sizeof(large[0]); x++)
			assert_int_equal(large[y][x], 0);
	}
}

static void a_text_screen_scrolls(void **state)
{
	(void)state;
	memset(&rig, 0, sizeof(rig));
	rig.cells[15] = GUARD;
	screen_init_text(&rig.screen, rig.cells, 5, 3);
	say(&rig.screen, "one\ntwo\nthree\nx");
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(rig.cells[i], 0x0700 | (uint8_t) "three"[i]);
		assert_int_equal(rig.cells[5 + i], 0x0700 | ' ');
	}
	assert_int_equal(rig.cells[10], 0x0700 | 'x');
	assert_int_equal(rig.cells[15], GUARD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_is_on_pixels_of_24_and_of_32_bits),
		cmocka_unit_test(a_scrolled_screen_is_as_one_that_is_drawn_anew),
		cmocka_unit_test(one_that_cannot_be_is_left_alone),
		cmocka_unit_test(one_that_is_very_large_is_used_in_part),
		cmocka_unit_test(a_text_screen_scrolls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
