/* SPDX-License-Identifier: Apache-2.0 */
#include "core/screen.h"

#include <string.h>

#define CELL_WIDTH     8U
#define CELL_HEIGHT    16U
#define INK	       UINT32_C(0x00d0d0d0) /* grey: whichever colour comes first */
#define CELL_ATTRIBUTE 0x0700		    /* VGA: light grey on black */
#define CELL_BLANK     (CELL_ATTRIBUTE | ' ')
#define FONT_FIRST     0x20

/*
 * Space to tilde, 3 by 5: a digit a row from the top, its bits the columns from the left. Drawn twice as wide and three times
 * as high, in the cell's upper left corner.
 */
static const uint16_t font[] = {
	000000, 022202, 055000, 057575, 036236, 051245, 025253, 022000, 012221, 042224, 005250,
	002720, 000024, 000700, 000002, 011244, 075557, 026227, 071747, 071717, 055711, 074717,
	074757, 071122, 075757, 075717, 002020, 002024, 012421, 007070, 042124, 071202, 025743,
	025755, 065656, 034443, 065556, 074647, 074644, 034553, 055755, 072227, 011152, 055655,
	044447, 057755, 057775, 025552, 065644, 025573, 065655, 034216, 072222, 055557, 055552,
	055775, 055255, 055222, 071247, 064446, 044211, 031113, 025000, 000007, 042000, 003553,
	046556, 003443, 013553, 002563, 012722, 003536, 046555, 020222, 010152, 045655, 062227,
	005755, 006555, 002552, 006564, 003531, 003444, 003636, 027223, 005553, 005552, 005577,
	005225, 005536, 007247, 032623, 022222, 062326, 000360,
};

_Static_assert(sizeof(font) / sizeof(font[0]) == 0x7f - FONT_FIRST, "a glyph each");

static uint8_t *screen_line(const struct screen *screen, uint32_t y)
{
	return screen->pixels + (uint64_t)y * screen->pitch;
}

static uint32_t at_most(uint32_t n, uint32_t most)
{
	return n < most ? n : most;
}

void screen_init(struct screen *screen, void *pixels, uint32_t pitch, uint32_t width,
		 uint32_t height, uint32_t pixel_bytes)
{
	screen->pixels = NULL;
	screen->cells = NULL;
	screen->pitch = pitch;
	screen->pixel_bytes = pixel_bytes;
	screen->columns = at_most(width / CELL_WIDTH, SCREEN_COLUMNS_MAX);
	screen->rows = at_most(height / CELL_HEIGHT, SCREEN_ROWS_MAX);
	screen->column = screen->row = 0;
	if (!screen->columns || !screen->rows || (pixel_bytes != 3 && pixel_bytes != 4) ||
	    pitch / pixel_bytes < width || (pixel_bytes == 4 && pitch % 4))
		return;
	screen->pixels = pixels;
	memset(screen->shown, ' ', sizeof(screen->shown));
	for (uint32_t y = 0; y < height; y++)
		memset(screen_line(screen, y), 0, (size_t)width * pixel_bytes);
}

void screen_init_text(struct screen *screen, void *cells, uint32_t columns, uint32_t rows)
{
	screen->pixels = NULL;
	screen->cells = columns && rows ? cells : NULL;
	screen->columns = columns;
	screen->rows = rows;
	screen->column = screen->row = 0;
	for (uint32_t i = 0; screen->cells && i < columns * rows; i++)
		screen->cells[i] = CELL_BLANK;
}

static void screen_scroll_text(const struct screen *screen)
{
	uint32_t kept = screen->columns * (screen->rows - 1);

	memmove(screen->cells, screen->cells + screen->columns, (size_t)kept * 2);
	for (uint32_t i = 0; i < screen->columns; i++)
		screen->cells[kept + i] = CELL_BLANK;
}

static void pixel_put(uint8_t *at, uint32_t pixel_bytes, uint32_t ink)
{
	if (pixel_bytes == 4)
		*(uint32_t *)(void *)at = ink; /* a pitch of whole pixels */
	else
		at[0] = at[1] = at[2] = (uint8_t)ink;
}

static void screen_draw(struct screen *screen, uint32_t row, uint32_t column, char c)
{
	uint32_t glyph =
		c >= FONT_FIRST && c < 0x7f ? font[c - FONT_FIRST] : font['?' - FONT_FIRST];

	screen->shown[row][column] = c;
	for (uint32_t y = 0; y < CELL_HEIGHT; y++) {
		uint8_t *line = screen_line(screen, row * CELL_HEIGHT + y) +
				(size_t)column * CELL_WIDTH * screen->pixel_bytes;
		uint32_t bits = y < 15 ? glyph >> (4 - y / 3) * 3 & 7 : 0;
		for (uint32_t x = 0; x < CELL_WIDTH; x++)
			pixel_put(line + (size_t)x * screen->pixel_bytes, screen->pixel_bytes,
				  x < 6 && bits >> (2 - x / 2) & 1 ? INK : 0);
	}
}

/* Most of a screen is blank, above and below: only what changes is drawn. */
static void screen_scroll(struct screen *screen)
{
	for (uint32_t row = 0; row < screen->rows; row++) {
		for (uint32_t column = 0; column < screen->columns; column++) {
			char c = row + 1 < screen->rows ? screen->shown[row + 1][column] : ' ';
			if (c != screen->shown[row][column])
				screen_draw(screen, row, column, c);
		}
	}
}

static void screen_newline(struct screen *screen)
{
	screen->column = 0;
	if (++screen->row < screen->rows)
		return;
	screen->row = screen->rows - 1;
	if (screen->cells)
		screen_scroll_text(screen);
	else
		screen_scroll(screen);
}

void screen_put(struct screen *screen, char c)
{
	if ((!screen->pixels && !screen->cells) || c == '\r')
		return;
	if (c == '\n') {
		screen_newline(screen);
		return;
	}
	if (screen->cells)
		screen->cells[screen->row * screen->columns + screen->column] =
			(uint16_t)(CELL_ATTRIBUTE | (uint8_t)c);
	else
		screen_draw(screen, screen->row, screen->column, c);
	if (++screen->column == screen->columns)
		screen_newline(screen);
}
