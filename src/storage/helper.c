/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/helper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/json.h"
#include "base/os/self.h"

#define HELPER_RESULT_MAX (64u << 20)
#define HELPER_FDS_MAX	  8

static void text_free_p(char **text)
{
	free(*text);
}

/* In the child, between fork and exec: only what is safe there. */
static void helper_exec(const char *const *argv, const int *fds, size_t n_fds, pid_t parent)
{
	int high[HELPER_FDS_MAX];
	char path[80];

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (getppid() != parent)
		_exit(127);
	for (size_t i = 0; i < n_fds; i++)
		high[i] = fds[i] < 0 ? -1 : fcntl(fds[i], F_DUPFD_CLOEXEC, 64);
	for (size_t i = 0; i < n_fds; i++) {
		if (high[i] >= 0)
			(void)dup2(high[i], (int)i);
		else if (i > 2)
			(void)close((int)i);
	}
	(void)close_range(n_fds > 3 ? (unsigned)n_fds : 3, ~0U, CLOSE_RANGE_CLOEXEC);
	(void)execvp(argv[0], (char *const *)argv);
	/* An ordinary user's PATH does not lead to the file systems' programs. */
	if (errno == ENOENT && !strchr(argv[0], '/') &&
	    snprintf(path, sizeof(path), "/usr/sbin/%.60s", argv[0]) > 0)
		(void)execv(path, (char *const *)argv);
	_exit(127);
}

int helper_spawn(const char *const *argv, const int *fds, size_t n_fds, pid_t *ret, struct err *err)
{
	pid_t parent = getpid();

	if (n_fds > HELPER_FDS_MAX)
		return err_set(err, EINVAL, "run %s", argv[0]);
	pid_t pid = fork();
	if (pid < 0)
		return err_set(err, errno, "run %s", argv[0]);
	if (pid == 0)
		helper_exec(argv, fds, n_fds, parent);
	*ret = pid;
	return 0;
}

int helper_wait(pid_t pid)
{
	int status = 0;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

int helper_start(const char *const *argv, const struct helper_fds *fds, struct helper *ret,
		 struct err *err)
{
	AUTO(text_free_p) char *path = NULL;
	AUTO(fd_close_p) int result = -EBADF;
	AUTO(fd_close_p) int result_end = -EBADF;
	AUTO(fd_close_p) int control = -EBADF;
	AUTO(fd_close_p) int control_end = -EBADF;
	const char *args[2048]; /* two for each layer of an image */
	size_t n = 0;
	int pipes[2];

	int r = self_helper_path("strata-archive", &path, err);
	if (r < 0)
		return r;
	args[n++] = path;
	for (size_t i = 0; argv[i]; i++) {
		if (n == ARRAY_SIZE(args) - 1)
			return err_say(err, E2BIG, "strata-archive: too many arguments");
		args[n++] = argv[i];
	}
	args[n] = NULL;
	if (pipe2(pipes, O_CLOEXEC) < 0)
		return err_set(err, errno, "make a pipe");
	result = pipes[0];
	result_end = pipes[1];
	if (pipe2(pipes, O_CLOEXEC) < 0)
		return err_set(err, errno, "make a pipe");
	control_end = pipes[0];
	control = pipes[1];

	const int child[] = {
		fds->in, fds->out, -1, result_end, control_end, fds->dir, fds->layers
	};
	pid_t pid;
	r = helper_spawn(args, child, ARRAY_SIZE(child), &pid, err);
	if (r < 0)
		return r;
	*ret = (struct helper){
		.pid = pid,
		.result = fd_take(&result),
		.control = fd_take(&control),
	};
	return 0;
}

void helper_fini(struct helper *helper)
{
	if (!helper->pid)
		return;
	fd_close(fd_take(&helper->result));
	fd_close(fd_take(&helper->control));
	(void)helper_wait(helper->pid); /* its answer was all we wanted */
	helper->pid = 0;
}

/* The process ended without an answer. */
static int helper_died(struct helper *helper, struct err *err)
{
	fd_close(fd_take(&helper->control));
	int status = helper_wait(helper->pid);

	helper->pid = 0;
	fd_close(fd_take(&helper->result));
	if (WIFSIGNALED(status))
		return err_say(err, EIO, "strata-archive was killed by signal %d (%s)",
			       WTERMSIG(status), strsignal(WTERMSIG(status)));
	return err_say(err, EIO, "strata-archive ended with status %d and no answer",
		       WEXITSTATUS(status));
}

int helper_result(struct helper *helper, json_t **ret, struct err *err)
{
	AUTO(buf_fini) struct buf text = { 0 };
	int r = fd_read_all(helper->result, HELPER_RESULT_MAX, &text);

	if (r < 0)
		return err_set(err, -r, "read strata-archive's answer");
	if (!text.len)
		return helper_died(helper, err);
	if (text.data[0] == '{')
		return json_parse(text.data, text.len, "strata-archive's answer", ret, err);
	char *words = NULL;
	long code = strtol(text.data, &words, 10);
	return err_say(err, code > 0 && code < 4096 ? (int)code : EIO, "%s",
		       words[0] == ' ' ? words + 1 : words);
}
