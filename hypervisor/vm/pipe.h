/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Two bounded streams of bytes between a guest's device and the management channel. The guest's end is used under its device's
 * lock, the host's end by the channel's entity; a spin lock is between them. What is full or empty makes its reader or writer wait, and
 * says so: the guest's device by `news_*`, which whoever serves the guest looks at; the channel by the return of each call.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/spin.h"

#define PIPE_BYTES 16384U /* each way; a power of two */
#define PIPE_ORDER 3U	  /* of both */

struct pipe_ring {
	uint8_t *bytes;
	uint32_t first, n;
};

struct pipe {
	struct spin lock;
	struct pipe_ring in, out; /* to the guest, from it; no memory while it is closed */
	bool is_open;		  /* the channel has it */
	bool in_over;		  /* the host sends no more */
	bool out_over;		  /* nor does the guest */
	bool in_waits, out_waits; /* the guest found nothing, no room */
	uint32_t took;		/* bytes of `in` that the guest has taken and nobody was told of */
	bool news_in, news_out; /* atomic: the guest's device is to be told */
};

/* ---- the guest's end. *ret_wake: the channel has something to do. ---- */

/* Return: how many were taken. */
size_t pipe_guest_write(struct pipe *p, const void *data, size_t len, bool *ret_wake);
/* Return: how many came; 0: none now; -EPIPE: nor later. */
int64_t pipe_guest_read(struct pipe *p, void *ret, size_t len, bool *ret_wake);
void pipe_guest_end(struct pipe *p);

/* ---- the channel's end. Return true: whoever serves the guest is to look at the news. ---- */

/* pipe_open() - Errors: -EBUSY, -ENOMEM. The guest is to be told. */
int pipe_open(struct pipe *p);
/* pipe_close() - what is in it is lost; a closed one is a no-op */
void pipe_close(struct pipe *p);
/* @len: not more than there is room for, which is what was given as credit */
bool pipe_host_put(struct pipe *p, const void *data, size_t len);
/* The guest reads the end behind what is there; it is always to be told. */
void pipe_host_end(struct pipe *p);
/* *ret_n: how many came */
bool pipe_host_get(struct pipe *p, void *ret, size_t room, size_t *ret_n);
/* How many bytes of what was put the guest has taken since it was asked last. */
uint32_t pipe_host_took(struct pipe *p);
/* pipe_host_waits() - there is something to get */
bool pipe_host_waits(struct pipe *p);
/* pipe_is_over() - the guest sends no more, and all was got */
bool pipe_is_over(struct pipe *p);
