/* SPDX-License-Identifier: Apache-2.0 */
#include "core/timer.h"

#include <stddef.h>

#include "core/io.h"
#include "core/percpu.h"
#include "core/spin.h"

/* A CPU's list, by deadline; another CPU comes to take one out only. */
struct timer_list {
	struct spin lock;
	struct hv_timer *first;
	uint64_t slice_ns;	 /* owner only */
	struct hv_timer *firing; /* atomic: its fired() runs */
} __attribute__((aligned(64)));

static struct timer_list lists[CPU_MAX];

/* With the list locked, on its own CPU. */
static void list_rearm(const struct timer_list *list)
{
	uint64_t at = list->slice_ns;

	if (list->first && list->first->deadline_ns < at)
		at = list->first->deadline_ns;
	clock_arm(at);
}

static void list_insert(struct timer_list *list, struct hv_timer *timer)
{
	struct hv_timer **at = &list->first;

	while (*at && (*at)->deadline_ns <= timer->deadline_ns)
		at = &(*at)->next;
	timer->next = *at;
	*at = timer;
}

static void list_remove(struct timer_list *list, const struct hv_timer *timer)
{
	struct hv_timer **at = &list->first;

	while (*at && *at != timer)
		at = &(*at)->next;
	if (*at)
		*at = timer->next;
}

void timer_cancel(struct hv_timer *timer)
{
	struct cpu *cpu;

	while ((cpu = __atomic_load_n(&timer->cpu, __ATOMIC_ACQUIRE))) {
		struct timer_list *list = &lists[cpu->index];
		spin_lock(&list->lock);
		bool is_there = timer->cpu == cpu;
		if (is_there) {
			list_remove(list, timer);
			__atomic_store_n(&timer->cpu, NULL, __ATOMIC_RELEASE);
		}
		spin_unlock(&list->lock);
		if (is_there)
			return;
	}
}

void timer_finish(struct hv_timer *timer)
{
	timer_cancel(timer);
	for (unsigned i = 0; i < cpu_count(); i++) {
		while (__atomic_load_n(&lists[i].firing, __ATOMIC_SEQ_CST) == timer)
			cpu_relax();
	}
}

void timer_arm(struct hv_timer *timer, uint64_t deadline_ns)
{
	struct cpu *cpu = cpu_this();
	struct timer_list *list = &lists[cpu->index];

	timer_cancel(timer);
	spin_lock(&list->lock);
	timer->deadline_ns = deadline_ns;
	list_insert(list, timer);
	__atomic_store_n(&timer->cpu, cpu, __ATOMIC_RELEASE);
	if (list->first == timer)
		list_rearm(list);
	spin_unlock(&list->lock);
}

void timer_poll(void)
{
	struct timer_list *list = &lists[cpu_this()->index];

	if (!__atomic_load_n(&list->first, __ATOMIC_RELAXED))
		return;
	for (;;) {
		spin_lock(&list->lock);
		struct hv_timer *timer = list->first;
		if (!timer || timer->deadline_ns > clock_ns())
			break;
		list->first = timer->next;
		__atomic_store_n(&list->firing, timer, __ATOMIC_SEQ_CST);
		__atomic_store_n(&timer->cpu, NULL, __ATOMIC_RELEASE);
		spin_unlock(&list->lock);
		timer->fired(timer);
		__atomic_store_n(&list->firing, NULL, __ATOMIC_RELEASE);
	}
	list_rearm(list); /* the alarm may have come early, and is a single shot */
	spin_unlock(&list->lock);
}

void timer_slice(uint64_t deadline_ns)
{
	struct timer_list *list = &lists[cpu_this()->index];

	spin_lock(&list->lock);
	list->slice_ns = deadline_ns;
	list_rearm(list);
	spin_unlock(&list->lock);
}
