/* SPDX-License-Identifier: Apache-2.0 */
#include "core/sched_queue.h"

static uint64_t weight_of(const struct sched_entity *e)
{
	return e->weight ? e->weight : SCHED_WEIGHT;
}

static bool may_run_on(const struct sched_entity *e, unsigned cpu)
{
	uint64_t any = 0;

	for (unsigned i = 0; i < SCHED_CPUS / 64; i++)
		any |= e->affinity[i];
	return !any || e->affinity[cpu / 64] >> cpu % 64 & 1;
}

static bool is_before(uint64_t a, uint64_t b)
{
	return (int64_t)(a - b) < 0;
}

/* Whether it still goes before all others in this period. */
static bool is_urgent(const struct sched_entity *e, uint64_t now_ns)
{
	if (!e->urgent_percent)
		return false;
	return e->period != now_ns / SCHED_PERIOD_NS ||
	       e->period_ran_ns < SCHED_PERIOD_NS / 100 * e->urgent_percent;
}

/* One that goes before all others is put in front, whatever its time. */
static void queue_insert(struct sched_queue *q, struct sched_entity *e, uint64_t now_ns)
{
	struct sched_entity **at = &q->first;
	bool goes_first = is_urgent(e, now_ns);

	while (*at &&
	       ((!goes_first && !is_before(e->vtime_ns, (*at)->vtime_ns)) || (*at)->goes_first))
		at = &(*at)->next;
	e->goes_first = goes_first;
	e->next = *at;
	*at = e;
}

static void queue_unlink(struct sched_queue *q, const struct sched_entity *e)
{
	struct sched_entity **at = &q->first;

	while (*at && *at != e)
		at = &(*at)->next;
	if (*at)
		*at = e->next;
}

static void queue_weigh(struct sched_queue *q, uint64_t weight, bool is_more)
{
	__atomic_store_n(&q->weight, is_more ? q->weight + weight : q->weight - weight,
			 __ATOMIC_RELAXED);
}

/* The queue's time follows the one that is furthest behind, and never goes back. */
static void queue_advance(struct sched_queue *q)
{
	const struct sched_entity *first = q->first;
	uint64_t least = q->vtime_ns;

	while (first && first->goes_first)
		first = first->next;
	if (first)
		least = first->vtime_ns;
	if (q->running && (!first || is_before(q->running->vtime_ns, least)))
		least = q->running->vtime_ns;
	if (is_before(q->vtime_ns, least))
		q->vtime_ns = least;
}

static void state_set(struct sched_entity *e, enum sched_state state, uint64_t now_ns)
{
	if (e->state == SCHED_RUNNABLE)
		e->waited_ns += now_ns - e->since_ns;
	e->since_ns = now_ns;
	__atomic_store_n(&e->state, state, __ATOMIC_RELEASE);
}

/* The entity's queue, locked: it may move until then. */
static struct sched_queue *queue_of_locked(struct sched_queues *queues, struct sched_entity *e)
{
	for (;;) {
		unsigned cpu = __atomic_load_n(&e->cpu, __ATOMIC_ACQUIRE);
		struct sched_queue *q = &queues->at[cpu];
		spin_lock(&q->lock);
		if (e->cpu == cpu)
			return q;
		spin_unlock(&q->lock);
	}
}

static unsigned cpu_lightest(const struct sched_queues *queues, const struct sched_entity *e)
{
	uint64_t least = UINT64_MAX;
	unsigned best = 0;

	for (unsigned i = 0; i < queues->n; i++) {
		uint64_t weight = __atomic_load_n(&queues->at[i].weight, __ATOMIC_RELAXED);
		if (!may_run_on(e, i) || weight >= least)
			continue;
		least = weight;
		best = i;
	}
	return best;
}

/* Somebody may wake it already, who is to find it as it was, or as it is: in a queue that knows it nothing of it changes. */
void sched_queue_add(struct sched_queues *queues, struct sched_entity *e, uint64_t now_ns)
{
	struct sched_queue *q = queue_of_locked(queues, e);
	unsigned cpu = cpu_lightest(queues, e);

	e->wake_pending = e->stop_wanted = false;
	e->vtime_ns = queues->at[cpu].vtime_ns;
	e->ran_ns = e->waited_ns = 0;
	e->since_ns = now_ns;
	e->period = e->period_ran_ns = 0;
	e->next = NULL;
	__atomic_store_n(&e->state, SCHED_HALTED, __ATOMIC_RELEASE);
	__atomic_store_n(&e->cpu, cpu, __ATOMIC_RELEASE);
	spin_unlock(&q->lock);
}

/* Makes it runnable in a queue that is locked. Return: whether that CPU is to be kicked. */
static bool queue_join(struct sched_queue *q, struct sched_entity *e, uint64_t now_ns)
{
	bool was_idle = !q->running;

	/* Who slept is served at once, but gains nothing of it. */
	if (is_before(e->vtime_ns, q->vtime_ns - SCHED_GRAIN_NS))
		e->vtime_ns = q->vtime_ns - SCHED_GRAIN_NS;
	state_set(e, SCHED_RUNNABLE, now_ns);
	queue_insert(q, e, now_ns);
	queue_weigh(q, weight_of(e), true);
	if (was_idle)
		return true;
	/* The running one's time stands still while it runs: count what it has had since. */
	uint64_t had = (now_ns - q->running->since_ns) * SCHED_WEIGHT / weight_of(q->running);
	if (!e->goes_first &&
	    !is_before(e->vtime_ns + SCHED_GRAIN_NS, q->running->vtime_ns + had) &&
	    now_ns - q->running->since_ns < SCHED_SLICE_NS)
		return false;
	__atomic_store_n(&q->must_yield, true, __ATOMIC_RELEASE);
	return true;
}

static bool cpu_is_idle(struct sched_queues *queues, unsigned cpu)
{
	return !__atomic_load_n(&queues->at[cpu].weight, __ATOMIC_RELAXED);
}

/* Where a woken one goes: where it was, unless that is busy and another CPU that it may use is idle. */
static unsigned cpu_for(struct sched_queues *queues, const struct sched_entity *e)
{
	if (may_run_on(e, e->cpu) && cpu_is_idle(queues, e->cpu))
		return e->cpu;
	for (unsigned i = 0; i < queues->n; i++) {
		if (may_run_on(e, i) && cpu_is_idle(queues, i))
			return i;
	}
	return may_run_on(e, e->cpu) ? e->cpu : cpu_lightest(queues, e);
}

static void lock_two(struct sched_queues *queues, unsigned a, unsigned b)
{
	spin_lock(&queues->at[a < b ? a : b].lock);
	spin_lock(&queues->at[a < b ? b : a].lock);
}

static void unlock_two(struct sched_queues *queues, unsigned a, unsigned b)
{
	spin_unlock(&queues->at[a].lock);
	spin_unlock(&queues->at[b].lock);
}

/*
 * Both locked. Virtual time is comparable between queues, so that who had a CPU for itself has to wait for those who shared one;
 * but no more than SCHED_DRIFT_NS: weights that no sharing of CPUs can satisfy let the queues' times drift apart for good.
 */
static void entity_move(struct sched_queues *queues, struct sched_entity *e, unsigned to)
{
	struct sched_queue *q = &queues->at[to];
	const struct sched_queue *from = &queues->at[e->cpu];

	if (!q->weight && is_before(q->vtime_ns, from->vtime_ns))
		q->vtime_ns = from->vtime_ns; /* it stood still while it was idle */
	if (is_before(e->vtime_ns, q->vtime_ns - SCHED_DRIFT_NS))
		e->vtime_ns = q->vtime_ns - SCHED_DRIFT_NS;
	if (is_before(q->vtime_ns + SCHED_DRIFT_NS, e->vtime_ns))
		e->vtime_ns = q->vtime_ns + SCHED_DRIFT_NS;
	__atomic_store_n(&e->cpu, to, __ATOMIC_RELEASE);
}

/* From a state that is in no queue to RUNNABLE. The queue that it was last in is locked, and unlocked here. */
static int join_somewhere(struct sched_queues *queues, struct sched_entity *e, uint64_t now_ns)
{
	unsigned from = e->cpu, to = cpu_for(queues, e);
	enum sched_state state = e->state;

	if (to != from) {
		spin_unlock(&queues->at[from].lock);
		lock_two(queues, from, to);
		if (e->cpu != from || e->state != state) { /* somebody else was quicker */
			unlock_two(queues, from, to);
			return -1;
		}
		entity_move(queues, e, to);
		spin_unlock(&queues->at[from].lock);
	}
	bool must_kick = queue_join(&queues->at[to], e, now_ns);
	spin_unlock(&queues->at[to].lock);
	return must_kick ? (int)to : -1;
}

int sched_queue_wake(struct sched_queues *queues, struct sched_entity *e, uint64_t now_ns)
{
	struct sched_queue *q = queue_of_locked(queues, e);

	if (e->state == SCHED_HALTED)
		return join_somewhere(queues, e, now_ns);
	if (e->state != SCHED_RUNNABLE)
		e->wake_pending = true;
	spin_unlock(&q->lock);
	return -1;
}

int sched_queue_start(struct sched_queues *queues, struct sched_entity *e, uint64_t now_ns)
{
	struct sched_queue *q = queue_of_locked(queues, e);

	e->stop_wanted = false;
	if (e->state == SCHED_STOPPED) {
		e->wake_pending = false;
		return join_somewhere(queues, e, now_ns);
	}
	spin_unlock(&q->lock);
	return -1;
}

int sched_queue_stop(struct sched_queues *queues, struct sched_entity *e, uint64_t now_ns)
{
	struct sched_queue *q = queue_of_locked(queues, e);
	int kick = -1;

	if (e->state == SCHED_RUNNING) {
		e->stop_wanted = true;
		__atomic_store_n(&q->must_yield, true, __ATOMIC_RELEASE);
		kick = (int)e->cpu;
	} else {
		if (e->state == SCHED_RUNNABLE) {
			queue_unlink(q, e);
			queue_weigh(q, weight_of(e), false);
		}
		state_set(e, SCHED_STOPPED, now_ns);
	}
	spin_unlock(&q->lock);
	return kick;
}

/* What is left of its cap in this period; SCHED_NEVER: it has none. */
static uint64_t budget_of(struct sched_entity *e, uint64_t now_ns)
{
	if (e->period != now_ns / SCHED_PERIOD_NS) {
		e->period = now_ns / SCHED_PERIOD_NS;
		e->period_ran_ns = 0;
	}
	if (!e->cap_percent)
		return SCHED_NEVER;
	uint64_t all = SCHED_PERIOD_NS / 100 * e->cap_percent;
	return e->period_ran_ns < all ? all - e->period_ran_ns : 0;
}

/* The heaviest queue but this one, if it has somebody to spare for a CPU of this weight. */
static int cpu_heaviest(const struct sched_queues *queues, unsigned cpu)
{
	uint64_t most = __atomic_load_n(&queues->at[cpu].weight, __ATOMIC_RELAXED);
	int best = -1;

	for (unsigned i = 0; i < queues->n; i++) {
		uint64_t weight = __atomic_load_n(&queues->at[i].weight, __ATOMIC_RELAXED);
		if (i == cpu || weight <= most ||
		    !__atomic_load_n(&queues->at[i].first, __ATOMIC_RELAXED))
			continue;
		most = weight;
		best = (int)i;
	}
	return best;
}

/*
 * Pulls one that waits elsewhere: with nothing to do here, or where both CPUs' weights come no further apart by it. When they
 * only swap sides by it, it is done all the same: so three of a weight on two CPUs take turns.
 */
static void queue_balance(struct sched_queues *queues, unsigned cpu, uint64_t now_ns)
{
	int from = cpu_heaviest(queues, cpu);

	if (from < 0)
		return;
	lock_two(queues, cpu, (unsigned)from);
	struct sched_queue *theirs = &queues->at[from], *ours = &queues->at[cpu];
	for (struct sched_entity *e = theirs->first; e; e = e->next) {
		uint64_t weight = weight_of(e);
		if (!may_run_on(e, cpu) || theirs->weight < ours->weight + weight)
			continue;
		queue_unlink(theirs, e);
		queue_weigh(theirs, weight, false);
		entity_move(queues, e, cpu);
		queue_insert(ours, e, now_ns);
		queue_weigh(ours, weight, true);
		break;
	}
	unlock_two(queues, cpu, (unsigned)from);
}

/* The furthest behind that has budget left. *ret_again_ns: when one without gets some. */
static struct sched_entity *queue_choose(struct sched_queue *q, uint64_t now_ns,
					 uint64_t *ret_budget_ns, uint64_t *ret_again_ns)
{
	*ret_again_ns = SCHED_NEVER;
	for (struct sched_entity *e = q->first; e; e = e->next) {
		*ret_budget_ns = budget_of(e, now_ns);
		if (*ret_budget_ns)
			return e;
		*ret_again_ns = (now_ns / SCHED_PERIOD_NS + 1) * SCHED_PERIOD_NS;
	}
	return NULL;
}

struct sched_entity *sched_queue_pick(struct sched_queues *queues, unsigned cpu, uint64_t now_ns,
				      uint64_t *ret_deadline_ns)
{
	struct sched_queue *q = &queues->at[cpu];
	uint64_t budget;

	if (now_ns >= q->balance_ns || !__atomic_load_n(&q->first, __ATOMIC_RELAXED)) {
		q->balance_ns = now_ns + SCHED_BALANCE_NS;
		queue_balance(queues, cpu, now_ns);
	}
	spin_lock(&q->lock);
	__atomic_store_n(&q->must_yield, false, __ATOMIC_RELEASE);
	struct sched_entity *e = queue_choose(q, now_ns, &budget, ret_deadline_ns);
	if (e) {
		uint64_t slice;
		queue_unlink(q, e);
		slice = q->first ? SCHED_SLICE_NS : SCHED_ALONE_NS;
		state_set(e, SCHED_RUNNING, now_ns);
		q->running = e;
		*ret_deadline_ns = now_ns + (budget < slice ? budget : slice);
	}
	spin_unlock(&q->lock);
	return e;
}

static void entity_account(struct sched_entity *e, uint64_t now_ns)
{
	uint64_t ran = now_ns - e->since_ns;

	e->ran_ns += ran;
	e->vtime_ns += ran * SCHED_WEIGHT / weight_of(e);
	(void)budget_of(e, now_ns); /* begins the period */
	e->period_ran_ns += ran;
}

static enum sched_state state_after(struct sched_entity *e, enum sched_reason reason)
{
	if (reason == SCHED_STOP || e->stop_wanted)
		return SCHED_STOPPED;
	return reason == SCHED_HALT && !e->wake_pending ? SCHED_HALTED : SCHED_RUNNABLE;
}

void sched_queue_put(struct sched_queues *queues, unsigned cpu, enum sched_reason reason,
		     uint64_t now_ns)
{
	struct sched_queue *q = &queues->at[cpu];

	spin_lock(&q->lock);
	struct sched_entity *e = q->running;
	entity_account(e, now_ns);
	enum sched_state state = state_after(e, reason);
	q->running = NULL;
	e->stop_wanted = false;
	if (state == SCHED_RUNNABLE) {
		e->wake_pending = false;
		queue_insert(q, e, now_ns);
	} else {
		queue_weigh(q, weight_of(e), false);
	}
	queue_advance(q);
	state_set(e, state, now_ns); /* the last: sched_remove() waits for it */
	spin_unlock(&q->lock);
}

void sched_queue_weight(struct sched_queues *queues, struct sched_entity *e, uint32_t weight,
			uint32_t cap_percent)
{
	struct sched_queue *q = queue_of_locked(queues, e);
	bool counts = e->state == SCHED_RUNNABLE || e->state == SCHED_RUNNING;

	if (counts)
		queue_weigh(q, weight_of(e), false);
	e->weight = weight > SCHED_WEIGHT_MAX ? SCHED_WEIGHT_MAX : weight;
	e->cap_percent = cap_percent;
	if (counts)
		queue_weigh(q, weight_of(e), true);
	spin_unlock(&q->lock);
}
