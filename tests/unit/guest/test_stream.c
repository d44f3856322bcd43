/* SPDX-License-Identifier: Apache-2.0 */
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
#include <unistd.h>
#include <cmocka.h>

#include "base/os/fd.h"
#include "stream.h"

/* in[1] -> stream -> out[0] */
struct scene {
	struct stream stream;
	int in, out;
};

static int setup(void **state)
{
	struct scene *scene = test_calloc(1, sizeof(*scene));
	int in[2], out[2];

	(void)signal(SIGPIPE, SIG_IGN);
	assert_int_equal(pipe2(in, O_CLOEXEC | O_NONBLOCK), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC | O_NONBLOCK), 0);
	stream_init(&scene->stream, in[0], out[1]);
	scene->in = in[1];
	scene->out = out[0];
	*state = scene;
	return 0;
}

static int teardown(void **state)
{
	struct scene *scene = *state;

	stream_fini(&scene->stream);
	fd_close(scene->in);
	fd_close(scene->out);
	test_free(scene);
	return 0;
}

static void turn(struct stream *stream)
{
	struct pollfd polls[2];

	(void)stream_polls(stream, polls);
	assert_true(poll(polls, 2, 0) >= 0);
	stream_run(stream, polls);
}

static void bytes_go_through_and_the_end_after_them(void **state)
{
	struct scene *scene = *state;
	char text[8];

	assert_int_equal(write(scene->in, "hello", 5), 5);
	turn(&scene->stream);
	assert_int_equal(read(scene->out, text, sizeof(text)), 5);
	assert_memory_equal(text, "hello", 5);
	assert_false(stream_over(&scene->stream));
	fd_close(scene->in);
	scene->in = -EBADF;
	turn(&scene->stream);
	assert_true(stream_over(&scene->stream));
	assert_int_equal(read(scene->out, text, sizeof(text)), 0);
	assert_int_equal(scene->stream.total_bytes, 5);
}

static void a_full_reader_loses_nothing(void **state)
{
	struct scene *scene = *state;
	size_t written = 0, got = 0;
	char data[4096];

	memset(data, 'x', sizeof(data));
	for (int i = 0; i < 1000; i++) {
		ssize_t n = write(scene->in, data, sizeof(data));
		written += n > 0 ? (size_t)n : 0;
		turn(&scene->stream);
	}
	assert_true(written > 65536);
	fd_close(scene->in);
	scene->in = -EBADF;
	for (int i = 0; i < 10000; i++) {
		ssize_t n = read(scene->out, data, sizeof(data));
		if (n == 0)
			break;
		got += n > 0 ? (size_t)n : 0;
		turn(&scene->stream);
	}
	assert_int_equal(got, written);
	assert_int_equal(scene->stream.total_bytes, written);
}

static void a_reader_that_left_is_seen_by_the_writer(void **state)
{
	struct scene *scene = *state;

	fd_close(scene->out);
	scene->out = -EBADF;
	turn(&scene->stream);
	assert_true(stream_over(&scene->stream));
	assert_int_equal(write(scene->in, "x", 1), -1);
	assert_int_equal(errno, EPIPE);
}

static void nothing_there_is_the_end_once_nothing_more_comes(void **state)
{
	struct scene *scene = *state;
	char text[8];

	assert_int_equal(write(scene->in, "last", 4), 4);
	for (int i = 0; i < 4 && !stream_over(&scene->stream); i++)
		stream_end(&scene->stream); /* the writer's end stays open all the while */
	assert_true(stream_over(&scene->stream));
	assert_int_equal(read(scene->out, text, sizeof(text)), 4);
	assert_int_equal(read(scene->out, text, sizeof(text)), 0);
}

static void a_host_without_the_port_is_a_reader_that_left(void **state)
{
	struct scene *scene = *state;

	fd_close(scene->stream.to);
	scene->stream.to = -EBADF;
	turn(&scene->stream);
	assert_int_equal(write(scene->in, "x", 1), -1);
	assert_int_equal(errno, EPIPE);
}

/* A port that the host has not opened yet reads as closed; a socket whose peer has gone does too. */
static void an_unopened_port_is_not_the_end(void **state)
{
	struct scene *scene = *state;
	struct pollfd polls[2];
	int pair[2];
	char c;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair),
			 0);
	fd_close(scene->stream.from);
	scene->stream.from = pair[0];
	scene->stream.from_port = true;
	fd_close(pair[1]);
	assert_true(stream_polls(&scene->stream, polls));
	for (int i = 0; i < 3; i++)
		turn(&scene->stream);
	assert_false(stream_over(&scene->stream));
	assert_int_equal(read(scene->out, &c, 1), -1);
	scene->stream.seen = true; /* the host said STDIN_EOF */
	turn(&scene->stream);
	assert_true(stream_over(&scene->stream));
	assert_int_equal(read(scene->out, &c, 1), 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(bytes_go_through_and_the_end_after_them),
		T(a_full_reader_loses_nothing),
		T(a_reader_that_left_is_seen_by_the_writer),
		T(a_host_without_the_port_is_a_reader_that_left),
		T(nothing_there_is_the_end_once_nothing_more_comes),
		T(an_unopened_port_is_not_the_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
