/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What waits for the server's serial line, which takes 11 bytes a ms: a ring, and guests that wait until there is room in it.
 *
 * Theory of operation. The hypervisor's own text goes in as long as there is room at all. A guest's goes in while little waits
 * (OUT_GUESTS_BYTES), so that nobody's text is behind more than that of the guests'. A guest that finds no room stands in a row, and is told
 * when it is the first and there is some: then it may put one line, and stands behind the others again. So guests that print without
 * end share the line, and one that is told and does not come (it is paused) keeps nobody waiting.
 *
 * Everything under the owner's lock (core/print.c), but out_waiter.room().
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OUT_BYTES	 16384U /* a power of two */
#define OUT_GUESTS_BYTES 1024U

/* A guest, or whoever else may be told to come again; zeroed but for room(). */
struct out_waiter {
	struct out_waiter *next;
	bool waits, may_put;
	void (*room)(struct out_waiter *w); /* no lock held, on any CPU */
};

struct out {
	/* The transmitter: how many bytes it takes now; one byte. */
	unsigned (*room)(struct out *out);
	void (*put)(struct out *out, char c);
	uint32_t first, n;
	unsigned left; /* of what the transmitter said */
	struct out_waiter *waiting, **end;
	char bytes[OUT_BYTES];
};

void out_init(struct out *out, unsigned (*room)(struct out *out),
	      void (*put)(struct out *out, char c));
/* out_room() - bytes that fit */
static inline size_t out_room(const struct out *out)
{
	return OUT_BYTES - out->n;
}
/* out_may_put() - whether a guest may put len bytes now; false: room() will be called */
bool out_may_put(struct out *out, struct out_waiter *w, size_t len);
/* out_put() - @len: not more than out_room() */
void out_put(struct out *out, const char *bytes, size_t len);
/* out_move() - to the transmitter what it takes now, `most` bytes at most. Return: how many. */
unsigned out_move(struct out *out, unsigned most);
/* out_next() - the first that waits, if there is room for it: room() is to be called; NULL: none */
struct out_waiter *out_next(struct out *out);
/* out_forget() - it waits no more */
void out_forget(struct out *out, struct out_waiter *w);
/* out_drop() - the line takes nothing: what waits is lost */
void out_drop(struct out *out);
