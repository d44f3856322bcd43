/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "engines/oslevel/private.h"
#include "engines/oslevel/rootless.h"
#include "engines/oslevel/system.h"

/* Files of the run directory that stand in for the image's own. */
static const struct {
	const char *name, *target;
} launch_etc[] = {
	{ "hostname", "/etc/hostname" },
	{ "hosts", "/etc/hosts" },
	{ "resolv.conf", "/etc/resolv.conf" },
};

static uint64_t launch_propagation(const char *name)
{
	if (!strcmp(name, "shared") || !strcmp(name, "rshared"))
		return MS_SHARED;
	return !strcmp(name, "slave") || !strcmp(name, "rslave") ? MS_SLAVE : MS_PRIVATE;
}

static enum mount_target launch_kind(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISDIR(st.st_mode) ? MOUNT_TARGET_DIR : MOUNT_TARGET_FILE;
}

/* Whoever is root of a user namespace only mounts nothing on the host: "shared" is among his own mounts, and from the host to them. */
static int launch_tie(const struct spec_mount *mount, int fd, bool userns)
{
	const uint64_t propagation = launch_propagation(mount->propagation);
	int r = userns && propagation == MS_SHARED ? mount_propagation(fd, true, MS_SLAVE) : 0;

	return r < 0 ? r : mount_propagation(fd, mount->recursive, propagation);
}

static int launch_bind(const struct spec_mount *mount, int idmap_fd, bool userns, struct err *err)
{
	AUTO(fd_close_p) int fd = mount_clone(AT_FDCWD, mount->source, mount->recursive, err);
	if (fd < 0)
		return fd;

	bool all = mount->recursive;
	int r = launch_tie(mount, fd, userns);
	if (r == 0 && mount->read_only)
		r = mount_attrs(fd, all, MOUNT_ATTR_RDONLY, 0);
	if (r < 0)
		return err_set(err, -r, "bind mount of %s", mount->source);
	if (idmap_fd >= 0)
		r = mount_idmap(fd, all, idmap_fd);
	return r < 0 ? mount_idmap_error(err, r, mount->source) : fd_take(&fd);
}

/* "size=64m,mode=1777,ro" to options; text is cut up in place. */
#define LAUNCH_TMPFS_OPTIONS 16
static int launch_tmpfs(const struct spec_mount *mount, struct err *err)
{
	struct mount_option options[LAUNCH_TMPFS_OPTIONS + 1] = { { NULL, NULL } };
	char text[512];
	uint64_t attrs = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
	size_t n = 0;

	int len = snprintf(text, sizeof(text), "%s", mount->options ? mount->options : "");
	if (len < 0 || (size_t)len >= sizeof(text))
		return err_say(err, E2BIG, "tmpfs at %s: the options are too long", mount->target);

	char *save = NULL;
	for (char *o = strtok_r(text, ",", &save); o; o = strtok_r(NULL, ",", &save)) {
		char *value = strchr(o, '=');
		if (value)
			*value++ = '\0';
		if (!strcmp(o, "ro"))
			attrs |= MOUNT_ATTR_RDONLY;
		else if (!strcmp(o, "exec"))
			attrs &= ~(uint64_t)MOUNT_ATTR_NOEXEC;
		else if (!strcmp(o, "suid"))
			attrs &= ~(uint64_t)MOUNT_ATTR_NOSUID;
		else if (!strcmp(o, "dev"))
			attrs &= ~(uint64_t)MOUNT_ATTR_NODEV;
		else if (!strcmp(o, "rw") || !strcmp(o, "noexec") || !strcmp(o, "nosuid") ||
			 !strcmp(o, "nodev"))
			continue;
		else if (n == LAUNCH_TMPFS_OPTIONS)
			return err_say(err, E2BIG, "tmpfs at %s: too many options", mount->target);
		else
			options[n++] = (struct mount_option){ o, value };
	}
	if (mount->read_only)
		attrs |= MOUNT_ATTR_RDONLY;
	int fd = mount_new("tmpfs", options, attrs, err);
	return fd < 0 ? err_wrap(err, "tmpfs at %s", mount->target) : fd;
}

/* Shallow targets first, so that a mount below another one lands on it. */
static int launch_depth(const void *a, const void *b)
{
	const struct launch_mount *x = a, *y = b;
	unsigned nx = 0, ny = 0;

	for (const char *p = x->target; *p; p++)
		nx += *p == '/' && p[1] && p[1] != '/';
	for (const char *p = y->target; *p; p++)
		ny += *p == '/' && p[1] && p[1] != '/';
	return nx != ny ? (nx < ny ? -1 : 1) : strcmp(x->target, y->target);
}

bool launch_has_target(const struct launch *launch, const char *target)
{
	for (size_t i = 0; i < launch->n_mounts; i++) {
		if (!strcmp(launch->mounts[i].target, target))
			return true;
	}
	return false;
}

static int launch_add_etc(struct launch *launch, const char *run_dir, int idmap_fd, struct err *err)
{
	char path[4096];

	for (size_t i = 0; i < ARRAY_SIZE(launch_etc); i++) {
		if (launch_has_target(launch, launch_etc[i].target))
			continue;
		int n = snprintf(path, sizeof(path), "%s/%s", run_dir, launch_etc[i].name);
		if (n < 0 || (size_t)n >= sizeof(path))
			return err_set(err, ENAMETOOLONG, "run directory %s", run_dir);
		if (access(path, F_OK) < 0)
			continue;
		int fd = mount_clone(AT_FDCWD, path, false, err);
		if (fd < 0)
			return fd;
		launch->mounts[launch->n_mounts++] =
			(struct launch_mount){ fd, launch_etc[i].target, MOUNT_TARGET_FILE, false };
		int r = mount_propagation(fd, false, MS_PRIVATE);
		if (r < 0)
			return err_set(err, -r, "bind mount of %s", path);
		if (idmap_fd >= 0)
			(void)mount_idmap(
				fd, false,
				idmap_fd); /* else they are nobody's there, but can be read */
	}
	return 0;
}

static int launch_add_mounts(struct launch *launch, const char *run_dir, int idmap_fd,
			     struct err *err)
{
	const struct spec *spec = launch->spec;

	launch->mounts = calloc(spec->n_mounts + ARRAY_SIZE(launch_etc), sizeof(*launch->mounts));
	if (!launch->mounts)
		return err_set(err, ENOMEM, "mounts");
	for (size_t i = 0; i < spec->n_mounts; i++) {
		const struct spec_mount *m = &spec->mounts[i];
		bool tmpfs = m->type == SPEC_MOUNT_TMPFS;
		/* A volume is nobody else's; the host's own directories are as foreign as its users, unless asked. */
		bool mapped = m->type == SPEC_MOUNT_VOLUME || m->idmap;
		int fd = tmpfs ? launch_tmpfs(m, err)
			       : launch_bind(m, mapped ? idmap_fd : -EBADF, launch->userns, err);
		if (fd < 0)
			return fd;
		enum mount_target kind = tmpfs ? MOUNT_TARGET_DIR : launch_kind(fd);
		launch->mounts[launch->n_mounts++] =
			(struct launch_mount){ fd, m->target, kind, !tmpfs && m->read_only };
		int r = mount_check_proc(fd, m->target, ", no volume; is it the image's VOLUME?",
					 err);
		if (r < 0)
			return r;
	}
	int r = launch_add_etc(launch, run_dir, idmap_fd, err);
	if (r < 0)
		return r;
	qsort(launch->mounts, launch->n_mounts, sizeof(*launch->mounts), launch_depth);
	return 0;
}

/* In a user namespace mknod(2) is refused: device nodes are bind mounts of the host's. */
static int launch_add_devices(struct launch *launch, struct err *err)
{
	static const char *const common[] = { "/dev/null",   "/dev/zero",    "/dev/full",
					      "/dev/random", "/dev/urandom", "/dev/tty" };
	const struct spec *spec = launch->spec;

	if (!launch->userns)
		return 0;
	launch->devices = calloc(ARRAY_SIZE(common) + spec->n_devices, sizeof(*launch->devices));
	if (!launch->devices)
		return err_set(err, ENOMEM, "devices");
	for (size_t i = 0; i < ARRAY_SIZE(common) + spec->n_devices; i++) {
		bool asked = i >= ARRAY_SIZE(common);
		const char *source =
			asked ? spec->devices[i - ARRAY_SIZE(common)].source : common[i];
		const char *target =
			asked ? spec->devices[i - ARRAY_SIZE(common)].target : common[i];
		int fd = mount_clone(AT_FDCWD, source, false, err);
		if (fd < 0)
			return fd;
		launch->devices[launch->n_devices++] =
			(struct launch_mount){ fd, target, MOUNT_TARGET_FILE, false };
	}
	return 0;
}

int launch_prepare(const struct spec *spec, const struct guest_dirs *dirs,
		   const struct guest_io *io, struct launch *ret, struct err *err)
{
	struct launch launch = {
		.spec = spec,
		.io = *io,
		.confined = ids_here() != IDS_HOST,
		.ids = idmap_of(spec),
		.root = -EBADF,
		.seccomp = -EBADF,
		.sync = -EBADF,
		.delegated = -1,
	};
	AUTO(fd_close_p) int idmap = -EBADF;
	int r = cgroup_layout_read(NULL, &launch.layout, err);

	launch.no_groups = launch.confined && ids_no_groups(0);
	launch.userns = launch.confined || spec->n_uid_map > 0;
	if (r == 0 && launch.confined) {
		(void)cgroup_layout_user(&launch.layout, spec->cgroup_parent); /* true */
		r = rootless_ids(&launch, err);
	} else if (r == 0 && launch.userns && (idmap = idmap_userns(&launch.ids, err)) < 0) {
		r = idmap;
	}
	/* A system container may boot again at any time. */
	bool discard = spec->remove && spec->restart == SPEC_RESTART_NO && !spec->system;
	if (r == 0 && (launch.root = rootfs_mount(spec, dirs->state, idmap, launch.confined,
						  discard, err)) < 0)
		r = launch.root;
	if (r == 0 && spec->system)
		r = system_prepare(&launch, err);
	if (r == 0)
		r = launch_add_mounts(&launch, dirs->run, idmap, err);
	if (r == 0)
		r = launch_add_devices(&launch, err);
	if (r == 0 && spec->seccomp) {
		launch.seccomp = open(spec->seccomp, O_RDONLY | O_CLOEXEC);
		if (launch.seccomp < 0)
			r = err_set(err, errno, "seccomp filter %s", spec->seccomp);
	}
	if (r < 0) {
		launch_fini(&launch);
		return r;
	}
	*ret = launch;
	return 0;
}

int launch_lock(struct launch *launch, struct err *err)
{
	size_t n = 0;

	if (!launch->userns)
		return 0;
	int **fds = calloc(launch->n_mounts + launch->n_views + 1, sizeof(*fds));
	if (!fds)
		return err_set(err, ENOMEM, "mounts");
	for (size_t i = 0; i < launch->n_mounts; i++) {
		if (launch->mounts[i].read_only)
			fds[n++] = &launch->mounts[i].fd;
	}
	for (size_t i = 0; i < launch->n_views; i++)
		fds[n++] = &launch->views[i].fd;
	int r = mount_lock(fds, n, err);
	free(fds);
	return r;
}

void launch_fini(struct launch *launch)
{
	for (size_t i = 0; i < launch->n_mounts; i++)
		fd_close(launch->mounts[i].fd);
	for (size_t i = 0; i < launch->n_devices; i++)
		fd_close(launch->devices[i].fd);
	for (size_t i = 0; i < launch->n_views; i++)
		fd_close(launch->views[i].fd);
	launch->n_views = 0;
	free(launch->mounts);
	free(launch->devices);
	free(launch->own_uids);
	free(launch->own_gids);
	launch->own_uids = launch->own_gids = NULL;
	free(launch->args);
	launch->args = NULL;
	for (unsigned i = 0; i < launch->n_joins; i++)
		fd_close(launch->joins[i]);
	launch->n_joins = 0;
	fd_close(launch->root);
	fd_close(launch->seccomp);
	fd_close(launch->sync);
	launch->mounts = NULL;
	launch->devices = NULL;
	launch->n_mounts = launch->n_devices = 0;
	launch->root = launch->seccomp = launch->sync = -EBADF;
}
