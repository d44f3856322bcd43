/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A guest's memory is zeroed as it is touched first, in pieces of 2 MiB: making a guest does not wait for it.
 *
 * Theory of operation. What the page allocator handed out may still have another guest's bytes. Until a piece has been zeroed
 * there are two ways to it, and both come by here: the guest's own, which has no nested translation and faults
 * (first_touch_fault), and a device's or the loader's, which ask guest_mem for an address (guest_mem.there, need). Whoever comes
 * first zeroes the piece, maps it and then says that it is there; the others wait. The tables down to the pieces' entries are made
 * at the start, so nothing is allocated then, and nothing can fail.
 *
 * A request to a device may be over gigabytes that were never touched. So what requests are over is filled FIRST_TOUCH_TURN pieces
 * a turn (guest_mem.ready): the queue keeps the request until the turn in which all of it is there, and between two turns the CPU may be
 * somebody else's.
 *
 * Memory that comes and goes (first_touch_movable()): a piece may be given back, whether it was touched or not, and is taken anew,
 * from wherever there is one, when it is touched again; where it is then is in guest_mem.pieces. There may be none left: then
 * the touch fails, with FIRST_TOUCH_NONE_LEFT for the guest and a NULL for a device. first_touch_give() takes the translation, the bit and
 * the address away, in this order, while nothing of the guest runs and nothing holds an address in it: that is its caller's
 * business, and so is that no vcpu enters again before its translations are dropped (vm/guest_balloon.h).
 *
 * A guest that no memory is promised to twice (is_asked) gets a piece back only if it asks before it touches it, so that it can be told
 * to wait. What is promised to it is taken when it is promised, and is its own from then on: nothing has to be kept free elsewhere.
 *
 * Thread rule: add() and movable() while the guest is made; give() while its vcpus stand still; the rest on any CPU. The lock is the
 * last but the pages' and the console's.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/spin.h"
#include "hw/npt.h"
#include "machine/mem.h"

/* Where pieces come from and go to; a piece is MEM_PIECE_BYTES, and aligned to that. */
struct first_touch_source {
	void *(*take)(void); /* its bytes are anything; NULL: none is left */
	void (*give)(void *piece);
};

struct first_touch {
	struct guest_mem *mem; /* borrowed, as npt */
	struct npt *npt;
	struct spin lock;
	uint64_t *there; /* a bit a piece of guest physical memory; atomic: it may be used */
	uint64_t pieces;
	/* Of memory that comes and goes; NULL else. */
	uint8_t **at; /* by piece; NULL: the guest has none there */
	const struct first_touch_source *source;
	uint64_t held; /* pieces that the guest has, touched or not; under lock, read by anybody */
	/* The guest's turn's. */
	uint64_t left; /* pieces that devices may still fill in it */
	bool is_short; /* one wanted more */
	bool is_asked; /* nothing comes back by a touch: first_touch_take(). Set before the guest starts */
	uint64_t floor; /* pieces that are promised to it; under lock, as the next two */
	void *stock; /* of the held ones those that are nowhere in it; each begins with the next */
	uint64_t n_stock;
};

#define FIRST_TOUCH_TURN 1U

/* With is_asked: so many pieces of what it gives stay in its stock. */
#define FIRST_TOUCH_SPARE 2U

/* Bytes that the bits of guest memory below end need: whole pages. */
uint64_t first_touch_bytes(gpa_t end);
/* first_touch_init() - takes mem->need and mem->there. @bits: zeroed, first_touch_bytes(end) of them; the caller's */
void first_touch_init(struct first_touch *touch, struct guest_mem *mem, struct npt *npt,
		      uint64_t *bits, gpa_t end);
/*
 * first_touch_add() - a slot of mem whose bytes are anything, and which is not mapped
 * Return: 0; -EINVAL: not made of whole pieces; -ENOMEM: no tables.
 */
int first_touch_add(struct first_touch *touch, const struct mem_slot *slot);
/* first_touch_now() - the same, but zeroed at once and mapped by the largest leaves, of 1 GiB where it can be. Return: 0, -ENOMEM. */
int first_touch_now(struct first_touch *touch, const struct mem_slot *slot);
/* first_touch_has() - whether there is memory at gpa, zeroed and mapped. */
static inline bool first_touch_has(const struct first_touch *touch, gpa_t gpa)
{
	uint64_t piece = gpa >> MEM_PIECE_SHIFT;

	return piece < touch->pieces &&
	       __atomic_load_n(&touch->there[piece / 64], __ATOMIC_ACQUIRE) >> piece % 64 & 1;
}
enum first_touch_result {
	FIRST_TOUCH_NOT_OURS, /* there is no memory at gpa, or it was there */
	FIRST_TOUCH_DONE,     /* there was no piece, and now there is one */
	FIRST_TOUCH_NONE_LEFT, /* the guest gave it back, and there is none for it, or it did not ask */
};
/* first_touch_turn() - another turn begins. Return: whether a device wanted more than the last one had: its queues are to run. */
bool first_touch_turn(struct first_touch *touch);
/* first_touch_is_short() - in a turn: there is to be another one */
static inline bool first_touch_is_short(const struct first_touch *touch)
{
	return touch->is_short;
}
enum first_touch_result first_touch_fault(struct first_touch *touch, gpa_t gpa);

/* first_touch_movable_bytes() - what the addresses of the pieces need: whole pages */
uint64_t first_touch_movable_bytes(gpa_t end);
/*
 * first_touch_movable() - all slots were added. @at: of that size, where each piece is; NULL: where its slot has it; the caller's, as
 * @source
 */
void first_touch_movable(struct first_touch *touch, uint8_t **at,
			 const struct first_touch_source *source);
/*
 * first_touch_give() - the piece at gpa, with the guest standing still as above
 * Return: whether it was given; false: it is not the guest's to give, is gone already, is promised to it, or there was no page to split
 * a large leaf.
 */
bool first_touch_give(struct first_touch *touch, gpa_t gpa);
/*
 * first_touch_take() - with is_asked: there is to be a piece at gpa again, from the stock, else from where there is one
 * Return: whether there is one now; it is filled as it is touched. What is no memory of the guest's needs none.
 */
bool first_touch_take(struct first_touch *touch, gpa_t gpa);
/*
 * first_touch_promise() - with is_asked: so many pieces are to be the guest's, whatever it does: what is missing is taken now
 * and kept in its stock, and what the stock has beyond that and FIRST_TOUCH_SPARE is given
 * Return: false: there are not so many, and all is as it was.
 */
bool first_touch_promise(struct first_touch *touch, uint64_t pieces);
/* first_touch_held_bytes() - what the guest has now. */
uint64_t first_touch_held_bytes(const struct first_touch *touch);
/* first_touch_fini() - of movable memory: every piece that is left is given. The guest is over. */
void first_touch_fini(struct first_touch *touch);
