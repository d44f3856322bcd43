/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The host's end of a management channel (abi/channel.h): one session over a stream socket or a line, for whoever has one loop and
 * one thread. The hub has such a session with a hypervisor, and everybody else with the hub (hub.h).
 *
 *	chan_start() -> chan_wait_ready() -> requests and streams -> [lost] -> chan_fini()
 *
 * Where the other side's HELLO says that the line may lose bytes, frames go in packets (base/core/link.h), without the owner's doing:
 * then there is a timer in the loop.
 *
 * Everything that comes is the other side's, who may lie: what makes no sense ends the session, or is dropped.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/channel.h"
#include "base/core/buf.h"
#include "base/core/channel.h"
#include "base/core/err.h"
#include "base/core/link.h"

struct loop;
struct chan;
struct chan_stream;

struct chan_events {
	/* Optional. */
	void (*event)(struct chan *chan, uint32_t kind, const void *body, size_t len);
	/* Mandatory, once: the other side is gone, or never spoke; nothing else comes. Streams are not closed one by one. */
	void (*lost)(struct chan *chan, const struct err *why);
};

/* @status: 0, with the verb's data; else errno, with a line of text in data (no NUL) */
typedef void (*chan_reply_fn)(void *arg, uint32_t status, const void *data, size_t len);

struct chan_stream_events {
	/* Optional: it is open, chan_stream_send() may take something. */
	void (*opened)(struct chan_stream *stream);
	/* Mandatory. The receiver gives the credit back by chan_stream_credit() as it has room. */
	void (*data)(struct chan_stream *stream, const void *data, size_t len);
	/* Optional: there is credit again. */
	void (*room)(struct chan_stream *stream);
	/* Optional: the other side sends no more. */
	void (*end)(struct chan_stream *stream);
	/* Optional: bytes of a console that are gone. */
	void (*hole)(struct chan_stream *stream, uint64_t bytes);
	/* Mandatory, once: the last that is heard of it. */
	void (*closed)(struct chan_stream *stream, uint32_t status, const char *text);
	/* Optional, in place of all others: each frame as it came, CLOSE being the last. For who passes them on. */
	void (*frame)(struct chan_stream *stream, const struct channel_frame *frame);
};

/* Embedded; zeroed: none. */
struct chan_stream {
	const struct chan_stream_events *events;
	struct chan *chan; /* NULL: none, or closed */
	uint32_t id;
	uint32_t credit; /* bytes that may be sent */
	bool is_open;
};

struct chan_request {
	chan_reply_fn fn;
	void *arg;
	uint32_t id; /* 0: free */
};

struct chan {
	struct loop *loop; /* borrowed */
	int fd;		   /* owned */
	const struct chan_events *events;
	struct channel_reader reader;
	uint64_t nonce, boot;
	bool ready, dead, watched_out;
	struct link *link; /* owned; NULL: the line loses nothing */
	int timer;	   /* of the link; owned */
	int64_t heard_ns;  /* the last frame or packet of this session */
	struct buf out;
	size_t out_at;
	uint32_t next_id;
	struct chan_request requests[CHANNEL_REQUESTS_MAX];
	struct chan_stream *streams[CHANNEL_STREAMS + 1]; /* by id; [0] unused */
	bool ids[CHANNEL_STREAMS +
		 1]; /* taken; longer than streams[], until the other side's CLOSE */
};

/* chan_start() - say HELLO; @fd: taken over whatever happens, made non-blocking */
int chan_start(struct chan *chan, int fd, struct loop *loop, const struct chan_events *events,
	       struct err *err);
void chan_fini(struct chan *chan); /* zeroed is a no-op; no callback comes */
/* chan_hello() - once more, with another nonce: there was no answer to the last one */
int chan_hello(struct chan *chan);
/*
 * chan_wait_ready() - run the loop until the other side has answered; says HELLO again after `again_ms`, then twice that, and so on
 * Errors: -ETIMEDOUT; what lost() was told.
 */
int chan_wait_ready(struct chan *chan, unsigned again_ms, unsigned timeout_ms, struct err *err);

/* chan_request() - one reply comes, or lost(). -EAGAIN: CHANNEL_REQUESTS_MAX are out; -EPIPE. */
int chan_request(struct chan *chan, enum channel_verb verb, const void *body, size_t len,
		 chan_reply_fn fn, void *arg);
/* chan_forget() - requests with that argument are not answered any more: their reply was lost, or is dropped when it comes */
void chan_forget(struct chan *chan, const void *arg);
/*
 * chan_call() - the same, and run the loop until the reply is there
 * @ret: what the verb gave, replaced; or NULL
 * Return: 0, or the hypervisor's errno, negative, with its line in err.
 */
int chan_call(struct chan *chan, enum channel_verb verb, const void *body, size_t len,
	      struct buf *ret, struct err *err);

/* chan_stream_open() - @open: kind, guest, credit and the like; @name: for FILE and PORT, else "". -ENFILE, -EPIPE. */
int chan_stream_open(struct chan *chan, struct chan_stream *stream,
		     const struct chan_stream_events *events, const struct channel_open *open,
		     const char *name);
/* chan_stream_frame() - one as somebody else made it, but for OPEN and CLOSE; 0 or -errno */
int chan_stream_frame(struct chan_stream *stream, enum channel_type type, const void *payload,
		      size_t len);
/* chan_stream_send() - as much as there is credit for, PAYLOAD_MAX a frame; bytes taken */
size_t chan_stream_send(struct chan_stream *stream, const void *data, size_t len);
void chan_stream_credit(struct chan_stream *stream, uint32_t bytes);
void chan_stream_end(struct chan_stream *stream);
void chan_stream_hole(struct chan_stream *stream, uint64_t bytes); /* FILE */
/* chan_stream_close() - at once; nothing of it is told any more. Not open: a no-op. */
void chan_stream_close(struct chan_stream *stream);
/* chan_pending() - bytes that wait to be written: who sends without end looks at it */
size_t chan_pending(const struct chan *chan);

/* chan_connect() - a session with a hub: the socket DIR/NAME, and its answer. @dir: a directory's fd */
int chan_connect(struct chan *chan, int dir, const char *name, struct loop *loop,
		 const struct chan_events *events, struct err *err);
