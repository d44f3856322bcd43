/* SPDX-License-Identifier: Apache-2.0 */
#include "hv_fake.h"

#include "scratch.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/core/buf.h"
#include "base/core/channel.h"
#include "base/core/link.h"
#include "base/os/clock.h"
#include "base/os/fd.h"

#define FAKE_GUESTS 200
#define FAKE_CREDIT 8192U

struct fake_stream {
	uint32_t credit; /* to be sent to the host */
	uint16_t kind;
	int open;
	uint64_t file;
	struct buf held; /* an echo that has no credit yet; nor has the host for more */
	size_t held_at;
};

struct fake {
	int line;
	enum fake_manner manner;
	unsigned hellos;
	uint64_t nonce;
	struct channel_reader reader;
	/* A serial line. */
	struct link link;
	struct buf waits;
	size_t waits_at;
	uint64_t seed;
	bool is_mute;
	struct channel_guest guests[FAKE_GUESTS];
	unsigned n_guests;
	struct fake_stream streams[CHANNEL_STREAMS + 1];
};

static bool fake_is_serial(const struct fake *f)
{
	return f->manner == FAKE_LOSSY || f->manner == FAKE_MUTE;
}

/* What a bad line makes of it. */
static size_t fake_damage(struct fake *f, const void *bytes, size_t len, uint8_t *ret)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		f->seed = f->seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		const uint32_t dice = (uint32_t)(f->seed >> 33) % 120000;
		if (dice == 0 || f->is_mute)
			continue;
		ret[n++] = ((const uint8_t *)bytes)[i] ^ (dice == 1);
		if (dice == 2)
			ret[n++] = ((const uint8_t *)bytes)[i];
	}
	return n;
}

static void fake_write(struct fake *f, const void *bytes, size_t len)
{
	uint8_t left[2 * CHANNEL_QUIET_SENT];

	if (fake_is_serial(f)) {
		len = fake_damage(f, bytes, len, left);
		bytes = left;
	}
	(void)fd_write_all(f->line, bytes, len);
}

/* Packets, as many as may be under way. */
static void fake_pump(struct fake *f)
{
	const uint8_t *bytes;
	size_t len;

	for (;;) {
		if (f->waits.len > f->waits_at)
			f->waits_at += link_put(&f->link, f->waits.data + f->waits_at,
						f->waits.len - f->waits_at);
		len = link_out(&f->link, (uint64_t)clock_mono_ns(), &bytes);
		if (!len)
			break;
		fake_write(f, bytes, len);
		link_went(&f->link, len, (uint64_t)clock_mono_ns());
	}
	buf_shift(&f->waits, &f->waits_at);
}

static void fake_say(struct fake *f, enum channel_type type, uint32_t stream, const void *a,
		     size_t na, const void *b, size_t nb)
{
	uint8_t frame[CHANNEL_FRAME_MAX];
	size_t n = channel_frame_make(frame, type == CHANNEL_HELLO ? 0 : f->nonce, type, stream, a,
				      na, b, nb);

	if (f->manner == FAKE_NOISY && type != CHANNEL_HELLO)
		(void)fd_write_all(f->line, "STC# kernel: noise\n", 19);
	if (fake_is_serial(f) && type != CHANNEL_HELLO)
		(void)buf_add(&f->waits, frame, n);
	else
		fake_write(f, frame, n);
}

static void fake_hello(struct fake *f, const struct channel_frame *frame)
{
	static const uint8_t quiet[CHANNEL_QUIET_SENT];
	struct channel_hello hello;

	memcpy(&hello, frame->payload, sizeof(hello));
	if (f->manner == FAKE_DEAF && !f->hellos++)
		return;
	if (f->manner == FAKE_SLOW)
		(void)poll(NULL, 0, 100);
	f->nonce = hello.nonce;
	hello.boot = 4711;
	hello.version = f->manner == FAKE_NEWER ? CHANNEL_VERSION + 1 : CHANNEL_VERSION;
	channel_reader_key(&f->reader, f->nonce);
	memset(f->streams, 0, sizeof(f->streams));
	hello.flags = fake_is_serial(f) ? CHANNEL_HELLO_PACKETS : 0;
	f->waits_at = f->waits.len = 0;
	link_begin(&f->link, f->nonce, &f->reader);
	fake_write(f, quiet, sizeof(quiet));
	fake_say(f, CHANNEL_HELLO, 0, &hello, sizeof(hello), NULL, 0);
}

static void fake_reply(struct fake *f, uint32_t id, uint32_t status, const void *data, size_t len)
{
	const struct channel_reply reply = { .id = id, .status = status };

	fake_say(f, CHANNEL_REPLY, 0, &reply, sizeof(reply), data, len);
}

static struct channel_guest *fake_guest(struct fake *f, uint32_t id)
{
	return id && id <= f->n_guests && f->guests[id - 1].id ? &f->guests[id - 1] : NULL;
}

static uint32_t fake_add(struct fake *f, const char *name, size_t len, uint32_t flags)
{
	struct channel_guest *g = &f->guests[f->n_guests++];

	g->id = f->n_guests;
	g->state = CHANNEL_CREATED;
	g->flags = flags;
	(void)snprintf(g->name, sizeof(g->name), "%.*s", (int)len, name);
	return g->id;
}

static void fake_list(struct fake *f, uint32_t id, uint32_t after)
{
	struct channel_guest list[2];
	size_t n = 0;

	for (size_t i = 0; f->manner == FAKE_ENDLESS && i < 2; i++)
		list[n++] = (struct channel_guest){ .id = ++after, .state = CHANNEL_RUNS };
	for (unsigned i = after; i < f->n_guests && n < 2; i++) {
		if (f->guests[i].id)
			list[n++] = f->guests[i];
	}
	fake_reply(f, id, 0, list, n * sizeof(list[0]));
}

static void fake_stats(struct fake *f, uint32_t id, uint32_t guest)
{
	struct {
		struct channel_stats stats;
		uint64_t cpu[1];
		struct channel_exits exits[2];
	} s = { .stats = { .guest = guest,
			   .vcpus = 1,
			   .exits = 2,
			   .cpu_ns = 7,
			   .memory_bytes = 1 << 20,
			   .overhead_bytes = 4096 },
		.exits = { { "cpuid", 3 }, { "whatever", 2 } } };

	fake_reply(f, id, 0, &s, sizeof(s.stats) + sizeof(s.cpu) + sizeof(s.exits));
}

/* The server's console, three bytes at a time; the first FAKE_PRINTED_LOST are gone. */
static void fake_printed(struct fake *f, uint32_t id, const char *body, size_t len)
{
	static const char text[] = FAKE_PRINTED;
	struct channel_printed printed = { 0 };
	char reply[sizeof(printed) + 3];
	size_t n = 0;

	memcpy(&printed, body, len < sizeof(printed) ? len : sizeof(printed));
	if (printed.at < FAKE_PRINTED_LOST)
		printed.at = FAKE_PRINTED_LOST;
	while (n < 3 && text[printed.at - FAKE_PRINTED_LOST])
		reply[sizeof(printed) + n++] = text[printed.at++ - FAKE_PRINTED_LOST];
	if (f->manner == FAKE_LIAR)
		printed.at = n;
	memcpy(reply, &printed, sizeof(printed));
	fake_reply(f, id, 0, reply, sizeof(printed) + n);
}

static void fake_ended(struct fake *f, const struct channel_guest *g)
{
	const struct channel_event event = { .kind = CHANNEL_EVENT_ENDED };

	fake_say(f, CHANNEL_EVENT, 0, &event, sizeof(event), g, sizeof(*g));
}

static void fake_request(struct fake *f, const struct channel_frame *frame)
{
	struct channel_request head;
	uint32_t ref = 0;
	const size_t len = frame->len - sizeof(head);

	memcpy(&head, frame->payload, sizeof(head));
	const char *body = (const char *)frame->payload + sizeof(head);
	if (len == sizeof(ref))
		memcpy(&ref, body, sizeof(ref));
	struct channel_guest *g = fake_guest(f, ref);
	switch (head.verb) {
	case CHANNEL_INFO:
		fake_reply(f, head.id, 0, "info", 4);
		return;
	case CHANNEL_LIST:
		fake_list(f, head.id, ref);
		return;
	case CHANNEL_CREATE:
		ref = fake_add(f, body, len, 0);
		fake_reply(f, head.id, 0, &ref, sizeof(ref));
		return;
	case CHANNEL_PRINTED:
		fake_printed(f, head.id, body, len);
		return;
	default:
		break;
	}
	if (!g) {
		fake_reply(f, head.id, ENOENT, "no such guest", 13);
		return;
	}
	if (head.verb == CHANNEL_STATS) {
		fake_stats(f, head.id, ref);
		return;
	}
	if (head.verb == CHANNEL_DESTROY)
		g->id = 0;
	if (head.verb == CHANNEL_PAUSE)
		g->state = CHANNEL_PAUSED;
	f->is_mute |= f->manner == FAKE_MUTE && head.verb == CHANNEL_PAUSE;
	fake_reply(f, head.id, 0, NULL, 0);
	if (head.verb == CHANNEL_KILL)
		fake_ended(f, g);
}

static void fake_close(struct fake *f, uint32_t stream, uint32_t status, const char *text)
{
	const struct channel_closed closed = { .status = status };

	f->streams[stream].open = 0;
	buf_fini(&f->streams[stream].held);
	f->streams[stream].held_at = 0;
	fake_say(f, CHANNEL_CLOSE, stream, &closed, sizeof(closed), text, strlen(text));
}

static void fake_open(struct fake *f, const struct channel_frame *frame)
{
	const struct channel_credit credit = { .bytes = FAKE_CREDIT };
	static const uint8_t much[CHANNEL_PAYLOAD_MAX];
	struct channel_open open;

	memcpy(&open, frame->payload, sizeof(open));
	struct fake_stream *s = &f->streams[frame->stream];
	if (open.kind != CHANNEL_KIND_FILE && !fake_guest(f, open.guest)) {
		fake_close(f, frame->stream, ENOENT, "no such guest");
		return;
	}
	*s = (struct fake_stream){ .credit = open.credit, .kind = open.kind, .open = 1 };
	fake_say(f, CHANNEL_OPENED, frame->stream, &credit, sizeof(credit), NULL, 0);
	for (int i = 0; f->manner == FAKE_LIAR && i < 400; i++)
		fake_say(f, CHANNEL_DATA, frame->stream, much, sizeof(much), NULL, 0);
	if (f->manner == FAKE_LIAR) {
		fake_say(f, CHANNEL_CREDIT, frame->stream, NULL, 0, NULL, 0);
		fake_say(f, CHANNEL_DATA, 999, "x", 1, NULL, 0);
		fake_say(f, CHANNEL_REPLY, 0, "x", 1, NULL, 0);
	}
}

/* What came in goes back as there is credit for it, and only then may the host send more. */
static void fake_echo(struct fake *f, uint32_t id)
{
	struct fake_stream *s = &f->streams[id];

	while (s->credit && s->held.len > s->held_at) {
		size_t n = s->held.len - s->held_at;
		n = n < s->credit ? n : s->credit;
		n = n < CHANNEL_PAYLOAD_MAX ? n : CHANNEL_PAYLOAD_MAX;
		const struct channel_credit credit = { .bytes = (uint32_t)n };
		fake_say(f, CHANNEL_CREDIT, id, &credit, sizeof(credit), NULL, 0);
		fake_say(f, CHANNEL_DATA, id, s->held.data + s->held_at, n, NULL, 0);
		s->credit -= (uint32_t)n;
		s->held_at += n;
	}
	buf_shift(&s->held, &s->held_at);
}

static void fake_stream(struct fake *f, const struct channel_frame *frame)
{
	const struct channel_credit credit = { .bytes = frame->len };
	struct fake_stream *s = &f->streams[frame->stream];
	struct channel_credit more;

	if (!s->open)
		return;
	switch (frame->type) {
	case CHANNEL_DATA:
		if (s->kind == CHANNEL_KIND_FILE) {
			fake_say(f, CHANNEL_CREDIT, frame->stream, &credit, sizeof(credit), NULL,
				 0);
			return;
		}
		assert_int_equal(buf_add(&s->held, frame->payload, frame->len), 0);
		fake_echo(f, frame->stream);
		break;
	case CHANNEL_CREDIT:
		memcpy(&more, frame->payload, sizeof(more));
		s->credit += more.bytes;
		fake_echo(f, frame->stream);
		break;
	case CHANNEL_END:
		fake_say(f, CHANNEL_END, frame->stream, NULL, 0, NULL, 0);
		fake_close(f, frame->stream, 0, "");
		break;
	case CHANNEL_CLOSE:
		fake_close(f, frame->stream, 0, "");
		break;
	default:
		break;
	}
}

static void fake_take(struct fake *f, const struct channel_frame *frame)
{
	if (frame->type == CHANNEL_HELLO)
		fake_hello(f, frame);
	else if (frame->type == CHANNEL_REQUEST)
		fake_request(f, frame);
	else if (frame->type == CHANNEL_OPEN)
		fake_open(f, frame);
	else if (frame->stream && frame->stream <= CHANNEL_STREAMS)
		fake_stream(f, frame);
}

static void fake_packet(struct fake *f, const struct channel_frame *packet)
{
	struct channel_frame frame;
	enum channel_read got;

	link_take(&f->link, packet, (uint64_t)clock_mono_ns());
	while ((got = channel_reader_next(&f->link.reader, &frame)) != CHANNEL_READ_MORE) {
		if (got == CHANNEL_READ_FRAME)
			fake_take(f, &frame);
	}
}

/* Until there is something, which may be the link's turn. */
static void fake_await(struct fake *f)
{
	struct pollfd line = { .fd = f->line, .events = POLLIN };
	fake_pump(f);
	const uint64_t now = (uint64_t)clock_mono_ns(), due = link_due_ns(&f->link);
	(void)poll(&line, 1,
		   due == LINK_NEVER ? -1
		   : due <= now	     ? 0
				     : (int)((due - now) / NS_PER_MS) + 1);
}

static ssize_t fake_read(struct fake *f, uint8_t *ret, size_t room)
{
	uint8_t bytes[2048];

	if (!fake_is_serial(f))
		return read(f->line, ret, room);
	fake_await(f);
	ssize_t n = recv(f->line, bytes, sizeof(bytes), MSG_DONTWAIT);
	if (n > 0)
		n = (ssize_t)fake_damage(f, bytes, (size_t)n, ret);
	else if (n < 0 && errno == EAGAIN)
		errno = EINTR;
	else
		return n;
	if (n == 0)
		errno = EINTR;
	return n > 0 ? n : -1;
}

static _Noreturn void fake_main(int line, enum fake_manner manner)
{
	struct fake *f = calloc(1, sizeof(*f));
	struct channel_frame frame;
	uint8_t bytes[4096];
	enum channel_read got;
	ssize_t n;

	if (!f)
		_exit(1);
	f->line = line;
	f->manner = manner;
	channel_reader_init(&f->reader);
	if (manner == FAKE_NOISY)
		(void)fd_write_all(line, "STCHBIOS 1.0\r\nSTCH", 18);
	if (manner == FAKE_CROWDED) {
		(void)fake_add(f, "own", 3, CHANNEL_GUEST_SERVERS);
		(void)fake_add(f, "left", 4, 0);
	}
	if (fake_is_serial(f))
		channel_reader_line(&f->reader);
	while ((n = fake_read(f, bytes, sizeof(bytes))) > 0 || (n < 0 && errno == EINTR)) {
		for (size_t at = 0; n > 0 && at < (size_t)n;) {
			at += channel_reader_put(&f->reader, bytes + at, (size_t)n - at);
			while ((got = channel_reader_next(&f->reader, &frame)) !=
			       CHANNEL_READ_MORE) {
				if (got == CHANNEL_READ_FRAME && fake_is_serial(f) &&
				    frame.type != CHANNEL_HELLO)
					fake_packet(f, &frame);
				else if (got == CHANNEL_READ_FRAME)
					fake_take(f, &frame);
			}
		}
	}
	_exit(0);
}

pid_t fake_start(enum fake_manner manner, int *ret_line)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)signal(SIGPIPE, SIG_IGN);
		(void)close(pair[0]);
		fake_main(pair[1], manner);
	}
	fd_close(pair[1]);
	*ret_line = pair[0];
	return pid;
}

void fake_wait(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}
