/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/oslevel/search.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

int search_failed(int code, const char *command, int *ret_status, struct err *err)
{
	const char *shown = command[0] ? command : "\"\"";

	*ret_status = code == ENOENT || code == ENOTDIR ? 127 : 126;
	if (code == ENOENT && !strchr(command, '/'))
		return err_say(err, ENOENT, "run %s: not found in the image's PATH", shown);
	return err_set(err, code, "run %s", shown);
}

static bool search_executable(const char *path, int *ret_code)
{
	struct stat st;

	if (stat(path, &st) < 0) {
		if (errno != ENOENT && errno != ENOTDIR)
			*ret_code = errno;
		return false;
	}
	if (!S_ISREG(st.st_mode) || !(st.st_mode & 0111)) {
		*ret_code = EACCES;
		return false;
	}
	return true;
}

int search_find(const char *command, const char *path, char full[PATH_MAX], int *ret_status,
		struct err *err)
{
	int code = ENOENT;

	if (!command[0])
		return search_failed(ENOENT, command, ret_status, err);
	if (strchr(command, '/')) {
		int n = snprintf(full, PATH_MAX, "%s", command);
		return n < 0 || n >= PATH_MAX
			       ? search_failed(ENAMETOOLONG, command, ret_status, err)
			       : 0;
	}
	for (const char *p = path;; p++) {
		size_t n = strcspn(p, ":");
		int len = snprintf(full, PATH_MAX, "%.*s/%s", (int)n, n ? p : ".", command);
		if (len > 0 && len < PATH_MAX && search_executable(full, &code))
			return 0;
		p += n;
		if (!*p)
			return search_failed(code, command, ret_status, err);
	}
}
