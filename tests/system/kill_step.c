/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kill_step N [-e PREFIX | -p PID | -a] [-f ERRNO] [-t SECONDS] -- COMMAND...
 *
 * Runs the command and kills one process with SIGKILL as it enters its N-th system call that changes
 * something outside of it: the command itself; with -e the first process below it whose command line begins
 * with PREFIX ("strata-monitor run"); with -p one that lives already, while the command runs; with -a it is every
 * system call that counts, of the command and of all below it. Everything else goes on, and the command is waited for.
 * With -f nobody is killed: that system call is not made, and fails with ERRNO, a number.
 *
 * Prints "killed N CALL STATUS", or "survived COUNT STATUS" where the process makes fewer such calls;
 * STATUS is the command's. Exit status: 0 killed, 1 survived, 2 it cannot be done, 3 the command hangs.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/core/macros.h"

struct stepper {
	long step;	    /* 1 is the first */
	const char *prefix; /* -e, or NULL */
	bool all, executed; /* -a; the command itself runs */
	long fault;	    /* -f, or 0 */
	pid_t command, target;
	pid_t failing; /* between entry and exit of the call that fails */
	long count;
	const char *killed; /* the call it was killed at */
	long nr;	    /* its number, and whose it was */
	pid_t who;
	int status; /* the command's */
};

static const struct {
	long nr;
	const char *name;
} step_calls[] = {
#define STEP(call)                                                                                 \
	{                                                                                          \
		SYS_##call, #call                                                                  \
	}
	STEP(mkdir),
	STEP(mkdirat),
	STEP(rmdir),
	STEP(unlink),
	STEP(unlinkat),
	STEP(rename),
	STEP(renameat),
	STEP(renameat2),
	STEP(link),
	STEP(linkat),
	STEP(symlink),
	STEP(symlinkat),
	STEP(mknod),
	STEP(mknodat),
	STEP(mount),
	STEP(umount2),
	STEP(move_mount),
	STEP(fsmount),
	STEP(fsconfig),
	STEP(open_tree),
	STEP(pivot_root),
	STEP(clone),
	STEP(clone3),
	STEP(fork),
	STEP(vfork),
	STEP(execve),
	STEP(execveat),
	STEP(write),
	STEP(pwrite64),
	STEP(writev),
	STEP(sendto),
	STEP(sendmsg),
	STEP(fsync),
	STEP(fdatasync),
	STEP(syncfs),
	STEP(ftruncate),
	STEP(flock),
	STEP(setns),
	STEP(unshare),
	STEP(kill),
	STEP(bpf),
	STEP(bind),
	STEP(pidfd_send_signal),
	STEP(mount_setattr),
	STEP(sethostname),
	STEP(exit_group),
#undef STEP
};

/* NULL: it changes nothing. */
static const char *step_name(const struct __ptrace_syscall_info *info)
{
	long nr = (long)info->entry.nr;

	if (nr == SYS_openat && (info->entry.args[2] & (O_ACCMODE | O_CREAT)))
		return "openat";
	if (nr == SYS_open && (info->entry.args[1] & (O_ACCMODE | O_CREAT)))
		return "open";
	for (size_t i = 0; i < ARRAY_SIZE(step_calls); i++) {
		if (step_calls[i].nr == nr)
			return step_calls[i].name;
	}
	return NULL;
}

/* NULL: it does not count. */
static const char *step_counts(const struct stepper *s, const struct __ptrace_syscall_info *info)
{
	const char *name = step_name(info);

	if (!s->all)
		return name;
	if (!s->executed)
		return NULL; /* ours yet */
	if (name)
		return name;
	/* These do not come back, or cannot fail and must not seem to. */
	if (s->fault && (info->entry.nr == SYS_exit || info->entry.nr == SYS_rt_sigreturn))
		return NULL;
	return "call";
}

#ifdef __x86_64__
/* At its entry the call becomes one that there is not, but for close(2), which closes whatever it says; at its exit the result is put in. */
static void step_fail(pid_t pid, bool entry, long fault)
{
	struct user_regs_struct regs;

	if (ptrace(PTRACE_GETREGS, pid, 0, &regs) < 0)
		return;
	if (entry && regs.orig_rax != SYS_close)
		regs.orig_rax = ~0ULL;
	if (!entry)
		regs.rax = (unsigned long long)-fault;
	(void)ptrace(PTRACE_SETREGS, pid, 0, &regs); /* stopped here and ours to trace */
}
#else
static void step_fail(pid_t pid, bool entry, long fault)
{
	(void)pid;
	(void)entry;
	(void)fault;
}
#endif

static bool step_is_meant(const struct stepper *s, pid_t pid)
{
	char path[40], line[512];

	(void)snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid); /* fits */
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, line, sizeof(line) - 1);
	if (fd >= 0)
		(void)close(fd); /* read only */
	if (n <= 0)
		return false;
	line[n] = '\0';
	for (ssize_t i = 0; i < n - 1; i++)
		line[i] = line[i] ? line[i] : ' ';
	const char *end = strchr(line, ' ');
	const char *name = line;
	for (const char *p = line; *p && p != end; p++)
		name = *p == '/' ? p + 1 : name;
	return !strncmp(name, s->prefix, strlen(s->prefix));
}

static void step_call(struct stepper *s, pid_t pid)
{
	struct __ptrace_syscall_info info;

	if (s->failing == pid) {
		step_fail(pid, false, s->fault);
		s->failing = 0;
		return;
	}
	if (s->killed || ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info), &info) < 0 ||
	    info.op != PTRACE_SYSCALL_INFO_ENTRY)
		return;
	const char *name = step_counts(s, &info);
	if (!name || ++s->count < s->step)
		return;
	s->killed = name;
	s->nr = (long)info.entry.nr;
	s->who = pid;
	if (s->fault) {
		s->failing = pid;
		step_fail(pid, true, s->fault);
		return;
	}
	(void)kill(pid, SIGKILL); /* stopped here and ours to trace: it exists */
}

/* Goes on, up to the next system call where that is of interest. */
static void step_go_on(const struct stepper *s, pid_t pid, int sig)
{
	bool watched = s->failing == pid || ((s->all || pid == s->target) && !s->killed);
	int request = watched ? PTRACE_SYSCALL : PTRACE_CONT;

	(void)ptrace((enum __ptrace_request)request, pid, 0, sig); /* it may have been killed */
}

static void step_stopped(struct stepper *s, pid_t pid, int status)
{
	int sig = WSTOPSIG(status), event = status >> 16;

	if (sig == (SIGTRAP | 0x80)) {
		step_call(s, pid);
		step_go_on(s, pid, 0);
	} else if (event == PTRACE_EVENT_EXEC) {
		s->executed = true;
		if (s->prefix && !s->target && step_is_meant(s, pid))
			s->target = pid;
		step_go_on(s, pid, 0);
	} else if (event == PTRACE_EVENT_STOP && sig != SIGTRAP) {
		(void)ptrace(PTRACE_LISTEN, pid, 0, 0); /* stopped by a signal, and stays so */
	} else {
		step_go_on(s, pid, event ? 0 : sig);
	}
}

static int step_loop(struct stepper *s)
{
	for (;;) {
		int status;
		pid_t pid = waitpid(-1, &status, __WALL);
		if (pid < 0 && errno == EINTR)
			return 3;
		if (pid < 0)
			return 2;
		if (WIFSTOPPED(status)) {
			step_stopped(s, pid, status);
		} else if (pid == s->command) {
			s->status =
				WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
			return s->killed ? 0 : 1;
		}
	}
}

static int step_seize(pid_t pid)
{
	return ptrace(PTRACE_SEIZE, pid, 0,
		      PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
			      PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC) < 0
		       ? -errno
		       : 0;
}

/* The command waits in read(2) until it is traced. */
static pid_t step_spawn(char **argv, int *ret_gate)
{
	int gate[2];

	if (pipe2(gate, O_CLOEXEC) < 0)
		return -errno;
	pid_t pid = fork();
	if (pid == 0) {
		char byte;
		(void)close(gate[1]); /* else the end of file would never come */
		while (read(gate[0], &byte, 1) < 0 && errno == EINTR)
			;
		(void)execvp(argv[0], argv);
		_exit(127);
	}
	(void)close(gate[0]); /* ours is the other end */
	*ret_gate = gate[1];
	return pid;
}

static void step_alarm(int sig)
{
	(void)sig; /* only so that waitpid(2) comes back */
}

static int step_usage(void)
{
	(void)fprintf(stderr,
		      "usage: kill_step N [-e PREFIX | -p PID | -a] [-f ERRNO] [-t SECONDS] -- "
		      "COMMAND...\n");
	return 2;
}

int main(int argc, char **argv)
{
	struct stepper s = { 0 };
	struct sigaction action = { .sa_handler = step_alarm }; /* no SA_RESTART */
	unsigned seconds = 100;
	int gate = -1, opt;

	if (argc < 4 || !isdigit((unsigned char)argv[1][0]))
		return step_usage();
	s.step = strtol(argv[1], NULL, 10);
	while ((opt = getopt(argc - 1, argv + 1, "+ae:f:p:t:")) != -1) {
		if (opt == 'a')
			s.all = true;
		else if (opt == 'f')
			s.fault = strtol(optarg, NULL, 10);
		else if (opt == 'e')
			s.prefix = optarg;
		else if (opt == 'p')
			s.target = (pid_t)strtol(optarg, NULL, 10);
		else if (opt == 't')
			seconds = (unsigned)strtoul(optarg, NULL, 10);
		else
			return step_usage();
	}
	bool attach = s.target != 0;
	s.command = step_spawn(argv + 1 + optind, &gate);
	int r = s.command < 0 ? s.command : attach ? step_seize(s.target) : step_seize(s.command);
	if (r == 0 && attach)
		(void)ptrace(PTRACE_INTERRUPT, s.target, 0,
			     0); /* so that its calls are seen from now on */
	if (r < 0) {
		(void)fprintf(stderr, "kill_step: trace: %s\n", strerror(-r));
		return 2;
	}
	if (!s.prefix && !attach)
		s.target = s.command;
	if (s.target == s.command)
		(void)ptrace(PTRACE_INTERRUPT, s.command, 0, 0); /* likewise */
	(void)sigaction(SIGALRM, &action, NULL);		 /* valid arguments: cannot fail */
	(void)alarm(seconds);
	(void)close(gate); /* the command's end of file */
	r = step_loop(&s);
	if (r == 3)
		(void)kill(s.command, SIGKILL); /* our own child, not yet waited for */
	if (s.killed)
		(void)printf("%s %ld %s %d (number %ld, of %s)\n", s.fault ? "failed" : "killed",
			     s.step, s.killed, s.status, s.nr,
			     s.who == s.command ? "the command" : "one below it");
	else
		(void)printf("survived %ld %d\n", s.count, s.status);
	if (r == 3)
		(void)printf("and then hung for %u s\n", seconds);
	return r;
}
