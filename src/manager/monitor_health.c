/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An instance's own check, by Docker's rules (`docker run`, "Healthchecks"): a program that runs inside every so often, and
 * by its exit status says whether the workload does its work. Nothing is done about a bad answer but to tell it: in the
 * status file, for ps; in <run_root>/instances/ID/health, for inspect; and as an event.
 *
 * A check is a child of ours that does for it what strata-monitor's mode "exec" does for `strata exec`. One runs at a time, and
 * the next comes an interval after its end, so that a slow one does not pile up.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/os/clock.h"
#include "base/os/fd.h"
#include "base/os/file.h"
#include "base/os/json.h"
#include "base/os/wait.h"
#include "manager/monitor.h"
#include "manager/monitor_args.h"
#include "manager/private.h"

enum { CHECK_STARTED_FD = 3, CHECK_TELL_FD };

static bool health_in_start_period(const struct monitor *m, int64_t now)
{
	return !m->health.passed && now - m->begun_ns < m->spec.health.start_period_ms * NS_PER_MS;
}

static void health_schedule(struct monitor *m)
{
	int64_t now = clock_mono_ns();
	unsigned ms = health_in_start_period(m, now) ? m->spec.health.start_interval_ms
						     : m->spec.health.interval_ms;

	m->health.next_ns = m->health.frozen ? 0 : now + ms * NS_PER_MS;
}

/* What a check wrote is a stranger's: in JSON only what is ASCII, lines and tabs. */
static json_t *health_output(struct monitor_health *h)
{
	for (size_t i = 0; i < h->out_len; i++) {
		unsigned char c = (unsigned char)h->out[i];
		if ((c < 0x20 && c != '\n' && c != '\t') || c >= 0x7f)
			h->out[i] = '?';
	}
	return json_stringn(h->out, h->out_len);
}

static void health_remember(struct monitor *m, int status)
{
	struct monitor_health *h = &m->health;
	char start[36], end[36];

	clock_rfc3339(h->began_ns, start);
	clock_rfc3339(clock_real_ns(), end);
	if (!h->log)
		h->log = json_array();
	(void)json_array_append_new(h->log, json_pack("{s:s,s:s,s:i,s:o}", "start", start, "end",
						      end, "exit_code", status, "output",
						      health_output(h))); /* one less, at worst */
	while (json_array_size(h->log) > MONITOR_CHECK_LOG)
		(void)json_array_remove(h->log, 0);
}

/* Whoever reads an old one reads what was true: there is nothing better to do here. */
static void health_write(const struct monitor *m)
{
	AUTO(json_decref_p)
	json_t *all = json_pack("{s:s,s:i,s:O?}", "status", status_health_name(m->status.health),
				"failing_streak", (int)m->health.streak, "log", m->health.log);
	char *text = json_text(all, 0);

	if (text)
		(void)file_replace(m->run_fd, MONITOR_HEALTH_FILE, 0600, text, strlen(text), false);
	free(text);
}

static void health_tell(struct monitor *m, enum status_health health)
{
	char action[40];

	if (m->status.health == health)
		return;
	m->status.health = health;
	monitor_say(m);
	AUTO(fd_close_p) int root = openat(m->state_fd, "../..", O_PATH | O_DIRECTORY | O_CLOEXEC);
	(void)snprintf(action, sizeof(action), "health_status: %s",
		       status_health_name(health)); /* fits */
	if (root >= 0 && health != HEALTH_STARTING) /* "start" was told */
		event_write(root, action, m->spec.id, m->spec.name, NULL, 0);
}

static void health_judge(struct monitor *m, bool passed)
{
	struct monitor_health *h = &m->health;

	if (passed) {
		h->passed = true;
		h->streak = 0;
		health_tell(m, HEALTHY);
	} else if (!health_in_start_period(m, clock_mono_ns())) {
		h->streak += h->streak < INT32_MAX;
		if (h->streak >= m->spec.health.retries)
			health_tell(m, UNHEALTHY);
	}
}

/* The spec as `strata exec` would have it. */
static int health_spec(const struct monitor *m, struct spec *ret, struct err *err)
{
	AUTO(json_decref_p) json_t *json = json_copy(m->spec.json);
	json_t *args = json_object_get(json_object_get(json, "health"), "args");
	int r = json_object_set(json, "args", args) |
		json_object_set_new(json, "tty", json_false()) |
		json_object_set_new(json, "stdin_open", json_false()) |
		json_object_set_new(json, "init", json_false());

	return r ? err_set(err, ENOMEM, "health check") : spec_load(json, ret, err);
}

static int health_streams(int out)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	/* Whatever number either has: above both targets nothing is overwritten. */
	int started = fcntl(null, F_DUPFD_CLOEXEC, CHECK_TELL_FD + 1);
	int tell = fcntl(out, F_DUPFD_CLOEXEC, CHECK_TELL_FD + 1);

	/* The two above 2 are ours: the workload gets none of them. */
	if (null < 0 || started < 0 || tell < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0 ||
	    dup2(out, 2) < 0 || dup3(started, CHECK_STARTED_FD, O_CLOEXEC) < 0 ||
	    dup3(tell, CHECK_TELL_FD, O_CLOEXEC) < 0)
		return -errno;
	return close_range(CHECK_TELL_FD + 1, ~0U, 0) < 0 ? -errno : 0;
}

static _Noreturn void health_child(struct monitor *m, int out)
{
	const struct engine_ops *engine = m->guest->ops;
	struct spec spec = { 0 };
	struct err err = { 0 };
	int status = 125;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != m->status.monitor)
		_exit(125);
	(void)prctl(PR_SET_NAME, "strata-exec"); /* as the other's, which it is like */
	struct guest_exec exec = { .spec = &spec,
				   .dirs = m->dirs,
				   .pid = m->guest->pid,
				   .io = { 0, 1, 2 },
				   .tty_socket = -EBADF,
				   .started_fd = CHECK_STARTED_FD };
	int r = health_streams(out);
	if (r < 0)
		(void)err_set(&err, -r, "health check: streams");
	if (r == 0)
		r = health_spec(m, &spec, &err);
	if (r == 0)
		status = engine->exec(&exec, &err);
	if (err.code)
		(void)fd_write_all(CHECK_TELL_FD, err.text,
				   strlen(err.text)); /* nobody else to tell */
	_exit(status);
}

static int health_start(struct monitor *m)
{
	struct monitor_health *h = &m->health;
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	pid_t pid = fork();
	if (pid == 0)
		health_child(m, ends[1]);
	int r = pid < 0 ? -errno : 0;
	fd_close(ends[1]);
	h->wait_fd = r == 0 ? pidfd_of(pid) : -EBADF;
	if (r == 0 && h->wait_fd < 0) {
		r = h->wait_fd;
		(void)kill(pid, SIGKILL); /* our own child: it is there until we wait for it */
		(void)waitpid(pid, NULL, 0);
	}
	if (r < 0) {
		fd_close(ends[0]);
		return r;
	}
	(void)fcntl(ends[0], F_SETFL, O_RDONLY | O_NONBLOCK); /* our own valid fd */
	h->pid = pid;
	h->out_fd = ends[0];
	h->out_len = 0;
	h->timed_out = false;
	return 0;
}

static void health_run(struct monitor *m, int64_t now)
{
	struct monitor_health *h = &m->health;

	h->next_ns = 0;
	h->began_ns = clock_real_ns();
	h->deadline_ns = now + m->spec.health.timeout_ms * NS_PER_MS;
	int r = health_start(m);
	if (r == 0)
		return;
	/* The host's trouble, not the workload's: told, not counted. */
	h->out_len = (size_t)snprintf(h->out, sizeof(h->out), "cannot start the check: %s",
				      strerror(-r)); /* fits */
	health_remember(m, 125);
	health_write(m);
	health_schedule(m);
}

void monitor_health_read(struct monitor *m)
{
	struct monitor_health *h = &m->health;
	char rest[4096];

	for (unsigned turn = 0; turn < 16 && h->out_fd >= 0;
	     turn++) { /* the guest's streams wait too */
		size_t room = sizeof(h->out) - h->out_len;
		ssize_t n = read(h->out_fd, room ? h->out + h->out_len : rest,
				 room ? room : sizeof(rest));
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n > 0)
			h->out_len += room ? (size_t)n : 0;
		else
			fd_close_p(&h->out_fd);
	}
}

/* Its status; its streams may be held open by what it left running, which nobody waits for. */
static int health_reap(struct monitor_health *h)
{
	int status = wait_child(h->pid);

	fd_close_p(&h->wait_fd);
	fd_close_p(&h->out_fd);
	h->pid = 0;
	h->deadline_ns = 0;
	return status < 0 ? 125 : status;
}

void monitor_health_checked(struct monitor *m)
{
	struct monitor_health *h = &m->health;

	monitor_health_read(m);
	int status = health_reap(h);
	if (h->cancelled) {
		h->cancelled = false;
		health_schedule(m);
		return;
	}
	if (h->timed_out)
		h->out_len = (size_t)snprintf(h->out, sizeof(h->out),
					      "the check took longer than %u ms and was killed",
					      m->spec.health.timeout_ms); /* fits */
	health_remember(m, h->timed_out ? -1 : status);
	health_judge(m, status == 0 && !h->timed_out);
	health_write(m);
	health_schedule(m);
}

static void health_cancel(struct monitor *m)
{
	struct monitor_health *h = &m->health;

	h->next_ns = 0;
	if (!h->pid)
		return;
	(void)pidfd_signal(h->wait_fd, SIGKILL); /* it may have ended */
	(void)health_reap(h);
}

void monitor_health_begin(struct monitor *m)
{
	if (!m->spec.health.n_args)
		return;
	m->health.passed = m->health.frozen = m->health.cancelled = false;
	m->health.streak = 0;
	health_tell(m, HEALTH_STARTING);
	health_schedule(m);
}

void monitor_health_end(struct monitor *m)
{
	health_cancel(m);
	m->status.health = HEALTH_NONE; /* said with the end */
}

void monitor_health_freeze(struct monitor *m, bool frozen)
{
	if (!m->guest || !m->spec.health.n_args || m->health.frozen == frozen)
		return;
	m->health.frozen = frozen;
	m->health.next_ns = 0;
	if (frozen && m->health.pid) {
		/* Of what was frozen halfway nothing is learned. Nor is it waited for: a v1 freezer holds its death back. */
		m->health.cancelled = true;
		(void)pidfd_signal(m->health.wait_fd, SIGKILL); /* it may have ended */
	} else if (!frozen && !m->health.pid) {
		health_schedule(m);
	}
}

/* A host that let the monitor wait until now says nothing of the check. */
static bool health_has_ended(const struct monitor_health *h)
{
	struct pollfd ended = { .fd = h->wait_fd, .events = POLLIN };

	return poll(&ended, 1, 0) == 1;
}

void monitor_health_timers(struct monitor *m, int64_t now)
{
	struct monitor_health *h = &m->health;

	if (h->pid && !h->timed_out && !h->cancelled && now >= h->deadline_ns &&
	    !health_has_ended(h)) {
		h->timed_out = true;
		(void)pidfd_signal(h->wait_fd, SIGKILL); /* it may have ended */
	}
	if (m->guest && !h->pid && h->next_ns && now >= h->next_ns)
		health_run(m, now);
}

int64_t monitor_health_next_ns(const struct monitor *m)
{
	const struct monitor_health *h = &m->health;

	return h->pid ? (h->timed_out || h->cancelled ? 0 : h->deadline_ns) : h->next_ns;
}
