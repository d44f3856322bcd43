/* SPDX-License-Identifier: Apache-2.0 */
#include "tar_xattr.h"

#include <errno.h>
#include <linux/limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>

#define XATTR_KEY      "SCHILY.xattr."
#define XATTR_KEPT_MAX (1U << 20) /* of one entry: as much as its header may have */

int tar_record(struct buf *buf, const char *key, const void *value, size_t value_len)
{
	size_t rest = strlen(key) + value_len + 3; /* ' ', '=', '\n' */
	size_t len = rest + 1;
	char digits[24];

	for (int i = 0; i < 3; i++) /* settles at once, or after a digit more */
		len = rest + (size_t)snprintf(digits, sizeof(digits), "%zu", len);
	int r = buf_printf(buf, "%zu %s=", len, key);
	if (r == 0)
		r = buf_add(buf, value, value_len);
	return r == 0 ? buf_adds(buf, "\n") : r;
}

static bool xattr_wanted(const char *name)
{
	if (strchr(name, '=') || !strncmp(name, "user.overlay.", 13))
		return false; /* no record has room for the first */
	return !strncmp(name, "user.", 5) || !strcmp(name, "security.capability") ||
	       !strncmp(name, "system.posix_acl_", 17);
}

static int xattr_pack_one(int fd, const char *name, struct buf *value, struct buf *pax)
{
	char key[XATTR_NAME_MAX + sizeof(XATTR_KEY)];
	int n = snprintf(key, sizeof(key), XATTR_KEY "%s", name);
	ssize_t len = fgetxattr(fd, name, value->data, XATTR_SIZE_MAX);

	if (n < 0 || (size_t)n >= sizeof(key) || len < 0)
		return 0; /* gone meanwhile */
	return tar_record(pax, key, value->data, (size_t)len);
}

int tar_xattr_pack(int fd, struct buf *pax)
{
	AUTO(buf_fini) struct buf names = { 0 };
	AUTO(buf_fini) struct buf value = { 0 };
	int r = 0;

	ssize_t n = flistxattr(fd, NULL, 0); /* mostly there are none */
	if (n <= 0)
		return n < 0 && errno != ENOTSUP ? -errno : 0;
	if (buf_reserve(&names, XATTR_LIST_MAX + 1) < 0 || buf_reserve(&value, XATTR_SIZE_MAX) < 0)
		return -ENOMEM;
	n = flistxattr(fd, names.data, XATTR_LIST_MAX);
	if (n < 0)
		return -errno;
	names.data[n] = '\0';
	for (const char *p = names.data; r == 0 && p < names.data + n; p += strlen(p) + 1) {
		if (xattr_wanted(p))
			r = xattr_pack_one(fd, p, &value, pax);
	}
	return r;
}

/* A name, its NUL, the value's length in 4 bytes, the value. */
int tar_xattr_keep(struct buf *kept, const char *key, size_t key_len, const void *value, size_t len)
{
	char name[XATTR_NAME_MAX + 1];
	const size_t prefix = strlen(XATTR_KEY);
	uint32_t size = (uint32_t)len;

	if (key_len <= prefix || key_len - prefix > XATTR_NAME_MAX || len > XATTR_SIZE_MAX ||
	    memcmp(key, XATTR_KEY, prefix) != 0 || kept->len > XATTR_KEPT_MAX)
		return 0;
	memcpy(name, key + prefix, key_len - prefix);
	name[key_len - prefix] = '\0';
	if (strlen(name) != key_len - prefix || !xattr_wanted(name))
		return 0;
	int r = buf_add(kept, name, strlen(name) + 1);
	if (r == 0)
		r = buf_add(kept, &size, sizeof(size));
	return r == 0 ? buf_add(kept, value, len) : r;
}

int tar_xattr_set(const struct buf *kept, int fd)
{
	for (size_t at = 0; at < kept->len;) {
		const char *name = kept->data + at;
		uint32_t len;
		at += strlen(name) + 1;
		memcpy(&len, kept->data + at, sizeof(len));
		at += sizeof(len);
		if (fsetxattr(fd, name, kept->data + at, len, 0) < 0 &&
		    (errno == ENOSPC || errno == EDQUOT))
			return -errno;
		at += len;
	}
	return 0;
}
