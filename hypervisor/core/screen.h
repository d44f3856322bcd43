/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Text on a framebuffer of 24- or 32-bit pixels, 8 by 16 a character, or on a VGA text screen; scrolled; a zeroed one swallows
 * everything. A framebuffer is only ever written: to read one takes a server's graphics longer than to draw it anew.
 */
#include <stdint.h>

#define SCREEN_COLUMNS_MAX 256U /* of a framebuffer; what is beyond stays black */
#define SCREEN_ROWS_MAX	   96U

struct screen {
	uint8_t *pixels; /* NULL: none */
	uint16_t *cells; /* of a text screen: character and attribute; NULL: none */
	uint32_t pitch;	 /* bytes a row */
	uint32_t pixel_bytes;
	uint32_t columns, rows;
	uint32_t column, row;
	char shown[SCREEN_ROWS_MAX][SCREEN_COLUMNS_MAX]; /* on the framebuffer */
};

/*
 * screen_init() - a black one
 * @pixel_bytes: 3 or 4; of others, or too small for one character, as if there were none
 */
void screen_init(struct screen *screen, void *pixels, uint32_t pitch, uint32_t width,
		 uint32_t height, uint32_t pixel_bytes);
void screen_init_text(struct screen *screen, void *cells, uint32_t columns, uint32_t rows);
void screen_put(struct screen *screen, char c);
