/* SPDX-License-Identifier: Apache-2.0 */
#include "stream.h"

#include <errno.h>
#include <unistd.h>

#include "base/os/fd.h"

void stream_init(struct stream *stream, int take_from, int take_to)
{
	stream->from = take_from;
	stream->to = take_to;
	stream->from_port = stream->to_port = stream->seen = stream->to_stays = false;
	stream->total_bytes = 0;
	stream->at = stream->len = 0;
}

static void stream_close(int *fd)
{
	fd_close(*fd);
	*fd = -EBADF;
}

void stream_fini(struct stream *stream)
{
	stream_close(&stream->from);
	stream_close(&stream->to);
	stream->at = stream->len = 0;
}

bool stream_over(const struct stream *stream)
{
	return stream->to < 0 || (stream->from < 0 && stream->at == stream->len);
}

/* The reader has gone: the writer is to see that, as it would with a pipe. */
static void stream_broken(struct stream *stream)
{
	stream->at = stream->len = 0;
	stream_close(&stream->from);
	stream_close(&stream->to);
}

static void stream_write(struct stream *stream)
{
	while (stream->at < stream->len && stream->to >= 0) {
		ssize_t n = write(stream->to, stream->data + stream->at, stream->len - stream->at);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			stream_broken(stream);
			return;
		}
		stream->at += (size_t)n;
		stream->total_bytes += (uint64_t)n;
	}
	stream->at = stream->len = 0;
	if (stream->from < 0 && !stream->to_stays)
		stream_close(&stream->to);
}

/* @last: nothing more comes, so that "nothing there" is the end too. */
static void stream_read(struct stream *stream, bool last)
{
	if (stream->from < 0 || stream->at < stream->len)
		return;
	ssize_t n = read(stream->from, stream->data, sizeof(stream->data));
	if (n < 0 && (errno == EINTR || (errno == EAGAIN && !last)))
		return;
	if (n == 0 && stream->from_port && !stream->seen && !last)
		return;
	stream->seen = stream->seen || (n > 0 && stream->from_port);
	stream->at = 0;
	stream->len = n > 0 ? (size_t)n : 0;
	if (n <= 0) /* a terminal's master side says EIO when its last slave closed */
		stream_close(&stream->from);
	stream_write(stream);
}

bool stream_polls(const struct stream *stream, struct pollfd polls[2])
{
	bool pending = stream->at < stream->len;
	bool unseen = (stream->from_port || stream->to_port) && !stream->seen;

	polls[0] = (struct pollfd){ pending ? -1 : stream->from, POLLIN, 0 };
	polls[1] = (struct pollfd){ stream->to, pending ? POLLOUT : 0, 0 };
	if (stream->from < 0 && !pending)
		polls[1].fd = -1;
	if (!unseen)
		return false;
	/* POLLHUP cannot be switched off: an unopened port is looked at by the clock. */
	if (stream->from_port)
		polls[0].fd = -1;
	else
		polls[1].fd = -1;
	return !stream_over(stream);
}

static void stream_look(struct stream *stream)
{
	struct pollfd port = { stream->from_port ? stream->from : stream->to, POLLIN | POLLOUT, 0 };

	if (!stream->from_port && !stream->to_port)
		return;
	if (!stream->seen && port.fd >= 0 && poll(&port, 1, 0) > 0 && !(port.revents & POLLHUP))
		stream->seen = true;
}

void stream_run(struct stream *stream, const struct pollfd polls[2])
{
	stream_look(stream);
	if (stream->to < 0) { /* there never was one: a host without this port */
		stream_broken(stream);
		return;
	}
	if (polls[1].revents & (POLLHUP | POLLERR) && (!stream->to_port || stream->seen)) {
		stream_broken(stream);
		return;
	}
	stream_write(stream);
	if (polls[0].revents || (stream->from_port && !stream->seen))
		stream_read(stream, false);
}

void stream_end(struct stream *stream)
{
	stream_write(stream);
	stream_read(stream, true);
}
