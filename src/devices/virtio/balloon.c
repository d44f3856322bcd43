/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio/balloon.h"

#include <errno.h>
#include <string.h>

#include "base/core/macros.h"

/* 5.5.3 Feature bits */
#define BALLOON_F_MUST_TELL_HOST 0
#define BALLOON_F_STATS_VQ	 1

/*
 * 5.5.2 Virtqueues. The specification numbers the reporting queue 4; Linux before 6.11 numbers only the queues that it
 * uses (drivers/virtio/virtio_balloon.c, "work around for out of spec QEMU"). Nothing else can be on 3, nor on 2
 * without statistics, so these serve as reporting queues too.
 */
enum { BALLOON_INFLATE, BALLOON_DEFLATE, BALLOON_STATS_Q, BALLOON_REPORT = 4, BALLOON_QUEUES };

#define BALLOON_QUEUE_SIZE 128U
#define BALLOON_PAGE	   4096U
/*
 * What a guest may ask for at once, so that no turn is long: drivers send 256 numbers (Linux) to 1024 (Windows) in one buffer. Buffers
 * may have to be filled before they are read; those of reports are not read.
 */
#define BALLOON_BUDGET	    8U	   /* chains of one turn */
#define BALLOON_TURN_BYTES  65536U /* of them, when no other is begun */
#define BALLOON_CHAIN_BYTES 65536U
#define BALLOON_CHAIN_MAX   4U
#define BALLOON_PFNS	    256U /* read at a time */

/* Naturally unaligned: 5.5.6.3 has it packed. */
#define STAT_BYTES    10U
#define STAT_VALUE_AT 2U

static struct virtio_balloon *balloon_of(struct virtio_dev *dev)
{
	return container_of(dev, struct virtio_balloon, virtio);
}

/* A run of pages that the guest named; what is not RAM of its own is left alone. Return: false: the host wants it to wait. */
static bool balloon_pages(struct virtio_balloon *balloon, uint16_t queue, uint64_t pfn, uint64_t n)
{
	const gpa_t gpa = pfn * BALLOON_PAGE;
	const uint64_t len = n * BALLOON_PAGE;

	if (!n || !mem_is_ram(balloon->virtio.mem, gpa, len))
		return true;
	if (queue == BALLOON_DEFLATE)
		return !balloon->host->ops->reclaim ||
		       balloon->host->ops->reclaim(balloon->host, gpa, len);
	if (queue == BALLOON_REPORT && balloon->host->ops->report)
		balloon->host->ops->report(balloon->host, gpa, len);
	else
		balloon->host->ops->release(balloon->host, gpa, len);
	mem_wrote(balloon->virtio.mem, gpa, len);
	return true;
}

/*
 * Page numbers of 32 bits (5.5.6); those that follow each other, up or down, are one run while RAM holds them all. Return: false: the
 * host wants it to wait.
 */
static bool balloon_move(struct virtio_balloon *balloon, uint16_t queue)
{
	struct le32 pfns[BALLOON_PFNS];
	uint64_t first = 0, n = 0;

	while (balloon->chain.out_bytes >= sizeof(pfns[0])) {
		uint64_t bytes = balloon->chain.out_bytes & ~UINT64_C(3);
		if (bytes > sizeof(pfns))
			bytes = sizeof(pfns);
		(void)chain_pull(&balloon->chain, pfns, bytes); /* they are there */
		for (unsigned i = 0; i < bytes / sizeof(pfns[0]); i++) {
			uint64_t pfn = le32_get(pfns[i]);
			bool up = n && pfn == first + n, down = n && pfn + 1 == first;
			if (down)
				first = pfn;
			if (up || down) {
				n++;
				continue;
			}
			if (!balloon_pages(balloon, queue, first, n))
				return false;
			first = pfn;
			n = 1;
		}
	}
	return balloon_pages(balloon, queue, first, n);
}

/* 5.5.6.7 Free Page Reporting: the buffers themselves are the free memory. */
static void balloon_report(struct virtio_balloon *balloon)
{
	const struct chain *chain = &balloon->chain;

	for (unsigned i = chain->n_out; i < chain->n; i++) {
		gpa_t gpa = (uintptr_t)chain->iov[i].hva; /* virtq.by_gpa */
		uint64_t skip = -gpa % BALLOON_PAGE;
		if (chain->iov[i].len > skip)
			(void)balloon_pages(balloon, BALLOON_REPORT, (gpa + skip) / BALLOON_PAGE,
					    (chain->iov[i].len - skip) / BALLOON_PAGE);
	}
}

static void balloon_stats_parse(struct virtio_balloon *balloon)
{
	struct balloon_stats stats = { 0 };
	uint8_t stat[STAT_BYTES];

	for (unsigned i = 0; i < BALLOON_STATS && chain_pull(&balloon->chain, stat, sizeof(stat));
	     i++) {
		uint16_t tag = le16_load(stat);
		if (tag >= BALLOON_STATS)
			continue;
		stats.values[tag] = le64_load(&stat[STAT_VALUE_AT]);
		stats.given |= UINT32_C(1) << tag;
	}
	if (balloon->stats_asked && balloon->host->ops->stats)
		balloon->host->ops->stats(balloon->host, &stats);
	balloon->stats_asked = false;
}

/* One buffer goes to and fro (5.5.6.3): here it means that statistics are fresh, given back that new ones are wanted. */
static void balloon_stats_take(struct virtio_balloon *balloon)
{
	if (balloon->stats_held)
		virtq_put(&balloon->virtio.queues[BALLOON_STATS_Q], balloon->stats_head, 0);
	balloon->stats_head = balloon->chain.head;
	balloon->stats_held = true;
	balloon_stats_parse(balloon);
}

/* Whatever number the driver gave it: above. Its buffers are named, not read: they are free. */
static bool is_reporting(const struct virtio_balloon *balloon, uint16_t queue)
{
	return queue >= BALLOON_STATS_Q && virtio_has(&balloon->virtio, BALLOON_F_PAGE_REPORTING) &&
	       !(queue == BALLOON_STATS_Q && virtio_has(&balloon->virtio, BALLOON_F_STATS_VQ));
}

/* Return: 0; -EAGAIN: it is not answered, and comes again; -EPROTO: more than a driver has reason to say at once. */
static int balloon_take(struct virtio_balloon *balloon, uint16_t queue)
{
	if (queue == BALLOON_STATS_Q && virtio_has(&balloon->virtio, BALLOON_F_STATS_VQ)) {
		balloon_stats_take(balloon);
		return 0;
	}
	if (balloon->chain.out_bytes > BALLOON_CHAIN_BYTES)
		return -EPROTO;
	if (queue == BALLOON_INFLATE || queue == BALLOON_DEFLATE) {
		if (!balloon_move(balloon, queue))
			return -EAGAIN;
	} else if (is_reporting(balloon, queue)) {
		balloon_report(balloon);
	}
	virtq_put(&balloon->virtio.queues[queue], balloon->chain.head, 0);
	return 0;
}

static int balloon_handle(struct virtio_dev *dev, uint16_t queue)
{
	struct virtio_balloon *balloon = balloon_of(dev);
	uint64_t bytes = 0;
	int r = 1, taken = 0;

	dev->queues[queue].by_gpa = is_reporting(balloon, queue);
	dev->queues[queue].chain_max = is_reporting(balloon, queue) ? 0 : BALLOON_CHAIN_MAX;
	for (unsigned i = 0; !taken && i < BALLOON_BUDGET && bytes < BALLOON_TURN_BYTES; i++) {
		r = virtq_pop(&dev->queues[queue], &balloon->chain);
		if (r <= 0)
			break;
		bytes += balloon->chain.out_bytes;
		taken = balloon_take(balloon, queue);
	}
	if (taken == -EAGAIN)
		virtq_unpop(&dev->queues[queue]);
	else if (taken < 0)
		r = taken;
	virtio_signal(dev, queue);
	if (r > 0)
		virtio_again(dev, queue);
	return r < 0 ? r : 0;
}

static void balloon_reset(struct virtio_dev *dev)
{
	balloon_of(dev)->stats_held = balloon_of(dev)->stats_asked = false;
	balloon_of(dev)->config.actual = le32_of(0);
	if (balloon_of(dev)->host->ops->reset)
		balloon_of(dev)->host->ops->reset(balloon_of(dev)->host);
}

static void balloon_config_write(struct virtio_dev *dev, unsigned offset, const void *data,
				 unsigned len)
{
	if (offset == offsetof(struct balloon_config, actual) && len == sizeof(struct le32))
		balloon_of(dev)->config.actual = le32_of(le32_load(data));
}

static const struct virtio_dev_ops balloon_ops = {
	.name = "virtio-balloon",
	.device_id = VIRTIO_ID_BALLOON,
	.class_code = 0x00ff00,
	.handle = balloon_handle,
	.reset = balloon_reset,
	.config_write = balloon_config_write,
};

void virtio_balloon_init(struct virtio_balloon *balloon, const struct virtio_place *place,
			 struct balloon_host *host)
{
	virtio_dev_init(
		&balloon->virtio, &balloon_ops, place,
		(VIRTIO_BIT(BALLOON_F_MUST_TELL_HOST) | VIRTIO_BIT(BALLOON_F_STATS_VQ) |
		 VIRTIO_BIT(BALLOON_F_DEFLATE_ON_OOM) | VIRTIO_BIT(BALLOON_F_PAGE_REPORTING)) &
			~host->without,
		BALLOON_QUEUES, BALLOON_QUEUE_SIZE, &balloon->config, sizeof(balloon->config));
	balloon->host = host;
	balloon->config = (struct balloon_config){ 0 };
	balloon->stats_held = balloon->stats_asked = false;
}

void virtio_balloon_target(struct virtio_balloon *balloon, uint64_t bytes)
{
	const uint64_t pages = bytes / BALLOON_PAGE;

	lock_acquire(&balloon->virtio.lock);
	balloon->config.num_pages = le32_of(pages < UINT32_MAX ? (uint32_t)pages : UINT32_MAX);
	virtio_config_changed(&balloon->virtio);
	lock_release(&balloon->virtio.lock);
}

uint64_t virtio_balloon_actual(struct virtio_balloon *balloon)
{
	lock_acquire(&balloon->virtio.lock);
	uint64_t pages = le32_get(balloon->config.actual);
	lock_release(&balloon->virtio.lock);
	return pages * BALLOON_PAGE;
}

void virtio_balloon_ask(struct virtio_balloon *balloon)
{
	struct virtio_dev *dev = &balloon->virtio;

	lock_acquire(&dev->lock);
	balloon->stats_asked = true;
	if (balloon->stats_held && virtio_live(dev, BALLOON_STATS_Q)) {
		balloon->stats_held = false;
		virtq_put(&dev->queues[BALLOON_STATS_Q], balloon->stats_head, 0);
		virtio_signal(dev, BALLOON_STATS_Q);
	}
	lock_release(&dev->lock);
}
