/* SPDX-License-Identifier: Apache-2.0 */
/* What passt, or who took its place, may say: a stream with lengths in it, in pieces, into buffers of any size. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/os/loop.h"
#include "network/passt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever the length that is told, not a byte more than there is room for is written: ASan looks. */
static bool take(struct net *net, size_t room)
{
	uint8_t *buffer = malloc(room + 1);
	const struct mem_iov iov[] = { { buffer, room / 3 },
				       { buffer + room / 3, room - room / 3 } };
	int64_t len = buffer ? net->ops->receive(net, iov, 2) : -1;

	if (len > 12 + PASST_FRAME_MAX || (len >= 0 && len < 12 + PASST_FRAME_MIN))
		abort();
	free(buffer);
	return len >= 0;
}

static void give(struct net *net, const uint8_t *data, size_t len)
{
	const struct mem_iov iov[] = { { (void *)(uintptr_t)data, len / 2 },
				       { (void *)(uintptr_t)(data + len / 2), len - len / 2 } };

	(void)net->ops->send(net, iov, 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct loop *loop = NULL;
	struct net *net = NULL;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return 0;
	if (loop_create(&loop, NULL) < 0 || net_passt_open(pair[0], loop, &net, NULL) < 0)
		abort();
	/* A byte says how much comes next, and into what. */
	while (size > 0) {
		size_t part = data[0];
		data++;
		size--;
		if (part > size)
			part = size;
		(void)send(pair[1], data, part, MSG_DONTWAIT | MSG_NOSIGNAL);
		give(net, data, part);
		while (take(net, part))
			;
		(void)loop_run_once(loop, 0, NULL);
		data += part;
		size -= part;
	}
	(void)close(pair[1]);
	(void)loop_run_once(loop, 0, NULL);
	while (take(net, 2000))
		;
	net->ops->close(net);
	loop_free(loop);
	return 0;
}
