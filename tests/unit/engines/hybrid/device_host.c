/* SPDX-License-Identifier: Apache-2.0 */
#include "device_host.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/core/macros.h"
#include "base/os/fd.h"
#include "devices/virtio/balloon.h"
#include "devices/virtio/blk.h"
#include "devices/virtio/console.h"
#include "devices/virtio/net.h"
#include "devices/virtio/rng.h"
#include "devices/virtio/virtio_pci.h"
#include "devices/virtio/vsock.h"
#include "tiny_vm.h"

#define DISK_BYTES  (1U << 20)
#define FRAMES	    16U
#define FRAME_BYTES 2048U
#define STREAM_ROOM 65536U
#define ECHO_PORT   7U

enum { NET, BLK, CONSOLE, RNG, BALLOON, VSOCK, DEVICES };

struct frame {
	size_t len;
	uint8_t data[FRAME_BYTES];
};

/* Bytes that wait to go back where they came from. */
struct echo {
	uint8_t data[STREAM_ROOM];
	size_t len;
};

/* One device on the bus: bits of queues that were kicked, for the I/O thread. */
struct place {
	struct virtio_host host;
	struct device_host *of;
	struct virtio_dev *dev;
	struct virtio_pci pci;
	uint64_t kicked; /* atomic; bit 63: VIRTIO_CONTROL */
};

struct device_host {
	struct pci_bus pci;
	struct irq_sink irq;
	struct vm *vm;
	struct place places[DEVICES];
	pthread_t thread;
	int fd; /* eventfd: something was kicked, or it is over */
	uint32_t over;

	struct virtio_net nic;
	struct net net;
	struct frame frames[FRAMES];
	unsigned first, n_frames;
	struct virtio_blk blk;
	struct disk disk;
	uint8_t *bytes;
	struct virtio_console console;
	struct console null, port;
	struct echo port_echo;
	struct virtio_rng rng;
	struct entropy entropy;
	struct virtio_balloon balloon;
	struct balloon_host balloon_host;
	struct virtio_vsock vsock;
	struct vsock_host vsock_host;
	struct mem_ops heap;
	struct vsock_stream *stream; /* the one at the echo's port */
	struct echo stream_echo;
	bool stream_shut;
};

/* ---- back ends; all on the I/O thread ---- */

static int net_send(struct net *net, const struct mem_iov *iov, unsigned n)
{
	struct device_host *host = container_of(net, struct device_host, net);
	struct frame *f = &host->frames[(host->first + host->n_frames) % FRAMES];

	if (host->n_frames == FRAMES)
		return -EAGAIN;
	f->len = 0;
	for (unsigned i = 0; i < n; i++) {
		size_t len = iov[i].len < FRAME_BYTES - f->len ? (size_t)iov[i].len
							       : FRAME_BYTES - f->len;
		memcpy(f->data + f->len, iov[i].hva, len);
		f->len += len;
	}
	host->n_frames++;
	return 0;
}

static int64_t net_receive(struct net *net, const struct mem_iov *iov, unsigned n)
{
	struct device_host *host = container_of(net, struct device_host, net);
	const struct frame *f = &host->frames[host->first];
	size_t done = 0;

	if (host->n_frames == 0)
		return -EAGAIN;
	for (unsigned i = 0; i < n && done < f->len; i++) {
		size_t len = iov[i].len < f->len - done ? (size_t)iov[i].len : f->len - done;
		memcpy(iov[i].hva, f->data + done, len);
		done += len;
	}
	host->first = (host->first + 1) % FRAMES;
	host->n_frames--;
	return (int64_t)f->len;
}

static void net_close(struct net *net)
{
	(void)net;
}

static const struct net_ops net_ops = {
	.name = "echo", .send = net_send, .receive = net_receive, .close = net_close
};

static void disk_copy(struct device_host *host, const struct disk_request *req)
{
	uint8_t *at = host->bytes + req->offset_bytes;

	for (unsigned i = 0; i < req->n_iov; i++) {
		if (req->op == DISK_WRITE)
			memcpy(at, req->iov[i].hva, req->iov[i].len);
		else
			memcpy(req->iov[i].hva, at, req->iov[i].len);
		at += req->iov[i].len;
	}
}

static void disk_submit(struct disk *disk, struct disk_request *req)
{
	struct device_host *host = container_of(disk, struct device_host, disk);

	if (req->offset_bytes > DISK_BYTES || req->len_bytes > DISK_BYTES - req->offset_bytes) {
		req->done(req, -EINVAL);
		return;
	}
	if (req->op == DISK_READ || req->op == DISK_WRITE)
		disk_copy(host, req);
	else if (req->op != DISK_FLUSH)
		memset(host->bytes + req->offset_bytes, 0, req->len_bytes);
	req->done(req, 0);
}

static void disk_close(struct disk *disk)
{
	(void)disk;
}

static const struct disk_ops disk_ops = { .name = "memory",
					  .submit = disk_submit,
					  .close = disk_close };

static int64_t echo_put(struct echo *echo, const void *data, size_t len)
{
	if (len > STREAM_ROOM - echo->len)
		len = STREAM_ROOM - echo->len;
	memcpy(echo->data + echo->len, data, len);
	echo->len += len;
	return (int64_t)len;
}

static int64_t echo_take(struct echo *echo, void *ret, size_t len)
{
	if (len > echo->len)
		len = echo->len;
	memcpy(ret, echo->data, len);
	memmove(echo->data, echo->data + len, echo->len - len);
	echo->len -= len;
	return (int64_t)len;
}

static int64_t null_write(struct console *console, const void *data, size_t len)
{
	(void)console;
	(void)data;
	return (int64_t)len;
}

static int64_t null_read(struct console *console, void *ret, size_t len)
{
	(void)console;
	(void)ret;
	(void)len;
	return 0;
}

static int64_t port_write(struct console *console, const void *data, size_t len)
{
	return echo_put(&container_of(console, struct device_host, port)->port_echo, data, len);
}

static int64_t port_read(struct console *console, void *ret, size_t len)
{
	return echo_take(&container_of(console, struct device_host, port)->port_echo, ret, len);
}

static void console_close(struct console *console)
{
	(void)console;
}

static const struct console_ops null_ops = { .write = null_write,
					     .read = null_read,
					     .close = console_close };
static const struct console_ops port_ops = { .write = port_write,
					     .read = port_read,
					     .close = console_close };

static int entropy_get(struct entropy *entropy, void *ret, size_t len)
{
	(void)entropy;
	return getrandom(ret, len, 0) == (ssize_t)len ? 0 : -EIO;
}

static const struct entropy_ops entropy_ops = { .get = entropy_get };

static void balloon_release(struct balloon_host *host, gpa_t gpa, uint64_t len)
{
	struct device_host *of = container_of(host, struct device_host, balloon_host);
	void *hva = mem_hva_rw(of->balloon.virtio.mem, gpa, len);

	if (hva)
		memset(hva, 0, len); /* as the pages come back */
}

static const struct balloon_host_ops balloon_ops = { .release = balloon_release };

static int stream_connect(struct vsock_host *vsock, struct vsock_stream *stream)
{
	struct device_host *host = container_of(vsock, struct device_host, vsock_host);

	if (stream->host_port != ECHO_PORT || host->stream)
		return -ECONNREFUSED;
	host->stream = stream;
	host->stream_echo.len = 0;
	host->stream_shut = false;
	return 0;
}

static void stream_connected(struct vsock_host *vsock, struct vsock_stream *stream)
{
	(void)vsock;
	(void)stream;
}

static int64_t stream_write(struct vsock_host *vsock, struct vsock_stream *stream, const void *data,
			    size_t len)
{
	(void)stream;
	return echo_put(&container_of(vsock, struct device_host, vsock_host)->stream_echo, data,
			len);
}

static int64_t stream_read(struct vsock_host *vsock, struct vsock_stream *stream, void *ret,
			   size_t len)
{
	struct device_host *host = container_of(vsock, struct device_host, vsock_host);

	(void)stream;
	if (host->stream_echo.len == 0 && host->stream_shut)
		return -EPIPE;
	return echo_take(&host->stream_echo, ret, len);
}

static void stream_shutdown(struct vsock_host *vsock, struct vsock_stream *stream)
{
	(void)stream;
	container_of(vsock, struct device_host, vsock_host)->stream_shut = true;
}

static void stream_close(struct vsock_host *vsock, struct vsock_stream *stream)
{
	(void)stream;
	container_of(vsock, struct device_host, vsock_host)->stream = NULL;
}

static const struct vsock_host_ops vsock_ops = {
	.connect = stream_connect,
	.connected = stream_connected,
	.write = stream_write,
	.read = stream_read,
	.shutdown = stream_shutdown,
	.close = stream_close,
};

static void *heap_alloc(const struct mem_ops *ops, size_t len)
{
	(void)ops;
	return calloc(1, len);
}

static void heap_free(const struct mem_ops *ops, void *ptr)
{
	(void)ops;
	free(ptr);
}

/* ---- the thread ---- */

static void place_kick(struct virtio_host *base, struct virtio_dev *dev, uint16_t queue)
{
	struct place *place = container_of(base, struct place, host);
	const uint64_t one = 1;

	(void)dev;
	(void)__atomic_or_fetch(&place->kicked,
				UINT64_C(1) << (queue == VIRTIO_CONTROL ? 63 : queue),
				__ATOMIC_SEQ_CST);
	assert_int_equal(write(place->of->fd, &one, sizeof(one)), sizeof(one));
}

static const struct virtio_host_ops place_ops = { .kick = place_kick };

static void place_run(struct place *place)
{
	uint64_t kicked = __atomic_exchange_n(&place->kicked, 0, __ATOMIC_SEQ_CST);

	if (kicked >> 63)
		virtio_queue_run(place->dev, VIRTIO_CONTROL);
	for (uint16_t i = 0; i < 63; i++) {
		if (kicked >> i & 1)
			virtio_queue_run(place->dev, i);
	}
}

/* What a back end has for its device now: callbacks come with no lock held. */
static void news(struct device_host *host)
{
	if (host->n_frames)
		host->net.readable(&host->net, host->net.arg);
	if (host->n_frames < FRAMES)
		host->net.writable(&host->net, host->net.arg);
	if (host->port_echo.len)
		host->port.readable(&host->port, host->port.arg);
	if (host->stream && (host->stream_echo.len || host->stream_shut))
		virtio_vsock_readable(&host->vsock, host->stream);
}

static void *io_main(void *arg)
{
	struct device_host *host = arg;
	uint64_t times;

	while (!__atomic_load_n(&host->over, __ATOMIC_SEQ_CST)) {
		if (read(host->fd, &times, sizeof(times)) != sizeof(times))
			break;
		for (unsigned i = 0; i < DEVICES; i++)
			place_run(&host->places[i]);
		news(host);
	}
	return NULL;
}

/* ---- the machine's side ---- */

static void irq_line(struct irq_sink *sink, uint32_t gsi, bool level)
{
	struct vm *vm = container_of(sink, struct device_host, irq)->vm;

	vm->ops->irq_set(vm, gsi, level);
}

static void irq_msi(struct irq_sink *sink, uint64_t addr, uint32_t data)
{
	struct vm *vm = container_of(sink, struct device_host, irq)->vm;

	vm->ops->msi(vm, addr, data);
}

static const struct irq_sink_ops irq_ops = { .line = irq_line, .msi = irq_msi };

static void attach(struct device_host *host, unsigned which, struct virtio_dev *dev)
{
	struct place *place = &host->places[which];
	struct err err = { 0 };

	place->dev = dev;
	if (virtio_pci_attach(&place->pci, dev, &host->pci, -1, &err) < 0)
		fail_msg("%s", err.text);
}

static void devices_make(struct device_host *host, struct guest_mem *mem)
{
	static const uint8_t mac[6] = { 2, 0, 0, 0, 0, 1 };
	const struct console_port_config ports[2] = { { .console = &host->null,
							.is_console = true },
						      { .console = &host->port, .name = "echo" } };
	struct virtio_place places[DEVICES];

	for (unsigned i = 0; i < DEVICES; i++) {
		host->places[i].host.ops = &place_ops;
		host->places[i].of = host;
		places[i] = (struct virtio_place){ mem, &host->places[i].host };
	}
	host->net.ops = &net_ops;
	host->disk = (struct disk){ .ops = &disk_ops,
				    .size_bytes = DISK_BYTES,
				    .block_bytes = 512,
				    .can_discard = true,
				    .id = "memory" };
	host->null.ops = &null_ops;
	host->port.ops = &port_ops;
	host->entropy.ops = &entropy_ops;
	host->balloon_host.ops = &balloon_ops;
	host->vsock_host.ops = &vsock_ops;
	host->heap = (struct mem_ops){ heap_alloc, heap_free };
	virtio_net_init(&host->nic, &places[NET], &host->net, mac);
	virtio_blk_init(&host->blk, &places[BLK], &host->disk);
	virtio_console_init(&host->console, &places[CONSOLE], ports, 2);
	virtio_rng_init(&host->rng, &places[RNG], &host->entropy);
	virtio_balloon_init(&host->balloon, &places[BALLOON], &host->balloon_host);
	virtio_vsock_init(&host->vsock, &places[VSOCK], 3, &host->vsock_host, &host->heap);
	attach(host, NET, &host->nic.virtio);
	attach(host, BLK, &host->blk.virtio);
	attach(host, CONSOLE, &host->console.virtio);
	attach(host, RNG, &host->rng.virtio);
	attach(host, BALLOON, &host->balloon.virtio);
	attach(host, VSOCK, &host->vsock.virtio);
}

struct device_host *device_host_start(struct guest_mem *mem, struct bus *mmio, struct bus *pio,
				      struct vm *vm)
{
	struct device_host *host = calloc(1, sizeof(*host));
	struct err err = { 0 };

	assert_non_null(host);
	host->vm = vm;
	host->irq.ops = &irq_ops;
	host->bytes = calloc(1, DISK_BYTES);
	assert_non_null(host->bytes);
	host->fd = eventfd(0, EFD_CLOEXEC);
	assert_true(host->fd >= 0);
	if (pci_bus_init(&host->pci, mmio, pio, &host->irq, &err) < 0)
		fail_msg("%s", err.text);
	devices_make(host, mem);
	assert_int_equal(pthread_create(&host->thread, NULL, io_main, host), 0);
	return host;
}

void device_host_stop(struct device_host *host)
{
	const uint64_t one = 1;

	if (!host)
		return;
	__atomic_store_n(&host->over, 1, __ATOMIC_SEQ_CST);
	assert_int_equal(write(host->fd, &one, sizeof(one)), sizeof(one));
	assert_int_equal(pthread_join(host->thread, NULL), 0);
	for (unsigned i = 0; i < DEVICES; i++) /* nothing of these back ends is ever under way */
		assert_true(virtio_stop(host->places[i].dev));
	fd_close(host->fd);
	free(host->bytes);
	free(host);
}
