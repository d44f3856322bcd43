/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest that keeps a virtio device busy as a driver of an operating system does: many requests under way, event indexes,
 * an interrupt by MSI-X and hlt when there is nothing else to do. What it cost is for the host to count. By PVH.
 *
 *	blk_mib=N          reads so many MiB from the first disk, 64 KiB at a time, 16 of them under way
 *	net_packets=N      sends so many largest frames by the first network device, as many under way as the queue holds
 *	batch=N            requests or frames that are there before the device is told (16): what a block layer plugs, and
 *	                   a network stack hands over with "more to come"
 *
 * What is 0, or not there, is set up all the same where there is such a device, so that a second run tells what that takes.
 */
#include "lib/irq.h"
#include "lib/virtio.h"

#define VECTOR	      0x41
#define BLK_BYTES     65536U
#define BLK_SECTORS   (BLK_BYTES / 512U)
#define BLK_DEPTH     16U
#define BLK_A_MIB     ((1U << 20) / BLK_BYTES)
#define BLK_SPAN      (16U * BLK_A_MIB) /* of the disk, over and over */
#define BLK_PIECES    3U
#define NET_HEADER    12U
#define NET_FRAME     1514U
#define NET_TX	      1
#define NET_ETHERTYPE 0xb588U /* 0x88b5, in network order: for experiments (IEEE 802) */

struct blk_request {
	uint32_t type, reserved;
	uint64_t sector;
	uint8_t status;
};

struct load {
	struct virtio dev;
	struct virtq *q;
	uint16_t free[VIRTQ_MAX]; /* heads; the network's */
	unsigned n_free;
};

struct progress {
	uint64_t total, offered, done;
};

static struct blk_request requests[BLK_DEPTH];

static bool device_start(struct load *load, uint16_t type, uint16_t queue)
{
	struct msix msix;

	*load = (struct load){ 0 };
	if (!virtio_find(type, 0, &load->dev))
		return false;
	if (!msix_find(load->dev.slot, &msix))
		fatal("the device has no MSI-X");
	load->q = &load->dev.queues[queue];
	msix_enable(&msix, true);
	msix_set(&msix, 0, VECTOR);
	if (!virtio_begin(&load->dev, VIRTIO_F_EVENT_IDX) ||
	    !virtio_has(&load->dev, VIRTIO_F_EVENT_IDX))
		fatal("the device has no event indexes");
	for (uint16_t i = 0; i < queue; i++)
		(void)virtio_queue(&load->dev, i, VIRTQ_MAX, NO_VECTOR);
	if (!virtio_queue(&load->dev, queue, VIRTQ_MAX, 0) || load->q->size != VIRTQ_MAX)
		fatal("the queue does not start");
	virtio_ready(&load->dev);
	return true;
}

static void kick_if_wanted(struct load *load, uint16_t from)
{
	if (load->q->avail->idx != from && virtq_wants_kick(load->q, from))
		virtq_kick(load->q);
}

/* Interrupts are off here: one that comes before the hlt ends it. */
static void sleep_until_used(struct load *load, uint16_t more)
{
	if (virtq_ask(load->q, more))
		wait_irq();
}

/* ---- the disk ---- */

static void blk_chain(struct virtq *q, unsigned i, uint8_t *data)
{
	const uint16_t at = (uint16_t)(i * BLK_PIECES);
	struct blk_request *r = &requests[i];

	q->desc[at] = (struct virtq_desc){ (uintptr_t)r, 16, VIRTQ_NEXT, (uint16_t)(at + 1) };
	q->desc[at + 1] = (struct virtq_desc){ (uintptr_t)data, BLK_BYTES, VIRTQ_NEXT | VIRTQ_WRITE,
					       (uint16_t)(at + 2) };
	q->desc[at + 2] = (struct virtq_desc){ (uintptr_t)&r->status, 1, VIRTQ_WRITE, 0 };
}

static void blk_offer(struct load *load, unsigned i, uint64_t n)
{
	requests[i].sector = n % BLK_SPAN * BLK_SECTORS;
	requests[i].status = 0xee;
	virtq_offer(load->q, (uint16_t)(i * BLK_PIECES));
}

/* What came back, and as many new ones; told to the device a batch at a time. */
static void blk_turn(struct load *load, struct progress *p, uint64_t batch)
{
	uint16_t from = load->q->avail->idx;
	uint32_t head, len;

	while (virtq_take(load->q, &head, &len)) {
		unsigned i = head / BLK_PIECES;
		if (i >= BLK_DEPTH || requests[i].status || len != BLK_BYTES + 1)
			fatal("a read failed");
		p->done++;
		if (p->offered < p->total)
			blk_offer(load, i, p->offered++);
		if ((uint16_t)(load->q->avail->idx - from) >= batch) {
			kick_if_wanted(load, from);
			from = load->q->avail->idx;
		}
	}
	kick_if_wanted(load, from);
}

static void blk_read(uint64_t total, uint64_t batch)
{
	struct progress p = { .total = total };
	struct load load;

	if (!device_start(&load, VIRTIO_BLK, 0))
		return;
	for (unsigned i = 0; i < BLK_DEPTH; i++)
		blk_chain(load.q, i, mem_alloc(BLK_BYTES, 4096));
	for (; p.offered < BLK_DEPTH && p.offered < total; p.offered++)
		blk_offer(&load, (unsigned)p.offered, p.offered);
	kick_if_wanted(&load, 0);
	while (p.done < total) {
		blk_turn(&load, &p, batch);
		if (p.done < total)
			sleep_until_used(&load, 1);
	}
	check("disk_is_read", true);
}

/* ---- the network ---- */

static uint8_t *net_frame(void)
{
	uint8_t *frame = mem_alloc(NET_HEADER + NET_FRAME, 16);

	memset(frame + NET_HEADER, 0xff, 6); /* to everybody */
	frame[NET_HEADER + 6] = 2;
	frame[NET_HEADER + 12] = NET_ETHERTYPE & 0xff;
	frame[NET_HEADER + 13] = NET_ETHERTYPE >> 8;
	return frame;
}

static void net_offer(struct load *load, struct progress *p, uint64_t batch)
{
	const uint16_t from = load->q->avail->idx;

	for (uint64_t i = 0; i < batch && load->n_free && p->offered < p->total; i++) {
		virtq_offer(load->q, load->free[--load->n_free]);
		p->offered++;
	}
	kick_if_wanted(load, from);
}

/* As Linux: not for the first that is free again, but for most of them. */
static void net_sleep(struct load *load, const struct progress *p)
{
	const unsigned under_way = VIRTQ_MAX - load->n_free;

	sleep_until_used(load,
			 (uint16_t)(p->offered < p->total ? (under_way * 3 + 3) / 4 : under_way));
}

static void net_send(uint64_t total, uint64_t batch)
{
	struct progress p = { .total = total };
	struct load load;
	uint32_t head, len;

	if (!device_start(&load, VIRTIO_NET, NET_TX))
		return;
	uint8_t *frame = net_frame();
	for (uint16_t i = 0; i < VIRTQ_MAX; i++) {
		load.q->desc[i] =
			(struct virtq_desc){ (uintptr_t)frame, NET_HEADER + NET_FRAME, 0, 0 };
		load.free[load.n_free++] = i;
	}
	while (p.done < total) {
		while (load.n_free < VIRTQ_MAX && virtq_take(load.q, &head, &len)) {
			load.free[load.n_free++] = (uint16_t)head;
			p.done++;
		}
		if (p.offered < total && load.n_free)
			net_offer(&load, &p, batch);
		else if (p.done < total)
			net_sleep(&load, &p);
	}
	check("frames_are_sent", true);
}

void guest_main(void)
{
	const uint64_t batch = option_number("batch", 16);

	pic_init(0x20); /* nothing from them */
	lapic_init();
	irq_set(VECTOR, irq_counter);
	blk_read(option_number("blk_mib", 0) * BLK_A_MIB, batch);
	net_send(option_number("net_packets", 0), batch);
}
