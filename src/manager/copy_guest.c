/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A directory's contents are unpacked with that directory of the host's as the root, which no link in the tar leads out of;
 * anything else is a tar of one name, and nothing else may be in it.
 */
#include "manager/copy_guest.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os/fd.h"

struct copy_source {
	char path[4096];  /* without slashes at its end */
	char get[4096];	  /* what the guest is asked for */
	const char *last; /* of path; NULL: it ends in ".", "..", or is the root: it has no name */
};

/* One half of a copy, while the other half is with strata-archive. */
struct copy_half {
	const struct copy_guest *guest;
	const char *path, *as;
	bool follow;
};

static int half_get(void *arg, int fd, struct err *err)
{
	const struct copy_half *h = arg;
	const struct copy_guest *g = h->guest;

	return g->files->get(g->spec, g->run_dir, h->path, h->follow, h->as, fd, err);
}

static int half_put(void *arg, int fd, struct err *err)
{
	const struct copy_half *h = arg;
	const struct copy_guest *g = h->guest;

	return g->files->put(g->spec, g->run_dir, h->path, fd, err);
}

static int guest_is_dir(const void *arg, const char *path, struct err *err)
{
	const struct copy_guest *g = arg;
	struct err none = { 0 };
	mode_t mode;
	int r = g->files->stat(g->spec, g->run_dir, path, true, &mode, &none);

	if (r == 0)
		return S_ISDIR(mode);
	if (r == -ENOENT || r == -ENOTDIR)
		return 0;
	return err_say(err, -r, "copy to %s: %s", path, none.text);
}

int copy_guest_in(const struct copy_guest *guest, const struct copy_root *host, const char *from,
		  const char *path, struct err *err)
{
	struct copy_half half = { .guest = guest };
	struct copy_target target;

	(void)signal(SIGPIPE, SIG_IGN); /* a valid signal: cannot fail */
	int r = copy_target(guest_is_dir, guest, path, &target, err);
	if (r < 0)
		return r;
	half.path = target.dir;
	return copy_out_to(host, from, false, target.name, half_put, &half, err);
}

int copy_guest_tar_in(const struct copy_guest *guest, const char *path, int in_fd, struct err *err)
{
	struct copy_half half = { .guest = guest, .path = path };

	(void)signal(SIGPIPE, SIG_IGN);
	int r = guest_is_dir(guest, path, err);
	if (r == 0)
		return err_say(err, ENOTDIR, "copy to %s: a tar needs a directory that is there",
			       path);
	return r < 0 ? r : half_put(&half, in_fd, err);
}

static int copy_source(const char *path, struct copy_source *ret, struct err *err)
{
	size_t len = strlen(path);

	if (len == 0 || len >= sizeof(ret->path) - 2)
		return err_set(err, ENAMETOOLONG, "copy %.200s...", path);
	memcpy(ret->path, path, len + 1);
	while (len > 1 && ret->path[len - 1] == '/')
		ret->path[--len] = '\0';
	const char *slash = strrchr(ret->path, '/');
	ret->last = slash ? slash + 1 : ret->path;
	if (!*ret->last || !strcmp(ret->last, ".") || !strcmp(ret->last, ".."))
		ret->last = NULL;
	memcpy(ret->get, ret->path, len + 1);
	return 0;
}

/* The directory that takes another one's contents: the target itself, or one in it, made where it is missing. */
static int copy_into(const struct copy_root *host, const struct copy_target *target,
		     const char *name, int *ret, struct err *err)
{
	AUTO(fd_close_p) int dir = fd_open_in(host->dir, target->dir, O_PATH | O_DIRECTORY, 0);

	if (dir < 0)
		return err_set(err, -dir, "copy to %s", target->dir);
	if (!name) {
		*ret = fd_take(&dir);
		return 0;
	}
	if (mkdirat(dir, name, 0700) < 0 && errno != EEXIST)
		return err_set(err, errno, "copy to %s/%s", target->dir, name);
	int fd = openat(dir, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_say(err, ENOTDIR,
			       "copy to %s/%s: a directory cannot take the place of what is there",
			       target->dir, name);
	*ret = fd;
	return 0;
}

int copy_guest_out(const struct copy_guest *guest, const char *path, bool follow,
		   const struct copy_root *host, const struct copy_target *target, struct err *err)
{
	struct copy_root to = { .dir = -EBADF, .users = -EBADF };
	struct copy_source source;
	mode_t mode;

	(void)signal(SIGPIPE, SIG_IGN);
	int r = copy_source(path, &source, err);
	if (r == 0)
		r = guest->files->stat(guest->spec, guest->run_dir, source.path, follow, &mode,
				       err);
	if (r < 0)
		return r;
	bool is_dir = S_ISDIR(mode);
	if (!is_dir && !source.last)
		return err_say(err, ENOTDIR, "copy %s: no directory", path);
	const char *name = target->name ? target->name : source.last;
	if (is_dir)
		memcpy(source.get + strlen(source.get), "/.", 3); /* copy_source() left room */
	const struct copy_half half = { guest, source.get, is_dir ? NULL : name, follow };
	r = copy_into(host, target, is_dir ? name : NULL, &to.dir, err);
	if (r == 0)
		r = copy_in_from(&to, "/", is_dir ? NULL : name, half_get, (void *)(uintptr_t)&half,
				 err);
	fd_close(to.dir);
	return r;
}

int copy_guest_tar_out(const struct copy_guest *guest, const char *path, bool follow, int out_fd,
		       struct err *err)
{
	struct copy_half half = { .guest = guest, .path = path, .follow = follow };

	(void)signal(SIGPIPE, SIG_IGN);
	return half_get(&half, out_fd, err);
}
