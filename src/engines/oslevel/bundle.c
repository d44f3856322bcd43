/* SPDX-License-Identifier: Apache-2.0 */
/* The maker's half: see bundle.h. */
#include "engines/oslevel/bundle.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/file.h"
#include "engines/cgroup/instance.h"
#include "engines/oslevel/bundle_private.h"
#include "engines/oslevel/namespace.h"

const struct bundle_namespace *bundle_namespace_of(const struct bundle *bundle, uint64_t flag)
{
	for (size_t i = 0; i < bundle->n_namespaces; i++) {
		if (bundle->namespaces[i].flag == flag)
			return &bundle->namespaces[i];
	}
	return NULL;
}

bool bundle_namespace_is_new(const struct bundle *bundle, uint64_t flag)
{
	const struct bundle_namespace *ns = bundle_namespace_of(bundle, flag);

	return ns && !ns->path;
}

int bundle_layout(struct cgroup_layout *ret, struct err *err)
{
	/* Where no setting asks for these they are as good as not there: each group costs the start. */
	const unsigned seldom = 1U << CGROUP_HUGETLB | 1U << CGROUP_NET_CLS |
				1U << CGROUP_NET_PRIO | 1U << CGROUP_RDMA | 1U << CGROUP_MISC;
	int r = cgroup_layout_read(NULL, ret, err);

	for (unsigned i = 0; r == 0 && i < ret->n; i++) {
		struct cgroup_hierarchy *h = &ret->hierarchies[i];
		h->used = h->v2 || !h->controllers || h->controllers & ~(uint32_t)seldom;
	}
	return r;
}

static void work_fini(struct bundle_work *work)
{
	for (size_t i = 0; work->sources && i < work->bundle->n_mounts; i++)
		fd_close(work->sources[i]);
	for (size_t i = 0; work->devices && i < work->n_devices; i++)
		fd_close(work->devices[i]);
	for (unsigned i = 0; i < work->n_joins; i++)
		fd_close(work->joins[i]);
	free(work->sources);
	free(work->devices);
	fd_close(work->root);
	fd_close(work->place);
	fd_close(work->proc);
	fd_close(work->sync);
	cgroup_close(&work->cgroup);
}

/* Those of the container's user namespace, where that is there already, are its own. */
static int source_users(const struct bundle *bundle, const struct bundle_mount *mount,
			struct err *err)
{
	const struct bundle_namespace *user = bundle_namespace_of(bundle, CLONE_NEWUSER);

	return mount->container_ids && user && user->path
		       ? namespace_open(user->path, CLONE_NEWUSER, err)
		       : idmap_userns(&mount->ids, err);
}

/*
 * How a bind stays tied to what is mounted on the host: MS_SHARED both ways, MS_SLAVE from there to here, MS_PRIVATE not at all. Never
 * more than linux.rootfsPropagation grants, which those set who want it (Docker, Kubernetes); and a user namespace's root mounts nothing
 * on the host: there the kernel's own rule for a new mount namespace is the same (mount_namespaces(7)).
 */
static uint64_t source_tie(const struct bundle *bundle, const struct bundle_mount *mount)
{
	const uint64_t root = bundle->root_propagation, own = mount->propagation;

	if ((own != MS_SLAVE && own != MS_SHARED) || (root != MS_SLAVE && root != MS_SHARED))
		return MS_PRIVATE;
	return own == MS_SLAVE || root == MS_SLAVE || bundle_namespace_of(bundle, CLONE_NEWUSER)
		       ? MS_SLAVE
		       : MS_SHARED;
}

int bundle_source(const struct bundle *bundle, const struct bundle_mount *mount, struct err *err)
{
	const uint64_t tie = source_tie(bundle, mount);
	AUTO(fd_close_p)
	int fd = mount_clone(AT_FDCWD, mount->source, mount->recursive, err);
	AUTO(fd_close_p) int users = -EBADF;
	if (fd < 0)
		return fd;

	int r = tie == MS_SHARED ? 0 : mount_propagation(fd, true, tie);
	if (r == 0 && mount->propagation)
		r = mount_propagation(fd, mount->all_propagation, mount->propagation);
	if (r == 0 && (mount->set || mount->clear))
		r = mount_attrs(fd, false, mount->set, mount->clear);
	if (r == 0 && (mount->all_set || mount->all_clear))
		r = mount_attrs(fd, true, mount->all_set, mount->all_clear);
	if (r == 0 && (mount->ids.n_uids || mount->container_ids)) {
		users = source_users(bundle, mount, err);
		if (users < 0)
			return users;
		r = mount_idmap(fd, mount->all_ids, users);
		return r < 0 ? mount_idmap_error(err, r, mount->source) : fd_take(&fd);
	}
	return r < 0 ? err_set(err, -r, "bind mount of %s at %s", mount->source, mount->target)
		     : fd_take(&fd);
}

/*
 * /proc/self/mountinfo lists mounts by age: a bind after a new file system is the child's to make, who has the host's mounts as
 * long as the root is not his, and their owner's rights where there is no user namespace. His are tied to none of the host's.
 */
static bool source_is_late(const struct bundle_work *work, size_t i, bool after_new)
{
	const struct bundle_mount *mount = &work->bundle->mounts[i];

	return after_new && !work->userns && bundle_namespace_is_new(work->bundle, CLONE_NEWNS) &&
	       !mount->ids.n_uids && !mount->container_ids &&
	       source_tie(work->bundle, mount) == MS_PRIVATE;
}

static int work_sources(struct bundle_work *work, struct err *err)
{
	const struct bundle *bundle = work->bundle;
	bool after_new = false;

	work->sources = calloc(bundle->n_mounts + 1, sizeof(int));
	if (!work->sources)
		return err_set(err, ENOMEM, "mounts");
	for (size_t i = 0; i < bundle->n_mounts; i++)
		work->sources[i] = -EBADF;
	for (size_t i = 0; i < bundle->n_mounts; i++) {
		const struct bundle_mount *mount = &bundle->mounts[i];
		after_new |= mount->type != NULL;
		const bool mapped = mount->ids.n_uids || mount->container_ids;
		if (mount->type ? !mapped : source_is_late(work, i, after_new))
			continue;
		work->sources[i] = mount->type ? source_users(bundle, mount, err)
					       : bundle_source(bundle, mount, err);
		if (work->sources[i] < 0)
			return work->sources[i];
	}
	return 0;
}

/* What is read-only stays so, whatever root of the container's user namespace does. */
static int work_lock(struct bundle_work *work, struct err *err)
{
	const struct bundle *bundle = work->bundle;
	size_t n = 0;

	if (!work->userns)
		return 0;
	int **fds = calloc(bundle->n_mounts + 1, sizeof(*fds));
	if (!fds)
		return err_set(err, ENOMEM, "mounts");
	for (size_t i = 0; i < bundle->n_mounts; i++) {
		const struct bundle_mount *mount = &bundle->mounts[i];
		if (!mount->type && (mount->set | mount->all_set) & MOUNT_ATTR_RDONLY)
			fds[n++] = &work->sources[i];
	}
	int r = mount_lock(fds, n, err);
	free(fds);
	return r;
}

static int work_root(struct bundle_work *work, struct err *err)
{
	const struct bundle_namespace *mounts = bundle_namespace_of(work->bundle, CLONE_NEWNS);

	if (!bundle_namespace_is_new(work->bundle, CLONE_NEWNS)) {
		work->place = open(work->host->place, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (work->place < 0)
			return err_set(err, errno, "open %s", work->host->place);
	}
	if (mounts && mounts->path)
		return 0; /* it is looked for there */
	work->root = mount_clone(AT_FDCWD, work->bundle->root, true, err);
	if (work->root < 0)
		return err_wrap(err, "root file system");
	int r = mount_propagation(work->root, true, MS_PRIVATE);
	return r < 0 ? err_set(err, -r, "root file system %s", work->bundle->root) : 0;
}

static int work_cgroup(struct bundle_work *work, struct err *err)
{
	const struct bundle *bundle = work->bundle;
	int r = 0;

	if (work->host->layout)
		work->layout = *work->host->layout;
	else
		r = bundle_layout(&work->layout, err);
	work->layout.also = cgroup_settings_need(bundle->settings, bundle->n_settings);
	/* One whom no rule of devices holds is in their hierarchy all the same: dockerd inside will not start without. */
	if (r == 0)
		r = cgroup_prepare(&work->layout, bundle->cgroup, &bundle->limits,
				   work->host->confined, &work->cgroup, err);
	if (work->host->confined && (r == -EACCES || r == -EPERM || r == -EROFS))
		return err_wrap(err, "linux.resources asks for a limit that this user cannot set");
	if (r < 0)
		return r;
	if (!cgroup_is_none(&work->cgroup))
		r = work->host->grouped(work->host->arg, err);
	if (r < 0) {
		cgroup_remove_empty(&work->layout, bundle->cgroup);
		return r;
	}
	if (!bundle->all_devices && !work->host->confined)
		cgroup_rules_early(&work->cgroup, bundle->rules, bundle->n_rules);
	return cgroup_joins_open(&work->cgroup, work->joins, &work->n_joins, err);
}

/* Ours is none to enter: setns(2) refuses it, and nothing would change. */
static int work_users(struct bundle_work *work, struct err *err)
{
	const struct bundle_namespace *user = bundle_namespace_of(work->bundle, CLONE_NEWUSER);

	work->userns = user != NULL;
	if (!user || !user->path)
		return 0;
	AUTO(fd_close_p) int fd = namespace_open(user->path, CLONE_NEWUSER, err);
	if (fd < 0)
		return fd;
	work->joins_userns = work->userns = !namespace_is_own(fd, CLONE_NEWUSER);
	return 0;
}

int bundle_proc_open(const struct bundle_process *as, int *ret, struct err *err)
{
	*ret = -EBADF;
	if (!label_wanted(as->apparmor, as->selinux))
		return 0;
	*ret = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return *ret < 0 ? err_set(err, errno, "open /proc") : 0;
}

static int work_prepare(struct bundle_work *work, struct err *err)
{
	int r = work_users(work, err);

	if (r == 0)
		r = work_root(work, err);
	if (r == 0)
		r = bundle_proc_open(&work->bundle->process, &work->proc, err);
	if (r == 0)
		r = work_sources(work, err);
	if (r == 0)
		r = work_lock(work, err);
	if (r == 0 && (work->userns || work->host->confined))
		r = bundle_devices_prepare(work, err);
	return r < 0 ? r : work_cgroup(work, err);
}

/* Cgroups are made and entered before their namespace: the child unshares that one itself. */
static uint64_t work_clone_flags(const struct bundle *bundle)
{
	uint64_t flags = 0;

	for (size_t i = 0; i < bundle->n_namespaces; i++) {
		const struct bundle_namespace *ns = &bundle->namespaces[i];
		if (!ns->path && ns->flag != CLONE_NEWCGROUP && ns->flag != CLONE_NEWTIME)
			flags |= ns->flag;
	}
	return flags;
}

/* A group that no process can be born into takes one that enters itself. */
int bundle_join_v2(const struct bundle_work *work)
{
	int v2 = cgroup_v2_fd(&work->cgroup);

	if (v2 < 0)
		return 0;
	AUTO(fd_close_p) int procs = openat(v2, "cgroup.procs", O_WRONLY | O_CLOEXEC);
	return procs < 0 || write(procs, "0", 1) < 0 ? -errno : 0;
}

static long work_fork(struct bundle_work *work, int ours, struct bundle_away *away, struct err *err)
{
	const struct bundle *bundle = work->bundle;
	struct clone_args args = { .flags = work_clone_flags(bundle), .exit_signal = SIGCHLD };
	bool into;

	if (bundle_join_takes_helper(work))
		return bundle_fork_helped(work, args.flags, ours, err);
	int r = bundle_away_enter(bundle, away, err);
	if (r < 0)
		return r;
	long pid = cgroup_clone_into(&args, cgroup_v2_fd(&work->cgroup), &into);
	if (pid < 0)
		return err_set(err, errno, "make the container's namespaces");
	if (pid > 0)
		return pid;
	fd_close(ours);
	for (unsigned i = 0; i < away->n; i++)
		fd_close(away->fds[i]);
	fd_close(away->timens);
	if (!into && bundle_join_v2(work) < 0)
		_exit(125);
	bundle_child(work);
}

static int work_clone(struct bundle_work *work, struct err *err)
{
	struct bundle_away away = { .timens = -EBADF };
	int pair[2];

	/* Until its execve(2) nobody inside may look at the child through /proc (CVE-2019-5736, CVE-2016-9962). */
	(void)prctl(PR_SET_DUMPABLE, 0);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_set(err, errno, "socket pair");
	work->ours = pair[0];
	work->sync = pair[1];
	long pid = work_fork(work, pair[0], &away, err);
	int r = pid < 0 ? (int)pid : 0;
	if (pid > 0)
		work->pid = (pid_t)pid;
	fd_close(work->sync);
	work->sync = -EBADF;
	int back = bundle_away_leave(&away, r < 0 ? NULL : err);
	return r < 0 ? r : back;
}

/* The default of a process that lowers it is more than some hosts give: "0" may be refused where 0 is what it has. */
static int work_oom_score(const struct bundle *bundle, pid_t pid, struct err *err)
{
	char path[48], text[16];

	if (!bundle->process.set_oom_score)
		return 0;
	(void)snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", (int)pid); /* fits */
	(void)snprintf(text, sizeof(text), "%d", bundle->process.oom_score);	/* fits */
	int r = file_write(AT_FDCWD, path, text);
	return r < 0 ? err_set(err, -r, "process.oomScoreAdj %s", text) : 0;
}

static int work_restrict(struct bundle_work *work, struct err *err)
{
	const struct bundle *bundle = work->bundle;
	int r = cgroup_restrict_rules(&work->cgroup, &bundle->limits, bundle->rules,
				      bundle->n_rules, bundle->all_devices || work->host->confined,
				      err);

	return r < 0 ? r
		     : cgroup_settings_set(&work->cgroup, bundle->settings, bundle->n_settings,
					   err);
}

/* What the child waits for, in the order in which it waits. */
static int work_raise(struct bundle_work *work, struct err *err)
{
	const struct bundle_host *host = work->host;
	int r = 0;

	if (work->userns && !work->joins_userns) {
		r = idmap_write(&work->bundle->ids, work->pid, err);
		if (r == 0)
			r = sync_tell(work->ours, SYNC_MAPPED, 0, err);
	}
	if (r == 0)
		r = work_oom_score(work->bundle, work->pid, err);
	if (r == 0)
		r = work_restrict(work, err);
	if (r == 0 && host->made) {
		r = sync_expect(work->ours, SYNC_READY, NULL, NULL, err);
		if (r == 0)
			r = host->made(host->arg, work->pid, err);
	}
	if (r == 0 && host->born)
		r = host->born(host->arg, work->pid, err);
	if (r == 0)
		r = sync_tell(work->ours, SYNC_GO, work->pid, err);
	if (r == 0 && host->listener < 0)
		r = bundle_listener(work->ours, work->pid, &host->notify, err);
	if (r == 0)
		r = sync_expect(work->ours, SYNC_DONE, NULL, NULL, err);
	/* Killed with a word of ours unread; or: the end of file is execve(2)'s, which closed the child's end. */
	if ((r > 0 || r == -ECONNRESET) && host->listener < 0)
		return 0;
	return r > 0 ? err_say(err, ECHILD, "the container's first process died while it was made")
		     : r;
}

static void work_kill(struct bundle_work *work)
{
	fd_close(work->ours);
	work->ours = -EBADF;
	if (work->pid <= 0)
		return;
	(void)kill(work->pid, SIGKILL); /* ours: there until waited for */
	while (waitpid(work->pid, NULL, 0) < 0 && errno == EINTR)
		;
	work->pid = 0;
}

int bundle_create(const struct bundle *bundle, const struct bundle_host *host, pid_t *ret_pid,
		  struct err *err)
{
	struct bundle_work work = {
		.bundle = bundle,
		.host = host,
		.root = -EBADF,
		.place = -EBADF,
		.proc = -EBADF,
		.sync = -EBADF,
		.ours = -EBADF,
	};

	for (size_t i = 0; i < CGROUP_HIERARCHIES; i++)
		work.cgroup.fds[i] = -EBADF;
	int r = label_check(bundle->process.apparmor, bundle->process.selinux, err);
	if (r == 0)
		r = work_prepare(&work, err);
	if (r == 0)
		r = work_clone(&work, err);
	if (r == 0)
		r = work_raise(&work, err);
	if (r < 0) {
		work_kill(&work);
	} else {
		fd_close(work.ours);
		*ret_pid = work.pid;
	}
	work_fini(&work);
	return r;
}

int bundle_listener(int sync, pid_t pid, const struct bundle_notify *notify, struct err *err)
{
	AUTO(fd_close_p) int fd = -EBADF;

	if (!notify->send)
		return 0;
	int r = sync_expect(sync, SYNC_NOTIFY, &fd, NULL, err);
	if (r > 0 || (r == 0 && fd < 0))
		return err_say(err, ECHILD, "the process died before its seccomp filter was there");
	if (r == 0)
		r = notify->send(notify->arg, pid, fd, err);
	if (r == 0)
		(void)sync_send(sync, SYNC_NOTIFY, 0); /* a death shows next */
	return r;
}

int bundle_start_by(int socket, pid_t pid, const struct bundle_notify *notify, struct err *err)
{
	int r = sync_tell(socket, SYNC_START, 0, err);

	if (r == 0)
		r = sync_expect(socket, SYNC_START, NULL, NULL, err);
	if (r == 1 || r == -ECONNRESET)
		return err_say(err, ESTALE, "it was started meanwhile");
	if (r == 0)
		r = bundle_listener(socket, pid, notify, err);
	if (r == 0)
		r = sync_expect(socket, SYNC_ERROR, NULL, NULL, err);
	return r < 0 ? r : 0;
}
