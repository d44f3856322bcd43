/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/archive/unpack_path.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

static int path_add(struct unpack_path *path, size_t *len, const char *part, size_t n)
{
	if (n > NAME_MAX || *len + n + 2 > sizeof(path->full))
		return -ENAMETOOLONG;
	memcpy(path->dir, path->full, *len + 1);
	if (*len)
		path->full[(*len)++] = '/';
	memcpy(path->full + *len, part, n);
	*len += n;
	path->full[*len] = '\0';
	memcpy(path->base, part, n);
	path->base[n] = '\0';
	return 0;
}

int unpack_path_split(const char *name, const char *prefix, struct unpack_path *ret)
{
	size_t len = strlen(prefix);

	if (!name || !name[0])
		return -EINVAL;
	while (len && prefix[len - 1] == '/')
		len--;
	if (len >= sizeof(ret->full))
		return -ENAMETOOLONG;
	memcpy(ret->full, prefix, len);
	ret->full[len] = '\0';
	memcpy(ret->dir, ret->full, len + 1);
	ret->base[0] = '\0';

	for (const char *p = name; *p;) {
		p += strspn(p, "/");
		size_t n = strcspn(p, "/");
		if (n == 2 && !memcmp(p, "..", 2))
			return -EXDEV;
		if (n && !(n == 1 && p[0] == '.')) {
			int r = path_add(ret, &len, p, n);
			if (r < 0)
				return r;
		}
		p += n;
	}
	return 0;
}
