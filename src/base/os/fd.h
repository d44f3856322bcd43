/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* File descriptors: an unset one is -EBADF, each is O_CLOEXEC at birth and closed once. */
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/core/buf.h"
#include "base/core/err.h"

void fd_close(int fd);	     /* negative is a no-op; errno is kept */
void fd_close_p(int *fd);    /* for AUTO */
int fd_take(int *fd);	     /* hands the fd on, leaves -EBADF */
void dir_close_p(DIR **dir); /* for AUTO; NULL is a no-op */

/* fd_write_all() - all of it, or a negative errno (the fd may hold a part). */
int fd_write_all(int fd, const void *data, size_t len);
/* fd_read_all() - appends until end of file; -EFBIG past max bytes. */
int fd_read_all(int fd, size_t max, struct buf *buf);
/* fd_read_text() - a small file from here on into ret, NUL-terminated, cut at size - 1; the length or a negative errno. */
ssize_t fd_read_text(int fd, char *ret, size_t size);

/*
 * fd_open_in() - open a path below a directory as if that directory were the root
 * @dirfd: the root   @path: absolute or relative, chosen by an enemy   @flags: as open(2)
 * Symbolic links are followed but never leave dirfd; /proc's magic links are refused.
 * Return: the fd, or a negative errno.
 * Source: openat2(2), RESOLVE_IN_ROOT and RESOLVE_NO_MAGICLINKS.
 */
int fd_open_in(int dirfd, const char *path, int flags, mode_t mode);
/* fd_mkdir_in() - like mkdir -p below dirfd; returns an O_PATH fd of the last directory. */
int fd_mkdir_in(int dirfd, const char *path, mode_t mode);

/*
 * fd_send() - one message on a unix socket, with an fd on board
 * @passed: the fd, which stays the caller's; negative: none
 * Return: 0, or a negative errno: -EAGAIN where the socket does not block and is full, -EPIPE without a signal.
 * Source: unix(7), SCM_RIGHTS.
 */
int fd_send(int socket, const struct iovec *iov, size_t n, int passed);
/*
 * fd_receive() - one message, and the fd that came with it
 * @ret_fd: the caller's then; left alone where none came; NULL: none is taken
 * Return: bytes, 0 at end of file, or a negative errno.
 */
ssize_t fd_receive(int socket, void *data, size_t len, int *ret_fd);
/*
 * fd_receive_all() - so many bytes of a stream, and no more
 * @deadline_ns: of clock_mono_ns()
 * Return: 0, -ETIMEDOUT, or -EPIPE where the other side is gone, for whatever reason.
 */
int fd_receive_all(int socket, void *data, size_t len, int64_t deadline_ns);

/* fd_lock() - flock(2) for this one alone; waits, whatever signals come. Return: 0, or a negative errno. */
int fd_lock(int fd);
/*
 * fd_claim() - flock(2) for this one alone, of what others look at: who only looks has it shared for a moment, and is waited for
 * @patience_ms: how long somebody else's claim is waited for
 * Return: 0, or a negative errno: -EWOULDBLOCK where another has it, or the looks take no end (10 seconds).
 */
int fd_claim(int fd, unsigned patience_ms);

/*
 * fd_poke() - make an eventfd readable, from any thread or a signal's handler
 * fd_calm() - the owner heard it: unreadable again; a timerfd too. Both for non-blocking ones; neither can fail in a way that matters.
 */
void fd_poke(int eventfd);
void fd_calm(int eventfd);

/* pidfd_open(2) and pidfd_send_signal(2), as negative errno. */
int pidfd_of(pid_t pid);
int pidfd_signal(int pidfd, int sig);
