/* SPDX-License-Identifier: Apache-2.0 */
/* The default profile, felt by real system calls; the arguments are such that a call let through does no harm. */
#include "scratch.h"
#include "filtered.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engines/caps.h"
#include "engines/seccomp/seccomp.h"

#define BIT(cap) (1ULL << (cap))
#define X32	 0x40000000L

/* clang-format off */
static long try_mount(void) { return syscall(SYS_mount, "", "/nowhere", "tmpfs", 0, 0); }
static long try_umount(void) { return syscall(SYS_umount2, "/nowhere", 0); }
static long try_unshare_user(void) { return syscall(SYS_unshare, CLONE_NEWUSER); }
static long try_setns(void) { return syscall(SYS_setns, -1, 0); }
static long try_keyctl(void) { return syscall(SYS_keyctl, 0, 0, 0, 0, 0); }
static long try_add_key(void) { return syscall(SYS_add_key, 0, 0, 0, 0, 0); }
static long try_request_key(void) { return syscall(SYS_request_key, 0, 0, 0, 0); }
static long try_bpf(void) { return syscall(SYS_bpf, -1, 0, 0); }
static long try_perf(void) { return syscall(SYS_perf_event_open, 0, 0, 0, 0, 0); }
static long try_reboot(void) { return syscall(SYS_reboot, 0, 0, 0, 0); }
static long try_io_uring(void) { return syscall(SYS_io_uring_setup, 1, 0); }
static long try_io_uring_enter(void) { return syscall(SYS_io_uring_enter, -1, 0, 0, 0, 0, 0); }
static long try_userfaultfd(void) { return syscall(SYS_userfaultfd, -1); }
static long try_kexec(void) { return syscall(SYS_kexec_load, 0, 0, 0, -1L); }
static long try_pivot_root(void) { return syscall(SYS_pivot_root, 0, 0); }
static long try_init_module(void) { return syscall(SYS_init_module, 0, 0, 0); }
static long try_swapon(void) { return syscall(SYS_swapon, 0, -1); }
static long try_iopl(void) { return syscall(SYS_iopl, -1); }
static long try_acct(void) { return syscall(SYS_acct, "/nowhere"); }
static long try_settimeofday(void) { return syscall(SYS_settimeofday, -1L, -1L); }
static long try_handle(void) { return syscall(SYS_open_by_handle_at, -1, 0, 0); }
static long try_chroot(void) { return syscall(SYS_chroot, "/nowhere"); }
static long try_kcmp(void) { return syscall(SYS_kcmp, 0, 0, -1, 0, 0); }
static long try_vhangup(void) { return syscall(SYS_vhangup); }
static long try_mbind(void) { return syscall(SYS_mbind, 1L, 0, -1, 0, 0, -1); }
static long try_syslog(void) { return syscall(SYS_syslog, -1, 0, 0); }
static long try_clone3(void) { return syscall(SYS_clone3, 0, 0); }
static long try_ptrace(void) { return syscall(SYS_ptrace, -1, 0, 0, 0); }
static long try_vsock(void) { return syscall(SYS_socket, 40, SOCK_STREAM, 0); }
static long try_vsock_high(void) { return syscall(SYS_socket, 0x100000028L, SOCK_STREAM, 0); }
static long try_alg(void) { return syscall(SYS_socket, 38, SOCK_SEQPACKET, 0); }
static long try_caif(void) { return syscall(SYS_socket, 37, SOCK_SEQPACKET, 0); }
static long try_persona(void) { return syscall(SYS_personality, 0xffffffffL); }
static long try_persona_bad(void) { return syscall(SYS_personality, ADDR_NO_RANDOMIZE); }
static long try_unknown(void) { return syscall(499); }
static long try_fchmodat2(void) { return syscall(452, -1, "x", 0, 0); }
static long try_mseal(void) { return syscall(462, 1L, 0, 0); }
static long try_listmount(void) { return syscall(458, 0, 0, 0, 0); }
static long try_open_tree_attr(void) { return syscall(467, -1, 0, 0, 0, 0); }
static long try_x32_mount(void) { return syscall(X32 | SYS_mount, "", "/nowhere", "tmpfs", 0, 0); }
/* clang-format on */

static long try_clone(int flags)
{
	long pid = syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);

	if (pid == 0)
		_exit(0);
	return pid > 0 && waitpid((pid_t)pid, NULL, 0) != pid ? -1 : pid;
}

static long try_fork(void)
{
	return try_clone(0);
}

static long try_clone_user(void)
{
	return try_clone(CLONE_NEWUSER);
}

static long try_clone_net(void)
{
	return try_clone(CLONE_NEWNET);
}

#ifdef __x86_64__
/* A 32-bit system call from a 64-bit process. */
static long int80(long nr, long a, long b, long c)
{
	long r;

	__asm__ volatile("int $0x80"
			 : "=a"(r)
			 : "a"(nr), "b"(a), "c"(b), "d"(c)
			 : "memory", "r8", "r9", "r10", "r11");
	if ((int)r < 0 && (int)r > -4096) {
		errno = -(int)r;
		return -1;
	}
	return r;
}

/* clang-format off */
static long try_int80_getpid(void) { return int80(20, 0, 0, 0); }
static long try_int80_mount(void) { return int80(21, 0, 0, 0); }
static long try_int80_reboot(void) { return int80(88, 0, 0, 0); }
static long try_int80_clone_user(void) { return int80(120, CLONE_NEWUSER | SIGCHLD, 0, 0); }
static long try_int80_unshare(void) { return int80(310, CLONE_NEWUSER, 0, 0); }
static long try_int80_keyctl(void) { return int80(288, 0, 0, 0); }
static long try_int80_socket(void) { return int80(359, AF_UNIX, SOCK_STREAM, 0); }
static long try_int80_vsock(void) { return int80(359, 40, SOCK_STREAM, 0); }
static long try_int80_listen(void) { return int80(102, 4, 0, 0); }
static long try_int80_new(void) { return int80(499, 0, 0, 0); }
/* clang-format on */

/* socketcall(SYS_SOCKET, { family, SOCK_STREAM, 0 }): the arguments lie in low memory, as int 0x80 needs. */
static long try_int80_socketcall(void)
{
	unsigned *args = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);

	if (args == MAP_FAILED)
		return 0;
	args[0] = AF_UNIX;
	args[1] = SOCK_STREAM;
	args[2] = 0;
	return int80(102, 1, (long)args, 0);
}
#endif

struct expected {
	const char *name;
	long (*call)(void);
	int code;
};

static void check(const struct expected *list, size_t n, const char *profile, uint64_t caps)
{
	for (size_t i = 0; i < n; i++) {
		int code = filtered(profile, caps, list[i].call);
		if (code != list[i].code)
			fail_msg("%s: %d (%s), not %d", list[i].name, code, strerror(code),
				 list[i].code);
	}
}

static void refuses_what_changes_the_host(void **state)
{
	static const struct expected list[] = {
		{ "mount", try_mount, EPERM },
		{ "umount2", try_umount, EPERM },
		{ "unshare", try_unshare_user, EPERM },
		{ "setns", try_setns, EPERM },
		{ "clone(CLONE_NEWUSER)", try_clone_user, EPERM },
		{ "clone(CLONE_NEWNET)", try_clone_net, EPERM },
		{ "clone3", try_clone3, ENOSYS },
		{ "keyctl", try_keyctl, EPERM },
		{ "add_key", try_add_key, EPERM },
		{ "request_key", try_request_key, EPERM },
		{ "bpf", try_bpf, EPERM },
		{ "perf_event_open", try_perf, EPERM },
		{ "reboot", try_reboot, EPERM },
		{ "io_uring_setup", try_io_uring, EPERM },
		{ "io_uring_enter", try_io_uring_enter, EPERM },
		{ "userfaultfd", try_userfaultfd, EPERM },
		{ "kexec_load", try_kexec, EPERM },
		{ "pivot_root", try_pivot_root, EPERM },
		{ "init_module", try_init_module, EPERM },
		{ "swapon", try_swapon, EPERM },
		{ "iopl", try_iopl, EPERM },
		{ "acct", try_acct, EPERM },
		{ "settimeofday", try_settimeofday, EPERM },
		{ "open_by_handle_at", try_handle, EPERM },
		{ "kcmp", try_kcmp, EPERM },
		{ "vhangup", try_vhangup, EPERM },
		{ "mbind", try_mbind, EPERM },
		{ "syslog", try_syslog, EPERM },
		{ "socket(AF_VSOCK)", try_vsock, EPERM },
		{ "socket(AF_VSOCK + 2^32)", try_vsock_high, EPERM },
		{ "socket(AF_ALG)", try_alg, EPERM },
		{ "socket(AF_CAIF)", try_caif, EPERM },
		{ "personality(ADDR_NO_RANDOMIZE)", try_persona_bad, EPERM },
		{ "open_tree_attr", try_open_tree_attr, ENOSYS },
		{ "call 499", try_unknown, ENOSYS },
	};

	(void)state;
	check(list, ARRAY_SIZE(list), NULL, caps_default);
}

static void allows_what_programs_need(void **state)
{
	static const struct expected list[] = {
		{ "fork", try_fork, 0 },	  { "personality(query)", try_persona, 0 },
		{ "chroot", try_chroot, ENOENT }, /* CAP_SYS_CHROOT is a default capability */
		{ "ptrace", try_ptrace, ESRCH },  { "fchmodat2", try_fchmodat2, EBADF },
	};

	(void)state;
	check(list, ARRAY_SIZE(list), NULL, caps_default);
	/* The kernel may be too old for these: then it says so, and not the filter. */
	int code = filtered(NULL, caps_default, try_mseal);
	assert_true(code == EINVAL || code == ENOSYS);
	code = filtered(NULL, caps_default, try_listmount);
	assert_true(code == EFAULT || code == EINVAL || code == ENOSYS);
}

static bool talks(int family, int type)
{
	int fd = socket(family, type | SOCK_CLOEXEC, 0);

	return fd >= 0 && close(fd) == 0;
}

static long do_ordinary_work(void)
{
	char path[] = "/tmp/strata-unit-file-XXXXXX";
	struct stat st;
	int pair[2];
	int fd = mkostemp(path, O_CLOEXEC);

	if (fd < 0 || unlink(path) < 0 || write(fd, "x", 1) != 1 || fstat(fd, &st) < 0 ||
	    st.st_size != 1 || fchmod(fd, 0600) < 0 || fchown(fd, 0, 0) < 0)
		return -1;
	void *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED || munmap(map, 4096) < 0 || close(fd) < 0)
		return -1;
	if (!talks(AF_INET, SOCK_STREAM) || !talks(AF_INET6, SOCK_DGRAM) ||
	    !talks(AF_UNIX, SOCK_STREAM) || !talks(AF_NETLINK, SOCK_RAW))
		return -1;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0 ||
	    write(pair[0], "x", 1) != 1 || close(pair[0]) < 0 || close(pair[1]) < 0)
		return -1;
	return setgid(0) < 0 || setuid(0) < 0 || close_range(100, ~0U, CLOSE_RANGE_CLOEXEC) < 0 ? -1
												: 0;
}

static void ordinary_work_is_not_disturbed(void **state)
{
	(void)state;
	assert_int_equal(filtered(NULL, caps_default, do_ordinary_work), 0);
}

static void other_calling_conventions_are_no_way_round(void **state)
{
#ifdef __x86_64__
	static const struct expected list[] = {
		{ "int80 mount", try_int80_mount, EPERM },
		{ "int80 reboot", try_int80_reboot, EPERM },
		{ "int80 clone(CLONE_NEWUSER)", try_int80_clone_user, EPERM },
		{ "int80 unshare", try_int80_unshare, EPERM },
		{ "int80 keyctl", try_int80_keyctl, EPERM },
		{ "int80 socket(AF_VSOCK)", try_int80_vsock, EPERM },
		{ "int80 socketcall(SYS_SOCKET)", try_int80_socketcall, EPERM },
		{ "int80 call 499", try_int80_new, ENOSYS },
		{ "int80 socket(AF_UNIX)", try_int80_socket, 0 },
	};
	static const char allow_all[] =
		"{\"defaultAction\":\"SCMP_ACT_ALLOW\","
		"\"architectures\":[\"SCMP_ARCH_X86_64\",\"SCMP_ARCH_X86\"]}";

	(void)state;
	int x32 = filtered(NULL, caps_default, try_x32_mount);
	assert_true(x32 == EPERM || x32 == ENOSYS);
	if (filtered(allow_all, 0, try_int80_getpid) != 0)
		SKIP("this kernel runs no 32-bit programs");
	check(list, ARRAY_SIZE(list), NULL, caps_default);
	/* The other operations of the multiplexer go through. */
	assert_int_not_equal(filtered(NULL, caps_default, try_int80_listen), EPERM);
#else
	(void)state;
	SKIP("only x86-64 has others");
#endif
}

/* Each capability opens its calls: what comes back is then the kernel's answer to arguments that make no sense. */
static void capabilities_open_their_calls(void **state)
{
	static const struct {
		unsigned cap;
		struct expected with;
	} list[] = {
		{ CAP_SYS_ADMIN, { "mount", try_mount, ENOENT } },
		{ CAP_SYS_ADMIN, { "umount2", try_umount, ENOENT } },
		{ CAP_SYS_ADMIN, { "setns", try_setns, EBADF } },
		{ CAP_SYS_ADMIN, { "pivot_root", try_pivot_root, EFAULT } },
		{ CAP_SYS_ADMIN, { "clone3", try_clone3, EINVAL } },
		{ CAP_SYS_ADMIN, { "clone(CLONE_NEWNET)", try_clone_net, 0 } },
		{ CAP_SYS_ADMIN, { "bpf", try_bpf, EINVAL } },
		{ CAP_SYS_ADMIN, { "syslog", try_syslog, EINVAL } },
		{ CAP_BPF, { "bpf", try_bpf, EINVAL } },
		{ CAP_PERFMON, { "perf_event_open", try_perf, EFAULT } },
		{ CAP_SYSLOG, { "syslog", try_syslog, EINVAL } },
		{ CAP_SYS_BOOT, { "reboot", try_reboot, EINVAL } },
		{ CAP_SYS_CHROOT, { "chroot", try_chroot, ENOENT } },
		{ CAP_SYS_MODULE, { "init_module", try_init_module, 0 } },
		{ CAP_SYS_PACCT, { "acct", try_acct, ENOENT } },
		{ CAP_SYS_PTRACE, { "kcmp", try_kcmp, 0 } },
		{ CAP_SYS_RAWIO, { "iopl", try_iopl, 0 } },
		{ CAP_SYS_TIME, { "settimeofday", try_settimeofday, EFAULT } },
		{ CAP_SYS_NICE, { "mbind", try_mbind, EINVAL } },
		{ CAP_DAC_READ_SEARCH, { "open_by_handle_at", try_handle, 0 } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(list); i++) {
		int closed = filtered(NULL, 0, list[i].with.call);
		int open = filtered(NULL, BIT(list[i].cap), list[i].with.call);
		if (closed != EPERM && list[i].with.call != try_clone3)
			fail_msg("%s without %s: %d", list[i].with.name, caps_name(list[i].cap),
				 closed);
		/* 0 in the table: whatever the kernel says, as long as it is not the filter's answer. */
		if (open == EPERM || (list[i].with.code && open != list[i].with.code))
			fail_msg("%s with %s: %d", list[i].with.name, caps_name(list[i].cap), open);
	}
	assert_int_equal(filtered(NULL, ~BIT(CAP_SYS_ADMIN), try_clone3), ENOSYS);
	assert_int_equal(filtered(NULL, ~BIT(CAP_SYS_ADMIN), try_clone_user), EPERM);
	assert_int_equal(filtered(NULL, UINT64_MAX, try_io_uring), EPERM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refuses_what_changes_the_host),
		cmocka_unit_test(allows_what_programs_need),
		cmocka_unit_test(ordinary_work_is_not_disturbed),
		cmocka_unit_test(other_calling_conventions_are_no_way_round),
		cmocka_unit_test(capabilities_open_their_calls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
