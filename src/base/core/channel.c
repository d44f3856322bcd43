/* SPDX-License-Identifier: Apache-2.0 */
#include "base/core/channel.h"

#include <string.h>

#include "base/core/bytes.h"
#include "base/core/crc32.h"

#define HEAD	   sizeof(struct channel_head)
#define CRC_OFFSET offsetof(struct channel_head, crc)
#define CRC_FROM   offsetof(struct channel_head, type) /* what the CRC is of, to the end */

static uint32_t frame_crc(uint32_t key, const uint8_t *frame, size_t payload)
{
	uint8_t first[4];

	le32_store(first, key);
	return crc32_add(crc32_add(0, first, sizeof(first)), frame + CRC_FROM,
			 HEAD - CRC_FROM + payload);
}

void channel_reader_init(struct channel_reader *r)
{
	r->has_key = r->is_line = false;
	r->quiet = 0;
	r->quiet_least = CHANNEL_QUIET_BYTES;
	r->bad = 0;
	r->start = r->end = 0;
}

void channel_reader_key(struct channel_reader *r, uint64_t nonce)
{
	r->key = (uint32_t)nonce;
	r->has_key = true;
}

void channel_reader_line(struct channel_reader *r)
{
	r->is_line = true;
	r->quiet_least = CHANNEL_PACKET_QUIET;
}

size_t channel_reader_room(const struct channel_reader *r)
{
	return sizeof(r->buffer) - (r->end - r->start);
}

size_t channel_reader_put(struct channel_reader *r, const void *bytes, size_t len)
{
	size_t room = sizeof(r->buffer) - r->end;

	if (room < len && r->start) {
		memmove(r->buffer, r->buffer + r->start, r->end - r->start);
		r->end -= r->start;
		r->start = 0;
		room = sizeof(r->buffer) - r->end;
	}
	if (len > room)
		len = room;
	memcpy(r->buffer + r->end, bytes, len);
	r->end += len;
	return len;
}

static void reader_skip(struct channel_reader *r)
{
	if (r->buffer[r->start++])
		r->quiet = 0;
	else if (r->quiet < CHANNEL_QUIET_BYTES)
		r->quiet++;
}

void channel_reader_give_up(struct channel_reader *r)
{
	if (r->start < r->end)
		reader_skip(r);
}

/* The first place where a frame may begin, or too little is there to tell. */
static void reader_seek(struct channel_reader *r)
{
	while (r->end - r->start >= sizeof(uint32_t) &&
	       le32_load(r->buffer + r->start) != CHANNEL_MAGIC)
		reader_skip(r);
}

static bool reader_trusts(const struct channel_reader *r, const uint8_t *frame, uint16_t type,
			  uint16_t len)
{
	uint32_t crc = le32_load(frame + CRC_OFFSET);

	if (type != CHANNEL_HELLO)
		return r->has_key && crc == frame_crc(r->key, frame, len);
	return r->quiet >= r->quiet_least && crc == frame_crc(0, frame, len);
}

/* A head that was damaged may tell of more than will ever come: what cannot be is not waited for. */
static bool reader_may_be(const struct channel_reader *r, uint16_t type, uint16_t len,
			  uint32_t stream)
{
	if (type == CHANNEL_HELLO)
		return !stream && len <= CHANNEL_PACKET_BYTES;
	if (r->is_line)
		return (type == CHANNEL_PACKET || type == CHANNEL_AGAIN) &&
		       len <= CHANNEL_PACKET_BYTES;
	return len <= CHANNEL_PAYLOAD_MAX;
}

enum channel_read channel_reader_next(struct channel_reader *r, struct channel_frame *ret)
{
	reader_seek(r);
	if (r->end - r->start < HEAD)
		return CHANNEL_READ_MORE;
	const uint8_t *frame = r->buffer + r->start;
	uint16_t type = le16_load(frame + offsetof(struct channel_head, type));
	uint16_t len = le16_load(frame + offsetof(struct channel_head, len));
	uint32_t stream = le32_load(frame + offsetof(struct channel_head, stream));
	bool can_be = reader_may_be(r, type, len, stream);

	if (can_be && r->end - r->start < HEAD + len)
		return CHANNEL_READ_MORE;
	if (!can_be || !reader_trusts(r, frame, type, len)) {
		r->bad++;
		reader_skip(r);
		return CHANNEL_READ_BAD;
	}
	*ret = (struct channel_frame){ type, len, stream, frame + HEAD };
	r->start += HEAD + len;
	r->quiet = 0;
	return CHANNEL_READ_FRAME;
}

size_t channel_frame_seal(uint8_t *frame, uint64_t nonce, enum channel_type type, uint32_t stream,
			  size_t len)
{
	le32_store(frame, CHANNEL_MAGIC);
	le16_store(frame + offsetof(struct channel_head, type), (uint16_t)type);
	le16_store(frame + offsetof(struct channel_head, len), (uint16_t)len);
	le32_store(frame + offsetof(struct channel_head, stream), stream);
	le32_store(frame + CRC_OFFSET, frame_crc((uint32_t)nonce, frame, len));
	return HEAD + len;
}

size_t channel_frame_make(uint8_t ret[CHANNEL_FRAME_MAX], uint64_t nonce, enum channel_type type,
			  uint32_t stream, const void *first, size_t first_len, const void *second,
			  size_t second_len)
{
	if (first_len)
		memcpy(ret + HEAD, first, first_len);
	if (second_len)
		memcpy(ret + HEAD + first_len, second, second_len);
	return channel_frame_seal(ret, nonce, type, stream, first_len + second_len);
}
