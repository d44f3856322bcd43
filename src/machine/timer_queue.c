/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/timer_queue.h"

void timer_queue_add(struct timer_queue *queue, struct timer *timer)
{
	struct timer *before = NULL, *after = queue->first;

	while (after && after->deadline_ns <= timer->deadline_ns) {
		before = after;
		after = after->slot[0];
	}
	timer->slot[0] = after;
	timer->armed = true;
	if (before)
		before->slot[0] = timer;
	else
		queue->first = timer;
}

void timer_queue_remove(struct timer_queue *queue, struct timer *timer)
{
	struct timer *before = NULL;

	for (struct timer *t = queue->first; t && t != timer; t = t->slot[0])
		before = t;
	if (before)
		before->slot[0] = timer->slot[0];
	else
		queue->first = timer->slot[0];
	timer->armed = false;
}
