/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/json.h"
#include "storage/helper.h"

static int copy_start_out(const struct copy_root *root, const char *path, bool follow,
			  const char *as, int out_fd, struct helper *ret, struct err *err)
{
	const char *argv[6] = { "cp-out" };
	const struct helper_fds fds = { -1, out_fd, root->dir, root->users };
	size_t n = 1;

	if (follow)
		argv[n++] = "--follow";
	if (as) {
		argv[n++] = "--as";
		argv[n++] = as;
	}
	argv[n] = path;
	return helper_start(argv, &fds, ret, err);
}

static int copy_start_in(const struct copy_root *root, const char *path, int in_fd,
			 struct helper *ret, struct err *err)
{
	const char *const argv[] = { "cp-in", path, NULL };
	const struct helper_fds fds = { in_fd, -1, root->dir, root->users };

	return helper_start(argv, &fds, ret, err);
}

static int copy_end(struct helper *helper, struct err *err)
{
	AUTO(json_decref_p) json_t *result = NULL;

	return helper_result(helper, &result, err);
}

int copy_tar_out(const struct copy_root *root, const char *path, bool follow, const char *as,
		 int out_fd, struct err *err)
{
	AUTO(helper_fini) struct helper helper = { 0 };
	int r = copy_start_out(root, path, follow, as, out_fd, &helper, err);

	return r < 0 ? r : copy_end(&helper, err);
}

int copy_tar_in(const struct copy_root *root, const char *path, int in_fd, struct err *err)
{
	AUTO(helper_fini) struct helper helper = { 0 };
	int r = copy_start_in(root, path, in_fd, &helper, err);

	return r < 0 ? r : copy_end(&helper, err);
}

int copy_across(const struct copy_root *from_root, const char *from_path, bool follow,
		const struct copy_root *to_root, const char *to_dir, const char *as,
		struct err *err)
{
	AUTO(helper_fini) struct helper from = { 0 };
	AUTO(helper_fini) struct helper to = { 0 };
	struct err from_err = { 0 };
	int pipes[2];

	if (pipe2(pipes, O_CLOEXEC) < 0)
		return err_set(err, errno, "make a pipe");
	int r = copy_start_out(from_root, from_path, follow, as, pipes[1], &from, err);
	fd_close(pipes[1]);
	if (r == 0)
		r = copy_start_in(to_root, to_dir, pipes[0], &to, err);
	fd_close(pipes[0]);
	if (r < 0)
		return r;
	/* A reader that stops early makes the writer fail, and the other way round: which was first? */
	int to_r = copy_end(&to, err);
	int from_r = copy_end(&from, &from_err);
	if (from_r < 0 && from_r != -EPIPE) {
		if (err)
			*err = from_err;
		return from_r;
	}
	return to_r;
}
