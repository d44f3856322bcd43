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

static int copy_start_in(const struct copy_root *root, const char *path, const char *only,
			 int in_fd, struct helper *ret, struct err *err)
{
	const char *argv[6] = { "cp-in" };
	const struct helper_fds fds = { in_fd, -1, root->dir, root->users };
	size_t n = 1;

	if (root->mine)
		argv[n++] = "--mine";
	if (only) {
		argv[n++] = "--only";
		argv[n++] = only;
	}
	argv[n] = path;
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
	int r = copy_start_in(root, path, NULL, in_fd, &helper, err);

	return r < 0 ? r : copy_end(&helper, err);
}

/* A reader that stops early makes the writer fail, and the other way round: which was first? @err has the reader's. */
static int copy_first(int from_r, const struct err *from_err, int to_r, struct err *err)
{
	if (from_r == 0 || from_r == -EPIPE) /* nobody need read what pads a tar's end */
		return to_r;
	if (err)
		*err = *from_err;
	return from_r;
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
		r = copy_start_in(to_root, to_dir, NULL, pipes[0], &to, err);
	fd_close(pipes[0]);
	if (r < 0)
		return r;
	int to_r = copy_end(&to, err);
	int from_r = copy_end(&from, &from_err);
	return copy_first(from_r, &from_err, to_r, err);
}

int copy_out_to(const struct copy_root *root, const char *path, bool follow, const char *as,
		copy_end_fn read_tar, void *arg, struct err *err)
{
	AUTO(helper_fini) struct helper from = { 0 };
	struct err from_err = { 0 };
	int pipes[2];

	if (pipe2(pipes, O_CLOEXEC) < 0)
		return err_set(err, errno, "make a pipe");
	int r = copy_start_out(root, path, follow, as, pipes[1], &from, err);
	fd_close(pipes[1]);
	if (r == 0)
		r = read_tar(arg, pipes[0], err);
	fd_close(pipes[0]);
	return from.pid ? copy_first(copy_end(&from, &from_err), &from_err, r, err) : r;
}

int copy_in_from(const struct copy_root *root, const char *path, const char *only,
		 copy_end_fn write_tar, void *arg, struct err *err)
{
	AUTO(helper_fini) struct helper to = { 0 };
	struct err from_err = { 0 };
	int pipes[2], from_r = 0;

	if (pipe2(pipes, O_CLOEXEC) < 0)
		return err_set(err, errno, "make a pipe");
	int r = copy_start_in(root, path, only, pipes[0], &to, err);
	fd_close(pipes[0]);
	if (r == 0)
		from_r = write_tar(arg, pipes[1], &from_err);
	fd_close(pipes[1]);
	return r < 0 ? r : copy_first(from_r, &from_err, copy_end(&to, err), err);
}
