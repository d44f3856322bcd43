/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio/vsock_guest.h"

#include <stdlib.h>
#include <string.h>

#include "base/core/bytes.h"

void vsock_guest_give(struct vsock_guest *g, uint32_t len)
{
	const struct rig_buf buf = { rig_alloc(g->rig, len), len, true };
	uint16_t head = rig_add(g->rig, 0, &buf, 1, false);

	g->buffers[head] = buf.gpa;
}

void vsock_guest_put(struct vsock_guest *g, const struct vsock_packet *p)
{
	const struct rig_buf buf = { rig_alloc(g->rig, 44 + p->len), 44 + p->len, false };
	uint8_t *at = rig_at(g->rig, buf.gpa);

	le64_store(at, p->src_cid);
	le64_store(at + 8, p->dst_cid);
	le32_store(at + 16, p->src_port);
	le32_store(at + 20, p->dst_port);
	le32_store(at + 24, p->len);
	le16_store(at + 28, p->type);
	le16_store(at + 30, p->op);
	le32_store(at + 32, p->flags);
	le32_store(at + 36, p->buf_alloc);
	le32_store(at + 40, p->fwd_cnt);
	if (p->data)
		memcpy(at + 44, p->data, p->len);
	(void)rig_add(g->rig, 1, &buf, 1, false);
}

void vsock_guest_send(struct vsock_guest *g, uint32_t guest_port, uint32_t host_port, uint16_t op,
		      const void *data, uint32_t len, uint32_t flags)
{
	const struct vsock_packet p = { .src_cid = g->cid,
					.dst_cid = 2,
					.src_port = guest_port,
					.dst_port = host_port,
					.len = len,
					.type = 1,
					.op = op,
					.flags = flags,
					.buf_alloc = g->alloc,
					.fwd_cnt = g->fwd,
					.data = data };

	vsock_guest_put(g, &p);
	rig_kick(g->rig, 1);
	rig_run(g->rig);
}

bool vsock_guest_next(struct vsock_guest *g, struct vsock_packet *ret)
{
	uint32_t head, len;

	if (!rig_used(g->rig, 0, &head, &len))
		return false;
	const uint8_t *at = rig_at(g->rig, g->buffers[head]);
	*ret = (struct vsock_packet){ le64_load(at),
				      le64_load(at + 8),
				      le32_load(at + 16),
				      le32_load(at + 20),
				      le32_load(at + 24),
				      le16_load(at + 28),
				      le16_load(at + 30),
				      le32_load(at + 32),
				      le32_load(at + 36),
				      le32_load(at + 40),
				      at + 44 };
	if (len != 44 + ret->len || ret->dst_cid != g->cid)
		abort(); /* never, whatever the test does */
	return true;
}
