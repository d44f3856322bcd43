/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets of a serial line (base/core/link.h), two ways. A line that loses, damages and doubles what it carries as the input says: what
 * comes out of an end is what was put in at the other, from its beginning on. And a peer that says anything with the session's key:
 * what this end holds stays within its bounds, and what it says is whole.
 *
 * Input: a byte, odd: the peer; then records: what, argument (two bytes); of a hostile peer: type, stream (four bytes), length, payload.
 */
#include <stdlib.h>
#include <string.h>

#include "base/core/link.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NONCE	  UINT64_C(0x5eed5eed5eed)
#define PUT_MOST  (1U << 17)
#define LINE_MOST 65536U

struct end {
	struct link link;
	struct channel_reader line;
	uint32_t put, got; /* bytes */
	uint8_t way[LINE_MOST];
	size_t way_len;
};

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void end_begin(struct end *e)
{
	channel_reader_init(&e->line);
	channel_reader_line(&e->line);
	channel_reader_key(&e->line, NONCE);
	link_begin(&e->link, NONCE, &e->line);
	e->put = e->got = 0;
	e->way_len = 0;
}

static void end_check(const struct end *e)
{
	const struct link *l = &e->link;

	must(l->put - l->acked <= CHANNEL_PACKET_WINDOW);
	must(l->sent - l->acked <= l->most - l->acked);
	must(l->most - l->acked <= l->put - l->acked);
	must(l->out_at <= l->out_len && l->out_len <= sizeof(l->out));
}

static uint8_t content(uint32_t at)
{
	return (uint8_t)(at ^ at >> 8 ^ at >> 16);
}

static void end_put(struct end *e, unsigned len)
{
	uint8_t bytes[1024];

	for (unsigned i = 0; i < len % sizeof(bytes) && e->put + i < PUT_MOST; i++)
		bytes[i] = content(e->put + i);
	const unsigned left = PUT_MOST - e->put;
	len %= sizeof(bytes);
	e->put += (uint32_t)link_put(&e->link, bytes, len < left ? len : left);
}

/* The reader of frames is a buffer here. */
static void end_drain(struct end *e, unsigned most)
{
	struct channel_reader *r = &e->link.reader;

	for (; most && r->start < r->end; most--)
		must(r->buffer[r->start++] == content(e->got++));
}

static void end_say(struct end *e, uint64_t now)
{
	const uint8_t *bytes;
	size_t len = link_out(&e->link, now, &bytes);

	must(len <= sizeof(e->link.out));
	if (len > LINE_MOST - e->way_len)
		len = LINE_MOST - e->way_len;
	memcpy(e->way + e->way_len, bytes, len);
	e->way_len += len;
	link_went(&e->link, len, now);
	end_check(e);
}

/* All that is on its way from one arrives at the other. */
static void end_hear(struct end *from, struct end *to, uint64_t now)
{
	struct channel_frame f;
	enum channel_read got;

	for (size_t at = 0; at < from->way_len;) {
		const size_t n = channel_reader_put(&to->line, from->way + at, from->way_len - at);
		must(n > 0);
		at += n;
		while ((got = channel_reader_next(&to->line, &f)) != CHANNEL_READ_MORE) {
			if (got == CHANNEL_READ_FRAME)
				link_take(&to->link, &f, now);
		}
	}
	from->way_len = 0;
	end_check(to);
	must(to->link.wanted <= from->put);
}

static void way_damage(struct end *e, unsigned how, unsigned at)
{
	if (!e->way_len)
		return;
	at %= (unsigned)e->way_len;
	switch (how % 4) {
	case 0: /* lost from there on, but for a part */
		e->way_len -= at % 700 < e->way_len ? at % 700 : e->way_len;
		break;
	case 1:
		e->way[at] ^= (uint8_t)(1U << at % 8);
		break;
	case 2: /* a byte is gone */
		memmove(e->way + at, e->way + at + 1, e->way_len - at - 1);
		e->way_len--;
		break;
	default: /* all of it comes twice */
		if (2 * e->way_len > LINE_MOST)
			return;
		memcpy(e->way + e->way_len, e->way, e->way_len);
		e->way_len *= 2;
		break;
	}
}

/* In the end the line is good: then all arrives, in bounded time. */
static void lossy_end(struct end e[2], uint64_t now)
{
	for (unsigned i = 0; i < 1000 && (e[0].got < e[1].put || e[1].got < e[0].put); i++) {
		for (unsigned k = 0; k < 2; k++) {
			end_say(&e[k], now);
			end_hear(&e[k], &e[!k], now);
			end_drain(&e[!k], UINT32_MAX);
		}
		now += LINK_WAIT_LEAST_NS / 2;
	}
	must(e[0].got == e[1].put && e[1].got == e[0].put);
}

static void lossy(const uint8_t *data, size_t size)
{
	static struct end e[2];
	uint64_t now = 1;

	end_begin(&e[0]);
	end_begin(&e[1]);
	for (; size >= 3; data += 3, size -= 3) {
		struct end *one = &e[data[0] & 1], *other = &e[!(data[0] & 1)];
		const unsigned argument = data[1] | (unsigned)data[2] << 8;
		switch (data[0] >> 1 & 7) {
		case 0:
			end_put(one, argument);
			break;
		case 1:
			end_say(one, now);
			break;
		case 2:
			end_hear(one, other, now);
			break;
		case 3:
			end_drain(one, argument);
			break;
		case 4:
			now += argument * UINT64_C(1000000);
			break;
		default:
			way_damage(one, data[0] >> 4, argument);
			break;
		}
	}
	end_hear(&e[0], &e[1], now);
	end_hear(&e[1], &e[0], now);
	lossy_end(e, now);
}

static void hostile(const uint8_t *data, size_t size)
{
	static struct end e;
	uint64_t now = 1;

	end_begin(&e);
	while (size >= 6) {
		size_t len = data[5] * 4U < size - 6 ? data[5] * 4U : size - 6;
		const struct channel_frame f = {
			.type = data[0] & 0x7f,
			.len = (uint16_t)len,
			.stream = data[1] | (uint32_t)data[2] << 8 | (uint32_t)data[3] << 16 |
				  (uint32_t)data[4] << 24,
			.payload = data + 6,
		};
		link_take(&e.link, &f, now);
		end_check(&e);
		end_put(&e, data[5] * 8U);
		end_say(&e, now);
		now += data[0] & 0x80 ? LINK_WAIT_MOST_NS : 1000000;
		e.way_len = 0;
		if (data[1] & 1) /* it is read: anything may be in it */
			e.link.reader.start = e.link.reader.end;
		data += 6 + len;
		size -= 6 + len;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size && data[0] & 1)
		hostile(data + 1, size - 1);
	else if (size)
		lossy(data + 1, size - 1);
	return 0;
}
