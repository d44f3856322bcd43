/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * virtio-rng over the host's entropy.
 * Source: virtio 1.2, 5.4 Entropy Device.
 */
#include "devices/virtio/virtio_dev.h"
#include "machine/ops.h"

struct virtio_rng {
	struct virtio_dev virtio;
	struct entropy *entropy; /* borrowed */
	struct chain chain;	 /* the one that is looked at */
};

void virtio_rng_init(struct virtio_rng *rng, const struct virtio_place *place,
		     struct entropy *entropy);
