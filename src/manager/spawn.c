/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/self.h"
#include "manager/private.h"

int spawn_memfd(const char *name, const char *text, struct err *err)
{
	AUTO(fd_close_p) int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return err_set(err, errno, "memfd %s", name);
	int r = fd_write_all(fd, text, strlen(text));
	if (r < 0)
		return err_set(err, -r, "memfd %s", name);
	(void)fcntl(fd, F_ADD_SEALS,
		    F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL); /* allowed above */
	return fd_take(&fd);
}

/* Where there is no mount API, or no right to use it: a sealed copy in memory serves as well. */
static int spawn_copy(int program)
{
	AUTO(fd_close_p) int copy = memfd_create("strata-monitor", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	AUTO(buf_fini) struct buf all = { 0 };

	if (copy < 0)
		return -errno;
	int r = fd_read_all(program, 64 << 20, &all);
	if (r == 0)
		r = fd_write_all(copy, all.data, all.len);
	if (r == 0 &&
	    fcntl(copy, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		r = -errno;
	return r < 0 ? r : fd_take(&copy);
}

/*
 * The program that will enter containers, as an fd that nobody inside can open for writing through
 * /proc/PID/exe (CVE-2019-5736): it is reached through a detached, read-only mount of its own.
 */
static int spawn_program(const char *path, struct err *err)
{
	AUTO(fd_close_p) int mount = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID };

	if (mount >= 0 && mount_setattr(mount, "", AT_EMPTY_PATH, &attr, sizeof(attr)) == 0)
		return fd_take(&mount);
	AUTO(fd_close_p) int program = open(path, O_RDONLY | O_CLOEXEC);
	if (program < 0)
		return err_set(err, errno, "open %s", path);
	int copy = spawn_copy(program);
	return copy < 0 ? err_set(err, -copy, "copy %s", path) : copy;
}

static int spawn_actions(const struct spawn_fds *fds, posix_spawn_file_actions_t *actions)
{
	int r = posix_spawn_file_actions_init(actions);

	for (int i = 0; r == 0 && i < (int)ARRAY_SIZE(fds->fds); i++) {
		if (fds->fds[i] >= 0)
			r = posix_spawn_file_actions_adddup2(actions, fds->fds[i], i);
		else if (i < 3)
			r = posix_spawn_file_actions_addopen(actions, i, "/dev/null", O_RDWR, 0);
	}
	return r;
}

/* The fds to hand over must not lie where others will go: above all targets nothing is overwritten. */
static int spawn_lift(struct spawn_fds *fds)
{
	for (size_t i = 0; i < ARRAY_SIZE(fds->fds); i++) {
		if (fds->fds[i] < 0)
			continue;
		int up = fcntl(fds->fds[i], F_DUPFD_CLOEXEC, 10);
		if (up < 0) {
			int r = -errno;
			for (size_t j = 0; j < i; j++)
				fd_close(fds->fds[j]);
			return r;
		}
		fds->fds[i] = up;
	}
	return 0;
}

/* @libexec: "STRATA_LIBEXEC=DIR": executed by fd, the monitor does not see where it and its like are */
static int spawn_run(int program, char *const *argv, char *libexec, const struct spawn_fds *given,
		     pid_t *ret_pid)
{
	char *const env[] = {
		(char *)(uintptr_t) "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		libexec, NULL
	};
	struct spawn_fds fds = *given;
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	char path[40];
	sigset_t none;

	int r = spawn_lift(&fds);
	if (r < 0)
		return r;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", program); /* fits */
	(void)sigemptyset(&none);
	r = posix_spawnattr_init(&attr);
	if (r == 0) {
		(void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
		(void)posix_spawnattr_setsigmask(&attr, &none);
		r = spawn_actions(&fds, &actions);
		if (r == 0)
			r = posix_spawn(ret_pid, path, &actions, &attr, argv, env);
		(void)posix_spawn_file_actions_destroy(&actions);
		(void)posix_spawnattr_destroy(&attr);
	}
	for (size_t i = 0; i < ARRAY_SIZE(fds.fds); i++)
		fd_close(fds.fds[i]);
	return -r;
}

int spawn_monitor(char *const *argv, const struct spawn_fds *fds, pid_t *ret_pid, struct err *err)
{
	char *path = NULL;
	int r = self_helper_path("strata-monitor", &path, err);

	if (r < 0)
		return r;
	AUTO(buf_fini) struct buf libexec = { 0 };
	(void)buf_printf(&libexec, "STRATA_LIBEXEC=%.*s", (int)(strrchr(path, '/') - path),
			 path); /* a failure is sticky */
	AUTO(fd_close_p) int program = spawn_program(path, err);
	free(path);
	if (program < 0)
		return program;
	if (libexec.failed)
		return err_set(err, ENOMEM, "start strata-monitor");
	/* Below 10 it would be in the way of the fds handed over. */
	AUTO(fd_close_p) int high = fcntl(program, F_DUPFD_CLOEXEC, 10);
	if (high < 0)
		return err_set(err, errno, "start strata-monitor");
	r = spawn_run(high, argv, libexec.data, fds, ret_pid);
	return r < 0 ? err_set(err, -r, "start strata-monitor") : 0;
}
