/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "engines/spec.h"

int spec_disk_of(const struct spec *spec, const char *path)
{
	size_t i = spec->vm.n_disks;

	while (i > 0 && strcmp(spec->vm.disks[i - 1].path, path) != 0)
		i--;
	return (int)i - 1;
}

bool spec_is_share(const struct spec_mount *mount)
{
	return mount->type == SPEC_MOUNT_BIND ||
	       (mount->type == SPEC_MOUNT_VOLUME && mount->shared);
}

bool spec_root_is_shared(const struct spec *spec)
{
	return spec->vm.root_fs && !strcmp(spec->vm.root_fs, SPEC_ROOT_SHARED);
}

bool spec_has_shares(const struct spec *spec)
{
	bool any = spec_root_is_shared(spec);

	for (size_t i = 0; i < spec->n_mounts; i++)
		any = any || spec_is_share(&spec->mounts[i]);
	return any;
}
