/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os/clock.h"
#include "base/os/fd.h"
#include "base/os/digest.h"
#include "base/os/wait.h"
#include "manager/monitor_args.h"

/* How long an attached client that reads nothing keeps the end from those who only wait for it. */
#define MONITOR_DELIVER_NS NS_PER_S

enum {
	SLOT_GUEST,
	SLOT_CHECK,
	SLOT_CHECK_OUT,
	SLOT_LISTEN,
	SLOT_SIGNAL,
	SLOT_OUT,
	SLOT_ERR,
	SLOT_IN,
	SLOT_CLIENTS
};

static int monitor_open_dirs(struct monitor *m, struct err *err)
{
	m->state_fd = open(m->dirs.state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (m->state_fd < 0)
		return err_set(err, errno, "open %s", m->dirs.state);
	m->run_fd = open(m->dirs.run, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (m->run_fd < 0)
		return err_set(err, errno, "open %s", m->dirs.run);
	int r = status_lock(m->run_fd);
	if (r == -EWOULDBLOCK)
		return err_say(err, EALREADY, "%s is running already", m->spec.name);
	if (r < 0)
		return err_set(err, -r, "lock %s", m->dirs.run);
	/* From here on whoever looks sees that it runs, even where the starter is dead by now. */
	fd_close(m->start_lock); /* the starter holds the same lock, if it lives */
	m->start_lock = -EBADF;
	return 0;
}

static int monitor_open(struct monitor *m, struct err *err)
{
	sigset_t mask;
	int r = monitor_open_dirs(m, err);

	if (r < 0)
		return r;
	m->listen_fd = wire_listen(m->run_fd, "sock");
	if (m->listen_fd < 0)
		return err_set(err, -m->listen_fd, "listen in %s", m->dirs.run);
	/* Whoever wants this instance ended asks for that; a stray signal does not end a monitor. */
	(void)sigemptyset(&mask);
	(void)sigaddset(&mask, SIGTERM);
	(void)sigaddset(&mask, SIGINT);
	(void)sigaddset(&mask, SIGHUP);
	(void)sigprocmask(SIG_BLOCK, &mask, NULL); /* valid arguments: cannot fail */
	m->signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	if (m->signal_fd < 0)
		return err_set(err, errno, "signalfd");
	logfile_init(&m->log, m->state_fd, m->spec.log_max_bytes, m->spec.log_files);
	m->status = (struct status){ .state = STATUS_STARTING, .monitor = getpid() };
	return 0;
}

static void monitor_fill_polls(const struct monitor *m, struct pollfd *polls)
{
	bool in_pending = m->in_at < m->in_len;
	int in = m->spec.tty && m->guest ? m->guest->tty : m->in;

	polls[SLOT_GUEST] = (struct pollfd){ m->guest ? m->guest->wait_fd : -1, POLLIN, 0 };
	polls[SLOT_CHECK] = (struct pollfd){ m->health.wait_fd, POLLIN, 0 };
	polls[SLOT_CHECK_OUT] = (struct pollfd){ m->health.out_fd, POLLIN, 0 };
	polls[SLOT_LISTEN] = (struct pollfd){ m->listen_fd, POLLIN, 0 };
	polls[SLOT_SIGNAL] = (struct pollfd){ m->signal_fd, POLLIN, 0 };
	for (unsigned i = 0; i < 2; i++) {
		bool read = m->streams[i].fd >= 0 && !m->streams[i].waiting;
		polls[SLOT_OUT + i] = (struct pollfd){ read ? m->streams[i].fd : -1, POLLIN, 0 };
	}
	polls[SLOT_IN] = (struct pollfd){ in_pending ? in : -1, POLLOUT, 0 };
	for (unsigned i = 0; i < MONITOR_CLIENTS; i++) {
		short events = m->clients[i].held ? 0 : POLLIN;
		if (m->clients[i].took)
			events |= POLLOUT;
		if ((m->streams[0].waiting | m->streams[1].waiting) & (1U << i))
			events |= POLLOUT;
		polls[SLOT_CLIENTS + i] = (struct pollfd){ m->clients[i].fd, events, 0 };
	}
}

static void monitor_dispatch(struct monitor *m, const struct pollfd *polls)
{
	struct signalfd_siginfo info;

	for (unsigned i = 0; i < 2; i++) {
		if (polls[SLOT_OUT + i].revents)
			monitor_read_stream(m, i);
	}
	if (polls[SLOT_CHECK_OUT].revents)
		monitor_health_read(m);
	if (polls[SLOT_CHECK].revents)
		monitor_health_checked(m);
	if (polls[SLOT_IN].revents)
		monitor_write_in(m);
	for (unsigned i = 0; i < MONITOR_CLIENTS; i++) {
		short got = polls[SLOT_CLIENTS + i].revents;
		if (m->clients[i].fd < 0 || !got)
			continue;
		if (got & POLLIN)
			monitor_read_client(m, i);
		else if (got & (POLLHUP | POLLERR))
			monitor_drop_client(m, i);
	}
	monitor_flush_streams(m);
	monitor_tell_taken(m);
	if (polls[SLOT_LISTEN].revents)
		monitor_accept(m);
	if (polls[SLOT_SIGNAL].revents && read(m->signal_fd, &info, sizeof(info)) == sizeof(info) &&
	    info.ssi_signo == SIGTERM)
		monitor_stop(m, 0, m->spec.stop_timeout_ms); /* the host shuts down */
	if (polls[SLOT_GUEST].revents && m->guest)
		monitor_guest_ended(m);
}

static int monitor_poll_ms(const struct monitor *m)
{
	int64_t next = monitor_next_ns(m);
	if (!next)
		return -1;
	int64_t ms = (next - clock_mono_ns() + NS_PER_MS - 1) / NS_PER_MS;
	return ms < 0 ? 0 : ms > 3600000 ? 3600000 : (int)ms;
}

/* Until nothing will run again, every byte is delivered, and the owner, where there is one, is done. */
static void monitor_loop(struct monitor *m)
{
	struct pollfd polls[SLOT_CLIENTS + MONITOR_CLIENTS];
	bool told = false;

	for (;;) {
		if (m->finished) {
			monitor_drain(m);
			told = told || monitor_delivered(m);
			if (told)
				monitor_tell_end(m); /* who asks only now as well */
			else if (clock_mono_ns() >= m->ended_ns + MONITOR_DELIVER_NS)
				monitor_tell_waiters(m);
			if (told && (m->owner < 0 || m->left_to_owner))
				return;
		}
		monitor_fill_polls(m, polls);
		if (poll(polls, ARRAY_SIZE(polls),
			 m->finished && !told ? 100 : monitor_poll_ms(m)) < 0 &&
		    errno != EINTR)
			return;
		monitor_dispatch(m, polls);
		monitor_timers(m);
	}
}

static void monitor_tell_failed(int fd, int status, const struct err *err)
{
	struct wire_failure failure = { .status = status, .code = err->code };

	(void)snprintf(failure.text, sizeof(failure.text), "%s",
		       err->text);				     /* both hold 480 bytes */
	(void)wire_send(fd, WIRE_FAILED, &failure, sizeof(failure)); /* nobody left to tell */
}

/* The database is not this process's business: a command records the end, and cleans up after it. */
static void monitor_record(struct monitor *m, char **args)
{
	char *argv[] = { args[MONITOR_ARG_STRATA],	"--root",
			 args[MONITOR_ARG_ROOT],	"--run-root",
			 args[MONITOR_ARG_RUN_ROOT],	"record",
			 (char *)(uintptr_t)m->spec.id, NULL };
	char *env[] = { "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", NULL };
	pid_t pid;

	if (m->left_to_owner || faccessat(m->run_fd, "status", F_OK, 0) < 0)
		return;	    /* the owner removes, or has removed, it all */
	if (m->spec.remove) /* it may have been left unsaid for an owner that is gone now */
		monitor_say(m);
	status_unlock(m->run_fd, &m->status_fd); /* whoever records waits for that */
	if (posix_spawn(&pid, argv[0], NULL, NULL, argv, env) == 0) {
		(void)wait_child(pid);
	} /* else: the next command finds the status file */
}

static void monitor_detach(void)
{
	(void)prctl(PR_SET_NAME,
		    "strata-monitor"); /* it was executed by fd: that would be its name */
	(void)close_range(MONITOR_SOCKET_FD + 1, ~0U,
			  0); /* what the command inherited is not for ever ours */
	(void)setsid();	      /* never a leader: just forked */
	(void)umask(0022);
	(void)signal(SIGPIPE, SIG_IGN);
	if (chdir("/") < 0)
		_exit(125);
}

static void monitor_init(struct monitor *m)
{
	*m = (struct monitor){ .owner = -1,
			       .in_from = -1,
			       .start_lock = -EBADF,
			       .state_fd = -EBADF,
			       .run_fd = -EBADF,
			       .status_fd = -EBADF,
			       .in = -EBADF,
			       .health = { .wait_fd = -EBADF, .out_fd = -EBADF } };
	m->streams[0].fd = m->streams[1].fd = -EBADF;
	for (unsigned i = 0; i < MONITOR_CLIENTS; i++)
		m->clients[i].fd = -EBADF;
}

/* Return: 0 once the starter has said which instance; 1 when it left instead. */
static int monitor_await(struct monitor *m, char **args, struct err *err)
{
	struct wire_begin begin;
	char *state, *run;
	ssize_t n = wire_receive_fd(MONITOR_SOCKET_FD, &m->in_pending, &m->start_lock);

	if (n == -EPIPE)
		return 1;
	if (n != sizeof(begin) || m->in_pending.tag != WIRE_BEGIN)
		return err_say(err, EPROTO, "the monitor was not told its instance");
	memcpy(&begin, m->in_pending.data, sizeof(begin));
	m->attach_owner = begin.attach;
	if (asprintf(&state, "%s/instances/%.*s", args[MONITOR_ARG_ROOT], DIGEST_HEX, begin.id) <
		    0 ||
	    asprintf(&run, "%s/instances/%.*s", args[MONITOR_ARG_RUN_ROOT], DIGEST_HEX, begin.id) <
		    0)
		return err_set(err, ENOMEM, "monitor");
	m->dirs = (struct guest_dirs){ .state = state, .run = run };
	return 0;
}

int monitor_run(char **args)
{
	struct monitor *m = calloc(1, sizeof(*m)); /* lives as long as the process */
	struct err err = { 0 };
	int status = 125;
	int r = m ? 0 : err_set(&err, ENOMEM, "monitor");

	monitor_detach();
	(void)fcntl(MONITOR_SOCKET_FD, F_SETFD, FD_CLOEXEC); /* valid: the starter gave it */
	if (r == 0) {
		monitor_init(m);
		r = monitor_await(m, args, &err);
	}
	if (r > 0)
		return 0;
	if (r == 0)
		r = monitor_spec_read(&m->spec, &err);
	if (r == 0)
		r = monitor_open(m, &err);
	if (r == 0)
		r = monitor_start_guest(m, &status, &err);
	if (r < 0) {
		monitor_tell_failed(MONITOR_SOCKET_FD, status, &err);
		return status;
	}
	int32_t pid = m->guest->pid;
	m->owner = monitor_adopt(m, MONITOR_SOCKET_FD);
	(void)wire_send(MONITOR_SOCKET_FD, WIRE_STARTED, &pid,
			sizeof(pid)); /* a dead starter shows in poll */
	if (m->owner >= 0)
		m->clients[m->owner].attached = m->clients[m->owner].wants_end = m->attach_owner;
	monitor_loop(m);
	monitor_record(m, args);
	return 0;
}
