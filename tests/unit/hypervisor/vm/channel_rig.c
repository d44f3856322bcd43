/* SPDX-License-Identifier: Apache-2.0 */
#include "hypervisor/vm/channel_rig.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/link.h"
#include "core/hv.h"
#include "core/page.h"
#include "core/timer.h"
#include "hypervisor/vm/channel_rig_floor.h"
#include "vm/channel.h"

#define OUT_ROOM (CHANNEL_QUIET_SENT + 8 * CHANNEL_FRAME_MAX)
#define IN_ROOM	 (CHANNEL_QUIET_SENT + 64 * CHANNEL_FRAME_MAX)

static struct {
	uint64_t now_ns;
	struct sched_entity *entity;
	void (*wake)(void);
	struct line line;
	bool is_deaf, woken, is_slow;
	uint8_t in[IN_ROOM];
	size_t in_at, in_len;
	size_t left_at; /* a client's end in what comes; 0: none */
	struct managed *guests;
	uint32_t last_id, n;
	/* the host */
	uint64_t nonce;
	struct channel_reader reader;
	bool is_greeted;
	/* and where the line is a serial one */
	bool is_serial;
	struct rig_damage damage;
	bool is_mute; /* nothing comes from the hypervisor */
	struct link link;
	uint8_t waits[IN_ROOM]; /* of the host's, for the link */
	size_t waits_at, waits_len;
	uint64_t timer_ns; /* the hypervisor's */
	struct hv_timer *timer;
	unsigned requests, replies, bad;
	uint32_t reply_id, reply_status;
	uint8_t reply[CHANNEL_PAYLOAD_MAX];
	struct rig_stream streams[CHANNEL_STREAMS + 1];
	uint32_t given[CHANNEL_STREAMS + 1]; /* credit of the host's that is left */
} rig;

/* Says which before the abort: the fuzzer's stack has no lines of inlined calls. */
static void must_at(bool holds, int line)
{
	if (holds)
		return;
	(void)fprintf(stderr, "channel_rig.c:%d: requests %u replies %u in %zu of %zu\n", line,
		      rig.requests, rig.replies, rig.in_at, rig.in_len);
	abort();
}
#define must(holds) must_at(holds, __LINE__)

/* ---- the hypervisor's floor ---- */

uint64_t clock_ns(void)
{
	return rig.now_ns += 1000;
}

void sched_add(struct sched_entity *entity)
{
	rig.entity = entity;
}

void sched_wake(struct sched_entity *entity)
{
	(void)entity;
	rig.woken = true;
}

bool sched_must_yield(void)
{
	return false;
}

void timer_arm(struct hv_timer *timer, uint64_t deadline_ns)
{
	rig.timer = timer;
	rig.timer_ns = deadline_ns;
}

/* ---- the line ---- */

static size_t line_read(struct line *line, void *ret, size_t room)
{
	size_t end = rig.left_at ? rig.left_at : rig.in_len;
	size_t n = end - rig.in_at < room ? end - rig.in_at : room;

	memcpy(ret, rig.in + rig.in_at, n);
	rig.in_at += n;
	if (rig.left_at && rig.in_at == rig.left_at) {
		rig.left_at = 0;
		line->was_closed = true;
	}
	return n;
}

static void host_heed(const struct channel_frame *f);

static void host_packet(const struct channel_frame *packet)
{
	struct channel_frame f;
	enum channel_read got;

	link_take(&rig.link, packet, rig.now_ns);
	while ((got = channel_reader_next(&rig.link.reader, &f)) != CHANNEL_READ_MORE) {
		must(got == CHANNEL_READ_FRAME && f.type != CHANNEL_HELLO);
		host_heed(&f);
	}
}

static size_t serial_write(struct line *line, const void *bytes, size_t len)
{
	struct channel_frame f;
	uint8_t came[32];
	enum channel_read got;
	size_t n = rig.is_deaf ? 0 : len < 16 ? len : 16;

	(void)line;
	rig.woken |= !rig.is_deaf && n < len;
	const size_t left = rig.is_mute ? 0 : rig_damage(&rig.damage, bytes, n, came);
	must(channel_reader_put(&rig.reader, came, left) == left);
	while ((got = channel_reader_next(&rig.reader, &f)) != CHANNEL_READ_MORE) {
		if (got == CHANNEL_READ_FRAME && f.type == CHANNEL_HELLO)
			host_heed(&f);
		else if (got == CHANNEL_READ_FRAME && rig.is_greeted)
			host_packet(&f);
	}
	return n;
}

static size_t line_write(struct line *line, const void *bytes, size_t len)
{
	struct channel_frame f;
	size_t n = rig.is_deaf ? 0 : len < 700 ? len : 700; /* in pieces */

	(void)line;
	rig.woken |= !rig.is_deaf && n < len;
	must(channel_reader_put(&rig.reader, bytes, n) == n);
	enum channel_read got;
	while ((got = channel_reader_next(&rig.reader, &f)) != CHANNEL_READ_MORE) {
		must(got == CHANNEL_READ_FRAME); /* it says nothing else */
		host_heed(&f);
	}
	return n;
}

static const struct line_ops line_ops = { .name = "a test",
					  .read = line_read,
					  .write = line_write };

static const struct line_ops serial_ops = {
	.name = "a serial test",
	.is_lossy = true,
	.read = line_read,
	.write = serial_write,
};

struct line *line_find(const struct boot_info *info, void (*wake)(void))
{
	(void)info;
	rig.line = (struct line){ .ops = rig.is_serial ? &serial_ops : &line_ops, .wake = wake };
	return &rig.line;
}

/* ---- guests ---- */

void managed_init(void (*wake)(void))
{
	rig.wake = wake;
}

void managed_wake(void)
{
	rig.wake();
}

int managed_new(const struct config_guest *config, bool is_servers, struct managed **ret,
		struct err *err)
{
	if (rig.n == 20)
		return err_say(err, ENOSPC, "no more");
	struct managed *m = page_alloc(3), **at = &rig.guests;
	m->config = *config;
	m->is_servers = is_servers;
	m->is_told = true;
	m->id = ++rig.last_id;
	while (*at)
		at = &(*at)->next;
	*at = m;
	rig.n++;
	*ret = m;
	return 0;
}

/* Odd names cannot be made. */
void managed_order(struct managed *m, enum managed_work work, uint32_t request, uint32_t session)
{
	m->job = (struct managed_job){ .state = rig.is_slow ? JOB_UNDER_WAY : JOB_DONE,
				       .request = request,
				       .session = session };
	m->is_going = m->job.is_gone = work == WORK_DESTROY;
	if (work != WORK_BUILD)
		return;
	m->state = CHANNEL_CREATED;
	if (m->config.name[0] == 'x') {
		(void)err_say(&m->job.err, ENOMEM, "no");
		m->job.is_gone = m->is_going = true;
	}
}

void managed_free(struct managed *m)
{
	struct managed **at = &rig.guests;

	must(!m->streams && m->job.state != JOB_UNDER_WAY);
	while (*at != m)
		at = &(*at)->next;
	*at = m->next;
	while (m->ends) {
		struct managed_end *end = m->ends;
		must(end->is_dropped);
		m->ends = end->next;
		pipe_close(&end->pipe);
		page_free(end, 0);
	}
	rig.n--;
	page_free(m, 3);
}

void rig_keeper(bool is_slow)
{
	rig.is_slow = is_slow;
	for (struct managed *m = rig.guests; m && !is_slow; m = m->next) {
		if (m->job.state == JOB_UNDER_WAY)
			m->job.state = JOB_DONE;
	}
	rig.woken = true;
}

void rig_end(uint32_t guest)
{
	for (struct managed *m = rig.guests; m; m = m->next) {
		if (m->id != guest)
			continue;
		m->is_servers = true;
		m->state = CHANNEL_ENDED;
		m->is_told = false;
	}
	rig.woken = true;
}

struct managed *managed_find(uint32_t id)
{
	struct managed *m = rig.guests;

	while (m && (m->id != id || m->is_going || m->job.state))
		m = m->next;
	return m;
}

bool managed_next(uint32_t after, struct channel_guest *ret)
{
	for (struct managed *m = rig.guests; m; m = m->next) {
		if (m->id <= after || m->is_going || m->job.state)
			continue;
		managed_describe(m, ret);
		return true;
	}
	return false;
}

unsigned managed_count(void)
{
	return rig.n;
}

void managed_describe(const struct managed *m, struct channel_guest *ret)
{
	*ret = (struct channel_guest){ .id = m->id, .state = (uint16_t)m->state };
}

struct managed *managed_first_job(void)
{
	struct managed *m = rig.guests;

	while (m && m->job.state != JOB_DONE)
		m = m->next;
	return m;
}

struct managed *managed_first_end(void)
{
	struct managed *m = rig.guests;

	while (m && m->is_told)
		m = m->next;
	return m;
}

static int state_set(struct managed *m, uint32_t from, uint32_t to, struct err *err)
{
	if (m->state != from)
		return err_say(err, EINVAL, "it is not so");
	m->state = to;
	return 0;
}

int managed_start(struct managed *m, struct err *err)
{
	return state_set(m, CHANNEL_CREATED, CHANNEL_RUNS, err);
}

int managed_kill(struct managed *m, struct err *err)
{
	int r = state_set(m, CHANNEL_RUNS, CHANNEL_ENDED, err);

	m->is_told = r < 0;
	return r;
}

int managed_button(struct managed *m, struct err *err)
{
	(void)m;
	return err_say(err, EAGAIN, "it does not listen");
}

int managed_pause(struct managed *m, struct err *err)
{
	return state_set(m, CHANNEL_RUNS, CHANNEL_PAUSED, err);
}

int managed_resume(struct managed *m, struct err *err)
{
	return state_set(m, CHANNEL_PAUSED, CHANNEL_RUNS, err);
}

int managed_update(struct managed *m, const struct channel_update *update, struct err *err)
{
	(void)update;
	return state_set(m, CHANNEL_RUNS, CHANNEL_RUNS, err);
}

size_t managed_stats(struct managed *m, uint8_t *ret)
{
	memset(ret, (int)m->id, CHANNEL_PAYLOAD_MAX - sizeof(struct channel_reply));
	return CHANNEL_PAYLOAD_MAX - sizeof(struct channel_reply);
}

/* What it gets it sends back. */
static void pipe_echo(struct pipe *p)
{
	uint8_t bytes[1000];
	bool wake;
	int64_t n = pipe_guest_read(p, bytes, sizeof(bytes), &wake);

	if (n == -EPIPE)
		pipe_guest_end(p);
	for (int64_t at = 0; at < n;) {
		size_t part = pipe_guest_write(p, bytes + at, (size_t)(n - at), &wake);
		if (!part)
			break; /* lost: it is a bad guest */
		at += (int64_t)part;
	}
	rig.woken |= n > 0;
}

void managed_ask(struct managed *m)
{
	for (unsigned i = 0; i < m->config.n_ports; i++)
		pipe_echo(&m->ports[i].pipe);
	for (struct managed_end *end = m->ends; end; end = end->next) {
		if (end->is_dropped)
			continue;
		/* Port 9 refuses; the others take one. */
		end->error = end->port == 9 ? ECONNREFUSED : 0;
		if (end->state == END_ASKED)
			end->state = end->port == 9 ? END_REFUSED : END_OPEN;
		pipe_echo(&end->pipe);
		if (pipe_is_over(&end->pipe))
			end->state = END_OVER;
		rig.woken = true;
	}
}

size_t managed_console(struct managed *m, uint64_t *at, uint8_t *ret, size_t room)
{
	size_t n = 0;

	m->console_written = 50000;
	if (*at < m->console_written - CHANNEL_CONSOLE_KEEPS)
		*at = m->console_written - CHANNEL_CONSOLE_KEEPS;
	while (n < room && *at < m->console_written)
		ret[n++] = (uint8_t)(*at)++;
	return n;
}

bool managed_has_ended(const struct managed *m)
{
	return m->state == CHANNEL_ENDED;
}

struct managed_port *managed_port(struct managed *m, const char *name)
{
	for (unsigned i = 0; i < m->config.n_ports; i++) {
		if (strcmp(m->config.ports[i], name) == 0)
			return &m->ports[i];
	}
	return NULL;
}

int managed_end_new(struct managed *m, uint32_t port, struct managed_end **ret, struct err *err)
{
	if (!m->config.has_vsock || m->n_ends == MANAGED_ENDS)
		return err_say(err, ENODEV, "no");
	struct managed_end *end = page_alloc(0);
	must(pipe_open(&end->pipe) == 0);
	end->port = port;
	end->next = m->ends;
	m->ends = end;
	m->n_ends++;
	*ret = end;
	managed_ask(m);
	return 0;
}

void managed_end_drop(struct managed *m, struct managed_end *end)
{
	struct managed_end **at = &m->ends;

	while (*at != end)
		at = &(*at)->next;
	*at = end->next;
	m->n_ends--;
	pipe_close(&end->pipe);
	page_free(end, 0);
}

/* ---- the host ---- */

static void host_stream(const struct channel_frame *f)
{
	must(f->stream && f->stream <= CHANNEL_STREAMS);
	struct rig_stream *s = &rig.streams[f->stream];
	if (s->is_confused)
		return;
	must(s->is_open);
	must(f->type == CHANNEL_CLOSE || (f->type == CHANNEL_OPENED) != s->is_opened);
	if (f->type == CHANNEL_OPENED || f->type == CHANNEL_CREDIT) {
		must(f->len == 4);
		s->is_opened = true;
		uint32_t more;
		memcpy(&more, f->payload, 4);
		s->credit += more;
		must(s->credit <= CHANNEL_FILE_WINDOW);
	} else if (f->type == CHANNEL_DATA) {
		must(f->len && f->len <= rig.given[f->stream]);
		rig.given[f->stream] -= f->len;
		s->got += f->len;
		s->last_len = f->len;
		memcpy(s->last, f->payload, f->len);
	} else if (f->type == CHANNEL_CLOSE) {
		must(f->len >= 4);
		memcpy(&s->status, f->payload, 4);
		must(!s->status || f->len > 4);
		s->is_open = s->is_opened = false;
	} else {
		must((f->type == CHANNEL_END && !f->len) ||
		     (f->type == CHANNEL_LOST && f->len == 8));
	}
}

static void host_heed(const struct channel_frame *f)
{
	struct channel_hello hello;
	struct channel_reply reply;

	if (f->type == CHANNEL_HELLO) {
		must(f->len == sizeof(hello));
		memcpy(&hello, f->payload, sizeof(hello));
		must(rig.is_serial || hello.nonce == rig.nonce);
		must(hello.boot && hello.flags == (rig.is_serial ? CHANNEL_HELLO_PACKETS : 0));
		if (hello.nonce != rig.nonce || rig.is_greeted)
			return; /* an answer to an older one */
		channel_reader_key(&rig.reader, rig.nonce);
		rig.is_greeted = true;
		if (!rig.is_serial)
			return;
		channel_reader_line(&rig.reader);
		link_begin(&rig.link, rig.nonce, &rig.reader);
	} else if (f->type == CHANNEL_REPLY) {
		must(!f->stream && f->len >= sizeof(reply));
		memcpy(&reply, f->payload, sizeof(reply));
		must(!reply.status || f->len > sizeof(reply));
		rig.replies++;
		rig.reply_id = reply.id;
		rig.reply_status = reply.status;
		memcpy(rig.reply, f->payload + sizeof(reply), f->len - sizeof(reply));
	} else if (f->type == CHANNEL_EVENT) {
		must(!f->stream && f->len > sizeof(struct channel_event));
		rig.bad += f->payload[0] == CHANNEL_EVENT_BAD;
	} else {
		host_stream(f);
	}
}

struct rig_stream *rig_stream(uint32_t id)
{
	return &rig.streams[id];
}

unsigned rig_bad_events(void)
{
	return rig.bad;
}

/* What OPEN and CREDIT mean to the host, if the hypervisor takes them as they are meant. */
static void host_sent(enum channel_type type, uint32_t stream, const void *payload, size_t len)
{
	struct channel_open open;
	uint32_t more;

	if (type == CHANNEL_REQUEST && !stream && len >= sizeof(struct channel_request))
		rig.requests++;
	if (!stream || stream > CHANNEL_STREAMS)
		return;
	if (type == CHANNEL_OPEN && rig.streams[stream].is_open) {
		rig.streams[stream].is_confused = true;
	} else if (type == CHANNEL_OPEN) {
		rig.streams[stream] = (struct rig_stream){ .is_open = true };
		rig.given[stream] = 0;
		if (len >= sizeof(open)) {
			memcpy(&open, payload, sizeof(open));
			rig.given[stream] = open.credit;
		}
	} else if (type == CHANNEL_CREDIT && len == 4) {
		memcpy(&more, payload, 4);
		rig.given[stream] = more > UINT32_MAX - rig.given[stream]
					    ? UINT32_MAX
					    : rig.given[stream] + more;
	}
}

void rig_raw(const void *bytes, size_t len)
{
	if (rig.in_at == rig.in_len)
		rig.in_at = rig.in_len = 0;
	must(len <= IN_ROOM - rig.in_len);
	memcpy(rig.in + rig.in_len, bytes, len);
	rig.in_len += len;
}

void rig_frame(enum channel_type type, uint32_t stream, const void *payload, size_t len)
{
	uint8_t frame[CHANNEL_FRAME_MAX];
	size_t n = channel_frame_make(frame, type == CHANNEL_HELLO ? 0 : rig.nonce, type, stream,
				      payload, len, NULL, 0);

	host_sent(type, stream, payload, len);
	if (!rig.is_serial || type == CHANNEL_HELLO) {
		rig_raw(frame, n);
		return;
	}
	if (rig.waits_at == rig.waits_len)
		rig.waits_at = rig.waits_len = 0;
	must(n <= sizeof(rig.waits) - rig.waits_len);
	memcpy(rig.waits + rig.waits_len, frame, n);
	rig.waits_len += n;
}

/* The host's packets, onto the line. */
static void serial_say(void)
{
	uint8_t came[2 * sizeof(rig.link.out)];
	const uint8_t *bytes;
	size_t len;

	rig.waits_at += link_put(&rig.link, rig.waits + rig.waits_at, rig.waits_len - rig.waits_at);
	while (rig.in_len - rig.in_at < 8192 && (len = link_out(&rig.link, rig.now_ns, &bytes))) {
		rig_raw(came, rig_damage(&rig.damage, bytes, len, came));
		link_went(&rig.link, len, rig.now_ns);
		rig.woken = true;
	}
}

/* Nothing happens any more until one of the two has waited long enough. */
static void serial_wait(void)
{
	uint64_t due = link_due_ns(&rig.link);

	if (rig.timer && rig.timer_ns < due)
		due = rig.timer_ns;
	if (due == LINK_NEVER)
		return;
	rig.now_ns = due > rig.now_ns ? due : rig.now_ns;
	if (rig.timer && rig.timer_ns <= rig.now_ns) {
		struct hv_timer *timer = rig.timer;
		rig.timer = NULL;
		timer->fired(timer);
	}
	rig.woken = true;
}

/* The line is a serial one: until all has arrived, or for so many waits. */
static void serial_run(unsigned waits)
{
	for (unsigned i = 0; i < waits; i++) {
		do {
			rig.woken = false;
			while (rig.entity->run(rig.entity, rig.now_ns + 100000000) == SCHED_YIELD)
				;
			for (struct managed *m = rig.guests; m; m = m->next)
				managed_ask(m);
			serial_say();
		} while (rig.woken);
		serial_wait();
		if (!rig.woken)
			break;
	}
	must(rig.damage.is_out || rig.is_mute || rig.is_deaf || !rig.is_greeted ||
	     (rig.waits_at == rig.waits_len && (rig.is_slow || rig.replies == rig.requests)));
}

void rig_run(void)
{
	unsigned turns = 0;

	if (rig.is_serial) {
		serial_run(rig.damage.is_out ? 20 : 3000);
		return;
	}
	do {
		rig.woken = false;
		while (rig.entity->run(rig.entity, rig.now_ns + 100000000) == SCHED_YIELD)
			must(++turns < 100000);
		for (struct managed *m = rig.guests; m; m = m->next)
			managed_ask(m);
		must(++turns < 100000);
	} while (rig.woken && turns < 1000);
	must(rig.is_deaf || rig.in_at == rig.in_len);
	must(rig.is_deaf || rig.is_slow || rig.replies == rig.requests);
}

void rig_deaf(bool is_deaf)
{
	rig.is_deaf = is_deaf;
}

uint32_t rig_request(enum channel_verb verb, const void *body, size_t len, void *ret)
{
	uint8_t payload[CHANNEL_PAYLOAD_MAX];
	const struct channel_request head = { .id = 1000 + rig.requests, .verb = (uint16_t)verb };

	memcpy(payload, &head, sizeof(head));
	if (len)
		memcpy(payload + sizeof(head), body, len);
	rig_frame(CHANNEL_REQUEST, 0, payload, sizeof(head) + len);
	rig_run();
	must(rig.reply_id == head.id);
	if (ret)
		memcpy(ret, rig.reply, sizeof(rig.reply));
	return rig.reply_status;
}

/* HELLO may be lost as well: until there is an answer. */
static void serial_connect(void)
{
	static const uint8_t zeroes[CHANNEL_QUIET_SENT];
	static uint8_t came[2 * sizeof(zeroes)];
	struct channel_hello hello = { .version = CHANNEL_VERSION };

	rig.is_deaf = rig.is_greeted = false;
	rig.requests = rig.replies = 0;
	rig.waits_at = rig.waits_len = 0;
	rig.nonce = rig.nonce * 3 + RIG_NONCE;
	memset(rig.streams, 0, sizeof(rig.streams));
	link_begin(&rig.link, 0, &rig.reader);
	for (unsigned tries = 0; !rig.is_greeted; tries++) {
		uint8_t frame[CHANNEL_FRAME_MAX];
		must(tries < 100);
		channel_reader_init(&rig.reader);
		rig.reader.quiet_least = 0;
		hello.nonce = ++rig.nonce;
		const size_t n = channel_frame_make(frame, 0, CHANNEL_HELLO, 0, &hello,
						    sizeof(hello), NULL, 0);
		rig_raw(came, rig_damage(&rig.damage, zeroes, sizeof(zeroes), came));
		rig_raw(came, rig_damage(&rig.damage, frame, n, came));
		serial_run(1);
	}
}

void rig_serial(unsigned one_in)
{
	rig.is_serial = true;
	rig.damage.one_in = one_in;
}

size_t rig_silence(void)
{
	const uint64_t end = rig.now_ns + 900 * UINT64_C(1000000000);

	rig.is_mute = true;
	serial_run(1);
	rig.damage.is_out = true;
	while (rig.now_ns < end) {
		rig.now_ns += 1000000000;
		serial_run(1);
	}
	rig.damage.is_out = rig.is_mute = false;
	return rig_taken();
}

void rig_cable(bool is_out)
{
	rig.damage.is_out = is_out;
}

void rig_connect(void)
{
	static const uint8_t zeroes[CHANNEL_QUIET_SENT];
	struct channel_hello hello = { .version = CHANNEL_VERSION };

	if (rig.is_serial) {
		serial_connect();
		return;
	}

	hello.nonce = rig.nonce = rig.nonce * 3 + RIG_NONCE;
	rig.is_deaf = rig.is_greeted = false;
	rig.line.was_closed =
		true; /* so that what it had to say to the former is not said to this one */
	rig.in_at = rig.in_len = 0;
	rig.requests = rig.replies = 0;
	rig_run();
	channel_reader_init(&rig.reader);
	memset(rig.streams, 0, sizeof(rig.streams));
	rig_raw(zeroes, sizeof(zeroes));
	rig_frame(CHANNEL_HELLO, 0, &hello, sizeof(hello));
	rig_run();
	must(rig.is_greeted);
}

void rig_follow(const void *last, size_t len)
{
	static const uint8_t zeroes[CHANNEL_QUIET_SENT];
	struct channel_hello hello = { .version = CHANNEL_VERSION };

	rig_raw(last, len);
	rig.left_at = rig.in_len;
	hello.nonce = rig.nonce = rig.nonce * 3 + RIG_NONCE;
	rig.is_greeted = false;
	channel_reader_init(&rig.reader);
	rig_raw(zeroes, sizeof(zeroes));
	rig_frame(CHANNEL_HELLO, 0, &hello, sizeof(hello));
	rig_run();
	must(rig.is_greeted);
}

size_t rig_clear(void)
{
	uint32_t after = 0;
	struct channel_file file;
	struct channel_guest guest = { .id = 0 };

	rig_connect();
	while (managed_next(guest.id, &guest))
		must(rig_request(CHANNEL_DESTROY, &guest.id, sizeof(guest.id), NULL) == 0);
	while (hv_file_next(after, &file)) {
		after = file.number;
		must(rig_request(CHANNEL_FILE_DROP, file.name, strlen(file.name), NULL) == 0);
	}
	rig.last_id = 0; /* so that the next input finds the numbers that it knows */
	return rig_taken();
}

void rig_init(void)
{
	static const struct boot_info info; /* no files */

	channel_reader_init(&rig.reader);
	hv_channel_start(&info);
	rig_connect();
}
