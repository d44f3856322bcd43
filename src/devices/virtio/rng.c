/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio/rng.h"

#include <errno.h>

#include "base/core/macros.h"

#define RNG_QUEUE_SIZE	  64U
#define RNG_REQUEST_BYTES 4096U /* of one chain, whose used length says how much came */
#define RNG_BUDGET	  16U	/* chains of one turn */

/* 5.4.6.1: at least one byte, and used_len says how many. */
static int rng_fill(struct virtio_rng *rng)
{
	const struct chain *chain = &rng->chain;
	uint32_t done = 0;

	if (chain->in_bytes == 0)
		return -EPROTO;
	for (unsigned i = chain->n_out; i < chain->n && done < RNG_REQUEST_BYTES; i++) {
		uint64_t n = chain->iov[i].len;
		if (n > RNG_REQUEST_BYTES - done)
			n = RNG_REQUEST_BYTES - done;
		int r = rng->entropy->ops->get(rng->entropy, chain->iov[i].hva, (size_t)n);
		if (r < 0)
			return r;
		done += (uint32_t)n;
	}
	chain_wrote(chain, rng->virtio.mem, done);
	virtq_put(&rng->virtio.queues[0], chain->head, done);
	return 0;
}

static int rng_handle(struct virtio_dev *dev, uint16_t queue)
{
	struct virtio_rng *rng = container_of(dev, struct virtio_rng, virtio);
	unsigned i;
	int r = 1;

	for (i = 0; r > 0 && i < RNG_BUDGET; i++) {
		r = virtq_pop(&dev->queues[queue], &rng->chain);
		int filled = r > 0 ? rng_fill(rng) : 0;
		if (filled < 0)
			r = filled;
	}
	virtio_signal(dev, queue);
	if (r > 0)
		virtio_again(dev, queue);
	return r < 0 ? r : 0;
}

static const struct virtio_dev_ops rng_ops = {
	.name = "virtio-rng",
	.device_id = VIRTIO_ID_RNG,
	.class_code = 0x00ff00,
	.handle = rng_handle,
};

void virtio_rng_init(struct virtio_rng *rng, const struct virtio_place *place,
		     struct entropy *entropy)
{
	virtio_dev_init(&rng->virtio, &rng_ops, place, 0, 1, RNG_QUEUE_SIZE, NULL, 0);
	rng->entropy = entropy;
}
