/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/bench_image.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/self.h"
#include "storage/helper.h"
#include "storage/program.h"
#include "storage/ref.h"
#include "storage/staging.h"

#define MAKER	   "strata-bench-image"
#define KEPT_BYTES 65536U /* of what it says: the end counts */

static void text_free_p(char **text)
{
	free(*text);
}

/* Signals that end a program are held back until what it made is removed. */
struct held {
	sigset_t before;
	int fd;
};

static int held_begin(struct held *ret, struct err *err)
{
	sigset_t set;

	(void)sigemptyset(&set); /* valid numbers */
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGHUP);
	(void)sigprocmask(SIG_BLOCK, &set, &ret->before);
	ret->fd = signalfd(-1, &set, SFD_CLOEXEC);
	return ret->fd < 0 ? err_set(err, errno, "make a signalfd") : 0;
}

/* One that came in the meantime takes effect here. */
static void held_end(struct held *held)
{
	fd_close(held->fd);
	(void)sigprocmask(SIG_SETMASK, &held->before, NULL);
}

static int maker_start(const char *dir, const char *mirror, bool progress, int out, pid_t *ret,
		       struct err *err)
{
	AUTO(text_free_p) char *path = NULL;
	AUTO(fd_close_p) int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0)
		return err_set(err, errno, "open /dev/null");
	int r = self_helper_path(MAKER, &path, err);
	if (r < 0)
		return r;
	/* A session of its own: whatever it started ends with it. */
	const char *const argv[] = { "setsid", path, dir, mirror, NULL };
	const int fds[] = { null, out, progress ? -1 : null };
	return helper_spawn(argv, fds, ARRAY_SIZE(fds), ret, err);
}

static int maker_read(int in, struct buf *text)
{
	char chunk[4096];
	ssize_t n = read(in, chunk, sizeof(chunk));

	if (n < 0)
		return errno == EINTR ? 1 : -errno;
	if (text->len > KEPT_BYTES)
		text->len = 0;
	return n && buf_add(text, chunk, (size_t)n) < 0 ? -ENOMEM : n > 0;
}

/* To the end of what it says. Return: 0; -EINTR: a signal came, and it was killed. */
static int maker_listen(pid_t pid, int in, int signals, struct buf *text)
{
	struct pollfd fds[] = { { .fd = in, .events = POLLIN },
				{ .fd = signals, .events = POLLIN } };
	int r = 1, interrupted = 0;

	while (r > 0) {
		if (poll(fds, ARRAY_SIZE(fds), -1) < 0)
			continue; /* EINTR: of no matter */
		if (fds[1].revents) {
			(void)kill(-pid, SIGKILL);
			(void)kill(pid, SIGKILL); /* before it had its session */
			fds[1].fd = -1;
			interrupted = -EINTR;
		}
		if (fds[0].revents)
			r = maker_read(in, text);
	}
	return interrupted ? interrupted : r;
}

static int maker_run(const char *dir, const char *mirror, bool progress, int signals,
		     struct err *err)
{
	AUTO(buf_fini) struct buf text = { 0 };
	int pipes[2];
	pid_t pid;

	if (pipe2(pipes, O_CLOEXEC) < 0)
		return err_set(err, errno, "make a pipe");
	int r = maker_start(dir, mirror, progress, pipes[1], &pid, err);
	fd_close(pipes[1]);
	if (r < 0) {
		fd_close(pipes[0]);
		return r;
	}
	r = maker_listen(pid, pipes[0], signals, &text);
	fd_close(pipes[0]); /* one that still writes ends */
	int status = helper_wait(pid);
	if (r < 0)
		return err_set(err, -r, "hear the program that makes it");
	return status ? err_say(err, EIO, "%.300s", program_last_line(&text)) : 0;
}

/* @signals: readable: stop */
static int bench_make(struct store *store, const char *mirror, const struct import_opts *opts,
		      int signals, struct image *ret, struct err *err)
{
	static const char *const changes[] = { "CMD [\"sh\"]", NULL };
	const struct import_opts import = { .tag = opts->tag, .changes = changes };
	AUTO(staging_close) struct staging staging = STAGING_NONE;
	AUTO(buf_fini) struct buf dir = { 0 };
	AUTO(buf_fini) struct buf root = { 0 };

	int r = staging_open(store, "bench", &staging, err);
	if (r < 0)
		return r;
	(void)buf_printf(&dir, "%s/%s", store->root, staging.path);
	(void)buf_printf(&root, "%s/root", buf_str(&dir));
	if (dir.failed || root.failed)
		return err_set(err, ENOMEM, "make it");
	r = maker_run(dir.data, mirror, opts->progress, signals, err);
	return r < 0 ? r : image_import(store, root.data, &import, ret, err);
}

int bench_image_build(struct store *store, const char *mirror, const struct import_opts *opts,
		      struct image *ret, struct err *err)
{
	char unused[REF_MAX];
	struct held held;
	int r = ref_tag(opts->tag, unused, err); /* before minutes are spent */

	if (r < 0)
		return r;
	r = held_begin(&held, err);
	r = r < 0 ? r : bench_make(store, mirror, opts, held.fd, ret, err);
	held_end(&held);
	return r < 0 ? err_wrap(err, "benchmark image") : 0;
}
