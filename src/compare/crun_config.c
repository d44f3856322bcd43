/* SPDX-License-Identifier: Apache-2.0 */
#include "compare/crun_config.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/file.h"
#include "base/os/json.h"
#include "engines/oslevel/users.h"

#define CRUN_PERIOD_US 100000

/* Docker's defaults: docs.docker.com, "docker container run", Runtime privilege and Linux capabilities. */
static const char *const crun_caps[] = {
	"CAP_CHOWN",   "CAP_DAC_OVERRIDE", "CAP_FSETID",	   "CAP_FOWNER",
	"CAP_MKNOD",   "CAP_NET_RAW",	   "CAP_SETGID",	   "CAP_SETUID",
	"CAP_SETFCAP", "CAP_SETPCAP",	   "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT",
	"CAP_KILL",    "CAP_AUDIT_WRITE",
};

struct crun_mount {
	const char *target, *type, *source;
	const char *options[8];
};

static const struct crun_mount crun_mounts[] = {
	{ "/proc", "proc", "proc", { "nosuid", "noexec", "nodev" } },
	{ "/dev", "tmpfs", "tmpfs", { "nosuid", "strictatime", "mode=755", "size=65536k" } },
	{ "/dev/pts",
	  "devpts",
	  "devpts",
	  { "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620" } },
	{ "/dev/shm", "tmpfs", "shm", { "nosuid", "noexec", "nodev", "mode=1777", "size=65536k" } },
	{ "/dev/mqueue", "mqueue", "mqueue", { "nosuid", "noexec", "nodev" } },
	{ "/sys", "sysfs", "sysfs", { "nosuid", "noexec", "nodev", "ro" } },
	/* a mount for each hierarchy: a third of its time, and what every manager asks for, and ours has */
	{ "/sys/fs/cgroup", "cgroup", "cgroup", { "nosuid", "noexec", "nodev", "relatime", "ro" } },
};

static const char *const crun_spaces[] = { "pid", "ipc", "uts", "mount", "network", "cgroup" };
static const char *const crun_masked[] = { "/proc/acpi", "/proc/kcore", "/proc/keys",
					   "/proc/timer_list", "/sys/firmware" };
static const char *const crun_read_only[] = { "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
					      "/proc/sysrq-trigger" };

static json_t *crun_list(const char *const *list, size_t n)
{
	json_t *array = json_array();

	for (size_t i = 0; i < n && list[i]; i++)
		(void)json_array_append_new(array,
					    json_string(list[i])); /* crun misses what is missing */
	return array;
}

static json_t *crun_mount_list(void)
{
	json_t *array = json_array();

	for (size_t i = 0; i < ARRAY_SIZE(crun_mounts); i++) {
		const struct crun_mount *m = &crun_mounts[i];
		(void)json_array_append_new(
			array, json_pack("{s:s,s:s,s:s,s:o}", "destination", m->target, "type",
					 m->type, "source", m->source, "options",
					 crun_list(m->options, ARRAY_SIZE(m->options))));
	}
	return array;
}

static json_t *crun_space_list(void)
{
	json_t *array = json_array();

	for (size_t i = 0; i < ARRAY_SIZE(crun_spaces); i++)
		(void)json_array_append_new(array, json_pack("{s:s}", "type", crun_spaces[i]));
	return array;
}

static json_t *crun_user(const struct user *user)
{
	json_t *groups = json_array();

	for (unsigned i = 1; i < user->n_groups; i++)
		(void)json_array_append_new(groups, json_integer(user->groups[i]));
	return json_pack("{s:I,s:I,s:o}", "uid", (json_int_t)user->uid, "gid",
			 (json_int_t)user->gid, "additionalGids", groups);
}

static json_t *crun_process(const struct column_setup *setup, const char *const *argv, bool kept,
			    const struct user *user)
{
	json_t *caps = crun_list(crun_caps, ARRAY_SIZE(crun_caps));

	if (kept) /* without it cyclictest says so */
		(void)json_array_append_new(caps, json_string("CAP_SYS_NICE"));
	return json_pack("{s:b,s:o,s:o,s:o,s:s,s:{s:O,s:O,s:o},s:b}", "terminal", 0, "user",
			 crun_user(user), "args", crun_list(argv, SIZE_MAX), "env",
			 crun_list(setup->env, SIZE_MAX), "cwd", setup->cwd, "capabilities",
			 "bounding", caps, "effective", caps, "permitted", caps, "noNewPrivileges",
			 1);
}

static json_t *crun_linux(const struct column_setup *setup, const char *cgroup)
{
	json_t *linux_part = json_pack(
		"{s:o,s:o,s:o,s:{s:{s:I},s:{s:I,s:I}}}", "namespaces", crun_space_list(),
		"maskedPaths", crun_list(crun_masked, ARRAY_SIZE(crun_masked)), "readonlyPaths",
		crun_list(crun_read_only, ARRAY_SIZE(crun_read_only)), "resources", "memory",
		"limit", (json_int_t)setup->memory, "cpu", "quota",
		(json_int_t)setup->cpus * CRUN_PERIOD_US, "period", (json_int_t)CRUN_PERIOD_US);

	if (cgroup)
		(void)json_object_set_new(linux_part, "cgroupsPath",
					  json_string(cgroup)); /* else not counted */
	return linux_part;
}

/* In the image's root and out of it again, which root may. */
static int crun_who(const struct rootfs *rootfs, struct user *ret, struct err *err)
{
	char root[4096];
	AUTO(fd_close_p) int out = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int n = snprintf(root, sizeof(root), "%s/root", rootfs->dir);

	if (n < 0 || (size_t)n >= sizeof(root) || out < 0 || chroot(root) < 0)
		return err_set(err, errno, "enter %s", rootfs->dir);
	int r = users_resolve(rootfs->setup->user, NULL, ret, err);
	if (fchdir(out) < 0 || chroot(".") < 0)
		return err_set(err, errno, "leave %s", rootfs->dir);
	return r;
}

int crun_config_write(const struct rootfs *rootfs, const char *const *argv, bool kept,
		      const char *cgroup, struct err *err)
{
	AUTO(user_fini) struct user user = { 0 };
	int r = crun_who(rootfs, &user, err);

	if (r < 0)
		return r;
	AUTO(json_decref_p)
	json_t *config =
		json_pack("{s:s,s:o,s:{s:s,s:b},s:s,s:o,s:o}", "ociVersion", "1.0.0", "process",
			  crun_process(rootfs->setup, argv, kept, &user), "root", "path", "root",
			  "readonly", 0, "hostname", "compare", "mounts", crun_mount_list(),
			  "linux", crun_linux(rootfs->setup, cgroup));
	char *text = config ? json_text(config, 0) : NULL;
	AUTO(fd_close_p) int dir = open(rootfs->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	r = !text     ? -ENOMEM
	    : dir < 0 ? -errno
		      : file_replace(dir, "config.json", 0600, text, strlen(text), false);
	free(text);
	return r < 0 ? err_set(err, -r, "write %s/config.json", rootfs->dir) : 0;
}
