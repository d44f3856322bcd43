/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * virtio-balloon: memory that the guest gives back.
 *
 * Inflated pages, and pages that the guest reports as free, are released to the host; a page that the guest touches
 * later comes back zeroed by itself. Statistics are asked for by the host: the guest's buffer is kept until then.
 * Source: virtio 1.2, 5.5 Traditional Memory Balloon Device.
 */
#include "base/core/bytes.h"
#include "devices/virtio/virtio_dev.h"

struct virtio_balloon;
struct balloon_host;

#define BALLOON_STATS 16U /* tags that are kept; 1.2 has 10 */

/* 5.5.6.4 Memory Statistics Tags: values by tag, and which the guest gave. */
struct balloon_stats {
	uint64_t values[BALLOON_STATS];
	uint32_t given; /* one bit a tag */
};

struct balloon_host_ops {
	/*
	 * Mandatory; I/O thread, lock held. Whole pages inside one slot of RAM that the guest does not use: the host may
	 * take them, and what is read there later is zero or the old contents.
	 */
	void (*release)(struct balloon_host *host, gpa_t gpa, uint64_t len);
	/*
	 * Optional; the same, for what the guest reports as free, and not has in its balloon: it may use it again without a word, but
	 * not before this chain is answered. NULL: release() is called.
	 */
	void (*report)(struct balloon_host *host, gpa_t gpa, uint64_t len);
	/* Optional; I/O thread, lock held. The device was reset: no page is in the balloon. */
	void (*reset)(struct balloon_host *host);
	/*
	 * Optional; the same. The guest will use these pages again, and does not before it is answered (MUST_TELL_HOST). Return: false: not
	 * now; it waits, and asks again for all of what it asked for at once, when the host has it look at the queue again.
	 */
	bool (*reclaim)(struct balloon_host *host, gpa_t gpa, uint64_t len);
	/* Optional; the same. What virtio_balloon_ask() asked for. */
	void (*stats)(struct balloon_host *host, const struct balloon_stats *stats);
};

/* 5.5.3 Feature bits, those that not every host wants */
#define BALLOON_F_DEFLATE_ON_OOM                                                                   \
	2 /* a guest short of memory takes from its balloon, whatever the target is */
#define BALLOON_F_PAGE_REPORTING 5 /* report() */

struct balloon_host { /* embedded by the assembler */
	const struct balloon_host_ops *ops;
	uint64_t without; /* VIRTIO_BIT()s that are not offered */
};

/* 5.5.4 Device configuration layout */
struct balloon_config {
	struct le32 num_pages, actual; /* of 4096 bytes */
};

struct virtio_balloon {
	struct virtio_dev virtio;
	struct balloon_host *host; /* borrowed */
	struct balloon_config config;
	bool stats_held; /* the guest's buffer for statistics is here */
	bool stats_asked;
	uint16_t stats_head;
	struct chain chain; /* the one that is looked at */
};

void virtio_balloon_init(struct virtio_balloon *balloon, const struct virtio_place *place,
			 struct balloon_host *host);
/* virtio_balloon_target() - any thread: how much the guest shall give back in all; it does so in its own time. */
void virtio_balloon_target(struct virtio_balloon *balloon, uint64_t bytes);
/* virtio_balloon_actual() - any thread: how much it says it gave, in bytes. */
uint64_t virtio_balloon_actual(struct virtio_balloon *balloon);
/* virtio_balloon_ask() - I/O thread: stats() will be called with fresh ones, if the guest's driver can. */
void virtio_balloon_ask(struct virtio_balloon *balloon);
