/* SPDX-License-Identifier: Apache-2.0 */
/* What a machine shares with the host: its bundle's root file system, and its binds, each by the name that the spec (vm_spec.c) has for it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>

#include "base/os/fd.h"
#include "engines/oslevel/mount.h"
#include "engines/vmm/virtiofsd.h"
#include "oci/vm.h"

struct share_work {
	const struct bundle *bundle;
	const struct vm_sharing *sharing;
};

static int share_root(const struct bundle *bundle, char ret_name[VIRTIOFSD_NAME], struct err *err)
{
	AUTO(fd_close_p) int fd = mount_clone(AT_FDCWD, bundle->root, true, err);

	(void)snprintf(ret_name, VIRTIOFSD_NAME, "%s", SPEC_SHARE_ROOT); /* fits */
	if (fd < 0)
		return err_wrap(err, "root file system");
	int r = bundle->root_read_only ? mount_attrs(fd, true, MOUNT_ATTR_RDONLY, 0) : 0;
	return r < 0 ? err_set(err, -r, "root file system %s", bundle->root) : fd_take(&fd);
}

/* The i-th that is shared, and its number among the spec's mounts. */
static const struct bundle_mount *share_find(const struct share_work *work, size_t i,
					     size_t *ret_number)
{
	*ret_number = 0;
	for (size_t k = 0; k < work->bundle->n_mounts; k++) {
		const struct bundle_mount *mount = &work->bundle->mounts[k];
		const enum vm_mount kind = vm_mount_kind(mount, work->sharing);
		if (kind == VM_MOUNT_SHARE && i-- == 0)
			return mount;
		*ret_number += kind == VM_MOUNT_SHARE || kind == VM_MOUNT_TMPFS;
	}
	return NULL;
}

static int share_tree(void *arg, size_t i, char ret_name[VIRTIOFSD_NAME], struct err *err)
{
	const struct share_work *work = arg;
	size_t number;

	if (work->sharing->root && i == 0)
		return share_root(work->bundle, ret_name, err);
	const struct bundle_mount *mount = share_find(work, i - work->sharing->root, &number);
	(void)snprintf(ret_name, VIRTIOFSD_NAME, "%zu", number); /* fits */
	return bundle_source(work->bundle, mount, err);
}

int vm_share(const struct config *config, const struct vm_sharing *sharing, struct virtiofsd *ret,
	     int *ret_socket, struct err *err)
{
	struct share_work work = { &config->bundle, sharing };
	struct virtiofsd_plan plan = { .n = sharing->root, .tree = share_tree, .arg = &work };
	size_t number;

	*ret = (struct virtiofsd)VIRTIOFSD_NONE;
	*ret_socket = -EBADF;
	while (share_find(&work, plan.n - sharing->root, &number))
		plan.n++;
	return plan.n ? virtiofsd_start(&plan, ret, ret_socket, err) : 0;
}
