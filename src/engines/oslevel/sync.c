/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/os/fd.h"
#include "engines/oslevel/private.h"

static int sync_write(int fd, const struct sync_message *message, size_t len, int passed)
{
	const struct iovec iov = { .iov_base = (void *)(uintptr_t)message, .iov_len = len };

	return fd_send(fd, &iov, 1, passed);
}

/* All but errors are this much of a message. */
#define SYNC_SHORT offsetof(struct sync_message, err)

int sync_send(int fd, char tag, int status)
{
	const struct sync_message message = { .tag = tag, .status = status };

	return sync_write(fd, &message, SYNC_SHORT, -EBADF);
}

int sync_tell(int fd, char tag, int status, struct err *err)
{
	int r = sync_send(fd, tag, status);

	if (r == -EPIPE || r == -ECONNRESET)
		return 0;
	return r < 0 ? err_set(err, -r, "talk to the container's first process") : 0;
}

void sync_send_fd(int fd, char tag, int passed)
{
	const struct sync_message message = { .tag = tag };

	(void)sync_write(fd, &message, SYNC_SHORT, passed); /* a dead peer shows at the next read */
}

void sync_send_error(int fd, int status, const struct err *err)
{
	struct sync_message message = { .tag = SYNC_ERROR, .status = status, .err = *err };

	message.err.where = NULL;				 /* a pointer of this process */
	(void)sync_write(fd, &message, sizeof(message), -EBADF); /* nobody left to tell */
}

int sync_expect(int fd, char tag, int *ret_fd, int *ret_status, struct err *err)
{
	struct sync_message message = { 0 };
	AUTO(fd_close_p) int passed = -EBADF;
	ssize_t n = fd_receive(fd, &message, sizeof(message), &passed);

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
