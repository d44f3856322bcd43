/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Frames and fields of include/abi/agent.h, for both sides: this file is linked into the host's VMM and into
 * strata-init. Either side may be hostile to the other: nothing is taken at its word, and memory grows with what came, not
 * with what was announced.
 */
#include <stdint.h>

#include "base/core/buf.h"

/* Puts frames together from whatever pieces they come in. */
struct frame_reader {
	size_t max; /* bytes of payload; a longer frame is an error */
	uint8_t head[8];
	size_t n_head;
	uint32_t type, len; /* of the frame under way, once its head is there */
	struct buf body;    /* NUL-terminated, not counted */
	bool done;	    /* body is whole; the next feed starts another */
};

void frame_reader_init(struct frame_reader *reader, size_t max);
void frame_reader_fini(struct frame_reader *reader);
/*
 * frame_reader_feed() - take bytes until a frame is whole or they are used up
 * @ret_used: how many were taken
 * Return: 1: type and body are a frame, until the next call; 0: more bytes are needed; -EPROTO: longer than max; -ENOMEM.
 */
int frame_reader_feed(struct frame_reader *reader, const void *data, size_t len, size_t *ret_used);

/* One field of a list; the value is borrowed. */
struct frame_field {
	uint32_t tag;
	const uint8_t *data;
	size_t len;
};
struct frame_fields {
	const uint8_t *at, *end;
};

/* frame_fields_next() - 1: a field; 0: the end; -EPROTO: damage. */
int frame_fields_next(struct frame_fields *fields, struct frame_field *ret);
/* frame_field_u64() - a number, or -EPROTO. */
int frame_field_u64(const struct frame_field *field, uint64_t *ret);
/* frame_text_ok() - whether these bytes are a string: no NUL among them. */
bool frame_text_ok(const void *data, size_t len);

/*
 * Writing. Out of memory is the buffer's sticky failure (buf.h). frame_begin() gives the place that frame_end() wants, which
 * fills in the length; fields go between the two.
 */
size_t frame_begin(struct buf *buf, uint32_t type);
void frame_end(struct buf *buf, size_t at);
void frame_add(struct buf *buf, uint32_t type, const void *data, size_t len); /* all in one */
void frame_field_add(struct buf *buf, uint32_t tag, const void *data, size_t len);
void frame_field_add_text(struct buf *buf, uint32_t tag, const char *text); /* NULL: no field */
void frame_field_add_u64(struct buf *buf, uint32_t tag, uint64_t value);
