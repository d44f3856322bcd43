/* SPDX-License-Identifier: Apache-2.0 */
#include "session.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/core/bytes.h"
#include "base/os/fd.h"
#include "engines/vmm/agent_frame.h"
#include "file.h"
#include "process.h"
#include "stats.h"
#include "talk.h"
#include "tar.h"

#define SESSION_CHUNK 32768

struct session {
	const struct session_start *start;
	struct frame_reader reader;
	uint8_t in[SESSION_CHUNK]; /* from the host, not looked at yet */
	size_t in_at, in_len;
	struct buf out; /* to the host */
	size_t out_at;
	struct process process;
	struct buf feed; /* to the process's standard input */
	size_t feed_at;
	bool feed_end;	    /* nothing comes after feed */
	bool started, told; /* STARTED is said; the end is said */
	bool ended;	    /* the process is */
	bool lost;	    /* the host is */
	int status;
	int children; /* signalfd */
};

/* ---- the connection ---- */

static bool session_again(void)
{
	return errno == EAGAIN || errno == EINTR;
}

static void session_flush(struct session *s)
{
	while (s->out_at < s->out.len && !s->lost) {
		ssize_t n = write(s->start->fd, s->out.data + s->out_at, s->out.len - s->out_at);
		if (n < 0 && session_again())
			return;
		if (n <= 0)
			s->lost = true;
		else
			s->out_at += (size_t)n;
	}
	s->out.len = s->out_at = 0;
}

static void session_fail(struct session *s, int status, const struct err *err)
{
	talk_failed(&s->out, status, err);
	s->told = true;
}

static void session_exit(struct session *s, int status)
{
	uint8_t body[sizeof(struct agent_exit)] = { 0 };

	le32_store(body, (uint32_t)status);
	frame_add(&s->out, AGENT_EXIT, body, sizeof(body));
	s->told = true;
}

/* The next frame. 1, 0: none is whole yet, -errno. */
static int session_frame(struct session *s)
{
	while (s->in_at < s->in_len) {
		size_t used = 0;
		int r = frame_reader_feed(&s->reader, s->in + s->in_at, s->in_len - s->in_at,
					  &used);
		s->in_at += used;
		if (r != 0)
			return r;
	}
	return 0;
}

static void session_receive(struct session *s)
{
	if (s->in_at < s->in_len)
		return;
	ssize_t n = read(s->start->fd, s->in, sizeof(s->in));
	if (n < 0 && session_again())
		return;
	if (n <= 0)
		s->lost = true;
	s->in_at = 0;
	s->in_len = n > 0 ? (size_t)n : 0;
}

/* Waits for one frame, for what comes before there is a process. */
static int session_wait_frame(struct session *s)
{
	for (;;) {
		int r = session_frame(s);
		if (r != 0)
			return r;
		struct pollfd poll_fd = { s->start->fd, POLLIN, 0 };
		if (poll(&poll_fd, 1, -1) < 0 && errno != EINTR)
			return -errno;
		session_receive(s);
		if (s->lost)
			return -EPIPE;
	}
}

/* Sends all there is, waiting for the host: for tars, which have no process to serve meanwhile. */
static int session_push(struct session *s)
{
	while (s->out_at < s->out.len && !s->lost) {
		struct pollfd poll_fd = { s->start->fd, POLLOUT, 0 };
		session_flush(s);
		if (s->out_at < s->out.len && poll(&poll_fd, 1, -1) < 0 && errno != EINTR)
			return -errno;
	}
	return s->lost ? -EPIPE : s->out.failed ? -ENOMEM : 0;
}

/* ---- a process ---- */

static void session_signal(const struct session *s)
{
	int sig = talk_signal(&s->reader);

	if (sig && !s->ended)
		(void)kill(s->process.pid, sig); /* gone already: its end is under way */
}

static void session_resize(const struct session *s)
{
	if (s->process.io.in >= 0)
		talk_resize(&s->reader, s->process.io.in);
}

static void session_out_end(struct session *s, const struct frame_reader *frame)
{
	uint32_t stream = frame->len == 4 ? le32_load(frame->body.data) : 0;
	int *fd = stream == 2 ? &s->process.io.err : &s->process.io.out;

	if (stream != 1 && stream != 2)
		return;
	fd_close(*fd); /* a terminal has neither: it is written to all the same */
	*fd = -EBADF;
}

static int session_command(struct session *s)
{
	const struct frame_reader *frame = &s->reader;

	switch (frame->type) {
	case AGENT_STDIN:
		if (frame->len && s->process.io.in >= 0 && !s->feed_end)
			(void)buf_add(&s->feed, frame->body.data, frame->len); /* checked below */
		return s->feed.failed ? -ENOMEM : 0;
	case AGENT_STDIN_EOF:
		s->feed_end = true;
		return 0;
	case AGENT_SIGNAL:
		session_signal(s);
		return 0;
	case AGENT_RESIZE:
		session_resize(s);
		return 0;
	case AGENT_OUT_END:
		session_out_end(s, frame);
		return 0;
	default:
		return -EPROTO;
	}
}

static void session_feed(struct session *s, bool tty)
{
	int *in = &s->process.io.in;

	while (s->feed_at < s->feed.len && *in >= 0) {
		ssize_t n = write(*in, s->feed.data + s->feed_at, s->feed.len - s->feed_at);
		if (n < 0 && session_again())
			return;
		if (n < 0)
			break; /* nobody reads: the bytes are lost, as in a shell's pipe */
		s->feed_at += (size_t)n;
	}
	s->feed.len = s->feed_at = 0;
	if (s->feed_end && *in >= 0 && !tty) {
		fd_close(*in);
		*in = -EBADF;
	}
}

static void session_read_from(struct session *s, int *fd, uint32_t type)
{
	uint8_t chunk[SESSION_CHUNK];
	ssize_t n = read(*fd, chunk, sizeof(chunk));

	if (n < 0 && session_again())
		return;
	if (n > 0) {
		frame_add(&s->out, type, chunk, (size_t)n);
		return;
	}
	fd_close(*fd); /* end of file; EIO: the last slave of a terminal closed */
	*fd = -EBADF;
}

static void session_reap(struct session *s)
{
	struct signalfd_siginfo info;
	int status;

	(void)!read(s->children, &info, sizeof(info)); /* only to empty it */
	if (!s->ended && waitpid(s->process.pid, &status, WNOHANG) == s->process.pid) {
		s->ended = true;
		s->status = process_status(status);
	}
}

static void session_check_started(struct session *s)
{
	struct err err = { 0 };
	int status = 125;

	s->started = true;
	if (process_started(s->process.started, &status, &err) < 0)
		session_fail(s, status, &err);
	else
		frame_add(&s->out, AGENT_STARTED, NULL, 0);
	fd_close(s->process.started);
	s->process.started = -EBADF;
}

/* What the process started may hold its streams open longer than it lives: their end is waited for, as at OS level. */
static bool session_streams_open(const struct session *s, bool tty)
{
	const struct process_io *io = &s->process.io;

	return tty ? io->in >= 0 : io->out >= 0 || io->err >= 0;
}

static void session_commands(struct session *s)
{
	int r;

	while (s->feed_at == s->feed.len && (r = session_frame(s)) != 0) {
		struct err err = { 0 };
		if (r > 0)
			r = session_command(s);
		if (r < 0) {
			(void)err_set(&err, -r, "the host's message");
			session_fail(s, 125, &err);
			return;
		}
	}
}

static void session_poll(struct session *s, bool tty)
{
	struct process_io *io = &s->process.io;
	bool room = s->out.len == s->out_at;
	bool hungry = s->feed_at == s->feed.len;
	struct pollfd polls[] = {
		{ s->start->fd,
		  (short)(POLLRDHUP | (hungry && s->in_at == s->in_len ? POLLIN : 0) |
			  (room ? 0 : POLLOUT)),
		  0 },
		{ room && s->started ? (tty ? io->in : io->out) : -1, POLLIN, 0 },
		{ room && s->started ? io->err : -1, POLLIN, 0 },
		{ hungry ? -1 : io->in, POLLOUT, 0 },
		{ s->children, POLLIN, 0 },
		{ s->started ? -1 : s->process.started, POLLIN, 0 },
	};

	if (poll(polls, ARRAY_SIZE(polls), -1) < 0)
		return; /* EINTR */
	if (polls[5].revents)
		session_check_started(s);
	if (polls[0].revents & POLLIN)
		session_receive(s);
	if (polls[0].revents & (POLLRDHUP | POLLHUP | POLLERR))
		s->lost = true; /* no host closes one direction only */
	if (polls[1].revents)
		session_read_from(s, tty ? &io->in : &io->out, AGENT_STDOUT);
	if (polls[2].revents)
		session_read_from(s, &io->err, AGENT_STDERR);
	if (polls[4].revents)
		session_reap(s);
}

static void session_serve(struct session *s, bool tty)
{
	while (!s->lost && !(s->told && s->out.len == s->out_at)) {
		if (!s->told)
			session_commands(s);
		session_feed(s, tty);
		if (s->started && s->ended && !s->told && s->out.len == s->out_at &&
		    !session_streams_open(s, tty))
			session_exit(s, s->status);
		session_flush(s);
		if (s->told && s->out.len == s->out_at)
			break;
		session_poll(s, tty);
	}
	if (!s->ended)
		(void)kill(s->process.pid, SIGKILL); /* the host left, or the conversation broke */
}

static int session_process(struct session *s, struct err *err)
{
	AUTO(config_fini) struct config config = { 0 };
	int r = config_parse(AGENT_START, s->reader.body.data, s->reader.len, &config, err);

	if (r < 0)
		return r;
	s->reader.max = AGENT_SESSION_MAX;
	s->children = talk_children();
	if (s->children < 0)
		return err_set(err, -s->children, "signalfd");
	r = process_join(&config, &s->process, err);
	if (r < 0)
		return r;
	session_serve(s, config.flags & AGENT_FLAG_TTY);
	return 0;
}

/* ---- files ---- */

struct session_path {
	char path[4096];
	char as[256];
	uint64_t flags;
};

static int session_path_text(const struct frame_field *field, char *ret, size_t size)
{
	if (field->len >= size || !frame_text_ok(field->data, field->len))
		return -EPROTO;
	memcpy(ret, field->data, field->len);
	ret[field->len] = '\0';
	return 0;
}

static int session_path(const struct frame_reader *frame, struct session_path *ret, struct err *err)
{
	const uint8_t *at = (const uint8_t *)frame->body.data;
	struct frame_fields fields = { at, at + frame->len };
	struct frame_field field;
	int r;

	*ret = (struct session_path){ .flags = 0 };
	while ((r = frame_fields_next(&fields, &field)) > 0) {
		if (field.tag == AGENT_TAG_PATH)
			r = session_path_text(&field, ret->path, sizeof(ret->path));
		else if (field.tag == AGENT_TAG_AS)
			r = session_path_text(&field, ret->as, sizeof(ret->as));
		else if (field.tag == AGENT_TAG_FLAGS)
			r = frame_field_u64(&field, &ret->flags);
		else
			r = field.tag & AGENT_OPTIONAL ? 0 : -EPROTO;
		if (r < 0)
			break;
	}
	if (r < 0 || !ret->path[0])
		return err_say(err, EPROTO, "the host's message is damaged");
	return 0;
}

/* The tar's bytes, in whatever pieces the host sends them. */
static ssize_t session_tar_read(struct tar_stream *stream, void *ret, size_t len)
{
	struct session *s = stream->arg;

	while (s->feed_at == s->feed.len && !s->feed_end) {
		int r = session_wait_frame(s);
		if (r < 0)
			return r;
		s->feed.len = s->feed_at = 0;
		if (s->reader.type == AGENT_STDIN_EOF)
			s->feed_end = true;
		else if (s->reader.type != AGENT_STDIN)
			return -EPROTO;
		else if (buf_add(&s->feed, s->reader.body.data, s->reader.len) < 0)
			return -ENOMEM;
	}
	size_t left = s->feed.len - s->feed_at;
	if (len > left)
		len = left;
	if (len)
		memcpy(ret, s->feed.data + s->feed_at, len);
	s->feed_at += len;
	return (ssize_t)len;
}

static int session_tar_write(struct tar_stream *stream, const void *data, size_t len)
{
	struct session *s = stream->arg;
	const uint8_t *at = data;

	while (len) {
		size_t n = len < SESSION_CHUNK ? len : SESSION_CHUNK;
		frame_add(&s->out, AGENT_STDOUT, at, n);
		int r = session_push(s);
		if (r < 0)
			return r;
		at += n;
		len -= n;
	}
	return 0;
}

static int session_stat(struct session *s, int root, const struct session_path *path,
			struct err *err)
{
	int flags = O_PATH | (path->flags & AGENT_FLAG_FOLLOW ? 0 : O_NOFOLLOW);
	uint8_t body[sizeof(struct agent_stat)] = { 0 };
	AUTO(fd_close_p) int fd = fd_open_in(root, path->path, flags, 0);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(err, fd < 0 ? -fd : errno, "%s", path->path);
	le32_store(body, st.st_mode);
	le32_store(body + 4, st.st_uid);
	le32_store(body + 8, st.st_gid);
	le64_store(body + 16, (uint64_t)st.st_size);
	frame_add(&s->out, AGENT_STAT_REPLY, body, sizeof(body));
	s->told = true;
	return 0;
}

static int session_files(struct session *s, struct err *err)
{
	struct tar_stream stream = { session_tar_read, session_tar_write, s };
	uint32_t type = s->reader.type;
	struct session_path path;

	int r = session_path(&s->reader, &path, err);
	if (r < 0)
		return r;
	s->reader.max = AGENT_SESSION_MAX;
	AUTO(fd_close_p) int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return err_set(err, errno, "open the root");
	(void)umask(0);
	if (type == AGENT_STAT)
		return session_stat(s, root, &path, err);
	if (type == AGENT_PUT)
		r = tar_in(&stream, root, path.path, err);
	else
		r = tar_out(&stream, root, path.path, path.flags & AGENT_FLAG_FOLLOW,
			    path.as[0] ? path.as : NULL, err);
	if (r == 0)
		session_exit(s, 0);
	return r;
}

/* ---- all of it ---- */

#define LINGER_MS 60000

/*
 * Until the host has read all and goes. Who closes before is a kernel's that waits for that, too, but no longer than 8 s (Linux,
 * VSOCK_CLOSE_TIMEOUT), and then throws away what is left: on a server's serial line that is the end of a file.
 */
static void session_linger(struct session *s)
{
	struct pollfd host = { .fd = s->start->fd, .events = POLLIN };

	if (s->lost || shutdown(s->start->fd, SHUT_WR) < 0)
		return;
	while (!s->lost) {
		const int n = poll(&host, 1, LINGER_MS);
		if (n == 0 || (n < 0 && errno != EINTR))
			return;
		s->in_at = s->in_len = 0;
		session_receive(s);
	}
}

/* From here on this process is the workload's: its cgroup, its root, and its pid namespace for children. */
static int session_join(const struct session *s, struct err *err)
{
	const struct session_start *start = s->start;

	if (start->workload <= 0)
		return err_say(err, ESRCH, "the workload does not run");
	if (start->cgroup >= 0 && write(start->cgroup, "0", 1) < 0)
		return err_set(err, errno, "join the workload's cgroup");
	AUTO(fd_close_p) int pidfd = pidfd_of(start->workload);
	if (pidfd < 0)
		return err_set(err, -pidfd, "the workload");
	if (setns(pidfd, CLONE_NEWNS | CLONE_NEWPID | (start->cgroup >= 0 ? CLONE_NEWCGROUP : 0)) <
	    0)
		return err_set(err, errno, "enter the workload's namespaces");
	return 0;
}

static int session_begin(struct session *s, struct err *err)
{
	int r = session_wait_frame(s);

	if (r < 0)
		return err_set(err, -r, "the host's message");
	uint32_t type = s->reader.type;
	if (type == AGENT_STATS) {
		stats_add(&s->out);
		s->told = true;
		return 0;
	}
	if (type != AGENT_START && type != AGENT_PUT && type != AGENT_GET && type != AGENT_STAT)
		return err_say(err, EPROTO, "the host's message: a session cannot begin with %u",
			       type);
	if (type != AGENT_START && s->reader.len > AGENT_SESSION_MAX)
		return err_say(err, EPROTO, "the host's message is too long");
	r = session_join(s, err);
	if (r < 0)
		return r;
	return type == AGENT_START ? session_process(s, err) : session_files(s, err);
}

int session_main(const struct session_start *start)
{
	struct session s = { .start = start, .children = -EBADF };
	struct err err = { 0 };

	(void)prctl(PR_SET_NAME, "strata-session"); /* cosmetic */
	(void)prctl(PR_SET_DUMPABLE,
		    0); /* nobody inside may look at us through /proc (CVE-2019-5736) */
	(void)file_put_text("/proc/self/oom_score_adj", "0"); /* the agent's own is not for it */
	(void)signal(SIGPIPE, SIG_IGN);
	frame_reader_init(&s.reader, AGENT_CONFIG_MAX);
	process_init(&s.process);
	int r = session_begin(&s, &err);
	if (r < 0 && !s.told && !s.lost)
		session_fail(&s, 125, &err);
	(void)session_push(&s); /* the host may be gone */
	frame_reader_fini(&s.reader);
	buf_fini(&s.out);
	buf_fini(&s.feed);
	process_fini(&s.process);
	fd_close(s.children);
	session_linger(&s);
	return 0;
}
