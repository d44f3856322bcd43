/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/vmm/exits_read.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "scratch.h"

#include "base/os/fd.h"
#include "engines/vmm/exits_file.h"

static void put(const struct scratch *s, const void *bytes, size_t n)
{
	AUTO(fd_close_p) int fd = openat(s->fd, EXITS_FILE, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_int_equal(fd_write_all(fd, bytes, n), 0);
}

static struct exits_file two_vcpus(void)
{
	struct exits_file file = { .format = EXITS_FORMAT,
				   .vcpus = 2,
				   .counted = EXIT_BIT(EXIT_ALL) | EXIT_BIT(EXIT_IO) };

	file.counts[0].n[EXIT_IO] = 3;
	file.counts[1].n[EXIT_IO] = 4;
	file.counts[2].n[EXIT_IO] = 1000; /* nobody's */
	return file;
}

static int ask(const struct scratch *s, struct exit_counts *ret, uint64_t *ret_counted)
{
	struct err err = { 0 };

	return vmm_exits_read(s->path, true, ret, ret_counted, &err);
}

static void vcpus_are_added(void **state)
{
	const struct scratch *s = *state;
	struct exits_file file = two_vcpus();
	struct exit_counts sum;
	uint64_t counted;

	file.counted |= UINT64_MAX << EXIT_REASONS; /* reasons that nobody knows */
	put(s, &file, sizeof(file));
	assert_int_equal(ask(s, &sum, &counted), 0);
	assert_int_equal(sum.n[EXIT_IO], 7);
	assert_int_equal(sum.n[EXIT_ALL], 0);
	assert_int_equal(counted, EXIT_BIT(EXIT_ALL) | EXIT_BIT(EXIT_IO));
}

static void numbers_that_overflow_stay_at_the_most(void **state)
{
	const struct scratch *s = *state;
	struct exits_file file = two_vcpus();
	struct exit_counts sum;
	uint64_t counted;

	file.counts[0].n[EXIT_IO] = UINT64_MAX;
	put(s, &file, sizeof(file));
	assert_int_equal(ask(s, &sum, &counted), 0);
	assert_true(sum.n[EXIT_IO] == UINT64_MAX);
}

static void what_a_vmm_never_writes_is_refused(void **state)
{
	const struct scratch *s = *state;
	struct exits_file file = two_vcpus();
	struct exit_counts sum = { { 5 } };
	uint64_t counted = 6;

	assert_int_equal(ask(s, &sum, &counted), -ENOENT);
	file.vcpus = EXITS_VCPUS + 1;
	put(s, &file, sizeof(file));
	assert_int_equal(ask(s, &sum, &counted), -EBADMSG);
	file = two_vcpus();
	file.format = 0;
	put(s, &file, sizeof(file));
	assert_int_equal(ask(s, &sum, &counted), -EBADMSG);
	file = two_vcpus();
	put(s, &file, sizeof(file) - 1);
	assert_int_equal(ask(s, &sum, &counted), -EBADMSG);
	assert_int_equal(sum.n[0], 5); /* untouched */
	assert_int_equal(counted, 6);
}

static void what_is_no_file_is_not_waited_for(void **state)
{
	const struct scratch *s = *state;
	struct exit_counts sum;
	uint64_t counted;

	assert_int_equal(mkfifoat(s->fd, EXITS_FILE, 0600), 0);
	assert_int_equal(ask(s, &sum, &counted), -EBADMSG);
	assert_int_equal(unlinkat(s->fd, EXITS_FILE, 0), 0);
	assert_int_equal(symlinkat("/dev/zero", s->fd, EXITS_FILE), 0);
	assert_int_equal(ask(s, &sum, &counted), -ELOOP);
}

/* The time limit is what ends this case; that nobody listens at all ends the next one at once. */
static void a_vmm_that_never_answers_is_read_as_it_is(void **state)
{
	const struct scratch *s = *state;
	struct exits_file file = two_vcpus();
	struct exit_counts sum;
	uint64_t counted;

	file.asks = 1;
	put(s, &file, sizeof(file));
	assert_int_equal(mkfifoat(s->fd, EXITS_FIFO, 0600), 0);
	AUTO(fd_close_p) int fifo = openat(s->fd, EXITS_FIFO, O_RDWR | O_NONBLOCK);
	assert_int_equal(ask(s, &sum, &counted), 0);
	assert_int_equal(sum.n[EXIT_IO], 7);
	fd_close(fifo);
	fifo = -EBADF;
	assert_int_equal(ask(s, &sum, &counted), 0);
	assert_int_equal(sum.n[EXIT_IO], 7);
}

struct vmm_side {
	int file, fifo;
};

static void *answer(void *arg)
{
	const struct vmm_side *side = arg;
	const uint64_t now = 100;
	const uint32_t answers = 1;
	char byte;

	while (read(side->fifo, &byte, 1) != 1)
		;
	(void)!pwrite(side->file, &now, sizeof(now),
		      offsetof(struct exits_file, counts[0].n[EXIT_ALL]));
	(void)!pwrite(side->file, &answers, sizeof(answers), offsetof(struct exits_file, answers));
	return NULL;
}

static void what_is_counted_elsewhere_is_asked_for(void **state)
{
	const struct scratch *s = *state;
	struct exits_file file = two_vcpus();
	struct exit_counts sum;
	uint64_t counted;
	pthread_t vmm;

	file.asks = 1;
	put(s, &file, sizeof(file));
	assert_int_equal(mkfifoat(s->fd, EXITS_FIFO, 0600), 0);
	AUTO(fd_close_p) int fifo = openat(s->fd, EXITS_FIFO, O_RDWR);
	AUTO(fd_close_p) int fd = openat(s->fd, EXITS_FILE, O_RDWR);
	struct vmm_side side = { fd, fifo };
	assert_int_equal(vmm_exits_read(s->path, false, &sum, &counted, NULL), 0);
	assert_int_equal(sum.n[EXIT_ALL], 0);
	assert_int_equal(pthread_create(&vmm, NULL, answer, &side), 0);
	assert_int_equal(ask(s, &sum, &counted), 0);
	assert_int_equal(pthread_join(vmm, NULL), 0);
	assert_int_equal(sum.n[EXIT_ALL], 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCRATCH_TEST(vcpus_are_added),
		SCRATCH_TEST(numbers_that_overflow_stay_at_the_most),
		SCRATCH_TEST(what_a_vmm_never_writes_is_refused),
		SCRATCH_TEST(what_is_no_file_is_not_waited_for),
		SCRATCH_TEST(a_vmm_that_never_answers_is_read_as_it_is),
		SCRATCH_TEST(what_is_counted_elsewhere_is_asked_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
