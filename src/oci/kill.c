/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/os/clock.h"
#include "base/os/fd.h"
#include "oci/oci.h"

#define DELETE_WAIT_MS 60000

static const struct opt kill_opts[] = {
	{ 'a', OPT_SWITCH, "all", NULL, "to every process in the container" },
	{ 0 },
};

/* By pidfd, and looked at again after it was opened: a number that is another process's by now is never signalled. */
static int kill_first(const struct subject *subject, int sig, struct err *err)
{
	AUTO(fd_close_p) int pidfd = pidfd_of(subject->container.pid);
	int r = pidfd < 0 ? pidfd : 0;

	if (r == 0 && container_status_of(&subject->container, NULL) == CONTAINER_STOPPED)
		r = -ESRCH;
	if (r == 0)
		r = pidfd_signal(pidfd, sig);
	if (r == -ESRCH)
		return err_say(err, ESRCH, "container not running: '%s'", subject->container.id);
	return r < 0 ? err_set(err, -r, "signal container '%s'", subject->container.id) : 0;
}

/* A v1 freezer holds even SIGKILL back: signalled first, so that nothing else happens once it is thawed. */
static int kill_thaw(const struct subject *subject, struct err *err)
{
	struct cgroup_layout layout;
	AUTO(cgroup_close) struct cgroup cgroup = { .layout = NULL };
	struct err gone = { 0 };
	int r = oci_cgroup(subject, &layout, &cgroup, &gone);

	if (r == 0)
		r = cgroup_freeze(&cgroup, false, &gone);
	if (r == 0 || r == -ENOENT || r == -ENODEV) /* it is dead, and has been deleted */
		return 0;
	if (err)
		*err = gone;
	return r;
}

/* kill(2): 0 is none, and says whether there is somebody to send one to. */
static int kill_signal(const char *text, int *ret, struct err *err)
{
	if (strcmp(text, "0") != 0)
		return args_signal(text, "signal", ret, err);
	*ret = 0;
	return 0;
}

static int kill_container(const struct oci *oci, const struct args *args, struct err *err)
{
	AUTO(oci_close) struct subject subject;
	int sig = SIGTERM;
	int r = oci_open(oci, args->argv[0], &subject, err);

	if (r == 0 && args->argc > 1)
		r = kill_signal(args->argv[1], &sig, err);
	if (r < 0)
		return r;
	if (args_on(args, "all"))
		return oci_kill_all(&subject, sig, err);
	if (subject.status == CONTAINER_STOPPED || subject.status == CONTAINER_CREATING)
		return err_say(err, ESRCH, "container not running: '%s' is %s",
			       subject.container.id, container_status_names[subject.status]);
	/* Without a pid namespace of its own its processes do not end with the first. */
	if (sig == SIGKILL && !bundle_namespace_of(&subject.config.bundle, CLONE_NEWPID))
		return oci_kill_all(&subject, sig, err);
	r = kill_first(&subject, sig, err);
	return r == 0 && sig == SIGKILL && subject.status == CONTAINER_PAUSED
		       ? kill_thaw(&subject, err)
		       : r;
}

const struct verb oci_verb_kill = {
	.name = "kill",
	.operands = "ID [SIGNAL]",
	.summary = "send a signal, TERM if none is named, to a container's first process",
	.opts = kill_opts,
	.min_operands = 1,
	.max_operands = 2,
	.run = kill_container,
};

static const struct opt delete_opts[] = {
	{ 'f', OPT_SWITCH, "force", NULL, "also one that runs, or none" },
	{ 0 },
};

/*
 * Somebody makes it who does not come to an end: frozen midway, or in a hook that hangs. What there is of it is killed, over and over,
 * till he fails and clears up; or somebody deletes it, and does the same.
 */
static int delete_by_force(const struct oci *oci, const char *id, struct subject *ret,
			   struct err *err)
{
	const int64_t deadline = clock_mono_ns() + DELETE_WAIT_MS * NS_PER_MS;
	int r;

	while ((r = oci_open_locked(oci, id, true, ret, err)) == -EBUSY &&
	       clock_mono_ns() < deadline) {
		AUTO(oci_close) struct subject busy;
		if (oci_open_damaged(oci, id, &busy, NULL) == 0)
			(void)oci_kill_all(&busy, SIGKILL, NULL); /* the lock tells */
	}
	return r;
}

static int delete_container(const struct oci *oci, const struct args *args, struct err *err)
{
	AUTO(oci_close) struct subject subject;
	const bool force = args_on(args, "force");
	int r = force ? delete_by_force(oci, args->argv[0], &subject, err)
		      : oci_open_locked(oci, args->argv[0], false, &subject, err);

	if (r == -ENOENT && force)
		return 0;
	if (r < 0)
		return r;
	if (!force && subject.status != CONTAINER_STOPPED && subject.status != CONTAINER_CREATED)
		return err_say(err, EBUSY,
			       "cannot delete container '%s' that is not stopped: it is %s",
			       subject.container.id, container_status_names[subject.status]);
	return oci_destroy(oci, &subject, err);
}

const struct verb oci_verb_delete = {
	.name = "delete",
	.operands = "ID",
	.summary = "remove what is left of a container",
	.opts = delete_opts,
	.min_operands = 1,
	.max_operands = 1,
	.run = delete_container,
};
