/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/baremetal/chan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/core/macros.h"
#include "base/os/clock.h"
#include "base/os/fd.h"
#include "base/os/loop.h"

#define CHAN_CALL_MS 60000
#define CHAN_OUT_MAX                                                                               \
	((size_t)4 << 20) /* credit bounds what is queued to far less: more is a fault of ours */
#define CHAN_READ 65536

static void chan_lose(struct chan *chan, int code, const char *what)
{
	struct err err = { 0 };

	if (chan->dead)
		return;
	chan->dead = true;
	chan->ready = false;
	loop_del(chan->loop, chan->fd);
	if (chan->timer >= 0)
		loop_del(chan->loop, chan->timer);
	memset(chan->requests, 0, sizeof(chan->requests));
	(void)err_say(&err, code, "%s", what);
	chan->events->lost(chan, &err);
}

/* ---- writing ---- */

/* A hub that is gone is no signal, and a line is no socket. */
static ssize_t chan_write(int fd, const void *data, size_t len)
{
	ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

	return n < 0 && errno == ENOTSOCK ? write(fd, data, len) : n;
}

/* Each returns whether the fd took all that there is for it. */
static bool flush_frames(struct chan *chan)
{
	while (chan->out_at < chan->out.len) {
		ssize_t n = chan_write(chan->fd, chan->out.data + chan->out_at,
				       chan->out.len - chan->out_at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false; /* a peer that is gone shows when it is read */
		chan->out_at += (size_t)n;
	}
	return true;
}

static bool flush_packets(struct chan *chan)
{
	const uint8_t *bytes;
	size_t len;

	for (;;) {
		if (chan_pending(chan))
			chan->out_at += link_put(chan->link, chan->out.data + chan->out_at,
						 chan_pending(chan));
		len = link_out(chan->link, (uint64_t)clock_mono_ns(), &bytes);
		ssize_t n = len ? chan_write(chan->fd, bytes, len) : 0;
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return !len;
		link_went(chan->link, (size_t)n, (uint64_t)clock_mono_ns());
	}
}

static void chan_arm(struct chan *chan)
{
	const uint64_t due = link_due_ns(chan->link);
	const struct itimerspec at = {
		.it_value = { .tv_sec = due == LINK_NEVER ? 0 : (time_t)(due / NS_PER_S),
			      .tv_nsec = due == LINK_NEVER ? 0 : (long)(due % NS_PER_S) },
	};

	(void)timerfd_settime(chan->timer, TFD_TIMER_ABSTIME, &at, NULL); /* ours, and valid */
}

static void chan_flush(struct chan *chan)
{
	bool all = chan->link ? flush_packets(chan) : flush_frames(chan);

	if (chan->link)
		chan_arm(chan);
	buf_shift(&chan->out, &chan->out_at);
	if (all != chan->watched_out || chan->dead)
		return;
	chan->watched_out = !all;
	(void)loop_mod(chan->loop, chan->fd, EPOLLIN | (all ? 0U : (uint32_t)EPOLLOUT), NULL);
}

static int chan_put(struct chan *chan, uint64_t nonce, enum channel_type type, uint32_t stream,
		    const void *first, size_t first_len, const void *second, size_t second_len)
{
	uint8_t frame[CHANNEL_FRAME_MAX];

	if (chan->dead || chan_pending(chan) > CHAN_OUT_MAX ||
	    first_len + second_len > CHANNEL_PAYLOAD_MAX)
		return -EPIPE;
	size_t n = channel_frame_make(frame, nonce, type, stream, first, first_len, second,
				      second_len);
	if (buf_add(&chan->out, frame, n) < 0)
		return -ENOMEM;
	chan_flush(chan);
	return 0;
}

static int chan_say(struct chan *chan, enum channel_type type, uint32_t stream, const void *first,
		    size_t first_len, const void *second, size_t second_len)
{
	return chan_put(chan, chan->nonce, type, stream, first, first_len, second, second_len);
}

size_t chan_pending(const struct chan *chan)
{
	return chan->out.len - chan->out_at;
}

int chan_hello(struct chan *chan)
{
	static const uint8_t quiet[CHANNEL_QUIET_SENT];
	struct channel_hello hello = { .version = CHANNEL_VERSION };

	do {
		if (getrandom(&hello.nonce, sizeof(hello.nonce), 0) != sizeof(hello.nonce))
			return -errno;
	} while (!(uint32_t)hello.nonce);
	chan->nonce = hello.nonce;
	if (buf_add(&chan->out, quiet, sizeof(quiet)) < 0)
		return -ENOMEM;
	return chan_put(chan, 0, CHANNEL_HELLO, 0, &hello, sizeof(hello), NULL, 0);
}

/* ---- what comes ---- */

static void chan_tick(void *arg, uint32_t events)
{
	struct chan *chan = arg;

	(void)events;
	fd_calm(chan->timer);
	chan_flush(chan);
}

/* All but HELLO goes in packets from now on. */
static int chan_link(struct chan *chan)
{
	chan->link = malloc(sizeof(*chan->link));
	chan->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (!chan->link || chan->timer < 0)
		return -ENOMEM; /* chan_fini() */
	link_begin(chan->link, chan->nonce, &chan->reader);
	channel_reader_line(&chan->reader);
	return loop_add(chan->loop, chan->timer, EPOLLIN, chan_tick, chan, NULL);
}

static void take_hello(struct chan *chan, const struct channel_frame *frame)
{
	struct channel_hello hello;

	if (frame->len != sizeof(hello))
		return;
	memcpy(&hello, frame->payload, sizeof(hello));
	if (chan->ready || hello.nonce != chan->nonce)
		return; /* an answer to an older one */
	if (hello.version != CHANNEL_VERSION) {
		chan_lose(chan, EPROTO, "the hypervisor speaks another version of the channel");
		return;
	}
	chan->boot = hello.boot;
	channel_reader_key(&chan->reader, chan->nonce);
	if (hello.flags & CHANNEL_HELLO_PACKETS && chan_link(chan) < 0) {
		chan_lose(chan, ENOMEM, "no memory for the management channel");
		return;
	}
	chan->ready = true;
}

static void take_reply(struct chan *chan, const struct channel_frame *frame)
{
	struct channel_reply reply;

	if (frame->len < sizeof(reply))
		return;
	memcpy(&reply, frame->payload, sizeof(reply));
	for (size_t i = 0; reply.id && i < ARRAY_SIZE(chan->requests); i++) {
		struct chan_request *r = &chan->requests[i];
		if (r->id != reply.id)
			continue;
		struct chan_request asked = *r;
		*r = (struct chan_request){ 0 };
		if (asked.fn)
			asked.fn(asked.arg, reply.status, frame->payload + sizeof(reply),
				 frame->len - sizeof(reply));
		return;
	}
}

static void take_event(struct chan *chan, const struct channel_frame *frame)
{
	struct channel_event event;

	if (frame->len < sizeof(event) || !chan->events->event)
		return;
	memcpy(&event, frame->payload, sizeof(event));
	chan->events->event(chan, event.kind, frame->payload + sizeof(event),
			    frame->len - sizeof(event));
}

static uint32_t frame_u32(const struct channel_frame *frame)
{
	uint32_t value = 0;

	if (frame->len >= sizeof(value))
		memcpy(&value, frame->payload, sizeof(value));
	return value;
}

static void take_credit(struct chan_stream *s, const struct channel_frame *frame)
{
	uint32_t more = frame_u32(frame);

	s->credit = s->credit + more < more ? UINT32_MAX : s->credit + more;
	if (frame->type == CHANNEL_OPENED) {
		s->is_open = true;
		if (s->events->opened)
			s->events->opened(s);
	}
	if (s->chan && s->events->room)
		s->events->room(s);
}

static void take_closed(struct chan *chan, struct chan_stream *s, const struct channel_frame *frame)
{
	char text[CHANNEL_TEXT_MAX + 1] = "";
	const size_t head = sizeof(struct channel_closed);

	chan->ids[frame->stream] = false;
	chan->streams[frame->stream] = NULL;
	if (!s)
		return;
	if (frame->len > head)
		(void)snprintf(text, sizeof(text), "%.*s", (int)(frame->len - head),
			       (const char *)frame->payload + head); /* a longer one is cut */
	s->chan = NULL;
	s->is_open = false;
	if (s->events->frame) {
		s->events->frame(s, frame);
		return;
	}
	s->events->closed(s, frame->len < head ? EPROTO : frame_u32(frame), text);
}

static void take_stream(struct chan *chan, const struct channel_frame *frame)
{
	struct chan_stream *s =
		frame->stream <= CHANNEL_STREAMS ? chan->streams[frame->stream] : NULL;
	uint64_t gone = 0;

	if (frame->type == CHANNEL_CLOSE && frame->stream && frame->stream <= CHANNEL_STREAMS) {
		take_closed(chan, s, frame);
		return;
	}
	if (!s)
		return; /* one that we closed, and was on its way */
	if (s->events->frame) {
		s->events->frame(s, frame);
		return;
	}
	switch (frame->type) {
	case CHANNEL_OPENED:
	case CHANNEL_CREDIT:
		take_credit(s, frame);
		break;
	case CHANNEL_DATA:
		s->events->data(s, frame->payload, frame->len);
		break;
	case CHANNEL_END:
		if (s->events->end)
			s->events->end(s);
		break;
	case CHANNEL_LOST:
		if (frame->len >= sizeof(gone))
			memcpy(&gone, frame->payload, sizeof(gone));
		if (s->events->hole)
			s->events->hole(s, gone);
		break;
	default:
		break;
	}
}

static void chan_take(struct chan *chan, const struct channel_frame *frame)
{
	if (frame->type == CHANNEL_REPLY)
		take_reply(chan, frame);
	else if (frame->type == CHANNEL_EVENT)
		take_event(chan, frame);
	else
		take_stream(chan, frame);
}

static void take_packet(struct chan *chan, const struct channel_frame *packet)
{
	struct channel_frame frame;
	enum channel_read got;

	link_take(chan->link, packet, (uint64_t)clock_mono_ns());
	while (!chan->dead &&
	       (got = channel_reader_next(&chan->link->reader, &frame)) != CHANNEL_READ_MORE) {
		if (got == CHANNEL_READ_FRAME && frame.type != CHANNEL_HELLO)
			chan_take(chan, &frame);
	}
}

static void chan_heed(struct chan *chan, const struct channel_frame *frame)
{
	if (frame->type == CHANNEL_HELLO) {
		take_hello(chan, frame);
		return;
	}
	if (!chan->ready)
		return;
	chan->heard_ns = clock_mono_ns();
	if (chan->link)
		take_packet(chan, frame);
	else
		chan_take(chan, frame);
}

static void chan_feed(struct chan *chan, const uint8_t *bytes, size_t len)
{
	struct channel_frame frame;
	enum channel_read got;

	while (len && !chan->dead) {
		size_t n = channel_reader_put(&chan->reader, bytes, len);
		bytes += n;
		len -= n;
		while (!chan->dead &&
		       (got = channel_reader_next(&chan->reader, &frame)) != CHANNEL_READ_MORE) {
			if (got == CHANNEL_READ_FRAME)
				chan_heed(chan, &frame);
		}
	}
	if (chan->link && !chan->dead)
		chan_flush(chan); /* the answers */
}

/* Who holds back while there is much to be written may go on. */
static void chan_rooms(struct chan *chan)
{
	for (size_t i = 1; i <= CHANNEL_STREAMS && !chan->dead; i++) {
		struct chan_stream *s = chan->streams[i];
		if (s && s->is_open && s->credit && s->events->room && !chan_pending(chan))
			s->events->room(s);
	}
}

static void chan_io(void *arg, uint32_t events)
{
	struct chan *chan = arg;
	uint8_t bytes[CHAN_READ];

	if (events & EPOLLOUT) {
		chan_flush(chan);
		chan_rooms(chan);
	}
	if (!(events & ~(uint32_t)EPOLLOUT) || chan->dead)
		return;
	ssize_t n = read(chan->fd, bytes, sizeof(bytes));
	if (n > 0) {
		chan_feed(chan, bytes, (size_t)n);
		if (chan->link)
			chan_rooms(chan);
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		chan_lose(chan, n ? errno : ECONNRESET, "the management channel was closed");
	}
}

/* ---- life ---- */

int chan_start(struct chan *chan, int fd, struct loop *loop, const struct chan_events *events,
	       struct err *err)
{
	*chan = (struct chan){ .loop = loop, .fd = fd, .timer = -EBADF, .events = events };
	channel_reader_init(&chan->reader);
	chan->reader.quiet_least = 0; /* nobody else knows the nonce that an answer has */
	int flags = fcntl(fd, F_GETFL);
	int r = flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ? -errno : 0;
	if (r == 0)
		r = loop_add(loop, fd, EPOLLIN, chan_io, chan, NULL);
	if (r == 0)
		r = chan_hello(chan);
	if (r == 0)
		return 0;
	loop_del(loop, fd);
	fd_close(fd);
	buf_fini(&chan->out);
	*chan = (struct chan){ 0 };
	return err_set(err, -r, "begin with the management channel");
}

void chan_fini(struct chan *chan)
{
	if (!chan->loop)
		return;
	if (!chan->dead)
		loop_del(chan->loop, chan->fd);
	if (chan->timer >= 0)
		loop_del(chan->loop, chan->timer);
	fd_close(chan->timer);
	free(chan->link);
	fd_close(chan->fd);
	buf_fini(&chan->out);
	*chan = (struct chan){ 0 };
}

int chan_wait_ready(struct chan *chan, unsigned again_ms, unsigned timeout_ms, struct err *err)
{
	const int64_t end = clock_mono_ns() + (int64_t)timeout_ms * NS_PER_MS;
	int64_t again = clock_mono_ns() + (int64_t)again_ms * NS_PER_MS;

	while (!chan->ready && !chan->dead) {
		int64_t now = clock_mono_ns();
		if (now >= end)
			return err_say(err, ETIMEDOUT, "nothing answers on the management channel");
		if (now >= again) {
			(void)chan_hello(chan); /* the end of time ends it */
			/* An answer that takes longer than that is to one that counts no more. */
			again_ms *= 2;
			again = now + (int64_t)again_ms * NS_PER_MS;
		}
		int64_t until = again < end ? again : end;
		int r = loop_run_once(chan->loop, (int)((until - now) / NS_PER_MS) + 1, err);
		if (r < 0)
			return r;
	}
	return chan->ready ? 0 : err_say(err, EPIPE, "the management channel was closed");
}

int chan_connect(struct chan *chan, int dir, const char *name, struct loop *loop,
		 const struct chan_events *events, struct err *err)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	/* A directory's own name may be longer than an address has room for. */
	(void)snprintf(to.sun_path, sizeof(to.sun_path), "/proc/self/fd/%d/%s", dir, name);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&to, sizeof(to)) < 0) {
		int code = errno;
		fd_close(fd);
		return err_set(err, code, "reach the hypervisor's hub");
	}
	int r = chan_start(chan, fd, loop, events, err);
	if (r < 0)
		return r;
	r = chan_wait_ready(chan, CHAN_CALL_MS, CHAN_CALL_MS, err);
	if (r < 0)
		chan_fini(chan);
	return r;
}

/* ---- requests ---- */

int chan_request(struct chan *chan, enum channel_verb verb, const void *body, size_t len,
		 chan_reply_fn fn, void *arg)
{
	if (chan->dead || !chan->ready)
		return -EPIPE;
	for (size_t i = 0; i < ARRAY_SIZE(chan->requests); i++) {
		if (chan->requests[i].id)
			continue;
		if (!++chan->next_id)
			chan->next_id = 1;
		const struct channel_request head = { .id = chan->next_id, .verb = (uint16_t)verb };
		chan->requests[i] =
			(struct chan_request){ .fn = fn, .arg = arg, .id = chan->next_id };
		int r = chan_say(chan, CHANNEL_REQUEST, 0, &head, sizeof(head), body, len);
		if (r < 0)
			chan->requests[i] = (struct chan_request){ 0 };
		return r;
	}
	return -EAGAIN;
}

struct chan_answer {
	struct buf *data;
	struct err *err;
	bool done;
	int result;
};

static void call_done(void *arg, uint32_t status, const void *data, size_t len)
{
	struct chan_answer *a = arg;

	a->done = true;
	if (status) {
		a->result = err_say(a->err, status < 4096 ? (int)status : EPROTO, "%.*s",
				    (int)(len < CHANNEL_TEXT_MAX ? len : CHANNEL_TEXT_MAX),
				    (const char *)data);
		return;
	}
	a->result = 0;
	if (!a->data)
		return;
	a->data->len = 0;
	if (buf_add(a->data, data, len) < 0)
		a->result = err_set(a->err, ENOMEM, "ask the hypervisor");
}

static void call_forget(struct chan *chan, const struct chan_answer *answer)
{
	for (size_t i = 0; i < ARRAY_SIZE(chan->requests); i++) {
		if (chan->requests[i].arg == answer)
			chan->requests[i].fn = NULL; /* its reply may still come */
	}
}

void chan_forget(struct chan *chan, const void *arg)
{
	for (size_t i = 0; i < ARRAY_SIZE(chan->requests); i++) {
		if (chan->requests[i].arg == arg)
			chan->requests[i] = (struct chan_request){ 0 };
	}
}

int chan_call(struct chan *chan, enum channel_verb verb, const void *body, size_t len,
	      struct buf *ret, struct err *err)
{
	struct chan_answer answer = { .data = ret, .err = err };
	const int64_t end = clock_mono_ns() + (int64_t)CHAN_CALL_MS * NS_PER_MS;
	int r = chan_request(chan, verb, body, len, call_done, &answer);

	if (r < 0)
		return err_set(err, -r, "ask the hypervisor");
	while (!answer.done && !chan->dead && r >= 0 && clock_mono_ns() < end)
		r = loop_run_once(chan->loop, 1000, err);
	if (answer.done)
		return answer.result;
	call_forget(chan, &answer);
	if (r < 0)
		return r;
	return chan->dead ? err_say(err, EPIPE, "the hypervisor is gone")
			  : err_say(err, ETIMEDOUT, "the hypervisor does not answer");
}

/* ---- streams ---- */

int chan_stream_open(struct chan *chan, struct chan_stream *stream,
		     const struct chan_stream_events *events, const struct channel_open *open,
		     const char *name)
{
	uint32_t id = 1;

	while (id <= CHANNEL_STREAMS && chan->ids[id])
		id++;
	if (id > CHANNEL_STREAMS)
		return -ENFILE;
	int r = chan->ready
			? chan_say(chan, CHANNEL_OPEN, id, open, sizeof(*open), name, strlen(name))
			: -EPIPE;
	if (r < 0)
		return r;
	*stream = (struct chan_stream){ .events = events, .chan = chan, .id = id };
	chan->ids[id] = true;
	chan->streams[id] = stream;
	return 0;
}

int chan_stream_frame(struct chan_stream *stream, enum channel_type type, const void *payload,
		      size_t len)
{
	return stream->chan ? chan_say(stream->chan, type, stream->id, payload, len, NULL, 0)
			    : -EPIPE;
}

size_t chan_stream_send(struct chan_stream *stream, const void *data, size_t len)
{
	const uint8_t *at = data;
	size_t sent = 0;

	while (stream->chan && sent < len && stream->credit) {
		size_t n = len - sent;
		if (n > stream->credit)
			n = stream->credit;
		if (n > CHANNEL_PAYLOAD_MAX)
			n = CHANNEL_PAYLOAD_MAX;
		if (chan_say(stream->chan, CHANNEL_DATA, stream->id, at + sent, n, NULL, 0) < 0)
			break;
		stream->credit -= (uint32_t)n;
		sent += n;
	}
	return sent;
}

void chan_stream_credit(struct chan_stream *stream, uint32_t bytes)
{
	const struct channel_credit credit = { .bytes = bytes };

	if (stream->chan && bytes)
		(void)chan_say(stream->chan, CHANNEL_CREDIT, stream->id, &credit, sizeof(credit),
			       NULL, 0); /* a peer that is gone says so */
}

void chan_stream_end(struct chan_stream *stream)
{
	if (stream->chan)
		(void)chan_say(stream->chan, CHANNEL_END, stream->id, NULL, 0, NULL, 0);
}

void chan_stream_hole(struct chan_stream *stream, uint64_t bytes)
{
	const struct channel_lost hole = { .bytes = bytes };

	if (stream->chan && bytes)
		(void)chan_say(stream->chan, CHANNEL_HOLE, stream->id, &hole, sizeof(hole), NULL,
			       0);
}

void chan_stream_close(struct chan_stream *stream)
{
	struct chan *chan = stream->chan;

	if (!chan)
		return;
	chan->streams[stream->id] = NULL;
	stream->chan = NULL;
	stream->is_open = false;
	(void)chan_say(chan, CHANNEL_CLOSE, stream->id, NULL, 0, NULL, 0);
}
