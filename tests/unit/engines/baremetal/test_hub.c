/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/baremetal/hub.h"

#include "scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/core/macros.h"
#include "base/os/fd.h"
#include "base/os/loop.h"
#include "engines/baremetal/chan.h"
#include "engines/baremetal/hv_ask.h"

#include "hv_fake.h"

#define SOCKET "channel"

struct scene {
	pid_t fake, hub;
	int dir, line;
};

struct client {
	struct loop *loop;
	struct chan chan;
	bool lost;
};

static void client_lost(struct chan *chan, const struct err *why)
{
	(void)why;
	container_of(chan, struct client, chan)->lost = true;
}

static const struct chan_events client_events = { .lost = client_lost };

static int scene_listen(const struct scratch *scratch)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	(void)snprintf(at.sun_path, sizeof(at.sun_path), "%.80s/" SOCKET, scratch->path);
	(void)unlink(at.sun_path);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(fd, 64), 0);
	return fd;
}

static struct scene scene_new(void **state, enum fake_manner manner, unsigned linger_ms)
{
	const struct scratch *scratch = *state;
	struct scene s = { .dir = open(scratch->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) };
	struct hub_config config = { .listener = scene_listen(scratch),
				     .hello_ms = 1000,
				     .ready_ms = 100000,
				     .ask_ms = manner == FAKE_MUTE ? 100 : 10000,
				     .deaf_ms = manner == FAKE_MUTE ? 1000 : 60000,
				     .linger_ms = linger_ms,
				     .stop = -EBADF };

	s.fake = fake_start(manner, &s.line);
	config.line = s.line;
	s.hub = fork();
	if (s.hub == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(hub_run(&config, NULL) < 0 ? 3 : 0);
	}
	fd_close(config.listener);
	fd_close(s.line);
	return s;
}

static int scene_hub_end(const struct scene *s)
{
	int status;

	assert_int_equal(waitpid(s->hub, &status, 0), s->hub);
	fd_close(s->dir);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Everything is over, and the hypervisor's end with it. */
static void scene_free(const struct scene *s)
{
	(void)kill(s->hub, SIGKILL); /* our child */
	(void)scene_hub_end(s);
	fake_wait(s->fake);
}

static struct client *client_new(const struct scene *s)
{
	struct client *c = test_calloc(1, sizeof(*c));

	assert_int_equal(loop_create(&c->loop, NULL), 0);
	assert_int_equal(chan_connect(&c->chan, s->dir, SOCKET, c->loop, &client_events, NULL), 0);
	return c;
}

static void client_free(struct client *c)
{
	chan_fini(&c->chan);
	loop_free(c->loop);
	test_free(c);
}

static uint32_t client_create(struct client *c, const char *name)
{
	AUTO(buf_fini) struct buf data = { 0 };
	uint32_t guest;

	assert_int_equal(chan_call(&c->chan, CHANNEL_CREATE, name, strlen(name), &data, NULL), 0);
	assert_int_equal(data.len, sizeof(guest));
	memcpy(&guest, data.data, sizeof(guest));
	return guest;
}

/* "own left a ": the names of the hypervisor's guests. */
static void client_names(struct client *c, char ret[512])
{
	AUTO(buf_fini) struct buf list = { 0 };
	struct channel_after after = { 0 };
	struct channel_guest g;

	ret[0] = '\0';
	for (;;) {
		assert_int_equal(
			chan_call(&c->chan, CHANNEL_LIST, &after, sizeof(after), &list, NULL), 0);
		if (!list.len)
			return;
		for (size_t at = 0; at < list.len; at += sizeof(g)) {
			memcpy(&g, list.data + at, sizeof(g));
			after.after = g.id;
			(void)snprintf(ret + strlen(ret), 512 - strlen(ret), "%s ", g.name);
		}
	}
}

/* What goes when a client goes is gone when the hub says so, not at once. */
static void client_await_names(struct client *c, const char *names)
{
	char now[512];

	do {
		client_names(c, now);
	} while (strcmp(now, names) != 0);
}

static void clients_have_numbers_of_their_own(void **state)
{
	const struct scene s = scene_new(state, FAKE_NORMAL, 0);
	struct client *a = client_new(&s), *b = client_new(&s);
	char names[512];

	assert_int_equal(client_create(a, "a"), 1);
	assert_int_equal(client_create(b, "b"), 2);
	client_names(a, names);
	assert_string_equal(names, "a b ");
	assert_int_equal(a->chan.boot, 4711);
	client_free(a);
	client_free(b);
	scene_free(&s);
}

static void what_a_client_created_goes_with_it(void **state)
{
	const struct scene s = scene_new(state, FAKE_NORMAL, 0);
	struct client *a = client_new(&s), *b = client_new(&s);

	(void)client_create(a, "a1");
	(void)client_create(b, "b1");
	(void)client_create(a, "a2");
	client_free(a);
	client_await_names(b, "b1 ");
	client_free(b);
	scene_free(&s);
}

static void what_a_client_destroyed_is_not_destroyed_again(void **state)
{
	const struct scene s = scene_new(state, FAKE_NORMAL, 0);
	struct client *a = client_new(&s);
	const struct channel_ref ref = { .guest = client_create(a, "a") };

	assert_int_equal(chan_call(&a->chan, CHANNEL_DESTROY, &ref, sizeof(ref), NULL, NULL), 0);
	assert_int_equal(chan_call(&a->chan, CHANNEL_DESTROY, &ref, sizeof(ref), NULL, NULL),
			 -ENOENT);
	client_free(a);
	scene_free(&s);
}

static void guests_of_a_hub_that_was_killed_go_and_the_server_s_stay(void **state)
{
	const struct scene s = scene_new(state, FAKE_CROWDED, 0);
	struct client *a = client_new(&s);

	client_await_names(a, "own ");
	client_free(a);
	scene_free(&s);
}

struct echo {
	struct chan_stream stream;
	size_t got, sent;
	bool closed;
	char last;
};

static void echo_pump(struct chan_stream *stream)
{
	struct echo *e = container_of(stream, struct echo, stream);

	while (e->sent < 100000 && chan_stream_send(stream, &e->last, 1) == 1)
		e->sent++;
	if (e->sent == 100000)
		chan_stream_end(stream);
	e->sent += e->sent == 100000;
}

static void echo_data(struct chan_stream *stream, const void *data, size_t len)
{
	struct echo *e = container_of(stream, struct echo, stream);
	const char *bytes = data;

	for (size_t i = 0; i < len; i++)
		assert_int_equal(bytes[i], e->last);
	e->got += len;
	chan_stream_credit(stream, (uint32_t)len);
}

static void echo_closed(struct chan_stream *stream, uint32_t status, const char *text)
{
	(void)text;
	assert_int_equal(status, 0);
	container_of(stream, struct echo, stream)->closed = true;
}

static const struct chan_stream_events echo_events = {
	.opened = echo_pump,
	.room = echo_pump,
	.data = echo_data,
	.closed = echo_closed,
};

static void two_streams(void **state, enum fake_manner manner)
{
	const struct scene s = scene_new(state, manner, 0);
	struct client *clients[] = { client_new(&s), client_new(&s) };
	struct channel_open open = { .kind = CHANNEL_KIND_CONSOLE, .credit = 65536 };
	struct echo echoes[] = { { .last = 'x' }, { .last = 'y' } };

	open.guest = client_create(clients[0], "a");
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(chan_stream_open(&clients[i]->chan, &echoes[i].stream,
						  &echo_events, &open, ""),
				 0);
		assert_int_equal(echoes[i].stream.id, 1); /* both */
	}
	while (!echoes[0].closed || !echoes[1].closed) {
		for (size_t i = 0; i < 2; i++)
			assert_true(loop_run_once(clients[i]->loop, 1, NULL) >= 0);
	}
	assert_int_equal(echoes[0].got, 100000);
	assert_int_equal(echoes[1].got, 100000);
	client_free(clients[0]);
	client_free(clients[1]);
	scene_free(&s);
}

static void streams_of_two_clients_do_not_meet(void **state)
{
	two_streams(state, FAKE_NOISY);
}

/* Bytes that were lost were missing, and their stream waited for ever. */
static void streams_lose_nothing_on_a_bad_line(void **state)
{
	two_streams(state, FAKE_LOSSY);
}

static void replied(void *arg, uint32_t status, const void *data, size_t len)
{
	(void)data;
	(void)len;
	assert_int_equal(status, 0);
	(*(unsigned *)arg)++;
}

static void many_requests(void **state, enum fake_manner manner)
{
	const struct scene s = scene_new(state, manner, 0);
	struct client *clients[8];
	unsigned answers = 0;

	for (size_t i = 0; i < 8; i++)
		clients[i] = client_new(&s);
	for (size_t i = 0; i < 8; i++) {
		for (unsigned k = 0; k < CHANNEL_REQUESTS_MAX; k++)
			assert_int_equal(chan_request(&clients[i]->chan, CHANNEL_INFO, NULL, 0,
						      replied, &answers),
					 0);
	}
	while (answers < 8 * CHANNEL_REQUESTS_MAX) {
		for (size_t i = 0; i < 8; i++)
			assert_true(loop_run_once(clients[i]->loop, 1, NULL) >= 0);
	}
	for (size_t i = 0; i < 8; i++)
		client_free(clients[i]);
	scene_free(&s);
}

static int raw_connect(const struct scene *s)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(to.sun_path, sizeof(to.sun_path), "/proc/self/fd/%d/" SOCKET, s->dir);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

static void more_requests_than_the_line_takes_wait_and_all_are_answered(void **state)
{
	many_requests(state, FAKE_NORMAL);
}

static void all_requests_are_answered_on_a_bad_line(void **state)
{
	many_requests(state, FAKE_LOSSY);
}

static void raw_hello(int fd, uint64_t nonce)
{
	static const uint8_t quiet[CHANNEL_QUIET_SENT];
	const struct channel_hello hello = { .version = CHANNEL_VERSION, .nonce = nonce };
	uint8_t frame[CHANNEL_FRAME_MAX];
	size_t n = channel_frame_make(frame, 0, CHANNEL_HELLO, 0, &hello, sizeof(hello), NULL, 0);

	assert_int_equal(fd_write_all(fd, quiet, sizeof(quiet)), 0);
	assert_int_equal(fd_write_all(fd, frame, n), 0);
}

static void raw_await_end(int fd)
{
	char bytes[4096];

	while (read(fd, bytes, sizeof(bytes)) > 0)
		;
	fd_close(fd);
}

static void a_client_that_sends_nonsense_is_cut_off_and_others_go_on(void **state)
{
	static const struct {
		enum channel_type type;
		uint32_t stream;
		size_t len;
		const char *bytes;
	} cases[] = {
		{ CHANNEL_REQUEST, 0, 3, "abc" },    { CHANNEL_REQUEST, 5, 8, "abcdefgh" },
		{ CHANNEL_OPEN, 0, 24, "" },	     { CHANNEL_OPEN, 1, 2, "ab" },
		{ CHANNEL_REPLY, 0, 0, "" },	     { CHANNEL_EVENT, 0, 0, "" },
		{ (enum channel_type)77, 0, 0, "" }, { CHANNEL_DATA, 0, 1, "x" },
		{ CHANNEL_HELLO, 0, 24, "" },
	};
	const struct scene s = scene_new(state, FAKE_NORMAL, 0);
	struct client *good = client_new(&s);
	uint8_t frame[CHANNEL_FRAME_MAX], body[64] = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int fd = raw_connect(&s);
		raw_hello(fd, 99);
		memcpy(body, cases[i].bytes, strlen(cases[i].bytes));
		size_t n = channel_frame_make(frame, cases[i].type == CHANNEL_HELLO ? 0 : 99,
					      cases[i].type, cases[i].stream, body, cases[i].len,
					      NULL, 0);
		if (cases[i].type == CHANNEL_HELLO)
			raw_hello(fd, 98); /* once is enough */
		else
			(void)fd_write_all(fd, frame, n); /* cut off while it writes is as good */
		raw_await_end(fd);
		assert_int_equal(chan_call(&good->chan, CHANNEL_INFO, NULL, 0, NULL, NULL), 0);
	}
	/* A frame that is damaged. */
	int fd = raw_connect(&s);
	raw_hello(fd, 99);
	size_t n = channel_frame_make(frame, 99, CHANNEL_REQUEST, 0, body, 8, NULL, 0);
	frame[20] ^= 1;
	(void)fd_write_all(fd, frame, n);
	raw_await_end(fd);
	client_free(good);
	scene_free(&s);
}

static void a_client_without_hello_gets_nothing(void **state)
{
	const struct scene s = scene_new(state, FAKE_NORMAL, 0);
	struct client *good = client_new(&s);
	uint8_t frame[CHANNEL_FRAME_MAX], body[8] = { 1, 0, 0, 0, CHANNEL_INFO };
	int fd = raw_connect(&s);

	size_t n = channel_frame_make(frame, 0, CHANNEL_REQUEST, 0, body, sizeof(body), NULL, 0);
	assert_int_equal(fd_write_all(fd, frame, n), 0);
	raw_await_end(fd);
	client_free(good);
	scene_free(&s);
}

static void a_hub_that_nobody_needs_ends(void **state)
{
	const struct scene s = scene_new(state, FAKE_NORMAL, 1);

	assert_int_equal(scene_hub_end(&s), 0);
	fake_wait(s.fake);
}

static void a_hypervisor_that_is_gone_ends_the_hub_and_its_clients(void **state)
{
	const struct scene s = scene_new(state, FAKE_NORMAL, 0);
	struct client *a = client_new(&s);

	(void)kill(s.fake, SIGKILL); /* our child */
	while (!a->lost)
		assert_true(loop_run_once(a->loop, 100000, NULL) >= 0);
	assert_int_equal(scene_hub_end(&s), 3);
	(void)waitpid(s.fake, NULL, 0);
	client_free(a);
}

/* Neither the request nor the session ended. */
static void a_line_that_goes_silent_is_an_error_for_whoever_waits(void **state)
{
	const struct scene s = scene_new(state, FAKE_MUTE, 0);
	struct client *c = client_new(&s), *other = client_new(&s);
	const struct channel_ref ref = { .guest = client_create(c, "a") };
	struct err err = { 0 };

	assert_int_equal(chan_call(&c->chan, CHANNEL_PAUSE, &ref, sizeof(ref), NULL, &err), -EPIPE);
	assert_string_equal(err.text, "the hypervisor is gone");
	while (!other->lost) /* who asked nothing is told as well */
		assert_true(loop_run_once(other->loop, 100000, NULL) >= 0);
	client_free(c);
	client_free(other);
	assert_int_equal(scene_hub_end(&s), 3);
	fake_wait(s.fake);
}

static void a_list_without_an_end_ends_the_hub(void **state)
{
	const struct scene s = scene_new(state, FAKE_ENDLESS, 0);

	assert_int_equal(scene_hub_end(&s), 3);
	fake_wait(s.fake);
}

static void figures_of_several_guests_take_one_session(void **state)
{
	const struct scene s = scene_new(state, FAKE_CROWDED, 0);
	struct stats_session session = { .of = NULL };
	struct guest_stats stats = { 0 };
	struct channel_guest guest;
	struct hv_ask *ask, *again;

	for (int i = 0; i < 3; i++) {
		assert_int_equal(hv_ask_shared(&session, s.dir, i ? &again : &ask, NULL), 0);
		assert_int_equal(hv_ask_guest(ask, "own", &guest, NULL), 0);
		assert_int_equal(hv_ask_stats(ask, guest.id, &stats, NULL), 0);
		assert_int_equal(stats.cpu_ns, 7);
		assert_true(!i || again == ask);
	}
	/* One that is gone is not kept. */
	(void)kill(s.hub, SIGKILL);
	assert_int_equal(hv_ask_guest(ask, "own", &guest, NULL), -EPIPE);
	assert_true(hv_ask_shared(&session, s.dir, &again, NULL) < 0);
	assert_null(session.of);
	stats_session_close(&session);
	scene_free(&s);
}

static void the_server_s_console_is_read_to_its_end_and_made_clean(void **state)
{
	const struct scene s = scene_new(state, FAKE_NORMAL, 0);
	AUTO(buf_fini) struct buf text = { 0 };
	uint64_t at = 0, lost = 0, all = 0;
	struct hv_ask ask;
	size_t had;

	assert_int_equal(hv_ask_open(&ask, s.dir, NULL), 0);
	do {
		had = text.len;
		assert_int_equal(hv_ask_printed(&ask, &at, &text, &lost, NULL), 0);
		all += lost;
	} while (text.len > had);
	assert_string_equal(buf_str(&text), "one\ntwo?[2J?\n");
	assert_int_equal(all, FAKE_PRINTED_LOST);
	assert_int_equal(at, FAKE_PRINTED_LOST + text.len);
	hv_ask_close(&ask);
	scene_free(&s);
}

static void a_console_that_goes_backwards_is_refused(void **state)
{
	const struct scene s = scene_new(state, FAKE_LIAR, 0);
	AUTO(buf_fini) struct buf text = { 0 };
	uint64_t at = 101, lost = 0;
	struct hv_ask ask;

	assert_int_equal(hv_ask_open(&ask, s.dir, NULL), 0);
	assert_int_equal(hv_ask_printed(&ask, &at, &text, &lost, NULL), -EPROTO);
	assert_int_equal(at, 101);
	assert_int_equal(text.len, 0);
	hv_ask_close(&ask);
	scene_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCRATCH_TEST(clients_have_numbers_of_their_own),
		SCRATCH_TEST(what_a_client_created_goes_with_it),
		SCRATCH_TEST(what_a_client_destroyed_is_not_destroyed_again),
		SCRATCH_TEST(guests_of_a_hub_that_was_killed_go_and_the_server_s_stay),
		SCRATCH_TEST(streams_of_two_clients_do_not_meet),
		SCRATCH_TEST(streams_lose_nothing_on_a_bad_line),
		SCRATCH_TEST(more_requests_than_the_line_takes_wait_and_all_are_answered),
		SCRATCH_TEST(all_requests_are_answered_on_a_bad_line),
		SCRATCH_TEST(a_client_that_sends_nonsense_is_cut_off_and_others_go_on),
		SCRATCH_TEST(a_client_without_hello_gets_nothing),
		SCRATCH_TEST(a_line_that_goes_silent_is_an_error_for_whoever_waits),
		SCRATCH_TEST(a_list_without_an_end_ends_the_hub),
		SCRATCH_TEST(a_hub_that_nobody_needs_ends),
		SCRATCH_TEST(figures_of_several_guests_take_one_session),
		SCRATCH_TEST(the_server_s_console_is_read_to_its_end_and_made_clean),
		SCRATCH_TEST(a_console_that_goes_backwards_is_refused),
		SCRATCH_TEST(a_hypervisor_that_is_gone_ends_the_hub_and_its_clients),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
