/* SPDX-License-Identifier: Apache-2.0 */
/* A peer: crun, the container runtime in C, given the image's files and what Docker gives a container. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/core/buf.h"
#include "base/os/fd.h"
#include "base/os/file.h"
#include "compare/child.h"
#include "compare/columns.h"
#include "compare/crun_config.h"
#include "compare/group.h"
#include "compare/rootfs.h"

#define CRUN_ADDED   256
#define CRUN_VERB_S  60
#define CRUN_STOP_MS 60000
#define CRUN_PATH    3200

/* A container, and all that goes with it. */
struct crun_box {
	bool made;
	char name[32]; /* also of the bundle's directory */
	pid_t pid;     /* its first process; 0: not known */
	struct group group;
	struct rootfs rootfs;
};

struct crun {
	char state[CRUN_PATH]; /* --root */
	struct crun_box session, added[CRUN_ADDED];
	unsigned n_added;
};

static bool crun_probe(const struct column_setup *setup, char how[240], char why[240])
{
	const char *const argv[] = { "crun", "--version", NULL };
	const struct child child = { .argv = argv, .timeout = CRUN_VERB_S, .stop = setup->stop };
	struct outcome outcome = { 0 };
	bool is = child_run(&child, &outcome, NULL) == 0 && !outcome.status;

	(void)snprintf(
		how, 240,
		"container on the host's kernel, Docker's capabilities, no system call filter"); /* fits */
	(void)snprintf(why, 240, "%s",
		       is ? "its containers take root here: run it with sudo"
			  : "not installed: apt-get install crun"); /* fits */
	outcome_fini(&outcome);
	return is && geteuid() == 0;
}

static int crun_open(struct column *column, struct err *err)
{
	struct crun *crun = calloc(1, sizeof(*crun));

	if (!crun)
		return err_set(err, ENOMEM, "column %s", column->ops->id);
	int n = snprintf(crun->state, sizeof(crun->state), "%s/crun", column->setup->scratch);
	column->state = crun;
	return n < 0 || (size_t)n >= sizeof(crun->state)
		       ? err_set(err, ENAMETOOLONG, "directory of crun")
		       : 0;
}

/* What the child needs to become crun. */
struct crun_call {
	struct column *column;
	struct crun_box *box;
	const char *const *argv; /* the workload */
	bool kept;		 /* it stays, for what is measured inside */
};

/*
 * crun refuses v1 and v2 side by side where v2 holds a controller (libcrun/cgroup.c: "cgroups in hybrid mode not supported"): it
 * is shown a host without v2 then. Whoever it starts is in its v2 group by birth all the same, and counted.
 */
static int crun_view(void *arg, struct err *err)
{
	static const char v2[] = "/sys/fs/cgroup/unified";
	char path[64], text[16];

	(void)arg;
	(void)snprintf(path, sizeof(path), "%s/cgroup.controllers", v2); /* fits */
	AUTO(fd_close_p) int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fd_read_text(fd, text, sizeof(text)) <= 1)
		return 0;
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0 ||
	    umount2(v2, MNT_DETACH) < 0)
		return err_set(err, errno, "show crun a host without %s", v2);
	return 0;
}

static int crun_enter(void *arg, struct err *err)
{
	const struct crun_call *call = arg;
	const struct rootfs *rootfs = &call->box->rootfs;
	char cgroup[256];
	int r = rootfs_attach(rootfs, err);

	if (r == 0)
		r = crun_view(NULL, err);
	if (r < 0)
		return r;
	(void)snprintf(cgroup, sizeof(cgroup), "/%s/%s", call->box->group.path,
		       call->box->name); /* fits */
	return crun_config_write(rootfs, call->argv, call->kept,
				 call->box->group.made ? cgroup : NULL, err);
}

/* One that has no workload. */
static int crun_verb(const struct column *column, const char *const words[4], int stop,
		     struct err *err)
{
	const struct crun *crun = column->state;
	const char *const argv[] = { "crun",   "--root", crun->state, words[0],
				     words[1], words[2], words[3],    NULL };
	const struct child child = {
		.argv = argv, .enter = crun_view, .timeout = CRUN_VERB_S, .stop = stop
	};
	struct outcome outcome = { 0 };
	int r = child_run(&child, &outcome, err);

	if (r < 0)
		return r;
	if (outcome.timed_out || outcome.status)
		r = err_say(err, EIO, "crun %s: %s", words[0],
			    outcome.timed_out ? "no answer" : outcome.err_line);
	outcome_fini(&outcome);
	return r;
}

static void crun_delete(const struct column *column, const struct crun_box *box)
{
	const char *const words[4] = { "delete", "-f", box->name };

	(void)crun_verb(column, words, -EBADF, NULL); /* gone already: good */
}

static void crun_abort(void *arg)
{
	const struct crun_call *call = arg;

	crun_delete(call->column, call->box);
}

static int crun_make(struct column *column, struct crun_box *box, struct err *err)
{
	*box = (struct crun_box){ .made = true };
	(void)snprintf(box->name, sizeof(box->name), "%s-%u", column->ops->id,
		       column->started++); /* fits */
	group_make(column->setup->tag, box->name, NULL, &box->group);
	return rootfs_make(column->setup, box->name, &box->rootfs, err);
}

static void crun_end(const struct column *column, struct crun_box *box, double *ret_cpu,
		     double *ret_memory)
{
	if (box->made) {
		crun_delete(column, box);
		const bool made = box->group.made;
		group_end(&box->group, ret_cpu, ret_memory);
		if (made)
			group_tidy(box->group.path);
		rootfs_remove(&box->rootfs);
	}
	*box = (struct crun_box){ 0 };
}

static int crun_run(struct column *column, const char *const *argv, unsigned timeout,
		    struct outcome *ret, struct err *err)
{
	const struct crun *crun = column->state;
	struct crun_box box;
	double cpu = 0, memory = 0;
	int r = crun_make(column, &box, err);
	struct crun_call call = { column, &box, argv, false };
	const char *const words[] = { "crun",	  "--root",	  crun->state, "run",
				      "--bundle", box.rootfs.dir, box.name,    NULL };
	const struct child child = { .argv = words,
				     .group = &box.group,
				     .enter = crun_enter,
				     .abort = crun_abort,
				     .arg = &call,
				     .timeout = timeout,
				     .stop = column->setup->stop };

	if (r == 0)
		r = child_run(&child, ret, err);
	crun_end(column, &box, &cpu, &memory);
	if (r == 0) {
		ret->cpu = cpu;
		ret->memory = memory;
	}
	return r;
}

static pid_t crun_pid(const struct crun_box *box)
{
	char path[CRUN_PATH], text[32];

	(void)snprintf(path, sizeof(path), "%s/pid", box->rootfs.dir); /* fits */
	AUTO(fd_close_p) int fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 || fd_read_text(fd, text, sizeof(text)) <= 0 ? 0
								   : (pid_t)strtol(text, NULL, 10);
}

static int crun_keep(struct column *column, struct crun_box *box, const char *const *argv,
		     struct err *err)
{
	const struct crun *crun = column->state;
	struct outcome outcome = { 0 };
	char pid_file[CRUN_PATH];
	int r = crun_make(column, box, err);
	struct crun_call call = { column, box, argv, true };

	(void)snprintf(pid_file, sizeof(pid_file), "%s/pid", box->rootfs.dir); /* fits */
	const char *const words[] = { "crun",	       "--root",     crun->state, "run",
				      "--detach",      "--pid-file", pid_file,	  "--bundle",
				      box->rootfs.dir, box->name,    NULL };
	const struct child child = { .argv = words,
				     .group = &box->group,
				     .enter = crun_enter,
				     .abort = crun_abort,
				     .arg = &call,
				     .timeout = CRUN_VERB_S,
				     .stop = column->setup->stop };
	if (r == 0)
		r = child_run(&child, &outcome, err);
	if (r == 0 && (outcome.timed_out || outcome.status))
		r = err_say(err, EIO, "it does not start: %s",
			    outcome.timed_out ? "no answer" : outcome.err_line);
	outcome_fini(&outcome);
	if (r == 0)
		box->pid = crun_pid(box);
	else
		crun_end(column, box, NULL, NULL);
	return r;
}

static int crun_start(struct column *column, struct err *err)
{
	struct crun *crun = column->state;

	crun_end(column, &crun->session, NULL, NULL); /* one that was stopped */
	int r = crun_keep(column, &crun->session, column_idle, err);
	if (r == 0)
		r = column_await(column, err);
	if (r < 0)
		crun_end(column, &crun->session, NULL, NULL);
	return r;
}

static int crun_exec(struct column *column, const char *const *argv, unsigned timeout,
		     struct outcome *ret, struct err *err)
{
	const struct crun *crun = column->state;
	const char *const first[] = { "crun", "--root", crun->state, "exec", crun->session.name };
	size_t n = 0;

	while (argv[n])
		n++;
	const char **words = calloc(ARRAY_SIZE(first) + n + 1, sizeof(*words));
	if (!words)
		return err_set(err, ENOMEM, "crun exec");
	memcpy(words, first, sizeof(first));
	memcpy(words + ARRAY_SIZE(first), argv, n * sizeof(*words));
	const struct child child = {
		.argv = words, .enter = crun_view, .timeout = timeout, .stop = column->setup->stop
	};
	int r = child_run(&child, ret, err);
	free(words);
	return r;
}

static int crun_of_session(struct column *column, const char *verb, const char *more,
			   struct err *err)
{
	const struct crun *crun = column->state;
	const char *const words[4] = { verb, crun->session.name, more };

	return crun_verb(column, words, column->setup->stop, err);
}

static int crun_pause(struct column *column, struct err *err)
{
	return crun_of_session(column, "pause", NULL, err);
}

static int crun_resume(struct column *column, struct err *err)
{
	return crun_of_session(column, "resume", NULL, err);
}

static int crun_stop(struct column *column, struct err *err)
{
	struct crun *crun = column->state;
	int r = crun_of_session(column, "kill", "TERM", err);

	if (r < 0)
		return r;
	if (!child_gone(crun->session.pid, CRUN_STOP_MS))
		return err_say(err, ETIMEDOUT, "the idle container does not end");
	crun_delete(column, &crun->session);
	return 0;
}

static int crun_processes(struct column *column, pid_t **ret, size_t *ret_n, struct err *err)
{
	const struct crun *crun = column->state;
	pid_t roots[CRUN_ADDED + 1] = { crun->session.pid };

	for (unsigned i = 0; i < crun->n_added; i++)
		roots[i + 1] = crun->added[i].pid;
	int r = child_tree(roots, crun->n_added + 1, ret, ret_n);
	return r < 0 ? err_set(err, -r, "processes of %s", crun->session.name) : 0;
}

static int crun_add(struct column *column, const char *const *argv, struct err *err)
{
	struct crun *crun = column->state;

	if (crun->n_added == CRUN_ADDED)
		return err_say(err, ENOSPC, "more than %d containers", CRUN_ADDED);
	int r = crun_keep(column, &crun->added[crun->n_added], argv, err);
	crun->n_added += r == 0;
	return r;
}

static void crun_clear(struct column *column)
{
	struct crun *crun = column->state;

	while (crun->n_added)
		crun_end(column, &crun->added[--crun->n_added], NULL, NULL);
}

static void crun_close(struct column *column)
{
	struct crun *crun = column->state;

	if (!crun)
		return;
	crun_clear(column);
	crun_end(column, &crun->session, NULL, NULL);
	free(crun);
	column->state = NULL;
	column->running = false;
}

const struct column_ops column_crun = {
	.id = "crun",
	.title = "crun",
	.baseline = "host",
	.peer = true,
	.probe = crun_probe,
	.open = crun_open,
	.close = crun_close,
	.run = crun_run,
	.start = crun_start,
	.exec = crun_exec,
	.pause = crun_pause,
	.resume = crun_resume,
	.stop = crun_stop,
	.processes = crun_processes,
	.add = crun_add,
	.clear = crun_clear,
};
