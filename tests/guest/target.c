/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest that does what its balloon's target asks, up and down, and asks before it takes: until the target is all of its memory again.
 * "megabytes=N". "steals=1": it uses what it gave without having asked. "asks=1": it asks for what the target does not leave it. Wants a
 * virtio-balloon that others raise and lower.
 */
#include "lib/virtio.h"

#define MIB	(1UL << 20)
#define PAGE	4096U
#define FIRST	(4 * MIB) /* behind the program */
#define NUMBERS 1024U	  /* in a chain */
#define ASKS	1024U	  /* pages: more than a balloon may be behind by while its pages move */

#define F_MUST_TELL (1ULL << 0)
#define F_DEFLATE   (1ULL << 2)
#define F_REPORTING (1ULL << 5)
#define TARGET	    0 /* in the configuration */
#define ACTUAL	    4
#define INFLATE	    0
#define DEFLATE	    1

static struct virtio balloon;
static uint32_t *pfns;
static uint64_t end;

static uint64_t mark_of(uint64_t at)
{
	return 0x6d61726b00000000 | at / PAGE;
}

/* The pages below the has-th from the end, or those above: where it is to be `want`. */
static struct piece numbers(uint32_t has, uint32_t want)
{
	uint32_t from = has < want ? has : want, n = (has < want ? want : has) - from;

	if (n > NUMBERS)
		n = NUMBERS;
	if (has > want)
		from = has - n;
	for (uint32_t i = 0; i < n; i++)
		pfns[i] = (uint32_t)(end / PAGE) - 1 - from - i;
	return (struct piece){ pfns, n * 4 };
}

static uint32_t follow(uint32_t has, uint32_t want)
{
	while (has != want) {
		const struct piece out = numbers(has, want);
		struct virtq *q = &balloon.queues[has < want ? INFLATE : DEFLATE];
		if (virtq_do(q, &out, 1, 0) < 0)
			fatal("a chain was not answered");
		has = has < want ? has + out.len / 4 : has - out.len / 4;
	}
	write32(balloon.config + ACTUAL, has);
	print("balloon ");
	print_number(has);
	print(" pages\n");
	return has;
}

static uint32_t target_change(uint32_t from)
{
	while (read32(balloon.config + TARGET) == from)
		pause();
	return read32(balloon.config + TARGET);
}

/* Return: what it has left, once it was given the answer. */
static uint32_t ask_for_more(uint32_t has)
{
	uint32_t head, len;
	const struct piece out = numbers(has, has - ASKS);

	(void)virtq_add(&balloon.queues[DEFLATE], &out, 1, 0);
	virtq_kick(&balloon.queues[DEFLATE]);
	check("there_is_no_answer", !virtq_wait(&balloon.queues[DEFLATE], &head, &len, 1));
	print("waits\n");
	while (!virtq_pop(&balloon.queues[DEFLATE], &head, &len))
		pause();
	return has - ASKS;
}

static void memory_check(void)
{
	uint32_t strange = 0;

	for (uint64_t at = FIRST; at < end; at += PAGE) {
		uint64_t word = read64(at);
		strange += word && word != mark_of(at);
		write64(at, ~at);
	}
	for (uint64_t at = FIRST; at < end; at += PAGE)
		strange += read64(at) != ~at;
	check_equal("words_that_are_not_its_own", strange, 0);
}

void guest_main(void)
{
	uint32_t has = 0;

	end = option_number("megabytes", 32) * MIB;
	pfns = mem_alloc(NUMBERS * 4, 4);
	if (!virtio_find(VIRTIO_BALLOON, 0, &balloon))
		fatal("there is no virtio-balloon");
	check("has_no_way_around_the_target",
	      !(virtio_offered(&balloon) & (F_DEFLATE | F_REPORTING)));
	check("starts",
	      virtio_start(&balloon, F_MUST_TELL, 2) && virtio_has(&balloon, F_MUST_TELL));
	for (uint64_t at = FIRST; at < end; at += PAGE)
		write64(at, mark_of(at));
	print("ready\n");
	do {
		has = follow(has, target_change(has));
		if (option_number("steals", 0))
			check_equal("what_was_given_is_gone", read64(end - PAGE), 0);
		if (has && option_number("asks", 0))
			has = ask_for_more(has);
	} while (has);
	memory_check();
}
