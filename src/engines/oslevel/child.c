/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first process of a container, from its birth in new namespaces to its execve(2). It trusts nothing below
 * the root it was given: every target is resolved inside that root, every source is an fd from the monitor.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/file.h"
#include "engines/oslevel/cgroupfs.h"
#include "engines/oslevel/dev.h"
#include "engines/oslevel/pidone.h"
#include "engines/oslevel/private.h"
#include "engines/oslevel/protect.h"
#include "engines/oslevel/rootless.h"
#include "engines/oslevel/system.h"
#include "engines/oslevel/workload.h"
#include "network/link.h"

/*
 * Where the new root hangs for the moment before pivot_root(2), in this process's own mount namespace: any directory that
 * every Linux has and whose parents an unprivileged user may pass, which the state directory's need not be.
 */
#define CHILD_PIVOT "/usr"

#define CHILD_NOTHING (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)

struct child_fs {
	const char *target, *type;
	uint64_t attrs;
	struct mount_option options[4];
	bool exact; /* see mount_at() */
};

static const struct child_fs child_fs[] = {
	{ "/proc", "proc", CHILD_NOTHING, { { NULL, NULL } }, true },
	{ "/dev",
	  "tmpfs",
	  MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC,
	  { { "mode", "755" }, { "size", "64k" }, { NULL, NULL } },
	  true },
	{ "/dev/pts",
	  "devpts",
	  MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC,
	  { { "newinstance", NULL }, { "ptmxmode", "0666" }, { "mode", "0620" }, { NULL, NULL } },
	  false },
	{ "/dev/mqueue", "mqueue", CHILD_NOTHING, { { NULL, NULL } }, false },
	{ "/sys", "sysfs", CHILD_NOTHING | MOUNT_ATTR_RDONLY, { { NULL, NULL } }, true },
};

/* sysfs shows the network namespace: in a user namespace beside the host's network it cannot be mounted. */
static int child_mount_fs(const struct launch *launch, const struct child_fs *fs, struct err *err)
{
	if (launch_has_target(launch, fs->target))
		return 0;
	AUTO(fd_close_p) int fd = mount_new(fs->type, fs->options, fs->attrs, err);
	if (fd == -EPERM && !strcmp(fs->type, "sysfs")) {
		fd = mount_clone(AT_FDCWD, "/sys", true, err);
		int r = fd < 0 ? fd : mount_attrs(fd, true, fs->attrs, 0);
		if (r < 0)
			return err_set(err, -r, "make /sys read-only");
	}
	if (fd < 0)
		return fd;
	return mount_at(fd, launch->root, fs->target, MOUNT_TARGET_DIR,
			fs->exact ? MOUNT_TRUST_EXACT : MOUNT_TRUST_NONE, err);
}

static int child_mount_shm(const struct launch *launch, struct err *err)
{
	char size[24];

	if (launch_has_target(launch, "/dev/shm"))
		return 0;
	(void)snprintf(size, sizeof(size), "%lld", (long long)launch->spec->shm_bytes); /* fits */
	const struct mount_option options[] = { { "mode", "1777" },
						{ "size", size },
						{ NULL, NULL } };
	AUTO(fd_close_p) int fd = mount_new("tmpfs", options, CHILD_NOTHING, err);
	return fd < 0 ? fd
		      : mount_at(fd, launch->root, "/dev/shm", MOUNT_TARGET_DIR, MOUNT_TRUST_NONE,
				 err);
}

static int child_device(const struct launch *launch, const struct spec_device *device,
			struct err *err)
{
	struct stat st;

	if (stat(device->source, &st) < 0)
		return err_set(err, errno, "device %s", device->source);
	if (!S_ISCHR(st.st_mode) && !S_ISBLK(st.st_mode))
		return err_say(err, ENODEV, "device %s: not a device", device->source);

	char path[512];
	const char *slash = strrchr(device->target, '/');
	size_t len = (size_t)(slash - device->target);
	if (len >= sizeof(path) || !slash[1])
		return err_say(err, EINVAL, "device %s: bad target", device->target);
	memcpy(path, device->target, len);
	path[len] = '\0';
	AUTO(fd_close_p) int dir = fd_mkdir_in(launch->root, path, 0755);
	if (dir < 0)
		return err_set(err, -dir, "device %s", device->target);
	if (unlinkat(dir, slash + 1, 0) < 0 && errno != ENOENT)
		return err_set(err, errno, "device %s", device->target);
	return dev_node(dir, slash + 1, st.st_mode & (S_IFMT | 0777), st.st_rdev, err);
}

/* Host paths of --device are read here, while the host's /dev can still be seen. */
static int child_devices(const struct launch *launch, struct err *err)
{
	AUTO(fd_close_p) int dev = fd_open_in(launch->root, "/dev", O_PATH | O_DIRECTORY, 0);
	if (dev < 0)
		return err_set(err, -dev, "open /dev");

	int r = dev_links(dev, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < launch->n_devices; i++) {
		r = mount_at(launch->devices[i].fd, launch->root, launch->devices[i].target,
			     MOUNT_TARGET_FILE, MOUNT_TRUST_NONE, err);
		if (r < 0)
			return r;
	}
	if (launch->userns)
		return 0;
	r = dev_nodes(dev, err);
	for (size_t i = 0; r == 0 && i < launch->spec->n_devices; i++)
		r = child_device(launch, &launch->spec->devices[i], err);
	return r;
}

static int child_protect(const struct launch *launch, int null, struct err *err)
{
	AUTO(fd_close_p) int net = launch->spec->system ? system_sysctls(launch, err) : -EBADF;
	int r = net < 0 && net != -EBADF ? net : 0;

	for (size_t i = 0; r == 0 && i < PROTECT_READ_ONLY; i++)
		r = protect_lock(launch->root, protect_read_only[i], err);
	if (r == 0)
		r = system_sysctls_attach(launch, net, err);
	return r < 0 ? r : protect_mask(launch->root, null, err);
}

/* A published port's guest may bind low ports and ping without more capabilities, as Docker arranges. */
static void child_sysctls(const struct launch *launch)
{
	if (launch->spec->network != SPEC_NETWORK_BRIDGE &&
	    launch->spec->network != SPEC_NETWORK_PASST)
		return;
	AUTO(fd_close_p) int ipv4 = fd_open_in(launch->root, "/proc/sys/net/ipv4", O_PATH, 0);
	struct statfs fs;
	/* In anything else these names may be links, and lead out: the host's root is still ours (CVE-2025-52881). */
	if (ipv4 < 0 || fstatfs(ipv4, &fs) < 0 || fs.f_type != PROC_SUPER_MAGIC)
		return;
	(void)file_write(ipv4, "ip_unprivileged_port_start",
			 "0"); /* a convenience, not a promise */
	(void)file_write(ipv4, "ping_group_range", "0 2147483647"); /* likewise */
}

static int child_mounts(const struct launch *launch, struct err *err)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return err_set(err, errno, "make the mount namespace private");

	AUTO(fd_close_p) int null = protect_null(err);
	if (null < 0)
		return null;
	AUTO(fd_close_p) int pivot = open(CHILD_PIVOT, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r = pivot < 0 ? -errno : mount_onto(launch->root, pivot);
	if (r < 0)
		return err_set(err, -r, "mount the root file system");

	for (size_t i = 0; i < ARRAY_SIZE(child_fs); i++) {
		r = child_mount_fs(launch, &child_fs[i], err);
		if (r < 0)
			return r;
	}
	r = child_mount_shm(launch, err);
	if (r < 0)
		return r;
	if (!launch_has_target(launch, "/dev")) {
		r = child_devices(launch, err);
		if (r < 0)
			return r;
	}
	if (launch->spec->system &&
	    ((r = system_mounts(launch, err)) < 0 || (r = system_views_attach(launch, err)) < 0))
		return r;
	for (size_t i = 0; i < launch->n_mounts; i++) {
		const struct launch_mount *m = &launch->mounts[i];
		r = mount_at(m->fd, launch->root, m->target, m->kind, MOUNT_TRUST_NONE, err);
		if (r < 0)
			return r;
	}
	child_sysctls(launch);
	return launch->spec->privileged ? 0 : child_protect(launch, null, err);
}

/* Only the hierarchies that hold a group of ours: in any other the guest would see the host's tree. */
static int child_cgroups(const struct launch *launch, unsigned used, struct err *err)
{
	const uint64_t attrs = CHILD_NOTHING | (launch->spec->privileged ? 0 : MOUNT_ATTR_RDONLY);

	if (unshare(CLONE_NEWCGROUP) < 0)
		return err_set(err, errno, "cgroup namespace");
	if (launch_has_target(launch, "/sys/fs/cgroup") || launch_has_target(launch, "/sys"))
		return 0;
	if (launch->spec->system)
		return system_cgroups(launch, used, attrs, err);
	return cgroupfs_mount(&launch->layout, used, NULL, launch->root, "/sys/fs/cgroup", attrs,
			      err);
}

static int child_pivot(const struct launch *launch, struct err *err)
{
	/* The old root lands on top of the new one; detaching it leaves nothing of the host behind. */
	if (fchdir(launch->root) < 0 || syscall(SYS_pivot_root, ".", ".") < 0)
		return err_set(err, errno, "pivot_root");
	if (umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return err_set(err, errno, "leave the host's file systems");
	if (launch->spec->read_only) {
		int r = mount_attrs(launch->root, false, MOUNT_ATTR_RDONLY, 0);
		if (r < 0)
			return err_set(err, -r, "make the root file system read-only");
	}
	if (sethostname(launch->spec->hostname, strlen(launch->spec->hostname)) < 0)
		return err_set(err, errno, "set host name %s", launch->spec->hostname);
	return 0;
}

static int child_terminal_at(int slave, int root, const char *path, struct err *err)
{
	AUTO(fd_close_p) int copy = mount_clone(slave, "", false, err);

	return copy < 0 ? copy
			: mount_at(copy, root, path, MOUNT_TARGET_FILE, MOUNT_TRUST_NONE, err);
}

static int child_console(const struct launch *launch, int *ret_slave, int *ret_master,
			 struct err *err)
{
	AUTO(fd_close_p) int master = -EBADF;
	AUTO(fd_close_p) int slave = -EBADF;
	int r = process_tty(&launch->spec->tty_size, &master, &slave, err);
	if (r < 0)
		return r;

	AUTO(fd_close_p) int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	r = child_terminal_at(slave, root, "/dev/console", err);
	if (r == 0 && launch->spec->system && sysinit_wants_tty1(launch->init.kind) &&
	    faccessat(root, "dev/" SYSTEM_TTY1, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		r = child_terminal_at(slave, root, "/dev/" SYSTEM_TTY1, err);
	if (r < 0)
		return r;
	*ret_slave = fd_take(&slave);
	*ret_master = fd_take(&master);
	return 0;
}

static int child_user_namespace(struct launch *launch, struct err *err)
{
	if (!launch->userns)
		return 0;
	int r = sync_expect(launch->sync, SYNC_MAPPED, NULL, NULL, err);
	if (r != 0)
		return r < 0 ? r : err_say(err, EPIPE, "the monitor is gone");
	if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
		return err_set(err, errno, "become root of the user namespace");
	return process_tie(err); /* changing ids cleared it */
}

/* Everything up to the moment before privileges go. */
static int child_setup(struct launch *launch, struct process *process, int *ret_slave, int *status,
		       struct err *err)
{
	AUTO(fd_close_p) int master = -EBADF;
	int hierarchies = 0;
	/* Killed from here on, the monitor takes us with it; killed before, it does not say "go". */
	int r = process_tie(err);

	if (r < 0)
		return r;
	r = cgroup_join(launch->joins, launch->n_joins);
	if (r < 0)
		return err_set(err, -r, "join the container's cgroups");
	r = child_user_namespace(launch, err);

	if (r == 0)
		r = child_mounts(launch, err);
	if (r == 0)
		r = sync_expect(launch->sync, SYNC_GO, NULL, &hierarchies, err);
	if (r > 0)
		return err_say(err, EPIPE, "the monitor is gone");
	if (r == 0)
		r = child_cgroups(launch, (unsigned)hierarchies, err);
	if (r == 0 && launch->spec->network == SPEC_NETWORK_NONE)
		r = link_lo_up(err);
	if (r == 0)
		r = child_pivot(launch, err);
	if (r == 0 && launch->spec->tty)
		r = child_console(launch, ret_slave, &master, err);
	if (r == 0)
		r = process_prepare(launch->spec, process, status, err);
	if (r == 0)
		rootless_groups(launch->spec, launch->no_groups, process);
	if (r == 0 && launch->args)
		process->args = launch->args;
	if (r == 0)
		r = process_limits(process, status, err);
	if (r == 0 && launch->spec->tty)
		sync_send_fd(launch->sync, SYNC_TTY, master);
	return r;
}

/* --init: the workload is a child of pid 1, which stays to reap and to pass signals on, and does not return. */
static int child_fork_workload(const struct launch *launch, const struct process *process,
			       struct err *err)
{
	pid_t child = 0;

	if (!launch->spec->init)
		return 0;
	int r = pidone_fork(&child, err);
	if (r == 0 && child > 0)
		r = init_run(child, process, err);
	if (r == 0)
		(void)setsid(); /* a child of a session leader or not: it never is one itself yet */
	return r;
}

_Noreturn void child_main(struct launch *launch)
{
	struct process process = { .seccomp = launch->seccomp, .sync = launch->sync };
	struct err err = { 0 };
	int status = 125;
	int slave = -EBADF;

	(void)umask(0); /* modes below are meant as written; the workload gets 022 */
	int r = child_setup(launch, &process, &slave, &status, &err);
	if (r == 0)
		r = child_fork_workload(launch, &process, &err);
	if (r == 0) {
		(void)umask(0022);
		workload_signals();
		/* An init has its streams there, but leaves the terminal to whoever logs in. */
		const struct guest_io console = { slave, slave, slave };
		r = launch->spec->system ? process_stdio(&console, -EBADF, &err)
					 : process_stdio(&launch->io, slave, &err);
	}
	if (r == 0)
		(void)process_become(&process, &status, &err);
	sync_send_error(launch->sync, status, &err);
	_exit(status);
}
