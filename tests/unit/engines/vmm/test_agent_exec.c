/* SPDX-License-Identifier: Apache-2.0 */
/* Against guests that say what they should not; tests/unit/guest/test_agent.c has the honest one. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/core/bytes.h"
#include "base/os/fd.h"
#include "engines/vmm/agent_exec.h"
#include "engines/vmm/agent_frame.h"

static const char *const args[] = { "true", NULL };

/* A guest that answers the connection, says this, and reads what comes until the host closes. Its exit status: the last frame's type. */
static int guest(const char *answer, const struct buf *says, pid_t *ret_pid)
{
	int pair[2];

	(void)signal(SIGPIPE, SIG_IGN);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	*ret_pid = fork();
	if (*ret_pid == 0) {
		struct frame_reader reader;
		char line[10], data[4096];
		ssize_t n;
		fd_close(pair[0]);
		frame_reader_init(&reader, AGENT_CONFIG_MAX);
		if (recv(pair[1], line, sizeof(line), MSG_WAITALL) != (ssize_t)sizeof(line) ||
		    memcmp(line, "CONNECT 1\n", sizeof(line)) != 0)
			_exit(255);
		(void)!write(pair[1], answer, strlen(answer)); /* the host looks at it */
		if (says)
			(void)!write(pair[1], says->data, says->len);
		(void)shutdown(pair[1], SHUT_WR);
		while ((n = read(pair[1], data, sizeof(data))) > 0) {
			for (size_t at = 0; at < (size_t)n;) {
				size_t used = 0;
				if (frame_reader_feed(&reader, data + at, (size_t)n - at, &used) <
				    0)
					_exit(254);
				at += used;
			}
		}
		_exit((int)reader.type);
	}
	fd_close(pair[1]);
	return pair[0];
}

static int run(const char *answer, const struct buf *says, int out, int *ret_status,
	       unsigned *ret_heard, struct err *err)
{
	const struct spec spec = { .args = (const char **)(uintptr_t)args, .n_args = 1 };
	struct agent_exec exec = { .spec = &spec,
				   .in = -EBADF,
				   .out = out,
				   .err = -EBADF,
				   .tty = -EBADF,
				   .signals = -EBADF,
				   .started = -EBADF };
	int status = 0;
	pid_t pid;

	exec.socket = guest(answer, says, &pid);
	int r = agent_exec(&exec, ret_status, err);
	fd_close(exec.socket);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	*ret_heard = (unsigned)WEXITSTATUS(status);
	return r;
}

static void add_exit(struct buf *buf, uint32_t status)
{
	uint8_t body[sizeof(struct agent_exit)] = { 0 };

	le32_store(body, status);
	frame_add(buf, AGENT_EXIT, body, sizeof(body));
}

static void output_and_status_come_back(void **state)
{
	AUTO(buf_fini) struct buf says = { 0 };
	struct err err = { 0 };
	int pipes[2], status = 0;
	unsigned heard;
	char text[8];

	(void)state;
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	frame_add(&says, AGENT_STARTED, NULL, 0);
	frame_add(&says, AGENT_STDOUT, "hi", 2);
	add_exit(&says, 9);
	assert_int_equal(run("OK 5\n", &says, pipes[1], &status, &heard, &err), 0);
	assert_int_equal(status, 9);
	assert_int_equal(heard, AGENT_START);
	assert_int_equal(read(pipes[0], text, sizeof(text)), 2);
	fd_close(pipes[0]);
	fd_close(pipes[1]);
}

static void a_guest_that_does_not_listen_is_said(void **state)
{
	static const char *const answers[] = { "", "NO\n",
					       "OK without an end of the line, for ever" };
	int status = 0;
	unsigned heard;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
		struct err err = { 0 };
		assert_true(run(answers[i], NULL, -EBADF, &status, &heard, &err) < 0);
		assert_int_equal(status, 125);
		assert_non_null(strstr(err.text, "guest"));
	}
}

static void nonsense_ends_the_session(void **state)
{
	AUTO(buf_fini) struct buf none = { 0 };
	AUTO(buf_fini) struct buf type = { 0 };
	AUTO(buf_fini) struct buf length = { 0 };
	AUTO(buf_fini) struct buf range = { 0 };
	uint8_t head[8] = { AGENT_STDOUT, 0, 0, 0, 0xff, 0xff, 0xff, 0xff };
	const struct buf *const table[] = { &none, &type, &length, &range };
	int status = 0;
	unsigned heard;

	(void)state;
	frame_add(&none, AGENT_STARTED, NULL, 0); /* and no end */
	frame_add(&type, AGENT_CONFIG, NULL, 0);
	assert_int_equal(buf_add(&length, head, sizeof(head)), 0);
	add_exit(&range, 1000);
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct err err = { 0 };
		int r = run("OK 5\n", table[i], -EBADF, &status, &heard, &err);
		assert_int_equal(r, i == 0 ? -ECONNRESET : -EPROTO);
		assert_int_equal(status, 125);
	}
}

/* Regression (fuzz_agent_exec): a STAT_REPLY that nobody asked for made it status 0. */
static void an_answer_that_nobody_asked_for_is_no_success(void **state)
{
	AUTO(buf_fini) struct buf says = { 0 };
	uint8_t body[sizeof(struct agent_stat)] = { 0 };
	struct err err = { 0 };
	int status = 0;
	unsigned heard;

	(void)state;
	frame_add(&says, AGENT_STAT_REPLY, body, sizeof(body));
	assert_int_equal(run("OK 5\n", &says, -EBADF, &status, &heard, &err), -EPROTO);
	assert_int_equal(status, 125);
}

static void a_failure_has_its_status_and_words(void **state)
{
	AUTO(buf_fini) struct buf says = { 0 };
	uint8_t body[8 + 6] = { 127, 0, 0, 0, ENOENT, 0, 0, 0, 'n', 'o', ' ', 's', 'u', 'c' };
	struct err err = { 0 };
	int status = 0;
	unsigned heard;

	(void)state;
	frame_add(&says, AGENT_FAILED, body, sizeof(body));
	assert_int_equal(run("OK 5\n", &says, -EBADF, &status, &heard, &err), -ENOENT);
	assert_int_equal(status, 127);
	assert_string_equal(err.text, "no suc");
}

/* Guest: STDOUT to a pipe that nobody reads; it must hear of that before the end. */
static void a_reader_that_left_is_told_to_the_guest(void **state)
{
	AUTO(buf_fini) struct buf says = { 0 };
	struct err err = { 0 };
	int pipes[2], status = 0;
	unsigned heard = 0;

	(void)state;
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	fd_close(pipes[0]);
	frame_add(&says, AGENT_STDOUT, "hi", 2);
	assert_int_equal(run("OK 5\n", &says, pipes[1], &status, &heard, &err), -ECONNRESET);
	assert_int_equal(heard, AGENT_OUT_END);
	fd_close(pipes[1]);
}

static void half_a_tar_is_a_failure(void **state)
{
	AUTO(buf_fini) struct buf says = { 0 };
	struct err err = { 0 };
	pid_t pid;
	int pipes[2];

	(void)state;
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	fd_close(pipes[0]);
	frame_add(&says, AGENT_STDOUT, "hi", 2);
	add_exit(&says, 0);
	int fd = guest("OK 5\n", &says, &pid);
	assert_int_equal(agent_get(fd, "/x", false, NULL, pipes[1], &err), -EPIPE);
	fd_close(fd);
	fd_close(pipes[1]);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static int ask_stats(const struct buf *says, struct guest_stats *ret, struct err *err)
{
	int status = 0;
	pid_t pid;
	int fd = guest("OK 5\n", says, &pid);
	int r = agent_stats(fd, ret, err);

	fd_close(fd);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), AGENT_STATS);
	return r;
}

static void statistics_are_taken_whole_or_not_at_all(void **state)
{
	struct guest_stats stats = { .pids = 7, .cpu_ns = 1000 };
	struct err err = { 0 };

	(void)state;
	for (int damaged = 0; damaged < 2; damaged++) {
		AUTO(buf_fini) struct buf says = { 0 };
		AUTO(buf_fini) struct buf body = { 0 };
		frame_field_add_u64(&body, AGENT_STAT_PIDS, 3);
		frame_field_add_u64(&body, AGENT_STAT_MEMORY_BYTES, 4096);
		frame_add(&says, AGENT_STATS_REPLY, body.data, body.len - (size_t)damaged);
		stats.pids = 7;
		assert_int_equal(ask_stats(&says, &stats, &err), damaged ? -EPROTO : 0);
		assert_int_equal(stats.pids, damaged ? 7 : 3);
		assert_int_equal(stats.cpu_ns, 1000);
	}
}

/* An older guest, or one whose workload has ended: there is another source. */
static void statistics_may_be_refused(void **state)
{
	AUTO(buf_fini) struct buf says = { 0 };
	struct guest_stats stats = { .pids = 7 };
	struct err err = { 0 };
	uint8_t body[sizeof(struct agent_failed)] = { 125 };

	(void)state;
	frame_add(&says, AGENT_FAILED, body, sizeof(body));
	assert_true(ask_stats(&says, &stats, &err) < 0);
	assert_int_equal(stats.pids, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(output_and_status_come_back),
		cmocka_unit_test(a_guest_that_does_not_listen_is_said),
		cmocka_unit_test(nonsense_ends_the_session),
		cmocka_unit_test(an_answer_that_nobody_asked_for_is_no_success),
		cmocka_unit_test(a_failure_has_its_status_and_words),
		cmocka_unit_test(a_reader_that_left_is_told_to_the_guest),
		cmocka_unit_test(half_a_tar_is_a_failure),
		cmocka_unit_test(statistics_are_taken_whole_or_not_at_all),
		cmocka_unit_test(statistics_may_be_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
