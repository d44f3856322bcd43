/* SPDX-License-Identifier: Apache-2.0 */
#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <linux/vm_sockets.h>

#include "base/core/bytes.h"
#include "base/os/fd.h"
#include "engines/vmm/agent_frame.h"
#include "file.h"
#include "net.h"
#include "session.h"
#include "stats.h"
#include "stream.h"
#include "sysctl.h"
#include "talk.h"

#define AGENT_LOOK_MS		10 /* how often an unopened port is looked at */
#define AGENT_SESSION_PROCESSES 128

/*
 * WAITING     for CONFIG: nothing else is taken
 * STARTING    the workload's process is there, it did not become its command yet
 * RUNNING
 * ENDED       the process is gone; its streams are carried out, then EXIT is said
 * OVER        EXIT or FAILED is said: waiting for STOP
 * STOPPED     leave, once what is queued went out
 */
enum agent_state {
	AGENT_WAITING,
	AGENT_STARTING,
	AGENT_RUNNING,
	AGENT_ENDED,
	AGENT_OVER,
	AGENT_STOPPED
};

enum { AGENT_STREAM_IN, AGENT_STREAM_OUT, AGENT_STREAM_ERR, AGENT_STREAMS };

struct agent {
	const struct agent_ops *ops;
	struct agent_ports ports;
	enum agent_state state;
	struct frame_reader reader;
	struct buf out;
	size_t out_at;
	bool control_seen; /* open at the host's end: stream.h has why */
	bool stop_asked;   /* STOP came before the end */
	struct config config;
	struct process workload;
	int status;
	int cgroup; /* the workload's cgroup.procs */
	int signals;
	unsigned sessions;
	struct stream streams[AGENT_STREAMS];
};

/* ---- to the host ---- */

static void agent_flush(struct agent *a)
{
	while (a->out_at < a->out.len) {
		ssize_t n =
			write(a->ports.control, a->out.data + a->out_at, a->out.len - a->out_at);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0)
			break; /* poll() says that the host is gone */
		a->out_at += (size_t)n;
	}
	a->out.len = a->out_at = 0;
}

static void agent_fail(struct agent *a, int status, const struct err *err)
{
	talk_failed(&a->out, status, err);
	a->state = a->stop_asked ? AGENT_STOPPED : AGENT_OVER;
}

static void agent_say_exit(struct agent *a)
{
	uint8_t body[sizeof(struct agent_exit)];

	le32_store(body, (uint32_t)a->status);
	le32_store(body + 4, stats_oom());
	le64_store(body + 8, a->streams[AGENT_STREAM_OUT].total_bytes);
	le64_store(body + 16, a->streams[AGENT_STREAM_ERR].total_bytes);
	frame_add(&a->out, AGENT_EXIT, body, sizeof(body));
	a->state = a->stop_asked ? AGENT_STOPPED : AGENT_OVER;
}

/* ---- the workload ---- */

/* Takes the ports: each stream owns both of its ends. */
static int agent_streams(struct agent *a)
{
	struct process_io *io = &a->workload.io;
	struct stream *in = &a->streams[AGENT_STREAM_IN], *out = &a->streams[AGENT_STREAM_OUT];
	bool tty = a->config.flags & AGENT_FLAG_TTY;
	int master = tty ? fcntl(io->in, F_DUPFD_CLOEXEC, 3) : -EBADF;

	if (tty && master < 0)
		return -errno;
	bool wanted = a->config.flags & AGENT_FLAG_STDIN;
	stream_init(in, wanted ? fd_take(&a->ports.in) : -EBADF, fd_take(&io->in));
	stream_init(out, tty ? master : fd_take(&io->out), fd_take(&a->ports.out));
	in->from_port = out->to_port = true;
	in->to_stays = tty;
	if (!tty) {
		struct stream *err = &a->streams[AGENT_STREAM_ERR];
		stream_init(err, fd_take(&io->err), fd_take(&a->ports.err));
		err->to_port = true;
	}
	return 0;
}

static void agent_clock(const struct config *config)
{
	const struct timespec now = { .tv_sec = (time_t)(config->clock_ns / 1000000000U),
				      .tv_nsec = (long)(config->clock_ns % 1000000000U) };

	if (config->clock_ns)
		(void)clock_settime(CLOCK_REALTIME,
				    &now); /* a machine whose clock is its own stays late */
}

/* The VM's own wall stands without it, so a kernel that cannot is no reason to refuse. */
static void agent_devices(struct agent *a)
{
	struct err err = { 0 };

	if (a->ops->devices && a->ops->devices(&err) < 0)
		file_kernel_log(&err);
}

static int agent_machine(struct agent *a, struct root *root, struct err *err)
{
	const struct config *config = &a->config;

	agent_clock(config);
	if (config->hostname && sethostname(config->hostname, strlen(config->hostname)) < 0)
		return err_set(err, errno, "set host name %s", config->hostname);
	int r = a->ops->assemble(config, root, err);
	if (r == 0)
		r = root_etc(config, err);
	if (r == 0)
		r = net_setup(config, err);
	if (r == 0)
		r = sysctl_apply(config, err); /* after what the network has of its own */
	if (r < 0)
		return r;
	a->cgroup = a->ops->cgroup(config, err);
	if (a->cgroup >= 0 && !(config->flags & AGENT_FLAG_PRIVILEGED))
		agent_devices(a);
	return a->cgroup < 0 && a->cgroup != -EBADF ? a->cgroup : 0;
}

static int agent_start(struct agent *a, struct err *err)
{
	AUTO(root_fini) struct root root;

	root_init(&root);
	int r = config_parse(AGENT_CONFIG, a->reader.body.data, a->reader.len, &a->config, err);
	a->reader.max = AGENT_HOSTS_MAX;
	if (r == 0)
		r = agent_machine(a, &root, err);
	if (r == 0)
		r = process_workload(&a->config, &root, a->cgroup, &a->workload, err);
	if (r < 0)
		return r;
	a->state = AGENT_STARTING;
	r = agent_streams(a);
	return r < 0 ? err_set(err, -r, "standard streams") : 0;
}

/* The pipe's end says that the command runs, a failure in it that it does not. */
static void agent_check_started(struct agent *a)
{
	struct err err = { 0 };
	int status = 125;

	int r = process_started(a->workload.started, &status, &err);
	fd_close(a->workload.started);
	a->workload.started = -EBADF;
	if (r < 0)
		agent_fail(a, status, &err);
	else
		frame_add(&a->out, AGENT_STARTED, NULL, 0);
	if (r == 0 && a->state == AGENT_STARTING)
		a->state = AGENT_RUNNING;
}

static void agent_kill(const struct agent *a, int sig)
{
	if (a->workload.pid > 0 && a->state < AGENT_ENDED)
		(void)kill(a->workload.pid, sig); /* gone already: its end is under way */
}

/* ---- from the host ---- */

static void agent_resize(const struct agent *a)
{
	const struct stream *out = &a->streams[AGENT_STREAM_OUT];

	if ((a->config.flags & AGENT_FLAG_TTY) && out->from >= 0)
		talk_resize(&a->reader, out->from);
}

static void agent_stop(struct agent *a)
{
	a->stop_asked = true;
	if (a->state == AGENT_WAITING || a->state == AGENT_OVER)
		a->state = AGENT_STOPPED;
	else
		agent_kill(a, SIGKILL);
}

static void agent_signal(const struct agent *a)
{
	int sig = talk_signal(&a->reader);

	if (sig)
		agent_kill(a, sig);
}

static int agent_command(struct agent *a, struct err *err)
{
	switch (a->reader.type) {
	case AGENT_CONFIG:
		return a->state == AGENT_WAITING
			       ? agent_start(a, err)
			       : err_say(err, EPROTO, "the host: a second CONFIG");
	case AGENT_SIGNAL:
		agent_signal(a);
		return 0;
	case AGENT_RESIZE:
		agent_resize(a);
		return 0;
	case AGENT_STOP:
		agent_stop(a);
		return 0;
	case AGENT_STDIN_EOF:
		a->streams[AGENT_STREAM_IN].seen = true;
		return 0;
	case AGENT_HOSTS: /* one that was given none has no file to change */
		if (a->state != AGENT_WAITING)
			(void)root_hosts(a->reader.body.data, a->reader.len);
		return 0;
	default:
		return err_say(err, EPROTO, "the host: no message has number %u", a->reader.type);
	}
}

/* What cannot be understood ends the conversation, never the agent: STOP, or the port's end, is waited for. */
static void agent_receive(struct agent *a)
{
	uint8_t data[4096];
	struct err err = { 0 };
	ssize_t n = read(a->ports.control, data, sizeof(data));

	for (size_t at = 0; n > 0 && at < (size_t)n && a->state != AGENT_STOPPED;) {
		size_t used = 0;
		int r = frame_reader_feed(&a->reader, data + at, (size_t)n - at, &used);
		at += used;
		if (r > 0)
			r = agent_command(a, &err);
		else if (r < 0)
			(void)err_set(&err, -r, "the host's message");
		if (r >= 0)
			continue;
		agent_kill(a, SIGKILL);
		if (a->state < AGENT_OVER)
			agent_fail(a, 125, &err);
		frame_reader_fini(&a->reader);
		return;
	}
	if (n == 0 && a->control_seen)
		a->state = AGENT_STOPPED;
}

/* ---- sessions ---- */

static pid_t agent_fork_session(struct agent *a, int fd)
{
	struct session_start start = {
		.fd = fd,
		.workload = a->state == AGENT_RUNNING ? a->workload.pid : 0,
		.cgroup = a->cgroup,
	};
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	/* Whatever this process held open of the workload's would keep it from ending. */
	for (size_t i = 0; i < AGENT_STREAMS; i++)
		stream_fini(&a->streams[i]);
	fd_close(a->signals);
	fd_close(a->ports.control);
	fd_close(a->ports.listener);
	_exit(session_main(&start));
}

static void agent_accept(struct agent *a)
{
	struct sockaddr_vm peer = { 0 };
	socklen_t len = sizeof(peer);
	AUTO(fd_close_p)
	int fd = accept4(a->ports.listener, (struct sockaddr *)&peer, &len,
			 SOCK_CLOEXEC | SOCK_NONBLOCK);

	/* vsock has a loopback: what runs inside must not give itself what only the host may. */
	if (fd < 0 || (a->ports.host_only && peer.svm_cid != VMADDR_CID_HOST) ||
	    a->sessions >= AGENT_SESSION_PROCESSES)
		return;
	if (agent_fork_session(a, fd) > 0)
		a->sessions++;
}

static void agent_reap(struct agent *a)
{
	struct signalfd_siginfo info;
	int status;
	pid_t pid;

	(void)!read(a->signals, &info, sizeof(info)); /* only to empty it */
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid != a->workload.pid) {
			a->sessions -= a->sessions > 0;
		} else if (a->state < AGENT_ENDED) {
			if (a->workload.started >= 0)
				agent_check_started(a);
			a->status = process_status(status);
			if (a->state < AGENT_ENDED)
				a->state = AGENT_ENDED;
		}
	}
}

/* ---- the loop ---- */

enum { POLL_CONTROL, POLL_SIGNALS, POLL_STARTED, POLL_LISTENER, POLL_STREAMS };
#define POLL_COUNT (POLL_STREAMS + 2 * AGENT_STREAMS)

static bool agent_polls(const struct agent *a, struct pollfd polls[POLL_COUNT])
{
	short out = a->out_at < a->out.len ? POLLOUT : 0;
	bool look = !a->control_seen;

	polls[POLL_CONTROL] = (struct pollfd){ look ? -1 : a->ports.control, POLLIN | out, 0 };
	polls[POLL_SIGNALS] = (struct pollfd){ a->signals, POLLIN, 0 };
	polls[POLL_STARTED] = (struct pollfd){ a->workload.started, POLLIN, 0 };
	polls[POLL_LISTENER] = (struct pollfd){ a->ports.listener, POLLIN, 0 };
	/* A port nobody opened says POLLHUP all the time; so it is looked at by the clock: agent_look(). */
	for (size_t i = 0; i < AGENT_STREAMS; i++) {
		if (stream_polls(&a->streams[i], &polls[POLL_STREAMS + 2 * i]))
			look = true;
	}
	return look;
}

static void agent_look(struct agent *a)
{
	struct pollfd control = { a->ports.control, POLLIN | POLLOUT, 0 };

	if (!a->control_seen && poll(&control, 1, 0) > 0 && !(control.revents & POLLHUP))
		a->control_seen = true;
}

static void agent_turn(struct agent *a)
{
	struct pollfd polls[POLL_COUNT];
	bool look = agent_polls(a, polls);

	if (poll(polls, POLL_COUNT, look ? AGENT_LOOK_MS : -1) < 0)
		return; /* EINTR */
	agent_look(a);
	if (polls[POLL_CONTROL].revents & (POLLIN | POLLHUP | POLLERR))
		agent_receive(a);
	if (polls[POLL_CONTROL].revents & POLLHUP && !(polls[POLL_CONTROL].revents & POLLIN))
		a->state = AGENT_STOPPED;
	if (polls[POLL_STARTED].revents && a->workload.started >= 0)
		agent_check_started(a);
	if (polls[POLL_SIGNALS].revents)
		agent_reap(a);
	if (polls[POLL_LISTENER].revents)
		agent_accept(a);
	for (size_t i = 0; i < AGENT_STREAMS; i++)
		stream_run(&a->streams[i], &polls[POLL_STREAMS + 2 * i]);
}

/* After the workload's end: its streams are carried out, unless the host wants no more of it. */
static void agent_finish(struct agent *a)
{
	bool over = true;

	if (a->state != AGENT_ENDED)
		return;
	stream_fini(&a->streams[AGENT_STREAM_IN]);
	for (size_t i = AGENT_STREAM_OUT; i < AGENT_STREAMS; i++) {
		stream_end(&a->streams[i]);
		over = over && stream_over(&a->streams[i]);
	}
	if (over || a->stop_asked)
		agent_say_exit(a);
}

/* What is queued goes out even to a host that said STOP meanwhile: EXIT is in it. But not for ever. */
static void agent_last_words(struct agent *a)
{
	for (int tries = 0; tries < 100 && a->out_at < a->out.len; tries++) {
		struct pollfd control = { a->ports.control, POLLOUT, 0 };
		agent_flush(a);
		if (a->out_at < a->out.len && poll(&control, 1, 20) > 0 &&
		    (control.revents & POLLHUP))
			return;
	}
}

static void agent_fini(struct agent *a)
{
	for (size_t i = 0; i < AGENT_STREAMS; i++)
		stream_fini(&a->streams[i]);
	process_fini(&a->workload);
	config_fini(&a->config);
	frame_reader_fini(&a->reader);
	buf_fini(&a->out);
	fd_close(a->cgroup);
	fd_close(a->signals);
	fd_close(a->ports.control);
	fd_close(a->ports.in);
	fd_close(a->ports.out);
	fd_close(a->ports.err);
	fd_close(a->ports.listener);
	free(a);
}

int agent_run(const struct agent_ops *ops, const struct agent_ports *take_ports)
{
	struct agent *a = calloc(1, sizeof(*a));
	uint8_t version[4];

	if (!a)
		return -ENOMEM;
	a->ops = ops;
	a->ports = *take_ports;
	a->cgroup = -EBADF;
	(void)signal(SIGPIPE, SIG_IGN);
	a->signals = talk_children();
	frame_reader_init(&a->reader, AGENT_CONFIG_MAX);
	process_init(&a->workload);
	for (size_t i = 0; i < AGENT_STREAMS; i++)
		stream_init(&a->streams[i], -EBADF, -EBADF);
	int r = a->signals < 0 ? a->signals : 0;
	le32_store(version, AGENT_VERSION);
	frame_add(&a->out, AGENT_READY, version, sizeof(version));
	while (r == 0 && a->state != AGENT_STOPPED) {
		agent_finish(a);
		agent_flush(a);
		if (a->state != AGENT_STOPPED)
			agent_turn(a);
	}
	agent_last_words(a);
	agent_fini(a);
	return r;
}
