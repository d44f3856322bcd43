/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Memory that a running guest gives back: virtio-balloon over memory that comes and goes (vm/first_touch.h).
 *
 * Theory of operation.
 *
 *	doorbell of the balloon -> guest_config.balloon_ask -> the keeper's turn, guest_balloon_turn():
 *	   1. every vcpu of the guest is stopped (sched_stop()): none runs, in the guest or in the hypervisor, until 6
 *	   2. the device takes its queues; what it names is only noted (balloon_map.h), and its answers lie in the guest's ring
 *	   3. what devices hold is found: pieces with a queue, with a buffer of a request under way or of a receive window
 *	   4. every vcpu is to forget its translations at its next entry, on whatever CPU that is
 *	   5. each whole piece that was noted and is not held: unmapped, no longer there, back to the page allocator
 *	   6. the vcpus go on, unless the guest is paused
 *
 * So a page is the allocator's, and maybe another guest's at once, while somebody still might reach it by an old way. Each of these
 * ways, and why it is closed:
 *
 * - A vcpu with an old translation in some CPU's TLB. None enters before 6, and by 4 the first thing that it does then is to take
 *   another ASID (SVM), or another VPID with an INVEPT on that CPU (VMX): a translation made before is never used again. A CPU
 *   that it ran on earlier keeps stale entries, but under an ASID that no vcpu uses until all of that CPU's are flushed, and for EPT a
 *   vcpu that comes there from another CPU gives itself a VPID and does the INVEPT there, as always.
 * - A vcpu in the hypervisor, between asking guest_mem for an address and using it (a page walk, an instruction's bytes, a copy). A
 *   vcpu is never taken off its CPU in the hypervisor: that it is stopped says that its run() is over, and no address outlives that.
 * - A device. Device code runs in the guest's turn (guest_service()), in a vcpu's run(), or here: not at once with this. What it keeps
 *   from turn to turn is what 3 finds: virtio_held().
 * - The server's disk, which finishes requests of the guest on any CPU at any time, and copies into their buffers: these requests are
 *   under way at their virtio-blk, so held. No request begins while the guest stands still; one that ends meanwhile only gives up.
 * - The balloon's own chain, whose page numbers may lie in the very piece that they name: nothing is given while a queue is looked
 *   at; it is past at 5.
 * - The guest that goes on using what it gave: it faults, and gets a zeroed piece from wherever there is one. It cannot tell whose it was.
 * - Two turns, a pause, the end: guest.still is held from 1 to 6, and guest_pause() and guest_resume() take it. The keeper alone takes
 *   guests apart.
 *
 * A guest cannot have more than its config says: a piece that it touches again is one that it gave. What it may rely on is one of two:
 *
 * - Promised (the default). Nothing is promised to two guests: what it did not give is its own, and so is what lies below its target,
 *   given or not. It is offered neither reports nor deflation at will; it gives by its balloon, as the target asks, and to take from
 *   there it has to ask (MUST_TELL_HOST). The answer waits while it would take more than the target leaves it, or needs a piece that
 *   nobody has: a raised target is promised beforehand, so that there is one, but a page here and a page there take a piece each. What
 *   asked stands still in the guest until there is memory, and nothing else does: no guest ends because the server is full. A piece
 *   or two (FIRST_TOUCH_SPARE) stay with it for that. Linux moves pages in its balloon by putting one in before it takes the other
 *   out (BALLOON_SLACK_PAGES). One that uses what it gave without having asked ends, with these words.
 * - Overcommitted, where its config asks for that. What it reports as free goes, too, and what it touches comes back from wherever
 *   there is a piece. It may be that nobody has one for it: then it ends, with these words, and the others go on.
 *
 * What a turn costs is bounded, and does not grow with what the guest said before: of each queue the device's budget (devices/virtio/
 * balloon.c), with the pieces of guest memory that these buffers may have to be filled into; each buffer that a device holds; and
 * BALLOON_MAP_MOST pieces. What is left over is another turn, behind the keeper's other work, and after a rest that grows with what
 * the turn took: a guest that rings without end has the keeper for a quarter of the time at most.
 */
#include "core/timer.h"
#include "devices/virtio/balloon.h"
#include "vm/balloon_map.h"
#include "vm/guest_virtio.h"

/* At most so many pieces are found to be held; with more nothing is given in this turn. */
#define GUEST_BALLOON_HELD 512U
/* A table of twice the size: looked up by number, the next free place is near. */
#define GUEST_BALLOON_PLACES (2 * GUEST_BALLOON_HELD)
/* Between two turns of a guest: this at least, and so many times what the turn took. */
#define GUEST_BALLOON_REST_NS	 UINT64_C(500000)
#define GUEST_BALLOON_REST_TIMES 3U
/* And this, where it was told to wait: nothing says when there is memory. */
#define GUEST_BALLOON_WAIT_NS UINT64_C(100000000)
/* How much a promised guest's balloon may be behind what the target asks, or what it had, while it takes pages out of it. */
#define BALLOON_SLACK_PAGES 512U

struct guest_balloon {
	struct guest_virtio v;
	struct balloon_host host;
	struct virtio_balloon dev;
	struct balloon_map map;
	unsigned map_order;
	struct hv_timer rest;
	uint64_t next_ns; /* not before this is there another turn; the keeper's */
	bool is_turn;	  /* atomic */
	bool is_full;	  /* of held pieces */
	/* Of a promised guest. */
	bool is_promised;
	uint64_t goal;	      /* atomic: pages that the target wants in the balloon */
	uint64_t goal_seen;   /* the keeper's, as what follows */
	uint64_t most_pages;  /* that were in it since */
	bool is_waiting;      /* it was told to, in this turn */
	bool is_waiting_told; /* on the console */
	unsigned n_held;
	uintptr_t held[GUEST_BALLOON_PLACES]; /* where pieces begin; 0: a free place */
};

/* guest_balloon_add() - before the guest starts; its config has_balloon. Return: 0, -ENOMEM, -ENOSPC. */
int guest_balloon_add(struct guest *guest, struct err *err);
/* guest_balloon_turn() - the keeper alone: what the guest asked for, if anything. If there is more, balloon_ask comes again. */
void guest_balloon_turn(struct guest *guest);
/* guest_balloon_kick() - its v.pending was set. */
void guest_balloon_kick(struct guest_balloon *b);
/*
 * guest_balloon_target() - one thread at a time, while the guest is there: how much of its memory its balloon is to leave it; it has one
 * Errors: -EINVAL: more than it was started with. -ENOMEM: more than it has now, and the server cannot promise it.
 */
int guest_balloon_target(struct guest *guest, uint64_t bytes, struct err *err);
