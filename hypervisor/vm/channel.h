/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The server's end of the management channel (include/abi/channel.h is what goes over the line).
 *
 * Theory of operation. One entity of the scheduler, urgent within a bound, reads the line, answers, and moves the streams' bytes; it
 * never waits. There is one frame on its way out at a time: while the line does not take it, no further one is made and none is
 * heeded, so nothing is queued, and a host that does not read stops nobody but itself. What takes time is the keeper's (keeper.c).
 * A stream's bytes wait where they come from: in the pipes of a guest's ports and sockets, in what is kept of its console.
 * On a line that loses bytes frames go in packets (base/core/link.h), both ways; HELLO alone does not. Packets are looked at while no
 * frame may be heeded, too: the answers among them let out what waits.
 */
#include "base/core/channel.h"
#include "base/core/link.h"
#include "core/timer.h"
#include "drivers/line.h"
#include "vm/managed.h"

#define CHANNEL_WINDOW	    PIPE_BYTES	   /* credit of a stream to a guest */
#define CHANNEL_FILE_WINDOW (256U * 1024U) /* and of an upload */
#define CHANNEL_FILL_BYTES  (256U * 1024U) /* zeroes of a file in one turn */

enum stream_state {
	STREAM_FREE,
	STREAM_ASKED, /* the guest has not answered yet */
	STREAM_OPEN,
};

struct channel_stream {
	uint8_t state;	       /* enum stream_state */
	uint8_t kind;	       /* enum channel_kind */
	bool was_open;	       /* in this session: frames that come late are no mistake */
	bool in_over;	       /* the host said END */
	bool end_said;	       /* and we did */
	uint16_t closing;      /* errno of the CLOSE that is to be said; 0: none */
	uint32_t credit;       /* bytes that the host takes */
	uint32_t window;       /* that the host may still send */
	uint32_t owed;	       /* that it sent, were taken, and it was not told of */
	struct managed *guest; /* NULL: a file's */
	struct pipe *pipe;     /* to the guest; NULL: a file's */
	struct managed_end *end;
	uint64_t console_at; /* the next byte of the console; */
	struct hv_file *file;
	uint64_t file_at, fill_to; /* of an upload; fill_to > file_at: zeroes up to there */
};

struct channel {
	struct sched_entity entity;
	struct line *line;
	uint64_t boot, nonce; /* nonce 0: no session */
	uint32_t session;     /* counts them */
	uint64_t rang_ns;     /* atomic: the line's interrupt since its last turn, 0: none */
	uint64_t longest_wait_ns;
	unsigned jobs; /* under way, of any session */
	size_t quiet;  /* zeroes that go before what is in out[] */
	size_t out_at, out_len;
	bool out_is_hello;
	bool has_link; /* the line is lossy */
	struct link link;
	struct hv_timer again; /* when the link is due */
	unsigned turn;	       /* the stream that is looked at next */
	uint32_t filling;      /* the upload that is being filled with zeroes; 0: none */
	struct config *config; /* of the CREATE at hand */
	struct err err;
	struct channel_stream streams[CHANNEL_STREAMS + 1];
	uint8_t out[CHANNEL_FRAME_MAX];
	uint8_t body[CHANNEL_PAYLOAD_MAX]; /* of the reply at hand */
	uint8_t piece[4096];		   /* of the line */
	size_t piece_at, piece_len;
	struct channel_reader reader;
};

/* hv_channel_start() is declared in core/hv.h. */

/* ---- inside: vm/channel*.c ---- */

/* channel.c: make the frame that goes out next; nothing else is on its way. len, len2: CHANNEL_PAYLOAD_MAX together */
void channel_say(struct channel *c, enum channel_type type, uint32_t stream, const void *head,
		 size_t len, const void *body, size_t len2);
static inline bool channel_is_quiet(const struct channel *c)
{
	return c->out_at == c->out_len;
}
/* A frame of the host's that makes no sense. */
void channel_bad(struct channel *c, uint32_t stream, const char *what);

/* channel_verbs.c */
void channel_request(struct channel *c, const struct channel_frame *f);
/* Something that the keeper did is told. Return: whether there was anything. */
bool channel_jobs(struct channel *c);

/* channel_streams.c */
void channel_stream_frame(struct channel *c, const struct channel_frame *f);
/* One frame of some stream, or one turn of zeroes. Return: whether anything was done. */
bool channel_streams(struct channel *c);
bool channel_fill(struct channel *c);
void channel_streams_drop(struct channel *c); /* the session is over */
/* A guest is to be destroyed: its streams are closed. */
void channel_streams_leave(struct channel *c, const struct managed *guest);
