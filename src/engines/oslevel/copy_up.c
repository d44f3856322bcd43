/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/oslevel/copy_up.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os/fd.h"

#define COPY_DEPTH 64 /* of directories: each takes two fds and a frame */

static int copy_dir(int from, int to, unsigned depth);

static int copy_bytes(int from, int to)
{
	ssize_t n;

	do {
		n = sendfile(to, from, NULL, 1 << 20);
	} while (n > 0 || (n < 0 && errno == EINTR));
	return n < 0 ? -errno : 0;
}

static int copy_file(int from_dir, int to_dir, const char *name)
{
	AUTO(fd_close_p)
	int from = openat(from_dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	AUTO(fd_close_p) int to = -EBADF;

	if (from < 0)
		return -errno;
	to = openat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	return to < 0 ? -errno : copy_bytes(from, to);
}

static int copy_link(int from_dir, int to_dir, const char *name)
{
	char text[PATH_MAX];
	ssize_t n = readlinkat(from_dir, name, text, sizeof(text) - 1);

	if (n < 0)
		return -errno;
	text[n] = '\0';
	return symlinkat(text, to_dir, name) < 0 ? -errno : 0;
}

static int copy_sub(int from_dir, int to_dir, const char *name, unsigned depth)
{
	if (depth == COPY_DEPTH)
		return -ELOOP;
	if (mkdirat(to_dir, name, 0700) < 0)
		return -errno;
	AUTO(fd_close_p)
	int from = openat(from_dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	AUTO(fd_close_p)
	int to = openat(to_dir, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return from < 0 || to < 0 ? -errno : copy_dir(from, to, depth + 1);
}

static int copy_one(int from, int to, const char *name, unsigned depth)
{
	struct stat st;
	int r;

	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (S_ISREG(st.st_mode))
		r = copy_file(from, to, name);
	else if (S_ISLNK(st.st_mode))
		r = copy_link(from, to, name);
	else if (S_ISDIR(st.st_mode))
		r = copy_sub(from, to, name, depth);
	else
		r = mknodat(to, name, st.st_mode, st.st_rdev) < 0 ? -errno : 0;
	const struct timespec times[2] = { st.st_atim, st.st_mtim };
	if (r == 0 && fchownat(to, name, st.st_uid, st.st_gid, AT_SYMLINK_NOFOLLOW) < 0)
		r = -errno;
	if (r == 0 && !S_ISLNK(st.st_mode) && fchmodat(to, name, st.st_mode & 07777, 0) < 0)
		r = -errno;
	if (r == 0 && utimensat(to, name, times, AT_SYMLINK_NOFOLLOW) < 0)
		r = -errno;
	return r;
}

/* from is read, its position with it. */
static int copy_dir(int from, int to, unsigned depth)
{
	int copy = fcntl(from, F_DUPFD_CLOEXEC, 3);
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	const struct dirent *entry;
	int r = 0;

	if (!dir) {
		r = -errno;
		fd_close(copy);
		return r;
	}
	while (r == 0 && (entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			r = copy_one(from, to, entry->d_name, depth);
	}
	(void)closedir(dir);
	return r;
}

int copy_up(int root, const char *path, int to, struct err *err)
{
	AUTO(fd_close_p) int from = fd_open_in(root, path, O_RDONLY | O_DIRECTORY, 0);

	if (from < 0)
		return 0;
	int r = copy_dir(from, to, 0);
	return r < 0 ? err_set(err, -r, "copy %s into the file system that hides it", path) : 0;
}
