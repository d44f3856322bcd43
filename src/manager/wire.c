/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/wire.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/os/fd.h"

#define WIRE_BACKLOG 64

int wire_send_fd(int fd, char tag, const void *data, size_t len, int passed)
{
	const struct iovec iov[2] = {
		{ .iov_base = &tag, .iov_len = 1 },
		{ .iov_base = (void *)(uintptr_t)data, .iov_len = len },
	};

	int r = fd_send(fd, iov, len ? 2 : 1, passed);
	return r == -ECONNRESET ? -EPIPE : r; /* it died before it had accepted us */
}

int wire_send(int fd, char tag, const void *data, size_t len)
{
	return wire_send_fd(fd, tag, data, len, -EBADF);
}

ssize_t wire_receive_fd(int fd, struct wire_message *ret, int *ret_fd)
{
	ssize_t n = fd_receive(fd, ret, sizeof(*ret), ret_fd);

	return n == -ECONNRESET || n == 0 ? -EPIPE : n < 0 ? n : n - 1;
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
