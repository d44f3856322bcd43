/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/vmm/guest_share.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>

#include "base/os/fd.h"
#include "engines/cgroup/cgroup.h"
#include "engines/cgroup/instance.h"
#include "engines/oslevel/mount.h"

struct share_work {
	const struct spec *spec;
	const struct cgroup *cgroup;
	const int *joins;
	unsigned n_joins;
	size_t *mounts; /* numbers of those that are shared */
};

static int share_enter(void *arg, struct err *err)
{
	const struct share_work *work = arg;
	int r = cgroup_join(work->joins, work->n_joins);

	return r < 0 ? err_set(err, -r, "join the virtual machine's cgroup") : 0;
}

static int share_born(void *arg, pid_t pid, struct err *err)
{
	return cgroup_instance_move(((const struct share_work *)arg)->cgroup, pid, err);
}

static int share_tree(void *arg, size_t i, char ret_name[VIRTIOFSD_NAME], struct err *err)
{
	const struct share_work *work = arg;
	const struct spec_mount *mount = &work->spec->mounts[work->mounts[i]];
	const bool recursive = mount->type == SPEC_MOUNT_VOLUME || mount->recursive;

	(void)snprintf(ret_name, VIRTIOFSD_NAME, "%zu", work->mounts[i]); /* fits */
	AUTO(fd_close_p) int fd = mount_clone(AT_FDCWD, mount->source, recursive, err);
	if (fd < 0)
		return fd;
	int r = mount->read_only ? mount_attrs(fd, true, MOUNT_ATTR_RDONLY, 0) : 0;
	return r < 0 ? err_set(err, -r, "share %s read-only", mount->source) : fd_take(&fd);
}

int guest_share_start(const struct spec *spec, const struct cgroup *cgroup, const int *joins,
		      unsigned n_joins, struct virtiofsd *ret, int *ret_socket, struct err *err)
{
	struct share_work work = { spec, cgroup, joins, n_joins, NULL };
	struct virtiofsd_plan plan = {
		.tree = share_tree, .enter = share_enter, .born = share_born, .arg = &work
	};

	*ret = (struct virtiofsd)VIRTIOFSD_NONE;
	*ret_socket = -EBADF;
	work.mounts = calloc(spec->n_mounts + 1, sizeof(*work.mounts));
	if (!work.mounts)
		return err_set(err, ENOMEM, "shared folders");
	for (size_t i = 0; i < spec->n_mounts; i++) {
		if (spec_is_share(&spec->mounts[i]))
			work.mounts[plan.n++] = i;
	}
	int r = plan.n ? virtiofsd_start(&plan, ret, ret_socket, err) : 0;
	free(work.mounts);
	return r;
}
