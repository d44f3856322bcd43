/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Frames of the management channel (include/abi/channel.h), for both of its ends. No allocation; the reader takes any bytes.
 *
 *	channel_reader_init(&r);
 *	for each piece of the line:
 *		while (piece is not empty) {
 *			n = channel_reader_put(&r, piece, len);
 *			while ((got = channel_reader_next(&r, &frame)) != CHANNEL_READ_MORE)
 *				if (got == CHANNEL_READ_FRAME) ...
 *		}
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/channel.h"

#define CHANNEL_FRAME_MAX (sizeof(struct channel_head) + CHANNEL_PAYLOAD_MAX)

struct channel_frame {
	uint16_t type, len;
	uint32_t stream;
	const uint8_t *payload; /* in the reader, until the next call; not aligned */
};

enum channel_read {
	CHANNEL_READ_MORE,  /* it needs more bytes */
	CHANNEL_READ_FRAME, /* there is one */
	CHANNEL_READ_BAD,   /* something was no frame: call again */
};

struct channel_reader {
	bool has_key;
	bool is_line; /* of packets and HELLO: others are no frames */
	uint32_t key;
	uint32_t quiet;	      /* bytes of zero just before `start` */
	uint32_t quiet_least; /* so many are in front of HELLO */
	uint64_t bad;	      /* what looked like a frame, and was none of this session */
	size_t start, end;    /* of what is in buffer[] */
	uint8_t buffer[2 * CHANNEL_FRAME_MAX];
};

/* channel_reader_init() - a new line: nothing but HELLO is taken, until there is a key */
void channel_reader_init(struct channel_reader *r);
/* channel_reader_key() - HELLO is agreed upon: frames of this session from now on (and HELLO, always) */
void channel_reader_key(struct channel_reader *r, uint64_t nonce);
/* channel_reader_line() - the line carries packets (abi/channel.h) */
void channel_reader_line(struct channel_reader *r);
/* channel_reader_give_up() - what may be the beginning of a frame is not waited for any more */
void channel_reader_give_up(struct channel_reader *r);
/* channel_reader_room() - so many bytes channel_reader_put() would take */
size_t channel_reader_room(const struct channel_reader *r);
/* channel_reader_put() - how many of the bytes were taken; 0 only if len is 0, or next() was not called until it said MORE */
size_t channel_reader_put(struct channel_reader *r, const void *bytes, size_t len);
/*
 * channel_reader_next() - the next frame, whose type, stream and length are checked no further: CHANNEL_HELLO has stream 0 and the
 * zeroes in front, all others the key. Bounded: one CRC a call.
 */
enum channel_read channel_reader_next(struct channel_reader *r, struct channel_frame *ret);

/*
 * channel_frame_seal() - the head of a frame whose payload lies behind it already
 * @frame: CHANNEL_FRAME_MAX bytes or less   @nonce: the session's; 0 for HELLO   @len: of the payload, <= CHANNEL_PAYLOAD_MAX
 * Return: the frame's length.
 */
size_t channel_frame_seal(uint8_t *frame, uint64_t nonce, enum channel_type type, uint32_t stream,
			  size_t len);
/* channel_frame_make() - the same, with the payload copied: two parts, either may be empty (NULL, 0). */
size_t channel_frame_make(uint8_t ret[CHANNEL_FRAME_MAX], uint64_t nonce, enum channel_type type,
			  uint32_t stream, const void *first, size_t first_len, const void *second,
			  size_t second_len);
