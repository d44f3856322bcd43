/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/vmm/gdb_packet.h"

#include <string.h>

#define GDB_INTERRUPT  0x03U
#define GDB_ESCAPE     '}'
#define GDB_ESCAPE_XOR 0x20U

static const char gdb_digits[] = "0123456789abcdef";

/* -1: not a digit */
static int gdb_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* ---- frames in ---- */

static void gdb_reader_start(struct gdb_reader *reader)
{
	reader->len = 0;
	reader->sum = 0;
	reader->damaged = false;
	reader->state = GDB_INSIDE;
}

static enum gdb_input gdb_reader_outside(struct gdb_reader *reader, uint8_t byte)
{
	switch (byte) {
	case '$':
		gdb_reader_start(reader);
		return GDB_INPUT_NONE;
	case '+':
		return GDB_INPUT_ACK;
	case '-':
		return GDB_INPUT_NAK;
	case GDB_INTERRUPT:
		return GDB_INPUT_INTERRUPT;
	default:
		return GDB_INPUT_NONE; /* noise between packets */
	}
}

static void gdb_reader_keep(struct gdb_reader *reader, uint8_t byte)
{
	if (reader->len == GDB_PACKET_BYTES)
		reader->damaged = true;
	else
		reader->data[reader->len++] = byte;
}

static void gdb_reader_inside(struct gdb_reader *reader, uint8_t byte)
{
	if (byte == '$') { /* the rest of the one before was lost */
		gdb_reader_start(reader);
		return;
	}
	if (byte == '#') {
		reader->damaged |= reader->state == GDB_ESCAPED;
		reader->state = GDB_SUM_HIGH;
		return;
	}
	reader->sum = (uint8_t)(reader->sum + byte);
	if (reader->state == GDB_ESCAPED) {
		gdb_reader_keep(reader, byte ^ GDB_ESCAPE_XOR);
		reader->state = GDB_INSIDE;
	} else if (byte == GDB_ESCAPE) {
		reader->state = GDB_ESCAPED;
	} else {
		gdb_reader_keep(reader, byte);
	}
}

static enum gdb_input gdb_reader_sum(struct gdb_reader *reader, uint8_t byte)
{
	int digit = gdb_digit(byte);

	reader->damaged |= digit < 0;
	reader->said = (uint8_t)(reader->said << 4 | (digit & 0xf));
	if (reader->state == GDB_SUM_HIGH) {
		reader->state = GDB_SUM_LOW;
		return GDB_INPUT_NONE;
	}
	reader->state = GDB_OUTSIDE;
	if (reader->damaged || reader->said != reader->sum)
		return GDB_INPUT_DAMAGED;
	reader->data[reader->len] = '\0';
	return GDB_INPUT_PACKET;
}

enum gdb_input gdb_reader_byte(struct gdb_reader *reader, uint8_t byte)
{
	switch (reader->state) {
	case GDB_INSIDE:
	case GDB_ESCAPED:
		gdb_reader_inside(reader, byte);
		return GDB_INPUT_NONE;
	case GDB_SUM_HIGH:
	case GDB_SUM_LOW:
		return gdb_reader_sum(reader, byte);
	default:
		return gdb_reader_outside(reader, byte);
	}
}

/* ---- payloads in ---- */

bool gdb_skip(struct gdb_cursor *cursor, const char *word)
{
	size_t len = strlen(word);

	if ((size_t)(cursor->end - cursor->at) < len || memcmp(cursor->at, word, len) != 0)
		return false;
	cursor->at += len;
	return true;
}

bool gdb_at_end(const struct gdb_cursor *cursor)
{
	return cursor->at == cursor->end;
}

bool gdb_number(struct gdb_cursor *cursor, uint64_t *ret)
{
	uint64_t value = 0;
	unsigned digits = 0;

	for (; cursor->at < cursor->end && gdb_digit(*cursor->at) >= 0; cursor->at++) {
		if (++digits > 16)
			return false;
		value = value << 4 | (unsigned)gdb_digit(*cursor->at);
	}
	if (digits)
		*ret = value;
	return digits > 0;
}

bool gdb_bytes(struct gdb_cursor *cursor, void *ret, size_t len)
{
	uint8_t *to = ret;

	if ((size_t)(cursor->end - cursor->at) / 2 < len)
		return false;
	for (size_t i = 0; i < len; i++, cursor->at += 2) {
		int high = gdb_digit(cursor->at[0]), low = gdb_digit(cursor->at[1]);
		if (high < 0 || low < 0)
			return false;
		to[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

/* ---- payloads out ---- */

void gdb_text_add_n(struct gdb_text *text, const char *data, size_t len)
{
	size_t room = sizeof(text->data) - text->len;

	if (len > room)
		len = room;
	memcpy(text->data + text->len, data, len);
	text->len += len;
}

void gdb_text_add(struct gdb_text *text, const char *word)
{
	gdb_text_add_n(text, word, strlen(word));
}

void gdb_text_hex(struct gdb_text *text, const void *data, size_t len)
{
	const uint8_t *from = data;

	for (size_t i = 0; i < len; i++) {
		const char pair[2] = { gdb_digits[from[i] >> 4], gdb_digits[from[i] & 0xf] };
		gdb_text_add_n(text, pair, 2);
	}
}

void gdb_text_number(struct gdb_text *text, uint64_t value)
{
	char digits[16];
	size_t n = sizeof(digits);

	do {
		digits[--n] = gdb_digits[value & 0xf];
		value >>= 4;
	} while (value);
	gdb_text_add_n(text, digits + n, sizeof(digits) - n);
}

size_t gdb_frame(const struct gdb_text *text, char *ret)
{
	size_t n = 0;
	uint8_t sum = 0;

	ret[n++] = '$';
	for (size_t i = 0; i < text->len; i++) {
		char c = text->data[i];
		if (c == '$' || c == '#' || c == '*' || c == GDB_ESCAPE) {
			ret[n++] = GDB_ESCAPE;
			c = (char)(c ^ (char)GDB_ESCAPE_XOR);
		}
		ret[n++] = c;
	}
	for (size_t i = 1; i < n; i++)
		sum = (uint8_t)(sum + (uint8_t)ret[i]);
	ret[n++] = '#';
	ret[n++] = gdb_digits[sum >> 4];
	ret[n++] = gdb_digits[sum & 0xf];
	return n;
}
