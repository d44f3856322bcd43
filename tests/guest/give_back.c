/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that is given back while another CPU goes on reading it: it finds what was there or zeroes, and never a word of another
 * guest's, nor of no memory at all. "mark=N": what this guest leaves; "megabytes=N", "rounds=N"; wants a virtio-balloon with reporting, and "cpus=2".
 */
#include "lib/smp.h"
#include "lib/virtio.h"

#define MIB    (1UL << 20)
#define PIECE  (2 * MIB)
#define PAGE   4096U
#define FIRST  (4 * MIB) /* behind the program */
#define PIECES 8U	 /* in a report */
#define STEP   256U	 /* from word to word that is looked at */

#define F_REPORTING (1ULL << 5)
#define INFLATE	    0
#define DEFLATE	    1
#define REPORT	    4

static struct virtio balloon;
static uint64_t end, mark;
static volatile uint32_t is_over;
static uint32_t strangers;	       /* words that are neither ours nor zero */
static uint64_t stranger, stranger_at; /* one of them, and where */

static void look(uint64_t at, uint64_t word)
{
	if (!word || word == mark)
		return;
	stranger = word;
	stranger_at = at;
	__atomic_fetch_add(&strangers, 1, __ATOMIC_SEQ_CST);
}

/* Reads everything all the time, so that this CPU has its translations. */
static void watch(void *arg)
{
	(void)arg;
	while (!is_over) {
		for (uint64_t at = FIRST; at < end; at += PAGE) {
			look(at, read64(at));
		}
	}
}

static void fill(uint64_t from, uint64_t to)
{
	for (uint64_t at = from; at < to; at += STEP)
		write64(at, mark);
}

/* How many words are not zero; what is no mark of ours either is a stranger. */
static uint32_t not_zero(uint64_t from, uint64_t to)
{
	uint32_t n = 0;

	for (uint64_t at = from; at < to; at += 8) {
		uint64_t word = read64(at);
		n += word != 0;
		look(at, word);
	}
	return n;
}

static bool report(uint64_t from, uint64_t to)
{
	struct piece in[PIECES];
	unsigned n = 0;

	for (; from < to && n < PIECES; from += PIECE)
		in[n++] = (struct piece){ (void *)from, PIECE };
	return virtq_do(&balloon.queues[REPORT], in, 0, n) >= 0;
}

static bool give(uint16_t queue, uint32_t *pfns, uint32_t n)
{
	const struct piece out = { pfns, n * 4 };

	return virtq_do(&balloon.queues[queue], &out, 1, 0) >= 0;
}

static void by_reports(unsigned rounds)
{
	uint32_t left = 0;
	bool all = true;

	for (unsigned i = 0; i < rounds; i++) {
		fill(FIRST, end);
		for (uint64_t at = FIRST; at < end; at += PIECES * PIECE)
			all = report(at, end) && all;
		left += not_zero(FIRST, end);
	}
	check("reports_are_taken", all);
	check_equal("what_was_reported_is_zero", left, 0);
}

/* Page by page, in two halves: the piece goes with its last page. */
static void by_pages(void)
{
	uint32_t *pfns = mem_alloc(256 * 4, 4);
	uint64_t piece = end - PIECE;
	bool all = true;

	fill(piece, end);
	for (unsigned half = 0; half < 2; half++) {
		for (uint32_t i = 0; i < 256; i++)
			pfns[i] = (uint32_t)(piece / PAGE + half * 256 + i);
		all = give(INFLATE, pfns, 256) && all;
		if (!half)
			check_equal("half_a_piece_is_not_taken", read64(piece), mark);
	}
	check("inflates", all);
	check_equal("a_whole_one_is_zero", not_zero(piece, end), 0);
	check("deflates", give(DEFLATE, pfns, 256));
	write64(piece, mark);
	pfns[0] = (uint32_t)(piece / PAGE);
	check("one_page_of_a_piece", give(INFLATE, pfns, 1) && read64(piece) == mark);
}

/* What the device itself uses: the pieces with the program, its rings, and the numbers that it is reading. */
static void what_is_in_use(void)
{
	uint32_t *pfns = mem_alloc(512 * 4, 4);

	for (uint32_t i = 0; i < 512; i++)
		pfns[i] = (uint32_t)((uintptr_t)balloon.queues[INFLATE].desc / PIECE *
					     (PIECE / PAGE) +
				     i);
	check("the_rings_piece", give(INFLATE, pfns, 512));
	check("and_the_rings_work", give(DEFLATE, pfns, 512));
	/* The list lies in the last piece, which is what it names. */
	uint32_t *own = (uint32_t *)(end - PIECE + 64);
	for (uint32_t i = 0; i < 512; i++)
		own[i] = (uint32_t)((end - PIECE) / PAGE + i);
	check("a_list_of_its_own_pages", give(INFLATE, own, 512));
	check_equal("is_gone_with_them", not_zero(end - PIECE, end), 0);
}

void guest_main(void)
{
	unsigned n = smp_count();

	end = option_number("megabytes", 32) * MIB;
	mark = 0x6d61726b00000000 | option_number("mark", 1);
	if (!virtio_find(VIRTIO_BALLOON, 0, &balloon))
		fatal("there is no virtio-balloon");
	bool begun = virtio_begin(&balloon, F_REPORTING) && virtio_has(&balloon, F_REPORTING);
	begun = virtio_queue(&balloon, INFLATE, VIRTQ_MAX, NO_VECTOR) && begun;
	begun = virtio_queue(&balloon, DEFLATE, VIRTQ_MAX, NO_VECTOR) && begun;
	begun = virtio_queue(&balloon, REPORT, VIRTQ_MAX, NO_VECTOR) && begun;
	virtio_ready(&balloon);
	check("starts", begun);
	if (n > 1) {
		check_equal("others_start", smp_start(), n - 1);
		for (unsigned i = 1; i < n; i++)
			smp_run(i, watch, NULL);
	}
	by_reports((unsigned)option_number("rounds", 4));
	is_over = 1;
	for (unsigned i = 1; i < n; i++)
		check("others_end", smp_wait(i, 20));
	by_pages();
	what_is_in_use();
	check_equal("words_of_somebody_else's", strangers, 0);
	if (strangers) {
		check_equal("such_as", stranger, 0);
		check_equal("at", stranger_at, 0);
	}
	check("resets", virtio_reset(&balloon));
}
