/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/cgroup/instance.h"

#include <errno.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/os/file.h"

int cgroup_instance_path(const char *parent, const char *id, char ret[256], struct err *err)
{
	int n = snprintf(ret, 256, "%s%sstrata-%s", parent, parent[0] ? "/" : "", id);

	return n < 0 || n >= 256 ? err_say(err, ENAMETOOLONG, "cgroup parent %s: too long", parent)
				 : 0;
}

/*
 * Born into its v2 group a process need not be moved there, which would lock the machine's forks out for
 * milliseconds. Before Linux 5.7, and where the group is a threaded one, it is moved all the same.
 */
long cgroup_clone_into(struct clone_args *args, int cgroup_fd, bool *ret_into)
{
	*ret_into = cgroup_fd >= 0;
	if (cgroup_fd >= 0) {
		args->flags |= CLONE_INTO_CGROUP;
		args->cgroup = (uint64_t)(unsigned)cgroup_fd;
	}
	long pid = syscall(SYS_clone3, args, sizeof(*args));
	if (pid >= 0 || cgroup_fd < 0)
		return pid;
	args->flags &= ~CLONE_INTO_CGROUP;
	args->cgroup = 0;
	*ret_into = false;
	return syscall(SYS_clone3, args, sizeof(*args));
}

int cgroup_instance_move(const struct cgroup *cgroup, pid_t pid, struct err *err)
{
	char text[16];
	int fd = cgroup_v2_fd(cgroup);

	if (fd < 0)
		return 0;
	(void)snprintf(text, sizeof(text), "%d", (int)pid); /* fits */
	int r = file_write(fd, "cgroup.procs", text);
	return r < 0 ? err_set(err, -r, "move the instance into its cgroup") : 0;
}

static int cgroup_instance_open(const struct spec *spec, struct cgroup_layout *layout,
				struct cgroup *ret, struct err *err)
{
	char path[256];
	int r = cgroup_instance_path(spec->cgroup_parent, spec->id, path, err);

	if (r == 0)
		r = cgroup_layout_read(NULL, layout, err);
	if (r == 0)
		(void)cgroup_layout_user(layout, spec->cgroup_parent); /* root's stays */
	return r < 0 ? r : cgroup_open(layout, path, ret, err);
}

int cgroup_instance_freeze(const struct spec *spec, pid_t pid, bool frozen, struct err *err)
{
	struct cgroup_layout layout;
	struct cgroup cgroup;

	(void)pid;
	int r = cgroup_instance_open(spec, &layout, &cgroup, err);

	if (r < 0)
		return r;
	r = cgroup_freeze(&cgroup, frozen, err);
	cgroup_close(&cgroup);
	return r;
}

int cgroup_instance_stats(const struct spec *spec, struct guest_stats *ret, struct err *err)
{
	struct cgroup_layout layout;
	struct cgroup cgroup;
	struct cgroup_stats cg = { 0 };
	int r = cgroup_instance_open(spec, &layout, &cgroup, err);

	if (r < 0)
		return r;
	r = cgroup_stats_read(&cgroup, &cg, err);
	cgroup_close(&cgroup);
	if (r < 0)
		return r;
	*ret = (struct guest_stats){
		.cpu_ns = cg.cpu_ns,
		.memory_bytes = cg.memory_bytes,
		.memory_limit_bytes = cg.memory_limit_bytes,
		.pids = cg.pids,
		.pids_limit = cg.pids_limit,
		.io_read_bytes = cg.io_read_bytes,
		.io_write_bytes = cg.io_write_bytes,
	};
	return 0;
}

int cgroup_instance_update(const struct spec *spec, const struct spec_limits *change,
			   struct err *err)
{
	struct cgroup_layout layout;
	struct cgroup cgroup;
	int r = cgroup_instance_open(spec, &layout, &cgroup, err);

	if (r < 0)
		return r;
	r = cgroup_update(&cgroup, change, err);
	cgroup_close(&cgroup);
	return r;
}

int cgroup_instance_processes(const struct spec *spec, pid_t pid, pid_t **ret, size_t *ret_n,
			      struct err *err)
{
	struct cgroup_layout layout;
	struct cgroup cgroup;

	(void)pid;
	int r = cgroup_instance_open(spec, &layout, &cgroup, err);

	if (r < 0)
		return r;
	r = cgroup_pids(&cgroup, ret, ret_n, err);
	cgroup_close(&cgroup);
	return r;
}

int cgroup_instance_sweep(const char *id, const char *cgroup_parent, pid_t pid, struct err *err)
{
	struct cgroup_layout layout;
	char path[256];

	(void)pid;
	int r = cgroup_instance_path(cgroup_parent, id, path, err);

	if (r == 0)
		r = cgroup_layout_read(NULL, &layout, err);
	if (r == 0 && !cgroup_layout_user(&layout, cgroup_parent))
		cgroup_layout_use_all(&layout);
	return r < 0 ? r : cgroup_destroy(&layout, path, err);
}
