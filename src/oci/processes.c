/* SPDX-License-Identifier: Apache-2.0 */
/* The processes of a container: those in its cgroup, or where its user could have none those in its pid namespace. */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/pid_list.h"
#include "oci/oci.h"

#define PROCESSES_WAIT_MS 60000 /* for the end of who was killed */

static int pids_without_cgroup(const struct subject *subject, pid_t **ret, size_t *ret_n,
			       struct err *err)
{
	const struct container *container = &subject->container;
	const struct bundle_namespace *ns =
		bundle_namespace_of(&subject->config.bundle, CLONE_NEWPID);
	struct pid_list list = { 0 };
	int r = 0;

	if (container->pid && container_status_of(container, NULL) != CONTAINER_STOPPED)
		r = ns && !ns->path ? pid_list_of_namespace(container->pid, &list)
				    : pid_list_add(&list, container->pid);
	if (r == -ESRCH) /* it ended meanwhile */
		r = 0;
	*ret = list.pids;
	*ret_n = list.n;
	return r < 0 ? err_set(err, -r, "list the processes of container '%s'", container->id) : 0;
}

int oci_pids(const struct subject *subject, pid_t **ret, size_t *ret_n, struct err *err)
{
	struct cgroup_layout layout;
	struct cgroup cgroup;
	struct err none = { 0 };

	*ret = NULL;
	*ret_n = 0;
	int r = oci_cgroup(subject, &layout, &cgroup, &none);
	if (r == -ENOENT)
		return pids_without_cgroup(subject, ret, ret_n, err);
	if (r < 0) {
		if (err)
			*err = none;
		return r;
	}
	r = cgroup_pids(&cgroup, ret, ret_n, err);
	cgroup_close(&cgroup);
	return r;
}

/* The end of a pid namespace's first process is that of all of them. */
static int kill_first_hard(const struct container *container, struct err *err)
{
	AUTO(fd_close_p) int pidfd = container->pid ? pidfd_of(container->pid) : -ESRCH;
	struct pollfd gone = { .fd = pidfd, .events = POLLIN };
	int n;

	if (pidfd < 0 || container_status_of(container, NULL) == CONTAINER_STOPPED)
		return 0;
	int r = pidfd_signal(pidfd, SIGKILL);
	if (r < 0)
		return r == -ESRCH ? 0 : err_set(err, -r, "kill container '%s'", container->id);
	while ((n = poll(&gone, 1, PROCESSES_WAIT_MS)) < 0 && errno == EINTR)
		;
	return n > 0 ? 0
		     : err_say(err, ETIMEDOUT, "container '%s' does not end, though it was killed",
			       container->id);
}

int oci_kill_all(const struct subject *subject, int sig, struct err *err)
{
	struct cgroup_layout layout;
	struct cgroup cgroup;
	pid_t *pids = NULL;
	size_t n = 0;
	int r = oci_cgroup(subject, &layout, &cgroup, NULL);

	if (sig == SIGKILL && r == 0) {
		r = cgroup_kill(&cgroup, err);
		cgroup_close(&cgroup);
		return r == -ENODEV || r == -ENOENT
			       ? 0
			       : r; /* it was removed meanwhile: nobody is left */
	}
	if (r == 0)
		cgroup_close(&cgroup);
	if (sig == SIGKILL)
		return kill_first_hard(&subject->container, err);
	r = oci_pids(subject, &pids, &n, err);
	for (size_t i = 0; r == 0 && i < n; i++)
		(void)kill(pids[i], sig); /* gone meanwhile: that is fine */
	free(pids);
	return r;
}
