/* SPDX-License-Identifier: Apache-2.0 */
/* virtio-rng: Entropy Device. Wants one. */
#include "lib/irq.h"
#include "lib/virtio.h"

#define VECTOR 0x50
#define BYTES  64U

static bool all_zero(const uint8_t *data, unsigned len)
{
	uint8_t any = 0;

	for (unsigned i = 0; i < len; i++)
		any |= data[i];
	return any == 0;
}

static void with_interrupts(struct virtio *v, uint8_t *to)
{
	struct virtq *q = &v->queues[0];
	const struct piece in = { to, BYTES };
	struct msix msix;
	uint32_t head, len;

	lapic_init();
	irq_set(VECTOR, irq_counter);
	check("has_msix", msix_find(v->slot, &msix));
	msix_set(&msix, 1, VECTOR);
	msix_enable(&msix, true);
	bool started = virtio_begin(v, 0) && virtio_queue(v, 0, 8, 1);
	virtio_ready(v);
	check("starts_again_with_a_vector", started);
	(void)virtq_add(q, &in, 0, 1);
	virtq_kick(q);
	check("interrupt_comes", irq_wait(VECTOR, 1, 10));
	check("chain_is_used_before_it", virtq_pop(q, &head, &len));

	q->avail->flags = 1; /* no interrupt, please */
	(void)virtq_add(q, &in, 0, 1);
	virtq_kick(q);
	check("chain_is_used_without", virtq_wait(q, &head, &len, 10));
	irq_gap();
	check_equal("interrupt_does_not_come_when_refused", irq_counts[VECTOR], 1);
	q->avail->flags = 0;
	msix_enable(&msix, false);
}

void guest_main(void)
{
	struct virtio v;
	uint8_t *a = mem_alloc(BYTES, 1), *b = mem_alloc(BYTES, 1);

	if (!virtio_find(VIRTIO_RNG, 0, &v))
		fatal("there is no virtio-rng");
	check("starts", virtio_start(&v, 0, 1));
	check_equal("status_is_ready", virtio_status(&v), 15);
	struct virtq *q = &v.queues[0];

	const struct piece in_a = { a, BYTES };
	int64_t len = virtq_do(q, &in_a, 0, 1);
	check("gives_bytes", len > 0 && len <= BYTES);
	check("bytes_are_not_zero", !all_zero(a, BYTES));
	const struct piece in_b[2] = { { b, 10 }, { b + 10, BYTES - 10 } };
	len = virtq_do(q, in_b, 0, 2);
	check("gives_bytes_to_two_pieces", len > 10);
	check("bytes_differ", memcmp(a, b, BYTES) != 0);

	bool all = true;
	for (unsigned i = 0; i < 3 * VIRTQ_MAX; i++)
		all = virtq_do(q, &in_a, 0, 1) > 0 && all;
	check("ring_wraps", all);

	/* Many at once, used in any order, each once. */
	uint64_t heads = 0;
	uint32_t head, used;
	for (unsigned i = 0; i < q->size; i++)
		heads |= 1ULL << virtq_add(q, &in_b[1], 0, 1);
	virtq_kick(q);
	for (unsigned i = 0; i < q->size && virtq_wait(q, &head, &used, 10); i++)
		heads &= ~(1ULL << head);
	check_equal("full_ring_is_served", heads, 0);
	with_interrupts(&v, a);
	check("resets", virtio_reset(&v));
}
