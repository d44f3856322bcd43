/* SPDX-License-Identifier: Apache-2.0 */
#include "base/os/self.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/core/buf.h"

static int self_try(const char *dir, const char *name, char **ret)
{
	AUTO(buf_fini) struct buf path = { 0 };

	if (buf_printf(&path, "%s/%s", dir, name) < 0)
		return -ENOMEM;
	if (access(path.data, X_OK) < 0)
		return -errno;
	*ret = buf_steal(&path);
	return 0;
}

int self_helper_path(const char *name, char **ret, struct err *err)
{
	char self[PATH_MAX] = "";
	const char *forced = secure_getenv("STRATA_LIBEXEC");

	if (forced) {
		int r = self_try(forced, name, ret);
		return r < 0 ? err_set(err, -r, "%s/%s (STRATA_LIBEXEC)", forced, name) : 0;
	}
	const char *before = secure_getenv("STRATA_SELF");
	if (before) {
		(void)snprintf(self, sizeof(self), "%s", before); /* cut: not found */
	} else {
		ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
		self[n > 0 ? n : 0] = '\0';
	}
	char *slash = strrchr(self, '/');
	if (slash)
		*slash = '\0';
	if (slash && self_try(self, name, ret) == 0)
		return 0;
	int r = self_try(STRATA_LIBEXECDIR, name, ret);
	if (r < 0)
		return err_say(err, -r, "%s is neither in %.150s nor in %s: install strata again",
			       name, self, STRATA_LIBEXECDIR);
	return 0;
}
