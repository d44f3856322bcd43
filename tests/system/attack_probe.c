/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a process in a container can do, as lines that security.bats compares:
 *
 *   attack_probe fds           every open fd: "N TYPE"
 *   attack_probe denied        system calls that must fail: "NAME ERRNO", or "NAME ALLOWED"
 *   attack_probe open PATH     reads a byte: "read", or the errno's name
 *   attack_probe write PATH    opens for writing and writes an empty line: "written", or the errno's name
 *   attack_probe tty           whether there is a controlling terminal, and what TIOCSTI into it says
 *   attack_probe null          tries to change the mode of each standard stream: "N changed"
 *   attack_probe survive       clears PR_SET_PDEATHSIG, leaves a daemon behind, says "ready", and stays
 *   attack_probe hold          a daemon keeps the standard streams; the process itself ends
 *   attack_probe clocks        seconds of CLOCK_MONOTONIC and CLOCK_BOOTTIME
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int probe_fds(const char *unused)
{
	(void)unused;
	for (int fd = 0; fd < 65536; fd++) {
		struct stat st;
		if (fcntl(fd, F_GETFD) < 0)
			continue;
		const char *type = fstat(fd, &st) < 0	  ? "unknown"
				   : S_ISFIFO(st.st_mode) ? "pipe"
				   : S_ISCHR(st.st_mode)  ? "device"
				   : S_ISDIR(st.st_mode)  ? "directory"
							  : "other";
		(void)printf("%d %s\n", fd, type);
	}
	return 0;
}

/* Arguments that the kernel would accept from whoever may, or that fail only after the check of rights. */
static int probe_denied(const char *unused)
{
	char handle[128] = { 64, 0, 0, 0, 1 };
	const struct timespec now = { 1, 0 };
	const struct {
		const char *name;
		long nr, a, b, c, d, e;
	} calls[] = {
		{ "mount", SYS_mount, (long)"none", (long)"/mnt", (long)"tmpfs", 0, 0 },
		{ "remount", SYS_mount, 0, (long)"/proc/sys", 0, 32 | 4096, 0 }, /* REMOUNT, BIND */
		{ "umount", SYS_umount2, (long)"/proc/sys", 2, 0, 0, 0 },
		{ "pivot_root", SYS_pivot_root, (long)"/", (long)"/mnt", 0, 0, 0 },
		{ "fsopen", SYS_fsopen, (long)"tmpfs", 0, 0, 0, 0 },
		{ "open_tree", SYS_open_tree, AT_FDCWD, (long)"/proc", 1, 0, 0 },
		{ "move_mount", SYS_move_mount, AT_FDCWD, (long)"/proc", AT_FDCWD, (long)"/mnt",
		  0 },
		{ "unshare-user", SYS_unshare, CLONE_NEWUSER, 0, 0, 0, 0 },
		{ "unshare-mount", SYS_unshare, CLONE_NEWNS, 0, 0, 0, 0 },
		{ "unshare-net", SYS_unshare, CLONE_NEWNET, 0, 0, 0, 0 },
		{ "clone-user", SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0 },
		{ "bpf", SYS_bpf, 0, (long)handle, 64, 0, 0 },
		{ "perf_event_open", SYS_perf_event_open, (long)handle, 0, -1, -1, 0 },
		{ "kexec_load", SYS_kexec_load, 0, 0, 0, 0, 0 },
		{ "init_module", SYS_init_module, (long)handle, 8, (long)"", 0, 0 },
		{ "delete_module", SYS_delete_module, (long)"none", 0, 0, 0, 0 },
		{ "open_by_handle_at", SYS_open_by_handle_at, AT_FDCWD, (long)handle, 0, 0, 0 },
		{ "keyctl", SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0, 0, 0 },
		{ "add_key", SYS_add_key, (long)"user", (long)"k", (long)"v", 1,
		  KEY_SPEC_PROCESS_KEYRING },
		{ "request_key", SYS_request_key, (long)"user", (long)"k", 0, 0, 0 },
		{ "reboot", SYS_reboot, 0, 0, 0, 0, 0 },
		{ "swapoff", SYS_swapoff, (long)"/none", 0, 0, 0, 0 },
		{ "clock_settime", SYS_clock_settime, CLOCK_REALTIME, (long)&now, 0, 0, 0 },
		{ "acct", SYS_acct, (long)"/none", 0, 0, 0, 0 },
		{ "syslog", SYS_syslog, 3, (long)handle, 64, 0, 0 },
		{ "iopl", SYS_iopl, 3, 0, 0, 0, 0 },
		{ "sethostname", SYS_sethostname, (long)"x", 1, 0, 0, 0 },
		{ "userfaultfd", SYS_userfaultfd, 0, 0, 0, 0, 0 },
		{ "io_uring_setup", SYS_io_uring_setup, 1, (long)handle, 0, 0, 0 },
	};

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		long r = syscall(calls[i].nr, calls[i].a, calls[i].b, calls[i].c, calls[i].d,
				 calls[i].e);
		if (r == 0 && calls[i].nr == SYS_clone)
			_exit(0); /* the child that must not be */
		(void)printf("%s %s\n", calls[i].name, r >= 0 ? "ALLOWED" : strerrorname_np(errno));
	}
	(void)unused;
	int ns = open("/proc/1/ns/net", O_RDONLY);
	if (ns >= 0)
		(void)printf("setns %s\n", setns(ns, 0) == 0 ? "ALLOWED" : strerrorname_np(errno));
	return 0;
}

static int probe_open(const char *path)
{
	char byte;
	int fd = open(path, O_RDONLY | O_NONBLOCK);
	ssize_t n = fd < 0 ? -1 : read(fd, &byte, 1);

	(void)puts(n < 0 ? strerrorname_np(errno) : n ? "read" : "empty");
	return 0;
}

static int probe_write(const char *path)
{
	int fd = open(path, O_WRONLY | O_NONBLOCK);

	(void)puts(fd < 0		    ? strerrorname_np(errno)
		   : write(fd, "\n", 1) < 0 ? strerrorname_np(errno)
					    : "written");
	return 0;
}

static int probe_tty(const char *unused)
{
	int fd = open("/dev/tty", O_RDWR);

	(void)unused;
	(void)printf("terminal %s\n", fd < 0 ? strerrorname_np(errno) : "yes");
	for (int i = 0; i < 3; i++)
		(void)printf("%d %s\n", i, isatty(i) ? "terminal" : "no");
	for (const char *c = "echo PWNED\n"; *c; c++) {
		for (int i = 0; i < 3; i++)
			(void)ioctl(i, TIOCSTI, c);
		(void)ioctl(fd, TIOCSTI, c);
	}
	return 0;
}

static int probe_null(const char *unused)
{
	(void)unused;
	for (int i = 0; i < 3; i++) {
		struct stat st;
		if (fstat(i, &st) == 0 && S_ISCHR(st.st_mode) && fchmod(i, 0) == 0)
			(void)printf("%d changed\n", i);
	}
	return 0;
}

static void probe_daemon(void)
{
	if (fork() == 0) {
		(void)setsid();
		if (fork() == 0) {
			(void)prctl(PR_SET_NAME, "survivor");
			(void)prctl(PR_SET_PDEATHSIG, 0);
			for (;;)
				(void)pause();
		}
		_exit(0);
	}
}

static int probe_survive(const char *unused)
{
	(void)unused;
	probe_daemon();
	(void)prctl(PR_SET_NAME, "survivor");
	if (setresuid(1000, 1000, 1000) < 0 || prctl(PR_SET_PDEATHSIG, 0) < 0)
		return 1;
	(void)puts("ready");
	(void)fflush(stdout);
	for (;;)
		(void)pause();
}

static int probe_hold(const char *unused)
{
	(void)unused;
	probe_daemon();
	return 7;
}

static int probe_clocks(const char *unused)
{
	struct timespec mono, boot;

	(void)unused;
	(void)clock_gettime(CLOCK_MONOTONIC, &mono);
	(void)clock_gettime(CLOCK_BOOTTIME, &boot);
	(void)printf("%lld %lld\n", (long long)mono.tv_sec, (long long)boot.tv_sec);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(const char *path);
	} verbs[] = {
		{ "fds", probe_fds },	  { "denied", probe_denied },	{ "open", probe_open },
		{ "write", probe_write }, { "tty", probe_tty },		{ "null", probe_null },
		{ "hold", probe_hold },	  { "survive", probe_survive }, { "clocks", probe_clocks },
	};

	for (size_t i = 0; argc > 1 && i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (!strcmp(argv[1], verbs[i].name))
			return verbs[i].run(argc > 2 ? argv[2] : "");
	}
	return 2;
}
