/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "manager/logfile.h"
#include "manager/private.h"

#define LOGS_ROTATED_MAX 1000

struct logs {
	const struct logs_opts *opts;
	FILE *out, *errout;
	char *line; /* getline(3)'s */
	size_t cap;
	bool begun[2]; /* the last entry of that stream was a part of a line */
};

static void logs_print(struct logs *logs, const char *line, size_t len)
{
	const struct logs_opts *o = logs->opts;
	struct logline l;

	if (len && line[len - 1] == '\n')
		len--;
	if (logline_parse(line, len, &l) < 0)
		return; /* cut by a full disk or a power cut */
	if (l.is_stderr ? o->no_stderr : o->no_stdout)
		return;
	if ((o->since_ns && l.time_ns < o->since_ns) || (o->until_ns && l.time_ns > o->until_ns))
		return;
	FILE *to = l.is_stderr ? logs->errout : logs->out;
	if (o->timestamps && !logs->begun[l.is_stderr])
		(void)fprintf(to, "%.*s ", (int)l.stamp_len, l.stamp);
	(void)fwrite(l.text, 1, l.len, to); /* a closed pipe ends us by its signal */
	if (!l.partial)
		(void)fputc('\n', to);
	logs->begun[l.is_stderr] = l.partial;
}

static FILE *logs_open(int dir, unsigned n)
{
	char name[24];

	(void)snprintf(name, sizeof(name), n ? "log.%u" : "log", n); /* fits */
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
	if (!f)
		fd_close(fd);
	return f;
}

static void logs_file_p(FILE **f)
{
	if (*f)
		(void)fclose(*f);
}

static int64_t logs_count(int dir, unsigned oldest, struct logs *logs)
{
	int64_t lines = 0;

	for (unsigned n = oldest + 1; n-- > 0;) {
		AUTO(logs_file_p) FILE *f = logs_open(dir, n);
		struct logline l;
		ssize_t len;
		while (f && (len = getline(&logs->line, &logs->cap, f)) > 0)
			lines += logline_parse(logs->line, (size_t)len - 1, &l) == 0 && !l.partial;
	}
	return lines;
}

/* What is there now; leaves the newest file open at its end. */
static FILE *logs_dump(int dir, struct logs *logs)
{
	unsigned oldest = 0;
	int64_t skip = 0;
	FILE *f = NULL;

	while (oldest < LOGS_ROTATED_MAX) {
		char name[24];
		struct stat st;
		(void)snprintf(name, sizeof(name), "log.%u", oldest + 1); /* fits */
		if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			break;
		oldest++;
	}
	if (logs->opts->tail >= 0)
		skip = logs_count(dir, oldest, logs) - logs->opts->tail;
	for (unsigned n = oldest + 1; n-- > 0;) {
		logs_file_p(&f);
		f = logs_open(dir, n);
		ssize_t len;
		while (f && (len = getline(&logs->line, &logs->cap, f)) > 0) {
			struct logline l;
			if (skip > 0) {
				skip -= logline_parse(logs->line, (size_t)len - 1, &l) == 0 &&
					!l.partial;
				continue;
			}
			logs_print(logs, logs->line, (size_t)len);
		}
	}
	return f;
}

/* Where the file that is open has gone by rotations since: 0: it is the newest still; past the oldest: removed. */
static unsigned logs_place(int dir, FILE *f)
{
	struct stat shown, st;
	unsigned n = 0;

	if (fstat(fileno(f), &shown) < 0)
		return 0;
	for (; n < LOGS_ROTATED_MAX; n++) {
		char name[24];
		(void)snprintf(name, sizeof(name), n ? "log.%u" : "log", n); /* fits */
		if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			break;
		if (st.st_ino == shown.st_ino && st.st_dev == shown.st_dev)
			return n;
	}
	return n;
}

static void logs_rest(FILE *f, struct logs *logs)
{
	ssize_t len;

	clearerr(f);
	while ((len = getline(&logs->line, &logs->cap, f)) > 0)
		logs_print(logs, logs->line, (size_t)len);
}

static bool logs_over(struct manager *manager, const struct instance *instance)
{
	struct instance now;

	if (manager_find(manager, instance->id, &now, NULL) < 0)
		return true;
	bool over = now.state != INSTANCE_RUNNING && now.state != INSTANCE_PAUSED &&
		    now.state != INSTANCE_RESTARTING;
	instance_fini(&now);
	return over;
}

/* The rest of the file that is open, then of those that came after it: a burst may have made more than one. */
static void logs_catch_up(int dir, FILE **f, struct logs *logs)
{
	if (!*f)
		*f = logs_open(dir, 0);
	while (*f) {
		unsigned place = logs_place(dir, *f);
		logs_rest(*f, logs); /* after the look: once rotated, nobody adds to it */
		if (!place)
			return;
		FILE *next = logs_open(dir, place - 1);
		if (next && logs_place(dir, *f) != place) {
			(void)fclose(next); /* rotated meanwhile: that name is another file's now */
			continue;
		}
		logs_file_p(f);
		*f = next;
	}
}

/* The directory tells of new text and of rotation; once a second somebody must ask whether it still runs. */
static int logs_follow(struct manager *manager, const struct instance *instance, int dir, FILE **f,
		       struct logs *logs, struct err *err)
{
	char path[40], events[4096];
	AUTO(fd_close_p) int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", dir); /* fits */
	if (watch < 0 || inotify_add_watch(watch, path, IN_MODIFY | IN_CREATE) < 0)
		return err_set(err, errno, "watch the log of %s", instance->name);
	for (;;) {
		bool over = logs_over(manager,
				      instance); /* asked first: then what follows is the last */
		logs_catch_up(dir, f, logs);
		(void)fflush(logs->out);
		(void)fflush(logs->errout);
		if (over)
			return 0;
		struct pollfd p = { watch, POLLIN, 0 };
		(void)poll(&p, 1, 1000); /* a signal only makes us look earlier */
		while (read(watch, events, sizeof(events)) > 0)
			;
	}
}

int manager_logs(struct manager *manager, const struct instance *instance,
		 const struct logs_opts *opts, FILE *out, FILE *errout, struct err *err)
{
	struct logs logs = { .opts = opts, .out = out, .errout = errout };
	AUTO(logs_file_p) FILE *f = NULL;
	char path[4096];
	int r = 0;

	if (instance_dir(manager, instance->id, false, path) < 0)
		return err_set(err, ENAMETOOLONG, "log of %s", instance->name);
	AUTO(fd_close_p) int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return errno == ENOENT ? 0 : err_set(err, errno, "log of %s", instance->name);
	f = logs_dump(dir, &logs);
	if (opts->follow)
		r = logs_follow(manager, instance, dir, &f, &logs, err);
	(void)fflush(out);
	(void)fflush(errout);
	free(logs.line);
	return r;
}
