/* SPDX-License-Identifier: Apache-2.0 */
#include "base/os/fd.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/os/clock.h"

#define CLAIM_LOOKS_MS 10000U /* on a busy machine one who looks may not run for long */

void fd_close(int fd)
{
	if (fd < 0)
		return;
	int saved = errno;
	(void)close(fd); /* Linux releases the fd even on EINTR: never twice */
	errno = saved;
}

void fd_close_p(int *fd)
{
	fd_close(*fd);
	*fd = -EBADF;
}

int fd_take(int *fd)
{
	int taken = *fd;

	*fd = -EBADF;
	return taken;
}

void dir_close_p(DIR **dir)
{
	if (*dir)
		(void)closedir(*dir);
}

int fd_write_all(int fd, const void *data, size_t len)
{
	const char *p = data;

	while (len) {
		ssize_t n = write(fd, p, len);
		if (n < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int fd_read_all(int fd, size_t max, struct buf *buf)
{
	size_t start = buf->len;

	for (;;) {
		int r = buf_reserve(buf, 4096);
		if (r < 0)
			return r;
		ssize_t n = read(fd, buf->data + buf->len, buf->cap - buf->len - 1);
		if (n < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		buf->len += (size_t)n;
		buf->data[buf->len] = '\0';
		if (buf->len - start > max)
			return -EFBIG;
		if (n == 0)
			return 0;
	}
}

ssize_t fd_read_text(int fd, char *ret, size_t size)
{
	size_t len = 0;

	while (len < size - 1) {
		ssize_t n = read(fd, ret + len, size - 1 - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
	}
	ret[len] = '\0';
	return (ssize_t)len;
}

int fd_lock(int fd)
{
	while (flock(fd, LOCK_EX) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return 0;
}

int fd_claim(int fd, unsigned patience_ms)
{
	const struct timespec nap = { .tv_nsec = NS_PER_MS };

	for (unsigned ms = 0;; ms++) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			return 0;
		if (errno != EWOULDBLOCK)
			return -errno;
		/* Beside a claim there is nothing shared. */
		const bool looks = flock(fd, LOCK_SH | LOCK_NB) == 0;
		if (looks)
			(void)flock(fd, LOCK_UN); /* ours: cannot fail */
		if (ms >= (looks ? CLAIM_LOOKS_MS : patience_ms))
			return -EWOULDBLOCK;
		(void)nanosleep(&nap, NULL); /* woken early: one try more */
	}
}

int fd_open_in(int dirfd, const char *path, int flags, mode_t mode)
{
	struct open_how how = {
		.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
		.mode = (flags & (O_CREAT | __O_TMPFILE)) ? mode : 0,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};

	/* EAGAIN: a rename raced with "..", openat2(2); an enemy may keep it up, so not for ever. */
	for (int tries = 0; tries < 128; tries++) {
		long fd = syscall(SYS_openat2, dirfd, path, &how, sizeof(how));
		if (fd >= 0)
			return (int)fd;
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
	}
	return -EAGAIN;
}

int fd_mkdir_in(int dirfd, const char *path, mode_t mode)
{
	int done = fd_open_in(dirfd, path, O_PATH | O_DIRECTORY, 0);
	if (done >= 0 || done != -ENOENT)
		return done;

	char part[PATH_MAX];
	size_t len = strlen(path);
	if (len >= sizeof(part))
		return -ENAMETOOLONG;

	AUTO(fd_close_p) int at = fd_open_in(dirfd, ".", O_PATH | O_DIRECTORY, 0);
	if (at < 0)
		return at;
	for (const char *p = path; *p;) {
		p += strspn(p, "/");
		size_t n = strcspn(p, "/");
		if (!n)
			break;
		/* Open the whole prefix from the root again, so that a link in it stays inside. */
		size_t prefix = (size_t)(p - path) + n;
		memcpy(part, path, prefix);
		part[prefix] = '\0';
		int next = fd_open_in(dirfd, part, O_PATH | O_DIRECTORY, 0);
		if (next == -ENOENT) {
			char name[NAME_MAX + 1];
			if (n > NAME_MAX)
				return -ENAMETOOLONG;
			memcpy(name, p, n);
			name[n] = '\0';
			if (mkdirat(at, name, mode) < 0 && errno != EEXIST)
				return -errno;
			next = fd_open_in(dirfd, part, O_PATH | O_DIRECTORY, 0);
		}
		if (next < 0)
			return next;
		fd_close(at);
		at = next;
		p += n;
	}
	return fd_take(&at);
}

union fd_control {
	char bytes[CMSG_SPACE(sizeof(int))];
	struct cmsghdr align;
};

int fd_send(int socket, const struct iovec *iov, size_t n, int passed)
{
	union fd_control control = { { 0 } };
	struct msghdr msg = { .msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = n };
	ssize_t sent;

	if (passed >= 0) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = sizeof(control.bytes);
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &passed, sizeof(int));
	}
	do {
		sent = sendmsg(socket, &msg, MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : 0;
}

ssize_t fd_receive(int socket, void *data, size_t len, int *ret_fd)
{
	union fd_control control;
	struct iovec iov = { .iov_base = data, .iov_len = len };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = ret_fd ? control.bytes : NULL,
			      .msg_controllen = ret_fd ? sizeof(control.bytes) : 0 };
	ssize_t n;

	/* A peer that left without reading all we sent: said once, before what it sent itself. */
	do {
		n = recvmsg(socket, &msg, MSG_CMSG_CLOEXEC);
	} while (n < 0 && (errno == EINTR || errno == ECONNRESET));
	if (n < 0)
		return -errno;
	struct cmsghdr *c = ret_fd ? CMSG_FIRSTHDR(&msg) : NULL;
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
		memcpy(ret_fd, CMSG_DATA(c), sizeof(int));
	return n;
}

int fd_receive_all(int socket, void *data, size_t len, int64_t deadline_ns)
{
	uint8_t *to = data;

	while (len) {
		struct pollfd ready = { .fd = socket, .events = POLLIN };
		const int64_t ms = (deadline_ns - clock_mono_ns()) / NS_PER_MS;
		if (ms <= 0)
			return -ETIMEDOUT;
		if (poll(&ready, 1, (int)ms) <= 0)
			continue; /* a signal, or the time is up */
		ssize_t n = recv(socket, to, len, MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n <= 0)
			return -EPIPE;
		to += n;
		len -= (size_t)n;
	}
	return 0;
}

int pidfd_of(pid_t pid)
{
	long fd = syscall(SYS_pidfd_open, pid, 0);

	return fd < 0 ? -errno : (int)fd;
}

int pidfd_signal(int pidfd, int sig)
{
	return syscall(SYS_pidfd_send_signal, pidfd, sig, NULL, 0) < 0 ? -errno : 0;
}

void fd_poke(int eventfd)
{
	const uint64_t one = 1;

	(void)!write(eventfd, &one, sizeof(one)); /* full is as good: it is readable then */
}

void fd_calm(int eventfd)
{
	uint64_t times;

	(void)!read(eventfd, &times, sizeof(times)); /* that nobody poked it is no error */
}
