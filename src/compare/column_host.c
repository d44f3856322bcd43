/* SPDX-License-Identifier: Apache-2.0 */
/* A plain process of the host's, in the image's files: what all others are compared with. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compare/child.h"
#include "compare/columns.h"
#include "compare/group.h"
#include "compare/rootfs.h"

#define HOST_PERIOD_US 100000
#define HOST_ADDED     256
#define HOST_STOP_MS   60000

/* One that stays. */
struct host_idle {
	pid_t pid; /* 0: none */
	struct group group;
	struct rootfs rootfs;
};

struct host {
	struct host_idle session, added[HOST_ADDED];
	unsigned n_added;
};

static bool host_probe(const struct column_setup *setup, char how[240], char why[240])
{
	(void)setup;
	(void)snprintf(how, 240,
		       "plain process in the image's files, the host's kernel"); /* fits */
	(void)snprintf(why, 240,
		       "entering the image's files takes root: run it with sudo"); /* fits */
	return geteuid() == 0;
}

static void host_surroundings(struct column *column, struct rootfs *rootfs, struct group *group,
			      int *ret, struct err *err)
{
	const struct column_setup *setup = column->setup;
	const struct spec_limits limits = { .memory_bytes = (int64_t)setup->memory,
					    .cpu_quota_us = (int64_t)setup->cpus * HOST_PERIOD_US,
					    .cpu_period_us = HOST_PERIOD_US };
	char name[32];

	(void)snprintf(name, sizeof(name), "%s-%u", column->ops->id, column->started++); /* fits */
	*ret = rootfs_make(setup, name, rootfs, err);
	group_make(setup->tag, name, &limits, group);
	group_realtime(setup->tag, column->ops->id);
}

static int host_enter(void *arg, struct err *err)
{
	return rootfs_enter(arg, err);
}

static int host_open(struct column *column, struct err *err)
{
	column->state = calloc(1, sizeof(struct host));
	return column->state ? 0 : err_set(err, ENOMEM, "column %s", column->ops->id);
}

static int host_run(struct column *column, const char *const *argv, unsigned timeout,
		    struct outcome *ret, struct err *err)
{
	struct rootfs rootfs = { 0 };
	struct group group;
	double cpu, memory;
	int r;

	host_surroundings(column, &rootfs, &group, &r, err);
	const struct child child = { .argv = argv,
				     .env = column->setup->env,
				     .group = &group,
				     .enter = host_enter,
				     .arg = &rootfs,
				     .timeout = timeout,
				     .stop = column->setup->stop };
	if (r == 0)
		r = child_run(&child, ret, err);
	group_kill(&group); /* what the command left behind ends with it, as in a container */
	group_end(&group, &cpu, &memory);
	rootfs_remove(&rootfs);
	if (r == 0) {
		ret->cpu = cpu;
		ret->memory = memory;
	}
	return r;
}

static void host_end(struct host_idle *idle)
{
	child_kill(&idle->pid);
	group_kill(&idle->group);
	group_end(&idle->group, NULL, NULL);
	rootfs_remove(&idle->rootfs);
	*idle = (struct host_idle){ 0 };
}

static int host_keep(struct column *column, struct host_idle *idle, const char *const *argv,
		     struct err *err)
{
	int64_t begin;
	int r;

	host_surroundings(column, &idle->rootfs, &idle->group, &r, err);
	const struct child child = { .argv = argv,
				     .env = column->setup->env,
				     .group = &idle->group,
				     .enter = host_enter,
				     .arg = &idle->rootfs };
	if (r == 0)
		r = child_start(&child, -EBADF, &idle->pid, &begin, err);
	if (r < 0)
		host_end(idle);
	return r;
}

static int host_start(struct column *column, struct err *err)
{
	struct host *h = column->state;

	host_end(&h->session); /* one that was stopped */
	return host_keep(column, &h->session, column_idle, err);
}

/* Beside the idle one, in files of its own: a plain process is not inside of anything. */
static int host_exec(struct column *column, const char *const *argv, unsigned timeout,
		     struct outcome *ret, struct err *err)
{
	return host_run(column, argv, timeout, ret, err);
}

static int host_signal(struct column *column, int sig, struct err *err)
{
	const struct host *h = column->state;

	if (h->session.pid <= 0 || kill(-h->session.pid, sig) < 0)
		return err_set(err, h->session.pid > 0 ? errno : ESRCH, "signal the process");
	return 0;
}

static int host_pause(struct column *column, struct err *err)
{
	return host_signal(column, SIGSTOP, err);
}

static int host_resume(struct column *column, struct err *err)
{
	return host_signal(column, SIGCONT, err);
}

static int host_stop(struct column *column, struct err *err)
{
	struct host *h = column->state;
	pid_t leader = h->session.pid;

	if (leader <= 0 || kill(leader, SIGTERM) < 0)
		return err_set(err, leader > 0 ? errno : ESRCH, "end the process");
	if (!child_wait(&h->session.pid, HOST_STOP_MS))
		return err_say(err, ETIMEDOUT, "the idle process does not end");
	(void)kill(-leader, SIGKILL); /* its sleep */
	return 0;
}

static int host_processes(struct column *column, pid_t **ret, size_t *ret_n, struct err *err)
{
	const struct host *h = column->state;
	pid_t roots[HOST_ADDED + 1] = { h->session.pid };

	for (unsigned i = 0; i < h->n_added; i++)
		roots[i + 1] = h->added[i].pid;
	int r = child_tree(roots, h->n_added + 1, ret, ret_n);
	return r < 0 ? err_set(err, -r, "the idle process") : 0;
}

static int host_add(struct column *column, const char *const *argv, struct err *err)
{
	struct host *h = column->state;

	if (h->n_added == HOST_ADDED)
		return err_say(err, ENOSPC, "more than %d processes", HOST_ADDED);
	int r = host_keep(column, &h->added[h->n_added], argv, err);
	h->n_added += r == 0;
	return r;
}

static void host_clear(struct column *column)
{
	struct host *h = column->state;

	while (h->n_added)
		host_end(&h->added[--h->n_added]);
}

static void host_close(struct column *column)
{
	struct host *h = column->state;

	if (!h)
		return;
	host_clear(column);
	host_end(&h->session);
	free(h);
	column->state = NULL;
	column->running = false;
}

const struct column_ops column_host = {
	.id = "host",
	.title = "host",
	.baseline = "host",
	.probe = host_probe,
	.open = host_open,
	.close = host_close,
	.run = host_run,
	.start = host_start,
	.exec = host_exec,
	.pause = host_pause,
	.resume = host_resume,
	.stop = host_stop,
	.processes = host_processes,
	.add = host_add,
	.clear = host_clear,
};
