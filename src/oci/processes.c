/* SPDX-License-Identifier: Apache-2.0 */
/* The processes of a container: those in its cgroup, or where its user could have none those in its pid namespace. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/pid_list.h"
#include "oci/oci.h"

#define PROCESSES_WAIT_MS 10000

static bool pids_is_in(int proc, const char *name, const struct stat *ns)
{
	char path[32];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%.16s/ns/pid", name); /* fits */
	return fstatat(proc, path, &st, 0) == 0 && st.st_ino == ns->st_ino &&
	       st.st_dev == ns->st_dev;
}

/* Of a namespace that is its own. */
static int pids_of_namespace(pid_t first, struct pid_list *list)
{
	AUTO(dir_close_p) DIR *dir = opendir("/proc");
	const struct dirent *entry;
	char path[32];
	struct stat ns;

	(void)snprintf(path, sizeof(path), "/proc/%d/ns/pid", (int)first); /* fits */
	if (!dir || stat(path, &ns) < 0)
		return errno == ENOENT ? 0 : -errno;
	while ((entry = readdir(dir))) {
		char *end;
		const long pid = strtol(entry->d_name, &end, 10);
		if (*end || pid <= 0 || !pids_is_in(dirfd(dir), entry->d_name, &ns))
			continue;
		int r = pid_list_add(list, (pid_t)pid);
		if (r < 0)
			return r;
	}
	return 0;
}

static int pids_without_cgroup(const struct subject *subject, pid_t **ret, size_t *ret_n,
			       struct err *err)
{
	const struct container *container = &subject->container;
	const struct bundle_namespace *ns =
		bundle_namespace_of(&subject->config.bundle, CLONE_NEWPID);
	struct pid_list list = { 0 };
	int r = 0;

	if (container->pid && container_status_of(container, NULL) != CONTAINER_STOPPED)
		r = ns && !ns->path ? pids_of_namespace(container->pid, &list)
				    : pid_list_add(&list, container->pid);
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
	int r = oci_cgroup(&subject->config, &layout, &cgroup, &none);
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
	int r = oci_cgroup(&subject->config, &layout, &cgroup, NULL);

	if (sig == SIGKILL && r == 0) {
		r = cgroup_kill(&cgroup, err);
		cgroup_close(&cgroup);
		return r;
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
