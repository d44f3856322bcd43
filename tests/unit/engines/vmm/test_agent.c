/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/core/bytes.h"
#include "base/os/json.h"
#include "engines/vmm/agent.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* What the events said. */
struct heard {
	struct agent agent;
	unsigned started, failed, exited, asked, woken;
	int status;
	struct agent_end end;
	struct err why;
};

static struct heard *heard_of(struct agent *agent)
{
	return container_of(agent, struct heard, agent);
}
static void on_started(struct agent *agent)
{
	heard_of(agent)->started++;
}
static void on_failed(struct agent *agent, int status, const struct err *why)
{
	heard_of(agent)->failed++;
	heard_of(agent)->status = status;
	heard_of(agent)->why = *why;
}
static void on_exited(struct agent *agent, const struct agent_end *end)
{
	heard_of(agent)->exited++;
	heard_of(agent)->end = *end;
	assert_int_equal(agent_stop(agent), 0); /* allowed in a callback */
}
static void on_readable(struct console *console, void *arg)
{
	(void)console;
	((struct heard *)arg)->woken++;
}

static void on_wake(struct agent *agent)
{
	heard_of(agent)->asked++;
}

static const struct agent_events events = {
	.wake = on_wake,
	.started = on_started,
	.failed = on_failed,
	.exited = on_exited,
};

static int setup(void **state)
{
	static const char text[] = "{\"id\":\"" ID "\",\"name\":\"n\",\"args\":[\"/bin/true\"]}";
	static const struct agent_disk disk = { .kind = AGENT_MOUNT_ROOT,
						.source = "vda",
						.type = "erofs" };
	const struct agent_setup how = { .disks = &disk, .n_disks = 1 };
	struct heard *heard = test_calloc(1, sizeof(*heard));
	json_t *json = NULL;
	struct spec spec;

	assert_int_equal(json_parse(text, strlen(text), "test", &json, NULL), 0);
	assert_int_equal(spec_load(json, &spec, NULL), 0);
	json_decref(json);
	assert_int_equal(agent_init(&heard->agent, &events, &spec, &how, NULL), 0);
	spec_fini(&spec);
	heard->agent.console.readable = on_readable;
	heard->agent.console.arg = heard;
	*state = heard;
	return 0;
}

static int teardown(void **state)
{
	struct heard *heard = *state;

	agent_fini(&heard->agent);
	agent_fini(&heard->agent);
	test_free(heard);
	return 0;
}

/* The guest says a frame. */
static void say(struct heard *heard, uint32_t type, const void *data, size_t len)
{
	AUTO(buf_fini) struct buf frame = { 0 };
	struct console *console = &heard->agent.console;

	frame_add(&frame, type, data, len);
	assert_int_equal(console->ops->write(console, frame.data, frame.len), frame.len);
}

static void say_ready(struct heard *heard, uint32_t version)
{
	uint8_t data[4];

	le32_store(data, version);
	say(heard, AGENT_READY, data, sizeof(data));
}

/* Reads what goes to the guest until there is no more; the type of the last frame. */
static uint32_t hear(struct heard *heard)
{
	AUTO(buf_fini) struct buf all = { 0 };
	struct console *console = &heard->agent.console;
	char piece[7];
	int64_t n;
	uint32_t type = 0;

	while ((n = console->ops->read(console, piece, sizeof(piece))) > 0)
		assert_int_equal(buf_add(&all, piece, (size_t)n), 0);
	assert_int_equal(n, 0);
	for (size_t at = 0; at < all.len; at += 8 + le32_load(all.data + at + 4)) {
		assert_true(all.len - at >= 8);
		type = le32_load(all.data + at);
	}
	return type;
}

static void a_life_in_order(void **state)
{
	struct heard *heard = *state;
	uint8_t end[sizeof(struct agent_exit)] = { 0 };

	assert_int_equal(hear(heard), 0);
	assert_int_equal(agent_signal(&heard->agent, 15), -ENOTCONN);
	say_ready(heard, AGENT_VERSION);
	assert_int_equal(heard->asked, 1);
	assert_int_equal(heard->woken, 0); /* not inside the device's call */
	agent_poke(&heard->agent);
	assert_int_equal(heard->woken, 1);
	assert_int_equal(hear(heard), AGENT_CONFIG);
	say(heard, AGENT_STARTED, NULL, 0);
	assert_int_equal(heard->started, 1);
	assert_int_equal(agent_signal(&heard->agent, 15), 0);
	assert_int_equal(agent_resize(&heard->agent, 3, 4), 0);
	assert_int_equal(agent_stdin_eof(&heard->agent), 0);
	assert_int_equal(hear(heard), AGENT_STDIN_EOF);
	le32_store(end, 7);
	le64_store(end + 8, 100);
	say(heard, AGENT_EXIT, end, sizeof(end));
	assert_int_equal(heard->exited, 1);
	assert_int_equal(heard->end.status, 7);
	assert_int_equal(heard->end.stdout_bytes, 100);
	assert_int_equal(hear(heard), AGENT_STOP);
	say(heard, AGENT_EXIT, end, sizeof(end)); /* once is enough */
	assert_int_equal(heard->exited, 1);
	assert_int_equal(heard->failed, 0);
}

/* Regression: `cat </dev/null` waited for ever for an input that had ended before the guest was there. */
static void an_early_end_of_input_follows_config(void **state)
{
	struct heard *heard = *state;

	assert_int_equal(agent_resize(&heard->agent, 3, 4), 0);
	assert_int_equal(agent_stdin_eof(&heard->agent), 0);
	assert_int_equal(hear(heard), 0);
	say_ready(heard, AGENT_VERSION);
	assert_int_equal(hear(heard), AGENT_STDIN_EOF);
	assert_int_equal(heard->failed, 0);
}

static void hosts_are_told_once_somebody_hears(void **state)
{
	struct heard *heard = *state;

	assert_int_equal(agent_hosts(&heard->agent, "early\n", 6), 0);
	assert_int_equal(hear(heard), 0);
	say_ready(heard, AGENT_VERSION);
	assert_int_equal(hear(heard), AGENT_HOSTS); /* after CONFIG */
	assert_int_equal(agent_hosts(&heard->agent, "10.0.0.2\tc2\n", 12), 0);
	assert_int_equal(hear(heard), AGENT_HOSTS);
	assert_int_equal(agent_hosts(&heard->agent, "", AGENT_HOSTS_MAX + 1), -E2BIG);
	assert_int_equal(hear(heard), 0);
}

/* A guest that reads slowly, in a large network: only the last text is for it, and STOP has its place. */
static void hosts_do_not_pile_up(void **state)
{
	struct heard *heard = *state;
	char *text = test_calloc(1, AGENT_HOSTS_MAX);

	say_ready(heard, AGENT_VERSION);
	assert_int_equal(hear(heard), AGENT_CONFIG);
	for (unsigned i = 0; i < 50; i++)
		assert_int_equal(agent_hosts(&heard->agent, text, AGENT_HOSTS_MAX), 0);
	assert_true(heard->agent.out.len < 2 * AGENT_HOSTS_MAX);
	assert_int_equal(agent_signal(&heard->agent, 1), 0);
	assert_int_equal(agent_stop(&heard->agent), 0);
	assert_int_equal(hear(heard), AGENT_HOSTS); /* the last of the fifty */
	assert_int_equal(hear(heard), 0);
	test_free(text);
}

static void what_is_out_of_order_is_a_failure_once(void **state)
{
	struct heard *heard = *state;

	say(heard, AGENT_STARTED, NULL, 0);
	assert_int_equal(heard->failed, 1);
	assert_int_equal(heard->status, 125);
	assert_non_null(strstr(heard->why.text, "broke its protocol"));
	say_ready(heard, AGENT_VERSION);
	say(heard, AGENT_STARTED, NULL, 0);
	assert_int_equal(heard->failed, 1);
	assert_int_equal(heard->started, 0);
}

static void another_version_is_told_apart(void **state)
{
	struct heard *heard = *state;

	say_ready(heard, AGENT_VERSION + 1);
	assert_int_equal(heard->failed, 1);
	assert_non_null(strstr(heard->why.text, "version"));
	assert_int_equal(hear(heard), 0);
}

static void a_failure_before_the_start_has_the_guest_s_words(void **state)
{
	struct heard *heard = *state;
	uint8_t data[8 + 5] = { 127, 0, 0, 0, 2, 0, 0, 0, 'w', 'o', 'r', 'd', 's' };

	say_ready(heard, AGENT_VERSION);
	say(heard, AGENT_FAILED, data, sizeof(data));
	assert_int_equal(heard->status, 127);
	assert_string_equal(heard->why.text, "words");
	assert_int_equal(agent_stop(&heard->agent), 0);
	assert_int_equal(hear(heard), AGENT_STOP);
}

static void endless_messages_do_not_grow_the_queue(void **state)
{
	struct heard *heard = *state;
	int r = 0;

	say_ready(heard, AGENT_VERSION);
	say(heard, AGENT_STARTED, NULL, 0);
	for (int i = 0; i < 100000 && r == 0; i++)
		r = agent_signal(&heard->agent, 1);
	assert_int_equal(r, -ENOBUFS);
	assert_int_equal(agent_stop(&heard->agent), 0); /* the last word has room */
	assert_int_equal(hear(heard), AGENT_STOP);
	assert_int_equal(agent_signal(&heard->agent, 1), 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_life_in_order),
		T(an_early_end_of_input_follows_config),
		T(hosts_are_told_once_somebody_hears),
		T(hosts_do_not_pile_up),
		T(what_is_out_of_order_is_a_failure_once),
		T(another_version_is_told_apart),
		T(a_failure_before_the_start_has_the_guest_s_words),
		T(endless_messages_do_not_grow_the_queue),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
