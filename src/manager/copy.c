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
#include "base/os/idspace.h"
#include "base/os/json.h"
#include "manager/copy_guest.h"
#include "manager/private.h"
#include "manager/status.h"
#include "manager/system.h"
#include "storage/copy.h"

static void copy_root_fini(struct copy_root *root)
{
	fd_close(root->dir);
	fd_close(root->users);
}

/* Where an instance's files are: below a directory of the host's, or with somebody inside. */
struct copy_place {
	struct copy_root root;
	const struct engine_ops *engine;
	struct spec spec;
	char run_dir[4096], state_dir[4096];
	const struct instance *instance;
	/*
	 * Keeps one that does not run from being started meanwhile, which would mount its layer twice; and made it the
	 * directory for that layer, if it has never run.
	 */
	int lock;
};

static void copy_place_fini(struct copy_place *place)
{
	copy_root_fini(&place->root);
	spec_fini(&place->spec);
	fd_close(place->lock);
}

static bool copy_is_asked(const struct copy_place *place)
{
	return place->root.dir < 0;
}

static struct copy_guest copy_guest_of(const struct copy_place *place)
{
	return (struct copy_guest){ place->engine->files, &place->spec, place->run_dir };
}

static int copy_root_open(struct copy_place *place, struct err *err)
{
	const struct instance *instance = place->instance;

	if (instance->pid > 0 && place->engine->files && instance->state == INSTANCE_PAUSED)
		return err_say(err, EBUSY, "%s is paused: resume it first ('strata resume %s')",
			       instance->name, instance->name);
	if (instance->pid > 0 && place->engine->files)
		return 0;
	/* Of one that was never started the disk is made now. */
	int r = instance->pid > 0 ? 0 : system_root(instance->spec, place->state_dir, err);
	if (r == 0)
		r = place->engine->root_open(&place->spec, instance->pid, place->state_dir,
					     &place->root.users, err);
	if (r < 0)
		return r;
	AUTO(fd_close_p) int root = r;
	AUTO(fd_close_p)
	int run_fd = instance->pid <= 0 ? -EBADF
					: open(place->run_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (instance->pid > 0 && (run_fd < 0 || !status_is_first(run_fd, instance->pid)))
		return err_say(err, EAGAIN, "%s has ended, or is starting again", instance->name);
	place->root.dir = fd_take(&root);
	return 0;
}

/* As it is stored, but for the layers' names that only a start makes paths: who is asked needs none. */
static int copy_spec(const struct instance *instance, struct spec *ret, struct err *err)
{
	AUTO(json_decref_p) json_t *json = json_copy(instance->spec);

	if (!json)
		return err_set(err, ENOMEM, "copy");
	(void)json_object_del(json, "layers"); /* not there: as well */
	return spec_load(json, ret, err);
}

/* copy_place_open() - the instance's files, running or not; *place needs copy_place_fini(), also on failure */
static int copy_place_open(struct manager *manager, struct instance *instance,
			   struct copy_place *place, struct err *err)
{
	int r = 0;

	place->instance = instance;
	if (instance->pid <= 0) {
		place->lock = instance_lock_fresh(manager, instance, err);
		r = place->lock < 0 ? place->lock : 0;
	}
	if (r == 0)
		r = instance_engine(instance, &place->engine, err);
	if (r == 0 && (instance_dir(manager, instance->id, false, place->state_dir) < 0 ||
		       instance_dir(manager, instance->id, true, place->run_dir) < 0))
		r = err_set(err, ENAMETOOLONG, "copy");
	if (r == 0 && place->engine->files)
		r = copy_spec(instance, &place->spec, err);
	else if (r == 0)
		r = instance_spec(manager, instance, &place->spec, err);
	return r;
}

static int copy_host_open(struct copy_root *ret, struct err *err)
{
	ret->dir = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	ret->mine = ids_here() ==
		    IDS_INSIDE; /* an ordinary user's, whose ids inside are nobody's here */
	return ret->dir < 0 ? err_set(err, errno, "open /") : 0;
}

static int copy_is_dir(const void *arg, const char *path, struct err *err)
{
	const struct copy_root *root = arg;
	AUTO(fd_close_p) int fd = fd_open_in(root->dir, path, O_PATH, 0);
	struct stat st;

	(void)err; /* whatever it is, it is no directory to copy to */
	return fd >= 0 && fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Said here, with the path as it was typed: the tar's maker knows only its last part. */
static int copy_mode(int root, const char *path, bool follow, mode_t *ret, struct err *err)
{
	AUTO(fd_close_p) int fd = fd_open_in(root, path, O_PATH | (follow ? 0 : O_NOFOLLOW), 0);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(err, fd < 0 ? -fd : errno, "copy %s", path);
	*ret = st.st_mode;
	return 0;
}

/* Who unpacks would remove what is there and is no directory: a file of the user's, or a device. @path: as it was typed */
static int copy_fits(int root, const struct copy_target *target, mode_t mode, const char *path,
		     struct err *err)
{
	struct stat st;

	if (!target->name || !S_ISDIR(mode))
		return 0;
	AUTO(fd_close_p) int dir = fd_open_in(root, target->dir, O_PATH | O_DIRECTORY, 0);
	if (dir < 0)
		return err_set(err, -dir, "copy to %s", target->dir);
	if (fstatat(dir, target->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : err_set(err, errno, "copy to %s", path);
	return err_say(err, ENOTDIR,
		       "copy to %s: a directory cannot take the place of what is there", path);
}

int copy_target(copy_is_dir_fn is_dir, const void *arg, const char *path, struct copy_target *ret,
		struct err *err)
{
	size_t len = strlen(path);

	*ret = (struct copy_target){ .name = NULL };
	if (len == 0 || len >= sizeof(ret->dir))
		return err_set(err, ENAMETOOLONG, "copy to %s", path);
	memcpy(ret->dir, path, len + 1);
	int there = is_dir(arg, path, err);
	if (there)
		return there < 0 ? there : 0;
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
	there = is_dir(arg, ret->dir, err);
	if (there == 0)
		return err_say(err, ENOENT, "copy to %s: no directory %s", path, ret->dir);
	return there < 0 ? there : 0;
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

static int copy_in_at(const struct copy_root *root, const char *host_path, const char *path,
		      struct err *err)
{
	AUTO(copy_root_fini) struct copy_root host = { .dir = -EBADF, .users = -EBADF };
	struct copy_target target;
	char source[4096];
	mode_t mode;

	if (!strcmp(host_path, "-")) {
		return copy_is_dir(root, path, err)
			       ? copy_tar_in(root, path, STDIN_FILENO, err)
			       : err_say(err, ENOTDIR,
					 "copy to %s: a tar needs a directory that is there", path);
	}
	int r = copy_host_open(&host, err);
	if (r == 0)
		r = copy_host_path(host_path, source, err);
	if (r == 0)
		r = copy_target(copy_is_dir, root, path, &target, err);
	if (r == 0)
		r = copy_mode(host.dir, source, false, &mode, err);
	if (r == 0)
		r = copy_fits(root->dir, &target, mode, path, err);
	return r < 0 ? r : copy_across(&host, source, false, root, target.dir, target.name, err);
}

static int copy_in_guest(const struct copy_guest *guest, const char *host_path, const char *path,
			 struct err *err)
{
	AUTO(copy_root_fini) struct copy_root host = { .dir = -EBADF, .users = -EBADF };
	char source[4096];
	mode_t mode;

	if (!strcmp(host_path, "-"))
		return copy_guest_tar_in(guest, path, STDIN_FILENO, err);
	int r = copy_host_open(&host, err);
	if (r == 0)
		r = copy_host_path(host_path, source, err);
	if (r == 0)
		r = copy_mode(host.dir, source, false, &mode, err);
	return r < 0 ? r : copy_guest_in(guest, &host, source, path, err);
}

/* Where on the host it shall go; @target points into @to. */
static int copy_host_target(const char *host_path, struct copy_root *host, char to[4096],
			    struct copy_target *target, struct err *err)
{
	int r = copy_host_open(host, err);

	if (r == 0)
		r = copy_host_path(host_path, to, err);
	return r < 0 ? r : copy_target(copy_is_dir, host, to, target, err);
}

static int copy_out_at(const struct copy_root *root, const char *path, const char *host_path,
		       bool follow, struct err *err)
{
	AUTO(copy_root_fini) struct copy_root host = { .dir = -EBADF, .users = -EBADF };
	struct copy_target target;
	char to[4096];
	mode_t mode;
	int r = copy_mode(root->dir, path, follow, &mode, err);

	if (r < 0)
		return r;
	if (!strcmp(host_path, "-"))
		return copy_tar_out(root, path, follow, NULL, STDOUT_FILENO, err);
	r = copy_host_target(host_path, &host, to, &target, err);
	if (r == 0)
		r = copy_fits(host.dir, &target, mode, host_path, err);
	return r < 0 ? r : copy_across(root, path, follow, &host, target.dir, target.name, err);
}

static int copy_out_guest(const struct copy_guest *guest, const char *path, const char *host_path,
			  bool follow, struct err *err)
{
	AUTO(copy_root_fini) struct copy_root host = { .dir = -EBADF, .users = -EBADF };
	struct copy_target target;
	char to[4096];

	if (!strcmp(host_path, "-"))
		return copy_guest_tar_out(guest, path, follow, STDOUT_FILENO, err);
	int r = copy_host_target(host_path, &host, to, &target, err);
	return r < 0 ? r : copy_guest_out(guest, path, follow, &host, &target, err);
}

/* What is left to do once the instance is known. */
struct copy_job {
	struct copy_place *place;
	const char *path, *host_path;
	bool in, follow;
};

static int copy_run(void *arg, struct err *err)
{
	const struct copy_job *job = arg;
	struct copy_place *place = job->place;
	int r = copy_root_open(place, err);

	if (r < 0)
		return r;
	if (!copy_is_asked(place))
		return job->in ? copy_in_at(&place->root, job->host_path, job->path, err)
			       : copy_out_at(&place->root, job->path, job->host_path, job->follow,
					     err);
	const struct copy_guest guest = copy_guest_of(place);
	return job->in ? copy_in_guest(&guest, job->host_path, job->path, err)
		       : copy_out_guest(&guest, job->path, job->host_path, job->follow, err);
}

/* An ordinary user gets at a container's files as root of its user namespace only. */
static int copy_instance(struct manager *manager, struct instance *instance, struct copy_job *job,
			 struct err *err)
{
	AUTO(copy_place_fini)
	struct copy_place place = { .root = { .dir = -EBADF, .users = -EBADF }, .lock = -EBADF };
	int r = copy_place_open(manager, instance, &place, err);

	job->place = &place;
	if (r < 0)
		return r;
	if (geteuid() == 0 || place.engine->files)
		return copy_run(job, err);
	return ids_call(instance->pid > 0 ? instance->pid : 0, copy_run, job, err);
}

int manager_copy_in(struct manager *manager, struct instance *instance, const char *host_path,
		    const char *path, struct err *err)
{
	struct copy_job job = { .path = path, .host_path = host_path, .in = true };

	return copy_instance(manager, instance, &job, err);
}

int manager_copy_out(struct manager *manager, struct instance *instance, const char *path,
		     const char *host_path, bool follow, struct err *err)
{
	struct copy_job job = { .path = path, .host_path = host_path, .follow = follow };

	return copy_instance(manager, instance, &job, err);
}
