/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/os/clock.h"
#include "base/os/fd.h"

static void close_of_an_unset_fd_keeps_errno(void **state)
{
	int fd = -EBADF;

	(void)state;
	errno = E2BIG;
	fd_close(fd);
	fd_close_p(&fd);
	assert_int_equal(errno, E2BIG);
}

static void close_and_take_leave_ebadf(void **state)
{
	(void)state;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int taken = fd_take(&fd);
	assert_int_equal(fd, -EBADF);
	assert_true(taken >= 0);
	errno = E2BIG;
	int copy = taken;
	fd_close_p(&taken);
	assert_int_equal(taken, -EBADF);
	assert_int_equal(errno, E2BIG);
	assert_int_equal(fcntl(copy, F_GETFD), -1);
}

static void read_all_stops_at_the_bound(void **state)
{
	AUTO(buf_fini) struct buf buf = { 0 };
	AUTO(fd_close_p) int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_int_equal(fd_read_all(zero, 10000, &buf), -EFBIG);
}

static void write_all_read_all_round_trip(void **state)
{
	const struct scratch *s = *state;
	AUTO(buf_fini) struct buf buf = { 0 };
	char text[10000];

	memset(text, 'z', sizeof(text));
	AUTO(fd_close_p) int fd = openat(s->fd, "f", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(fd_write_all(fd, text, sizeof(text)), 0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(buf_adds(&buf, "head"), 0);
	assert_int_equal(fd_read_all(fd, sizeof(text), &buf), 0);
	assert_int_equal(buf.len, 4 + sizeof(text));
	assert_int_equal(buf.data[buf.len], '\0');
	AUTO(fd_close_p) int ro = openat(s->fd, "f", O_RDONLY | O_CLOEXEC);
	assert_int_equal(fd_write_all(ro, "x", 1), -EBADF);
}

static void read_text_cuts_and_ends(void **state)
{
	const struct scratch *s = *state;
	char text[8];

	AUTO(fd_close_p) int fd = openat(s->fd, "t", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(fd_read_text(fd, text, sizeof(text)), 0);
	assert_string_equal(text, "");
	assert_int_equal(fd_write_all(fd, "0123456789", 10), 0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(fd_read_text(fd, text, sizeof(text)), 7);
	assert_string_equal(text, "0123456");
	assert_int_equal(fd_read_text(fd, text, sizeof(text)), 3);
	assert_string_equal(text, "789");
	AUTO(fd_close_p) int wo = openat(s->fd, "t", O_WRONLY | O_CLOEXEC);
	assert_int_equal(fd_read_text(wo, text, sizeof(text)), -EBADF);
}

static void open_in_never_leaves_the_root(void **state)
{
	const struct scratch *s = *state;
	struct stat inside, got;

	assert_int_equal(mkdirat(s->fd, "etc", 0755), 0);
	assert_int_equal(symlinkat("/etc", s->fd, "abs"), 0);
	assert_int_equal(symlinkat("../../../../../etc", s->fd, "up"), 0);
	assert_int_equal(fstatat(s->fd, "etc", &inside, 0), 0);
	static const char *const paths[] = { "abs", "up", "/../../etc", "etc/../../etc" };
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		AUTO(fd_close_p) int fd = fd_open_in(s->fd, paths[i], O_PATH, 0);
		assert_true(fd >= 0);
		assert_int_equal(fstat(fd, &got), 0);
		assert_int_equal(got.st_ino, inside.st_ino);
		assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	}
	assert_int_equal(fd_open_in(s->fd, "none", O_RDONLY, 0), -ENOENT);
}

static void open_in_refuses_magic_links(void **state)
{
	(void)state;
	AUTO(fd_close_p) int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(fd_open_in(proc, "self/fd/0", O_PATH, 0), -ELOOP);
	assert_int_equal(fd_open_in(proc, "self/root/etc", O_PATH, 0), -ELOOP);
}

static void mkdir_in_follows_links_inside_only(void **state)
{
	const struct scratch *s = *state;

	assert_int_equal(mkdirat(s->fd, "real", 0755), 0);
	assert_int_equal(symlinkat("/real", s->fd, "link"), 0);
	AUTO(fd_close_p) int made = fd_mkdir_in(s->fd, "/link/a//b", 0750);
	assert_true(made >= 0);
	assert_int_equal(faccessat(s->fd, "real/a/b", F_OK, 0), 0);
	AUTO(fd_close_p) int again = fd_mkdir_in(s->fd, "real/a/b/", 0750);
	assert_true(again >= 0);
	AUTO(fd_close_p) int up = fd_mkdir_in(s->fd, "../../x", 0750);
	assert_true(up >= 0);
	assert_int_equal(faccessat(s->fd, "x", F_OK, 0), 0);
}

static void mkdir_in_says_what_stands_in_the_way(void **state)
{
	const struct scratch *s = *state;
	char longest[300];

	fd_close(openat(s->fd, "f", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	assert_int_equal(fd_mkdir_in(s->fd, "f", 0755), -ENOTDIR);
	assert_int_equal(fd_mkdir_in(s->fd, "f/g", 0755), -ENOTDIR);
	memset(longest, 'n', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(fd_mkdir_in(s->fd, longest, 0755), -ENAMETOOLONG);
	assert_int_equal(symlinkat("nowhere", s->fd, "dangling"), 0);
	assert_true(fd_mkdir_in(s->fd, "dangling/x", 0755) < 0);
	assert_int_equal(faccessat(s->fd, "nowhere", F_OK, 0), -1);
}

static void pidfd_signals_its_process(void **state)
{
	int status = 0;

	(void)state;
	pid_t pid = fork();
	if (pid == 0) {
		pause();
		_exit(1);
	}
	AUTO(fd_close_p) int pidfd = pidfd_of(pid);
	assert_true(pidfd >= 0);
	assert_int_equal(pidfd_signal(pidfd, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(pidfd_signal(pidfd, 0), -ESRCH);
	assert_int_equal(pidfd_of(-1), -EINVAL);
}

static void a_message_brings_an_fd_along(void **state)
{
	const struct iovec words[] = { { (char[]){ 'a', 'b' }, 2 }, { (char[]){ 'c' }, 1 } };
	char got[8];
	int pair[2];
	int passed = -EBADF;
	struct stat ours, theirs;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	AUTO(fd_close_p) int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_int_equal(fd_send(pair[0], words, 2, null), 0);
	assert_int_equal(fd_send(pair[0], words, 1, -EBADF), 0);
	assert_int_equal(fd_receive(pair[1], got, sizeof(got), &passed), 3);
	assert_memory_equal(got, "abc", 3);
	assert_true(passed >= 0 && passed != null);
	assert_true(fcntl(passed, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(fstat(null, &ours) | fstat(passed, &theirs), 0);
	assert_true(ours.st_rdev == theirs.st_rdev);
	fd_close(passed);
	passed = -EBADF;
	assert_int_equal(fd_receive(pair[1], got, 1, &passed),
			 1); /* the rest of a message is cut */
	assert_int_equal(passed, -EBADF);
	fd_close(pair[0]);
	assert_int_equal(fd_receive(pair[1], got, sizeof(got), &passed), 0);
	assert_int_equal(fd_send(pair[1], words, 1, -EBADF), -EPIPE);
	fd_close(pair[1]);
}

static void an_fd_nobody_asked_for_is_not_taken(void **state)
{
	const struct iovec word = { (char[]){ 'a' }, 1 };
	char got;
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	int next = fcntl(pair[0], F_DUPFD_CLOEXEC, 0); /* the lowest free one */
	fd_close(next);
	assert_int_equal(fd_send(pair[0], &word, 1, pair[0]), 0);
	assert_int_equal(fd_receive(pair[1], &got, 1, NULL), 1);
	assert_int_equal(fcntl(next, F_GETFD), -1);
	fd_close(pair[0]);
	fd_close(pair[1]);
}

static int claim_open(const struct scratch *s)
{
	int fd = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static void a_claim_is_one_s_alone(void **state)
{
	struct scratch *s = *state;
	int one = claim_open(s), two = claim_open(s);

	assert_int_equal(fd_claim(one, 0), 0);
	assert_int_equal(fd_claim(two, 5), -EWOULDBLOCK);
	fd_close(one);
	assert_int_equal(fd_claim(two, 0), 0);
	assert_int_equal(fd_claim(two, 0), 0); /* has it already */
	fd_close(two);
	assert_int_equal(fd_claim(-EBADF, 0), -EBADF);
}

/* Regression: who did not run for a while with the lock in hand was taken for another owner. */
static void a_long_look_is_no_claim(void **state)
{
	struct scratch *s = *state;
	int ready[2], fd = claim_open(s);
	char byte;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid_t looker = fork();
	if (looker == 0) {
		int look = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		bool held = look >= 0 && flock(look, LOCK_SH) == 0 && write(ready[1], "", 1) == 1;
		(void)poll(NULL, 0, 400);
		_exit(held ? 0 : 1);
	}
	assert_true(looker > 0);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(fd_claim(fd, 0), 0);
	int status = -1;
	assert_int_equal(waitpid(looker, &status, 0), looker);
	assert_int_equal(status, 0);
	fd_close(fd);
	fd_close(ready[0]);
	fd_close(ready[1]);
}

static void a_poke_makes_readable_until_it_is_heard(void **state)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct pollfd ready = { .fd = fd, .events = POLLIN };

	(void)state;
	fd_calm(fd);
	assert_int_equal(poll(&ready, 1, 0), 0);
	fd_poke(fd);
	fd_poke(fd);
	assert_int_equal(poll(&ready, 1, 0), 1);
	fd_calm(fd);
	assert_int_equal(poll(&ready, 1, 0), 0);
	fd_close(fd);
}

static void all_is_received_and_no_byte_more(void **state)
{
	const int64_t deadline = clock_mono_ns() + 60 * NS_PER_S;
	char got[3] = "";
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(fd_write_all(pair[0], "abcd", 4), 0);
	assert_int_equal(fd_receive_all(pair[1], got, 3, deadline), 0);
	assert_memory_equal(got, "abc", 3);
	assert_int_equal(fd_receive_all(pair[1], got, 2, clock_mono_ns()), -ETIMEDOUT);
	assert_int_equal(fd_receive_all(pair[1], got, 1, deadline), 0);
	assert_int_equal(got[0], 'd');
	fd_close(pair[0]);
	assert_int_equal(fd_receive_all(pair[1], got, 1, deadline), -EPIPE);
	fd_close(pair[1]);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		SCRATCH_TEST(a_claim_is_one_s_alone),
		SCRATCH_TEST(a_long_look_is_no_claim),
		cmocka_unit_test(a_poke_makes_readable_until_it_is_heard),
		cmocka_unit_test(close_of_an_unset_fd_keeps_errno),
		cmocka_unit_test(close_and_take_leave_ebadf),
		cmocka_unit_test(read_all_stops_at_the_bound),
		SCRATCH_TEST(write_all_read_all_round_trip),
		SCRATCH_TEST(read_text_cuts_and_ends),
		SCRATCH_TEST(open_in_never_leaves_the_root),
		cmocka_unit_test(open_in_refuses_magic_links),
		SCRATCH_TEST(mkdir_in_follows_links_inside_only),
		SCRATCH_TEST(mkdir_in_says_what_stands_in_the_way),
		cmocka_unit_test(a_message_brings_an_fd_along),
		cmocka_unit_test(an_fd_nobody_asked_for_is_not_taken),
		cmocka_unit_test(all_is_received_and_no_byte_more),
		cmocka_unit_test(pidfd_signals_its_process),
	};

	return cmocka_run_group_tests_name("base/fd", tests, NULL, NULL);
}
