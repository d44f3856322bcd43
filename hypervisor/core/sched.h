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
 *   One with urgent_percent runs before all others, at once, for so much of each period; beyond that it is as the others. So what
 *   manages the server answers under any load, and a client that keeps it busy cannot starve the guests.
 *   A CPU whose queue is empty takes a waiting entity from the longest queue that may run there (affinity).
 *
 * Locks. One lock a run queue; a move between two takes the lower index first. run() is called with none.
 * The logic is in core/sched_queue.h; it knows no clock and no CPU.
 */
#include "core/sched_queue.h"

/* ---- on the server ---- */

/* sched_init() - with all CPUs started, before any sched_add() */
void sched_init(void);

/* sched_add() - a new entity, SCHED_HALTED; then sched_wake(). Any CPU. */
void sched_add(struct sched_entity *entity);
/*
 * sched_remove() - take it out for good; waits until it no longer runs. Any CPU, not from its own run().
 * The memory is the caller's again.
 */
void sched_remove(struct sched_entity *entity);
/* sched_wake() - make it runnable; a wake while it runs is kept for its next SCHED_HALT. Any CPU. */
void sched_wake(struct sched_entity *entity);
/*
 * sched_stop() - pause: waits until it no longer runs, and a wake is only kept, until sched_start(). Not from its own run().
 * sched_start() - go on: runnable
 */
void sched_stop(struct sched_entity *entity);
void sched_start(struct sched_entity *entity);
/* sched_kick() - make it come out of its guest if it runs just now (an interrupt is to be injected). Any CPU. */
void sched_kick(struct sched_entity *entity);
/* sched_weight_set() - from now on */
void sched_weight_set(struct sched_entity *entity, uint32_t weight, uint32_t cap_percent);
/* sched_must_yield() - for run(): somebody who is further behind woke, or this one is to stop. Its deadline is its own to look at. */
bool sched_must_yield(void);
/* sched_loop() - what a CPU does: run entities, idle when there are none. Never returns. */
_Noreturn void sched_loop(void);
