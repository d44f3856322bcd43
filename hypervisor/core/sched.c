/* SPDX-License-Identifier: Apache-2.0 */
#include "core/sched.h"

#include "core/clock.h"
#include "core/io.h"
#include "core/percpu.h"
#include "core/smp.h"
#include "core/timer.h"
#include "core/trap.h"

_Static_assert(SCHED_CPUS == CPU_MAX, "a queue each");

/* One server. */
static struct sched_queues queues;

static void kick(int cpu)
{
	if (cpu >= 0 && (unsigned)cpu != cpu_this()->index)
		cpu_kick(cpu_at((unsigned)cpu));
}

void sched_init(void)
{
	queues.n = cpu_count();
}

void sched_add(struct sched_entity *entity)
{
	sched_queue_add(&queues, entity, clock_ns());
}

void sched_wake(struct sched_entity *entity)
{
	kick(sched_queue_wake(&queues, entity, clock_ns()));
}

void sched_start(struct sched_entity *entity)
{
	kick(sched_queue_start(&queues, entity, clock_ns()));
}

void sched_stop(struct sched_entity *entity)
{
	int cpu = sched_queue_stop(&queues, entity, clock_ns());

	kick(cpu);
	while (cpu >= 0 && __atomic_load_n(&entity->state, __ATOMIC_ACQUIRE) == SCHED_RUNNING)
		cpu_relax();
}

void sched_remove(struct sched_entity *entity)
{
	sched_stop(entity);
	/* Whoever set the state held the queue's lock: it is given back before the memory may go. */
	unsigned cpu = __atomic_load_n(&entity->cpu, __ATOMIC_ACQUIRE);
	spin_lock(&queues.at[cpu].lock);
	spin_unlock(&queues.at[cpu].lock);
}

void sched_kick(struct sched_entity *entity)
{
	unsigned cpu = __atomic_load_n(&entity->cpu, __ATOMIC_ACQUIRE);

	if (__atomic_load_n(&queues.at[cpu].running, __ATOMIC_ACQUIRE) == entity)
		kick((int)cpu);
}

void sched_weight_set(struct sched_entity *entity, uint32_t weight, uint32_t cap_percent)
{
	sched_queue_weight(&queues, entity, weight, cap_percent);
}

bool sched_must_yield(void)
{
	return __atomic_load_n(&queues.at[cpu_this()->index].must_yield, __ATOMIC_ACQUIRE);
}

void sched_loop(void)
{
	unsigned cpu = cpu_this()->index;
	const struct sched_entity *last = NULL;

	for (;;) {
		uint64_t deadline;

		trap_open();
		timer_poll();
		struct sched_entity *entity = sched_queue_pick(&queues, cpu, clock_ns(), &deadline);
		timer_slice(deadline);
		if (!entity) {
			cpu_idle();
			continue;
		}
		if (entity != last)
			cpu_this()->data_of = 0;
		last = entity;
		enum sched_reason reason = entity->run(entity, deadline);
		sched_queue_put(&queues, cpu, reason, clock_ns());
	}
}
