/* SPDX-License-Identifier: Apache-2.0 */
/* On one CPU, or a busy one, each turn that another thread is given is a time slice, and some thousands of them are minutes. */
#pragma once

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/os/clock.h"

/* give_way_until() - so long from now; give_way() - a turn for the others, or false once that is over */
static inline int64_t give_way_until(unsigned ms)
{
	return clock_mono_ns() + ms * NS_PER_MS;
}

static inline bool give_way(int64_t until_ns)
{
	if (clock_mono_ns() >= until_ns)
		return false;
	(void)sched_yield();
	return true;
}
