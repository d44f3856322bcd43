/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio/virtq.h"

#include <errno.h>
#include <string.h>

#include "base/core/bytes.h"

/* 2.7.5 The Virtqueue Descriptor Table: 16 bytes each. */
#define VDESC_BYTES	 16U
#define VDESC_F_NEXT	 1U
#define VDESC_F_WRITE	 2U
#define VDESC_F_INDIRECT 4U

/* 2.7.6 and 2.7.8, the two rings: flags, idx, the entries, and behind them the other side's event index. */
#define RING_FLAGS	     0U
#define RING_IDX	     2U
#define RING_ENTRIES	     4U
#define AVAIL_ENTRY_BYTES    2U
#define USED_ENTRY_BYTES     8U
#define RING_EVENT_BYTES     2U
#define AVAIL_F_NO_INTERRUPT 1U
#define USED_F_NO_NOTIFY     1U

struct vdesc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

/* ---- words that the guest may be writing just now ---- */

static uint16_t ring_load(const uint8_t *at)
{
	return __atomic_load_n((const uint16_t *)(const void *)at, __ATOMIC_RELAXED);
}

static void ring_store(uint8_t *at, uint16_t v)
{
	__atomic_store_n((uint16_t *)(void *)at, v, __ATOMIC_RELAXED);
}

/* One load of each half. An indirect table may lie at any address (2.7.5.3), then it is copied byte by byte. */
static struct vdesc vdesc_load(const uint8_t *at)
{
	uint64_t half[2];

	if ((uintptr_t)at % sizeof(half[0]) == 0) {
		const uint64_t *from = (const uint64_t *)(const void *)at;
		half[0] = __atomic_load_n(&from[0], __ATOMIC_RELAXED);
		half[1] = __atomic_load_n(&from[1], __ATOMIC_RELAXED);
	} else {
		uint8_t copy[VDESC_BYTES];
		for (unsigned i = 0; i < sizeof(copy); i++)
			copy[i] = __atomic_load_n(&at[i], __ATOMIC_RELAXED);
		half[0] = le64_load(&copy[0]);
		half[1] = le64_load(&copy[8]);
	}
	return (struct vdesc){ .addr = half[0],
			       .len = (uint32_t)half[1],
			       .flags = (uint16_t)(half[1] >> 32),
			       .next = (uint16_t)(half[1] >> 48) };
}

/* ---- life ---- */

static uint64_t ring_bytes(uint64_t size, uint64_t entry_bytes)
{
	return RING_ENTRIES + size * entry_bytes + RING_EVENT_BYTES;
}

int virtq_enable(struct virtq *vq, struct guest_mem *mem, bool event_idx, bool indirect)
{
	const uint64_t size = vq->size;

	if (!size || size > vq->size_max || size & (size - 1) || vq->desc_gpa % 16 ||
	    vq->avail_gpa % 2 || vq->used_gpa % 4)
		return -EINVAL;
	const uint8_t *desc = mem_hva(mem, vq->desc_gpa, size * VDESC_BYTES);
	const uint8_t *avail = mem_hva(mem, vq->avail_gpa, ring_bytes(size, AVAIL_ENTRY_BYTES));
	uint8_t *used = mem_hva_rw(mem, vq->used_gpa, ring_bytes(size, USED_ENTRY_BYTES));
	if (!desc || !avail || !used)
		return -EFAULT;
	vq->mem = mem;
	vq->desc = desc;
	vq->avail = avail;
	vq->used = used;
	vq->event_idx = event_idx;
	vq->indirect = indirect;
	vq->enabled = true;
	return 0;
}

void virtq_held(const struct virtq *vq, virtio_tell *tell, void *arg)
{
	if (!vq->enabled)
		return;
	tell(arg, vq->desc, (uint64_t)vq->size * VDESC_BYTES);
	tell(arg, vq->avail, ring_bytes(vq->size, AVAIL_ENTRY_BYTES));
	tell(arg, vq->used, ring_bytes(vq->size, USED_ENTRY_BYTES));
}

void virtq_reset(struct virtq *vq)
{
	*vq = (struct virtq){ .size = vq->size_max, .size_max = vq->size_max };
}

/* ---- taking ---- */

/* Where a walk stands. */
struct walk {
	const uint8_t *table;
	unsigned n; /* entries of table */
	unsigned steps;
	bool nested; /* table is an indirect one */
};

static unsigned chain_most(const struct virtq *vq)
{
	return vq->chain_max ? vq->chain_max : CHAIN_MAX;
}

/* A buffer that is talked of, not used. */
static int chain_name(const struct virtq *vq, struct chain *chain, const struct vdesc *d)
{
	if (chain->n == chain_most(vq))
		return -EPROTO;
	if (!mem_is_ram(vq->mem, d->addr, d->len))
		return -EFAULT;
	chain->iov[chain->n++] = (struct mem_iov){ (void *)(uintptr_t)d->addr, d->len };
	return 0;
}

/* Mostly one piece; more where guest memory does not lie in a row. */
static int chain_reach(const struct virtq *vq, struct chain *chain, const struct vdesc *d)
{
	if (vq->mem->ready && !vq->mem->ready(vq->mem, d->addr, d->len))
		return -EAGAIN;
	for (uint64_t done = 0, n; done < d->len; done += n) {
		if (chain->n == chain_most(vq))
			return -EPROTO;
		void *hva = mem_part(vq->mem, d->addr + done, d->len - done,
				     d->flags & VDESC_F_WRITE, &n);
		if (!hva)
			return -EFAULT;
		chain->iov[chain->n++] = (struct mem_iov){ hva, n };
	}
	return 0;
}

static int chain_add(const struct virtq *vq, struct chain *chain, const struct vdesc *d)
{
	const bool writable = d->flags & VDESC_F_WRITE;

	/* 2.7.4.2: what the device reads comes before what it writes. */
	if (!writable && chain->n_out != chain->n)
		return -EPROTO;
	if (d->len == 0)
		return 0;
	int r = vq->by_gpa ? chain_name(vq, chain, d) : chain_reach(vq, chain, d);
	if (r < 0)
		return r;
	if (writable) {
		chain->in_bytes += d->len;
	} else {
		chain->out_bytes += d->len;
		chain->n_out = chain->n;
	}
	/* 2.7.5: a chain of more than 2^32 bytes is none. */
	return chain->out_bytes + chain->in_bytes > UINT32_MAX ? -EPROTO : 0;
}

/* 2.7.5.3: the last of its chain, one level deep, a table of whole descriptors that starts at its first. */
static int walk_enter(const struct virtq *vq, struct walk *w, const struct vdesc *d)
{
	if (!vq->indirect || w->nested || d->flags & VDESC_F_NEXT || d->len == 0 ||
	    d->len % VDESC_BYTES)
		return -EPROTO;
	w->n = d->len / VDESC_BYTES;
	if (w->n > UINT16_MAX + 1U) /* no index gets behind these: 1 MiB */
		w->n = UINT16_MAX + 1U;
	w->table = mem_hva(vq->mem, d->addr, (uint64_t)w->n * VDESC_BYTES);
	w->nested = true;
	return w->table ? 0 : -EFAULT;
}

static int virtq_walk(const struct virtq *vq, uint16_t head, struct chain *chain)
{
	struct walk w = { .table = vq->desc, .n = vq->size };
	unsigned i = head;
	int r = 0;

	chain->head = head;
	chain->n = chain->n_out = chain->first_out = 0;
	chain->out_bytes = chain->in_bytes = 0;
	while (r == 0) {
		/* One step more than pieces, for the one into an indirect table. */
		if (i >= w.n)
			return -EPROTO;
		if (w.steps++ > CHAIN_MAX)
			return -ELOOP;
		struct vdesc d = vdesc_load(w.table + (size_t)i * VDESC_BYTES);
		if (d.flags & VDESC_F_INDIRECT) {
			r = walk_enter(vq, &w, &d);
			i = 0;
			continue;
		}
		r = chain_add(vq, chain, &d);
		if (r == 0 && !(d.flags & VDESC_F_NEXT))
			return 0;
		i = d.next;
	}
	return r;
}

static uint16_t virtq_waiting(const struct virtq *vq)
{
	uint16_t idx = __atomic_load_n((const uint16_t *)(const void *)(vq->avail + RING_IDX),
				       __ATOMIC_ACQUIRE);

	return (uint16_t)(idx - vq->avail_next);
}

static uint8_t *virtq_avail_event(const struct virtq *vq)
{
	return vq->used + RING_ENTRIES + vq->size * USED_ENTRY_BYTES;
}

/*
 * 2.7.10 Available Buffer Notification Suppression. With event indexes, the driver notifies when it passes the one that
 * we left: it is moved only when we run dry, so a busy queue is silent of itself.
 */
static void virtq_kicks_set(struct virtq *vq, bool on)
{
	if (vq->event_idx) {
		if (on) {
			ring_store(virtq_avail_event(vq), vq->avail_next);
			mem_wrote(vq->mem,
				  vq->used_gpa + RING_ENTRIES + vq->size * USED_ENTRY_BYTES,
				  RING_EVENT_BYTES);
		}
	} else if (vq->kicks_off == on) {
		ring_store(vq->used + RING_FLAGS, (uint16_t)(on ? 0 : USED_F_NO_NOTIFY));
		mem_wrote(vq->mem, vq->used_gpa + RING_FLAGS, 2);
		vq->kicks_off = !on;
	}
}

int virtq_pop(struct virtq *vq, struct chain *ret)
{
	uint16_t waiting = virtq_waiting(vq);

	if (!waiting) {
		virtq_kicks_set(vq, true);
		/* The driver's order is: index, barrier, our event. Ours the other way round, or both would wait. */
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		waiting = virtq_waiting(vq);
		if (!waiting)
			return 0;
	}
	if (waiting > vq->size)
		return -EPROTO;
	virtq_kicks_set(vq, false);
	uint16_t head = ring_load(vq->avail + RING_ENTRIES +
				  (vq->avail_next & (vq->size - 1U)) * AVAIL_ENTRY_BYTES);
	int r = virtq_walk(vq, head, ret);
	if (r == -EAGAIN)
		return 0;
	if (r < 0)
		return r;
	vq->avail_next++;
	return 1;
}

void virtq_unpop(struct virtq *vq)
{
	vq->avail_next--;
}

/* ---- giving back ---- */

void virtq_put(struct virtq *vq, uint16_t head, uint32_t len)
{
	const uint32_t at = RING_ENTRIES + (vq->used_next & (vq->size - 1U)) * USED_ENTRY_BYTES;
	uint32_t *entry = (uint32_t *)(void *)(vq->used + at);

	__atomic_store_n(&entry[0], head, __ATOMIC_RELAXED);
	__atomic_store_n(&entry[1], len, __ATOMIC_RELAXED);
	mem_wrote(vq->mem, vq->used_gpa + at, USED_ENTRY_BYTES);
	vq->used_next++;
}

bool virtq_publish(struct virtq *vq)
{
	const uint16_t from = vq->used_told, to = vq->used_next;

	if (from == to)
		return false;
	__atomic_store_n((uint16_t *)(void *)(vq->used + RING_IDX), to, __ATOMIC_RELEASE);
	mem_wrote(vq->mem, vq->used_gpa + RING_IDX, 2);
	vq->used_told = to;
	/* 2.7.7.1: the index is out before the driver's wish is read; the driver does it the other way round. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!vq->event_idx)
		return !(ring_load(vq->avail + RING_FLAGS) & AVAIL_F_NO_INTERRUPT);
	uint16_t event = ring_load(vq->avail + RING_ENTRIES + vq->size * AVAIL_ENTRY_BYTES);
	return (uint16_t)(to - event - 1) < (uint16_t)(to - from);
}

/* ---- chains ---- */

bool chain_pull(struct chain *chain, void *ret, uint64_t len)
{
	uint8_t *to = ret;

	if (len > chain->out_bytes)
		return false;
	chain->out_bytes -= len;
	while (len) {
		struct mem_iov *from = &chain->iov[chain->first_out];
		uint64_t n = len < from->len ? len : from->len;
		memcpy(to, from->hva, n);
		to += n;
		len -= n;
		from->hva = (uint8_t *)from->hva + n;
		from->len -= n;
		if (from->len == 0)
			chain->first_out++;
	}
	return true;
}

gpa_t mem_gpa(const struct guest_mem *mem, const void *hva)
{
	for (unsigned i = 0; i < mem->n; i++) {
		const struct mem_slot *slot = &mem->slots[i];
		uint64_t offset = (uintptr_t)hva - (uintptr_t)slot->hva;
		if (offset < slot->size_bytes)
			return slot->gpa + offset;
	}
	return 0;
}

void mem_wrote_hva(struct guest_mem *mem, const void *hva, uint64_t len)
{
	if (mem->wrote && len)
		mem_wrote(mem, mem_gpa(mem, hva), len);
}

void chain_wrote(const struct chain *chain, struct guest_mem *mem, uint64_t len)
{
	iov_wrote(mem, &chain->iov[chain->n_out], chain->n - (unsigned)chain->n_out, len);
}

void iov_wrote(struct guest_mem *mem, const struct mem_iov *iov, unsigned n, uint64_t len)
{
	if (!mem->wrote)
		return;
	for (unsigned i = 0; i < n && len; i++) {
		uint64_t part = len < iov[i].len ? len : iov[i].len;
		mem_wrote_hva(mem, iov[i].hva, part);
		len -= part;
	}
}

uint64_t chain_put(const struct chain *chain, uint64_t offset, const void *data, uint64_t len)
{
	return iov_put(&chain->iov[chain->n_out], chain->n - (unsigned)chain->n_out, offset, data,
		       len);
}

uint64_t iov_put(const struct mem_iov *iov, unsigned n, uint64_t offset, const void *data,
		 uint64_t len)
{
	const uint8_t *from = data;
	uint64_t done = 0;

	for (unsigned i = 0; i < n && done < len; i++) {
		if (offset >= iov[i].len) {
			offset -= iov[i].len;
			continue;
		}
		uint64_t room = iov[i].len - offset;
		uint64_t part = len - done < room ? len - done : room;
		memcpy((uint8_t *)iov[i].hva + offset, from + done, part);
		done += part;
		offset = 0;
	}
	return done;
}
