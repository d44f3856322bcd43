/* SPDX-License-Identifier: Apache-2.0 */
#include "base/core/link.h"

#include <string.h>

#include "base/core/macros.h"

#define HEAD	    sizeof(struct channel_head)
#define PROBE_BYTES 64U /* of a bad line a short one is the likelier to arrive */

void link_begin(struct link *l, uint64_t nonce, struct channel_reader *line)
{
	l->nonce = nonce;
	l->line = line;
	channel_reader_init(&l->reader);
	channel_reader_key(&l->reader, nonce);
	l->acked = l->sent = l->put = l->most = l->wanted = l->timed = 0;
	l->probes = l->pads = l->waited = false;
	l->owes_answer = l->owes_again = l->asked_again = l->refused = false;
	l->early = 0;
	l->tries = 0;
	l->times = l->is_first = false;
	l->since_ns = l->trip_ns = l->timed_ns = 0;
	l->wait_ns = LINK_WAIT_FIRST_NS;
	l->out_at = l->out_len = 0;
}

size_t link_put(struct link *l, const void *bytes, size_t len)
{
	const size_t room = CHANNEL_PACKET_WINDOW - (l->put - l->acked);
	const uint8_t *from = bytes;

	if (len > room)
		len = room;
	for (size_t i = 0; i < len; i++)
		l->held[l->put++ % CHANNEL_PACKET_WINDOW] = from[i];
	return len;
}

/* ---- what comes ---- */

/* From the first byte that was not answered. What comes for a byte that went twice says nothing of the time. */
static void link_go_back(struct link *l)
{
	l->sent = l->acked;
	l->times = l->is_first = false;
}

static void link_measure(struct link *l, uint64_t now_ns)
{
	const uint64_t trip = now_ns - l->timed_ns;
	const uint64_t was = l->trip_ns - l->trip_ns / 8;

	if (l->times && (int32_t)(l->acked - l->timed) >= 0) {
		l->times = l->waited = false;
		l->trip_ns = trip > was ? trip : was;
	}
	l->wait_ns = LINK_WAIT_LEAST_NS / 2 + 2 * l->trip_ns;
	if (l->wait_ns < LINK_WAIT_LEAST_NS)
		l->wait_ns = LINK_WAIT_LEAST_NS;
	if (l->wait_ns > LINK_WAIT_MOST_NS)
		l->wait_ns = LINK_WAIT_MOST_NS;
}

/* Something came twice: the answer to the first was under way, and not waited for. */
static void link_hurried(struct link *l)
{
	if (!l->waited)
		return;
	l->waited = false;
	l->trip_ns = 2 * l->trip_ns + LINK_WAIT_LEAST_NS;
	if (l->trip_ns > LINK_WAIT_MOST_NS)
		l->trip_ns = LINK_WAIT_MOST_NS;
}

static void link_answered(struct link *l, uint16_t wanted, bool again, bool is_bare,
			  uint64_t now_ns)
{
	const uint16_t more = (uint16_t)(wanted - (uint16_t)l->acked);

	if (more > l->most - l->acked)
		return; /* an old one, or a lie */
	if (more) {
		l->acked += more;
		if ((int32_t)(l->sent - l->acked) < 0)
			l->sent = l->acked;
		l->since_ns = now_ns;
		l->probes = false;
		l->tries = 0;
		link_measure(l, now_ns);
	} else if (!again && is_bare) {
		link_hurried(l);
	}
	if (again) {
		l->probes = false;
		link_go_back(l);
	}
}

static void link_came(struct link *l, uint16_t at, const uint8_t *bytes, size_t len)
{
	const uint16_t ahead = (uint16_t)(at - (uint16_t)l->wanted);
	const size_t old = ahead ? 0x10000U - ahead : 0; /* bytes that came before */

	/* Those before it were lost; and once more, if it does not come behind the last one. */
	if (ahead && ahead < 0x8000U) {
		l->owes_again |= !l->refused && (!l->asked_again || ahead <= l->early);
		l->asked_again |= l->owes_again;
		l->early = ahead;
		return;
	}
	l->owes_answer = true;
	if (old >= len)
		return;
	const size_t n = channel_reader_put(&l->reader, bytes + old, len - old);
	l->wanted += (uint32_t)n;
	l->refused = n < len - old;
	if (n)
		l->asked_again = l->owes_again = false;
}

void link_take(struct link *l, const struct channel_frame *frame, uint64_t now_ns)
{
	if (!l->nonce || (frame->type != CHANNEL_PACKET && frame->type != CHANNEL_AGAIN) ||
	    frame->len > CHANNEL_PACKET_BYTES)
		return;
	link_answered(l, (uint16_t)(frame->stream >> 16), frame->type == CHANNEL_AGAIN, !frame->len,
		      now_ns);
	if (frame->len)
		link_came(l, (uint16_t)frame->stream, frame->payload, frame->len);
}

/* ---- what goes ---- */

/*
 * Nothing is heard of what is under way: its beginning once more. Either side's reader may have a packet's head whose end was lost,
 * or that tells of more than was sent: ours gives it up, and zeroes fill the other's.
 */
static void link_wake(struct link *l, uint64_t now_ns)
{
	if (now_ns < link_due_ns(l))
		return;
	link_go_back(l);
	l->probes = l->pads = l->waited = true;
	l->tries++;
	channel_reader_give_up(l->line);
	l->wait_ns = l->wait_ns > LINK_WAIT_MOST_NS / 2 ? LINK_WAIT_MOST_NS : 2 * l->wait_ns;
}

/* There is room for what was refused; or for most of it, so that it does not ask for a byte at a time. */
static void link_ask(struct link *l)
{
	if (!l->refused || channel_reader_room(&l->reader) < CHANNEL_PACKET_BYTES)
		return;
	l->refused = false;
	l->owes_again = l->asked_again = true;
}

static size_t link_payload(const struct link *l)
{
	const size_t waits = l->put - l->sent;
	const size_t most = l->probes ? PROBE_BYTES : CHANNEL_PACKET_BYTES;

	if (l->probes && l->sent != l->acked)
		return 0;
	return waits < most ? waits : most;
}

size_t link_out(struct link *l, uint64_t now_ns, const uint8_t **ret)
{
	*ret = l->out + l->out_at;
	if (l->out_at < l->out_len || !l->nonce)
		return l->out_len - l->out_at;
	link_wake(l, now_ns);
	link_ask(l);
	const size_t n = link_payload(l);
	if (!n && !l->owes_answer && !l->owes_again)
		return 0;
	const size_t pad = l->pads ? CHANNEL_PACKET_BYTES : 0;
	memset(l->out, 0, pad);
	for (size_t i = 0; i < n; i++)
		l->out[pad + HEAD + i] = l->held[(l->sent + i) % CHANNEL_PACKET_WINDOW];
	l->out_at = 0;
	l->out_len = pad + channel_frame_seal(l->out + pad, l->nonce,
					      l->owes_again ? CHANNEL_AGAIN : CHANNEL_PACKET,
					      (l->sent & 0xffffU) | l->wanted << 16, n);
	l->pads = false;
	l->sent += (uint32_t)n;
	l->is_first = (int32_t)(l->sent - l->most) > 0;
	if (l->is_first)
		l->most = l->sent;
	l->owes_answer = l->owes_again = false;
	*ret = l->out;
	return l->out_len;
}

void link_went(struct link *l, size_t n, uint64_t now_ns)
{
	const bool was_over = l->out_at == l->out_len;

	l->out_at += n;
	if (was_over || l->out_at < l->out_len || l->out_len == HEAD)
		return;
	/* Since it went, not since it began to: a slow line is not a silent one. */
	l->since_ns = now_ns;
	if (l->is_first && !l->times) {
		l->times = true;
		l->timed = l->sent;
		l->timed_ns = now_ns;
	}
}

bool link_is_over(const struct link *l)
{
	return l->tries >= LINK_TRIES;
}

uint64_t link_due_ns(const struct link *l)
{
	if (!l->nonce || l->sent == l->acked || l->out_at < l->out_len)
		return LINK_NEVER;
	return l->since_ns + l->wait_ns;
}
