/* SPDX-License-Identifier: Apache-2.0 */
/*
 * <root>/events: one JSON object a line, appended with one write(2) by whichever command, or monitor, did the thing; rotated
 * to events.1 past EVENTS_MAX.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os/clock.h"
#include "base/os/fd.h"
#include "base/os/json.h"
#include "manager/private.h"

#define EVENTS_MAX (4 << 20)

void event_write(int root_fd, const char *action, const char *id, const char *name, const char *key,
		 int64_t value)
{
	char text[1024], extra[64] = "";
	struct stat st;
	int64_t now = clock_real_ns();
	AUTO(fd_close_p)
	int fd = openat(root_fd, "events", O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC,
			0600);

	if (fd < 0)
		return;
	if (key)
		(void)snprintf(extra, sizeof(extra), ",\"%s\":%lld", key,
			       (long long)value); /* fits */
	/* Names hold no character that JSON would escape (instance_name_check). */
	int n = snprintf(text, sizeof(text),
			 "{\"time_ns\":%lld,\"type\":\"instance\",\"action\":\"%s\",\"id\":\"%s\","
			 "\"name\":\"%s\"%s}\n",
			 (long long)now, action, id, name, extra);
	if (n <= 0 || (size_t)n >= sizeof(text))
		return;
	if (fd_write_all(fd, text, (size_t)n) == 0 && fstat(fd, &st) == 0 &&
	    st.st_size > EVENTS_MAX)
		(void)renameat(root_fd, "events", root_fd,
			       "events.1"); /* somebody else did it: as well */
}

void event_add(struct manager *manager, const char *action, const struct instance *instance,
	       const char *key, int64_t value)
{
	event_write(manager->store.root_fd, action, instance->id, instance->name, key, value);
}

struct events {
	int64_t since_ns, until_ns;
	event_fn fn;
	void *arg;
	char *line;
	size_t cap;
};

static void events_file_p(FILE **f)
{
	if (*f)
		(void)fclose(*f);
}

static FILE *events_open(struct manager *manager, const char *name)
{
	int fd = openat(manager->store.root_fd, name, O_RDONLY | O_CLOEXEC);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "r");

	if (!f)
		fd_close(fd);
	return f;
}

/* Return: what the callback says, or 0. */
static int events_read(FILE *f, struct events *e)
{
	ssize_t len;

	clearerr(f);
	while ((len = getline(&e->line, &e->cap, f)) > 0) {
		AUTO(json_decref_p) json_t *event = json_loadb(e->line, (size_t)len, 0, NULL);
		int64_t time = event ? json_int(event, "time_ns", 0) : 0;
		if (!event || time < e->since_ns || (e->until_ns && time > e->until_ns))
			continue;
		char when[36];
		clock_rfc3339(time, when);
		(void)json_object_set_new(event, "time",
					  json_string(when)); /* "time_ns" says it, too */
		int r = e->fn(event, e->arg);
		if (r)
			return r;
	}
	return 0;
}

static int events_follow(struct manager *manager, FILE **f, struct events *e, struct err *err)
{
	char buf[4096];
	AUTO(fd_close_p) int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

	if (watch < 0 || inotify_add_watch(watch, manager->store.root, IN_MODIFY | IN_CREATE) < 0)
		return err_set(err, errno, "watch %s", manager->store.root);
	for (;;) {
		struct stat now, shown;
		int r = *f ? events_read(*f, e) : 0;
		if (!r &&
		    fstatat(manager->store.root_fd, "events", &now, AT_SYMLINK_NOFOLLOW) == 0 &&
		    (!*f || (fstat(fileno(*f), &shown) == 0 && shown.st_ino != now.st_ino))) {
			events_file_p(f);
			*f = events_open(manager, "events");
			r = *f ? events_read(*f, e) : 0;
		}
		if (r || (e->until_ns && clock_real_ns() > e->until_ns))
			return r;
		struct pollfd p = { watch, POLLIN, 0 };
		(void)poll(&p, 1, e->until_ns ? 200 : -1); /* a signal only makes us look earlier */
		while (read(watch, buf, sizeof(buf)) > 0)
			;
	}
}

int manager_events(struct manager *manager, int64_t since_ns, int64_t until_ns, bool follow,
		   event_fn fn, void *arg, struct err *err)
{
	struct events e = { .since_ns = since_ns, .until_ns = until_ns, .fn = fn, .arg = arg };
	AUTO(events_file_p) FILE *f = events_open(manager, "events.1");
	int r = f ? events_read(f, &e) : 0;

	events_file_p(&f);
	f = events_open(manager, "events");
	if (!r && f)
		r = events_read(f, &e);
	if (!r && follow)
		r = events_follow(manager, &f, &e, err);
	free(e.line);
	return r;
}
