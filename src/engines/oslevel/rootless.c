/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/oslevel/rootless.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os/idspace.h"
#include "base/os/json.h"
#include "engines/ports.h"

static int check_root(const char *flag, const char *why, struct err *err)
{
	return err_say(err, EPERM, "%s takes root: %s", flag, why);
}

static int check_limits(const struct spec *spec, struct err *err)
{
	struct cgroup_layout layout;
	char own[256] = "";
	int r = cgroup_layout_read(NULL, &layout, err);

	if (r < 0)
		return r;
	if (!spec->cgroup_parent[0])
		(void)cgroup_user_parent(own); /* without one: there is none */
	(void)cgroup_layout_user(&layout, spec->cgroup_parent[0] ? spec->cgroup_parent : own);
	return cgroup_limits_check(&layout, &spec->limits, err);
}

int rootless_check(const struct spec *spec, struct err *err)
{
	if (ids_here() == IDS_HOST)
		return 0;
	if (spec->network == SPEC_NETWORK_BRIDGE)
		return check_root("--network bridge (and a network by its name)",
				  "it changes the host's network: use --network passt, none or "
				  "host, or sudo",
				  err);
	if (spec->n_uid_map || spec->n_gid_map ||
	    !strcmp(json_str(spec->json, "userns", "host"), "auto"))
		return check_root("--userns, --uidmap or --gidmap",
				  "leave it out, for your ids are all in your container's user "
				  "namespace already, or use sudo",
				  err);
	if (spec->root_bytes)
		return check_root("--root-size",
				  "its file system is on a loop device: leave it out, or use sudo",
				  err);
	return check_limits(spec, err);
}

/* The whole of it on a file system of its own, in a namespace that ends with the process. */
static int probe_overlay(void *arg, struct err *err)
{
	static const char *const names[] = { "/tmp/l", "/tmp/u", "/tmp/w" };

	(void)arg;
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("none", "/tmp", "tmpfs", 0, "mode=700") < 0)
		return err_set(err, errno, "mount in a user namespace");
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (mkdir(names[i], 0700) < 0)
			return err_set(err, errno, "mount in a user namespace");
	}
	if (mount("none", "/tmp/l", "overlay", 0,
		  "lowerdir=/tmp/l,upperdir=/tmp/u,workdir=/tmp/w,userxattr") < 0)
		return err_set(err, errno,
			       "overlay in a user namespace, which takes Linux 5.11 or later");
	return 0;
}

int rootless_probe(struct err *err)
{
	return geteuid() != 0 ? ids_call(IDS_ALONE, probe_overlay, NULL, err) : 0;
}

static int ids_same(bool groups, struct ids_map **ret, size_t *ret_n, struct err *err)
{
	struct ids_map *map = calloc(IDS_MAPS, sizeof(*map));
	if (!map)
		return err_set(err, ENOMEM, "user namespace");
	const size_t n = ids_own(groups, map);
	for (size_t i = 0; i < n; i++)
		map[i].outside = map[i].inside;
	*ret = map;
	*ret_n = n;
	return n ? 0 : err_say(err, EIO, "user namespace: it has no ids");
}

int rootless_ids(struct launch *launch, struct err *err)
{
	int r = ids_same(false, &launch->own_uids, &launch->ids.n_uids, err);

	if (r == 0)
		r = ids_same(true, &launch->own_gids, &launch->ids.n_gids, err);
	launch->ids.uids = launch->own_uids;
	launch->ids.gids = launch->own_gids;
	return r;
}

int rootless_network(const struct spec *spec, const struct guest_dirs *dirs, pid_t pid,
		     struct passt *ret, struct err *err)
{
	struct passt_port *ports = ports_of_passt(spec);

	if (!ports)
		return err_set(err, ENOMEM, "published ports");
	int r = passt_join(ports, spec->n_ports, pid, dirs->run, ret, err);
	free(ports);
	return r;
}

void rootless_groups(const struct spec *spec, bool denied, struct process *process)
{
	if (denied && !(spec->groups && spec->groups[0]))
		process->n_groups = 0;
}
