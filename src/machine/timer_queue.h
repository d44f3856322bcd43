/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The armed timers of a clock, the first to fire first; of equal ones the first that was armed. Whoever has it locks it. */
#include "machine/ops.h"

struct timer_queue {
	struct timer *first; /* slot[0] of each is the next one */
};

/* timer_queue_add() - arms it: by its deadline_ns, which is set; it is in none */
void timer_queue_add(struct timer_queue *queue, struct timer *timer);
/* timer_queue_remove() - disarms it: it is in this queue */
void timer_queue_remove(struct timer_queue *queue, struct timer *timer);
