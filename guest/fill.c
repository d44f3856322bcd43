/* SPDX-License-Identifier: Apache-2.0 */
#include "fill.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "tar.h"

static ssize_t fill_read(struct tar_stream *stream, void *ret, size_t len)
{
	ssize_t n;

	do {
		n = read(*(const int *)stream->arg, ret, len);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static int fill_write(struct tar_stream *stream, const void *data, size_t len)
{
	return fd_write_all(*(const int *)stream->arg, data, len);
}

/* 1: nothing of anybody's is in there; 0; -errno. */
static int fill_wanted(int volume)
{
	AUTO(fd_close_p) int fd = openat(volume, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	int wanted = 1;

	if (!dir)
		return -errno;
	(void)fd_take(&fd);
	while ((entry = readdir(dir))) {
		const char *name = entry->d_name;
		if (!strcmp(name, FILL_MARK)) {
			wanted = 1;
			break;
		}
		if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
		    strcmp(name, "lost+found") != 0)
			wanted = 0; /* the mark may still come */
	}
	(void)closedir(dir);
	return wanted;
}

/* The writer of the tar: a process of its own, that neither waits for the other in vain. Its exit status: 0 is all of it. */
static _Noreturn void fill_pack(int root, const char *path, int out)
{
	struct tar_stream stream = { fill_read, fill_write, &out };
	char contents[PATH_MAX];
	int n = snprintf(contents, sizeof(contents), "%s/.", path);

	(void)signal(SIGPIPE, SIG_IGN);
	if (n < 0 || n >= (int)sizeof(contents))
		_exit(1);
	_exit(tar_out(&stream, root, contents, false, NULL, NULL) < 0 ? 1 : 0);
}

static int fill_copy(int root, const char *path, int volume, struct err *err)
{
	struct tar_stream stream = { .read = fill_read, .write = fill_write };
	int ends[2], status = 1;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_set(err, errno, "pipe");
	pid_t pid = fork();
	if (pid == 0) {
		fd_close(ends[0]);
		fill_pack(root, path, ends[1]);
	}
	int r = pid < 0 ? err_set(err, errno, "start a process") : 0;
	fd_close(ends[1]);
	stream.arg = &ends[0];
	if (r == 0)
		r = tar_in(&stream, volume, "/", err);
	fd_close(ends[0]);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (r == 0 && status != 0)
		r = err_say(err, EIO, "read the image's %s", path);
	return r;
}

static int fill_owner(int source, int volume, struct err *err)
{
	AUTO(fd_close_p) int fd = openat(volume, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(source, &st) < 0 || fchown(fd, st.st_uid, st.st_gid) < 0 ||
	    fchmod(fd, st.st_mode & 07777) < 0)
		return err_set(err, errno, "the volume's own directory");
	return 0;
}

static int fill_all(int root, const char *path, int source, int volume, struct err *err)
{
	int mark = openat(volume, FILL_MARK, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (mark < 0)
		return err_set(err, errno, "mark the volume");
	fd_close(mark);
	int r = fill_copy(root, path, volume, err);
	if (r == 0)
		r = fill_owner(source, volume, err);
	if (r < 0)
		return r;
	AUTO(fd_close_p) int fd = openat(volume, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || syncfs(fd) < 0 || unlinkat(volume, FILL_MARK, 0) < 0)
		return err_set(err, errno, "write the volume");
	return 0;
}

int fill_volume(int root, const char *path, int volume, struct err *err)
{
	AUTO(fd_close_p) int source = fd_open_in(root, path, O_RDONLY | O_DIRECTORY, 0);

	if (source < 0) /* the image has no such directory: nothing to fill with */
		return 0;
	int wanted = fill_wanted(volume);
	if (wanted > 0)
		wanted = fill_all(root, path, source, volume, err);
	else if (wanted < 0)
		(void)err_set(err, -wanted, "read the volume");
	return wanted < 0 ? err_wrap(err, "fill the volume at %s", path) : 0;
}
