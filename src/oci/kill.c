/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>

#include "base/os/fd.h"
#include "oci/oci.h"

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

static int kill_container(const struct oci *oci, const struct args *args, struct err *err)
{
	AUTO(oci_close) struct subject subject;
	int sig = SIGTERM;
	int r = oci_open(oci, args->argv[0], &subject, err);

	if (r == 0 && args->argc > 1)
		r = args_signal(args->argv[1], "signal", &sig, err);
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
	return kill_first(&subject, sig, err);
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

static int delete_container(const struct oci *oci, const struct args *args, struct err *err)
{
	AUTO(oci_close) struct subject subject;
	const bool force = args_on(args, "force");
	int r = oci_open(oci, args->argv[0], &subject, force ? NULL : err);

	if (r < 0 && force)
		r = oci_open_damaged(oci, args->argv[0], &subject, err);
	if (r == -ENOENT && force)
		return 0;
	if (r == 0)
		r = container_lock(&subject.container, err);
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
