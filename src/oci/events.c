/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/os/clock.h"
#include "base/os/fd.h"
#include "base/os/json.h"
#include "oci/oci.h"
#include "oci/stats.h"

static const struct opt events_opts[] = {
	{ 0, OPT_SWITCH, "stats", NULL, "what it uses now, once" },
	{ 0, OPT_TEXT, "interval", "TIME", "between two looks at what it uses (5s)" },
	{ 0 },
};

/* One line on standard output; what is given goes. */
static int events_print(const char *type, const char *id, json_t *data, struct err *err)
{
	AUTO(json_decref_p) json_t *json = json_pack("{s:s, s:s}", "type", type, "id", id);

	if (json && data && json_object_set(json, "data", data) < 0)
		json_decref_p(&json);
	json_decref(data);
	char *text = json ? json_text(json, 0) : NULL;
	if (!text)
		return err_set(err, ENOMEM, "events");
	int bad = puts(text) < 0 || fflush(stdout) != 0;
	free(text);
	return bad ? err_set(err, errno, "write an event") : 0;
}

static int events_stats(const struct cgroup *cgroup, const char *id, struct err *err)
{
	json_t *stats = stats_json(cgroup);

	return stats ? events_print("stats", id, stats, err) : err_set(err, ENOMEM, "events");
}

/* Until its first process ends. */
static int events_follow(const struct cgroup *cgroup, const struct container *container,
			 int64_t interval_ns, struct err *err)
{
	struct cgroup_oom oom = { .fd = -EBADF, .file = -EBADF };
	AUTO(fd_close_p) int pidfd = pidfd_of(container->pid);
	int64_t next = clock_mono_ns();
	int r = pidfd < 0 || container_status_of(container, NULL) == CONTAINER_STOPPED
			? err_say(err, ESRCH, "container '%s' is not running", container->id)
			: cgroup_oom_open(cgroup, &oom, err);

	while (r == 0) {
		struct pollfd fds[2] = { { .fd = pidfd, .events = POLLIN },
					 { .fd = oom.fd, .events = POLLIN } };
		const int64_t left_ms = (next - clock_mono_ns() + NS_PER_MS - 1) / NS_PER_MS;
		if (left_ms <= 0) {
			r = events_stats(cgroup, container->id, err);
			next = clock_mono_ns() + interval_ns;
			continue;
		}
		if (poll(fds, 2, left_ms > 60000 ? 60000 : (int)left_ms) < 0 && errno != EINTR)
			r = err_set(err, errno, "poll");
		if (r == 0 && fds[1].revents) {
			for (uint64_t n = cgroup_oom_take(&oom); r == 0 && n > 0; n--)
				r = events_print("oom", container->id, NULL, err);
		}
		if (fds[0].revents)
			break;
	}
	cgroup_oom_close(&oom);
	return r;
}

static int events(const struct oci *oci, const struct args *args, struct err *err)
{
	AUTO(oci_close) struct subject subject;
	struct cgroup_layout layout;
	struct cgroup cgroup;
	int64_t interval_ns = 5 * NS_PER_S;
	const char *text = args_text(args, "interval", NULL);
	int r = text ? args_duration_ns(text, "--interval", &interval_ns, err) : 0;

	if (r == 0 && interval_ns <= 0)
		r = err_say(err, EINVAL, "--interval %.40s: must be more than nothing", text);
	if (r == 0)
		r = oci_open(oci, args->argv[0], &subject, err);
	else
		subject = (struct subject){ .container.dir = -EBADF };
	if (r < 0)
		return r;
	if (subject.status == CONTAINER_STOPPED || subject.status == CONTAINER_CREATING)
		return err_say(err, ESRCH, "container '%s' is not running: it is %s",
			       subject.container.id, container_status_names[subject.status]);
	r = oci_cgroup(&subject, &layout, &cgroup, err);
	if (r < 0)
		return r;
	r = args_on(args, "stats") ? events_stats(&cgroup, subject.container.id, err)
				   : events_follow(&cgroup, &subject.container, interval_ns, err);
	cgroup_close(&cgroup);
	return r;
}

const struct verb oci_verb_events = {
	.name = "events",
	.operands = "ID",
	.summary = "print what a container uses, and when it runs out of memory, as JSON",
	.opts = events_opts,
	.min_operands = 1,
	.max_operands = 1,
	.run = events,
};
