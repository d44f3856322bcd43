/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The framing of GDB's remote protocol, and the hexadecimal text inside. Pure: bytes in, packets out.
 * Source: GDB manual, appendix E Remote Protocol: E.1 Overview, E.13 Packet Acknowledgment, E.10 Interrupts.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GDB_PACKET_BYTES 4096U /* of payload, escapes undone */

enum gdb_input {
	GDB_INPUT_NONE, /* more bytes are needed */
	GDB_INPUT_PACKET,
	GDB_INPUT_INTERRUPT,
	GDB_INPUT_ACK,
	GDB_INPUT_NAK,
	GDB_INPUT_DAMAGED, /* a packet that is too long, or whose checksum is wrong */
};

struct gdb_reader {
	uint8_t data[GDB_PACKET_BYTES + 1]; /* of the packet, NUL-terminated */
	size_t len;
	enum { GDB_OUTSIDE, GDB_INSIDE, GDB_ESCAPED, GDB_SUM_HIGH, GDB_SUM_LOW } state;
	uint8_t sum, said; /* as counted, as the packet says */
	bool damaged;
};

/* gdb_reader_byte() - take one byte; after GDB_INPUT_PACKET data and len are valid until the next. */
enum gdb_input gdb_reader_byte(struct gdb_reader *reader, uint8_t byte);

/* ---- reading a payload ---- */

struct gdb_cursor {
	const uint8_t *at, *end;
};

bool gdb_skip(struct gdb_cursor *cursor, const char *word); /* and past it, if it is next */
bool gdb_at_end(const struct gdb_cursor *cursor);
/* gdb_number() - hexadecimal, 1 to 16 digits; false: none, or more. */
bool gdb_number(struct gdb_cursor *cursor, uint64_t *ret);
/* gdb_bytes() - two digits each; false: not so many. */
bool gdb_bytes(struct gdb_cursor *cursor, void *ret, size_t len);

/* ---- writing one ---- */

struct gdb_text {
	char data[GDB_PACKET_BYTES];
	size_t len; /* what does not fit is dropped */
};

void gdb_text_add(struct gdb_text *text, const char *word);
void gdb_text_add_n(struct gdb_text *text, const char *data, size_t len);
void gdb_text_hex(struct gdb_text *text, const void *data, size_t len); /* two digits a byte */
void gdb_text_number(struct gdb_text *text, uint64_t value);		/* no leading zeros */

/*
 * gdb_frame() - "$text#xx" with what must be escaped; @ret: GDB_FRAME_BYTES.
 * Return: its length.
 */
#define GDB_FRAME_BYTES (2 * GDB_PACKET_BYTES + 4)
size_t gdb_frame(const struct gdb_text *text, char *ret);
