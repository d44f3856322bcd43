/* SPDX-License-Identifier: Apache-2.0 */
/* config-linux.md */
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "oci/config.h"

#define LINUX_MAPS_MAX 340 /* user_namespaces(7), "Defining user and group ID mappings" */

static const struct {
	const char *name;
	uint64_t flag;
} linux_kinds[] = {
	{ "pid", CLONE_NEWPID },       { "network", CLONE_NEWNET }, { "mount", CLONE_NEWNS },
	{ "ipc", CLONE_NEWIPC },       { "uts", CLONE_NEWUTS },	    { "user", CLONE_NEWUSER },
	{ "cgroup", CLONE_NEWCGROUP }, { "time", CLONE_NEWTIME },
};

static uint64_t linux_kind(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(linux_kinds); i++) {
		if (!strcmp(linux_kinds[i].name, name))
			return linux_kinds[i].flag;
	}
	return 0;
}

static void linux_namespace(const struct reader *rd, struct bundle *bundle)
{
	const char *name = reader_str(rd, "type", "");
	const char *path = reader_str(rd, "path", NULL);
	const uint64_t flag = linux_kind(name);

	if (!flag)
		reader_fail(rd, "type", EINVAL, "'%.40s' is not known", name);
	if (bundle_namespace_of(bundle, flag))
		reader_fail(rd, "type", EINVAL, "%s is there twice", name);
	if (path && !*path)
		path = NULL;
	if (path && path[0] != '/')
		reader_fail(rd, "path", EINVAL, "must be absolute");
	bundle->namespaces[bundle->n_namespaces++] = (struct bundle_namespace){ flag, path };
}

static void linux_namespaces(const struct reader *rd, struct bundle *bundle)
{
	size_t n;
	const json_t *list = reader_list(rd, "namespaces", &n);

	bundle->namespaces = reader_get(rd, n + 1, sizeof(*bundle->namespaces));
	for (size_t i = 0; bundle->namespaces && i < n && !rd->all->failed; i++) {
		const struct reader in = reader_item(rd, "namespaces", list, i);
		linux_namespace(&in, bundle);
	}
	if (bundle->hostname && !bundle_namespace_of(bundle, CLONE_NEWUTS))
		reader_fail(rd, "namespaces", EINVAL,
			    "has no uts namespace, but there is a hostname");
	if (bundle->domainname && !bundle_namespace_of(bundle, CLONE_NEWUTS))
		reader_fail(rd, "namespaces", EINVAL,
			    "has no uts namespace, but there is a domainname");
}

static const struct ids_map *linux_ids(const struct reader *rd, const char *key, size_t *ret_n)
{
	size_t n;
	const json_t *list = reader_list(rd, key, &n);
	struct ids_map *map = reader_get(rd, n + 1, sizeof(*map));

	if (n > LINUX_MAPS_MAX)
		reader_fail(rd, key, EINVAL, "must have %d members at most", LINUX_MAPS_MAX);
	for (size_t i = 0; map && i < n && !rd->all->failed; i++) {
		const struct reader in = reader_item(rd, key, list, i);
		map[i].inside = reader_u32(&in, "containerID", 0);
		map[i].outside = reader_u32(&in, "hostID", 0);
		map[i].size = (uint32_t)reader_int(&in, "size", 1, UINT32_MAX, 0);
		if (!map[i].size)
			reader_fail(&in, "size", EINVAL, "is missing");
	}
	*ret_n = map && !rd->all->failed ? n : 0;
	return map;
}

void config_read_ids(const struct reader *rd, const char *uids, const char *gids, struct idmap *ret)
{
	ret->uids = linux_ids(rd, uids, &ret->n_uids);
	ret->gids = linux_ids(rd, gids, &ret->n_gids);
	if (!ret->n_uids != !ret->n_gids)
		reader_fail(rd, uids, EINVAL, "and %s must both be there or neither", gids);
}

static void linux_user(const struct reader *rd, struct bundle *bundle)
{
	const bool user = bundle_namespace_of(bundle, CLONE_NEWUSER) != NULL;

	config_read_ids(rd, "uidMappings", "gidMappings", &bundle->ids);
	/* Somebody else's has its mappings already; managers send along some that mean nothing. */
	if (user && !bundle_namespace_is_new(bundle, CLONE_NEWUSER)) {
		bundle->ids = (struct idmap){ 0 };
		return;
	}
	if (user && !bundle->ids.n_uids)
		reader_fail(rd, "uidMappings", EINVAL, "is missing, but there is a user namespace");
	if (!user && bundle->ids.n_uids)
		reader_fail(rd, "uidMappings", EINVAL, "is there, but no user namespace");
}

static void linux_device(const struct reader *rd, struct bundle_device *device)
{
	const char *path = reader_path(rd, "path");
	const char *type = reader_str(rd, "type", "");
	const bool fifo = !strcmp(type, "p");

	if (strcmp(type, "c") != 0 && strcmp(type, "u") != 0 && strcmp(type, "b") != 0 && !fifo)
		reader_fail(rd, "type", EINVAL, "must be c, u, b or p");
	device->path = config_clean(rd, path);
	if (!strcmp(device->path, "/"))
		reader_fail(rd, "path", EINVAL, "must not be the root");
	device->type = fifo ? S_IFIFO : type[0] == 'b' ? S_IFBLK : S_IFCHR;
	if (!fifo && (!reader_member(rd, "major") || !reader_member(rd, "minor")))
		reader_fail(rd, "major", EINVAL, "and minor must both be there");
	/* dev_t of the kernel: 12 and 20 bits. */
	device->device_major = (unsigned)reader_int(rd, "major", 0, 4095, 0);
	device->device_minor = (unsigned)reader_int(rd, "minor", 0, 1048575, 0);
	device->mode = (mode_t)reader_int(rd, "fileMode", 0, 0177777, 0666) & 07777;
	device->uid = reader_u32(rd, "uid", 0);
	device->gid = reader_u32(rd, "gid", 0);
}

static void linux_devices(const struct reader *rd, struct bundle *bundle)
{
	size_t n;
	const json_t *list = reader_list(rd, "devices", &n);

	bundle->devices = reader_get(rd, n + 1, sizeof(*bundle->devices));
	for (size_t i = 0; bundle->devices && i < n; i++) {
		const struct reader in = reader_item(rd, "devices", list, i);
		linux_device(&in, &bundle->devices[i]);
	}
	bundle->n_devices = rd->all->failed ? 0 : n;
}

/* What is set beside a shared namespace would be set for the host: kernel.md of the specification names the kinds. */
static uint64_t linux_sysctl_kind(const char *name)
{
	static const char *const ipc[] = { "kernel.msgmax",	 "kernel.msgmnb",
					   "kernel.msgmni",	 "kernel.sem",
					   "kernel.shmall",	 "kernel.shmmax",
					   "kernel.shmmni",	 "kernel.shm_rmid_forced",
					   "kernel.msg_next_id", "kernel.sem_next_id",
					   "kernel.shm_next_id" };

	for (size_t i = 0; i < ARRAY_SIZE(ipc); i++) {
		if (!strcmp(ipc[i], name))
			return CLONE_NEWIPC;
	}
	if (!strncmp(name, "fs.mqueue.", 10))
		return CLONE_NEWIPC;
	if (!strncmp(name, "net.", 4))
		return CLONE_NEWNET;
	return !strcmp(name, "kernel.domainname") ? CLONE_NEWUTS : 0;
}

static void linux_sysctls(const struct reader *rd, struct bundle *bundle)
{
	const struct reader in = reader_enter(rd, "sysctl");
	const size_t n = json_object_size(in.obj);
	const char *key;
	json_t *value;

	bundle->sysctls = reader_get(rd, n + 1, sizeof(*bundle->sysctls));
	if (!bundle->sysctls)
		return;
	json_object_foreach((json_t *)(uintptr_t)in.obj, key, value)
	{
		const char *name = key;
		if (strchr(key, '/')) { /* sysctl(8) takes both */
			char *dots = reader_get(rd, strlen(key) + 1, 1);
			for (size_t i = 0; dots && key[i]; i++)
				dots[i] = key[i] == '/' ? '.' : key[i];
			name = dots ? dots : key;
		}
		const uint64_t kind = linux_sysctl_kind(name);
		if (!kind || strstr(name, ".."))
			reader_fail(&in, name, EINVAL, "is not a container's own");
		else if (!bundle_namespace_of(bundle, kind))
			reader_fail(&in, name, EINVAL,
				    "would be set for the host: its namespace is shared");
		if (bundle->domainname && !strcmp(name, "kernel.domainname") &&
		    strcmp(reader_str(&in, key, ""), bundle->domainname) != 0)
			reader_fail(&in, name, EINVAL, "says another thing than domainname");
		bundle->sysctls[bundle->n_sysctls++] =
			(struct bundle_sysctl){ name, reader_str(&in, key, "") };
	}
}

static const char **linux_paths(const struct reader *rd, const char *key, size_t *ret_n)
{
	const char **paths = reader_strings(rd, key, ret_n);

	for (size_t i = 0; i < *ret_n; i++) {
		size_t len = strlen(paths[i]);
		if (paths[i][0] != '/')
			reader_fail(rd, key, EINVAL, "'%.60s' is not absolute", paths[i]);
		/* With a slash at its end a file would be as good as not there, and stay open to all. */
		while (len > 1 && paths[i][len - 1] == '/')
			len--;
		if (paths[i][len])
			paths[i] = pool_text(rd->all->pool, "%.*s", (int)len, paths[i]);
		if (!paths[i]) {
			reader_fail(rd, key, ENOMEM, "takes more memory than there is");
			paths[i] = "/";
		}
	}
	return paths;
}

static void linux_clocks(const struct reader *rd, struct bundle *bundle)
{
	const struct reader in = reader_enter(rd, "timeOffsets");
	const struct reader monotonic = reader_enter(&in, "monotonic");
	const struct reader boottime = reader_enter(&in, "boottime");
	const int64_t most = INT64_C(1) << 40;
	const bool asked = in.obj && json_object_size(in.obj);

	if (asked && !bundle_namespace_of(bundle, CLONE_NEWTIME))
		reader_fail(rd, "timeOffsets", EINVAL, "is there, but no time namespace");
	else if (asked && !bundle_namespace_is_new(bundle, CLONE_NEWTIME))
		reader_fail(
			rd, "timeOffsets", EINVAL,
			"is there, but the time namespace is one by path, whose clocks are set");
	bundle->time_offsets.monotonic_s = reader_int(&monotonic, "secs", -most, most, 0);
	bundle->time_offsets.boottime_s = reader_int(&boottime, "secs", -most, most, 0);
	bundle->time_offsets.monotonic_ns =
		(uint32_t)reader_int(&monotonic, "nanosecs", 0, 999999999, 0);
	bundle->time_offsets.boottime_ns =
		(uint32_t)reader_int(&boottime, "nanosecs", 0, 999999999, 0);
}

const char *config_default_cgroup(struct pool *pool, const char *id)
{
	return pool_text(pool, "strata-oci-%s", id);
}

/* "/a/b", or "a/b": below the top of each hierarchy. With a colon it is systemd's, and scope.h's. */
static void linux_cgroup(const struct reader *rd, const char *id, struct config *config)
{
	const char *path = reader_str(rd, "cgroupsPath", "");

	config->cgroups_path = path;
	if (!*path || strchr(path, ':'))
		path = config_default_cgroup(rd->all->pool, id);
	else
		path = config_clean(rd, path) + 1;
	if (!path)
		reader_fail(rd, "cgroupsPath", ENOMEM, "takes more memory than there is");
	else if (!*path || strlen(path) > 255)
		reader_fail(rd, "cgroupsPath", EINVAL, "must have 1 to 255 characters");
	else if (strchr(path, '\n'))
		reader_fail(rd, "cgroupsPath", EINVAL, "must be one line");
	config->bundle.cgroup = path;
}

static void linux_propagation(const struct reader *rd, struct bundle *bundle)
{
	const char *word = reader_str(rd, "rootfsPropagation", "");

	if (*word &&
	    !config_propagation(word, &bundle->root_propagation, &bundle->all_root_propagation))
		reader_fail(rd, "rootfsPropagation", EINVAL, "'%.40s' is not known", word);
}

/*
 * In mounts that are others' too, only chroot(2) keeps the container in its root. What would be hidden there is not: who may leave it
 * sees it. And a hook that runs in somebody else's mount namespace would run what he put there, with our rights.
 */
static void linux_shared_mounts(const struct reader *rd, const struct config *config)
{
	static const char why[] = "cannot hold without a mount namespace of its own";
	const struct bundle *bundle = &config->bundle;

	if (bundle_namespace_is_new(bundle, CLONE_NEWNS))
		return;
	if (bundle->n_masked)
		reader_fail(rd, "maskedPaths", EINVAL, "%s", why);
	if (bundle->n_read_only)
		reader_fail(rd, "readonlyPaths", EINVAL, "%s", why);
	if (bundle_namespace_of(bundle, CLONE_NEWNS) && config->hooks[HOOK_CREATE_CONTAINER].n)
		reader_fail(rd, "namespaces", ENOTSUP,
			    "have a mount namespace by path: a createContainer hook would be what "
			    "is at its path in there");
}

void config_read_linux(const struct reader *rd, const char *id, struct config *config)
{
	struct bundle *bundle = &config->bundle;
	const struct reader resources = reader_enter(rd, "resources");
	const struct reader seccomp = reader_enter(rd, "seccomp");

	linux_namespaces(rd, bundle);
	linux_user(rd, bundle);
	linux_devices(rd, bundle);
	linux_cgroup(rd, id, config);
	linux_sysctls(rd, bundle);
	linux_clocks(rd, bundle);
	linux_propagation(rd, bundle);
	bundle->masked = linux_paths(rd, "maskedPaths", &bundle->n_masked);
	bundle->read_only = linux_paths(rd, "readonlyPaths", &bundle->n_read_only);
	linux_shared_mounts(rd, config);
	config->seccomp = seccomp.obj;
	config_read_seccomp(&seccomp, config);
	config_read_resources(&resources, bundle);
	bundle->mount_label = reader_str(rd, "mountLabel", NULL);
	if (bundle->mount_label && !*bundle->mount_label)
		bundle->mount_label = NULL;
	reader_refuse(rd, "intelRdt", "no resctrl groups are made");
	config_read_personality(rd, bundle);
	reader_refuse(rd, "netDevices", NULL);
	config_read_memory_policy(rd, bundle);
}
