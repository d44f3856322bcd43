/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/hooks.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/os/fd.h"

int hooks_open(const struct container *container, const struct config *config,
	       const struct bundle_host *host, struct hooks *ret, struct err *err)
{
	*ret = (struct hooks){ container, config, host, -EBADF };
	ret->null = open("/dev/null", O_RDWR | O_CLOEXEC);
	return ret->null < 0 ? err_set(err, errno, "open /dev/null") : 0;
}

void hooks_close(struct hooks *hooks)
{
	fd_close(hooks->null);
	hooks->null = -EBADF;
}

/* A file in memory, not a pipe: a hook that reads nothing holds nobody up. */
static int hook_input(const char *text)
{
	AUTO(fd_close_p) int fd = memfd_create("state", MFD_CLOEXEC);

	if (fd < 0)
		return -errno;
	int r = fd_write_all(fd, text, strlen(text));
	if (r < 0)
		return r;
	return lseek(fd, 0, SEEK_SET) < 0 ? -errno : fd_take(&fd);
}

static _Noreturn void hook_exec(const struct hooks *hooks, const struct hook *hook, bool inside,
				int input)
{
	const char *const just[] = { hook->path, NULL };
	const char *const *args = hook->args ? hook->args : just;
	sigset_t none;

	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL); /* cannot fail: valid arguments */
	(void)setpgid(0, 0);			     /* so that all of it can be killed */
	if (dup2(input, 0) < 0 || dup2(hooks->null, 1) < 0 || dup2(hooks->null, 2) < 0)
		_exit(125);
	/* Those that see the host's files start in the bundle, as every runtime has it. One that is gone is no error. */
	if (!inside)
		(void)chdir(hooks->container->bundle);
	(void)close_range(3, ~0U,
			  CLOSE_RANGE_CLOEXEC); /* since Linux 5.11; ours are so in any case */
	/* Whoever made the image chose what is at its path in there: it may what the container may, and no more. */
	if (inside && bundle_drop(&hooks->config->bundle, hooks->host, NULL) < 0)
		_exit(125);
	(void)execve(hook->path, (char *const *)(uintptr_t)args,
		     hook->env ? (char *const *)(uintptr_t)hook->env
			       : environ); /* returns on error */
	_exit(errno == ENOENT ? 127 : 126);
}

static int hook_wait(const struct hook *hook, pid_t pid, struct err *err)
{
	AUTO(fd_close_p) int pidfd = pidfd_of(pid);
	struct pollfd poll_fd = { .fd = pidfd, .events = POLLIN };
	bool late = false;
	int status = 0;

	if (hook->timeout_s && pidfd >= 0) {
		int n;
		do {
			n = poll(&poll_fd, 1, (int)(hook->timeout_s * 1000));
		} while (n < 0 && errno == EINTR);
		late = n == 0;
		if (late) { /* ours: there until waited for; it may have gone to a group of its children's */
			(void)kill(-pid, SIGKILL);
			(void)kill(pid, SIGKILL);
		}
	}
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return err_set(err, errno, "wait for hook %s", hook->path);
	}
	if (late)
		return err_say(err, ETIMEDOUT, "hook %s: not done after %u s", hook->path,
			       hook->timeout_s);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (WIFSIGNALED(status))
		return err_say(err, ECHILD, "hook %s: killed by signal %d", hook->path,
			       WTERMSIG(status));
	return err_say(err, ECHILD, "hook %s: exit status %d", hook->path, WEXITSTATUS(status));
}

static int hook_run(const struct hooks *hooks, const struct hook *hook, bool inside,
		    const char *state, struct err *err)
{
	AUTO(fd_close_p) int input = hook_input(state);

	if (input < 0)
		return err_set(err, -input, "the state for hook %s", hook->path);
	pid_t pid = fork();
	if (pid < 0)
		return err_set(err, errno, "start hook %s", hook->path);
	if (pid == 0)
		hook_exec(hooks, hook, inside, input);
	return hook_wait(hook, pid, err);
}

int hooks_run(const struct hooks *hooks, enum hook_kind kind, enum container_status status,
	      pid_t pid, struct err *err)
{
	const struct hook_list *list = &hooks->config->hooks[kind];
	int r = 0;

	if (!list->n)
		return 0;
	char *state = container_state(hooks->container, hooks->config, status, pid);
	if (!state)
		return err_set(err, ENOMEM, "the state for hooks");
	for (size_t i = 0; r == 0 && i < list->n; i++)
		r = hook_run(hooks, &list->hooks[i], kind == HOOK_START_CONTAINER, state, err);
	free(state);
	return r < 0 ? err_wrap(err, "%s", hook_names[kind]) : 0;
}
