/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/page.h"
#include "vm/pipe.h"

void *page_alloc(unsigned order)
{
	return calloc(1, (size_t)PAGE_BYTES << order);
}

void page_free(void *block, unsigned order)
{
	(void)order;
	free(block);
}

static void bytes_go_both_ways_in_order(void **state)
{
	uint8_t sent[PIPE_BYTES], got[PIPE_BYTES];
	struct pipe p = { .in_over = false };
	size_t n;
	bool wake;

	(void)state;
	assert_int_equal(pipe_open(&p), 0);
	for (unsigned round = 0; round < 50; round++) {
		size_t len = 1 + round * 331 % (PIPE_BYTES - 1);
		for (size_t i = 0; i < len; i++)
			sent[i] = (uint8_t)(i * 7 + round);
		assert_int_equal(pipe_guest_write(&p, sent, len, &wake), len);
		assert_true(wake);
		(void)pipe_host_get(&p, got, sizeof(got), &n);
		assert_int_equal(n, len);
		assert_memory_equal(got, sent, len);
		(void)pipe_host_put(&p, sent, len);
		assert_int_equal(pipe_guest_read(&p, got, sizeof(got), &wake), len);
		assert_true(wake);
		assert_memory_equal(got, sent, len);
		assert_int_equal(pipe_host_took(&p), len);
		assert_int_equal(pipe_host_took(&p), 0);
	}
	pipe_close(&p);
}

static void a_guest_waits_while_nobody_has_it_open(void **state)
{
	struct pipe p = { .in_over = false };
	uint8_t byte = 1;
	bool wake;

	(void)state;
	assert_int_equal(pipe_guest_write(&p, &byte, 1, &wake), 0);
	assert_false(wake);
	assert_int_equal(pipe_guest_read(&p, &byte, 1, &wake), 0);
	assert_int_equal(pipe_open(&p), 0);
	assert_true(p.news_in && p.news_out); /* it is told that it may go on */
	assert_int_equal(pipe_open(&p), -EBUSY);
	pipe_close(&p);
	pipe_close(&p);
}

static void a_full_one_says_when_it_has_room_again(void **state)
{
	uint8_t bytes[PIPE_BYTES + 1] = { 0 };
	struct pipe p = { .in_over = false };
	size_t n;
	bool wake;

	(void)state;
	assert_int_equal(pipe_open(&p), 0);
	assert_int_equal(pipe_guest_write(&p, bytes, sizeof(bytes), &wake), PIPE_BYTES);
	p.news_out = false;
	assert_false(pipe_host_get(&p, bytes, 100, &n)); /* not for each byte */
	assert_true(pipe_host_get(&p, bytes, PIPE_BYTES / 2, &n));
	assert_true(p.news_out);
	assert_false(pipe_host_get(&p, bytes, 100, &n)); /* once */
	pipe_close(&p);
}

static void an_end_comes_behind_what_was_sent(void **state)
{
	struct pipe p = { .in_over = false };
	uint8_t got[8];
	size_t n;
	bool wake;

	(void)state;
	assert_int_equal(pipe_open(&p), 0);
	(void)pipe_host_put(&p, "ab", 2);
	pipe_host_end(&p);
	assert_int_equal(pipe_guest_read(&p, got, 1, &wake), 1);
	assert_int_equal(pipe_guest_read(&p, got, 8, &wake), 1);
	assert_int_equal(pipe_guest_read(&p, got, 8, &wake), -EPIPE);
	assert_int_equal(pipe_guest_write(&p, "xyz", 3, &wake), 3);
	pipe_guest_end(&p);
	assert_false(pipe_is_over(&p));
	(void)pipe_host_get(&p, got, 8, &n);
	assert_int_equal(n, 3);
	assert_true(pipe_is_over(&p));
	pipe_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_go_both_ways_in_order),
		cmocka_unit_test(a_guest_waits_while_nobody_has_it_open),
		cmocka_unit_test(a_full_one_says_when_it_has_room_again),
		cmocka_unit_test(an_end_comes_behind_what_was_sent),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
