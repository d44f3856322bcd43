/* SPDX-License-Identifier: Apache-2.0 */
/* The channel's streams: consoles, ports, sockets, uploads. */
#include <errno.h>
#include <string.h>

#include "vm/channel.h"

/* ---- the end of one ---- */

/* What it held is given back; its id is free. */
static void stream_free(struct channel_stream *s)
{
	if (s->state == STREAM_FREE)
		return;
	if (s->end)
		managed_end_drop(s->guest, s->end);
	else if (s->pipe)
		pipe_close(s->pipe);
	if (s->file)
		hv_file_abort(s->file);
	if (s->guest)
		s->guest->streams--;
	*s = (struct channel_stream){ .was_open = true };
}

static void stream_close(struct channel *c, uint32_t id, int code, const char *text)
{
	const struct channel_closed closed = { (uint32_t)code };

	if (c->filling == id)
		c->filling = 0;
	stream_free(&c->streams[id]);
	channel_say(c, CHANNEL_CLOSE, id, &closed, sizeof(closed), text, strlen(text));
}

void channel_streams_drop(struct channel *c)
{
	c->filling = 0;
	for (uint32_t i = 1; i <= CHANNEL_STREAMS; i++) {
		stream_free(&c->streams[i]);
		c->streams[i].was_open = false;
	}
}

/* Their CLOSE is said when its turn comes: until then they are of no guest any more. */
void channel_streams_leave(struct channel *c, const struct managed *guest)
{
	for (uint32_t i = 1; i <= CHANNEL_STREAMS; i++) {
		struct channel_stream *s = &c->streams[i];
		if (s->state == STREAM_FREE || s->guest != guest)
			continue;
		stream_free(s);
		s->state = STREAM_OPEN;
		s->closing = ESTALE;
	}
}

/* ---- its beginning ---- */

struct opening {
	struct channel_open head;
	char name[CHANNEL_FILE_BYTES];
};

static int opening_read(const struct channel_frame *f, struct opening *ret, struct err *err)
{
	size_t name = f->len - sizeof(ret->head);

	*ret = (struct opening){ .name = "" };
	if (f->len < sizeof(ret->head))
		return err_say(err, EINVAL, "too short to open anything");
	if (name >= sizeof(ret->name))
		return err_say(err, EINVAL, "a name of %u bytes", (unsigned)name);
	memcpy(&ret->head, f->payload, sizeof(ret->head));
	memcpy(ret->name, f->payload + sizeof(ret->head), name);
	return strlen(ret->name) == name ? 0 : err_say(err, EINVAL, "a NUL in a name");
}

static int pipe_errors(int r, const struct managed *m, const char *what, struct err *err)
{
	if (r == 0)
		return 0;
	return r == -EBUSY
		       ? err_say(err, EBUSY, "guest %s: somebody has its %s", m->config.name, what)
		       : err_say(err, -r, "guest %s: no memory for its %s", m->config.name, what);
}

static int open_console(struct channel_stream *s, struct managed *m, const struct opening *o,
			struct err *err)
{
	int r = pipe_errors(pipe_open(&m->keys), m, "console", err);

	if (r < 0)
		return r;
	s->pipe = &m->keys;
	s->console_at = o->head.flags & CHANNEL_OPEN_FRESH ? m->console_written : 0;
	s->window = CHANNEL_WINDOW;
	return 0;
}

static int open_port(struct channel_stream *s, struct managed *m, const struct opening *o,
		     struct err *err)
{
	struct managed_port *port = managed_port(m, o->name);

	if (!port)
		return err_say(err, ENODEV, "guest %s has no port %s", m->config.name, o->name);
	if (managed_has_ended(m))
		return err_say(err, ESRCH, "guest %s has ended", m->config.name);
	int r = pipe_errors(pipe_open(&port->pipe), m, "port", err);
	if (r < 0)
		return r;
	s->pipe = &port->pipe;
	s->window = CHANNEL_WINDOW;
	managed_ask(m);
	return 0;
}

static int open_vsock(struct channel_stream *s, struct managed *m, const struct opening *o,
		      struct err *err)
{
	if (managed_has_ended(m))
		return err_say(err, ESRCH, "guest %s has ended", m->config.name);
	int r = managed_end_new(m, o->head.port, &s->end, err);
	if (r < 0)
		return r;
	s->pipe = &s->end->pipe;
	s->window = CHANNEL_WINDOW;
	return 0;
}

static int open_file(struct channel_stream *s, const struct opening *o, struct err *err)
{
	int r = hv_file_begin(o->name, o->head.size, &s->file, err);

	s->window = CHANNEL_FILE_WINDOW;
	return r;
}

static int open_any(struct channel_stream *s, const struct opening *o, struct err *err)
{
	if (o->head.kind == CHANNEL_KIND_FILE)
		return open_file(s, o, err);
	struct managed *m = managed_find(o->head.guest);
	int r = 0;
	if (!m)
		return err_say(err, ENOENT, "there is no guest %u", o->head.guest);
	if (o->head.kind == CHANNEL_KIND_CONSOLE)
		r = open_console(s, m, o, err);
	else if (o->head.kind == CHANNEL_KIND_PORT)
		r = open_port(s, m, o, err);
	else if (o->head.kind == CHANNEL_KIND_VSOCK)
		r = open_vsock(s, m, o, err);
	else
		r = err_say(err, EINVAL, "there is no kind %u of stream", o->head.kind);
	if (r == 0) {
		s->guest = m;
		m->streams++;
	}
	return r;
}

static void stream_opened(struct channel *c, uint32_t id)
{
	const struct channel_credit credit = { c->streams[id].window };

	c->streams[id].state = STREAM_OPEN;
	channel_say(c, CHANNEL_OPENED, id, &credit, sizeof(credit), NULL, 0);
}

static void stream_open(struct channel *c, const struct channel_frame *f)
{
	struct channel_stream *s = &c->streams[f->stream];
	struct opening o;

	if (s->state != STREAM_FREE) {
		channel_bad(c, f->stream, "OPEN of a stream that is open");
		return;
	}
	c->err = (struct err){ 0 };
	int r = opening_read(f, &o, &c->err);
	*s = (struct channel_stream){ .kind = (uint8_t)o.head.kind,
				      .was_open = true,
				      .credit = o.head.credit };
	if (r == 0)
		r = open_any(s, &o, &c->err);
	if (r < 0)
		stream_close(c, f->stream, -r, c->err.text);
	else if (s->kind == CHANNEL_KIND_VSOCK)
		s->state = STREAM_ASKED;
	else
		stream_opened(c, f->stream);
}

/* ---- from the host ---- */

static void file_data(struct channel *c, uint32_t id, const struct channel_frame *f)
{
	struct channel_stream *s = &c->streams[id];

	if (f->len > s->file->len - s->file_at) {
		stream_close(c, id, EFBIG, "more than the file's size");
		return;
	}
	memcpy(s->file->data + s->file_at, f->payload, f->len);
	s->file_at += f->len;
	s->owed += f->len;
}

static void stream_data(struct channel *c, const struct channel_frame *f)
{
	struct channel_stream *s = &c->streams[f->stream];

	if (s->state != STREAM_OPEN || f->len > s->window || s->in_over) {
		stream_close(c, f->stream, EPROTO,
			     s->in_over ? "data behind its end" : "data without credit");
		return;
	}
	s->window -= f->len;
	if (s->file)
		file_data(c, f->stream, f);
	else if (pipe_host_put(s->pipe, f->payload, f->len))
		managed_ask(s->guest);
}

static void stream_hole(struct channel *c, const struct channel_frame *f)
{
	struct channel_stream *s = &c->streams[f->stream];
	uint64_t bytes = f->len == sizeof(struct channel_lost) ? le64_load(f->payload) : 0;

	if (!s->file || !bytes || s->in_over) {
		stream_close(c, f->stream, EINVAL, "a hole where none can be");
	} else if (bytes > s->file->len - s->file_at) {
		stream_close(c, f->stream, EFBIG, "more than the file's size");
	} else {
		s->fill_to = s->file_at + bytes;
		c->filling = f->stream;
	}
}

static void stream_end(struct channel *c, const struct channel_frame *f)
{
	struct channel_stream *s = &c->streams[f->stream];

	if (s->in_over || s->state != STREAM_OPEN)
		return;
	s->in_over = true;
	if (s->file) {
		s->fill_to = s->file->len;
		c->filling = f->stream;
	} else if (s->kind != CHANNEL_KIND_CONSOLE) {
		pipe_host_end(s->pipe);
		managed_ask(s->guest);
	}
}

static void stream_credit(struct channel *c, const struct channel_frame *f)
{
	struct channel_stream *s = &c->streams[f->stream];
	uint32_t bytes = f->len == sizeof(struct channel_credit) ? le32_load(f->payload) : 0;

	if (f->len != sizeof(struct channel_credit) || bytes > UINT32_MAX - s->credit)
		stream_close(c, f->stream, EPROTO, "credit that makes no sense");
	else
		s->credit += bytes;
}

void channel_stream_frame(struct channel *c, const struct channel_frame *f)
{
	const struct channel_stream *s = &c->streams[f->stream];

	if (f->type == CHANNEL_OPEN) {
		stream_open(c, f);
		return;
	}
	if (s->state == STREAM_FREE || s->closing) {
		if (!s->was_open)
			channel_bad(c, f->stream, "a stream that is not open");
		return;
	}
	if (f->type == CHANNEL_DATA)
		stream_data(c, f);
	else if (f->type == CHANNEL_CREDIT)
		stream_credit(c, f);
	else if (f->type == CHANNEL_END)
		stream_end(c, f);
	else if (f->type == CHANNEL_HOLE)
		stream_hole(c, f);
	else if (f->type == CHANNEL_CLOSE)
		stream_close(c, f->stream, 0, "");
	else
		channel_bad(c, f->stream, "no frame that a host sends");
}

/* ---- to the host: each says whether it made a frame ---- */

static bool say_credit(struct channel *c, uint32_t id)
{
	struct channel_stream *s = &c->streams[id];
	uint32_t all = s->file ? CHANNEL_FILE_WINDOW : CHANNEL_WINDOW;

	if (s->pipe)
		s->owed += pipe_host_took(s->pipe);
	if (s->owed < all / 4 || s->in_over)
		return false;
	const struct channel_credit credit = { s->owed };
	s->window += s->owed;
	s->owed = 0;
	channel_say(c, CHANNEL_CREDIT, id, &credit, sizeof(credit), NULL, 0);
	return true;
}

static size_t data_room(const struct channel *c, const struct channel_stream *s)
{
	return s->credit < sizeof(c->body) ? s->credit : sizeof(c->body);
}

static bool say_data(struct channel *c, uint32_t id, size_t n)
{
	c->streams[id].credit -= (uint32_t)n;
	if (n)
		channel_say(c, CHANNEL_DATA, id, c->body, n, NULL, 0);
	return n;
}

static bool say_console(struct channel *c, uint32_t id)
{
	struct channel_stream *s = &c->streams[id];
	uint64_t at = s->console_at;
	bool has_ended = managed_has_ended(s->guest);
	size_t room = data_room(c, s);

	/* What is lost is said once something comes behind it. */
	size_t n = managed_console(s->guest, &at, c->body, room);
	uint64_t lost = at - n - s->console_at;
	if (n && lost) {
		const struct channel_lost gone = { lost };
		s->console_at += lost;
		channel_say(c, CHANNEL_LOST, id, &gone, sizeof(gone), NULL, 0);
		return true;
	}
	if (n || !has_ended || at < s->guest->console_written) {
		s->console_at = n ? at : s->console_at;
		return say_data(c, id, n);
	}
	stream_close(c, id, 0, "");
	return true;
}

static bool say_pipe(struct channel *c, uint32_t id)
{
	struct channel_stream *s = &c->streams[id];
	size_t n = 0;

	if (s->credit && pipe_host_get(s->pipe, c->body, data_room(c, s), &n))
		managed_ask(s->guest);
	return say_data(c, id, n);
}

static bool say_port(struct channel *c, uint32_t id)
{
	struct channel_stream *s = &c->streams[id];

	if (say_pipe(c, id))
		return true;
	if (!managed_has_ended(s->guest) || pipe_host_waits(s->pipe))
		return false;
	stream_close(c, id, 0, "");
	return true;
}

static bool say_vsock(struct channel *c, uint32_t id)
{
	struct channel_stream *s = &c->streams[id];
	uint32_t state = __atomic_load_n(&s->end->state, __ATOMIC_ACQUIRE);

	if (s->state == STREAM_ASKED && state == END_REFUSED) {
		int code = s->end->error;
		stream_close(c, id, code,
			     code == ENOTCONN ? "the guest has no driver for its vsock"
					      : "the guest refused");
		return true;
	}
	if (s->state == STREAM_ASKED) {
		if (state >= END_OPEN)
			stream_opened(c, id);
		return state >= END_OPEN;
	}
	if (say_pipe(c, id))
		return true;
	if (!pipe_is_over(s->pipe))
		return false;
	if (!s->end_said) {
		s->end_said = true;
		channel_say(c, CHANNEL_END, id, NULL, 0, NULL, 0);
		return true;
	}
	if (state < END_REFUSED)
		return false;
	stream_close(c, id, 0, "");
	return true;
}

static bool stream_step(struct channel *c, uint32_t id)
{
	struct channel_stream *s = &c->streams[id];

	if (s->state == STREAM_FREE)
		return false;
	if (s->closing) {
		stream_close(c, id, s->closing, "the guest is gone");
		return true;
	}
	if (s->state == STREAM_OPEN && say_credit(c, id))
		return true;
	switch (s->kind) {
	case CHANNEL_KIND_CONSOLE:
		return say_console(c, id);
	case CHANNEL_KIND_PORT:
		return say_port(c, id);
	case CHANNEL_KIND_VSOCK:
		return say_vsock(c, id);
	default:
		return false;
	}
}

bool channel_streams(struct channel *c)
{
	for (unsigned i = 0; i < CHANNEL_STREAMS; i++) {
		uint32_t id = (c->turn + i) % CHANNEL_STREAMS + 1;
		if (!stream_step(c, id))
			continue;
		c->turn = id % CHANNEL_STREAMS;
		return true;
	}
	return false;
}

bool channel_fill(struct channel *c)
{
	uint32_t id = c->filling;
	struct channel_stream *s = &c->streams[id];

	if (!id)
		return false;
	uint64_t left = s->fill_to - s->file_at;
	size_t part = left < CHANNEL_FILL_BYTES ? left : CHANNEL_FILL_BYTES;
	memset(s->file->data + s->file_at, 0, part);
	s->file_at += part;
	if (s->file_at < s->fill_to)
		return true;
	c->filling = 0;
	if (s->in_over) {
		hv_file_done(s->file);
		s->file = NULL;
		stream_close(c, id, 0, "");
	}
	return true;
}
