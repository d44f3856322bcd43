/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The scheduler's queues and its choice (core/sched.h has the theory); time comes as an argument, CPUs are indices. Each
 * function takes the locks that it needs.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/spin.h"

#define SCHED_CPUS     256U
#define SCHED_SLICE_NS UINT64_C(5000000)  /* the longest that one runs while another waits */
#define SCHED_ALONE_NS UINT64_C(20000000) /* and while none does */
#define SCHED_GRAIN_NS                                                                             \
	UINT64_C(1000000) /* how far behind a woken one must be to be preferred at once */
#define SCHED_PERIOD_NS	 UINT64_C(100000000) /* caps count in these */
#define SCHED_BALANCE_NS UINT64_C(50000000)  /* how often a busy CPU looks at the others' queues */
#define SCHED_DRIFT_NS                                                                             \
	UINT64_C(200000000)   /* what a move between CPUs keeps of a lead or a lag, at most */
#define SCHED_WEIGHT	 256U /* the default */
#define SCHED_WEIGHT_MAX 65535U
#define SCHED_NEVER	 UINT64_MAX

enum sched_state { SCHED_STOPPED, SCHED_HALTED, SCHED_RUNNABLE, SCHED_RUNNING };

/* Why run() came back. */
enum sched_reason {
	SCHED_YIELD, /* its time is up, or it was kicked: still runnable */
	SCHED_HALT,  /* it waits for sched_wake() */
	SCHED_STOP, /* it wants no more: as if stopped; sched_start() or sched_remove() may follow */
};

struct sched_entity {
	/* ---- set by the owner before sched_add() ---- */
	const char *name;
	/*
	 * Runs it on this CPU, with no lock, interrupts off, until deadline_ns (clock_ns()), a kick, or its own end. The alarm is
	 * armed; after each exit from the guest call timer_poll(), and come back with SCHED_YIELD when sched_must_yield().
	 */
	enum sched_reason (*run)(struct sched_entity *entity, uint64_t deadline_ns);
	uint32_t weight;	 /* 1 .. SCHED_WEIGHT_MAX; 0: SCHED_WEIGHT */
	uint32_t cap_percent;	 /* of one CPU; 0: no cap */
	uint32_t urgent_percent; /* of each period: so long it goes before all others; 0: never */
	uint64_t affinity[SCHED_CPUS / 64]; /* bit n: may run on CPU n; all 0: anywhere */

	/* ---- the scheduler's; under the lock of its CPU's queue ---- */
	enum sched_state state;		/* atomic for readers */
	bool wake_pending;		/* woken while it ran or was stopped */
	bool stop_wanted;		/* while it runs: to be stopped when it comes back */
	bool goes_first;		/* in the queue: it is urgent */
	unsigned cpu;			/* whose queue it is in, or was last; atomic for readers */
	uint64_t vtime_ns;		/* run, times SCHED_WEIGHT / weight */
	uint64_t ran_ns;		/* ever: the account; without the present slice */
	uint64_t waited_ns;		/* ever: runnable, but not running: steal time */
	uint64_t since_ns;		/* of the state */
	uint64_t period, period_ran_ns; /* for the cap */
	struct sched_entity *next;	/* in the queue, by vtime_ns */
};

/* sched_pin() - it runs on this CPU only; before it is added, once */
static inline void sched_pin(struct sched_entity *entity, unsigned cpu)
{
	entity->affinity[cpu / 64] = UINT64_C(1) << cpu % 64;
}

struct sched_queue {
	struct spin lock;
	struct sched_entity *first;   /* runnable */
	struct sched_entity *running; /* NULL: idle */
	uint64_t vtime_ns;	      /* of the one furthest behind; only grows */
	uint64_t weight;	      /* of all runnable and running; atomic for readers */
	uint64_t balance_ns;	      /* when it looks at the others next */
	bool must_yield;	      /* atomic: the running one is to come back */
} __attribute__((aligned(64)));

struct sched_queues {
	unsigned n; /* CPUs */
	struct sched_queue at[SCHED_CPUS];
};

/*
 * sched_queue_add() - a new entity, zeroed but for what its owner sets: SCHED_HALTED, on the CPU with the least weight among those that it
 * may run on. Wakes of before are forgotten, those that come meanwhile may be.
 */
void sched_queue_add(struct sched_queues *queues, struct sched_entity *entity, uint64_t now_ns);

/*
 * sched_queue_wake() - HALTED becomes RUNNABLE; on another CPU than its last one if that is busy and the other idle. RUNNING,
 * STOPPED: kept.
 * Return: the CPU to be kicked (it is idle, or is to change to this entity), or -1.
 */
int sched_queue_wake(struct sched_queues *queues, struct sched_entity *entity, uint64_t now_ns);

/*
 * sched_queue_stop() - RUNNABLE, HALTED become STOPPED; RUNNING is asked to
 * Return: the CPU to be kicked and waited for, or -1: it is stopped.
 */
int sched_queue_stop(struct sched_queues *queues, struct sched_entity *entity, uint64_t now_ns);
/* sched_queue_start() - STOPPED becomes RUNNABLE. Return: as sched_queue_wake(). */
int sched_queue_start(struct sched_queues *queues, struct sched_entity *entity, uint64_t now_ns);

/*
 * sched_queue_pick() - the next for a CPU, which has none running
 * @ret_deadline_ns: how long it may run; without one: when to look again, at the latest
 * Return: NULL: idle.
 */
struct sched_entity *sched_queue_pick(struct sched_queues *queues, unsigned cpu, uint64_t now_ns,
				      uint64_t *ret_deadline_ns);
/* sched_queue_put() - the running one came back */
void sched_queue_put(struct sched_queues *queues, unsigned cpu, enum sched_reason reason,
		     uint64_t now_ns);
/* sched_queue_weight() - change weight and cap */
void sched_queue_weight(struct sched_queues *queues, struct sched_entity *entity, uint32_t weight,
			uint32_t cap_percent);
