/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/archive/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "storage/archive/confine.h"
#include "storage/archive/pack.h"
#include "storage/archive/reader.h"
#include "storage/archive/unpack.h"

#define COPY_LINKS_MAX 40

static int copy_write(void *arg, const void *data, size_t len)
{
	return fd_write_all(*(int *)arg, data, len);
}

/* Splits "a/b/c" in place; a path that names a directory's content has the base ".". */
static const char *copy_split(char *path, const char **ret_dir)
{
	size_t len = strlen(path);

	while (len > 1 && path[len - 1] == '/')
		path[--len] = '\0';
	char *slash = strrchr(path, '/');
	*ret_dir = slash ? (slash == path ? "/" : path) : ".";
	if (!slash)
		return path[0] ? path : ".";
	*slash = '\0';
	return slash[1] ? slash + 1 : ".";
}

/* Where a link leads from the directory it is in, as a path from the root again. */
static int copy_hop(const char *dir, const char *target, char ret[PATH_MAX])
{
	int n = target[0] == '/' ? snprintf(ret, PATH_MAX, "%s", target)
				 : snprintf(ret, PATH_MAX, "%s/%s", dir, target);

	return n < 0 || n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

/* Opens the directory that holds the path's last part; with follow that part is no link any more. */
static int copy_locate(int root, char path[PATH_MAX], bool follow, int *ret_dir,
		       const char **ret_base)
{
	for (int hop = 0; hop < COPY_LINKS_MAX; hop++) {
		char target[PATH_MAX];
		char dir_path[PATH_MAX];
		char whole[PATH_MAX];
		const char *dir_name;

		memcpy(whole, path, sizeof(whole));
		const char *base = copy_split(path, &dir_name);
		if (!strcmp(base, "..")) {
			dir_name = whole;
			base = ".";
		}
		memcpy(dir_path, dir_name, strlen(dir_name) + 1);
		AUTO(fd_close_p) int dir = fd_open_in(root, dir_path, O_PATH | O_DIRECTORY, 0);
		if (dir < 0)
			return dir;
		ssize_t n = follow ? readlinkat(dir, base, target, sizeof(target) - 1) : -1;
		if (n < 0) {
			*ret_dir = fd_take(&dir);
			*ret_base = base;
			return 0;
		}
		target[n] = '\0';
		int r = copy_hop(dir_path, target, path);
		if (r < 0)
			return r;
	}
	return -ELOOP;
}

int copy_out(int root, const char *path, bool follow, const char *as, int fd, struct err *err)
{
	AUTO(fd_close_p) int dir = -EBADF;
	AUTO(pack_free_p) struct pack *pack = NULL;
	char asked[PATH_MAX];
	char found[PATH_MAX];
	const char *base, *unused;

	int n = snprintf(asked, sizeof(asked), "%s", path);
	if (n < 0 || (size_t)n >= sizeof(asked))
		return err_set(err, ENAMETOOLONG, "%.200s...", path);
	memcpy(found, asked, sizeof(found));
	int r = copy_locate(root, found, follow, &dir, &base);
	if (r < 0)
		return err_set(err, -r, "%s", path);
	/* The tar has the name that was asked for, whatever a link led to. */
	const char *name = as ? as : copy_split(asked, &unused);

	r = confine(&root, false, false, err);
	if (r == 0)
		r = pack_open(copy_write, &fd, "tar", &pack, err);
	if (r == 0)
		r = pack_tree(pack, dir, base, strcmp(name, "..") ? name : ".", err);
	return r == 0 ? pack_end(pack, err) : r;
}

int copy_in(int root, const char *path, const char *only, bool mine, int fd, struct err *err)
{
	AUTO(reader_free_p) struct reader *reader = NULL;
	const struct unpack_opts opts = { .prefix = path, .only = only, .mine = mine };
	struct unpack_report report = { 0 };
	char unused[DIGEST_HEX + 1];

	int r = confine(&root, true, false, err);
	if (r == 0)
		r = reader_open(fd, "tar", &reader, err);
	if (r == 0)
		r = unpack(root, reader, &opts, &report, err);
	if (r == 0)
		r = reader_end(reader, unused, err);
	if (r == 0 && report.skipped)
		(void)fprintf(stderr, "warning: %llu not copied: %s\n",
			      (unsigned long long)report.skipped, report.example);
	return r;
}
