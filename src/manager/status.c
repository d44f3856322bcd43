/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/status.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/proc_stat.h"

#define STATUS_FILE    "status"
#define STATUS_NEW     "status.new"
#define STATUS_MAX     767   /* bytes: numbers and an error of 255 */
#define STATUS_LOCK_MS 3000U /* for one that is about to end, on a busy host */

static const char *const status_names[] = {
	[STATUS_STARTING] = "starting",
	[STATUS_RUNNING] = "running",
	[STATUS_RESTARTING] = "restarting",
	[STATUS_ENDED] = "ended",
};

const char *status_health_name(enum status_health health)
{
	static const char *const names[] = { [HEALTH_NONE] = "none",
					     [HEALTH_STARTING] = "starting",
					     [HEALTHY] = "healthy",
					     [UNHEALTHY] = "unhealthy" };

	return (size_t)health < ARRAY_SIZE(names) ? names[health] : "none";
}

int status_write(int run_fd, const struct status *status, int *held)
{
	char text[STATUS_MAX + 1];
	int n = snprintf(
		text, sizeof(text), "%s %d %d %d %d %d %u %" PRId64 " %" PRId64 " %d\n%s\n",
		status_names[status->state], status->pid, status->monitor, status->exit_code,
		status->oom_killed, status->stopped_by_user, status->restarts, status->started_ns,
		status->finished_ns, status->health, status->error);

	if (n < 0 || (size_t)n >= sizeof(text))
		return -E2BIG;
	/* One writer: what an earlier one left half done is written over. */
	AUTO(fd_close_p)
	int fd = openat(run_fd, STATUS_NEW, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
			0600);
	if (fd < 0)
		return -errno;
	int r = fd_write_all(fd, text, (size_t)n);
	if (r < 0)
		return r;
	(void)flock(fd, LOCK_EX | LOCK_NB); /* nobody knows this file; without, lists take longer */
	if (renameat(run_fd, STATUS_NEW, run_fd, STATUS_FILE) < 0)
		return -errno;
	fd_close(*held);
	*held = fd_take(&fd);
	return 0;
}

/* Lists read hundreds of these: no sscanf(3). A space, then a number in these bounds; *at is what follows it. */
static bool status_number(const char **at, int64_t min, int64_t max, int64_t *ret)
{
	const char *p = *at;
	bool minus = p[0] == ' ' && p[1] == '-';
	uint64_t n = 0;

	if (*p++ != ' ')
		return false;
	p += minus;
	const char *digits = p;
	for (; *p >= '0' && *p <= '9' && p - digits < 19; p++)
		n = n * 10 + (uint64_t)(*p - '0'); /* 19 digits fit */
	if (p == digits || n > INT64_MAX)
		return false;
	int64_t value = minus ? -(int64_t)n : (int64_t)n;
	if (value < min || value > max)
		return false;
	*ret = value;
	*at = p;
	return true;
}

static int status_word(const char **at)
{
	size_t len = strcspn(*at, " ");

	for (size_t i = 0; i < ARRAY_SIZE(status_names); i++) {
		if (strncmp(status_names[i], *at, len) != 0 || status_names[i][len])
			continue;
		*at += len;
		return (int)i;
	}
	return -EBADMSG;
}

int status_parse(const char *text, size_t len, struct status *ret)
{
	static const struct {
		int64_t min, max;
	} bounds[] = {
		{ 0, INT32_MAX },
		{ 0, INT32_MAX },
		{ INT32_MIN, INT32_MAX },
		{ 0, 1 },
		{ 0, 1 },
		{ 0, UINT32_MAX },
		{ INT64_MIN, INT64_MAX },
		{ INT64_MIN, INT64_MAX },
		{ HEALTH_NONE, UNHEALTHY },
	};
	int64_t n[ARRAY_SIZE(bounds)] = { 0 };
	const char *at = text;

	if (!len || text[len - 1] != '\n' || memchr(text, '\0', len))
		return -EBADMSG;
	int word = status_word(&at);
	if (word < 0)
		return word;
	/* The last one is newer than the rest: a monitor of an older version does not say it. */
	for (size_t i = 0; i < ARRAY_SIZE(bounds) && (i < ARRAY_SIZE(bounds) - 1 || *at == ' ');
	     i++) {
		if (!status_number(&at, bounds[i].min, bounds[i].max, &n[i]))
			return -EBADMSG;
	}
	if (*at++ != '\n')
		return -EBADMSG;
	*ret = (struct status){
		.state = (enum status_state)word,
		.pid = (pid_t)n[0],
		.monitor = (pid_t)n[1],
		.exit_code = (int)n[2],
		.oom_killed = n[3],
		.stopped_by_user = n[4],
		.restarts = (unsigned)n[5],
		.started_ns = n[6],
		.finished_ns = n[7],
		.health = (enum status_health)n[8],
	};
	size_t words = strcspn(at, "\n");
	memcpy(ret->error, at, words < sizeof(ret->error) ? words : sizeof(ret->error) - 1);
	return 0;
}

static int status_read_fd(int fd, struct status *ret)
{
	/* One read(2), no memory to allocate. It is replaced whole, so it is whole. */
	char text[STATUS_MAX + 1];
	ssize_t n = read(fd, text, STATUS_MAX);

	if (n < 0)
		return -errno;
	text[n] = '\0';
	return status_parse(text, (size_t)n, ret);
}

int status_read(int run_fd, struct status *ret)
{
	AUTO(fd_close_p) int fd = openat(run_fd, STATUS_FILE, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : status_read_fd(fd, ret);
}

int status_peek(int dirfd, const char *path, struct status *ret)
{
	AUTO(fd_close_p) int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || flock(fd, LOCK_SH | LOCK_NB) == 0 || errno != EWOULDBLOCK)
		return 0; /* closing it unlocks */
	return status_read_fd(fd, ret) == 0;
}

int status_lock(int run_fd)
{
	/* Whoever looks whether a monitor lives holds it for a moment: that is not another monitor. */
	return fd_claim(run_fd, STATUS_LOCK_MS);
}

void status_unlock(int run_fd, int *held)
{
	fd_close_p(held);
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

bool status_is_first(int run_fd, pid_t pid)
{
	struct status status;
	struct proc_stat stat;

	/* Its monitor alone waits for it: a number that is free again belongs to no child of his before he has said so. */
	return status_alive(run_fd) == 1 && status_read(run_fd, &status) == 0 &&
	       status.state == STATUS_RUNNING && status.pid == pid && pid > 0 &&
	       proc_stat_of(pid, &stat) == 0 && stat.parent == status.monitor;
}

int status_alive(int run_fd)
{
	if (flock(run_fd, LOCK_SH | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? 1 : -errno;
	(void)flock(run_fd, LOCK_UN); /* closing would do the same */
	return 0;
}
