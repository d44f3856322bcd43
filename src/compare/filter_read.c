/* SPDX-License-Identifier: Apache-2.0 */
/* Filters of living processes: ptrace(2), PTRACE_SECCOMP_GET_FILTER, in a child, so that whatever happens to it undoes itself. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/core/macros.h"
#include "base/os/clock.h"
#include "base/os/fd.h"
#include "compare/filter.h"

#define READ_TIMEOUT_MS 60000
#define STOP_TIMEOUT_MS 15000
#define FILTERS_MAX	64

/* What a thread's filters leave of all calls. */
struct calls {
	bool reached[512];
};

static unsigned calls_count(const struct calls *calls)
{
	unsigned n = 0;

	for (unsigned nr = 0; nr < ARRAY_SIZE(calls->reached); nr++)
		n += calls->reached[nr];
	return n;
}

static void calls_filter(struct calls *calls, const struct sock_filter *program, size_t n)
{
	for (unsigned nr = 0; nr < ARRAY_SIZE(calls->reached); nr++) {
		if (calls->reached[nr])
			calls->reached[nr] = filter_allows(program, n, nr);
	}
}

/* 0: it is held; it goes on when detached, or when this process ends. */
static int thread_stop(pid_t tid)
{
	int64_t end = clock_mono_ns() + STOP_TIMEOUT_MS * NS_PER_MS;
	int status;

	if (ptrace(PTRACE_SEIZE, tid, 0, 0) < 0 || ptrace(PTRACE_INTERRUPT, tid, 0, 0) < 0)
		return -errno;
	/* A frozen one (paused) does not stop. */
	while (clock_mono_ns() < end) {
		pid_t pid = waitpid(tid, &status, __WALL | WNOHANG);
		if (pid < 0)
			return -errno;
		if (pid == tid)
			return WIFSTOPPED(status) ? 0 : -ESRCH;
		(void)poll(NULL, 0, 1);
	}
	return -ETIMEDOUT;
}

static int thread_filter(pid_t tid, unsigned index, struct calls *calls)
{
	long n = ptrace(PTRACE_SECCOMP_GET_FILTER, tid, index, NULL);

	if (n <= 0)
		return n < 0 ? -errno : -ENOENT;
	struct sock_filter *program = calloc((size_t)n, sizeof(*program));
	if (!program)
		return -ENOMEM;
	n = ptrace(PTRACE_SECCOMP_GET_FILTER, tid, index, program);
	int r = n < 0 ? -errno : 0;
	if (r == 0)
		calls_filter(calls, program, (size_t)n);
	free(program);
	return r;
}

/* Return: how many calls are left to it, or -errno. */
static int thread_calls(pid_t tid)
{
	struct calls calls = { 0 };
	int r = thread_stop(tid);

	for (unsigned nr = 0; nr < ARRAY_SIZE(calls.reached); nr++)
		calls.reached[nr] = filter_is_call(nr);
	for (unsigned i = 0; r == 0 && i < FILTERS_MAX; i++)
		r = thread_filter(tid, i, &calls);
	(void)ptrace(PTRACE_DETACH, tid, 0, 0);
	/* ENOENT: there is no filter of that number; EINVAL: none at all, or a kernel that tells nobody */
	return r == 0 || r == -ENOENT ? (int)calls_count(&calls) : r;
}

/* The line "Seccomp:" of its status: 0: it has none, which no kernel hides; 2: filters */
static bool thread_is_free(pid_t pid, const char *tid)
{
	char path[64], text[4096];

	(void)snprintf(path, sizeof(path), "/proc/%d/task/%.20s/status", (int)pid, tid); /* fits */
	FILE *file = fopen(path, "re");
	size_t n = file ? fread(text, 1, sizeof(text) - 1, file) : 0;
	if (file)
		(void)fclose(file); /* read only */
	text[n] = '\0';
	return strstr(text, "\nSeccomp:\t0\n");
}

static int process_calls(pid_t pid, int most)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/task", (int)pid); /* fits */
	AUTO(dir_close_p) DIR *dir = opendir(path);
	for (struct dirent *e = dir ? readdir(dir) : NULL; e; e = readdir(dir)) {
		if (e->d_name[0] == '.')
			continue;
		int n = thread_is_free(pid, e->d_name)
				? (int)FILTER_CALLS
				: thread_calls((pid_t)strtol(e->d_name, NULL, 10));
		if (n < 0 && n != -ESRCH)
			return n;
		most = n > most ? n : most;
	}
	return most;
}

static void child_main(const pid_t *pids, size_t n, int out)
{
	int r = -ESRCH;

	for (size_t i = 0; i < n; i++) {
		int calls = process_calls(pids[i], r);
		if (calls < 0 && calls != -ESRCH) {
			r = calls;
			break;
		}
		r = calls;
	}
	ssize_t written = write(out, &r, sizeof(r));
	_exit(written == sizeof(r) ? 0 : 1);
}

static int child_answer(int in, int *ret)
{
	struct pollfd fd = { .fd = in, .events = POLLIN };
	int r = poll(&fd, 1, READ_TIMEOUT_MS);

	if (r <= 0)
		return r < 0 ? -errno : -ETIMEDOUT;
	return read(in, ret, sizeof(*ret)) == sizeof(*ret) ? 0 : -EIO;
}

static int filter_failed(int r, struct err *err)
{
	if (r == -EPERM || r == -EACCES)
		return err_say(err, EPERM, "reading the filters of other processes takes root");
	if (r == -EINVAL)
		return err_say(err, ENOTSUP,
			       "this kernel does not show filters "
			       "(CONFIG_CHECKPOINT_RESTORE)");
	return err_set(err, -r, "read the filters of the guest's processes");
}

int filter_calls(const pid_t *pids, size_t n, unsigned *ret, struct err *err)
{
	int pipes[2], answer = 0;

	if (pipe2(pipes, O_CLOEXEC) < 0)
		return err_set(err, errno, "make a pipe");
	pid_t pid = fork();
	if (pid == 0)
		child_main(pids, n, pipes[1]);
	int r = pid < 0 ? -errno : 0;
	fd_close(pipes[1]);
	if (r == 0)
		r = child_answer(pipes[0], &answer);
	fd_close(pipes[0]);
	if (pid > 0) {
		(void)kill(pid, SIGKILL); /* it has answered, or never will */
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	if (r == 0 && answer < 0)
		r = answer;
	if (r < 0)
		return filter_failed(r, err);
	*ret = (unsigned)answer;
	return 0;
}
