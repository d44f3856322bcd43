/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/baremetal/hub_start.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/core/macros.h"
#include "base/os/fd.h"
#include "base/os/self.h"
#include "engines/baremetal/lab.h"

#define START_BACKLOG 64
#define START_ERROR   "error: " /* base/os/log.h */
#define START_TAIL    4096

struct start_child {
	const char *program;
	char **argv;
	int dir, listener, log;
	bool dies_with_us;
	pid_t parent;
};

static _Noreturn void start_exec(const struct start_child *c)
{
	sigset_t none;

	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL); /* valid arguments: cannot fail */
	if (c->dies_with_us)
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	else
		(void)setsid(); /* just forked: never a leader */
	if (c->dies_with_us && getppid() != c->parent)
		_exit(125);
	if (fchdir(c->dir) < 0 || dup2(c->listener, STDIN_FILENO) < 0 ||
	    dup2(c->log, STDOUT_FILENO) < 0 || dup2(c->log, STDERR_FILENO) < 0 ||
	    close_range(3, ~0U, 0) < 0)
		_exit(125);
	(void)execv(c->program, c->argv);
	_exit(125);
}

static int start_listen(int dir, const char *name, struct err *err)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	AUTO(fd_close_p) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	/* A directory's own name may be longer than an address has room for. */
	(void)snprintf(at.sun_path, sizeof(at.sun_path), "/proc/self/fd/%d/%s", dir, name);
	if (fd < 0)
		return err_set(err, errno, "socket");
	(void)unlinkat(dir, name, 0); /* of a hub that is gone: whoever starts one holds its lock */
	(void)fchmod(fd, 0600);	      /* what the file will have; a socket of ours: cannot fail */
	if (bind(fd, (const struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, START_BACKLOG) < 0)
		return err_set(err, errno, "listen on %s", name);
	return fd_take(&fd);
}

static char **start_argv(const struct hub_start *start)
{
	const char *const head[] = { "strata-hub",
				     start->lab	  ? "lab"
				     : start->tty ? "tty"
						  : "unix",
				     start->lab	  ? start->console
				     : start->tty ? start->tty
						  : start->unix_socket,
				     start->lab ? "--" : NULL };
	char **qemu = start->lab ? lab_argv(start->lab) : NULL;
	size_t n = 0, more = 0;

	while (qemu && qemu[more])
		more++;
	char **argv =
		start->lab && !qemu ? NULL : calloc(ARRAY_SIZE(head) + more + 1, sizeof(*argv));
	for (size_t i = 0; argv && i < ARRAY_SIZE(head) && head[i]; i++)
		argv[n++] = strdup(head[i]);
	for (size_t i = 0; i < more; i++) {
		if (argv)
			argv[n++] = qemu[i];
		else
			free(qemu[i]);
	}
	free(qemu);
	return argv;
}

int hub_start(const struct hub_start *start, pid_t *ret, struct err *err)
{
	char *program = NULL, *qemu = NULL;
	/* Said before anything is started. */
	int r = start->lab ? lab_qemu(&qemu, err) : 0;

	free(qemu);
	r = r < 0 ? r : self_helper_path("strata-hub", &program, err);
	if (r < 0)
		return r;
	AUTO(fd_close_p) int dir = open(start->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO(fd_close_p) int listener = dir < 0 ? -errno : start_listen(dir, start->socket, err);
	AUTO(fd_close_p)
	int log = dir < 0 ? -errno
			  : openat(dir, start->log,
				   O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	struct start_child child = { program, start_argv(start),   dir,	    listener,
				     log,     start->dies_with_us, getpid() };
	if (dir < 0 || log < 0)
		r = err_set(err, errno, "open %s", dir < 0 ? start->dir : start->log);
	else if (listener < 0)
		r = listener;
	else if (!child.argv)
		r = err_set(err, ENOMEM, "start strata-hub");
	pid_t pid = r < 0 ? -1 : fork();
	if (pid == 0)
		start_exec(&child);
	if (r == 0 && pid < 0)
		r = err_set(err, errno, "start strata-hub");
	lab_argv_free(child.argv);
	free(program);
	*ret = pid;
	return r;
}

void hub_log_last(int dir, const char *name, char ret[256])
{
	AUTO(fd_close_p) int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	char text[START_TAIL];
	off_t size = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);

	ret[0] = '\0';
	if (size <= 0)
		return;
	(void)lseek(fd, size > START_TAIL - 1 ? size - (START_TAIL - 1) : 0, SEEK_SET);
	ssize_t n = fd_read_text(fd, text, sizeof(text));
	while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r'))
		text[--n] = '\0';
	const char *line = n > 0 ? strrchr(text, '\n') : NULL;
	if (n > 0)
		(void)snprintf(ret, 256, "%.255s",
			       line ? line + 1 : text); /* cut where it is long */
	if (!strncmp(ret, START_ERROR, strlen(START_ERROR)))
		memmove(ret, ret + strlen(START_ERROR), strlen(ret + strlen(START_ERROR)) + 1);
	for (char *c = ret; *c; c++) {
		if ((unsigned char)*c < ' ' || (unsigned char)*c == 127)
			*c = '?'; /* a hypervisor's words on a user's terminal */
	}
}
