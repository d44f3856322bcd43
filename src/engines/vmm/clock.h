/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The machine's clock on a host: CLOCK_MONOTONIC from the machine's start, and timers that fire on the thread
 * of the VMM's loop. Arming and cancelling is for any thread; a pause stops the guest's time.
 */
#include "base/core/err.h"
#include "base/core/lock.h"
#include "machine/ops.h"
#include "machine/timer_queue.h"

struct vmm_clock {
	struct clock clock;
	int fd;		  /* a timerfd; readable: call vmm_clock_fire() */
	struct lock lock; /* of what follows */
	struct timer_queue timers;
	int64_t offset_ns; /* guest time = host monotonic - offset_ns */
	int64_t paused_ns; /* host time of the pause; 0: runs */
};

int vmm_clock_init(struct vmm_clock *c, struct err *err);
void vmm_clock_fini(struct vmm_clock *c); /* zeroed is a no-op */
/* vmm_clock_fire() - loop thread: run what is due. */
void vmm_clock_fire(struct vmm_clock *c);
/* vmm_clock_pause(), vmm_clock_resume() - any thread; each twice is as once. */
void vmm_clock_pause(struct vmm_clock *c);
void vmm_clock_resume(struct vmm_clock *c);
