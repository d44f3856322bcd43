/* SPDX-License-Identifier: Apache-2.0 */
/* strata cp, with Docker's rules for the target (docs of `docker cp`, "Extended description"). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "manager/private.h"
#include "storage/copy.h"

struct copy_target {
	char dir[4096];
	const char *name; /* NULL: keep the source's */
	char last[256];
};

static void copy_root_fini(struct copy_root *root)
{
	fd_close(root->dir);
	fd_close(root->users);
}

/*
 * copy_root_open() - the instance's root, running or not
 * @ret_lock: keeps one that does not run from being started meanwhile, which would mount its layer twice; and
 *            made it the directory for that layer, if it has never run. The caller's to close; written always.
 */
static int copy_root_open(struct manager *manager, struct instance *instance, int *ret_lock,
			  struct copy_root *ret, struct err *err)
{
	const struct engine_ops *engine;
	struct spec spec;
	char state_dir[4096];
	int r = 0;

	*ret_lock = -EBADF;
	if (instance->pid <= 0) {
		*ret_lock = instance_lock_fresh(manager, instance, err);
		r = *ret_lock < 0 ? *ret_lock : instance_settle(manager, instance, err);
	}
	if (r == 0)
		r = instance_engine(instance, &engine, err);
	if (r == 0 && instance_dir(manager, instance->id, false, state_dir) < 0)
		r = err_set(err, ENAMETOOLONG, "copy");
	if (r == 0)
		r = instance_spec(manager, instance, &spec, err);
	if (r < 0)
		return r;
	r = engine->root_open(&spec, instance->pid, state_dir, &ret->users, err);
	spec_fini(&spec);
	if (r < 0)
		return r;
	ret->dir = r;
	return 0;
}

static int copy_host_open(struct copy_root *ret, struct err *err)
{
	ret->dir = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return ret->dir < 0 ? err_set(err, errno, "open /") : 0;
}

static bool copy_is_dir(int root, const char *path)
{
	AUTO(fd_close_p) int fd = fd_open_in(root, path, O_PATH, 0);
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Said here, with the path as it was typed: the tar's maker knows only its last part. */
static int copy_is_there(int root, const char *path, bool follow, struct err *err)
{
	AUTO(fd_close_p) int fd = fd_open_in(root, path, O_PATH | (follow ? 0 : O_NOFOLLOW), 0);

	return fd < 0 ? err_set(err, -fd, "copy %s", path) : 0;
}

/* An existing directory takes the source under its own name; else the last part is the new name. */
static int copy_target(int root, const char *path, struct copy_target *ret, struct err *err)
{
	size_t len = strlen(path);

	*ret = (struct copy_target){ .name = NULL };
	if (len == 0 || len >= sizeof(ret->dir))
		return err_set(err, ENAMETOOLONG, "copy to %s", path);
	memcpy(ret->dir, path, len + 1);
	if (copy_is_dir(root, path))
		return 0;
	if (path[len - 1] == '/')
		return err_say(err, ENOENT, "copy to %s: no such directory", path);
	char *slash = strrchr(ret->dir, '/');
	const char *last = slash ? slash + 1 : ret->dir;
	if (strlen(last) >= sizeof(ret->last))
		return err_set(err, ENAMETOOLONG, "copy to %s", path);
	memcpy(ret->last, last, strlen(last) + 1);
	ret->name = ret->last;
	if (slash == ret->dir)
		ret->dir[1] = '\0';
	else if (slash)
		*slash = '\0';
	else
		memcpy(ret->dir, ".", 2);
	if (!copy_is_dir(root, ret->dir))
		return err_say(err, ENOENT, "copy to %s: no directory %s", path, ret->dir);
	return 0;
}

/* Paths of the host are looked up from its root, so relative ones become absolute first. */
static int copy_host_path(const char *path, char ret[4096], struct err *err)
{
	char cwd[2048];
	int n;

	if (path[0] == '/')
		n = snprintf(ret, 4096, "%s", path);
	else if (!getcwd(cwd, sizeof(cwd)))
		return err_set(err, errno, "current directory");
	else
		n = snprintf(ret, 4096, "%s/%s", cwd, path);
	return n < 0 || n >= 4096 ? err_set(err, ENAMETOOLONG, "%s", path) : 0;
}

int manager_copy_in(struct manager *manager, struct instance *instance, const char *host_path,
		    const char *path, struct err *err)
{
	struct copy_target target;
	char source[4096];
	AUTO(fd_close_p) int lock = -EBADF;
	AUTO(copy_root_fini) struct copy_root root = { -EBADF, -EBADF };
	AUTO(copy_root_fini) struct copy_root host = { -EBADF, -EBADF };
	int r = copy_root_open(manager, instance, &lock, &root, err);

	if (r < 0)
		return r;
	if (!strcmp(host_path, "-")) {
		return copy_is_dir(root.dir, path)
			       ? copy_tar_in(&root, path, STDIN_FILENO, err)
			       : err_say(err, ENOTDIR,
					 "copy to %s: a tar needs a directory that is there", path);
	}
	r = copy_host_open(&host, err);
	if (r == 0)
		r = copy_host_path(host_path, source, err);
	if (r == 0)
		r = copy_target(root.dir, path, &target, err);
	if (r == 0)
		r = copy_is_there(host.dir, source, false, err);
	return r < 0 ? r : copy_across(&host, source, false, &root, target.dir, target.name, err);
}

int manager_copy_out(struct manager *manager, struct instance *instance, const char *path,
		     const char *host_path, bool follow, struct err *err)
{
	struct copy_target target;
	char to[4096];
	AUTO(fd_close_p) int lock = -EBADF;
	AUTO(copy_root_fini) struct copy_root root = { -EBADF, -EBADF };
	AUTO(copy_root_fini) struct copy_root host = { -EBADF, -EBADF };
	int r = copy_root_open(manager, instance, &lock, &root, err);

	if (r == 0)
		r = copy_is_there(root.dir, path, follow, err);
	if (r < 0)
		return r;
	if (!strcmp(host_path, "-"))
		return copy_tar_out(&root, path, follow, NULL, STDOUT_FILENO, err);
	r = copy_host_open(&host, err);
	if (r == 0)
		r = copy_host_path(host_path, to, err);
	if (r == 0)
		r = copy_target(host.dir, to, &target, err);
	return r < 0 ? r : copy_across(&root, path, follow, &host, target.dir, target.name, err);
}
