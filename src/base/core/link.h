/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The packets of a line that loses bytes (include/abi/channel.h, Packets), for both of its ends: each byte that one side puts in comes
 * out of the other's reader once, in order. No allocation, no clock of its own: the owner says what time it is.
 *
 *	link_begin(&l, nonce, &line);
 *	a frame of the line's reader, PACKET or AGAIN:	link_take(&l, &frame, now), then channel_reader_next(&l.reader, ...)
 *	bytes to be sent:				n = link_put(&l, bytes, len)
 *	after either, when the line has room, and at link_due_ns():
 *		while ((len = link_out(&l, now, &bytes)))
 *			link_went(&l, write(bytes, len), now);
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/core/channel.h"

#define LINK_NEVER UINT64_MAX
#define LINK_TRIES 80U /* 10 minutes */

/* How long it waits for an answer: twice as long as it has seen them take, and twice that each time that none came. */
#define LINK_WAIT_FIRST_NS UINT64_C(1500000000)
#define LINK_WAIT_LEAST_NS UINT64_C(500000000)
#define LINK_WAIT_MOST_NS  UINT64_C(8000000000)

struct link {
	uint64_t nonce; /* 0: no session, nothing is said */
	struct channel_reader *line;
	struct channel_reader reader; /* of the frames that came in packets */
	/* Out. Bytes of the session: acked <= sent <= most <= put <= acked + CHANNEL_PACKET_WINDOW, modulo 2^32. */
	uint32_t acked, sent, put;
	uint32_t most;	/* sent, before it went back */
	bool probes;	/* nothing was heard: one packet, until there is an answer */
	bool pads;	/* zeroes go in front of it */
	unsigned tries; /* since the last answer */
	bool waited;	/* it went again for want of an answer, which may come yet */
	/* In. */
	uint32_t wanted;
	bool owes_answer, owes_again;
	bool asked_again; /* for this wanted byte */
	uint16_t early;	  /* so far behind it began what came last, too early */
	bool refused;	  /* there was no room */
	/* Time. */
	uint64_t since_ns; /* what is under way was sent, or answered last */
	uint64_t wait_ns;
	uint64_t trip_ns; /* from a packet to its answer: the longest of late */
	bool times;	  /* the packet that ends at `timed` is measured: it was sent once */
	uint32_t timed;
	uint64_t timed_ns;
	/* The packet that goes out; is_first: none of its last bytes went before. */
	bool is_first;
	size_t out_at, out_len;
	uint8_t out[CHANNEL_PACKET_BYTES + sizeof(struct channel_head) + CHANNEL_PACKET_BYTES];
	uint8_t held[CHANNEL_PACKET_WINDOW]; /* from acked to put, each at its place modulo that */
};

/* link_begin() - a new session, nothing was sent. @nonce 0: none   @line: whose frames link_take() gets; borrowed */
void link_begin(struct link *l, uint64_t nonce, struct channel_reader *line);
/* link_put() - how many of the bytes there was room for; more when an answer has come */
size_t link_put(struct link *l, const void *bytes, size_t len);
/* link_take() - a frame of the line's. Types other than PACKET and AGAIN are ignored. */
void link_take(struct link *l, const struct channel_frame *frame, uint64_t now_ns);
/* link_out() - what is to be written next, until link_went() took all of it; 0: nothing now */
size_t link_out(struct link *l, uint64_t now_ns, const uint8_t **ret);
void link_went(struct link *l, size_t n, uint64_t now_ns);
/* link_is_over() - nobody has answered for LINK_TRIES: who has better to do than wait begins anew */
bool link_is_over(const struct link *l);
/* link_due_ns() - when link_out() has something again though nothing came; LINK_NEVER: all was answered */
uint64_t link_due_ns(const struct link *l);
