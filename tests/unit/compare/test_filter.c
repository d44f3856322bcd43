/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <asm/unistd.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/core/macros.h"
#include "compare/filter.h"

#define DATA(member)	    offsetof(struct seccomp_data, member)
#define LOAD(offset)	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset)
#define IS(k, yes, no)	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, k, yes, no)
#define ANSWER(what)	    BPF_STMT(BPF_RET | BPF_K, what)
#define ALLOWS(program, nr) filter_allows(program, ARRAY_SIZE(program), nr)

static void numbers_that_no_kernel_serves_are_no_calls(void **state)
{
	unsigned n = 0;

	(void)state;
	for (unsigned nr = 0; nr < 1024; nr++)
		n += filter_is_call(nr);
	assert_int_equal(n, FILTER_CALLS);
	assert_true(filter_is_call(__NR_read) && filter_is_call(__NR_rseq) &&
		    filter_is_call(__NR_pidfd_send_signal));
	assert_false(filter_is_call(__NR_nfsservctl) || filter_is_call(400));
}

static void a_list_of_allowed_numbers(void **state)
{
	static const struct sock_filter list[] = {
		LOAD(DATA(arch)),
		IS(AUDIT_ARCH_X86_64, 1, 0),
		ANSWER(SECCOMP_RET_KILL_PROCESS),
		LOAD(DATA(nr)),
		IS(__NR_read, 2, 0),
		IS(__NR_write, 1, 0),
		ANSWER(SECCOMP_RET_ERRNO | EPERM),
		ANSWER(SECCOMP_RET_ALLOW),
	};

	(void)state;
	assert_true(ALLOWS(list, __NR_read));
	assert_true(ALLOWS(list, __NR_write));
	assert_false(ALLOWS(list, __NR_open));
}

static void some_argument_is_enough(void **state)
{
	static const struct sock_filter ioctl[] = {
		LOAD(DATA(nr)),	  IS(__NR_ioctl, 0, 3),	     LOAD(DATA(args[1])),
		IS(0x5401, 0, 1), ANSWER(SECCOMP_RET_ALLOW), ANSWER(SECCOMP_RET_KILL_THREAD),
	};

	(void)state;
	assert_true(ALLOWS(ioctl, __NR_ioctl));
	assert_false(ALLOWS(ioctl, __NR_read));
}

static void what_is_computed_from_numbers_is_known(void **state)
{
	/* ((nr << 1) + 3) & 0xff == 9 for 3 only; kept in memory and X on the way */
	static const struct sock_filter sum[] = {
		LOAD(DATA(nr)),
		BPF_STMT(BPF_ALU | BPF_LSH | BPF_K, 1),
		BPF_STMT(BPF_ST, 2),
		BPF_STMT(BPF_LDX | BPF_W | BPF_IMM, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_MEM, 2),
		BPF_STMT(BPF_ALU | BPF_ADD | BPF_X, 0),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xff),
		BPF_STMT(BPF_MISC | BPF_TAX, 0),
		BPF_STMT(BPF_LD | BPF_W | BPF_IMM, 9),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_X, 0, 0, 1),
		ANSWER(SECCOMP_RET_ALLOW),
		ANSWER(SECCOMP_RET_TRAP),
	};

	(void)state;
	assert_true(ALLOWS(sum, 3));
	assert_false(ALLOWS(sum, 4));
}

static void who_leaves_it_to_another_process_lets_through(void **state)
{
	static const struct sock_filter notify[] = { ANSWER(SECCOMP_RET_USER_NOTIF) };
	static const struct sock_filter log[] = { ANSWER(SECCOMP_RET_LOG) };
	static const struct sock_filter kill[] = { ANSWER(SECCOMP_RET_KILL_PROCESS) };

	(void)state;
	assert_true(ALLOWS(notify, 0) && ALLOWS(log, 0));
	assert_false(ALLOWS(kill, 0));
}

static void jumps_out_of_the_program_end_it(void **state)
{
	static const struct sock_filter out[] = {
		BPF_STMT(BPF_JMP | BPF_JA, 0xffffffffU),
		ANSWER(SECCOMP_RET_ALLOW),
	};

	(void)state;
	assert_false(ALLOWS(out, 0));
	assert_false(filter_allows(out, 0, 0));
}

static void a_maze_is_given_up_and_counts_as_open(void **state)
{
	struct sock_filter maze[4096];

	(void)state;
	maze[0] = (struct sock_filter)LOAD(DATA(args[0]));
	for (size_t i = 1; i < ARRAY_SIZE(maze) - 1; i++)
		maze[i] = (struct sock_filter)IS((unsigned)i, i % 2 ? 1 : 0, 0);
	maze[ARRAY_SIZE(maze) - 1] = (struct sock_filter)ANSWER(SECCOMP_RET_KILL_THREAD);
	assert_true(ALLOWS(maze, 0));
}

/* A process that may read and exit, and no more. */
static void be_confined(int ready)
{
	static struct sock_filter program[] = {
		LOAD(DATA(nr)),	      IS(__NR_exit_group, 3, 0),	IS(__NR_read, 2, 0),
		IS(__NR_write, 1, 0), ANSWER(SECCOMP_RET_KILL_PROCESS), ANSWER(SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { ARRAY_SIZE(program), program };
	char byte = 0;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) < 0)
		byte = 1;
	if (write(ready, &byte, 1) == 1 && byte == 0)
		(void)!read(ready, &byte, 1);
	_exit(0);
}

static void filters_of_living_processes_are_read_back(void **state)
{
	unsigned calls = 0;
	int pair[2];
	char byte;

	(void)state;
	if (geteuid() != 0)
		SKIP("reading filters takes root");
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	pid_t pid = fork();
	if (pid == 0)
		be_confined(pair[1]);
	assert_int_equal(read(pair[0], &byte, 1), 1);
	assert_int_equal(byte, 0);
	struct err err = { 0 };
	int r = filter_calls(&pid, 1, &calls, &err);
	pid_t both[] = { pid, getpid() };
	unsigned of_both = 0;
	int r_both = r < 0 ? r : filter_calls(both, 2, &of_both, &err);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	(void)close(pair[0]);
	(void)close(pair[1]);
	if (r == -ENOTSUP)
		SKIP("this kernel does not show filters");
	assert_int_equal(r, 0);
	assert_int_equal(calls, 3);
	assert_int_equal(r_both, 0);
	assert_int_equal(of_both, FILTER_CALLS); /* the least confined counts */
}

static void who_has_ended_has_no_filters(void **state)
{
	struct err err = { 0 };
	unsigned calls = 7;
	pid_t pid = fork();

	(void)state;
	if (pid == 0)
		_exit(0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(filter_calls(&pid, 1, &calls, &err), -ESRCH);
	assert_int_equal(calls, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_that_no_kernel_serves_are_no_calls),
		cmocka_unit_test(a_list_of_allowed_numbers),
		cmocka_unit_test(some_argument_is_enough),
		cmocka_unit_test(what_is_computed_from_numbers_is_known),
		cmocka_unit_test(who_leaves_it_to_another_process_lets_through),
		cmocka_unit_test(jumps_out_of_the_program_end_it),
		cmocka_unit_test(a_maze_is_given_up_and_counts_as_open),
		cmocka_unit_test(filters_of_living_processes_are_read_back),
		cmocka_unit_test(who_has_ended_has_no_filters),
	};

	return cmocka_run_group_tests_name("compare/filter", tests, NULL, NULL);
}
