/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/oslevel/system.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "engines/oslevel/cgroupfs.h"

#define SYSTEM_ID_BYTES	   32  /* machine-id(5): hex digits, and a newline */
#define SYSTEM_CGROUP2_MIN 233 /* systemd: the first that runs on nothing but v2, NEWS of v233 */
#define SYSTEM_NOTHING	   (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)
#define SYSTEM_LXCFS	   "/var/lib/lxcfs" /* where Debian's package mounts it */
#define SYSTEM_LXCFS_VIEWS 8
#define SYSTEM_NET	   "/proc/sys/net"

static const struct {
	const char *target;
	uint64_t attrs;
	struct mount_option options[3];
} system_tmpfs[] = {
	{ "/run",
	  MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV,
	  { { "mode", "755" }, { "size", "20%" }, { NULL, NULL } } },
	{ "/run/lock", SYSTEM_NOTHING, { { "mode", "1777" }, { "size", "5m" }, { NULL, NULL } } },
	{ "/tmp",
	  MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV,
	  { { "mode", "1777" }, { "size", "50%" }, { NULL, NULL } } },
};

/* The init's whole path takes the place of a command's first word. */
static int system_args(struct launch *launch, struct err *err)
{
	const struct spec *spec = launch->spec;

	launch->args = calloc(spec->n_args + 1, sizeof(*launch->args));
	if (!launch->args)
		return err_set(err, ENOMEM, "the init's arguments");
	for (size_t i = 0; i < spec->n_args; i++)
		launch->args[i] = spec->args[i];
	launch->args[0] = launch->init.path;
	return 0;
}

static int system_no_hierarchy(const struct launch *launch, struct err *err)
{
	if (launch->confined)
		return err_say(
			err, EACCES,
			"this image's systemd needs a cgroup of version 2 that is yours: have one "
			"delegated (systemd-run --user --scope -p Delegate=yes strata ...), or use sudo");
	return err_say(
		err, ENOTSUP,
		"this image's systemd%s needs the cgroup hierarchy name=systemd, which is not mounted "
		"here: mkdir -p /sys/fs/cgroup/systemd; mount -t cgroup -o none,name=systemd "
		"cgroup /sys/fs/cgroup/systemd",
		launch->layout.v2 < 0 ? ", on a host without cgroup v2," : " (before 233)");
}

/* Without lxcfs, or where it is something else: none, and no error. */
static void system_views(struct launch *launch)
{
	static const char *const names[SYSTEM_LXCFS_VIEWS] = {
		"/proc/cpuinfo", "/proc/diskstats", "/proc/loadavg", "/proc/meminfo",
		"/proc/stat",	 "/proc/swaps",	    "/proc/uptime",  "/sys/devices/system/cpu",
	};

	for (size_t i = 0; i < SYSTEM_LXCFS_VIEWS; i++) {
		char path[64];
		struct statfs fs;
		(void)snprintf(path, sizeof(path), SYSTEM_LXCFS "%s", names[i]); /* fits */
		if (statfs(path, &fs) < 0 || fs.f_type != FUSE_SUPER_MAGIC)
			continue;
		int fd = mount_clone(AT_FDCWD, path, false, NULL);
		if (fd < 0 || mount_attrs(fd, false, MOUNT_ATTR_RDONLY | SYSTEM_NOTHING, 0) < 0) {
			fd_close(fd);
			continue;
		}
		launch->views[launch->n_views++] = (struct launch_mount){
			fd, names[i],
			i == SYSTEM_LXCFS_VIEWS - 1 ? MOUNT_TARGET_DIR : MOUNT_TARGET_FILE, true
		};
	}
}

int system_prepare(struct launch *launch, struct err *err)
{
	const char *asked = launch->spec->args[0];
	int r = sysinit_find(launch->root, strcmp(asked, "init") ? asked : NULL, &launch->init,
			     err);

	if (r == 0)
		r = system_args(launch, err);
	if (r < 0)
		return r;
	system_views(launch);
	const bool old =
		launch->init.kind == SYSINIT_SYSTEMD && launch->init.version < SYSTEM_CGROUP2_MIN;

	cgroup_layout_use_all(&launch->layout);
	launch->delegated = launch->layout.v2 >= 0 && !old
				    ? launch->layout.v2
				    : cgroup_layout_find(&launch->layout, CGROUP_SYSTEMD);
	if (launch->delegated < 0 && launch->init.kind == SYSINIT_SYSTEMD)
		return system_no_hierarchy(launch, err);
	return 0;
}

int system_views_attach(const struct launch *launch, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < launch->n_views; i++) {
		const struct launch_mount *v = &launch->views[i];
		if (!launch_has_target(launch, v->target))
			r = mount_at(v->fd, launch->root, v->target, v->kind, MOUNT_TRUST_PROC,
				     err);
	}
	return r;
}

int system_delegate(const struct launch *launch, const struct cgroup *cgroup, struct err *err)
{
	const struct idmap *ids = &launch->ids;
	uint32_t uid = 0, gid = 0;

	if (launch->delegated < 0 || !launch->userns)
		return 0;
	if (idmap_outside(ids->uids, ids->n_uids, 0, &uid) < 0 ||
	    idmap_outside(ids->gids, ids->n_gids, 0, &gid) < 0)
		return err_say(
			err, EINVAL,
			"a system container needs a root: map the ids 0 (--uidmap, --gidmap)");
	return cgroup_delegate(cgroup, (unsigned)launch->delegated, uid, gid, err);
}

/* Of the root file system itself: nothing of the host's that is mounted there is written to. */
static bool system_is_root_mount(int root, int fd)
{
	struct statx a, b;

	return statx(root, "", AT_EMPTY_PATH, STATX_MNT_ID, &a) == 0 &&
	       statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &b) == 0 && a.stx_mnt_id == b.stx_mnt_id;
}

/* What the image brought along is that of every container made of it. */
static int system_machine_id(const struct launch *launch, struct err *err)
{
	char want[SYSTEM_ID_BYTES + 2], has[SYSTEM_ID_BYTES + 3];
	AUTO(fd_close_p) int etc = fd_open_in(launch->root, "/etc", O_PATH | O_DIRECTORY, 0);

	if (etc < 0 || !system_is_root_mount(launch->root, etc))
		return 0;
	(void)snprintf(want, sizeof(want), "%.*s\n", SYSTEM_ID_BYTES, launch->spec->id); /* fits */
	AUTO(fd_close_p)
	int old = openat(etc, "machine-id", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (old >= 0 && fd_read_text(old, has, sizeof(has)) > 0 && !strcmp(has, want))
		return 0;
	if (unlinkat(etc, "machine-id", 0) < 0 && errno != ENOENT)
		return err_set(err, errno, "/etc/machine-id");
	AUTO(fd_close_p)
	int fd = openat(etc, "machine-id", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
			0444);
	int r = fd < 0 ? -errno : fd_write_all(fd, want, strlen(want));
	return r < 0 ? err_set(err, -r, "/etc/machine-id") : 0;
}

int system_mounts(const struct launch *launch, struct err *err)
{
	int r = system_machine_id(launch, err);

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(system_tmpfs); i++) {
		if (launch_has_target(launch, system_tmpfs[i].target))
			continue;
		AUTO(fd_close_p)
		int fd = mount_new("tmpfs", system_tmpfs[i].options, system_tmpfs[i].attrs, err);
		r = fd < 0 ? fd
			   : mount_at(fd, launch->root, system_tmpfs[i].target, MOUNT_TARGET_DIR,
				      MOUNT_TRUST_NONE, err);
	}
	return r;
}

int system_cgroups(const struct launch *launch, unsigned used, uint64_t attrs, struct err *err)
{
	static const struct mount_option none[] = { { NULL, NULL } };

	if (launch->delegated < 0 || launch->delegated != launch->layout.v2)
		return cgroupfs_mount(&launch->layout, used, NULL, launch->root, "/sys/fs/cgroup",
				      attrs, err);
	AUTO(fd_close_p) int fd = mount_new("cgroup2", none, SYSTEM_NOTHING, err);
	return fd < 0 ? fd
		      : mount_at(fd, launch->root, "/sys/fs/cgroup", MOUNT_TARGET_DIR,
				 MOUNT_TRUST_NONE, err);
}

int system_sysctls(const struct launch *launch, struct err *err)
{
	if (launch->spec->network == SPEC_NETWORK_HOST || !launch->userns)
		return -EBADF;
	AUTO(fd_close_p) int net = fd_open_in(launch->root, SYSTEM_NET, O_PATH | O_DIRECTORY, 0);
	return net < 0 ? -EBADF : mount_clone(net, "", false, err);
}

int system_sysctls_attach(const struct launch *launch, int mount, struct err *err)
{
	if (mount < 0)
		return 0;
	AUTO(fd_close_p) int net = fd_open_in(launch->root, SYSTEM_NET, O_PATH | O_DIRECTORY, 0);
	int r = net < 0 ? net : mount_onto(mount, net);
	return r < 0 ? err_set(err, -r, "keep " SYSTEM_NET " writable") : 0;
}

bool system_files(struct launch *launch, const char *run_dir, struct views *views)
{
	const bool lxcfs = launch->n_views > 0;

	_Static_assert(VIEWS <= SYSTEM_VIEWS, "all of them have a place");
	if (views_open(run_dir, views, NULL) < 0)
		return lxcfs;
	for (unsigned i = lxcfs ? VIEW_BOOT_ID : 0; i < VIEWS; i++) {
		int fd = views_mount(run_dir, (enum view)i, NULL);
		if (fd >= 0)
			launch->views[launch->n_views++] =
				(struct launch_mount){ fd, view_path((enum view)i),
						       MOUNT_TARGET_FILE, true };
	}
	return lxcfs;
}

/*
 * By a process of its own, which holds nothing of the monitor's: what is below that root may be a file system of the container's,
 * with somebody behind it who never answers. Then the container is killed when its time is up, and that ends the wait.
 */
static _Noreturn void system_tell(enum sysinit_kind kind, const struct guest *guest, int root,
				  uid_t uid)
{
	const int kept = fcntl(root, F_DUPFD, 3), pidfd = fcntl(guest->wait_fd, F_DUPFD, 3);

	/* It has no streams, and no lock that others wait for. */
	if (kept < 0 || pidfd < 0 || dup2(kept, 0) < 0 || dup2(pidfd, 1) < 0 ||
	    close_range(2, ~0U, 0) < 0 || fork() != 0)
		_exit(0);
	sysinit_tell(kind, 0, uid);
	/* The monitor's signal may have come before. */
	(void)syscall(SYS_pidfd_send_signal, 1, guest->stop_signal, NULL, 0);
	_exit(0);
}

void system_stopping(const struct launch *launch, const struct guest *guest)
{
	const struct spec *spec = launch->spec;
	char path[64];
	uint32_t uid = 0;

	if (launch->init.kind != SYSINIT_RUNIT ||
	    (spec->n_uid_map && idmap_outside(spec->uid_map, spec->n_uid_map, 0, &uid) < 0))
		return;
	/* The pid is nobody else's before it is reaped, which this process does. */
	(void)snprintf(path, sizeof(path), "/proc/%d/root", (int)guest->pid); /* fits */
	AUTO(fd_close_p) int root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	const pid_t pid = root < 0 ? -1 : fork();
	if (pid == 0)
		system_tell(launch->init.kind, guest, root, uid);
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}
