/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an image has where a new volume is mounted goes into that volume (docs of Docker, "Populate a volume").
 *
 * The lock is a flock on <root>/volumes/NAME; a file "filling" beside "data" says that what is in there is
 * half a copy: whoever holds the lock and finds it was preceded by a killed command.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/file.h"
#include "base/os/idspace.h"
#include "base/os/json.h"
#include "manager/private.h"
#include "storage/copy.h"

#define FILL_MARK "filling"

static int fill_dir_is_empty(int fd, bool *ret)
{
	AUTO(fd_close_p) int again = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = again < 0 ? NULL : fdopendir(again);
	const struct dirent *entry;

	if (!dir)
		return -errno;
	(void)fd_take(&again);
	do {
		errno = 0;
		entry = readdir(dir);
	} while (entry && (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")));
	int r = entry || !errno ? 0 : -errno;
	*ret = !entry;
	(void)closedir(dir);
	return r;
}

/* <root>/volumes/NAME, locked; its "data" without what a killed command left. */
static int fill_open(const char *data_path, int *ret_data, struct err *err)
{
	char path[4096];
	int n = snprintf(path, sizeof(path), "%s/..", data_path);

	if (n < 0 || (size_t)n >= sizeof(path))
		return err_set(err, ENAMETOOLONG, "fill volume %s", data_path);
	AUTO(fd_close_p) int home = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (home < 0 || flock(home, LOCK_EX) < 0)
		return err_set(err, errno, "lock volume %s", data_path);
	int r = 0;
	if (faccessat(home, FILL_MARK, F_OK, 0) == 0) {
		r = dir_remove(home, "data");
		if (r == 0 && mkdirat(home, "data", 0755) < 0)
			r = -errno;
		if (r == 0 && unlinkat(home, FILL_MARK, 0) < 0)
			r = -errno;
	}
	int data = r < 0 ? r : openat(home, "data", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (data < 0)
		return err_set(err, r < 0 ? -r : errno, "open volume %s", data_path);
	*ret_data = data;
	return fd_take(&home);
}

/* Copies, and gives the volume the directory's own owner and mode. */
static int fill_copy(const struct copy_root *root, const char *target, int home, int data,
		     struct err *err)
{
	char from[4096];
	struct stat st;
	bool empty = true;
	AUTO(fd_close_p) int source = fd_open_in(root->dir, target, O_RDONLY | O_DIRECTORY, 0);

	if (source < 0) /* the image has no such directory: nothing to fill with */
		return 0;
	int n = snprintf(from, sizeof(from), "%s/.", target);
	int r = n < 0 || (size_t)n >= sizeof(from) ? -ENAMETOOLONG
						   : fill_dir_is_empty(source, &empty);
	if (r == 0 && fstat(source, &st) < 0)
		r = -errno;
	if (r < 0)
		return err_set(err, -r, "fill a volume from %s", target);
	if (!empty) {
		AUTO(fd_close_p)
		int mark = openat(home, FILL_MARK, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		if (mark < 0)
			return err_set(err, errno, "fill a volume from %s", target);
		/* Ids as the guest sees them: a volume's are mapped again when it is mounted. */
		const struct copy_root to = { .dir = data, .users = -EBADF };
		r = copy_across(root, from, false, &to, "/", NULL, err);
		if (r < 0)
			return err_wrap(err, "fill a volume from the image's %s", target);
	}
	if (fchown(data, st.st_uid, st.st_gid) < 0 || fchmod(data, st.st_mode & 07777) < 0 ||
	    (!empty && unlinkat(home, FILL_MARK, 0) < 0))
		return err_set(err, errno, "fill a volume from %s", target);
	return 0;
}

static void fill_root_fini(struct copy_root *root)
{
	fd_close(root->dir);
	fd_close(root->users);
}

static int fill_root(json_t *spec, const char *state_dir, struct copy_root *root, struct err *err)
{
	const struct engine_ops *engine = engine_find(json_str(spec, "virt", ""), false);
	struct spec view;

	if (root->dir >= 0)
		return 0;
	if (!engine)
		return err_say(err, ENOTSUP, "this build has no engine %s",
			       json_str(spec, "virt", ""));
	int r = spec_load(spec, &view, err);
	if (r < 0)
		return r;
	r = engine->root_open(&view, 0, state_dir, &root->users, err);
	spec_fini(&view);
	if (r < 0)
		return r;
	root->dir = r;
	return 0;
}

static int fill_one(json_t *spec, const json_t *mount, const char *state_dir,
		    struct copy_root *root, struct err *err)
{
	bool empty = false;
	AUTO(fd_close_p) int data = -EBADF;
	AUTO(fd_close_p) int home = fill_open(json_str(mount, "source", ""), &data, err);

	if (home < 0)
		return home;
	int r = fill_dir_is_empty(data, &empty);
	if (r < 0)
		return err_set(err, -r, "read volume %s", json_str(mount, "source", ""));
	if (!empty)
		return 0;
	r = fill_root(spec, state_dir, root, err);
	return r < 0 ? r : fill_copy(root, json_str(mount, "target", ""), home, data, err);
}

struct fill_job {
	json_t *spec;
	const char *state_dir;
};

static int fill_all(void *arg, struct err *err)
{
	const struct fill_job *job = arg;
	json_t *spec = job->spec;
	AUTO(fill_root_fini) struct copy_root root = { .dir = -EBADF, .users = -EBADF };
	size_t i;
	json_t *mount;

	json_array_foreach(json_object_get(spec, "mounts"), i, mount)
	{
		if (strcmp(json_str(mount, "type", ""), "volume") != 0 ||
		    !json_bool(mount, "copy_up", true))
			continue;
		int r = fill_one(spec, mount, job->state_dir, &root, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* A volume that is empty, was left half filled, or is closed to us: then by its owner, who is somebody inside. */
static bool fill_is_due(const json_t *spec)
{
	const json_t *mount;
	size_t i;

	json_array_foreach(json_object_get(spec, "mounts"), i, mount)
	{
		char mark[4096];
		bool empty = true;
		if (strcmp(json_str(mount, "type", ""), "volume") != 0 ||
		    !json_bool(mount, "copy_up", true))
			continue;
		const char *path = json_str(mount, "source", "");
		(void)snprintf(mark, sizeof(mark), "%s/../" FILL_MARK,
			       path); /* a cut one is not there */
		AUTO(fd_close_p) int data = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (data < 0 || fill_dir_is_empty(data, &empty) < 0 || empty ||
		    access(mark, F_OK) == 0)
			return true;
	}
	return false;
}

int start_fill(json_t *spec, const char *state_dir, struct err *err)
{
	struct fill_job job = { spec, state_dir };

	if (json_object_get(spec, "vm")) /* its volumes are disks: filled by the agent inside */
		return 0;
	if (geteuid() == 0)
		return fill_all(&job, err);
	return fill_is_due(spec) ? ids_call(0, fill_all, &job, err) : 0;
}
