/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

#include "base/core/macros.h"
#include "base/os/fd.h"
#include "base/os/loop.h"
#include "network/tap.h"

_Static_assert(NET_TAP_IOCTL == TUNSETOFFLOAD, "linux/if_tun.h");
_Static_assert(sizeof(struct mem_iov) == sizeof(struct iovec), "mem_iov is an iovec");

#define BIT(n) (UINT64_C(1) << (n))

struct net_tap {
	struct net net;
	struct loop *loop;
	int fd;
	uint32_t events; /* what the loop waits for */
};

static struct net_tap *tap_of(struct net *net)
{
	return container_of(net, struct net_tap, net);
}

static void tap_watch(struct net_tap *t, uint32_t events)
{
	if (t->events != events && loop_mod(t->loop, t->fd, events, NULL) == 0)
		t->events = events;
}

static int tap_send(struct net *net, const struct mem_iov *iov, unsigned n)
{
	struct net_tap *t = tap_of(net);

	if (writev(t->fd, (const struct iovec *)(const void *)iov, (int)n) >= 0)
		return 0;
	if (errno == EAGAIN)
		tap_watch(t, t->events | EPOLLOUT);
	return -errno;
}

/* A frame that does not fit is cut by the kernel, which does not say so: buffers hold 64 KiB where offloads are on. */
static int64_t tap_receive(struct net *net, const struct mem_iov *iov, unsigned n)
{
	struct net_tap *t = tap_of(net);
	ssize_t len = readv(t->fd, (const struct iovec *)(const void *)iov, (int)n);

	if (len >= 0)
		return len;
	if (errno == EAGAIN)
		tap_watch(t, t->events | EPOLLIN);
	return -errno;
}

static int tap_offload_set(struct net *net, uint64_t features)
{
	unsigned long flags = 0;

	if (features & BIT(VIRTIO_NET_F_GUEST_CSUM))
		flags |= TUN_F_CSUM;
	if (features & BIT(VIRTIO_NET_F_GUEST_TSO4))
		flags |= TUN_F_TSO4;
	if (features & BIT(VIRTIO_NET_F_GUEST_TSO6))
		flags |= TUN_F_TSO6;
	if (features & BIT(VIRTIO_NET_F_GUEST_ECN))
		flags |= TUN_F_TSO_ECN;
	return ioctl(tap_of(net)->fd, TUNSETOFFLOAD, flags) < 0 ? -errno : 0;
}

static void tap_close(struct net *net)
{
	if (!net)
		return;
	struct net_tap *t = tap_of(net);

	loop_del(t->loop, t->fd);
	fd_close(t->fd);
	free(t);
}

static const struct net_ops net_tap_ops = {
	.name = "tap",
	.send = tap_send,
	.receive = tap_receive,
	.offload_set = tap_offload_set,
	.close = tap_close,
};

/* Each event is told once; the device asks until it hears EAGAIN, which waits again. */
static void tap_ready(void *arg, uint32_t events)
{
	struct net_tap *t = arg;

	tap_watch(t, t->events & ~(events & (EPOLLIN | EPOLLOUT)));
	if (events & (EPOLLIN | EPOLLERR | EPOLLHUP) && t->net.readable)
		t->net.readable(&t->net, t->net.arg);
	if (events & EPOLLOUT && t->net.writable)
		t->net.writable(&t->net, t->net.arg);
}

int net_tap_open(int fd, struct loop *loop, struct net **ret, struct err *err)
{
	struct net_tap *t = calloc(1, sizeof(*t));
	int r = t ? loop_add(loop, fd, 0, tap_ready, t, err)
		  : err_set(err, ENOMEM, "a network's back end");

	if (r < 0) {
		fd_close(fd);
		free(t);
		return r;
	}
	t->net = (struct net){
		.ops = &net_tap_ops,
		.offloads = BIT(VIRTIO_NET_F_CSUM) | BIT(VIRTIO_NET_F_GUEST_CSUM) |
			    BIT(VIRTIO_NET_F_GUEST_TSO4) | BIT(VIRTIO_NET_F_GUEST_TSO6) |
			    BIT(VIRTIO_NET_F_GUEST_ECN) | BIT(VIRTIO_NET_F_HOST_TSO4) |
			    BIT(VIRTIO_NET_F_HOST_TSO6) | BIT(VIRTIO_NET_F_HOST_ECN),
	};
	t->loop = loop;
	t->fd = fd;
	*ret = &t->net;
	return 0;
}
