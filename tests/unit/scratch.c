/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/file.h"

int scratch_setup(void **state)
{
	struct scratch *scratch = calloc(1, sizeof(*scratch));
	if (!scratch)
		return -1;
	memcpy(scratch->path, "/tmp/strata-unit-XXXXXX", sizeof("/tmp/strata-unit-XXXXXX"));
	if (!mkdtemp(scratch->path)) {
		free(scratch);
		return -1;
	}
	scratch->fd = open(scratch->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = scratch;
	return scratch->fd < 0 ? -1 : 0;
}

int scratch_teardown(void **state)
{
	struct scratch *scratch = *state;

	fd_close(scratch->fd);
	int r = dir_remove(AT_FDCWD, scratch->path);
	free(scratch);
	return r;
}
