/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/oslevel/oslevel.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/file.h"
#include "engines/cgroup/instance.h"
#include "engines/oslevel/private.h"
#include "engines/oslevel/rootless.h"
#include "engines/oslevel/rootdisk_io.h"
#include "engines/oslevel/system.h"
#include "engines/rates.h"
#include "network/link.h"

#define OSLEVEL_BLOCK "/sys/block"

struct oslevel_guest {
	struct guest guest;
	struct launch launch;
	struct cgroup cgroup;
	struct passt passt;
	struct views views;
	char cgroup_path[256];
	int sync; /* our end */
	bool has_cgroup, in_v2, reaped, system;
	bool lxcfs; /* it serves what the views show */
};

static void oslevel_probe(struct engine_report *ret)
{
	struct engine_report report = { .available = false };
	struct cgroup_layout layout;
	struct err err = { 0 };
	const bool user = geteuid() != 0;
	char cgroups[200], own[256] = "";

	if (rootless_probe(&err) < 0 || cgroup_layout_read(NULL, &layout, &err) < 0) {
		(void)snprintf(report.why, sizeof(report.why), "%.230s", err.text);
	} else {
		report.available = true;
		(void)snprintf(report.how, sizeof(report.how),
			       "native speed, on this host's kernel");
		if (user)
			(void)snprintf(report.how, sizeof(report.how),
				       "native speed, on this host's kernel, with %" PRIu64
				       " of your user ids",
				       ids_count());
		(void)cgroup_user_parent(own); /* without one: there is none */
		(void)cgroup_layout_user(&layout, own);
		if (cgroup_report(&layout, cgroups, sizeof(cgroups)) == 0)
			(void)snprintf(report.why, sizeof(report.why), "cgroups %s",
				       cgroups); /* fits */
	}
	*ret = report;
}

static uint64_t oslevel_namespaces(const struct launch *launch)
{
	uint64_t flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC;

	if (launch->spec->network != SPEC_NETWORK_HOST)
		flags |= CLONE_NEWNET;
	if (launch->userns)
		flags |= CLONE_NEWUSER;
	return flags;
}

static int oslevel_clone(struct oslevel_guest *g, struct err *err)
{
	int pidfd = -EBADF;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_set(err, errno, "socket pair");
	g->sync = pair[0];
	g->launch.sync = pair[1];

	const struct spec_time_offsets *offsets = &g->launch.spec->time_offsets;
	int back = -EBADF, r = 0;
	if (offsets->monotonic_s || offsets->boottime_s)
		r = timens_enter(offsets, &back, err);
	if (r < 0)
		return r;
	if (g->launch
		    .confined) { /* nobody but root may return: what is born later has the last one's, which a start makes anew */
		fd_close(back);
		back = -EBADF;
	}
	struct clone_args args = {
		.flags = oslevel_namespaces(&g->launch) | CLONE_PIDFD,
		.pidfd = (uint64_t)(uintptr_t)&pidfd,
		.exit_signal = SIGCHLD,
	};
	long pid = cgroup_clone_into(&args, cgroup_v2_fd(&g->cgroup), &g->in_v2);
	if (pid < 0) {
		r = err_set(err, errno, "make the container's namespaces");
		(void)timens_leave(back, NULL); /* the first error is the one to report */
		return r;
	}
	if (pid == 0) {
		fd_close(back);
		fd_close(g->sync);
		child_main(&g->launch);
	}
	g->guest.pid = (pid_t)pid;
	g->guest.wait_fd = pidfd;
	fd_close(g->launch.sync);
	g->launch.sync = -EBADF;
	return timens_leave(back, err);
}

static int oslevel_connect(const struct spec *spec, pid_t pid, struct err *err)
{
	char path[64];

	if (spec->network != SPEC_NETWORK_BRIDGE)
		return 0;
	(void)snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid); /* fits */
	AUTO(fd_close_p) int netns = open(path, O_RDONLY | O_CLOEXEC);
	if (netns < 0)
		return err_set(err, errno, "open %s", path);
	const struct link_endpoint endpoint = {
		.bridge = spec->endpoint.bridge,
		.host_if = spec->endpoint.host_if,
		.mac = spec->endpoint.mac,
		.address = spec->endpoint.address,
		.gateway = spec->endpoint.gateway,
		.prefix = spec->endpoint.prefix,
	};
	int r = link_connect(&endpoint, netns, err);
	return r == 0 ? rates_start(spec, err) : r;
}

static int oslevel_hierarchies(const struct cgroup *cgroup)
{
	unsigned used = 0;

	for (unsigned i = 0; i < CGROUP_HIERARCHIES; i++)
		used |= cgroup->fds[i] >= 0 ? 1U << i : 0;
	return (int)used;
}

static int oslevel_restrict(struct oslevel_guest *g, struct err *err)
{
	const struct spec *spec = g->launch.spec;
	AUTO(rootdisk_limits_fini) struct rootdisk_limits limits = { 0 };
	int r = rootdisk_limits(OSLEVEL_BLOCK, spec, &spec->limits, &limits, err);

	return r < 0 ? r
		     : cgroup_restrict(&g->cgroup, &limits.limits, spec->devices, spec->n_devices,
				       spec->privileged || g->launch.confined, err);
}

/* The parent's half: what the child waits for, in the order in which it waits. */
static int oslevel_raise(struct oslevel_guest *g, const struct guest_dirs *dirs, struct err *err)
{
	const struct spec *spec = g->launch.spec;
	int r = 0;

	if (g->launch.userns) {
		r = idmap_write(&g->launch.ids, g->guest.pid, err);
		if (r == 0)
			r = sync_send(g->sync, SYNC_MAPPED, 0);
	}
	if (r == 0)
		r = oslevel_restrict(g, err);
	if (r == 0 && !g->in_v2)
		r = cgroup_instance_move(&g->cgroup, g->guest.pid, err);
	if (r == 0 && spec->system)
		r = system_delegate(&g->launch, &g->cgroup, err);
	if (r == 0)
		views_write(&g->views, &g->cgroup, g->guest.pid);
	if (r == 0)
		r = oslevel_connect(spec, g->guest.pid, err);
	if (r == 0 && spec->network == SPEC_NETWORK_PASST)
		r = rootless_network(spec, dirs, g->guest.pid, &g->passt, err);
	return r;
}

static int64_t oslevel_refresh(struct guest *guest)
{
	struct oslevel_guest *g = container_of(guest, struct oslevel_guest, guest);

	if (g->views.fds[0] < 0 || g->lxcfs)
		return 0;
	views_write(&g->views, &g->cgroup, guest->pid);
	return VIEWS_NS;
}

static int oslevel_create(const struct spec *spec, const struct guest_dirs *dirs,
			  const struct guest_io *io, struct guest **ret, struct err *err)
{
	struct oslevel_guest *g = calloc(1, sizeof(*g));
	if (!g)
		return err_set(err, ENOMEM, "container");
	g->guest = (struct guest){ .ops = &oslevel_engine, .wait_fd = -EBADF, .tty = -EBADF };
	g->sync = -EBADF;
	g->passt = (struct passt)PASST_NONE;
	g->views = VIEWS_NONE;
	for (size_t i = 0; i < CGROUP_HIERARCHIES; i++)
		g->cgroup.fds[i] = -EBADF;

	int r = cgroup_instance_path(spec->cgroup_parent, spec->id, g->cgroup_path, err);
	if (r == 0 && geteuid() != 0) /* the first start of this monitor */
		r = ids_enter(err);
	if (r == 0)
		r = launch_prepare(spec, dirs, io, &g->launch, err);
	if (r < 0) {
		free(g);
		return r;
	}
	if (spec->system)
		g->lxcfs = system_files(&g->launch, dirs->run, &g->views);
	r = launch_lock(&g->launch, err);
	if (r < 0) {
		oslevel_engine.destroy(&g->guest);
		return r;
	}
	r = cgroup_prepare(&g->launch.layout, g->cgroup_path, &spec->limits,
			   spec->privileged || g->launch.confined, &g->cgroup, err);
	g->has_cgroup = r == 0;
	if (r == 0)
		r = cgroup_joins_open(&g->cgroup, g->launch.joins, &g->launch.n_joins, err);
	if (r == 0)
		r = oslevel_clone(g, err);
	if (r == 0)
		r = oslevel_raise(g, dirs, err);
	if (r < 0) {
		oslevel_engine.destroy(&g->guest);
		return r;
	}
	g->system = spec->system;
	if (spec->system)
		g->guest.stop_signal = sysinit_stop_signal(g->launch.init.kind);
	*ret = &g->guest;
	return 0;
}

/* No more words than needed: each is a wait for the other's turn on a busy machine. */
static int oslevel_start(struct guest *guest, int *ret_status, struct err *err)
{
	struct oslevel_guest *g = container_of(guest, struct oslevel_guest, guest);

	*ret_status = 125;
	int r = sync_send(g->sync, SYNC_GO, oslevel_hierarchies(&g->cgroup));
	if (r < 0 && r != -EPIPE) /* a dead child's last words are still to be read */
		return err_set(err, -r, "start the workload");
	r = 0;
	if (g->launch.spec->tty)
		r = sync_expect(g->sync, SYNC_TTY, &guest->tty, ret_status, err);
	if (r == 0)
		r = sync_expect(g->sync, SYNC_ERROR, NULL, ret_status, err);
	/* The end of file is execve(2)'s: it closed the child's end. */
	fd_close(g->sync);
	g->sync = -EBADF;
	if (r < 0)
		return r;
	if (g->launch.spec->tty && guest->tty < 0)
		return err_say(err, ECHILD,
			       "the container's first process died while it was set up");
	launch_fini(&g->launch);
	return 0;
}

/*
 * An init that called reboot(2): by these signals the kernel says so, and no other process can send it one that it has no
 * handler for. Source: reboot(2), "Behavior inside PID namespaces"; kill(2), of process 1.
 */
static void oslevel_reap_init(const siginfo_t *info, struct guest_end *ret)
{
	if (info->si_code != CLD_KILLED || (info->si_status != SIGHUP && info->si_status != SIGINT))
		return;
	ret->reboot = info->si_status == SIGHUP;
	ret->status = 0;
}

static int oslevel_reap(struct guest *guest, struct guest_end *ret)
{
	struct oslevel_guest *g = container_of(guest, struct oslevel_guest, guest);
	struct cgroup_stats stats = { 0 };
	siginfo_t info = { 0 };

	while (waitid(P_PID, (id_t)guest->pid, &info, WEXITED) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	g->reaped = true;
	ret->status = info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
	ret->oom_killed = false;
	ret->reboot = false;
	if (g->system)
		oslevel_reap_init(&info, ret);
	/* The kernel may have chosen another process than the first, which then fails of that. */
	if (ret->status != 0 && cgroup_stats_read(&g->cgroup, &stats, NULL) == 0)
		ret->oom_killed = stats.oom_kills > 0;
	return 0;
}

static void oslevel_destroy(struct guest *guest)
{
	if (!guest)
		return;
	struct oslevel_guest *g = container_of(guest, struct oslevel_guest, guest);

	fd_close(g->sync);
	if (guest->pid > 0 && !g->reaped) {
		(void)pidfd_signal(guest->wait_fd,
				   SIGKILL); /* gone already: then the wait returns at once */
		while (waitid(P_PID, (id_t)guest->pid, NULL, WEXITED) < 0 && errno == EINTR)
			;
	}
	passt_stop(&g->passt);
	views_close(&g->views);
	if (g->has_cgroup)
		(void)cgroup_destroy(&g->launch.layout, g->cgroup_path,
				     NULL); /* sweep tries again */
	cgroup_close(&g->cgroup);
	launch_fini(&g->launch);
	fd_close(guest->wait_fd);
	fd_close(guest->tty);
	free(g);
}

/* The interfaces of another network namespace, as one of its processes sees them. */
static void oslevel_net_stats(pid_t pid, struct guest_stats *stats)
{
	AUTO(buf_fini) struct buf text = { 0 };
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/net/dev", (int)pid); /* fits */
	if (file_read(AT_FDCWD, path, 1 << 20, &text) < 0)
		return;
	char *save = NULL;
	for (char *line = strtok_r(text.data, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		char name[32];
		unsigned long long rx, tx;
		if (sscanf(line, " %31[^:]: %llu %*u %*u %*u %*u %*u %*u %*u %llu", name, &rx,
			   &tx) == 3 &&
		    strcmp(name, "lo") != 0) {
			stats->net_rx_bytes += rx;
			stats->net_tx_bytes += tx;
		}
	}
}

static int oslevel_stats(const struct spec *spec, const char *run_dir, pid_t pid, bool paused,
			 struct stats_session *session, struct guest_stats *ret, struct err *err)
{
	(void)run_dir;
	(void)paused;
	(void)session;
	struct err ours = { 0 };
	int r = cgroup_instance_stats(spec, ret, &ours);

	if (r == -ENOENT && ids_here() != IDS_HOST)
		r = rootless_stats(pid, ret, err);
	else if (r < 0)
		return err_say(err, -r, "%s", ours.text);
	if (r == 0 && spec->network != SPEC_NETWORK_HOST)
		oslevel_net_stats(pid, ret);
	return r;
}

static int oslevel_freeze(const struct spec *spec, pid_t pid, bool frozen, struct err *err)
{
	struct err ours = { 0 };
	int r = cgroup_instance_freeze(spec, pid, frozen, &ours);

	if (r == -ENOENT && ids_here() != IDS_HOST)
		return rootless_freeze(pid, frozen, err);
	return r < 0 ? err_say(err, -r, "%s", ours.text) : 0;
}

static int oslevel_processes(const struct spec *spec, pid_t pid, pid_t **ret, size_t *ret_n,
			     struct err *err)
{
	struct err ours = { 0 };
	int r = cgroup_instance_processes(spec, pid, ret, ret_n, &ours);

	if (r == -ENOENT && ids_here() != IDS_HOST)
		return rootless_processes(pid, ret, ret_n, err);
	return r < 0 ? err_say(err, -r, "%s", ours.text) : 0;
}

static int oslevel_update(const struct spec *spec, const char *run_dir,
			  const struct spec_limits *change, struct err *err)
{
	struct err ours = { 0 };
	int r = rates_change(spec, change, err);

	(void)run_dir;
	if (r < 0)
		return r;
	AUTO(rootdisk_limits_fini) struct rootdisk_limits limits = { 0 };
	r = rootdisk_limits(OSLEVEL_BLOCK, spec, change, &limits, err);
	if (r < 0)
		return r;
	r = cgroup_instance_update(spec, &limits.limits, &ours);

	if (r == -ENOENT && ids_here() != IDS_HOST)
		return err_say(err, ENOTSUP,
			       "%s has no cgroup, for none was yours to make when it started: its "
			       "limits cannot be changed while it runs",
			       spec->name);
	return r < 0 ? err_say(err, -r, "%s", ours.text) : 0;
}

static int oslevel_sweep(const char *id, const char *cgroup_parent, pid_t pid, struct err *err)
{
	int r = ids_here() != IDS_HOST ? rootless_sweep(pid, err) : 0;

	return r < 0 ? r : cgroup_instance_sweep(id, cgroup_parent, pid, err);
}

static int oslevel_root_open(const struct spec *spec, pid_t pid, const char *state_dir,
			     int *ret_users, struct err *err)
{
	char path[64];
	const struct idmap ids = idmap_of(spec);
	AUTO(fd_close_p) int users = spec->n_uid_map ? idmap_userns(&ids, err) : -EBADF;
	int fd;

	if (spec->n_uid_map && users < 0)
		return users;
	(void)snprintf(path, sizeof(path), "/proc/%d/root", (int)pid); /* fits */
	if (pid <= 0)
		fd = rootfs_mount(spec, state_dir, users, ids_here() != IDS_HOST, false, err);
	else if ((fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0)
		fd = err_set(err, errno, "open the root of %s", spec->name);
	if (fd >= 0)
		*ret_users = fd_take(&users);
	return fd;
}

static void oslevel_stopping(struct guest *guest)
{
	const struct oslevel_guest *g = container_of(guest, struct oslevel_guest, guest);

	if (g->launch.spec->system)
		system_stopping(&g->launch, guest);
}

const struct engine_ops oslevel_engine = {
	.name = "os-level",
	.traits = {
		.privileged =
			"nobody: processes run on the host's CPU as any other; what is privileged "
			"they ask of the host's kernel, which refuses what its filters and "
			"capabilities do not allow",
		.kernel = "the host's: one kernel for the host and every instance",
		.shared =
			"the host's kernel and its page cache, CPUs and their caches; namespaces, "
			"cgroups, capabilities and a seccomp filter stand between",
		.breach =
			"a bug in the host's kernel reaches the host and every instance; a "
			"process that leaves its namespaces has the rights of its user id, in a "
			"user namespace those of an id that nobody else has",
		.gives =
			"native speed, the quickest start and the smallest footprint, with only "
			"the host's kernel between neighbours",
	},
	.filters = true,
	.check = rootless_check,
	.parent = cgroup_user_parent,
	.probe = oslevel_probe,
	.create = oslevel_create,
	.start = oslevel_start,
	.reap = oslevel_reap,
	.destroy = oslevel_destroy,
	.stopping = oslevel_stopping,
	.refresh = oslevel_refresh,
	.update = oslevel_update,
	.freeze = oslevel_freeze,
	.stats = oslevel_stats,
	.processes = oslevel_processes,
	.root_open = oslevel_root_open,
	.sweep = oslevel_sweep,
	.exec = oslevel_exec,
};
