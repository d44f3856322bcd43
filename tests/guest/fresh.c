/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory as it is at a guest's start: zero, whoever had it before, and whichever way it is reached first: by a CPU, by all CPUs at
 * the same moment, by a device. Then it is filled with what the next guest must not find. "megabytes=N" is where it ends;
 * wants a virtio-rng for the device's part.
 */
#include "lib/smp.h"
#include "lib/virtio.h"

#define MIB   (1UL << 20)
#define PIECE (2 * MIB)
#define FIRST (4 * MIB) /* behind the program */
#define LEFT  UINT64_C(0x5ec2e75ec2e75ec2)
#define BYTES 16U

static volatile uint32_t turn; /* how many CPUs have come to a piece */
static uint32_t found;	       /* words that were not zero */
static uint64_t end;

/* Every CPU has its own words of each piece, and all begin with a piece at once. */
static void look(void *arg)
{
	unsigned cpu = (unsigned)(uintptr_t)arg, n = smp_count(), round = 0;

	for (uint64_t at = FIRST; at < end - PIECE; at += PIECE) {
		__atomic_fetch_add(&turn, 1, __ATOMIC_SEQ_CST);
		round += n;
		while (turn < round)
			pause();
		for (uint64_t i = cpu * 8; i < PIECE; i += n * 8) {
			if (read64(at + i))
				__atomic_fetch_add(&found, 1, __ATOMIC_SEQ_CST);
			write64(at + i, LEFT);
		}
	}
}

/* A device writes into the last piece, which no CPU has touched. */
static void by_device(void)
{
	uint8_t *at = (uint8_t *)(end - PIECE + 3 * BYTES);
	struct piece in = { at, BYTES };
	struct virtio v;
	unsigned others = 0, any = 0;

	if (!virtio_find(VIRTIO_RNG, 0, &v)) {
		skip("by_device", "no virtio-rng");
		return;
	}
	check("device_starts", virtio_start(&v, 0, 1));
	int64_t len = virtq_do(&v.queues[0], &in, 0, 1);
	check("device_writes", len > 0);
	for (uint64_t i = 0; i < PIECE; i++) {
		bool is_its = i >= 3 * BYTES && i < 4 * BYTES;
		uint8_t value = read8(end - PIECE + i);
		any += is_its && value;
		others += !is_its && value;
		write8(end - PIECE + i, (uint8_t)LEFT);
	}
	check("its_bytes_are_there", any > 0);
	check_equal("bytes_beside_a_device's_are_zero", others, 0);
}

void guest_main(void)
{
	unsigned n = smp_count();
	bool all = true;

	end = option_number("megabytes", 16) * MIB;
	by_device();
	if (n > 1)
		check_equal("others_start", smp_start(), n - 1);
	for (unsigned i = 1; i < n; i++)
		smp_run(i, look, (void *)(uintptr_t)i);
	look(NULL);
	for (unsigned i = 1; i < n; i++)
		all = smp_wait(i, 20) && all;
	check("all_looked", all);
	check_equal("words_that_were_not_zero", found, 0);
}
