/* SPDX-License-Identifier: Apache-2.0 */
#include "backends.h"

#include <errno.h>
#include <string.h>

#include "base/core/macros.h"

/* ---- disk ---- */

static void ram_disk_copy(struct ram_disk *disk, const struct disk_request *req)
{
	uint8_t *at = disk->data + req->offset_bytes;

	for (unsigned i = 0; i < req->n_iov; i++) {
		if (req->op == DISK_READ)
			memcpy(req->iov[i].hva, at, req->iov[i].len);
		else
			memcpy(at, req->iov[i].hva, req->iov[i].len);
		at += req->iov[i].len;
	}
}

static void ram_disk_submit(struct disk *base, struct disk_request *req)
{
	struct ram_disk *disk = container_of(base, struct ram_disk, disk);
	int result = 0;

	if (req->offset_bytes > RAM_DISK_BYTES ||
	    RAM_DISK_BYTES - req->offset_bytes < req->len_bytes)
		result = -EINVAL;
	else if (req->op == DISK_READ || req->op == DISK_WRITE)
		ram_disk_copy(disk, req);
	else if (req->op == DISK_FLUSH)
		disk->flushes++;
	else
		memset(disk->data + req->offset_bytes, 0, req->len_bytes);
	disk->discards += req->op == DISK_DISCARD;
	req->done(req, result);
}

static void ram_disk_close(struct disk *base)
{
	(void)base;
}

void ram_disk_init(struct ram_disk *disk, uint8_t *data)
{
	static const struct disk_ops ops = {
		.name = "ram",
		.submit = ram_disk_submit,
		.close = ram_disk_close,
	};

	*disk = (struct ram_disk){
		.disk = { .ops = &ops,
			  .size_bytes = RAM_DISK_BYTES,
			  .block_bytes = DISK_SECTOR_BYTES,
			  .can_discard = true,
			  .id = "bare" },
		.data = data,
	};
}

/* ---- console ---- */

static int64_t ram_console_write(struct console *base, const void *data, size_t len)
{
	struct ram_console *console = container_of(base, struct ram_console, console);
	size_t room = RAM_CONSOLE_BYTES - console->n_out;

	if (len > room)
		len = room;
	memcpy(console->out + console->n_out, data, len);
	console->n_out += len;
	return (int64_t)len;
}

static int64_t ram_console_read(struct console *base, void *ret, size_t len)
{
	struct ram_console *console = container_of(base, struct ram_console, console);

	if (len > console->n_in)
		len = console->n_in;
	memcpy(ret, console->in, len);
	console->n_in -= len;
	memmove(console->in, console->in + len, console->n_in);
	return (int64_t)len;
}

static void ram_console_close(struct console *base)
{
	(void)base;
}

void ram_console_init(struct ram_console *console)
{
	static const struct console_ops ops = {
		.write = ram_console_write,
		.read = ram_console_read,
		.close = ram_console_close,
	};

	memset(console, 0, sizeof(*console));
	console->console.ops = &ops;
}

void ram_console_type(struct ram_console *console, const char *text)
{
	while (*text && console->n_in < RAM_CONSOLE_BYTES)
		console->in[console->n_in++] = (uint8_t)*text++;
	if (console->console.readable)
		console->console.readable(&console->console, console->console.arg);
}

/* ---- network ---- */

static int ram_net_send(struct net *base, const struct mem_iov *iov, unsigned n)
{
	struct ram_net *net = container_of(base, struct ram_net, net);
	uint64_t len = 0;

	if (net->n == RAM_NET_FRAMES)
		return -EAGAIN;
	for (unsigned i = 0; i < n; i++) {
		if (iov[i].len > RAM_NET_FRAME_BYTES - len)
			return -EMSGSIZE;
		memcpy(net->frames[net->n] + len, iov[i].hva, iov[i].len);
		len += iov[i].len;
	}
	net->lens[net->n++] = len;
	net->news = true;
	return 0;
}

static int64_t ram_net_receive(struct net *base, const struct mem_iov *iov, unsigned n)
{
	struct ram_net *net = container_of(base, struct ram_net, net);

	if (!net->n)
		return -EAGAIN;
	uint64_t len = net->lens[0], done = 0;
	for (unsigned i = 0; i < n && done < len; i++) {
		uint64_t part = iov[i].len < len - done ? iov[i].len : len - done;
		memcpy(iov[i].hva, net->frames[0] + done, part);
		done += part;
	}
	net->n--;
	memmove(net->frames[0], net->frames[1], net->n * sizeof(net->frames[0]));
	memmove(&net->lens[0], &net->lens[1], net->n * sizeof(net->lens[0]));
	return (int64_t)len;
}

static void ram_net_close(struct net *base)
{
	(void)base;
}

void ram_net_init(struct ram_net *net)
{
	static const struct net_ops ops = {
		.name = "loop",
		.send = ram_net_send,
		.receive = ram_net_receive,
		.close = ram_net_close,
	};

	memset(net, 0, sizeof(*net));
	net->net.ops = &ops;
}

bool ram_net_tell(struct ram_net *net)
{
	if (!net->news)
		return false;
	net->news = false;
	net->net.readable(&net->net, net->net.arg);
	return true;
}

/* ---- entropy ---- */

static int counting_entropy_get(struct entropy *base, void *ret, size_t len)
{
	struct counting_entropy *entropy = container_of(base, struct counting_entropy, entropy);
	uint8_t *bytes = ret;

	for (size_t i = 0; i < len; i++)
		bytes[i] = entropy->next++;
	return 0;
}

void counting_entropy_init(struct counting_entropy *entropy)
{
	static const struct entropy_ops ops = { .get = counting_entropy_get };

	*entropy = (struct counting_entropy){ .entropy = { .ops = &ops } };
}

/* ---- memory ---- */

static void *one_heap_alloc(const struct mem_ops *ops, size_t len)
{
	struct one_heap *heap = container_of(ops, struct one_heap, ops);

	if (heap->taken || len > heap->block_bytes)
		return NULL;
	heap->taken = true;
	return memset(heap->block, 0, len);
}

static void one_heap_free(const struct mem_ops *ops, void *ptr)
{
	if (ptr)
		container_of(ops, struct one_heap, ops)->taken = false;
}

void one_heap_init(struct one_heap *heap, void *block, size_t block_bytes)
{
	*heap = (struct one_heap){ .ops = { .alloc = one_heap_alloc, .free = one_heap_free },
				   .block = block,
				   .block_bytes = block_bytes };
}

/* ---- vsock ---- */

static struct echo_host *echo_of(struct vsock_host *host)
{
	return container_of(host, struct echo_host, host);
}

static int echo_connect(struct vsock_host *host, struct vsock_stream *stream)
{
	if (stream->host_port != ECHO_PORT)
		return -ECONNREFUSED;
	echo_of(host)->stream = stream;
	return 0;
}

static void echo_connected(struct vsock_host *host, struct vsock_stream *stream)
{
	(void)host;
	(void)stream;
}

static int64_t echo_write(struct vsock_host *host, struct vsock_stream *stream, const void *data,
			  size_t len)
{
	struct echo_host *echo = echo_of(host);

	(void)stream;
	if (len > sizeof(echo->bytes) - echo->n)
		len = sizeof(echo->bytes) - echo->n;
	memcpy(echo->bytes + echo->n, data, len);
	echo->n += len;
	echo->news = true;
	return (int64_t)len;
}

static int64_t echo_read(struct vsock_host *host, struct vsock_stream *stream, void *ret,
			 size_t len)
{
	struct echo_host *echo = echo_of(host);

	(void)stream;
	if (len > echo->n)
		len = echo->n;
	memcpy(ret, echo->bytes, len);
	echo->n -= len;
	memmove(echo->bytes, echo->bytes + len, echo->n);
	return (int64_t)len;
}

static void echo_shutdown(struct vsock_host *host, struct vsock_stream *stream)
{
	(void)stream;
	echo_of(host)->ended = true;
}

static void echo_close(struct vsock_host *host, struct vsock_stream *stream)
{
	(void)stream;
	echo_of(host)->stream = NULL;
	echo_of(host)->closes++;
}

void echo_host_init(struct echo_host *echo)
{
	static const struct vsock_host_ops ops = {
		.connect = echo_connect,
		.connected = echo_connected,
		.write = echo_write,
		.read = echo_read,
		.shutdown = echo_shutdown,
		.close = echo_close,
	};

	memset(echo, 0, sizeof(*echo));
	echo->host.ops = &ops;
}

bool echo_host_tell(struct echo_host *echo, struct virtio_vsock *dev)
{
	if (!echo->news || !echo->stream)
		return false;
	echo->news = false;
	virtio_vsock_readable(dev, echo->stream);
	return true;
}
