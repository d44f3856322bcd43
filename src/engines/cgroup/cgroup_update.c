/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/file.h"
#include "engines/cgroup/private.h"

struct join {
	int fd;
	size_t moved;
};

static int join_one(pid_t pid, void *arg)
{
	struct join *join = arg;
	char text[16];

	(void)snprintf(text, sizeof(text), "%d", (int)pid); /* fits */
	int r = file_write(join->fd, "cgroup.procs", text);
	if (r == 0)
		join->moved++;
	return r == -ESRCH ? 0 : r; /* it ended meanwhile */
}

static int count_one(pid_t pid, void *arg)
{
	(void)pid;
	++*(size_t *)arg;
	return 0;
}

/* All processes of the group enter one more hierarchy; one that forked while we looked is found by the next look. */
static int join_all(int from, int to)
{
	for (int tries = 0; tries < 100; tries++) {
		size_t there = 0, here = 0;
		struct join join = { .fd = to };
		int r = cgroup_walk(from, "cgroup.procs", join_one, &join);
		if (r == 0)
			r = cgroup_walk(to, "cgroup.procs", count_one, &there);
		if (r == 0)
			r = cgroup_walk(from, "cgroup.procs", count_one, &here);
		if (r < 0 || there >= here)
			return r;
	}
	return -EAGAIN;
}

/* The groups that the new limits need and the instance has not got: into added (ours to close) and all. */
static int groups_add(const struct cgroup *cgroup, uint32_t need, struct cgroup *added,
		      struct cgroup *all, struct err *err)
{
	for (unsigned i = 0; i < cgroup->layout->n; i++) {
		const struct cgroup_hierarchy *h = &cgroup->layout->hierarchies[i];
		uint32_t want = h->controllers & need, got = want;

		if (!want)
			continue;
		int r = h->v2 ? cgroup_v2_enable(h, cgroup->path, want, &got) : 0;
		if (r < 0)
			return err_set(err, -r, "enable cgroup controllers above %s/%s", h->mount,
				       cgroup->path);
		r = cgroup_v2_refused(h, want & ~got, err);
		if (r < 0)
			return r;
		if (cgroup->fds[i] >= 0)
			continue;
		int fd = cgroup_make(h, cgroup->path, err);
		if (fd < 0)
			return fd;
		all->fds[i] = added->fds[i] = fd;
	}
	return 0;
}

int cgroup_update(const struct cgroup *cgroup, const struct spec_limits *limits, struct err *err)
{
	int from = cgroup_main(cgroup);
	int r = cgroup_limits_check(cgroup->layout, limits, err);
	if (r < 0)
		return r;
	if (from < 0)
		return err_say(err, ENOTSUP, "cgroup %s: no hierarchy is mounted", cgroup->path);

	struct cgroup all = *cgroup; /* borrows its fds, and has those of `added` beside */
	AUTO(cgroup_close) struct cgroup added = { .layout = cgroup->layout };
	for (int i = 0; i < CGROUP_HIERARCHIES; i++)
		added.fds[i] = -EBADF;
	/* Limits before processes: none of them is ever in the new group without its limit. */
	r = groups_add(cgroup, cgroup_limits_need(limits) | cgroup->layout->also, &added, &all,
		       err);
	if (r == 0)
		r = cgroup_limits_set(&all, limits, err);
	for (unsigned i = 0; i < cgroup->layout->n && r == 0; i++) {
		if (added.fds[i] < 0)
			continue;
		r = join_all(cgroup->fds[from], added.fds[i]);
		if (r < 0)
			return err_set(err, -r, "move cgroup %s into %s", cgroup->path,
				       cgroup->layout->hierarchies[i].mount);
	}
	return r;
}
