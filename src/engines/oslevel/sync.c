/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/os/fd.h"
#include "engines/oslevel/private.h"

static int sync_sendmsg(int fd, const void *data, size_t len, int passed)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec iov = { .iov_base = (void *)(uintptr_t)data, .iov_len = len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (passed >= 0) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = sizeof(control.bytes);
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &passed, sizeof(int));
	}
	return sendmsg(fd, &msg, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* All but errors are this much of a message. */
#define SYNC_SHORT offsetof(struct sync_message, err)

int sync_send(int fd, char tag, int status)
{
	const struct sync_message message = { .tag = tag, .status = status };

	return sync_sendmsg(fd, &message, SYNC_SHORT, -EBADF);
}

void sync_send_fd(int fd, char tag, int passed)
{
	const struct sync_message message = { .tag = tag };

	(void)sync_sendmsg(fd, &message, SYNC_SHORT,
			   passed); /* a dead peer shows at the next read */
}

void sync_send_error(int fd, int status, const struct err *err)
{
	struct sync_message message = { .tag = SYNC_ERROR, .status = status, .err = *err };

	message.err.where = NULL;				   /* a pointer of this process */
	(void)sync_sendmsg(fd, &message, sizeof(message), -EBADF); /* nobody left to tell */
}

/* One message and the fd with it. Return: its length, 0 at end of file, or a negative errno. */
static ssize_t sync_receive(int fd, struct sync_message *message, int *ret_fd)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = { .iov_base = message, .iov_len = sizeof(*message) };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	ssize_t n;

	/* A peer that died without reading all we sent: said once, before what it sent itself. */
	do {
		n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
	} while (n < 0 && (errno == EINTR || errno == ECONNRESET));
	if (n < 0)
		return -errno;

	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
		memcpy(ret_fd, CMSG_DATA(c), sizeof(int));
	return n;
}

int sync_expect(int fd, char tag, int *ret_fd, int *ret_status, struct err *err)
{
	struct sync_message message = { 0 };
	AUTO(fd_close_p) int passed = -EBADF;
	ssize_t n = sync_receive(fd, &message, &passed);

	if (n < 0)
		return err_set(err, (int)-n, "talk to the container's first process");
	if (n == 0)
		return 1;
	if (message.tag == SYNC_ERROR && (size_t)n == sizeof(message)) {
		message.err.text[sizeof(message.err.text) - 1] = '\0';
		if (ret_status)
			*ret_status = message.status;
		if (err)
			*err = message.err;
		return message.err.code > 0 ? -message.err.code : -EIO;
	}
	if (message.tag != tag)
		return err_say(err, EPROTO, "the container's first process said %d, not %d",
			       message.tag, tag);
	if (ret_status)
		*ret_status = message.status;
	if (ret_fd)
		*ret_fd = fd_take(&passed);
	return 0;
}
