/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/vmm/agent_exec.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/core/bytes.h"
#include "base/os/fd.h"
#include "engines/vmm/agent_frame.h"

#define EXEC_CHUNK	32768
#define EXEC_CONNECT_MS 60000 /* a guest that is alive answers at once, if its host lets it */
#define EXEC_STATS_MS	5000  /* there is another, poorer answer to that question */

struct agent_session {
	int socket;
	struct frame_reader reader;
	struct buf out; /* to the guest */
	size_t out_at;
	int in, stdout_fd, stderr_fd;
	bool in_open;
	bool files; /* PUT, GET: half of a tar is of no use */
	bool ended; /* EXIT or FAILED came */
	int status; /* of the session: 0, or a negative errno with err */
	int exit_status;
	struct agent_stat *stat;   /* where STAT_REPLY goes, or NULL */
	struct guest_stats *stats; /* where STATS_REPLY goes, or NULL */
	int patience_ms;	   /* without a word of the guest's; -1: for ever */
	int started;
	uint8_t chunk[EXEC_CHUNK];
};

/* ---- connecting ---- */

static int session_wait(int fd, short events, int timeout_ms)
{
	struct pollfd p = { fd, events, 0 };
	int r;

	do {
		r = poll(&p, 1, timeout_ms);
	} while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r == 0 ? -ETIMEDOUT : 0;
}

/* Byte by byte: what follows the line belongs to the session. */
static int session_answer(int fd, int patience_ms, char *ret, size_t size)
{
	for (size_t n = 0; n < size - 1;) {
		int r = session_wait(fd, POLLIN, patience_ms);
		if (r < 0)
			return r;
		ssize_t got = read(fd, ret + n, 1);
		if (got < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (got <= 0)
			return got < 0 ? -errno : -ECONNREFUSED;
		if (ret[n] == '\n') {
			ret[n] = '\0';
			return 0;
		}
		n++;
	}
	return -EPROTO;
}

static int session_connect(int fd, int patience_ms, struct err *err)
{
	char line[32];
	int n = snprintf(line, sizeof(line), "CONNECT %u\n", AGENT_EXEC_PORT); /* fits */

	int r = fd_write_all(fd, line, (size_t)n);
	if (r == 0)
		r = session_answer(fd, patience_ms, line, sizeof(line));
	if (r == 0 && strncmp(line, "OK ", 3) != 0)
		r = -EPROTO;
	if (r == -ECONNREFUSED)
		return err_say(err, ECONNREFUSED,
			       "the guest takes no sessions: it is starting or ending");
	if (r == 0 && fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		r = -errno;
	return r < 0 ? err_set(err, -r, "connect to the guest") : 0;
}

/* @patience_ms: -1: that of somebody who wants nothing else. */
static int session_open(int fd, int patience_ms, struct agent_session **ret, struct err *err)
{
	int r = session_connect(fd, patience_ms < 0 ? EXEC_CONNECT_MS : patience_ms, err);
	struct agent_session *s = r < 0 ? NULL : calloc(1, sizeof(*s));

	if (!s)
		return r < 0 ? r : err_set(err, ENOMEM, "session");
	s->socket = fd;
	s->in = s->stdout_fd = s->stderr_fd = s->started = -EBADF;
	s->exit_status = 125;
	s->patience_ms = patience_ms;
	frame_reader_init(&s->reader, AGENT_SESSION_MAX);
	*ret = s;
	return 0;
}

static void session_close(struct agent_session *s)
{
	if (!s)
		return;
	frame_reader_fini(&s->reader);
	buf_fini(&s->out);
	free(s);
}

/* ---- from the guest ---- */

/* All of it, also to a descriptor that somebody made O_NONBLOCK. */
static int session_write(int fd, const void *data, size_t len)
{
	const char *at = data;

	while (len) {
		ssize_t n = write(fd, at, len);
		if (n < 0 && errno == EAGAIN) {
			int r = session_wait(fd, POLLOUT, -1);
			if (r < 0)
				return r;
			continue;
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Our reader has gone: the process is to see that, as it would without us. */
static int session_output(struct agent_session *s, uint32_t stream)
{
	int *fd = stream == 1 ? &s->stdout_fd : &s->stderr_fd;
	uint8_t data[4];

	int r = *fd < 0 ? 0 : session_write(*fd, s->reader.body.data, s->reader.len);
	if (r != -EPIPE || s->files)
		return r;
	*fd = -EBADF;
	le32_store(data, stream);
	frame_add(&s->out, AGENT_OUT_END, data, sizeof(data));
	return 0;
}

static int session_exit(struct agent_session *s)
{
	struct agent_end end;

	if (agent_wire_exit(s->reader.body.data, s->reader.len, &end) < 0)
		return -EPROTO;
	s->exit_status = end.status;
	s->ended = true;
	return 0;
}

static int session_take(struct agent_session *s, struct err *err)
{
	const void *data = s->reader.body.data;
	size_t len = s->reader.len;
	int r;

	switch (s->reader.type) {
	case AGENT_STARTED:
		if (s->started >= 0)
			(void)session_write(s->started, "",
					    1); /* a reader that left has no use for it */
		s->started = -EBADF;
		return 0;
	case AGENT_STDOUT:
		return session_output(s, 1);
	case AGENT_STDERR:
		return session_output(s, 2);
	case AGENT_EXIT:
		return session_exit(s);
	case AGENT_STAT_REPLY:
		r = s->stat ? agent_wire_stat(data, len, s->stat) : -EPROTO;
		s->ended = r == 0;
		return r;
	case AGENT_STATS_REPLY:
		r = s->stats ? agent_wire_stats(data, len, s->stats) : -EPROTO;
		s->ended = r == 0;
		return r;
	case AGENT_FAILED:
		r = agent_wire_failed(data, len, &s->exit_status, err);
		s->ended = true;
		s->status = r < 0 ? r : -err->code;
		return r;
	default:
		return -EPROTO;
	}
}

static int session_receive(struct agent_session *s, struct err *err)
{
	ssize_t n = read(s->socket, s->chunk, sizeof(s->chunk));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0)
		return err_set(err, n < 0 ? errno : ECONNRESET, "the guest ended the session");
	for (size_t at = 0; at < (size_t)n && !s->ended;) {
		size_t used = 0;
		int r = frame_reader_feed(&s->reader, s->chunk + at, (size_t)n - at, &used);
		at += used;
		if (r > 0)
			r = session_take(s, err);
		if (r == -EPROTO)
			return err_say(err, EPROTO,
				       "the guest's agent broke its protocol (message %u)",
				       s->reader.type);
		if (r < 0)
			return err_set(err, -r, "copy the output");
	}
	return 0;
}

/* ---- to the guest ---- */

static int session_flush(struct agent_session *s, struct err *err)
{
	if (s->out.failed)
		return err_set(err, ENOMEM, "message to the guest");
	while (s->out_at < s->out.len) {
		ssize_t n = write(s->socket, s->out.data + s->out_at, s->out.len - s->out_at);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return 0;
		if (n < 0 && errno == EPIPE) /* what it said last is still to be read */
			n = (ssize_t)(s->out.len - s->out_at);
		if (n < 0)
			return err_set(err, errno, "send to the guest");
		s->out_at += (size_t)n;
	}
	s->out.len = s->out_at = 0;
	return 0;
}

static void session_read_in(struct agent_session *s)
{
	ssize_t n = read(s->in, s->chunk, sizeof(s->chunk));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0) {
		frame_add(&s->out, AGENT_STDIN, s->chunk, (size_t)n);
		return;
	}
	s->in_open = false; /* an error ends it as the end does */
	frame_add(&s->out, AGENT_STDIN_EOF, NULL, 0);
}

static void session_window(const struct agent_exec *exec, struct winsize *ret)
{
	if (exec->tty < 0 || ioctl(exec->tty, TIOCGWINSZ, ret) < 0)
		*ret = (struct winsize){ .ws_row = 0 };
}

static void session_signal(struct agent_session *s, const struct agent_exec *exec)
{
	struct signalfd_siginfo info;
	struct winsize size;

	if (read(exec->signals, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo != SIGWINCH) {
		agent_wire_signal(&s->out, (int)info.ssi_signo);
		return;
	}
	session_window(exec, &size);
	if (size.ws_row || size.ws_col)
		agent_wire_resize(&s->out, size.ws_row, size.ws_col);
}

/* ---- the loop ---- */

static int session_turn(struct agent_session *s, const struct agent_exec *exec, struct err *err)
{
	bool pending = s->out_at < s->out.len;
	struct pollfd polls[] = {
		{ s->socket, (short)(POLLIN | (pending ? POLLOUT : 0)), 0 },
		{ s->in_open && !pending ? s->in : -1, POLLIN, 0 },
		{ exec ? exec->signals : -1, POLLIN, 0 },
	};

	int ready = poll(polls, ARRAY_SIZE(polls), s->patience_ms);
	if (ready < 0)
		return errno == EINTR ? 0 : err_set(err, errno, "wait for the guest");
	if (ready == 0)
		return err_set(err, ETIMEDOUT, "wait for the guest");
	if (polls[1].revents)
		session_read_in(s);
	if (polls[2].revents)
		session_signal(s, exec);
	return polls[0].revents & (POLLIN | POLLHUP | POLLERR) ? session_receive(s, err) : 0;
}

static int session_run(struct agent_session *s, const struct agent_exec *exec, struct err *err)
{
	struct err local = {
		0
	}; /* the guest's words are wanted even where the caller gave no place */
	int r = 0;

	while (r == 0 && !s->ended) {
		r = session_flush(s, &local);
		if (r == 0)
			r = session_turn(s, exec, &local);
	}
	if (r == 0)
		r = s->status;
	if (r < 0 && err)
		*err = local;
	return r;
}

int agent_exec(const struct agent_exec *exec, int *ret_status, struct err *err)
{
	struct agent_session *s = NULL;
	struct winsize size;

	*ret_status = 125;
	int r = session_open(exec->socket, -1, &s, err);
	if (r < 0)
		return r;
	session_window(exec, &size);
	s->in = exec->in;
	s->in_open = exec->in >= 0 && exec->spec->stdin_open;
	s->stdout_fd = exec->out;
	s->stderr_fd = exec->err;
	s->started = exec->started;
	r = agent_wire_start(&s->out, exec->spec, size.ws_row, size.ws_col, err);
	if (r == 0)
		r = session_run(s, exec, err);
	*ret_status = s->exit_status;
	session_close(s);
	return r;
}

/* The rest of a question about files, and the end of its session. */
static int session_ask(struct agent_session *s, enum agent_type type, const char *path, bool follow,
		       const char *as, struct err *err)
{
	int r = agent_wire_path(&s->out, type, path, follow, as, err);

	if (r == 0)
		r = session_run(s, NULL, err);
	session_close(s);
	return r;
}

int agent_put(int socket, const char *path, int in_fd, struct err *err)
{
	struct agent_session *s = NULL;
	int r = session_open(socket, -1, &s, err);

	if (r < 0)
		return r;
	s->files = true;
	s->in = in_fd;
	s->in_open = true;
	return session_ask(s, AGENT_PUT, path, false, NULL, err);
}

int agent_get(int socket, const char *path, bool follow, const char *as, int out_fd,
	      struct err *err)
{
	struct agent_session *s = NULL;
	int r = session_open(socket, -1, &s, err);

	if (r < 0)
		return r;
	s->files = true;
	s->stdout_fd = out_fd;
	return session_ask(s, AGENT_GET, path, follow, as, err);
}

int agent_stat(int socket, const char *path, bool follow, struct agent_stat *ret, struct err *err)
{
	struct agent_session *s = NULL;
	int r = session_open(socket, -1, &s, err);

	if (r < 0)
		return r;
	s->stat = ret;
	return session_ask(s, AGENT_STAT, path, follow, NULL, err);
}

int agent_stats(int socket, struct guest_stats *ret, struct err *err)
{
	struct agent_session *s = NULL;
	int r = session_open(socket, EXEC_STATS_MS, &s, err);

	if (r < 0)
		return r;
	s->stats = ret;
	frame_add(&s->out, AGENT_STATS, NULL, 0);
	r = session_run(s, NULL, err);
	session_close(s);
	return r;
}
