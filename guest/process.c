/* SPDX-License-Identifier: Apache-2.0 */
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "become.h"
#include "engines/oslevel/pidone.h"
#include "file.h"
#include "layout.h"

void process_io_close(struct process_io *io)
{
	fd_close(io->in);
	if (io->out != io->in)
		fd_close(io->out);
	if (io->err != io->out)
		fd_close(io->err);
	*io = (struct process_io){ -EBADF, -EBADF, -EBADF };
}

void process_init(struct process *process)
{
	*process = (struct process){ 0, -EBADF, { -EBADF, -EBADF, -EBADF } };
}

void process_fini(struct process *process)
{
	fd_close(process->started);
	process_io_close(&process->io);
	process_init(process);
}

static int process_pipe(int *ret_ours, int *ret_theirs, bool we_read)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	*ret_ours = ends[we_read ? 0 : 1];
	*ret_theirs = ends[we_read ? 1 : 0];
	return fcntl(*ret_ours, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

/* A new terminal of that devpts; its first size is the host's. */
static int process_tty(const struct config *config, int pts, struct process_io *ours,
		       struct process_io *theirs, struct err *err)
{
	struct winsize size = { .ws_row = config->size.rows, .ws_col = config->size.columns };
	int unlock = 0;
	struct stat st;

	ours->in = openat(pts, "ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	if (ours->in < 0 || fstat(ours->in, &st) < 0)
		return err_set(err, errno, "open a terminal");
	/* What a session finds there is the workload's choice. */
	if (!S_ISCHR(st.st_mode) || ioctl(ours->in, TIOCSPTLCK, &unlock) < 0)
		return err_say(err, ENOTTY, "/dev/pts/ptmx is not a terminal multiplexer");
	theirs->in = ioctl(ours->in, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (theirs->in < 0)
		return err_set(err, errno, "open a terminal");
	theirs->out = theirs->err = theirs->in;
	if (size.ws_row || size.ws_col)
		(void)ioctl(ours->in, TIOCSWINSZ, &size); /* cosmetic */
	return 0;
}

int process_io_open(const struct config *config, int pts, struct process_io *ours,
		    struct process_io *theirs, struct err *err)
{
	*ours = *theirs = (struct process_io){ -EBADF, -EBADF, -EBADF };
	if (config->flags & AGENT_FLAG_TTY)
		return process_tty(config, pts, ours, theirs, err);
	int r = 0;
	if (config->flags & AGENT_FLAG_STDIN)
		r = process_pipe(&ours->in, &theirs->in, false);
	if (r == 0)
		r = process_pipe(&ours->out, &theirs->out, true);
	if (r == 0)
		r = process_pipe(&ours->err, &theirs->err, true);
	return r < 0 ? err_set(err, -r, "pipes for the standard streams") : 0;
}

struct process_start {
	const struct config *config;
	const struct root *root; /* NULL: a session's, which is in its root already */
	int cgroup, pts;
	int started; /* the child's end */
	struct process_io theirs;
};

static void process_tell(int fd, int status, const struct err *err)
{
	struct process_failure failure = { .status = status, .code = err->code };

	(void)snprintf(failure.text, sizeof(failure.text), "%s", err->text); /* one of ours: cut */
	(void)fd_write_all(fd, &failure, sizeof(failure)); /* the agent is always there */
}

static int process_enter(const struct process_start *start, struct err *err)
{
	const struct config *config = start->config;
	bool tty = config->flags & AGENT_FLAG_TTY;

	if (!start->root)
		return 0;
	(void)file_put_text("/proc/self/oom_score_adj", "0"); /* the agent's own is not for it */
	if (start->cgroup >= 0 && write(start->cgroup, "0", 1) < 0)
		return err_set(err, errno, "join the workload's cgroup");
	if (start->cgroup >= 0 && unshare(CLONE_NEWCGROUP) < 0)
		return err_set(err, errno, "cgroup namespace");
	return layout_enter(config, start->root, start->pts, tty ? start->theirs.in : -EBADF, err);
}

/* With a small init: it is this process, and does not return; the workload is its child. */
static int process_fork(const struct process_start *start, const struct become *become,
			struct err *err)
{
	pid_t child = 0;

	if (!start->root || !(start->config->flags & AGENT_FLAG_INIT))
		return 0;
	int r = pidone_fork(&child, err);
	if (r < 0 || child == 0)
		return r;
	r = become_drop(become, err);
	if (r < 0)
		return r;
	pidone_run(child);
}

static _Noreturn void process_child(const struct process_start *start)
{
	AUTO(become_fini) struct become become = { .config = start->config };
	struct err err = { 0 };
	int status = 125;

	(void)umask(0);
	int r = process_enter(start, &err);
	if (r == 0)
		r = become_prepare(&become, &status, &err);
	if (r == 0)
		r = process_fork(start, &become, &err);
	if (r == 0) {
		(void)umask(0022);
		r = become_stdio(&become, start->theirs.in, start->theirs.out, start->theirs.err,
				 &err);
	}
	if (r == 0)
		(void)become_run(&become, &status, &err);
	process_tell(start->started, status, &err);
	_exit(status);
}

/* fork(2) with flags: what glibc and musl have no call for. Its child must not touch the C library's locks: there are none. */
static pid_t process_clone(int flags)
{
	return (pid_t)syscall(SYS_clone, (unsigned long)flags | SIGCHLD, NULL, NULL, NULL, NULL);
}

static int process_launch(struct process_start *start, int flags, struct process *ret,
			  struct err *err)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_set(err, errno, "pipe");
	start->started = ends[1];
	pid_t pid = process_clone(flags);
	if (pid == 0)
		process_child(start);
	fd_close(ends[1]);
	if (pid < 0) {
		(void)err_set(err, errno, "start a process");
		fd_close(ends[0]);
		return -err->code;
	}
	ret->started = ends[0];
	ret->pid = pid;
	return 0;
}

static int process_go(struct process_start *start, int flags, struct process *ret, struct err *err)
{
	struct process process;

	process_init(&process);
	int r = process_io_open(start->config, start->pts, &process.io, &start->theirs, err);
	if (r == 0)
		r = process_launch(start, flags, &process, err);
	process_io_close(&start->theirs);
	if (r < 0)
		process_fini(&process);
	else
		*ret = process;
	return r;
}

int process_workload(const struct config *config, const struct root *root, int cgroup,
		     struct process *ret, struct err *err)
{
	struct process_start start = { .config = config, .root = root, .cgroup = cgroup };

	AUTO(fd_close_p) int pts = layout_pts(err);
	if (pts < 0)
		return pts;
	start.pts = pts;
	return process_go(&start, CLONE_NEWPID | CLONE_NEWNS, ret, err);
}

int process_join(const struct config *config, struct process *ret, struct err *err)
{
	struct process_start start = { .config = config, .cgroup = -EBADF, .pts = -EBADF };
	AUTO(fd_close_p) int pts = -EBADF;

	if (config->flags & AGENT_FLAG_TTY) {
		pts = open("/dev/pts", O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (pts < 0)
			return err_set(err, errno, "open /dev/pts");
		start.pts = pts;
	}
	return process_go(&start, 0, ret, err);
}

int process_started(int started, int *ret_status, struct err *err)
{
	struct process_failure failure = { 0 };
	size_t len = 0;

	while (len < sizeof(failure)) {
		ssize_t n = read(started, (char *)&failure + len, sizeof(failure) - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	if (len == 0)
		return 0;
	failure.text[sizeof(failure.text) - 1] = '\0';
	*ret_status = failure.status;
	return err_say(err, failure.code, "%s", failure.text);
}

int process_status(int wait_status)
{
	return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}
