/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes on the management channel, in pieces of any size: every frame lies within them, and every byte is used up. */
#include <stdlib.h>
#include <string.h>

#include "base/core/channel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

/* What was taken must be what a writer would have made of it. */
static void frame_check(const struct channel_reader *r, const struct channel_frame *f)
{
	uint8_t again[CHANNEL_FRAME_MAX];
	uint64_t nonce = f->type == CHANNEL_HELLO ? 0 : r->key;

	must(f->len <= CHANNEL_PAYLOAD_MAX &&
	     f->payload >= r->buffer + sizeof(struct channel_head));
	must(f->payload + f->len <= r->buffer + r->end);
	size_t n = channel_frame_make(again, nonce, (enum channel_type)f->type, f->stream,
				      f->payload, f->len, NULL, 0);
	must(!memcmp(again, f->payload - sizeof(struct channel_head), n));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct channel_reader r;
	struct channel_frame f;
	enum channel_read got;

	if (size < 2)
		return 0;
	size_t piece = data[0] * 8U + 1;
	channel_reader_init(&r);
	if (data[1] & 1)
		channel_reader_key(&r, data[1]);
	for (size_t at = 2; at < size;) {
		size_t len = piece < size - at ? piece : size - at;
		size_t took = channel_reader_put(&r, data + at, len);
		must(took > 0 && took <= len);
		at += took;
		for (size_t left = 2 * CHANNEL_FRAME_MAX + 1;
		     (got = channel_reader_next(&r, &f)) != CHANNEL_READ_MORE; left--) {
			must(left);
			if (got == CHANNEL_READ_FRAME)
				frame_check(&r, &f);
		}
	}
	return 0;
}
