/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/wire.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/os/fd.h"

#define WIRE_BACKLOG 64

union wire_control {
	char bytes[CMSG_SPACE(sizeof(int))];
	struct cmsghdr align;
};

int wire_send_fd(int fd, char tag, const void *data, size_t len, int passed)
{
	union wire_control control = { { 0 } };
	struct iovec iov[2] = {
		{ .iov_base = &tag, .iov_len = 1 },
		{ .iov_base = (void *)(uintptr_t)data, .iov_len = len },
	};
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = len ? 2 : 1 };
	ssize_t n;

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
		n = sendmsg(fd, &msg, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

int wire_send(int fd, char tag, const void *data, size_t len)
{
	return wire_send_fd(fd, tag, data, len, -EBADF);
}

ssize_t wire_receive_fd(int fd, struct wire_message *ret, int *ret_fd)
{
	union wire_control control;
	struct iovec iov = { .iov_base = ret, .iov_len = sizeof(*ret) };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = ret_fd ? control.bytes : NULL,
			      .msg_controllen = ret_fd ? sizeof(control.bytes) : 0 };
	ssize_t n;

	/* A peer that left without reading all we sent: said once, before what it sent itself. */
	do {
		n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
	} while (n < 0 && (errno == EINTR || errno == ECONNRESET));
	if (n < 0)
		return -errno;
	struct cmsghdr *c = ret_fd ? CMSG_FIRSTHDR(&msg) : NULL;
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
		memcpy(ret_fd, CMSG_DATA(c), sizeof(int));
	return n == 0 ? -EPIPE : n - 1;
}

ssize_t wire_receive(int fd, struct wire_message *ret)
{
	return wire_receive_fd(fd, ret, NULL);
}

/* sun_path holds 107 bytes; through /proc/self/fd any directory fits. */
static int wire_address(int dirfd, const char *name, struct sockaddr_un *ret)
{
	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	int n = snprintf(ret->sun_path, sizeof(ret->sun_path), "/proc/self/fd/%d/%s", dirfd, name);
	return n < 0 || (size_t)n >= sizeof(ret->sun_path) ? -ENAMETOOLONG : 0;
}

int wire_connect(int dirfd, const char *name)
{
	struct sockaddr_un address;
	int r = wire_address(dirfd, name, &address);
	AUTO(fd_close_p) int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (r < 0 || fd < 0)
		return r < 0 ? r : -errno;
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	return fd_take(&fd);
}

int wire_listen(int dirfd, const char *name)
{
	struct sockaddr_un address;
	int r = wire_address(dirfd, name, &address);
	AUTO(fd_close_p) int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (r < 0 || fd < 0)
		return r < 0 ? r : -errno;
	(void)unlinkat(dirfd, name,
		       0); /* of an earlier life; the directory's lock says nobody else listens */
	if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(fd, WIRE_BACKLOG) < 0)
		return -errno;
	return fd_take(&fd);
}
