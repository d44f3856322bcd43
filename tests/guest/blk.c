/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-blk: Block Device. Wants one that may be overwritten, of 1 MiB at least; a read-only one as the second is
 * tried too. By "wipe=1" on the command line it has all of its disk discarded afterwards, by as many requests as the queue holds, for ever.
 */
#include "lib/virtio.h"

#define SECTOR 512U

#define F_SEG_MAX      (1ULL << 2)
#define F_RO	       (1ULL << 5)
#define F_BLK_SIZE     (1ULL << 6)
#define F_FLUSH	       (1ULL << 9)
#define F_DISCARD      (1ULL << 13)
#define F_WRITE_ZEROES (1ULL << 14)

enum { IN = 0, OUT = 1, FLUSH = 4, GET_ID = 8, DISCARD = 11, WRITE_ZEROES = 13 };
enum { OK = 0, IOERR = 1, UNSUPP = 2, NOTHING = 0xee };

struct header {
	uint32_t type, reserved;
	uint64_t sector;
};
struct range {
	uint64_t sector;
	uint32_t sectors, flags;
};

static struct virtio disk;
static struct header *header;
static uint8_t *status;

/* One request; its status, or NOTHING when it does not come back. */
static uint8_t request(uint32_t type, uint64_t sector, void *data, uint32_t len, bool to_device)
{
	*header = (struct header){ .type = type, .sector = sector };
	*status = NOTHING;
	struct piece pieces[3] = { { header, sizeof(*header) }, { data, len }, { status, 1 } };
	if (len == 0)
		pieces[1] = pieces[2];
	unsigned n = len ? 3 : 2, n_out = len && to_device ? 2 : 1;
	if (virtq_do(&disk.queues[0], pieces, n_out, n - n_out) < 0)
		return NOTHING;
	return *status;
}

static void fill(uint8_t *data, unsigned len, uint8_t seed)
{
	/* One instruction an interpreter's block, not three a byte. */
	memset(data, seed, len);
	for (unsigned i = 0; i < len; i += 61)
		data[i] = (uint8_t)(seed + i);
}

static void reads_and_writes(uint8_t *a, uint8_t *b)
{
	fill(a, 8 * SECTOR, 0x31);
	check_equal("write", request(OUT, 16, a, 8 * SECTOR, true), OK);
	check_equal("read", request(IN, 16, b, 8 * SECTOR, false), OK);
	check("reads_what_was_written", memcmp(a, b, 8 * SECTOR) == 0);
	memset(b, 0, SECTOR);
	check_equal("read_of_one", request(IN, 19, b, SECTOR, false), OK);
	check("reads_the_right_sector", memcmp(a + 3 * SECTOR, b, SECTOR) == 0);
	if (virtio_has(&disk, F_FLUSH))
		check_equal("flush", request(FLUSH, 0, NULL, 0, false), OK);
	else
		skip("flush", "not offered");
	char id[21] = { 0 };
	check_equal("id", request(GET_ID, 0, id, 20, false), OK);
}

static void ends_of_the_disk(uint8_t *b)
{
	uint64_t sectors = read32(disk.config) | (uint64_t)read32(disk.config + 4) << 32;

	check("has_a_mebibyte", sectors >= 2048);
	check_equal("read_of_the_last", request(IN, sectors - 1, b, SECTOR, false), OK);
	check_equal("read_behind_the_end", request(IN, sectors, b, SECTOR, false), IOERR);
	check_equal("read_across_the_end", request(IN, sectors - 1, b, 2 * SECTOR, false), IOERR);
	check_equal("read_far_behind", request(IN, UINT64_MAX / 2, b, SECTOR, false), IOERR);
	check_equal("write_behind_the_end", request(OUT, sectors, b, SECTOR, true), IOERR);
	check_equal("unknown_request", request(77, 0, b, SECTOR, true), UNSUPP);
}

/* A request in many pieces, cut where no sector ends; and one by an indirect table. */
static void pieces_of_any_size(uint8_t *a, uint8_t *b)
{
	uint32_t head, len;

	memset(b, 0, 8 * SECTOR);
	*header = (struct header){ .type = IN, .sector = 16 };
	*status = NOTHING;
	const struct piece pieces[] = { { header, 16 },
					{ b, 100 },
					{ b + 100, 924 },
					{ b + 1024, 1 },
					{ b + 1025, 8 * 512 - 1025 },
					{ status, 1 } };
	check("read_in_pieces",
	      virtq_do(&disk.queues[0], pieces, 1, 5) == 8 * SECTOR + 1 && *status == OK);
	check("pieces_hold_the_same", memcmp(a, b, 8 * SECTOR) == 0);
	if (!virtio_has(&disk, VIRTIO_F_INDIRECT)) {
		skip("indirect", "not offered");
		return;
	}
	struct virtq_desc *table = mem_alloc(8 * sizeof(*table), 16);
	memset(b, 0, 8 * SECTOR);
	*status = NOTHING;
	(void)virtq_add_indirect(&disk.queues[0], table, pieces, 1, 5);
	virtq_kick(&disk.queues[0]);
	check("read_by_an_indirect_table", virtq_wait(&disk.queues[0], &head, &len, 10) &&
						   *status == OK && memcmp(a, b, 8 * SECTOR) == 0);
}

static bool is_zero(const uint8_t *data, unsigned len)
{
	for (unsigned i = 0; i < len; i += 7) {
		if (data[i])
			return false;
	}
	return true;
}

static void discards(uint8_t *a, uint8_t *b)
{
	struct range *range = mem_alloc(sizeof(*range), 8);

	fill(a, 16 * SECTOR, 0x77);
	check_equal("write_before", request(OUT, 64, a, 16 * SECTOR, true), OK);
	*range = (struct range){ .sector = 68, .sectors = 8 };
	if (virtio_has(&disk, F_WRITE_ZEROES)) {
		check_equal("write_zeroes", request(WRITE_ZEROES, 0, range, sizeof(*range), true),
			    OK);
		check_equal("read_after", request(IN, 64, b, 16 * SECTOR, false), OK);
		check("zeroes_are_there", is_zero(b + 4 * SECTOR, 8 * SECTOR));
		check("only_there",
		      memcmp(a, b, 4 * SECTOR) == 0 &&
			      memcmp(a + 12 * SECTOR, b + 12 * SECTOR, 4 * SECTOR) == 0);
	} else {
		skip("write_zeroes", "not offered");
	}
	if (!virtio_has(&disk, F_DISCARD)) {
		skip("discard", "not offered");
		return;
	}
	check_equal("discard", request(DISCARD, 0, range, sizeof(*range), true), OK);
	check_equal("read_after_discard", request(IN, 64, b, 4 * SECTOR, false), OK);
	check("neighbours_stay", memcmp(a, b, 4 * SECTOR) == 0);
	range->sectors = UINT32_MAX;
	check("discard_of_too_much_is_refused",
	      request(DISCARD, 0, range, sizeof(*range), true) != OK);
}

static void read_only_disk(uint8_t *b)
{
	if (!virtio_find(VIRTIO_BLK, 1, &disk)) {
		skip("read_only_disk", "there is no second one");
		return;
	}
	check("second_starts", virtio_start(&disk, F_RO, 1));
	check("second_is_read_only", virtio_has(&disk, F_RO));
	check_equal("second_reads", request(IN, 0, b, SECTOR, false), OK);
	check_equal("second_does_not_write", request(OUT, 0, b, SECTOR, true), IOERR);
}

/* In the room of three descriptors each. */
static void wipe_forever(void)
{
	struct virtq *q = &disk.queues[0];
	uint64_t sectors = read32(disk.config) | (uint64_t)read32(disk.config + 4) << 32;
	struct range *range = mem_alloc(sizeof(*range), 8);
	uint32_t head, len;

	*header = (struct header){ .type = DISCARD };
	*range = (struct range){ .sectors = (uint32_t)sectors };
	const struct piece pieces[] = { { header, sizeof(*header) },
					{ range, sizeof(*range) },
					{ status, 1 } };
	for (unsigned i = 0; i < VIRTQ_MAX / 3; i++)
		(void)virtq_add(q, pieces, 2, 1);
	print("now\n");
	for (;;) {
		virtq_kick(q);
		while (!virtq_pop(q, &head, &len))
			;
		virtq_offer(q, (uint16_t)head);
	}
}

void guest_main(void)
{
	uint8_t *a = mem_alloc(16 * SECTOR, 4096), *b = mem_alloc(16 * SECTOR, 4096);

	header = mem_alloc(sizeof(*header), 16);
	status = mem_alloc(1, 1);
	if (!virtio_find(VIRTIO_BLK, 0, &disk))
		fatal("there is no virtio-blk");
	check("starts", virtio_start(&disk,
				     F_SEG_MAX | F_BLK_SIZE | F_FLUSH | F_DISCARD | F_WRITE_ZEROES |
					     VIRTIO_F_INDIRECT,
				     1));
	reads_and_writes(a, b);
	ends_of_the_disk(b);
	pieces_of_any_size(a, b);
	discards(a, b);
	check("ends_without_needs_reset", !(virtio_status(&disk) & STATUS_NEEDS_RESET));
	if (option_number("wipe", 0))
		wipe_forever();
	read_only_disk(b);
}
