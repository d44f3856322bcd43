/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A guest's clock: nanoseconds from its start, and the timers of its devices in order. They fire in guest_service(); the
 * first one's deadline is an alarm of the CPU that armed it, too, which wakes the guest.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/spin.h"
#include "core/timer.h"
#include "machine/ops.h"
#include "machine/timer_queue.h"

struct guest_clock {
	struct clock clock;
	struct spin lock; /* of the next two */
	struct timer_queue timers;
	uint64_t first_ns;  /* its deadline on the server's clock; atomic, UINT64_MAX: none */
	uint64_t offset_ns; /* guest time = server's - offset */
	struct hv_timer alarm;
	void (*due)(struct guest_clock *clock); /* in the alarm's interrupt */
};

void guest_clock_init(struct guest_clock *clock, void (*due)(struct guest_clock *clock));
void guest_clock_fini(struct guest_clock *clock);
/* guest_clock_shift() - the guest's time stood still for so long; nothing of the guest runs. */
void guest_clock_shift(struct guest_clock *clock, uint64_t ns);
/* guest_clock_fire() - run what is due; one caller at a time. */
void guest_clock_fire(struct guest_clock *clock);
/* guest_clock_is_due() - cheap: whether guest_clock_fire() has something to do. */
bool guest_clock_is_due(const struct guest_clock *clock);
