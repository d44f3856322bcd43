/* SPDX-License-Identifier: Apache-2.0 */
/* virtio-balloon: Traditional Memory Balloon Device. Wants one. */
#include "lib/virtio.h"

#define F_STATS	    (1ULL << 1)
#define F_DEFLATE   (1ULL << 2)
#define F_REPORTING (1ULL << 5)

#define PAGE	4096U
#define PAGES	64U
#define ACTUAL	4 /* in the configuration */
#define INFLATE 0
#define DEFLATE 1
#define STATS	2

static struct virtio balloon;

static bool give(uint16_t queue, uint32_t *pfns, uint32_t n)
{
	const struct piece out = { pfns, n * 4 };

	return virtq_do(&balloon.queues[queue], &out, 1, 0) >= 0;
}

static void pages_there_and_back(void)
{
	uint8_t *pages = mem_alloc(PAGES * PAGE, PAGE);
	uint32_t *pfns = mem_alloc(PAGES * 4, 4);

	for (uint32_t i = 0; i < PAGES; i++) {
		pages[i * PAGE] = 0x11;
		pfns[i] = (uint32_t)((uintptr_t)pages / PAGE + i);
	}
	check("inflates", give(INFLATE, pfns, PAGES));
	write32(balloon.config + ACTUAL, PAGES);
	check_equal("keeps_what_it_holds", read32(balloon.config + ACTUAL), PAGES);
	check("deflates", give(DEFLATE, pfns, PAGES));
	write32(balloon.config + ACTUAL, 0);
	bool usable = true;
	for (uint32_t i = 0; i < PAGES; i++) {
		write8((uintptr_t)pages + i * PAGE, (uint8_t)i);
		usable = usable && read8((uintptr_t)pages + i * PAGE) == (uint8_t)i;
	}
	check("pages_are_usable_again", usable);
}

/* Pages that are none: behind all memory, in the devices' window, the same one twice. Nothing may break. */
static void nonsense(void)
{
	uint8_t *page = mem_alloc(PAGE, PAGE);
	uint32_t *pfns = mem_alloc(32, 4);

	pfns[0] = UINT32_MAX;
	pfns[1] = 0xfee00;
	pfns[2] = 0xfec00;
	pfns[3] = pfns[4] = (uint32_t)((uintptr_t)page / PAGE);
	check("nonsense_to_inflate", give(INFLATE, pfns, 5));
	check("nonsense_to_deflate", give(DEFLATE, pfns, 5));
	const struct piece odd = { pfns, 7 };
	check("odd_length", virtq_do(&balloon.queues[INFLATE], &odd, 1, 0) >= 0);
	check_equal("still_ready", virtio_status(&balloon), 15);
}

static void statistics(void)
{
	struct stat {
		uint16_t tag;
		uint64_t value;
	} __attribute__((packed)) *stats = mem_alloc(2 * sizeof(*stats), 8);
	uint32_t head, len;

	if (!virtio_has(&balloon, F_STATS)) {
		skip("statistics", "not offered");
		return;
	}
	stats[0] = (struct stat){ 4, 1U << 20 }; /* VIRTIO_BALLOON_S_MEMFREE */
	stats[1] = (struct stat){ 5, 2U << 20 }; /* VIRTIO_BALLOON_S_MEMTOT */
	const struct piece out = { stats, 2 * sizeof(*stats) };
	(void)virtq_add(&balloon.queues[STATS], &out, 1, 0);
	virtq_kick(&balloon.queues[STATS]);
	/* The device keeps the buffer until it wants new ones. */
	check("statistics_are_kept", !virtq_wait(&balloon.queues[STATS], &head, &len, 1));
}

void guest_main(void)
{
	if (!virtio_find(VIRTIO_BALLOON, 0, &balloon))
		fatal("there is no virtio-balloon");
	bool begun = virtio_begin(&balloon, F_STATS | F_DEFLATE);
	for (uint16_t i = 0; i < (virtio_has(&balloon, F_STATS) ? 3 : 2); i++)
		begun = virtio_queue(&balloon, i, VIRTQ_MAX, NO_VECTOR) && begun;
	virtio_ready(&balloon);
	check("starts", begun);
	pages_there_and_back();
	statistics();
	nonsense();
	check("resets", virtio_reset(&balloon));
}
