/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "storage/disk/private.h"

struct one {
	struct aio_request io;
	int64_t result;
	unsigned calls;
};

static void one_done(struct aio_request *req, int64_t result)
{
	struct one *one = container_of(req, struct one, io);

	one->calls++;
	one->result = result;
}

static struct aio_request one_io(enum aio_op op, int fd, uint64_t offset, uint64_t len,
				 const struct mem_iov *iov, unsigned n_iov, uint64_t skip)
{
	return (struct aio_request){ .op = op,
				     .fd = fd,
				     .offset_bytes = offset,
				     .len_bytes = len,
				     .iov = iov,
				     .n_iov = n_iov,
				     .skip_bytes = skip };
}

static int64_t one_run(struct rig *rig, struct one *one)
{
	one->io.done = one_done;
	one->calls = 0;
	aio_submit(rig->aio, &one->io);
	assert_int_equal(one->calls, 0); /* never inside submit */
	while (!one->calls)
		(void)aio_wait(rig->aio);
	assert_int_equal(one->calls, 1);
	return one->result;
}

static int one_file(struct rig *rig)
{
	int fd = openat(rig->scratch->fd, "f", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	return fd;
}

static void what_is_written_is_read(void **state)
{
	struct rig *rig = rig_of(state);
	AUTO(fd_close_p) int fd = one_file(rig);
	char a[] = "first", b[] = "second", got[12] = "";
	struct mem_iov out[] = { { a, 5 }, { b, 6 } }, in = { got, 11 };
	struct one w = { .io = one_io(AIO_WRITE, fd, 100, 11, out, 2, 0) };
	struct one r = { .io = one_io(AIO_READ, fd, 100, 11, &in, 1, 0) };
	struct one s = { .io = { .op = AIO_SYNC, .fd = fd } };

	assert_int_equal(one_run(rig, &w), 11);
	assert_int_equal(one_run(rig, &s), 0);
	assert_int_equal(one_run(rig, &r), 11);
	assert_string_equal(got, "firstsecond");
}

static void the_end_of_the_file_cuts_a_read(void **state)
{
	struct rig *rig = rig_of(state);
	AUTO(fd_close_p) int fd = one_file(rig);
	char got[100];
	struct mem_iov in = { got, sizeof(got) };
	struct one r = { .io = one_io(AIO_READ, fd, 10, sizeof(got), &in, 1, 0) };

	assert_int_equal(write(fd, "0123456789abcdef", 16), 16);
	assert_int_equal(one_run(rig, &r), 6);
	assert_memory_equal(got, "abcdef", 6);
}

static void a_part_of_a_long_list_is_moved_in_steps(void **state)
{
	struct rig *rig = rig_of(state);
	AUTO(fd_close_p) int fd = one_file(rig);
	char data[100], got[100];
	struct mem_iov out[100], in = { got, sizeof(got) };

	for (unsigned i = 0; i < 100; i++) {
		data[i] = (char)i;
		out[i] = (struct mem_iov){ &data[i], 1 };
	}
	struct one w = { .io = one_io(AIO_WRITE, fd, 0, 60, out, 100, 31) };
	struct one r = { .io = one_io(AIO_READ, fd, 0, 60, &in, 1, 40) };
	assert_int_equal(one_run(rig, &w), 60);
	assert_int_equal(one_run(rig, &r), 60);
	assert_memory_equal(got + 40, data + 31, 60);
}

static void zeroes_need_no_memory(void **state)
{
	struct rig *rig = rig_of(state);
	AUTO(fd_close_p) int fd = one_file(rig);
	uint64_t len = 1000000;
	char got[3] = "xyz";
	struct one w = { .io = { .op = AIO_WRITE, .fd = fd, .offset_bytes = 5, .len_bytes = len } };

	assert_int_equal(one_run(rig, &w), (int64_t)len);
	assert_int_equal(lseek(fd, 0, SEEK_END), (off_t)len + 5);
	assert_int_equal(pread(fd, got, 3, (off_t)len), 3);
	assert_memory_equal(got, "\0\0\0", 3);
}

static void holes_and_zeroed_ranges_read_as_zeroes(void **state)
{
	struct rig *rig = rig_of(state);
	AUTO(fd_close_p) int fd = one_file(rig);
	static char data[65536], got[65536];
	struct one punch = { .io = one_io(AIO_PUNCH, fd, 0, 4096, NULL, 0, 0) };
	struct one zero = { .io = one_io(AIO_ZERO, fd, 8192, 512, NULL, 0, 0) };

	memset(data, 'x', sizeof(data));
	assert_int_equal(fd_write_all(fd, data, sizeof(data)), 0);
	int64_t a = one_run(rig, &punch), b = one_run(rig, &zero);
	if (a == -EOPNOTSUPP || b == -EOPNOTSUPP)
		SKIP("this file system makes no holes");
	assert_int_equal(a, 0);
	assert_int_equal(b, 0);
	memset(data, 0, 4096);
	memset(data + 8192, 0, 512);
	assert_int_equal(pread(fd, got, sizeof(got), 0), sizeof(got));
	assert_memory_equal(got, data, sizeof(got));
}

static void errors_are_results(void **state)
{
	struct rig *rig = rig_of(state);
	char byte;
	struct mem_iov iov = { &byte, 1 };
	struct one r = { .io = one_io(AIO_READ, -1, 0, 1, &iov, 1, 0) };
	struct one s = { .io = { .op = AIO_SYNC, .fd = -1 } };

	assert_int_equal(one_run(rig, &r), -EBADF);
	assert_int_equal(one_run(rig, &s), -EBADF);
}

static void a_full_file_system_is_enospc(void **state)
{
	struct rig *rig = rig_of(state);
	AUTO(fd_close_p) int fd = open("/dev/full", O_RDWR | O_CLOEXEC);
	char byte = 0;
	struct mem_iov iov = { &byte, 1 };
	struct one w = { .io = one_io(AIO_WRITE, fd, 0, 1, &iov, 1, 0) };

	assert_true(fd >= 0);
	assert_int_equal(one_run(rig, &w), -ENOSPC);
}

#define MANY 500

static void more_than_the_queue_is_deep(void **state)
{
	struct rig *rig = rig_of(state);
	AUTO(fd_close_p) int fd = one_file(rig);
	static struct one ones[MANY];
	static uint32_t values[MANY];
	static struct mem_iov iovs[MANY];
	unsigned done = 0;

	aio_plug(rig->aio);
	for (uint32_t i = 0; i < MANY; i++) {
		values[i] = i * 7;
		iovs[i] = (struct mem_iov){ &values[i], 4 };
		ones[i] = (struct one){ .io = one_io(AIO_WRITE, fd, i * 4, 4, &iovs[i], 1, 0) };
		ones[i].io.done = one_done;
		aio_submit(rig->aio, &ones[i].io);
	}
	aio_unplug(rig->aio);
	while (done < MANY) {
		/* As an owner's loop does it. */
		struct pollfd p = { .fd = aio_fd(rig->aio), .events = POLLIN };
		assert_int_equal(poll(&p, 1, 100000), 1);
		done += aio_reap(rig->aio);
	}
	assert_int_equal(aio_wait(rig->aio), 0);
	for (uint32_t i = 0; i < MANY; i++) {
		uint32_t got;
		assert_int_equal(ones[i].calls, 1);
		assert_int_equal(ones[i].result, 4);
		assert_int_equal(pread(fd, &got, 4, i * 4), 4);
		assert_int_equal(got, i * 7);
	}
}

struct chain {
	struct one one;
	struct rig *rig;
	unsigned left;
};

static void chain_done(struct aio_request *req, int64_t result)
{
	struct chain *chain = container_of(req, struct chain, one.io);

	assert_int_equal(result, 0);
	if (--chain->left)
		aio_submit(chain->rig->aio, req);
}

static void a_completion_may_submit(void **state)
{
	struct rig *rig = rig_of(state);
	AUTO(fd_close_p) int fd = one_file(rig);
	struct chain chain = { .rig = rig, .left = 100 };

	chain.one.io = (struct aio_request){ .op = AIO_SYNC, .fd = fd, .done = chain_done };
	aio_submit(rig->aio, &chain.one.io);
	while (chain.left)
		(void)aio_wait(rig->aio);
}

static void a_sealed_queue_serves_its_files(void **state)
{
	struct rig *rig = rig_of(state);
	AUTO(fd_close_p) int fd = one_file(rig);
	AUTO(fd_close_p) int other = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	char data[] = "sealed", got[7] = "";
	struct mem_iov out = { data, 6 }, in = { got, 6 };
	struct one w = { .io = one_io(AIO_WRITE, fd, 0, 6, &out, 1, 0) };
	struct one r = { .io = one_io(AIO_READ, fd, 0, 6, &in, 1, 0) };
	struct one foreign = { .io = one_io(AIO_READ, other, 0, 6, &in, 1, 0) };

	assert_int_equal(aio_attach(rig->aio, fd), 0);
	assert_int_equal(aio_seal(rig->aio, &rig->err), 0);
	assert_int_equal(aio_attach(rig->aio, other), -EBUSY);
	assert_int_equal(one_run(rig, &w), 6);
	assert_int_equal(one_run(rig, &r), 6);
	assert_string_equal(got, "sealed");
	if (rig->kind == AIO_URING) /* the kernel itself refuses */
		assert_int_equal(one_run(rig, &foreign), -EBADF);
}

struct visit {
	pthread_t who[16];
	unsigned n;
};

static int visit(void *arg)
{
	struct visit *v = arg;

	for (unsigned i = 0; i < v->n; i++) {
		if (pthread_equal(v->who[i], pthread_self()))
			return -EEXIST;
	}
	v->who[v->n++] = pthread_self();
	return v->n == 3 ? -EDOM : 0;
}

static void each_thread_is_visited_once(void **state)
{
	struct rig *rig = rig_of(state);
	AUTO(fd_close_p) int fd = one_file(rig);
	struct one s = { .io = { .op = AIO_SYNC, .fd = fd } };

	for (unsigned again = 0; again < 2; again++) {
		struct visit v = { 0 };
		int r = aio_on_threads(rig->aio, visit, &v);
		assert_int_equal(v.n, rig->kind == AIO_URING ? 0 : 4);
		assert_int_equal(r, rig->kind == AIO_URING ? 0 : -EDOM);
		for (unsigned i = 0; i < v.n; i++)
			assert_false(pthread_equal(v.who[i], pthread_self()));
		assert_int_equal(one_run(rig, &s), 0);
	}
}

static void silly_depths_are_refused(void **state)
{
	struct rig *rig = rig_of(state);
	struct aio *aio = NULL;

	assert_int_equal(aio_create(0, AIO_ANY, &aio, &rig->err), -EINVAL);
	assert_int_equal(aio_create(5000, AIO_ANY, &aio, &rig->err), -EINVAL);
	assert_null(aio);
	aio_destroy(NULL);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		RIG_TEST(what_is_written_is_read),
		RIG_TEST(the_end_of_the_file_cuts_a_read),
		RIG_TEST(a_part_of_a_long_list_is_moved_in_steps),
		RIG_TEST(zeroes_need_no_memory),
		RIG_TEST(holes_and_zeroed_ranges_read_as_zeroes),
		RIG_TEST(errors_are_results),
		RIG_TEST(a_full_file_system_is_enospc),
		RIG_TEST(more_than_the_queue_is_deep),
		RIG_TEST(a_completion_may_submit),
		RIG_TEST(a_sealed_queue_serves_its_files),
		RIG_TEST(each_thread_is_visited_once),
		RIG_TEST_ONCE(silly_depths_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
