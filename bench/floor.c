/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The floor: only the system calls that starting and ending such a container cannot do without. No options to merge, no
 * state, no monitor, no log, no JSON: what remains is the kernel's share, and nothing that starts the same
 * container can be faster by more than luck.
 *
 *	floor [-2 DIR] [-1 DIR]... [-s FILTER] LOWER WORK COMMAND [ARG...]
 *	floor -b [-2 DIR] [-1 DIR]... ROOT COMMAND [ARG...]
 *
 * -b is what the bundle asks for that `strata-oci spec` writes: its root file system bound read-only instead of an overlay, its
 * capabilities, paths, limits and devices.
 *
 * LOWER is the image's root file system, WORK a directory on a disk for the upper one; -2 a group's directory to be
 * in the cgroup v2 tree, -1 in a v1 hierarchy, FILTER a compiled seccomp filter of ours.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/core/macros.h"

#define V1_MAX 16

/* Docker's default set: docs.docker.com, "Runtime privilege and Linux capabilities". */
#define CAPS_DEFAULT 0xa80425fbULL

/* What `runc spec` lists: AUDIT_WRITE, KILL, NET_BIND_SERVICE. */
#define CAPS_SPEC 0x20000420ULL

struct floor {
	bool bundle; /* -b */
	const char *v2;
	const char *v1[V1_MAX];
	int v1_tasks[V1_MAX]; /* tasks of each: entering by it takes no global lock */
	int n_v1;
	const char *filter_path;
	struct {
		uint32_t magic, count; /* src/engines/seccomp/seccomp_parts.h */
		struct sock_filter filter[4096];
	} filter;
	const char *lower, *work;
	char upper[4096], inner[4096], merged[4096];
	char **argv;
};

static _Noreturn void fail(const char *what)
{
	(void)fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
	_exit(1);
}

static void must(int r, const char *what)
{
	if (r < 0)
		fail(what);
}

static void write_to(const char *dir, const char *name, const char *text)
{
	char path[4096];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	must(fd, path);
	must((int)write(fd, text, strlen(text)), path);
	(void)close(fd);
}

static void device_rules(const char *dir)
{
	static const char *const allowed[] = { "c *:* m",   "b *:* m",	 "c 1:3 rwm",  "c 1:5 rwm",
					       "c 1:7 rwm", "c 1:8 rwm", "c 1:9 rwm",  "c 5:0 rwm",
					       "c 5:1 rwm", "c 5:2 rwm", "c 136:* rwm" };

	write_to(dir, "devices.deny", "a");
	for (size_t i = 0; i < ARRAY_SIZE(allowed); i++)
		write_to(dir, "devices.allow", allowed[i]);
}

static void cpuset_copy(const char *dir, const char *name)
{
	char path[4096], text[256];

	(void)snprintf(path, sizeof(path), "%s/../%s", dir, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	must(fd, path);
	ssize_t n = read(fd, text, sizeof(text) - 1);
	must((int)n, path);
	text[n] = '\0';
	(void)close(fd);
	write_to(dir, name, text);
}

static void cgroups_make(struct floor *f)
{
	char path[4096];

	if (f->v2 && mkdir(f->v2, 0755) < 0)
		fail(f->v2);
	for (int i = 0; i < f->n_v1; i++) {
		must(mkdir(f->v1[i], 0755), f->v1[i]);
		if (strstr(f->v1[i], "/devices/"))
			device_rules(f->v1[i]);
		if (strstr(f->v1[i], "/cpuset/")) { /* a group without both holds nobody */
			cpuset_copy(f->v1[i], "cpuset.cpus");
			cpuset_copy(f->v1[i], "cpuset.mems");
		}
		(void)snprintf(path, sizeof(path), "%s/tasks", f->v1[i]);
		f->v1_tasks[i] = open(path, O_WRONLY | O_CLOEXEC);
		must(f->v1_tasks[i], path);
	}
}

/* The kernel gives a group back a moment after its last process was reaped. */
static void cgroup_remove(const char *dir)
{
	while (rmdir(dir) < 0) {
		if (errno != EBUSY)
			fail(dir);
		(void)usleep(50);
	}
}

static void at(char ret[4096], const char *dir, const char *name)
{
	int n = snprintf(ret, 4096, "%s/%s", dir, name);

	if (n < 0 || n >= 4096) {
		errno = ENAMETOOLONG;
		fail(dir);
	}
}

static void mount_at(const char *root, const char *where, const char *type, unsigned long flags,
		     const char *data)
{
	char path[4096];

	at(path, root, where);
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		fail(path);
	must(mount(type, path, type, flags, data), path);
}

static void root_mount(const struct floor *f)
{
	char data[16384];

	must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "make mounts private");
	if (f->bundle) {
		must(mount(f->lower, f->merged, NULL, MS_BIND | MS_REC, NULL), "root");
		return;
	}
	(void)snprintf(data, sizeof(data), "lowerdir=%s,upperdir=%s,workdir=%s,volatile", f->lower,
		       f->upper, f->inner);
	must(mount("overlay", f->merged, "overlay", 0, data), "overlay");
}

static void devices_make(const char *root)
{
	static const struct {
		const char *name;
		unsigned major, minor;
	} nodes[] = { { "dev/null", 1, 3 },   { "dev/zero", 1, 5 },    { "dev/full", 1, 7 },
		      { "dev/random", 1, 8 }, { "dev/urandom", 1, 9 }, { "dev/tty", 5, 0 } };
	static const char *const links[][2] = { { "/proc/self/fd", "dev/fd" },
						{ "/proc/self/fd/0", "dev/stdin" },
						{ "/proc/self/fd/1", "dev/stdout" },
						{ "/proc/self/fd/2", "dev/stderr" },
						{ "pts/ptmx", "dev/ptmx" } };
	char path[4096];

	for (size_t i = 0; i < ARRAY_SIZE(nodes); i++) {
		at(path, root, nodes[i].name);
		must(mknod(path, S_IFCHR | 0666, makedev(nodes[i].major, nodes[i].minor)), path);
	}
	for (size_t i = 0; i < ARRAY_SIZE(links); i++) {
		at(path, root, links[i][1]);
		must(symlink(links[i][0], path), path);
	}
}

/* Docker's lists: moby, oci/defaults.go. What this kernel lacks needs no mask. */
static void proc_mask(const struct floor *f, const char *root)
{
	static const char *const files[] = { "proc/kcore",	   "proc/keys",
					     "proc/latency_stats", "proc/timer_list",
					     "proc/timer_stats",   "proc/sched_debug",
					     "proc/interrupts" };
	static const char *const dirs[] = { "proc/acpi", "proc/asound", "proc/scsi", "sys/firmware",
					    "sys/devices/virtual/powercap" };
	static const char *const read_only[] = { "proc/bus", "proc/fs", "proc/irq", "proc/sys",
						 "proc/sysrq-trigger" };
	char path[4096], null[4096];

	at(null, root, "dev/null");
	/* The last of each list are Docker's only. */
	for (size_t i = 0; i < ARRAY_SIZE(files) - f->bundle; i++) {
		at(path, root, files[i]);
		if (mount(null, path, NULL, MS_BIND, NULL) < 0 && errno != ENOENT)
			fail(path);
	}
	for (size_t i = 0; i < ARRAY_SIZE(dirs) - f->bundle; i++) {
		at(path, root, dirs[i]);
		if (mount("tmpfs", path, "tmpfs", MS_RDONLY, "size=0k") < 0 && errno != ENOENT)
			fail(path);
	}
	for (size_t i = 0; i < ARRAY_SIZE(read_only); i++) {
		at(path, root, read_only[i]);
		if (mount(path, path, NULL, MS_BIND | MS_REC, NULL) < 0) {
			if (errno != ENOENT)
				fail(path);
			continue;
		}
		must(mount(NULL, path, NULL,
			   MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
			   NULL),
		     path);
	}
}

static void cgroups_mount(const struct floor *f)
{
	unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY;
	char where[4096];

	if (!f->n_v1) {
		mount_at(f->merged, "sys/fs/cgroup", "cgroup2", flags, NULL);
		return;
	}
	mount_at(f->merged, "sys/fs/cgroup", "tmpfs", flags & ~(unsigned long)MS_RDONLY,
		 "mode=755");
	for (int i = 0; i < f->n_v1; i++) {
		/* .../cgroup/CONTROLLER/strata/NAME: the mount's directory bears the controller's name */
		const char *name = strstr(f->v1[i], "/cgroup/");
		if (!name)
			continue;
		name += strlen("/cgroup/");
		char controller[64];
		(void)snprintf(controller, sizeof(controller), "%.*s", (int)strcspn(name, "/"),
			       name);
		(void)snprintf(where, sizeof(where), "sys/fs/cgroup/%s", controller);
		char path[4096];
		at(path, f->merged, where);
		must(mkdir(path, 0755), path);
		must(mount("cgroup", path, "cgroup", flags, controller), path);
	}
	if (f->v2)
		mount_at(f->merged, "sys/fs/cgroup/unified", "cgroup2", flags, NULL);
}

static void file_systems_mount(const struct floor *f)
{
	const char *root = f->merged;
	unsigned long safe = MS_NOSUID | MS_NODEV | MS_NOEXEC;

	mount_at(root, "proc", "proc", safe, NULL);
	mount_at(root, "dev", "tmpfs", MS_NOSUID | MS_STRICTATIME, "mode=755,size=65536k");
	mount_at(root, "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC,
		 "newinstance,ptmxmode=0666,mode=0620,gid=5");
	mount_at(root, "dev/shm", "tmpfs", safe, "mode=1777,size=65536k");
	mount_at(root, "dev/mqueue", "mqueue", safe, NULL);
	mount_at(root, "sys", "sysfs", safe | MS_RDONLY, NULL);
	cgroups_mount(f);
	devices_make(root);
	proc_mask(f, root);
}

static void root_enter(const char *root)
{
	must(chdir(root), root);
	must((int)syscall(SYS_pivot_root, ".", "."), "pivot_root");
	must(umount2(".", MNT_DETACH), "umount old root");
	must(chdir("/"), "/");
}

static void loopback_up(void)
{
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	must(fd, "socket");
	must(ioctl(fd, SIOCSIFFLAGS, &ifr), "lo up");
	(void)close(fd);
}

static void rights_drop(const struct floor *f)
{
	const uint64_t caps = f->bundle ? CAPS_SPEC : CAPS_DEFAULT;
	const struct rlimit files = { 1024, 1024 };
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { { .effective = (uint32_t)caps,
						    .permitted = (uint32_t)caps } };

	if (f->bundle)
		must(setrlimit(RLIMIT_NOFILE, &files), "limit of files");
	for (unsigned long cap = 0; cap <= CAP_LAST_CAP; cap++) {
		if (!(caps >> cap & 1) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0 &&
		    errno != EINVAL)
			fail("drop a capability");
	}
	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
	must((int)syscall(SYS_capset, &head, data), "capset");
}

static void filter_read(struct floor *f)
{
	int fd = open(f->filter_path, O_RDONLY | O_CLOEXEC);
	must(fd, f->filter_path);
	must((int)read(fd, &f->filter, sizeof(f->filter)), f->filter_path);
	(void)close(fd);
}

static _Noreturn void child(struct floor *f)
{
	for (int i = 0; i < f->n_v1; i++)
		must((int)write(f->v1_tasks[i], "0", 1), f->v1[i]);
	/* After the groups: the namespace's root is where its maker is. */
	must(unshare(CLONE_NEWCGROUP), "cgroup namespace");
	must(setsid(), "setsid");
	root_mount(f);
	file_systems_mount(f);
	loopback_up();
	must(sethostname("floor", 5), "host name");
	root_enter(f->merged);
	if (f->bundle)
		must(mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL),
		     "read-only root");
	rights_drop(f);
	if (f->filter.count) {
		struct sock_fprog prog = { .len = (unsigned short)f->filter.count,
					   .filter = f->filter.filter };
		must((int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog), "seccomp");
	}
	execv(f->argv[0], f->argv);
	fail(f->argv[0]);
}

static void work_make(struct floor *f)
{
	if (f->bundle) {
		(void)snprintf(f->merged, sizeof(f->merged), "%s", "/usr"); /* any directory */
		return;
	}
	at(f->upper, f->work, "upper");
	at(f->inner, f->work, "inner");
	at(f->merged, f->work, "merged");
	must(mkdir(f->work, 0700), f->work);
	must(mkdir(f->upper, 0755), f->upper);
	must(mkdir(f->inner, 0700), f->inner);
	must(mkdir(f->merged, 0700), f->merged);
}

static void work_remove(const struct floor *f)
{
	/* overlayfs's own */
	static const char *const left[] = { "work/incompat/volatile/dirty",
					    "work/incompat/volatile", "work/incompat", "work" };
	char path[4096];

	if (f->bundle)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(left); i++) {
		at(path, f->inner, left[i]);
		must(remove(path), path);
	}
	must(rmdir(f->inner), f->inner);
	must(rmdir(f->upper), f->upper);
	must(rmdir(f->merged), f->merged);
	must(rmdir(f->work), f->work);
}

static pid_t start(struct floor *f)
{
	struct clone_args args = {
		.flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS,
		.exit_signal = SIGCHLD,
	};

	if (f->v2) {
		int fd = open(f->v2, O_PATH | O_DIRECTORY | O_CLOEXEC);
		must(fd, f->v2);
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)(unsigned)fd;
	}
	long pid = syscall(SYS_clone3, &args, sizeof(args));
	must((int)pid, "clone3");
	if (pid == 0)
		child(f);
	return (pid_t)pid;
}

int main(int argc, char **argv)
{
	static struct floor f; /* too large for a stack */
	int opt;

	while ((opt = getopt(argc, argv, "+1:2:bs:")) != -1) {
		if (opt == 'b')
			f.bundle = true;
		else if (opt == '1' && f.n_v1 < V1_MAX)
			f.v1[f.n_v1++] = optarg;
		else if (opt == '2')
			f.v2 = optarg;
		else if (opt == 's')
			f.filter_path = optarg;
		else
			return 2;
	}
	if (argc - optind < 3 - f.bundle) {
		(void)fprintf(stderr, "usage: floor [-2 DIR] [-1 DIR]... [-s FILTER] LOWER WORK "
				      "COMMAND [ARG...]\n");
		return 2;
	}
	f.lower = argv[optind];
	f.work = argv[optind + 1]; /* -b: not used */
	f.argv = argv + optind + 2 - f.bundle;

	if (f.filter_path)
		filter_read(&f);
	cgroups_make(&f);
	work_make(&f);
	pid_t pid = start(&f);
	int status = 0;
	if (waitpid(pid, &status, 0) != pid)
		fail("wait");
	work_remove(&f);
	if (f.v2)
		cgroup_remove(f.v2);
	for (int i = 0; i < f.n_v1; i++)
		cgroup_remove(f.v1[i]);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
