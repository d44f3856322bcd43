/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Who a process in a container is: --user and --group-add, looked up in the container's own /etc/passwd and
 * /etc/group. Both are hostile text; the host's users (NSS) never count.
 * Source: docs.docker.com, "docker container run", --user and --group-add; moby/sys, user/user.go.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/core/err.h"

struct user {
	uint32_t uid, gid;
	uint32_t *groups; /* the primary group first, then supplementary ones; owned */
	unsigned n_groups;
	char *home; /* "/" where passwd has no entry; owned */
};

void user_fini(struct user *user); /* a zeroed one is a no-op */

/*
 * users_resolve() - look up in the current root's files; a missing file is an empty one
 * @name: "" is user 0; else "user", "user:group", each a name or a number
 * @groups: --group-add, NULL-ended, or NULL
 * A user without a group gets its primary group and those that list it as a member; with one, that group only.
 * Errors: -ENOENT for a name that is not there, -ERANGE for a number above 2147483647, -E2BIG.
 */
int users_resolve(const char *name, const char *const *groups, struct user *ret, struct err *err);

/* users_lookup() - the same in texts that were read already. */
int users_lookup(const char *passwd, size_t passwd_len, const char *group, size_t group_len,
		 const char *name, const char *const *groups, struct user *ret, struct err *err);
