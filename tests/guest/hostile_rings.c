/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A driver that lies: broken chains one by one, then rings that a second CPU rewrites while the device reads them. On each
 * of virtio-rng, -blk, -net, -console, -vsock that is there. The device may ask for a reset; it must work after
 * one, and the machine must live. What a device is made to write lands in memory set aside here.
 */
#include "lib/smp.h"
#include "lib/irq.h"
#include "lib/virtio.h"

#define VICTIM_BYTES 8192U
#define RACE_KICKS   3000U /* at most, and a second at most */

static uint8_t *victim;
static volatile bool race_over;

/* No address here plus no length here is both inside RAM and outside of victim, in whatever way they are mixed. */
static const uint64_t outside[] = { 0xfee00000,		0xb0000000, 0x3ffffffff000,
				    0x7ffffffffffff000, UINT64_MAX, UINT64_MAX - 4095 };
static const uint32_t lengths[] = { 0, 1, 16, 512, 4096, 0x80000000, 0xfffffff0, UINT32_MAX };

static uint32_t next(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

static uint64_t any_address(uint32_t *seed)
{
	uint32_t n = next(seed);

	return n % 3 ? (uintptr_t)victim + (n & 0xfff) : outside[n / 3 % (sizeof(outside) / 8)];
}

static void any_descriptor(volatile struct virtq_desc *d, uint32_t *seed)
{
	d->addr = any_address(seed);
	d->len = lengths[next(seed) % (sizeof(lengths) / 4)];
	d->flags = (uint16_t)(next(seed) & 7);
	d->next = (uint16_t)next(seed);
}

static bool restart(struct virtio *v, uint16_t queues)
{
	return virtio_start(v, VIRTIO_F_INDIRECT | VIRTIO_F_EVENT_IDX, queues);
}

/* Put one head up as it is and see whether the machine lives: the status can be read, the device be reset. */
static bool survives(struct virtio *v, struct virtq *q, uint16_t head, uint16_t advance)
{
	struct within w = { 0 };
	uint32_t used, len;

	q->avail->ring[q->avail->idx % q->size] = head;
	barrier();
	q->avail->idx = (uint16_t)(q->avail->idx + advance);
	virtq_kick(q);
	/* A while for the device: until it used the chain, asks for a reset, or neither. */
	while (w.calls < 200 && within(&w, 1)) {
		if (virtq_pop(q, &used, &len) || (virtio_status(v) & STATUS_NEEDS_RESET))
			break;
	}
	return (virtio_status(v) & 15) == 15;
}

static void broken_chains(struct virtio *v, uint16_t queue, uint16_t queues)
{
	bool all = true;

	for (unsigned kind = 0; kind < 10; kind++) {
		all = restart(v, queues) && all;
		struct virtq *q = &v->queues[queue];
		volatile struct virtq_desc *d = q->desc;
		uint16_t head = 0, advance = 1;
		d[0].addr = (uintptr_t)victim;
		d[0].len = 64;
		d[0].flags = 0;
		d[0].next = 0;
		switch (kind) {
		case 0: /* a loop of one */
			d[0].flags = VIRTQ_NEXT;
			break;
		case 1: /* a loop of all */
			for (uint16_t i = 0; i < q->size; i++) {
				d[i].addr = (uintptr_t)victim;
				d[i].len = 1;
				d[i].flags = VIRTQ_NEXT;
				d[i].next = (uint16_t)((i + 1) % q->size);
			}
			break;
		case 2: /* next outside of the table */
			d[0].flags = VIRTQ_NEXT;
			d[0].next = 0xfff0;
			break;
		case 3: /* head outside of the table */
			head = 0xffff;
			break;
		case 4: /* more than the ring holds */
			advance = 0x8000;
			break;
		case 5: /* wraps around */
			d[0].addr = UINT64_MAX - 15;
			break;
		case 6: /* a register, not memory */
			d[0].addr = 0xfee00000;
			d[0].flags = VIRTQ_WRITE;
			break;
		case 7: /* longer than memory */
			d[0].len = UINT32_MAX;
			d[0].flags = VIRTQ_WRITE;
			break;
		case 8: /* an indirect table of no whole descriptor, and one inside another */
			d[0].flags = VIRTQ_INDIRECT;
			d[0].len = 17;
			break;
		default: /* readable after writable, and empty */
			d[0].flags = VIRTQ_NEXT | VIRTQ_WRITE;
			d[0].next = 1;
			d[1].addr = (uintptr_t)victim;
			d[1].len = 0;
			d[1].flags = 0;
			break;
		}
		all = survives(v, q, head, advance) && all;
	}
	check("broken_chains_break_nothing", all);
}

/* Addresses of rings that no memory is at. */
static void rings_nowhere(struct virtio *v, uint16_t queue)
{
	bool all = true;

	for (unsigned i = 0; i < sizeof(outside) / 8; i++) {
		(void)virtio_begin(v, 0);
		(void)virtio_queue(v, queue, VIRTQ_MAX, NO_VECTOR);
		write16(v->common + 0x16, queue);
		for (unsigned reg = 0x20; reg <= 0x30; reg += 8) {
			write32(v->common + reg, (uint32_t)outside[i] & ~15U);
			write32(v->common + reg + 4, (uint32_t)(outside[i] >> 32));
		}
		write16(v->common + 0x1c, 1);
		virtio_ready(v);
		virtq_kick(&v->queues[queue]);
		all = all && virtio_offered(v) != 0;
	}
	check("rings_nowhere_break_nothing", all);
}

static void rewrite(void *arg)
{
	struct virtq *q = arg;
	uint32_t seed = 0x5eed;

	while (!race_over) {
		any_descriptor(&q->desc[next(&seed) % q->size], &seed);
		q->avail->ring[next(&seed) % q->size] = (uint16_t)(next(&seed) % (q->size + 2U));
		q->avail->idx = (uint16_t)(q->avail->idx + next(&seed) % 3);
		/* An indirect table may be in victim: this too changes under the device's eyes. */
		any_descriptor(
			(volatile struct virtq_desc *)(uintptr_t)(victim + (next(&seed) & 0xff0)),
			&seed);
	}
}

static void race(struct virtio *v, uint16_t queue, uint16_t queues)
{
	struct virtq *q = &v->queues[queue];
	bool started = restart(v, queues);
	uint32_t seed = 1, resets = 0;

	if (smp_count() < 2) {
		skip("race", "one CPU");
		return;
	}
	race_over = false;
	smp_run(1, rewrite, q);
	struct within w = { 0 };
	for (unsigned i = 0; i < RACE_KICKS && within(&w, 1); i++) {
		virtq_kick(q);
		if (!(virtio_status(v) & STATUS_NEEDS_RESET))
			continue;
		resets++;
		if (next(&seed) % 4 == 0) /* the reset too comes in the midst of it */
			started = restart(v, queues) && started;
	}
	race_over = true;
	check("race_ends", smp_wait(1, 20));
	print("resets asked for: ");
	print_number(resets);
	print("\n");
	check("race_breaks_nothing", started && virtio_offered(v) != 0);
}

static void attack(const char *name, uint16_t type, uint16_t queue, uint16_t queues)
{
	struct virtio v;

	if (!virtio_find(type, 0, &v)) {
		skip(name, "there is none");
		return;
	}
	print(name);
	print(":\n");
	check("starts", restart(&v, queues));
	broken_chains(&v, queue, queues);
	rings_nowhere(&v, queue);
	race(&v, queue, queues);
	check("resets_after_it_all", virtio_reset(&v));
	check("starts_again", restart(&v, queues));
	(void)virtio_reset(&v);
}

/* The proof that a device really works after the attack. */
static void rng_works(void)
{
	struct virtio v;

	if (!virtio_find(VIRTIO_RNG, 0, &v))
		return;
	const struct piece in = { victim, 64 };
	check("rng_works_after_it_all",
	      virtio_start(&v, 0, 1) && virtq_do(&v.queues[0], &in, 0, 1) > 0);
}

void guest_main(void)
{
	victim = mem_alloc(VICTIM_BYTES, 4096);
	lapic_init();
	if (smp_count() > 1)
		check_equal("others_start", smp_start(), smp_count() - 1);
	attack("virtio-rng", VIRTIO_RNG, 0, 1);
	attack("virtio-blk", VIRTIO_BLK, 0, 1);
	attack("virtio-net", VIRTIO_NET, 1, 2);
	attack("virtio-net-rx", VIRTIO_NET, 0, 2);
	attack("virtio-console", VIRTIO_CONSOLE, 1, 2);
	attack("virtio-vsock", VIRTIO_VSOCK, 1, 3);
	rng_works();
}
