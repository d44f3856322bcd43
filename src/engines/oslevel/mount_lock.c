/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A container's root owns its mount namespace, and with CAP_SYS_ADMIN may change the attributes of what was moved there. What was
 * copied there from a namespace of other owners the kernel keeps as it was: mount_namespaces(7), "Restrictions on mount namespaces".
 * So each mount hangs for a moment in a namespace of ours, whose copy belongs to a user namespace of nobody's; a mount taken from
 * that copy stays locked wherever it goes.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/wait.h"
#include "engines/oslevel/mount.h"

#define LOCK_AT "/usr" /* every Linux has it; in the helper's own mount namespace */

static int lock_say(int socket, int code, int fd)
{
	const int32_t word = code;
	const struct iovec iov = { (void *)(uintptr_t)&word, sizeof(word) };

	return fd_send(socket, &iov, 1, fd);
}

static int lock_hang(int *const *fds, size_t n)
{
	static const struct mount_option options[] = { { "mode", "755" }, { NULL, NULL } };

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -errno;
	AUTO(fd_close_p) int top = mount_new("tmpfs", options, 0, NULL);
	AUTO(fd_close_p) int at = open(LOCK_AT, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r = top < 0 ? top : at < 0 ? -errno : mount_onto(top, at);
	for (size_t i = 0; r == 0 && i < n; i++) {
		char name[24];
		(void)snprintf(name, sizeof(name), "%zu", i); /* fits */
		r = mount_named(*fds[i], top, name);
	}
	return r;
}

/* In the copy, where all of them are locked. */
static _Noreturn void lock_send(int socket, size_t n)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		char path[sizeof(LOCK_AT) + 24];
		(void)snprintf(path, sizeof(path), LOCK_AT "/%zu", i); /* fits */
		AUTO(fd_close_p) int fd = mount_clone(AT_FDCWD, path, true, NULL);
		r = lock_say(socket, fd < 0 ? fd : 0, fd);
	}
	_exit(0);
}

static _Noreturn void lock_main(pid_t parent, int socket, int *const *fds, size_t n)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(1);
	int r = lock_hang(fds, n);
	long pid = 0;
	if (r == 0) {
		pid = syscall(SYS_clone, CLONE_NEWUSER | CLONE_NEWNS | SIGCHLD, NULL, NULL, NULL,
			      NULL);
		if (pid == 0)
			lock_send(socket, n);
		r = pid < 0 ? -errno : 0;
	}
	if (r < 0)
		(void)lock_say(socket, r, -1); /* whoever is gone needs no answer */
	else
		(void)wait_child((pid_t)pid);
	_exit(0);
}

static int lock_receive(int socket, int *const *fds, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int32_t word = 0;
		int fd = -EBADF;
		ssize_t len = fd_receive(socket, &word, sizeof(word), &fd);
		if (len != sizeof(word) || fd < 0) {
			fd_close(fd);
			return len == sizeof(word) && word < 0 ? word : -ECHILD;
		}
		fd_close(*fds[i]);
		*fds[i] = fd;
	}
	return 0;
}

int mount_lock(int *const *fds, size_t n, struct err *err)
{
	const pid_t self = getpid();
	int pair[2];

	if (!n)
		return 0;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_set(err, errno, "socket pair");
	pid_t pid = fork();
	if (pid == 0)
		lock_main(self, pair[1], fds, n);
	const int code = errno;
	fd_close(pair[1]);
	int r = pid < 0 ? -code : lock_receive(pair[0], fds, n);
	fd_close(pair[0]);
	if (pid > 0)
		(void)wait_child(pid); /* it has said what there is to say */
	return r < 0 ? err_set(err, -r, "lock read-only mounts") : 0;
}
