/* SPDX-License-Identifier: Apache-2.0 */
#include "sysctl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "file.h"

#define SYSCTL_DIR "/proc/sys/"

int sysctl_path(const char *name, size_t len, char *ret, size_t size)
{
	const size_t at = strlen(SYSCTL_DIR);

	if (!len || name[0] == '.' || name[len - 1] == '.' || len >= size - at)
		return -EINVAL;
	memcpy(ret, SYSCTL_DIR, at);
	for (size_t i = 0; i < len; i++) {
		if (name[i] == '/' || (name[i] == '.' && name[i + 1] == '.'))
			return -EINVAL;
		ret[at + i] = name[i] == '.' ? '/' : name[i];
	}
	ret[at + len] = '\0';
	return 0;
}

int sysctl_apply(const struct config *config, struct err *err)
{
	char path[256];

	for (size_t i = 0; i < config->n_sysctls; i++) {
		const char *text = config->sysctls[i];
		const char *equals = strchr(text, '=');
		int r = equals ? sysctl_path(text, (size_t)(equals - text), path, sizeof(path))
			       : -EINVAL;
		if (r == 0)
			r = file_put_text(path, equals + 1);
		if (r < 0)
			return err_set(err, -r, "sysctl %.200s", text);
	}
	return 0;
}
