/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/os/fd.h"
#include "base/os/loop.h"

struct ends {
	int a[2], b[2];
	struct loop *loop;
	unsigned calls;
};

static void ends_open(struct ends *e)
{
	assert_int_equal(pipe(e->a), 0);
	assert_int_equal(pipe(e->b), 0);
	assert_int_equal(loop_create(&e->loop, NULL), 0);
}

static void ends_close(struct ends *e)
{
	loop_free(e->loop);
	for (int i = 0; i < 2; i++) {
		fd_close(e->a[i]);
		fd_close(e->b[i]);
	}
}

static void count(void *arg, uint32_t events)
{
	struct ends *e = arg;

	assert_true(events & EPOLLIN);
	e->calls++;
}

/* Whoever comes first takes the other out. */
static void take_out_the_other(void *arg, uint32_t events)
{
	struct ends *e = arg;

	(void)events;
	e->calls++;
	loop_del(e->loop, e->a[0]);
	loop_del(e->loop, e->b[0]);
}

static void what_is_ready_is_called_until_it_is_read(void **state)
{
	struct ends e = { .calls = 0 };
	char byte;

	(void)state;
	ends_open(&e);
	assert_int_equal(loop_add(e.loop, e.a[0], EPOLLIN, count, &e, NULL), 0);
	assert_int_equal(loop_run_once(e.loop, 0, NULL), 0);
	assert_int_equal(write(e.a[1], "x", 1), 1);
	assert_int_equal(loop_run_once(e.loop, -1, NULL), 1);
	assert_int_equal(loop_run_once(e.loop, -1, NULL), 1);
	assert_int_equal(read(e.a[0], &byte, 1), 1);
	assert_int_equal(loop_run_once(e.loop, 0, NULL), 0);
	assert_int_equal(e.calls, 2);
	ends_close(&e);
}

static void deleted_in_the_same_round_is_not_called(void **state)
{
	struct ends e = { .calls = 0 };

	(void)state;
	ends_open(&e);
	assert_int_equal(loop_add(e.loop, e.a[0], EPOLLIN, take_out_the_other, &e, NULL), 0);
	assert_int_equal(loop_add(e.loop, e.b[0], EPOLLIN, take_out_the_other, &e, NULL), 0);
	assert_int_equal(write(e.a[1], "x", 1), 1);
	assert_int_equal(write(e.b[1], "x", 1), 1);
	assert_int_equal(loop_run_once(e.loop, -1, NULL), 1);
	assert_int_equal(e.calls, 1);
	ends_close(&e);
}

static void events_can_be_changed(void **state)
{
	struct ends e = { .calls = 0 };

	(void)state;
	ends_open(&e);
	assert_int_equal(loop_add(e.loop, e.a[0], 0, count, &e, NULL), 0);
	assert_int_equal(write(e.a[1], "x", 1), 1);
	assert_int_equal(loop_run_once(e.loop, 0, NULL), 0);
	assert_int_equal(loop_mod(e.loop, e.a[0], EPOLLIN, NULL), 0);
	assert_int_equal(loop_run_once(e.loop, 0, NULL), 1);
	ends_close(&e);
}

static void wrong_fds_are_refused(void **state)
{
	struct ends e = { .calls = 0 };
	struct err err = { 0 };

	(void)state;
	ends_open(&e);
	assert_int_equal(loop_add(e.loop, -1, EPOLLIN, count, &e, &err), -EBADF);
	assert_int_equal(loop_add(e.loop, e.a[0], EPOLLIN, count, &e, NULL), 0);
	assert_int_equal(loop_add(e.loop, e.a[0], EPOLLIN, count, &e, &err), -EEXIST);
	assert_int_equal(loop_mod(e.loop, e.b[0], EPOLLIN, &err), -ENOENT);
	loop_del(e.loop, e.b[0]);
	loop_del(e.loop, 100000);
	loop_free(NULL);
	ends_close(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_ready_is_called_until_it_is_read),
		cmocka_unit_test(deleted_in_the_same_round_is_not_called),
		cmocka_unit_test(events_can_be_changed),
		cmocka_unit_test(wrong_fds_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
