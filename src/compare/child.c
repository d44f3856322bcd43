/* SPDX-License-Identifier: Apache-2.0 */
#include "compare/child.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/core/buf.h"
#include "base/os/clock.h"
#include "base/os/fd.h"
#include "base/os/wait.h"
#include "compare/group.h"

#define CHILD_SETTLE_MS 60

#define CHILD_ERR_MAX  65536 /* of standard error, of which the last line is wanted */
#define CHILD_LINE_MAX 200
#define CHILD_READ     16384
#define CHILD_PIPE_READS                                                                           \
	(0x100000U / CHILD_READ) /* a pipe's most: pipe(7), /proc/sys/fs/pipe-max-size */

/*
 * What child and parent say to each other, over a socket that execve(2) closes: the child that it is ready (code 0) or why not;
 * the parent one byte: go; then the child the errno of execve(2), or the end.
 */
struct child_word {
	int code;
	char text[256];
};

/* One that is let go. */
struct child_running {
	pid_t pid;
	int pidfd, out, err;
	int mounts; /* its name space of mounts, held */
	struct buf out_text, err_text;
	int64_t begin_ns, first_ns, end_ns; /* CLOCK_MONOTONIC; 0: not yet */
	bool timed_out, stopped;
};

static void child_say(int sync, int code, const char *text)
{
	struct child_word word = { .code = code };

	strncpy(word.text, text, sizeof(word.text) - 1);
	(void)!send(sync, &word, sizeof(word), MSG_NOSIGNAL); /* a parent that died hears nothing */
}

static int child_streams(int null, int out, int errout)
{
	return dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(errout, 2) < 0 ? -errno : 0;
}

/*
 * The first move of a process between v1 groups waits for all CPUs (Linux, kernel/cgroup/cgroup.c: cgroup_threadgroup_rwsem), some
 * 10 ms, and those right after it do not. Ours would make crun's a present: as long as that holds, nothing is timed.
 */
static void child_settle(const struct group *group)
{
	const struct timespec pause = { .tv_nsec = CHILD_SETTLE_MS * NS_PER_MS };

	if (group && group->made)
		(void)nanosleep(&pause, NULL); /* woken early: a figure that is too good */
}

static int child_surroundings(const struct child *child, struct err *err)
{
	sigset_t none;
	int r = group_join(child->group);

	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL); /* a valid set: cannot fail */
	if (r < 0)
		return err_set(err, -r, "join a cgroup");
	child_settle(child->group);
	return child->enter ? child->enter(child->arg, err) : 0;
}

static _Noreturn void child_main(const struct child *child, int sync, int null, int out, int errout)
{
	struct err err = { 0 };
	char go;

	(void)setpgid(0, 0); /* a terminal's Ctrl-C is for us alone: see child.stop */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* a parent that died before is seen at recv() */
	int r = child_surroundings(child, &err);
	if (r == 0)
		r = child_streams(null, out, errout);
	child_say(sync, -r, err.text);
	if (r < 0 || recv(sync, &go, 1, 0) != 1)
		_exit(125);
	if (child->env)
		environ = (char **)(uintptr_t)child->env; /* whose PATH counts, too */
	(void)execvp(child->argv[0], (char *const *)(uintptr_t)child->argv);
	child_say(sync, errno, "");
	_exit(errno == ENOENT ? 127 : 126);
}

static int child_hear(int sync, struct child_word *ret)
{
	ssize_t n;

	do {
		n = recv(sync, ret, sizeof(*ret), 0);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n == 0 ? 0 : 1;
}

/* Made and ready, but not let go. */
static int child_fork(const struct child *child, int out, int errout, pid_t *ret, int *ret_sync,
		      struct err *err)
{
	struct child_word word = { 0 };
	int pair[2];
	AUTO(fd_close_p) int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_set(err, errno, "run %s", child->argv[0]);
	pid_t pid = fork();
	if (pid == 0) {
		fd_close(pair[0]); /* else it would never see the parent's end of it close */
		child_main(child, pair[1], null, out >= 0 ? out : null,
			   errout >= 0 ? errout : null);
	}
	int code = errno;
	fd_close(pair[1]);
	int r = pid < 0 ? -code : child_hear(pair[0], &word);
	if (pid > 0 && (r <= 0 || word.code)) {
		(void)waitpid(pid, NULL, 0); /* it left by itself */
		r = r < 0 ? r : word.code ? -word.code : -EPIPE;
	}
	if (r < 0) {
		fd_close(pair[0]);
		word.text[sizeof(word.text) - 1] = '\0';
		return word.text[0] ? err_say(err, -r, "%s", word.text)
				    : err_set(err, -r, "run %s", child->argv[0]);
	}
	*ret = pid;
	*ret_sync = pair[0];
	return 0;
}

/* Keeps the end: what a program says last is what is asked for. */
void child_keep(struct buf *buf, const char *data, size_t n, size_t max)
{
	if (buf->len + n > 2 * max) {
		size_t drop = buf->len - max / 2;
		memmove(buf->data, buf->data + drop, buf->len - drop);
		buf->len -= drop;
		buf->data[buf->len] = '\0';
	}
	(void)buf_add(buf, data, n); /* out of memory: the rest is lost, looked at by nobody */
}

/* Return: whether there may be more. */
static bool child_read(int *fd, struct buf *buf, size_t max)
{
	char data[CHILD_READ];
	ssize_t n = read(*fd, data, sizeof(data));

	if (n > 0)
		child_keep(buf, data, (size_t)n, max);
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		fd_close_p(fd);
	return n == (ssize_t)sizeof(data);
}

/* What is in a pipe; one that it left behind may fill it for ever. */
static void child_drain_one(int *fd, struct buf *buf, size_t max)
{
	for (unsigned i = 0; i < CHILD_PIPE_READS && *fd >= 0; i++) {
		if (!child_read(fd, buf, max))
			break;
	}
}

static void child_drain(struct child_running *c)
{
	child_drain_one(&c->out, &c->out_text, OUTCOME_MAX);
	child_drain_one(&c->err, &c->err_text, CHILD_ERR_MAX);
}

static int child_poll_ms(const struct child *child, const struct child_running *c)
{
	int64_t left = c->begin_ns + (int64_t)child->timeout * NS_PER_S - clock_mono_ns();

	return left <= 0 ? 0 : left / NS_PER_MS > 100000 ? 100000 : (int)(left / NS_PER_MS) + 1;
}

static void child_watch(const struct child *child, struct child_running *c)
{
	while (!c->end_ns && !c->timed_out && !c->stopped) {
		struct pollfd polls[4] = { { c->pidfd, POLLIN, 0 },
					   { c->out, POLLIN, 0 },
					   { c->err, POLLIN, 0 },
					   { child->stop, POLLIN, 0 } };
		int n = poll(polls, 4, child_poll_ms(child, c));
		int64_t now = clock_mono_ns();
		if (n < 0 && errno != EINTR)
			break;
		if (n > 0 && polls[1].revents && !c->first_ns && polls[1].revents & POLLIN)
			c->first_ns = now;
		if (n > 0 && polls[0].revents)
			c->end_ns = now;
		c->stopped = n > 0 && polls[3].revents && !c->end_ns;
		c->timed_out =
			!c->end_ns && now - c->begin_ns >= (int64_t)child->timeout * NS_PER_S;
		if (polls[1].revents)
			(void)child_read(&c->out, &c->out_text, OUTCOME_MAX);
		if (polls[2].revents)
			(void)child_read(&c->err, &c->err_text, CHILD_ERR_MAX);
	}
}

static void child_end_early(const struct child *child, const struct child_running *c)
{
	if (child->abort)
		child->abort(child->arg);
	(void)kill(-c->pid, SIGKILL); /* gone already: good */
	(void)pidfd_signal(c->pidfd, SIGKILL);
	group_kill(child->group);
}

static int child_reap(pid_t pid)
{
	int status = wait_child(pid);

	return status < 0 ? 125 : status;
}

char *child_last_line(const struct buf *buf)
{
	const char *text = buf_str(buf);
	size_t end = strlen(text);

	while (end && (unsigned char)text[end - 1] <= ' ')
		end--;
	size_t start = end;
	while (start && text[start - 1] != '\n' && text[start - 1] != '\r' &&
	       end - start < CHILD_LINE_MAX)
		start--;
	char *line = strndup(text + start, end - start);
	for (char *c = line; c && *c; c++)
		*c = (unsigned char)*c < ' ' || *c == 0x7f ? '?' : *c;
	return line;
}

char *child_text(const struct buf *buf, size_t *ret_n)
{
	size_t n = buf->len > OUTCOME_MAX ? OUTCOME_MAX : buf->len;
	char *text = malloc(n + 1);

	if (text && n)
		memcpy(text, buf->data + buf->len - n, n);
	if (text)
		text[n] = '\0';
	*ret_n = text ? n : 0;
	return text;
}

static void child_outcome(struct child_running *c, int status, struct outcome *ret)
{
	int64_t end = c->end_ns ? c->end_ns : clock_mono_ns();

	*ret = (struct outcome){
		.status = status, .timed_out = c->timed_out, .cpu = NAN, .memory = NAN
	};
	ret->elapsed = (double)(end - c->begin_ns) / NS_PER_MS;
	ret->first_byte = c->first_ns ? (double)(c->first_ns - c->begin_ns) / NS_PER_MS : NAN;
	ret->out = child_text(&c->out_text, &ret->out_n);
	ret->err_line = child_last_line(&c->err_text);
}

/* A command that could not become one ends as a shell would say. */
static void child_never_ran(const struct child *child, int code, struct outcome *ret)
{
	char text[CHILD_LINE_MAX];

	(void)snprintf(text, sizeof(text), "%.120s: %s", child->argv[0],
		       strerror(code)); /* cut: still telling */
	free(ret->err_line);
	ret->err_line = strdup(text);
	ret->status = code == ENOENT ? 127 : 126;
}

static void child_running_fini(struct child_running *c)
{
	fd_close(c->pidfd);
	fd_close(c->mounts);
	fd_close(c->out);
	fd_close(c->err);
	buf_fini(&c->out_text);
	buf_fini(&c->err_text);
}

/*
 * The mounts that were made for it go when nobody has its name space any more. That takes the kernel some 2 ms, which are none of the
 * program's: so there is still somebody until its end is known.
 */
static void child_hold_mounts(const struct child *child, struct child_running *c)
{
	char path[40];

	(void)snprintf(path, sizeof(path), "/proc/%d/ns/mnt", (int)c->pid); /* fits */
	if (child->enter)
		c->mounts =
			open(path, O_RDONLY | O_CLOEXEC); /* without, its figure has them in it */
}

static int child_go(const struct child *child, struct child_running *c, int sync,
		    struct outcome *ret, struct err *err)
{
	struct child_word word = { 0 };

	c->pidfd = pidfd_of(c->pid);
	if (c->pidfd < 0) {
		(void)kill(c->pid, SIGKILL);
		(void)child_reap(c->pid); /* only to be rid of it */
		return err_set(err, -c->pidfd, "watch %s", child->argv[0]);
	}
	child_hold_mounts(child, c);
	group_begin(child->group);
	c->begin_ns = clock_mono_ns();
	(void)!send(sync, "", 1, MSG_NOSIGNAL); /* one that died is seen to end */
	child_watch(child, c);
	if (!c->end_ns)
		child_end_early(child, c);
	int status = child_reap(c->pid);
	child_drain(c);
	child_outcome(c, status, ret);
	if (c->end_ns && child_hear(sync, &word) > 0 && word.code)
		child_never_ran(child, word.code, ret);
	if (!c->stopped)
		return 0;
	outcome_fini(ret);
	return err_say(err, EINTR, "interrupted");
}

int child_run(const struct child *child, struct outcome *ret, struct err *err)
{
	struct child_running c = {
		.pidfd = -EBADF, .mounts = -EBADF, .out = -EBADF, .err = -EBADF
	};
	int out[2], errout[2], sync;

	if (pipe2(out, O_CLOEXEC) < 0)
		return err_set(err, errno, "run %s", child->argv[0]);
	if (pipe2(errout, O_CLOEXEC) < 0) {
		int code = errno;
		fd_close(out[0]);
		fd_close(out[1]);
		return err_set(err, code, "run %s", child->argv[0]);
	}
	int r = child_fork(child, out[1], errout[1], &c.pid, &sync, err);
	fd_close(out[1]);
	fd_close(errout[1]);
	c.out = out[0];
	c.err = errout[0];
	(void)fcntl(c.out, F_SETFL, O_NONBLOCK); /* our own pipes: cannot fail */
	(void)fcntl(c.err, F_SETFL, O_NONBLOCK);
	if (r == 0) {
		r = child_go(child, &c, sync, ret, err);
		fd_close(sync);
	}
	child_running_fini(&c);
	return r;
}

int child_start(const struct child *child, int out, pid_t *ret, int64_t *ret_begin_ns,
		struct err *err)
{
	struct child_word word = { 0 };
	int sync;
	pid_t pid;
	int r = child_fork(child, out, out, &pid, &sync, err);

	if (r < 0)
		return r;
	*ret_begin_ns = clock_mono_ns();
	(void)!send(sync, "", 1, MSG_NOSIGNAL); /* one that died is heard of below */
	r = child_hear(sync, &word);
	fd_close(sync);
	if (r == 0) {
		*ret = pid;
		return 0;
	}
	(void)kill(pid, SIGKILL);
	(void)child_reap(pid); /* only to be rid of it */
	return err_set(err, r < 0 ? -r : word.code, "run %s", child->argv[0]);
}
