/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Text on a framebuffer of 32-bit pixels, 8 by 16 a character, or on a VGA text screen; scrolled; a zeroed one swallows everything. */
#include <stdint.h>

struct screen {
	uint32_t *pixels; /* NULL: none */
	uint16_t *cells;  /* of a text screen: character and attribute; NULL: none */
	uint32_t pitch;	  /* bytes a row */
	uint32_t columns, rows;
	uint32_t column, row;
};

/* Too small for one character: as if there were none. */
void screen_init(struct screen *screen, void *pixels, uint32_t pitch, uint32_t width,
		 uint32_t height);
void screen_init_text(struct screen *screen, void *cells, uint32_t columns, uint32_t rows);
void screen_put(struct screen *screen, char c);
