/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The guest's half of a vsock, by hand, over driver.h's rings: queue 0 receives, 1 sends. */
#include "devices/virtio/driver.h"

enum {
	VG_REQUEST = 1,
	VG_RESPONSE,
	VG_RST,
	VG_SHUTDOWN,
	VG_RW,
	VG_CREDIT_UPDATE,
	VG_CREDIT_REQUEST,
};

struct vsock_packet {
	uint64_t src_cid, dst_cid;
	uint32_t src_port, dst_port, len;
	uint16_t type, op;
	uint32_t flags, buf_alloc, fwd_cnt;
	const uint8_t *data;
};

struct vsock_guest {
	struct rig *rig;
	uint64_t cid;
	uint32_t fwd, alloc; /* what it says in each packet */
	gpa_t buffers[256];  /* by head */
};

void vsock_guest_give(struct vsock_guest *g, uint32_t len);		   /* a receive buffer */
void vsock_guest_put(struct vsock_guest *g, const struct vsock_packet *p); /* without a kick */
void vsock_guest_send(struct vsock_guest *g, uint32_t guest_port, uint32_t host_port, uint16_t op,
		      const void *data, uint32_t len, uint32_t flags);
bool vsock_guest_next(struct vsock_guest *g, struct vsock_packet *ret);
