/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Which vcpu runs on which CPU of the server, and for how long.
 *
 * Theory of operation
 *   An entity (a vcpu, the management channel's work) is runnable, running, halted or stopped. Each CPU has a run queue ordered by
 *   virtual time: nanoseconds run, divided by the entity's weight. The one that is furthest behind runs next, until its slice ends,
 *   it halts, or somebody further behind wakes by more than SCHED_GRAIN_NS. So shares follow the weights, and whoever is runnable runs
 *   within (number of runnable entities) slices: nothing starves.
 *   Who slept joins at the queue's virtual time less one grain: a sleeper is served at once, and gains nothing from having slept.
 *   A cap is a budget of CPU time in each period of SCHED_PERIOD_NS, across CPUs; who has used it up is not chosen until the period ends.
 *   A CPU whose queue is empty takes a waiting entity from the longest queue that may run there (affinity).
 *
 * Locks. One lock a run queue; a move between two takes the lower index first. run() is called with none.
 * The logic (sched_queue_x) knows no clock and no CPU: tests drive it with simulated time.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/percpu.h"
#include "core/spin.h"

#define SCHED_SLICE_NS UINT64_C(5000000) /* the longest that one runs while another waits */
#define SCHED_GRAIN_NS                                                                             \
	UINT64_C(1000000) /* how far behind a woken one must be to be preferred at once */
#define SCHED_PERIOD_NS	     UINT64_C(100000000) /* caps count in these */
#define SCHED_WEIGHT	     256U		 /* the default; 1 .. 65535 */
#define SCHED_AFFINITY_WORDS (CPU_MAX / 64)

enum sched_state { SCHED_STOPPED, SCHED_HALTED, SCHED_RUNNABLE, SCHED_RUNNING };

/* Why run() came back. */
enum sched_reason {
	SCHED_YIELD, /* its time is up, or it was kicked: still runnable */
	SCHED_HALT,  /* it waits for sched_wake() */
	SCHED_STOP,  /* it wants no more: sched_remove() may follow */
};

struct sched_entity {
	/* ---- set by the owner before sched_add() ---- */
	const char *name;
	/*
	 * Runs it on this CPU, with no lock, interrupts off, until deadline_ns (clock_ns()), a kick, or its own end. The alarm is
	 * armed (clock_arm()); it may come early: look at the time, and at sched_must_yield().
	 */
	enum sched_reason (*run)(struct sched_entity *entity, uint64_t deadline_ns);
	uint32_t weight;			 /* 0: SCHED_WEIGHT */
	uint32_t cap_percent;			 /* of one CPU; 0: no cap */
	uint64_t affinity[SCHED_AFFINITY_WORDS]; /* bit n: may run on CPU n; all 0: anywhere */

	/* ---- the scheduler's; the lock is its queue's ---- */
	enum sched_state state;
	bool wake_pending;  /* woken while it ran: its next SCHED_HALT is none */
	unsigned cpu;	    /* whose queue it is in, or was last */
	uint64_t vtime_ns;  /* weighted */
	uint64_t ran_ns;    /* ever: the account */
	uint64_t waited_ns; /* runnable, but not running: steal time */
	uint64_t since_ns;  /* of the state */
	uint64_t period_start_ns, period_ran_ns; /* for the cap */
	struct sched_entity *next;		 /* in the queue */
};

/* ---- on the server ---- */

/* sched_add() - a new entity, SCHED_HALTED; then sched_wake(). Any CPU. */
void sched_add(struct sched_entity *entity);
/*
 * sched_remove() - take it out for good; waits until it no longer runs. Any CPU, not from its own run().
 * The memory is the caller's again.
 */
void sched_remove(struct sched_entity *entity);
/* sched_wake() - make it runnable; a wake while it runs is kept for its next SCHED_HALT. Any CPU. */
void sched_wake(struct sched_entity *entity);
/* sched_stop(), then sched_wake() to go on: pause. Waits until it no longer runs. Not from its own run(). */
void sched_stop(struct sched_entity *entity);
/* sched_kick() - make it come out of its guest if it runs just now (an interrupt is to be injected). Any CPU. */
void sched_kick(struct sched_entity *entity);
/* sched_weight_set() - from now on */
void sched_weight_set(struct sched_entity *entity, uint32_t weight, uint32_t cap_percent);
/* sched_must_yield() - for run(): this CPU's slice is over, or somebody who is further behind woke */
bool sched_must_yield(void);
/* sched_loop() - what a CPU does: run entities, idle when there are none. Never returns. */
_Noreturn void sched_loop(void);
