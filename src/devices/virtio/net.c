/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio/net.h"

#include <errno.h>
#include <string.h>

#include "base/core/macros.h"

/* 5.1.3 Feature bits */
#define NET_F_CSUM		  0
#define NET_F_GUEST_CSUM	  1
#define NET_F_CTRL_GUEST_OFFLOADS 2
#define NET_F_MTU		  3
#define NET_F_MAC		  5
#define NET_F_GUEST_TSO4	  7
#define NET_F_GUEST_TSO6	  8
#define NET_F_GUEST_ECN		  9
#define NET_F_GUEST_UFO		  10
#define NET_F_HOST_TSO4		  11
#define NET_F_HOST_TSO6		  12
#define NET_F_HOST_ECN		  13
#define NET_F_HOST_UFO		  14
#define NET_F_MRG_RXBUF		  15
#define NET_F_STATUS		  16
#define NET_F_CTRL_VQ		  17
#define NET_F_CTRL_MAC_ADDR	  23

#define NET_GUEST_LARGE                                                                            \
	(VIRTIO_BIT(NET_F_GUEST_TSO4) | VIRTIO_BIT(NET_F_GUEST_TSO6) | VIRTIO_BIT(NET_F_GUEST_UFO))
#define NET_GUEST_OFFLOADS                                                                         \
	(NET_GUEST_LARGE | VIRTIO_BIT(NET_F_GUEST_CSUM) | VIRTIO_BIT(NET_F_GUEST_ECN))
#define NET_HOST_LARGE                                                                             \
	(VIRTIO_BIT(NET_F_HOST_TSO4) | VIRTIO_BIT(NET_F_HOST_TSO6) | VIRTIO_BIT(NET_F_HOST_UFO))
#define NET_OFFLOADS                                                                               \
	(NET_GUEST_OFFLOADS | NET_HOST_LARGE | VIRTIO_BIT(NET_F_HOST_ECN) | VIRTIO_BIT(NET_F_CSUM))

enum { NET_RX = 0, NET_TX = 1, NET_CTRL = 2, NET_QUEUES };

/* 5.1.6 Device Operation: the header before each frame. */
#define NET_HDR_NEEDS_CSUM 1U
enum {
	NET_GSO_NONE = 0,
	NET_GSO_TCPV4 = 1,
	NET_GSO_UDP = 3,
	NET_GSO_TCPV6 = 4,
	NET_GSO_ECN = 0x80
};
struct net_header {
	uint8_t flags, gso_type;
	struct le16 hdr_len, gso_size, csum_start, csum_offset, num_buffers;
};
_Static_assert(sizeof(struct net_header) == NET_HEADER_BYTES, "5.1.6");

#define NET_S_LINK_UP	1U
#define NET_CONFIG_BASE 10U /* without the MTU */
#define NET_ETHERNET	18U /* a header with a VLAN tag */
#define NET_MTU		1500U
#define NET_BUDGET	64U /* frames of one turn */

/* 5.1.6.5 Control Virtqueue */
enum { NET_CTRL_MAC = 1, NET_CTRL_GUEST_OFFLOADS = 5 };
enum { NET_CTRL_MAC_ADDR_SET = 1, NET_CTRL_GUEST_OFFLOADS_SET = 0 };
enum { NET_CTRL_OK = 0, NET_CTRL_ERR = 1 };

static struct virtio_net *net_of(struct virtio_dev *dev)
{
	return container_of(dev, struct virtio_net, virtio);
}

/* ---- transmit ---- */

/* Only what was negotiated goes out: a back end trusts that. */
static bool net_header_ok(const struct virtio_net *dev, const struct net_header *h)
{
	const unsigned type = h->gso_type & (unsigned)~NET_GSO_ECN;
	const unsigned bit = type == NET_GSO_TCPV4   ? NET_F_HOST_TSO4
			     : type == NET_GSO_TCPV6 ? NET_F_HOST_TSO6
						     : NET_F_HOST_UFO;

	if (h->flags & NET_HDR_NEEDS_CSUM && !virtio_has(&dev->virtio, NET_F_CSUM))
		return false;
	if (h->gso_type & NET_GSO_ECN && !virtio_has(&dev->virtio, NET_F_HOST_ECN))
		return false;
	if (type == NET_GSO_NONE)
		return true;
	if (type != NET_GSO_TCPV4 && type != NET_GSO_TCPV6 && type != NET_GSO_UDP)
		return false;
	return virtio_has(&dev->virtio, bit) && h->flags & NET_HDR_NEEDS_CSUM &&
	       le16_get(h->gso_size);
}

/* 0: sent, or lost for good. -EAGAIN: keep it. */
static int net_send(struct virtio_net *dev)
{
	struct chain *chain = &dev->chain;
	struct net_header header;
	unsigned n = 1;

	if (!chain_pull(chain, &header, sizeof(header)))
		return -EPROTO;
	if (!net_header_ok(dev, &header) || chain->out_bytes > NET_FRAME_MAX)
		return 0;
	header.flags &= NET_HDR_NEEDS_CSUM;
	header.num_buffers = le16_of(0);
	dev->tx_iov[0] = (struct mem_iov){ &header, sizeof(header) };
	for (unsigned i = chain->first_out; i < chain->n_out; i++)
		dev->tx_iov[n++] = chain->iov[i];
	if (n == 1)
		return 0;
	int r = dev->net->ops->send(dev->net, dev->tx_iov, n);
	return r == -EAGAIN ? r : 0;
}

static int net_transmit(struct virtio_net *dev)
{
	struct virtq *vq = &dev->virtio.queues[NET_TX];
	int r = 1;

	if (dev->tx_blocked)
		return 0;
	for (unsigned i = 0; i < NET_BUDGET; i++) {
		r = virtq_pop(vq, &dev->chain);
		if (r <= 0)
			break;
		int sent = net_send(dev);
		if (sent == -EAGAIN) {
			virtq_unpop(vq);
			dev->tx_blocked = true;
			r = 0;
			break;
		}
		if (sent < 0) {
			r = sent;
			break;
		}
		virtq_put(vq, dev->chain.head, 0);
	}
	virtio_signal(&dev->virtio, NET_TX);
	if (r > 0)
		virtio_again(&dev->virtio, NET_TX);
	return r < 0 ? r : 0;
}

/* ---- receive ---- */

static void net_window_clear(struct virtio_net *dev)
{
	dev->rx_first = dev->rx_n = dev->rx_piece = dev->rx_pieces = 0;
	dev->rx_bytes = 0;
}

/* The window's front moves to the start of its arrays. */
static void net_window_compact(struct virtio_net *dev)
{
	memmove(dev->rx_buffers, &dev->rx_buffers[dev->rx_first],
		dev->rx_n * sizeof(dev->rx_buffers[0]));
	memmove(dev->rx_iov, &dev->rx_iov[dev->rx_piece], dev->rx_pieces * sizeof(dev->rx_iov[0]));
	dev->rx_first = dev->rx_piece = 0;
}

static bool net_window_room(struct virtio_net *dev)
{
	if (dev->rx_first + dev->rx_n == NET_QUEUE_SIZE ||
	    dev->rx_piece + dev->rx_pieces + CHAIN_MAX > NET_PIECES)
		net_window_compact(dev);
	return dev->rx_n < NET_QUEUE_SIZE && dev->rx_pieces + CHAIN_MAX <= NET_PIECES;
}

/* What the largest frame takes, with its header. */
static uint64_t net_need(const struct virtio_net *dev)
{
	if (dev->offloads & NET_GUEST_LARGE)
		return NET_FRAME_MAX;
	const uint64_t mtu = dev->net->mtu ? dev->net->mtu : NET_MTU;
	return mtu + NET_ETHERNET + NET_HEADER_BYTES;
}

/* Return: 0, or < 0 for a broken ring. Without mergeable buffers a frame has one, and so has the window. */
static int net_window_fill(struct virtio_net *dev, uint64_t need)
{
	const bool mergeable = virtio_has(&dev->virtio, NET_F_MRG_RXBUF);
	struct chain *chain = &dev->chain;

	while (dev->rx_bytes < need && (mergeable || dev->rx_n == 0) && net_window_room(dev)) {
		int r = virtq_pop(&dev->virtio.queues[NET_RX], chain);
		if (r <= 0)
			return r;
		/* 5.1.6.3.1: at least the header's size, all of it writable. */
		if (chain->n_out || chain->in_bytes < NET_HEADER_BYTES)
			return -EPROTO;
		dev->rx_buffers[dev->rx_first + dev->rx_n++] = (struct net_buffer){
			.head = chain->head, .n = chain->n, .bytes = (uint32_t)chain->in_bytes
		};
		memcpy(&dev->rx_iov[dev->rx_piece + dev->rx_pieces], chain->iov,
		       chain->n * sizeof(chain->iov[0]));
		dev->rx_pieces += chain->n;
		dev->rx_bytes += chain->in_bytes;
	}
	return 0;
}

/* The receive window: buffers that wait for frames. */
static void net_held(struct virtio_dev *base, virtio_tell *tell, void *arg)
{
	const struct virtio_net *dev = container_of(base, struct virtio_net, virtio);

	for (unsigned i = 0; i < dev->rx_pieces; i++)
		tell(arg, dev->rx_iov[dev->rx_piece + i].hva, dev->rx_iov[dev->rx_piece + i].len);
}

/* A frame of len bytes lies in the window's first buffers: they go to the guest. */
static void net_deliver(struct virtio_net *dev, uint64_t len)
{
	struct virtq *vq = &dev->virtio.queues[NET_RX];
	uint64_t sum = 0;
	uint16_t n = 0;

	while (sum < len)
		sum += dev->rx_buffers[dev->rx_first + n++].bytes;
	const struct le16 buffers = le16_of(n);
	(void)iov_put(&dev->rx_iov[dev->rx_piece], dev->rx_pieces,
		      offsetof(struct net_header, num_buffers), &buffers, sizeof(buffers));
	for (unsigned i = 0; i < n; i++) {
		struct net_buffer *b = &dev->rx_buffers[dev->rx_first++];
		uint32_t part = len < b->bytes ? (uint32_t)len : b->bytes;
		iov_wrote(dev->virtio.mem, &dev->rx_iov[dev->rx_piece], b->n, part);
		virtq_put(vq, b->head, part);
		len -= part;
		dev->rx_n--;
		dev->rx_piece += b->n;
		dev->rx_pieces -= b->n;
		dev->rx_bytes -= b->bytes;
	}
}

/* The guest's buffers may be too small for what comes: look first. Return: as net_ops.receive. */
static int64_t net_receive_bounced(struct virtio_net *dev)
{
	const struct mem_iov iov = { dev->bounce, sizeof(dev->bounce) };
	int64_t len = dev->net->ops->receive(dev->net, &iov, 1);

	if (len >= 0 && (uint64_t)len <= sizeof(dev->bounce) && (uint64_t)len <= dev->rx_bytes)
		(void)iov_put(&dev->rx_iov[dev->rx_piece], dev->rx_pieces, 0, dev->bounce,
			      (uint64_t)len);
	return len;
}

static int net_receive(struct virtio_net *dev)
{
	const uint64_t need = net_need(dev);
	unsigned i;
	int r = 0;

	for (i = 0; i < NET_BUDGET; i++) {
		r = net_window_fill(dev, need);
		if (r < 0 || dev->rx_n == 0)
			break; /* broken; or empty, then the driver kicks */
		int64_t len =
			dev->rx_bytes >= need
				? dev->net->ops->receive(dev->net, &dev->rx_iov[dev->rx_piece],
							 dev->rx_pieces)
				: net_receive_bounced(dev);
		if (len < 0)
			break; /* readable() comes; or it failed, and the guest's next kick tries again */
		if (len > NET_HEADER_BYTES && (uint64_t)len <= dev->rx_bytes)
			net_deliver(dev, (uint64_t)len);
	}
	virtio_signal(&dev->virtio, NET_RX);
	if (i == NET_BUDGET)
		virtio_again(&dev->virtio, NET_RX);
	return r;
}

/* ---- control ---- */

static uint8_t net_offloads_set(struct virtio_net *dev)
{
	struct le64 wanted;

	if (!virtio_has(&dev->virtio, NET_F_CTRL_GUEST_OFFLOADS) ||
	    !chain_pull(&dev->chain, &wanted, sizeof(wanted)) ||
	    le64_get(wanted) & ~(dev->virtio.accepted & NET_GUEST_OFFLOADS))
		return NET_CTRL_ERR;
	if (dev->net->ops->offload_set &&
	    dev->net->ops->offload_set(dev->net, le64_get(wanted)) < 0)
		return NET_CTRL_ERR;
	dev->offloads = le64_get(wanted);
	return NET_CTRL_OK;
}

static uint8_t net_mac_set(struct virtio_net *dev)
{
	uint8_t mac[sizeof(dev->config.mac)];

	if (!virtio_has(&dev->virtio, NET_F_CTRL_MAC_ADDR) ||
	    !chain_pull(&dev->chain, mac, sizeof(mac)))
		return NET_CTRL_ERR;
	memcpy(dev->config.mac, mac, sizeof(mac));
	return NET_CTRL_OK;
}

static int net_control(struct virtio_net *dev)
{
	struct virtq *vq = &dev->virtio.queues[NET_CTRL];
	uint8_t command[2]; /* class, command */
	unsigned i;
	int r = 0;

	for (i = 0; i < NET_BUDGET; i++) {
		r = virtq_pop(vq, &dev->chain);
		if (r <= 0)
			break;
		if (!chain_pull(&dev->chain, command, sizeof(command)) || !dev->chain.in_bytes) {
			r = -EPROTO;
			break;
		}
		uint8_t ack = NET_CTRL_ERR;
		if (command[0] == NET_CTRL_MAC && command[1] == NET_CTRL_MAC_ADDR_SET)
			ack = net_mac_set(dev);
		else if (command[0] == NET_CTRL_GUEST_OFFLOADS &&
			 command[1] == NET_CTRL_GUEST_OFFLOADS_SET)
			ack = net_offloads_set(dev);
		(void)chain_put(&dev->chain, 0, &ack, sizeof(ack));
		chain_wrote(&dev->chain, dev->virtio.mem, sizeof(ack));
		virtq_put(vq, dev->chain.head, sizeof(ack));
	}
	virtio_signal(&dev->virtio, NET_CTRL);
	if (i == NET_BUDGET)
		virtio_again(&dev->virtio, NET_CTRL);
	return r < 0 ? r : 0;
}

/* ---- the device ---- */

static int net_handle(struct virtio_dev *dev, uint16_t queue)
{
	switch (queue) {
	case NET_RX:
		return net_receive(net_of(dev));
	case NET_TX:
		return net_transmit(net_of(dev));
	default:
		return net_control(net_of(dev));
	}
}

static void net_start(struct virtio_dev *virtio)
{
	struct virtio_net *dev = net_of(virtio);

	dev->tx_blocked = false;
	dev->offloads = virtio->accepted & NET_GUEST_OFFLOADS;
	net_window_clear(dev);
	/* One that fails sends what the guest did not ask for; frames are checked by the guest's own stack. */
	if (dev->net->ops->offload_set)
		(void)dev->net->ops->offload_set(dev->net, dev->offloads);
}

static void net_reset(struct virtio_dev *dev)
{
	net_window_clear(net_of(dev));
	net_of(dev)->tx_blocked = false;
}

/* 5.1.3.1 Feature bit requirements */
static bool net_features_ok(struct virtio_dev *dev, uint64_t f)
{
	const uint64_t tso4 = VIRTIO_BIT(NET_F_HOST_TSO4), tso6 = VIRTIO_BIT(NET_F_HOST_TSO6);
	const uint64_t guest_tso = VIRTIO_BIT(NET_F_GUEST_TSO4) | VIRTIO_BIT(NET_F_GUEST_TSO6);

	(void)dev;
	if (f & NET_GUEST_LARGE && !(f & VIRTIO_BIT(NET_F_GUEST_CSUM)))
		return false;
	if (f & VIRTIO_BIT(NET_F_GUEST_ECN) && !(f & guest_tso))
		return false;
	if (f & NET_HOST_LARGE && !(f & VIRTIO_BIT(NET_F_CSUM)))
		return false;
	if (f & VIRTIO_BIT(NET_F_HOST_ECN) && !(f & (tso4 | tso6)))
		return false;
	return f & VIRTIO_BIT(NET_F_CTRL_VQ) ||
	       !(f & (VIRTIO_BIT(NET_F_CTRL_MAC_ADDR) | VIRTIO_BIT(NET_F_CTRL_GUEST_OFFLOADS)));
}

static const struct virtio_dev_ops net_ops_of_dev = {
	.name = "virtio-net",
	.device_id = VIRTIO_ID_NET,
	.class_code = 0x020000,
	.handle = net_handle,
	.held = net_held,
	.start = net_start,
	.reset = net_reset,
	.features_ok = net_features_ok,
};

static void net_ready(struct net *net, void *arg, uint16_t queue)
{
	struct virtio_net *dev = arg;

	(void)net;
	lock_acquire(&dev->virtio.lock);
	if (queue == NET_TX)
		dev->tx_blocked = false;
	virtio_serve(&dev->virtio, queue);
	lock_release(&dev->virtio.lock);
}

static void net_readable(struct net *net, void *arg)
{
	net_ready(net, arg, NET_RX);
}

static void net_writable(struct net *net, void *arg)
{
	net_ready(net, arg, NET_TX);
}

void virtio_net_init(struct virtio_net *dev, const struct virtio_place *place, struct net *net,
		     const uint8_t mac[6])
{
	uint64_t features = (net->offloads & NET_OFFLOADS) | VIRTIO_BIT(NET_F_MAC) |
			    VIRTIO_BIT(NET_F_STATUS) | VIRTIO_BIT(NET_F_MRG_RXBUF) |
			    VIRTIO_BIT(NET_F_CTRL_VQ) | VIRTIO_BIT(NET_F_CTRL_MAC_ADDR);

	if (net->offloads & NET_GUEST_OFFLOADS)
		features |= VIRTIO_BIT(NET_F_CTRL_GUEST_OFFLOADS);
	if (net->mtu)
		features |= VIRTIO_BIT(NET_F_MTU);
	virtio_dev_init(&dev->virtio, &net_ops_of_dev, place, features, NET_QUEUES, NET_QUEUE_SIZE,
			&dev->config, net->mtu ? sizeof(dev->config) : NET_CONFIG_BASE);
	dev->net = net;
	dev->config = (struct net_config){ .status = le16_of(NET_S_LINK_UP),
					   .max_virtqueue_pairs = le16_of(1),
					   .mtu = le16_of(net->mtu) };
	memcpy(dev->config.mac, mac, sizeof(dev->config.mac));
	dev->tx_blocked = false;
	net_window_clear(dev);
	net->readable = net_readable;
	net->writable = net_writable;
	net->arg = dev;
}

void virtio_net_link_set(struct virtio_net *dev, bool up)
{
	lock_acquire(&dev->virtio.lock);
	dev->config.status = le16_of(up ? NET_S_LINK_UP : 0);
	virtio_config_changed(&dev->virtio);
	lock_release(&dev->virtio.lock);
}
