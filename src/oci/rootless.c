/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/rootless.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROOTLESS_MARK "_STRATA_OCI_ENTERED"

int rootless_state(char ret[PATH_MAX])
{
	const char *dir = getenv("XDG_RUNTIME_DIR");
	int n;

	if (!dir || dir[0] != '/')
		return -ENOENT;
	n = snprintf(ret, PATH_MAX, "%s/strata-oci", dir);
	return n < 0 || n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

static int rootless_mark(struct err *err)
{
	return setenv(ROOTLESS_MARK, "1", 1) < 0 ? err_set(err, errno, "environment") : 0;
}

int rootless_enter(struct err *err)
{
	int r = ids_enter(err);

	return r < 0 ? r : rootless_mark(err);
}

int rootless_join(pid_t pid, struct err *err)
{
	int r = ids_join(pid, err);

	return r < 0 ? r : rootless_mark(err);
}

bool rootless_entered(void)
{
	const bool entered = getenv(ROOTLESS_MARK) != NULL;

	(void)unsetenv(ROOTLESS_MARK); /* cannot fail: a valid name */
	return entered;
}

static int map_one(const struct ids_map *own, size_t n_own, struct ids_map asked,
		   struct ids_map *ret)
{
	for (size_t i = 0; i < n_own; i++) {
		const uint32_t at = asked.outside - own[i].outside;
		if (asked.outside < own[i].outside || at >= own[i].size)
			continue;
		const uint32_t most = own[i].size - at;
		*ret = (struct ids_map){ asked.inside, own[i].inside + at,
					 asked.size < most ? asked.size : most };
		return 0;
	}
	return -EPERM;
}

int rootless_map(const struct ids_map *own, size_t n_own, const struct ids_map *asked,
		 size_t n_asked, struct ids_map *ret, size_t max, size_t *ret_n, uint32_t *ret_id)
{
	size_t n = 0;

	for (size_t i = 0; i < n_asked; i++) {
		struct ids_map left = asked[i];
		while (left.size) {
			if (n == max)
				return -E2BIG;
			if (map_one(own, n_own, left, &ret[n]) < 0) {
				*ret_id = left.outside;
				return -EPERM;
			}
			left.inside += ret[n].size;
			left.outside += ret[n].size;
			left.size -= ret[n++].size;
		}
	}
	*ret_n = n;
	return 0;
}

static int translate_one(struct pool *pool, bool groups, const char *what,
			 const struct ids_map **map, size_t *n, struct err *err)
{
	struct ids_map own[IDS_MAPS];
	const size_t n_own = ids_own(groups, own);
	struct ids_map *to = pool_get(pool, IDS_MAPS, sizeof(*to));
	uint32_t id = 0;

	if (!to)
		return err_set(err, ENOMEM, "user namespace");
	int r = rootless_map(own, n_own, *map, *n, to, IDS_MAPS, n, &id);
	if (r == -EPERM)
		return err_say(err, EPERM,
			       "linux.%s: the host's id %" PRIu32 " is not yours: /etc/sub%s and "
			       "new%smap give more than your own",
			       what, id, what[0] == 'u' ? "uid" : "gid",
			       what[0] == 'u' ? "uid" : "gid");
	*map = to;
	return r < 0 ? err_say(err, E2BIG, "linux.%s: too many pieces", what) : 0;
}

int rootless_translate(struct config *config, struct err *err)
{
	struct idmap *ids = &config->bundle.ids;

	if (!ids->n_uids && bundle_namespace_of(&config->bundle, CLONE_NEWUSER))
		return 0; /* by path: it has them */
	if (!ids->n_uids)
		return err_say(err, EPERM,
			       "linux.namespaces: a container of an ordinary user takes a user "
			       "namespace");
	int r = translate_one(&config->pool, false, "uidMappings", &ids->uids, &ids->n_uids, err);
	if (r == 0)
		r = translate_one(&config->pool, true, "gidMappings", &ids->gids, &ids->n_gids,
				  err);
	for (size_t i = 0; i < config->bundle.n_mounts; i++) {
		if (config->bundle.mounts[i].container_ids)
			config->bundle.mounts[i].ids = *ids;
	}
	return r;
}
