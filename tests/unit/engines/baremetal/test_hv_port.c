/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/baremetal/hv_port.h"

#include "scratch.h"

#include <string.h>

#include "base/core/macros.h"
#include "base/os/loop.h"

#include "hv_fake.h"

#define SPEED 3000U /* bytes that the reader takes in a turn */
#define ALL   ((size_t)4 << 20)

/* A console that says much, and takes what the fake sends back slowly. */
struct slow {
	struct console console;
	size_t said, took, may;
};

static int64_t slow_write(struct console *console, const void *data, size_t len)
{
	struct slow *s = container_of(console, struct slow, console);
	size_t n = len < s->may ? len : s->may;

	(void)data;
	s->may -= n;
	s->took += n;
	return (int64_t)n;
}

static int64_t slow_read(struct console *console, void *ret, size_t len)
{
	struct slow *s = container_of(console, struct slow, console);
	size_t n = len < ALL - s->said ? len : ALL - s->said;

	memset(ret, 'x', n);
	s->said += n;
	return (int64_t)n;
}

static void slow_close(struct console *console)
{
	(void)console;
}

static const struct console_ops slow_ops = { .write = slow_write,
					     .read = slow_read,
					     .close = slow_close };

static void lost(struct chan *chan, const struct err *why)
{
	(void)chan;
	(void)why;
	fail();
}

static const struct chan_events events = { .lost = lost };

/* What waits for a reader that never catches up was kept, and what it had read with it: as much as the guest ever wrote. */
static void a_slow_reader_s_port_does_not_grow_by_all_it_ever_read(void **state)
{
	struct slow slow = { .console = { .ops = &slow_ops } };
	struct hv_port port = { .closed = false };
	AUTO(buf_fini) struct buf ref = { 0 };
	struct loop *loop;
	struct chan chan;
	uint32_t guest;
	size_t most = 0;
	int line;

	(void)state;
	pid_t fake = fake_start(FAKE_NORMAL, &line);
	assert_int_equal(loop_create(&loop, NULL), 0);
	assert_int_equal(chan_start(&chan, line, loop, &events, NULL), 0);
	assert_int_equal(chan_wait_ready(&chan, 100000, 100000, NULL), 0);
	assert_int_equal(chan_call(&chan, CHANNEL_CREATE, "g", 1, &ref, NULL), 0);
	memcpy(&guest, ref.data, sizeof(guest));
	assert_int_equal(hv_port_open(&port, &chan, &slow.console, CHANNEL_KIND_CONSOLE, guest, ""),
			 0);
	while (slow.took < ALL) {
		const size_t waits = port.pending.len - port.pending_at;
		/* Slower than it comes, until the last of it; or until no more comes before some of it is taken. */
		if (slow.said < ALL && waits <= SPEED) {
			assert_true(loop_run_once(loop, 50, NULL) >= 0);
			if (waits != port.pending.len - port.pending_at)
				continue;
		}
		slow.may = SPEED;
		slow.console.writable(&slow.console, slow.console.arg);
		slow.may = 0;
		most = port.pending.cap > most ? port.pending.cap : most;
		assert_true(loop_run_once(loop, 0, NULL) >= 0);
	}
	assert_true(most < ALL / 4);
	hv_port_fini(&port);
	chan_fini(&chan);
	fake_wait(fake);
	loop_free(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_slow_reader_s_port_does_not_grow_by_all_it_ever_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
