/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/status.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/os/clock.h"
#include "base/os/fd.h"
#include "base/os/file.h"

#define STATUS_FILE	  "status"
#define STATUS_MAX	  767 /* bytes: numbers and an error of 255 */
#define STATUS_LOCK_TRIES 200 /* a millisecond each */

static const char *const status_names[] = {
	[STATUS_STARTING] = "starting",
	[STATUS_RUNNING] = "running",
	[STATUS_RESTARTING] = "restarting",
	[STATUS_ENDED] = "ended",
};

int status_write(int run_fd, const struct status *status)
{
	char text[STATUS_MAX + 1];
	int n = snprintf(text, sizeof(text), "%s %d %d %d %d %d %u %" PRId64 " %" PRId64 "\n%s\n",
			 status_names[status->state], status->pid, status->monitor,
			 status->exit_code, status->oom_killed, status->stopped_by_user,
			 status->restarts, status->started_ns, status->finished_ns, status->error);

	if (n < 0 || (size_t)n >= sizeof(text))
		return -E2BIG;
	return file_replace(run_fd, STATUS_FILE, 0600, text, (size_t)n, false);
}

int status_parse(const char *text, size_t len, struct status *ret)
{
	struct status s = { 0 };
	char word[16];
	int oom, stopped, at = 0;

	if (!len || text[len - 1] != '\n' || memchr(text, '\0', len))
		return -EBADMSG;
	if (sscanf(text, "%15s %d %d %d %d %d %u %" SCNd64 " %" SCNd64 "%n", word, &s.pid,
		   &s.monitor, &s.exit_code, &oom, &stopped, &s.restarts, &s.started_ns,
		   &s.finished_ns, &at) != 9 ||
	    text[at] != '\n')
		return -EBADMSG;
	for (size_t i = 0; i < ARRAY_SIZE(status_names); i++) {
		if (strcmp(word, status_names[i]) != 0)
			continue;
		s.state = (enum status_state)i;
		s.oom_killed = oom;
		s.stopped_by_user = stopped;
		(void)snprintf(s.error, sizeof(s.error), "%.*s", (int)strcspn(text + at + 1, "\n"),
			       text + at + 1); /* a cut text is still a text */
		*ret = s;
		return 0;
	}
	return -EBADMSG;
}

int status_read(int run_fd, struct status *ret)
{
	/* Lists read hundreds of these: one read(2), no memory to allocate. It is replaced whole, so it is whole. */
	char text[STATUS_MAX + 1];
	AUTO(fd_close_p) int fd = openat(run_fd, STATUS_FILE, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, STATUS_MAX);

	if (n < 0)
		return -errno;
	text[n] = '\0';
	return status_parse(text, (size_t)n, ret);
}

int status_lock(int run_fd)
{
	const struct timespec nap = { .tv_nsec = NS_PER_MS };

	/* Whoever looks whether a monitor lives holds it for a moment: that is not another monitor. */
	for (unsigned tries = 0;; tries++) {
		if (flock(run_fd, LOCK_EX | LOCK_NB) == 0)
			return 0;
		if (errno != EWOULDBLOCK || tries == STATUS_LOCK_TRIES)
			return -errno;
		(void)nanosleep(&nap, NULL); /* woken early: one try more */
	}
}

void status_unlock(int run_fd)
{
	(void)flock(run_fd, LOCK_UN); /* our own fd: cannot fail */
}

int status_wait(int run_fd)
{
	while (flock(run_fd, LOCK_SH) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	(void)flock(run_fd, LOCK_UN); /* closing would do the same */
	return 0;
}

int status_alive(int run_fd)
{
	if (flock(run_fd, LOCK_SH | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? 1 : -errno;
	(void)flock(run_fd, LOCK_UN); /* closing would do the same */
	return 0;
}
