/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/os/clock.h"
#include "base/os/fd.h"
#include "manager/monitor.h"
#include "manager/update.h"

/* Restart delays as Docker's: doubled from 100 ms to a minute, back to the start after ten good seconds. */
#define MONITOR_DELAY_MIN_NS (100 * NS_PER_MS)
#define MONITOR_DELAY_MAX_NS (60 * NS_PER_S)
#define MONITOR_GOOD_NS	     (10 * NS_PER_S)

void monitor_say(struct monitor *m)
{
	/* Whoever reads an old status finds this process dead or asks it: nothing better to do here. */
	(void)status_write(m->run_fd, &m->status, &m->status_fd);
}

int monitor_start_guest(struct monitor *m, int *ret_status, struct err *err)
{
	struct guest_io io;
	const struct engine_ops *engine = engine_find(m->spec.virt, false);

	*ret_status = 125;
	if (!engine)
		return err_say(err, ENOTSUP, "this build has no engine %s", m->spec.virt);
	int r = monitor_open_io(m, &io, err);
	if (r < 0)
		return r;
	r = engine->create(&m->spec, &m->dirs, &io, &m->guest, err);
	monitor_close_guest_io(&io);
	if (r < 0)
		return r;

	/* It has the host's root and rights until it has begun: whoever wants in waits for the second word. */
	if (m->status.state != STATUS_RESTARTING)
		m->status.state = STATUS_STARTING;
	m->status.pid = m->guest->pid;
	m->status.started_ns = clock_real_ns();
	m->status.error[0] = '\0';
	m->begun_ns = clock_mono_ns();
	monitor_say(m);
	r = engine->start(m->guest, ret_status, err);
	if (r < 0) {
		engine->destroy(m->guest);
		m->guest = NULL;
		return r;
	}
	m->status.state = STATUS_RUNNING;
	monitor_say(m);
	if (m->guest->tty >= 0) {
		m->streams[0].fd = fcntl(m->guest->tty, F_DUPFD_CLOEXEC, 3);
		(void)fcntl(m->guest->tty, F_SETFL,
			    O_RDWR | O_NONBLOCK); /* shared by both fds; valid */
	}
	monitor_health_begin(m);
	m->refresh_at_ns = m->guest->ops->refresh ? m->begun_ns : 0;
	return 0;
}

static bool monitor_wants_restart(const struct monitor *m)
{
	if (m->rebooted)
		return !m->stopping;
	switch (m->spec.restart) {
	case SPEC_RESTART_ALWAYS:
	case SPEC_RESTART_UNLESS_STOPPED:
		return !m->stopping;
	case SPEC_RESTART_ON_FAILURE:
		return !m->stopping && m->status.exit_code != 0 &&
		       (!m->spec.restart_max || m->status.restarts < m->spec.restart_max);
	default:
		return false;
	}
}

static void monitor_after_end(struct monitor *m)
{
	int64_t now = clock_mono_ns();

	m->kill_at_ns = 0;
	if (!monitor_wants_restart(m)) {
		m->status.state = STATUS_ENDED;
		m->status.stopped_by_user = m->stopping;
		m->finished = true;
		m->ended_ns = clock_mono_ns();
		/* Where the owner is about to remove it all there is nobody to write it for; monitor_record() looks. */
		if (!m->spec.remove || m->owner < 0)
			monitor_say(m);
		return;
	}
	if (now - m->begun_ns >= MONITOR_GOOD_NS || !m->delay_ns)
		m->delay_ns = MONITOR_DELAY_MIN_NS;
	m->start_at_ns = now + m->delay_ns;
	m->delay_ns =
		m->delay_ns * 2 > MONITOR_DELAY_MAX_NS ? MONITOR_DELAY_MAX_NS : m->delay_ns * 2;
	m->status.state = STATUS_RESTARTING;
	monitor_say(m);
}

void monitor_guest_ended(struct monitor *m)
{
	struct guest_end end = { .status = 125 };
	struct guest *guest = m->guest;

	monitor_health_end(m);
	(void)guest->ops->reap(guest, &end); /* wait_fd said it ended: 125 if even that is a lie */
	m->guest = NULL;
	m->status.pid = 0;
	m->rebooted = end.reboot;
	m->status.exit_code = end.status;
	m->status.oom_killed = end.oom_killed;
	m->status.finished_ns = clock_real_ns();
	monitor_drain(m);
	monitor_after_end(m);
	/* The owner has work of its own to do and waits for our exit after: it need not wait for the cgroups now. */
	if (m->finished)
		monitor_tell_owner(m);
	guest->ops->destroy(guest);
	if (m->finished) /* what is left to do here stands in nobody's way, not even in another start's */
		status_unlock(m->run_fd, &m->status_fd);
}

static void monitor_restart(struct monitor *m)
{
	struct err err = { 0 };
	int status = 125;

	m->start_at_ns = 0;
	m->status.restarts++;
	if (update_reread(m->run_fd, &m->spec, &err) == 0 &&
	    monitor_start_guest(m, &status, &err) == 0)
		return;
	m->status.pid = 0;
	m->status.exit_code = status;
	m->status.finished_ns = clock_real_ns();
	(void)snprintf(m->status.error, sizeof(m->status.error), "%.*s",
		       (int)sizeof(m->status.error) - 1, err.text); /* a cut text is still a text */
	monitor_after_end(m);
}

void monitor_signal(struct monitor *m, int sig)
{
	if (sig < 1 || sig > SIGRTMAX)
		return;
	if (m->guest) {
		(void)pidfd_signal(m->guest->wait_fd, sig); /* gone already: the loop will see it */
		if (sig == SIGKILL)
			(void)m->guest->ops->freeze(
				&m->spec, m->guest->pid, false,
				NULL); /* a v1 freezer holds even SIGKILL back */
	} else if (m->start_at_ns && m->stopping) {
		m->start_at_ns = 0;
		monitor_after_end(m);
	}
}

void monitor_stop(struct monitor *m, int sig, int64_t grace_ms)
{
	if (!sig)
		sig = m->spec.stop_signal;
	if (!sig && m->guest)
		sig = m->guest->stop_signal;
	m->stopping = true;
	if (m->guest && m->guest->ops->stopping && sig == m->guest->stop_signal)
		m->guest->ops->stopping(m->guest);
	monitor_signal(m, sig ? sig : SIGTERM);
	if (m->guest && grace_ms >= 0)
		m->kill_at_ns = clock_mono_ns() + grace_ms * NS_PER_MS;
}

void monitor_timers(struct monitor *m)
{
	int64_t now = clock_mono_ns();

	if (m->kill_at_ns && now >= m->kill_at_ns) {
		m->kill_at_ns = 0;
		monitor_signal(m, SIGKILL);
	}
	if (m->start_at_ns && now >= m->start_at_ns)
		monitor_restart(m);
	if (m->guest && m->refresh_at_ns && now >= m->refresh_at_ns) {
		const int64_t next = m->guest->ops->refresh(m->guest);
		m->refresh_at_ns = next ? now + next : 0;
	}
	monitor_health_timers(m, now);
}

int64_t monitor_next_ns(const struct monitor *m)
{
	const int64_t timers[] = { m->kill_at_ns, m->start_at_ns, monitor_health_next_ns(m),
				   m->guest ? m->refresh_at_ns : 0 };
	int64_t next = 0;

	for (size_t i = 0; i < ARRAY_SIZE(timers); i++) {
		if (timers[i] && (!next || timers[i] < next))
			next = timers[i];
	}
	return next;
}
