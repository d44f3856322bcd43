/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The real kernel of this host: as it is mounted, and forced to v1 alone and v2 alone through a mountinfo that
 * lists only those lines. Each test uses a group of its own below strata-test-PID.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/os/fd.h"
#include "base/os/file.h"
#include "engines/cgroup/private.h"

enum kind { AS_MOUNTED, ONLY_V1, ONLY_V2 };

struct fixture {
	struct cgroup_layout layout;
	char path[64], parent[40];
	pid_t child; /* 0: none */
	int to_child;
};

static bool line_is_wanted(const char *line, enum kind kind)
{
	bool v2 = strstr(line, " - cgroup2 ") != NULL;

	return kind == AS_MOUNTED || v2 == (kind == ONLY_V2);
}

static void layout_of(enum kind kind, struct cgroup_layout *ret)
{
	AUTO(buf_fini) struct buf all = { 0 };
	AUTO(buf_fini) struct buf some = { 0 };
	char path[] = "/tmp/cgroup-test-XXXXXX";
	struct err err = { 0 };
	char *save = NULL;

	assert_int_equal(file_read(AT_FDCWD, "/proc/self/mountinfo", 1 << 24, &all), 0);
	for (char *l = strtok_r(all.data, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
		if (line_is_wanted(l, kind))
			assert_int_equal(buf_printf(&some, "%s\n", l), 0);
	}
	int fd = mkostemp(path, O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, buf_str(&some), some.len), 0);
	fd_close(fd);
	int r = cgroup_layout_read(path, ret, &err);
	(void)unlink(path);
	if (r < 0)
		fail_msg("%s", err.text);
}

static void skip_unless(bool can, const char *why)
{
	if (can)
		return;
	print_message("skipped: %s\n", why);
	skip();
}

static void setup(struct fixture *f, enum kind kind)
{
	skip_unless(geteuid() == 0, "needs root");
	*f = (struct fixture){ .to_child = -EBADF };
	layout_of(kind, &f->layout);
	skip_unless(f->layout.n > 0, "no such cgroup hierarchy is mounted on this host");
	(void)snprintf(f->parent, sizeof(f->parent), "strata-test-%d", (int)getpid());
	(void)snprintf(f->path, sizeof(f->path), "%s/one", f->parent);
}

static void fixture_fini(struct fixture *f)
{
	struct err err = { 0 };

	if (!f->path[0])
		return;
	fd_close(f->to_child);
	if (f->child) {
		(void)kill(f->child, SIGKILL);
		(void)waitpid(f->child, NULL, 0);
	}
	if (cgroup_destroy(&f->layout, f->path, &err) < 0 ||
	    cgroup_destroy(&f->layout, f->parent, &err) < 0)
		print_message("not cleaned up: %s\n", err.text);
}

static void create(const struct fixture *f, const struct spec_limits *limits, bool all_devices,
		   struct cgroup *ret)
{
	struct err err = { 0 };

	if (cgroup_create(&f->layout, f->path, limits, NULL, 0, all_devices, ret, &err) < 0)
		fail_msg("%s", err.text);
}

/* A child in the group that has done `work` before it waits; it ends when to_child is closed. */
static void child_in(struct fixture *f, const struct cgroup *cgroup, int (*work)(void))
{
	int go[2], done[2];

	assert_int_equal(pipe2(go, O_CLOEXEC), 0);
	assert_int_equal(pipe2(done, O_CLOEXEC), 0);
	f->child = fork();
	assert_true(f->child >= 0);
	if (!f->child) {
		close(go[1]);
		int r = cgroup_attach(cgroup, 0, false, NULL);
		if (r == 0 && work)
			r = work();
		char c = (char)-r;
		(void)!write(done[1], &c, 1);
		(void)!read(go[0], &c, 1);
		_exit(0);
	}
	f->to_child = go[1];
	fd_close(go[0]);
	fd_close(done[1]);
	char c = 127;
	assert_int_equal(read(done[0], &c, 1), 1);
	fd_close(done[0]);
	assert_int_equal(c, 0);
}

static void life_cycle(enum kind kind)
{
	AUTO(fixture_fini) struct fixture f = { 0 };
	struct spec_limits none = { 0 };
	struct cgroup_stats stats;
	struct err err = { 0 };
	pid_t *pids = NULL;
	size_t n = 0;
	char full[300];

	setup(&f, kind);
	AUTO(cgroup_close) struct cgroup g = { 0 }, again = { 0 };
	create(&f, &none, kind == ONLY_V1 && cgroup_find(&f.layout, CGROUP_DEVICES) < 0, &g);
	child_in(&f, &g, NULL);

	assert_int_equal(cgroup_pids(&g, &pids, &n, &err), 0);
	assert_int_equal(n, 1);
	assert_int_equal(pids[0], f.child);
	free(pids);
	assert_int_equal(cgroup_create(&f.layout, f.path, &none, NULL, 0, false, &again, &err),
			 -EEXIST);

	assert_int_equal(cgroup_stats_read(&g, &stats, &err), 0);
	assert_int_equal(stats.pids, 1);
	assert_int_equal(stats.memory_limit_bytes, 0);

	assert_int_equal(cgroup_is_frozen(&g), 0);
	assert_int_equal(cgroup_freeze(&g, true, &err), 0);
	assert_int_equal(cgroup_is_frozen(&g), 1);
	assert_int_equal(cgroup_freeze(&g, false, &err), 0);
	assert_int_equal(cgroup_is_frozen(&g), 0);

	assert_int_equal(cgroup_open(&f.layout, f.path, &again, &err), 0);
	assert_int_equal(cgroup_main(&again), cgroup_main(&g));
	assert_int_equal(cgroup_freeze(&g, true, &err), 0);
	assert_int_equal(cgroup_kill(&g, &err), 0);
	int status;
	assert_int_equal(waitpid(f.child, &status, 0), f.child);
	assert_true(WIFSIGNALED(status));
	f.child = 0;
	if (cgroup_destroy(&f.layout, f.path, &err) < 0)
		fail_msg("%s", err.text);
	for (unsigned i = 0; i < f.layout.n; i++) {
		assert_int_equal(
			cgroup_full_path(&f.layout.hierarchies[i], f.path, full, sizeof(full)), 0);
		assert_int_equal(access(full, F_OK), -1);
	}
	assert_int_equal(cgroup_destroy(&f.layout, f.path, &err), 0);
	cgroup_close(&again);
	assert_int_equal(cgroup_open(&f.layout, f.path, &again, &err), -ENOENT);
}

static void life_as_mounted(void **state)
{
	(void)state;
	life_cycle(AS_MOUNTED);
}

static void life_on_v1(void **state)
{
	(void)state;
	life_cycle(ONLY_V1);
}

static void life_on_v2(void **state)
{
	(void)state;
	life_cycle(ONLY_V2);
}

static void read_limit(const struct cgroup *g, enum cgroup_controller controller, const char *v1,
		       const char *v2, char ret[64])
{
	int h = cgroup_find(g->layout, controller);

	assert_true(h >= 0 && g->fds[h] >= 0);
	const char *file = g->layout->hierarchies[h].v2 ? v2 : v1;
	assert_true(cgroup_read(g->fds[h], file, ret, 64) >= 0);
	ret[strcspn(ret, "\n")] = '\0';
}

static void limits_are_set_and_updated(void **state)
{
	AUTO(fixture_fini) struct fixture f = { 0 };
	struct spec_limits limits = { .memory_bytes = 64 << 20,
				      .memory_reservation_bytes = 32 << 20,
				      .cpu_quota_us = 50000,
				      .cpu_shares = 512,
				      .cpuset = "0",
				      .pids = 20 };
	struct cgroup_stats stats;
	struct err err = { 0 };
	char text[64];

	(void)state;
	setup(&f, AS_MOUNTED);
	skip_unless(cgroup_limits_check(&f.layout, &limits, &err) == 0, err.text);
	AUTO(cgroup_close) struct cgroup g = { 0 };
	create(&f, &limits, false, &g);
	child_in(&f, &g, NULL);
	assert_int_equal(cgroup_stats_read(&g, &stats, &err), 0);
	assert_int_equal(stats.memory_limit_bytes, 64 << 20);
	assert_int_equal(stats.pids_limit, 20);
	read_limit(&g, CGROUP_CPU, "cpu.cfs_quota_us", "cpu.max", text);
	assert_memory_equal(text, "50000", 5);
	read_limit(&g, CGROUP_CPU, "cpu.shares", "cpu.weight", text);
	assert_true(!strcmp(text, "512") || !strcmp(text, "50"));
	read_limit(&g, CGROUP_CPUSET, "cpuset.cpus", "cpuset.cpus", text);
	assert_string_equal(text, "0");

	/* up past the old total of memory and swap, then down again */
	struct spec_limits more = { .memory_bytes = 512 << 20 };
	if (cgroup_update(&g, &more, &err) < 0)
		fail_msg("%s", err.text);
	more.memory_bytes = 32 << 20;
	more.memory_swap_bytes = 48 << 20;
	if (cgroup_update(&g, &more, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(cgroup_stats_read(&g, &stats, &err), 0);
	assert_int_equal(stats.memory_limit_bytes, 32 << 20);
	assert_int_equal(stats.pids_limit, 20);

	struct spec_limits quota = { .cpu_quota_us = 1000, .cpu_period_us = 1000 };
	if (cgroup_update(&g, &quota, &err) < 0)
		fail_msg("%s", err.text);
	struct spec_limits bad = { .cpuset = "999" };
	assert_int_equal(cgroup_update(&g, &bad, &err), -EINVAL);
	assert_non_null(strstr(err.text, "this host gives CPUs"));
}

static void update_joins_what_was_not_needed(void **state)
{
	AUTO(fixture_fini) struct fixture f = { 0 };
	struct spec_limits none = { 0 }, pids = { .pids = 33, .cpu_quota_us = 20000 };
	struct cgroup_stats stats;
	struct err err = { 0 };

	(void)state;
	setup(&f, AS_MOUNTED);
	skip_unless(cgroup_limits_check(&f.layout, &pids, &err) == 0, err.text);
	AUTO(cgroup_close) struct cgroup g = { 0 }, after = { 0 };
	create(&f, &none, false, &g);
	child_in(&f, &g, NULL);
	if (cgroup_update(&g, &pids, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(cgroup_open(&f.layout, f.path, &after, &err), 0);
	assert_int_equal(cgroup_stats_read(&after, &stats, &err), 0);
	assert_int_equal(stats.pids_limit, 33);
	assert_int_equal(stats.pids, 1);
}

static void limit_without_controller_is_named(void **state)
{
	AUTO(fixture_fini) struct fixture f = { 0 };
	struct spec_limits limits = { .pids = 5 };
	struct err err = { 0 };

	(void)state;
	setup(&f, ONLY_V2);
	skip_unless(cgroup_find(&f.layout, CGROUP_PIDS) < 0, "v2 holds the pids controller here");
	struct cgroup g;
	assert_int_equal(cgroup_create(&f.layout, f.path, &limits, NULL, 0, false, &g, &err),
			 -ENOTSUP);
	assert_non_null(strstr(err.text, "limit pids: the cgroup controller 'pids'"));
}

static void bad_paths_are_refused(void **state)
{
	static const char *const paths[] = {
		"", "/a", "a//b", "a/", "../a", "a/../b", "a/.", "a\nb"
	};
	AUTO(fixture_fini) struct fixture f = { 0 };
	struct spec_limits none = { 0 };
	struct cgroup g;

	(void)state;
	setup(&f, AS_MOUNTED);
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		assert_int_equal(cgroup_create(&f.layout, paths[i], &none, NULL, 0, true, &g, NULL),
				 -EINVAL);
	assert_int_equal(cgroup_destroy(&f.layout, "../x", NULL), -EINVAL);
}

static void failed_create_leaves_nothing(void **state)
{
	AUTO(fixture_fini) struct fixture f = { 0 };
	struct spec_limits none = { 0 };
	struct spec_device device = { .source = "/etc/passwd", .permissions = "rwm" };
	struct err err = { 0 };
	struct cgroup g;

	(void)state;
	setup(&f, AS_MOUNTED);
	assert_int_equal(cgroup_create(&f.layout, f.path, &none, &device, 1, false, &g, &err),
			 -EINVAL);
	assert_string_equal(err.text, "device /etc/passwd: it is not a device file");
	assert_int_equal(cgroup_open(&f.layout, f.path, &g, &err), -ENOENT);
}

static void stale_empty_group_is_replaced(void **state)
{
	AUTO(fixture_fini) struct fixture f = { 0 };
	struct spec_limits limits = { .memory_bytes = 64 << 20 }, none = { 0 };
	struct cgroup_stats stats;
	struct err err = { 0 };

	(void)state;
	setup(&f, AS_MOUNTED);
	skip_unless(cgroup_find(&f.layout, CGROUP_MEMORY) >= 0, "no memory controller");
	AUTO(cgroup_close) struct cgroup old = { 0 }, g = { 0 };
	create(&f, &limits, true, &old);
	create(&f, &none, true, &g);
	assert_int_equal(cgroup_stats_read(&g, &stats, &err), 0);
	assert_int_equal(stats.memory_limit_bytes, 0);
}

/* Every default device opens, full of rules or not; a block device and an unlisted character device do not. */
static int try_devices(void)
{
	char path[64];
	int r = 0;

	(void)snprintf(path, sizeof(path), "/dev/shm/strata-test-%d", (int)getpid());
	if (mknod(path, S_IFBLK | 0600, makedev(7, 200)) < 0)
		return -errno; /* making it is allowed */
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 || errno != EPERM)
		r = -100;
	fd_close(fd);
	(void)unlink(path);
	fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		r = -101;
	fd_close(fd);
	fd = open("/dev/kmsg", O_RDONLY | O_CLOEXEC);
	if (fd >= 0 || (errno != EPERM && errno != ENOENT))
		r = -102;
	fd_close(fd);
	return r;
}

static void devices_are_kept_away(enum kind kind)
{
	AUTO(fixture_fini) struct fixture f = { 0 };
	struct spec_limits none = { 0 };

	setup(&f, kind);
	skip_unless(kind == ONLY_V2 || cgroup_find(&f.layout, CGROUP_DEVICES) >= 0,
		    "no v1 devices controller");
	AUTO(cgroup_close) struct cgroup g = { 0 };
	create(&f, &none, false, &g);
	child_in(&f, &g, try_devices);
}

static void devices_by_v1(void **state)
{
	(void)state;
	devices_are_kept_away(ONLY_V1);
}

static void devices_by_bpf(void **state)
{
	(void)state;
	devices_are_kept_away(ONLY_V2);
}

static int open_kmsg(void)
{
	AUTO(fd_close_p) int fd = open("/dev/kmsg", O_RDONLY | O_CLOEXEC);
	AUTO(fd_close_p) int rw = open("/dev/kmsg", O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : rw >= 0 ? -100 : 0;
}

static void extra_device(enum kind kind)
{
	AUTO(fixture_fini) struct fixture f = { 0 };
	struct spec_limits none = { 0 };
	struct spec_device kmsg = { .source = "/dev/kmsg", .permissions = "r" };
	struct err err = { 0 };

	setup(&f, kind);
	skip_unless(open_kmsg() != -ENOENT, "no /dev/kmsg here");
	AUTO(cgroup_close) struct cgroup g = { 0 };
	if (cgroup_create(&f.layout, f.path, &none, &kmsg, 1, false, &g, &err) < 0)
		fail_msg("%s", err.text);
	child_in(&f, &g, open_kmsg);
}

static void extra_device_as_mounted(void **state)
{
	(void)state;
	extra_device(AS_MOUNTED);
}

static void extra_device_by_bpf(void **state)
{
	(void)state;
	extra_device(ONLY_V2);
}

/* As an init inside would: groups in the group, with processes at the bottom. */
static void groups_of_the_workload_go_too(enum kind kind)
{
	AUTO(fixture_fini) struct fixture f = { 0 };
	struct spec_limits none = { 0 };
	struct err err = { 0 };
	char dir[300], pid[16];

	setup(&f, kind);
	AUTO(cgroup_close) struct cgroup g = { 0 };
	create(&f, &none, kind == ONLY_V1, &g);
	child_in(&f, &g, NULL);
	int at = g.fds[cgroup_main(&g)];
	assert_int_equal(mkdirat(at, "a", 0755), 0);
	assert_int_equal(mkdirat(at, "b", 0755), 0);
	assert_int_equal(mkdirat(at, "a/c", 0755), 0);
	assert_int_equal(mkdirat(at, "a/c/d", 0755), 0);
	assert_int_equal(mkdirat(at, "a/e", 0755), 0);
	(void)snprintf(pid, sizeof(pid), "%d", (int)f.child);
	assert_int_equal(file_write(at, "a/c/d/cgroup.procs", pid), 0);
	assert_int_equal(
		cgroup_full_path(&f.layout.hierarchies[cgroup_main(&g)], f.path, dir, sizeof(dir)),
		0);
	struct cgroup again;
	assert_int_equal(cgroup_create(&f.layout, f.path, &none, NULL, 0, true, &again, &err),
			 -EEXIST);
	if (cgroup_destroy(&f.layout, f.path, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(access(dir, F_OK), -1);
	int status;
	assert_int_equal(waitpid(f.child, &status, 0), f.child);
	f.child = 0;
}

static void child_groups_v1(void **state)
{
	(void)state;
	groups_of_the_workload_go_too(ONLY_V1);
}

static void child_groups_v2(void **state)
{
	(void)state;
	groups_of_the_workload_go_too(ONLY_V2);
}

static void deep_tree_is_removed(void **state)
{
	AUTO(fixture_fini) struct fixture f = { 0 };
	struct spec_limits none = { 0 };
	struct err err = { 0 };

	(void)state;
	setup(&f, ONLY_V2);
	AUTO(cgroup_close) struct cgroup g = { 0 };
	create(&f, &none, true, &g);
	int at = openat(g.fds[cgroup_main(&g)], ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; i < 300 && at >= 0; i++) {
		if (mkdirat(at, "d", 0755) < 0)
			break; /* cgroup.max.depth */
		int next = openat(at, "d", O_PATH | O_DIRECTORY | O_CLOEXEC);
		fd_close(at);
		at = next;
	}
	fd_close(at);
	if (cgroup_destroy(&f.layout, f.path, &err) < 0)
		fail_msg("%s", err.text);
}

/* Forks as fast as it may; whoever kills it must not lose a child between looking and killing. */
static int fork_on(void)
{
	for (int i = 0; i < 12; i++) {
		if (fork() == 0) {
			for (;;) {
				pid_t p = fork();
				if (p == 0)
					_exit(0);
				(void)waitpid(p, NULL, 0);
			}
		}
	}
	return 0;
}

static void kill_forkers(enum kind kind)
{
	AUTO(fixture_fini) struct fixture f = { 0 };
	struct spec_limits none = { 0 };
	struct err err = { 0 };
	pid_t *pids = NULL;
	size_t n = 1;

	setup(&f, kind);
	AUTO(cgroup_close) struct cgroup g = { 0 };
	create(&f, &none, true, &g);
	child_in(&f, &g, fork_on);
	if (cgroup_kill(&g, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(cgroup_pids(&g, &pids, &n, &err), 0);
	free(pids);
	assert_int_equal(n, 0);
}

static void kill_forkers_v1(void **state)
{
	(void)state;
	kill_forkers(ONLY_V1);
}

static void kill_forkers_v2(void **state)
{
	(void)state;
	kill_forkers(ONLY_V2);
}

static void oom_kill_is_counted(void **state)
{
	AUTO(fixture_fini) struct fixture f = { 0 };
	struct spec_limits limits = { .memory_bytes = 8 << 20, .memory_swap_bytes = 8 << 20 };
	struct cgroup_stats stats;
	struct err err = { 0 };

	(void)state;
	setup(&f, AS_MOUNTED);
	skip_unless(cgroup_limits_check(&f.layout, &limits, &err) == 0, err.text);
	AUTO(cgroup_close) struct cgroup g = { 0 };
	if (cgroup_create(&f.layout, f.path, &limits, NULL, 0, true, &g, &err) < 0) {
		skip_unless(err.code != ENOTSUP, err.text);
		fail_msg("%s", err.text);
	}
	f.child = fork();
	assert_true(f.child >= 0);
	if (!f.child) {
		if (cgroup_attach(&g, 0, false, NULL) < 0)
			_exit(3);
		void *p = mmap(NULL, 64 << 20, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
		if (p != MAP_FAILED)
			memset(p, 1, 64 << 20);
		_exit(4);
	}
	int status;
	assert_int_equal(waitpid(f.child, &status, 0), f.child);
	f.child = 0;
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	assert_int_equal(cgroup_stats_read(&g, &stats, &err), 0);
	assert_true(stats.oom_kills >= 1);
	if (f.layout.v2 >= 0)
		assert_true(stats.cpu_ns > 0);
}

static void hidden_mounts_are_left_out(void **state)
{
	char path[] = "/tmp/cgroup-test-XXXXXX";
	struct cgroup_layout layout;

	(void)state;
	int fd = mkostemp(path, O_CLOEXEC);
	assert_true(fd >= 0);
	static const char text[] =
		"50 31 0:9999 / /sys/fs/cgroup rw - cgroup2 cgroup rw\n"
		"51 31 0:9998 / /nonexistent/memory rw - cgroup cgroup rw,memory\n";
	assert_int_equal(fd_write_all(fd, text, sizeof(text) - 1), 0);
	fd_close(fd);
	int r = cgroup_layout_read(path, &layout, NULL);
	(void)unlink(path);
	assert_int_equal(r, 0);
	assert_int_equal(layout.n, 0);
	assert_int_equal(cgroup_layout_read("/nonexistent", &layout, NULL), -ENOENT);
}

/* No hierarchy at all: nothing to limit with, so only what asks for nothing runs, and only without device rules. */
static void a_host_without_cgroups(void **state)
{
	struct cgroup_layout layout;
	struct spec_limits none = { 0 }, some = { .memory_bytes = 8 << 20 };
	struct cgroup_stats stats;
	struct err err = { 0 };

	(void)state;
	assert_int_equal(cgroup_layout_parse("", 0, &layout, NULL), 0);
	AUTO(cgroup_close) struct cgroup g = { 0 };
	assert_int_equal(cgroup_create(&layout, "strata/x", &some, NULL, 0, true, &g, &err),
			 -ENOTSUP);
	assert_int_equal(cgroup_create(&layout, "strata/x", &none, NULL, 0, false, &g, &err),
			 -ENOTSUP);
	assert_non_null(strstr(err.text, "device rules"));
	assert_int_equal(cgroup_create(&layout, "strata/x", &none, NULL, 0, true, &g, &err), 0);
	assert_int_equal(cgroup_attach(&g, 0, false, &err), 0);
	assert_int_equal(cgroup_v2_fd(&g), -EBADF);
	assert_int_equal(cgroup_freeze(&g, true, &err), -ENOTSUP);
	assert_int_equal(cgroup_is_frozen(&g), -ENOTSUP);
	assert_int_equal(cgroup_kill(&g, &err), -ENOTSUP);
	assert_int_equal(cgroup_stats_read(&g, &stats, &err), 0);
	assert_int_equal(cgroup_destroy(&layout, "strata/x", &err), 0);
}

/* The real kernel refuses a controller that belongs to v1: the instance does without, unless a limit needs it. */
static void v2_controller_that_is_refused(void **state)
{
	AUTO(fixture_fini) struct fixture f = { 0 };
	struct spec_limits none = { 0 }, some = { .pids = 9 };
	struct err err = { 0 };

	(void)state;
	setup(&f, ONLY_V2);
	skip_unless(cgroup_find(&f.layout, CGROUP_PIDS) < 0, "v2 holds the pids controller here");
	f.layout.hierarchies[0].controllers = CGROUP_BIT(CGROUP_PIDS);
	struct cgroup g;
	assert_int_equal(cgroup_create(&f.layout, f.path, &some, NULL, 0, true, &g, &err),
			 -ENOTSUP);
	assert_non_null(strstr(err.text, "gives no 'pids' controller"));
	assert_int_equal(cgroup_create(&f.layout, f.path, &none, NULL, 0, true, &g, &err), 0);
	cgroup_close(&g);
}

/* A failed assertion jumps over every clean-up. */
static int sweep(void **state)
{
	struct cgroup_layout layout;
	char parent[40];

	(void)state;
	(void)snprintf(parent, sizeof(parent), "strata-test-%d", (int)getpid()); /* fits */
	if (cgroup_layout_read(NULL, &layout, NULL) < 0)
		return 0;
	return cgroup_destroy(&layout, parent, NULL);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(life_as_mounted),
		cmocka_unit_test(life_on_v1),
		cmocka_unit_test(life_on_v2),
		cmocka_unit_test(limits_are_set_and_updated),
		cmocka_unit_test(update_joins_what_was_not_needed),
		cmocka_unit_test(limit_without_controller_is_named),
		cmocka_unit_test(bad_paths_are_refused),
		cmocka_unit_test(failed_create_leaves_nothing),
		cmocka_unit_test(stale_empty_group_is_replaced),
		cmocka_unit_test(devices_by_v1),
		cmocka_unit_test(devices_by_bpf),
		cmocka_unit_test(extra_device_as_mounted),
		cmocka_unit_test(extra_device_by_bpf),
		cmocka_unit_test(child_groups_v1),
		cmocka_unit_test(child_groups_v2),
		cmocka_unit_test(deep_tree_is_removed),
		cmocka_unit_test(kill_forkers_v1),
		cmocka_unit_test(kill_forkers_v2),
		cmocka_unit_test(oom_kill_is_counted),
		cmocka_unit_test(hidden_mounts_are_left_out),
		cmocka_unit_test(a_host_without_cgroups),
		cmocka_unit_test(v2_controller_that_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, sweep);
}
