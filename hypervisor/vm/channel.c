/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/channel.h"

#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/hv.h"
#include "core/io.h"
#include "core/page.h"
#include "core/print.h"

#define URGENT_PERCENT 25U
#define HEARD_MOST     16U /* frames, and looks at the line */

/* One server has one. */
static struct channel *the_channel;

static void channel_wake(void)
{
	if (the_channel)
		sched_wake(&the_channel->entity);
}

/* In the line's interrupt: how long it takes from here to its turn is measured. */
static void channel_ring(void)
{
	struct channel *c = the_channel;
	uint64_t none = 0;

	if (!c)
		return;
	(void)__atomic_compare_exchange_n(&c->rang_ns, &none, clock_ns(), false, __ATOMIC_ACQ_REL,
					  __ATOMIC_RELAXED);
	sched_wake(&c->entity);
}

/* ---- out ---- */

void channel_say(struct channel *c, enum channel_type type, uint32_t stream, const void *head,
		 size_t len, const void *body, size_t len2)
{
	uint64_t key = type == CHANNEL_HELLO ? 0 : c->nonce;

	c->out_at = 0;
	c->out_is_hello = type == CHANNEL_HELLO;
	c->out_len = channel_frame_make(c->out, key, type, stream, head, len, body, len2);
}

void channel_bad(struct channel *c, uint32_t stream, const char *what)
{
	const struct channel_event event = { .kind = CHANNEL_EVENT_BAD, .stream = stream };

	channel_say(c, CHANNEL_EVENT, 0, &event, sizeof(event), what, strlen(what));
}

/* HELLO and what is in front of it; where there is no link, any frame. */
static bool line_flush(struct channel *c)
{
	static const uint8_t zeroes[512];

	while (c->quiet) {
		size_t part = c->quiet < sizeof(zeroes) ? c->quiet : sizeof(zeroes);
		size_t n = c->line->ops->write(c->line, zeroes, part);
		c->quiet -= n;
		if (n < part)
			return false;
	}
	if (!channel_is_quiet(c))
		c->out_at +=
			c->line->ops->write(c->line, c->out + c->out_at, c->out_len - c->out_at);
	return channel_is_quiet(c);
}

/* Return: whether all of it is out, or with the link, which has it until it has arrived. */
static bool channel_flush(struct channel *c)
{
	const uint8_t *bytes;
	size_t len, n;

	if ((!c->has_link || c->quiet || c->out_is_hello) && !line_flush(c))
		return false;
	if (!c->has_link)
		return true;
	do {
		c->out_at += link_put(&c->link, c->out + c->out_at, c->out_len - c->out_at);
		len = link_out(&c->link, clock_ns(), &bytes);
		n = len ? c->line->ops->write(c->line, bytes, len) : 0;
		link_went(&c->link, n, clock_ns());
	} while (len && n == len);
	return channel_is_quiet(c);
}

/* ---- sessions ---- */

static void session_end(struct channel *c)
{
	c->nonce = 0;
	c->session++;
	c->reader.has_key = false;
	c->longest_wait_ns = 0;
	c->out_at = c->out_len = 0;
	link_begin(&c->link, 0, &c->reader);
	channel_streams_drop(c);
}

static void session_begin(struct channel *c, const struct channel_frame *f)
{
	struct channel_hello hello;

	if (f->len < sizeof(hello))
		return;
	memcpy(&hello, f->payload, sizeof(hello));
	session_end(c);
	bool is_ours = hello.version == CHANNEL_VERSION && (uint32_t)hello.nonce;
	hello = (struct channel_hello){ .version = CHANNEL_VERSION,
					.flags = c->has_link ? CHANNEL_HELLO_PACKETS : 0,
					.nonce = hello.nonce,
					.boot = c->boot };
	c->quiet = CHANNEL_QUIET_SENT;
	channel_say(c, CHANNEL_HELLO, 0, &hello, sizeof(hello), NULL, 0);
	if (!is_ours)
		return;
	c->nonce = hello.nonce;
	channel_reader_key(&c->reader, c->nonce);
	if (c->has_link)
		link_begin(&c->link, c->nonce, &c->reader);
}

/* ---- in ---- */

static void channel_heed(struct channel *c, const struct channel_frame *f)
{
	if (f->type == CHANNEL_HELLO && !c->has_link)
		session_begin(c, f);
	else if (f->type == CHANNEL_REQUEST && !f->stream)
		channel_request(c, f);
	else if (f->type >= CHANNEL_OPEN && f->type <= CHANNEL_HOLE && f->stream &&
		 f->stream <= CHANNEL_STREAMS)
		channel_stream_frame(c, f);
	else
		channel_bad(c, f->stream, "no frame that a host sends");
}

/* The next bytes of the line, into the reader. Return: whether any came. */
static bool channel_read(struct channel *c)
{
	if (c->piece_at == c->piece_len) {
		c->piece_at = 0;
		c->piece_len = c->line->ops->read(c->line, c->piece, sizeof(c->piece));
	}
	size_t n =
		channel_reader_put(&c->reader, c->piece + c->piece_at, c->piece_len - c->piece_at);
	c->piece_at += n;
	return n;
}

/* What the line has: packets, and HELLO. Return: whether there was anything. */
static bool channel_link_hear(struct channel *c)
{
	struct channel_frame f;
	unsigned n = 0;

	for (; n < HEARD_MOST; n++) {
		enum channel_read got = channel_reader_next(&c->reader, &f);
		if (got == CHANNEL_READ_MORE && !channel_read(c))
			break;
		if (got == CHANNEL_READ_FRAME && f.type == CHANNEL_HELLO)
			session_begin(c, &f);
		else if (got == CHANNEL_READ_FRAME)
			link_take(&c->link, &f, clock_ns());
	}
	return n;
}

/* One frame of the host's, if it can be heeded now. Return: whether anything was done. */
static bool channel_hear(struct channel *c)
{
	struct channel_frame f;

	if (c->filling || c->jobs >= CHANNEL_REQUESTS_MAX)
		return false;
	enum channel_read got = channel_reader_next(c->has_link ? &c->link.reader : &c->reader, &f);
	if (got == CHANNEL_READ_FRAME)
		channel_heed(c, &f);
	return got != CHANNEL_READ_MORE || (!c->has_link && channel_read(c));
}

/*
 * What needs no answer goes before what streams have to say: a serial line keeps only so much, and what comes while a frame goes out may
 * be several. Behind an answer it is their turn.
 */
static bool channel_hear_some(struct channel *c)
{
	unsigned n = 0;

	/* What comes behind the end of a client is another's: that is looked at first. */
	while (n < HEARD_MOST && !c->quiet && channel_is_quiet(c) && !c->line->was_closed &&
	       channel_hear(c))
		n++;
	return n;
}

/* ---- its turn ---- */

static bool channel_step(struct channel *c)
{
	/* Of a serial line's host nobody says that it is gone. */
	if (c->line->was_closed || (c->has_link && link_is_over(&c->link))) {
		c->line->was_closed = false;
		session_end(c);
	}
	bool did = c->has_link && channel_link_hear(c);
	if (!channel_flush(c)) {
		/* What it does not take may be because nobody is there any more, which is said on another way. */
		(void)c->line->ops->read(c->line, c->piece, 0);
		return did || c->line->was_closed;
	}
	did |= channel_fill(c);
	did |= channel_jobs(c);
	if (channel_flush(c))
		did |= channel_hear_some(c);
	if (channel_flush(c))
		did |= channel_streams(c);
	return did;
}

static void channel_again(struct hv_timer *timer)
{
	(void)timer;
	channel_wake();
}

static enum sched_reason channel_run(struct sched_entity *entity, uint64_t deadline_ns)
{
	struct channel *c = container_of(entity, struct channel, entity);
	uint64_t rang = __atomic_exchange_n(&c->rang_ns, 0, __ATOMIC_ACQ_REL);
	uint64_t waited = rang ? clock_ns() - rang : 0;

	if (waited > c->longest_wait_ns)
		c->longest_wait_ns = waited;
	/* Without a line, too: nobody else frees what is left of guests that ended. */
	while (c->line ? channel_step(c) : channel_jobs(c)) {
		if (clock_ns() >= deadline_ns || sched_must_yield())
			return SCHED_YIELD;
	}
	uint64_t due = c->has_link ? link_due_ns(&c->link) : LINK_NEVER;
	if (due != LINK_NEVER)
		timer_arm(&c->again, due);
	return SCHED_HALT;
}

void hv_channel_start(const struct boot_info *info)
{
	struct channel *c = page_alloc(page_order(sizeof(*c)));

	hv_files_init(info);
	managed_init(channel_wake);
	if (!c)
		return; /* nor will there be memory for a guest */
	c->config = page_alloc(page_order(sizeof(*c->config)));
	c->boot = tsc_read() | 1;
	channel_reader_init(&c->reader);
	c->again = (struct hv_timer){ .fired = channel_again };
	c->entity = (struct sched_entity){ .name = "channel",
					   .run = channel_run,
					   .urgent_percent = URGENT_PERCENT };
	sched_add(&c->entity);
	c->line = line_find(info, channel_ring);
	c->has_link = c->line && c->line->ops->is_lossy;
	if (c->has_link)
		channel_reader_line(&c->reader);
	the_channel = c;
	sched_wake(&c->entity);
}
