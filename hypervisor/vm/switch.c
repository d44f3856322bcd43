/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/switch.h"

#include <errno.h>
#include <string.h>

#include "base/core/macros.h"

#define ETHERNET_HEADER 14U

static struct switch_port *port_of(struct net *net)
{
	return container_of(net, struct switch_port, net);
}

static bool is_group(const uint8_t *mac)
{
	return mac[0] & 1;
}

static struct switch_port *port_find(struct switch_hub *hub, const uint8_t *mac)
{
	for (struct switch_port *p = hub->ports; p; p = p->next) {
		if (!memcmp(p->mac, mac, SWITCH_MAC))
			return p;
	}
	return NULL;
}

/* The pieces as one frame without its header; its length, or 0: malformed. */
static uint16_t frame_gather(const struct mem_iov *iov, unsigned n, uint8_t ret[SWITCH_FRAME])
{
	uint64_t skip = SWITCH_HEADER, len = 0;

	for (unsigned i = 0; i < n; i++) {
		uint64_t drop = iov[i].len < skip ? iov[i].len : skip;
		uint64_t part = iov[i].len - drop;
		skip -= drop;
		if (part > SWITCH_FRAME - len)
			return 0;
		memcpy(ret + len, (const uint8_t *)iov[i].hva + drop, part);
		len += part;
	}
	return len >= ETHERNET_HEADER ? (uint16_t)len : 0;
}

static void port_give(struct switch_port *to, const uint8_t *frame, uint16_t len)
{
	if (to->n == SWITCH_SLOTS) {
		to->lost++;
		return;
	}
	struct switch_frame *slot = &to->slots[(to->first + to->n) % SWITCH_SLOTS];
	slot->len = len;
	memcpy(slot->bytes, frame, len);
	__atomic_store_n(&to->n, to->n + 1, __ATOMIC_RELEASE);
	to->received++;
	to->received_bytes += len;
	to->arrived(to, to->arg);
}

static int switch_send(struct net *net, const struct mem_iov *iov, unsigned n)
{
	struct switch_port *from = port_of(net);
	struct switch_hub *hub = from->hub;
	uint8_t frame[SWITCH_FRAME]; /* copied once: the guest may rewrite its own */
	uint16_t len = frame_gather(iov, n, frame);

	lock_acquire(&hub->lock);
	if (!len || memcmp(frame + SWITCH_MAC, from->mac, SWITCH_MAC)) {
		from->refused++;
		lock_release(&hub->lock);
		return -EINVAL;
	}
	from->sent++;
	from->sent_bytes += len;
	struct switch_port *only = is_group(frame) ? NULL : port_find(hub, frame);
	for (struct switch_port *p = hub->ports; p; p = p->next) {
		if (p != from && (p == only || is_group(frame)))
			port_give(p, frame, len);
	}
	lock_release(&hub->lock);
	return 0;
}

/* A frame behind an empty header; what does not fit is cut. */
static void frame_scatter(const struct switch_frame *frame, const struct mem_iov *iov, unsigned n)
{
	uint64_t at = 0, total = SWITCH_HEADER + (uint64_t)frame->len;

	for (unsigned i = 0; i < n && at < total; i++) {
		uint8_t *to = iov[i].hva;
		for (uint64_t left = iov[i].len; left && at < total; left--, at++)
			*to++ = at < SWITCH_HEADER ? 0 : frame->bytes[at - SWITCH_HEADER];
	}
}

static int64_t switch_receive(struct net *net, const struct mem_iov *iov, unsigned n)
{
	struct switch_port *port = port_of(net);
	int64_t len = -EAGAIN;

	lock_acquire(&port->hub->lock);
	if (port->n) {
		const struct switch_frame *frame = &port->slots[port->first];
		len = SWITCH_HEADER + (int64_t)frame->len;
		frame_scatter(frame, iov, n);
		port->first = (port->first + 1) % SWITCH_SLOTS;
		__atomic_store_n(&port->n, port->n - 1, __ATOMIC_RELEASE);
	}
	lock_release(&port->hub->lock);
	return len;
}

static void switch_close(struct net *net)
{
	if (net)
		switch_leave(port_of(net));
}

static const struct net_ops switch_ops = {
	.name = "switch",
	.send = switch_send,
	.receive = switch_receive,
	.close = switch_close,
};

/* 02:53:48: locally administered; then a number. The lock is held. */
static void mac_make(struct switch_hub *hub, uint8_t ret[SWITCH_MAC])
{
	do {
		uint32_t number = ++hub->last_made;
		const uint8_t mac[SWITCH_MAC] = {
			0x02,		0x53, 0x48, (uint8_t)(number >> 16), (uint8_t)(number >> 8),
			(uint8_t)number
		};
		memcpy(ret, mac, SWITCH_MAC);
	} while (port_find(hub, ret));
}

int switch_join(struct switch_hub *hub, struct switch_port *port, const uint8_t mac[SWITCH_MAC])
{
	static const uint8_t unasked[SWITCH_MAC];
	bool is_made = !memcmp(mac, unasked, SWITCH_MAC);

	if (is_group(mac))
		return -EINVAL;
	lock_acquire(&hub->lock);
	if (!is_made && port_find(hub, mac)) {
		lock_release(&hub->lock);
		return -EEXIST;
	}
	if (is_made)
		mac_make(hub, port->mac);
	else
		memcpy(port->mac, mac, SWITCH_MAC);
	port->net.ops = &switch_ops;
	port->hub = hub;
	port->next = hub->ports;
	hub->ports = port;
	lock_release(&hub->lock);
	return 0;
}

void switch_leave(struct switch_port *port)
{
	struct switch_hub *hub = port->hub;

	if (!hub)
		return;
	lock_acquire(&hub->lock);
	struct switch_port **at = &hub->ports;
	while (*at && *at != port)
		at = &(*at)->next;
	if (*at)
		*at = port->next;
	lock_release(&hub->lock);
	port->hub = NULL;
}

bool switch_waits(const struct switch_port *port)
{
	return __atomic_load_n(&port->n, __ATOMIC_ACQUIRE);
}
