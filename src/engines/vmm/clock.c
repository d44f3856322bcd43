/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/vmm/clock.h"

#include <errno.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/core/macros.h"
#include "base/os/clock.h"
#include "base/os/fd.h"

static struct vmm_clock *clock_of(struct clock *clock)
{
	return container_of(clock, struct vmm_clock, clock);
}

/* The lock is held. Guest time, host monotonic nanoseconds. */
static uint64_t clock_guest_ns(const struct vmm_clock *c)
{
	int64_t now = c->paused_ns ? c->paused_ns : clock_mono_ns();

	return (uint64_t)(now - c->offset_ns);
}

/* The lock is held: the timerfd says when the first timer is due; while paused nothing is. */
static void clock_program(struct vmm_clock *c)
{
	struct itimerspec when = { 0 };

	if (c->timers.first && !c->paused_ns) {
		int64_t at = (int64_t)c->timers.first->deadline_ns + c->offset_ns;
		if (c->timers.first->deadline_ns > (uint64_t)INT64_MAX / 2)
			at = INT64_MAX / 2; /* "never" */
		if (at <= 0)
			at = 1; /* 0 would disarm it */
		when.it_value.tv_sec = at / NS_PER_S;
		when.it_value.tv_nsec = at % NS_PER_S;
	}
	(void)timerfd_settime(c->fd, TFD_TIMER_ABSTIME, &when, NULL); /* valid: cannot fail */
}

static uint64_t clock_now_ns(struct clock *clock)
{
	struct vmm_clock *c = clock_of(clock);

	lock_acquire(&c->lock);
	uint64_t now = clock_guest_ns(c);
	lock_release(&c->lock);
	return now;
}

static void clock_arm(struct clock *clock, struct timer *timer, uint64_t deadline_ns)
{
	struct vmm_clock *c = clock_of(clock);

	lock_acquire(&c->lock);
	struct timer *first = c->timers.first;
	uint64_t first_ns = first ? first->deadline_ns : 0;
	if (timer->armed)
		timer_queue_remove(&c->timers, timer);
	timer->deadline_ns = deadline_ns;
	timer_queue_add(&c->timers, timer);
	if (c->timers.first != first || c->timers.first->deadline_ns != first_ns)
		clock_program(c);
	lock_release(&c->lock);
}

/* The timerfd is left as it is: a wake-up for nothing costs less than a system call for each cancel. */
static void clock_cancel(struct clock *clock, struct timer *timer)
{
	struct vmm_clock *c = clock_of(clock);

	lock_acquire(&c->lock);
	if (timer->armed)
		timer_queue_remove(&c->timers, timer);
	lock_release(&c->lock);
}

static int64_t clock_wall_s(struct clock *clock)
{
	(void)clock;
	return clock_real_ns() / NS_PER_S;
}

static const struct clock_ops vmm_clock_ops = {
	.now_ns = clock_now_ns,
	.arm = clock_arm,
	.cancel = clock_cancel,
	.wall_s = clock_wall_s,
};

int vmm_clock_init(struct vmm_clock *c, struct err *err)
{
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);

	if (fd < 0)
		return err_set(err, errno, "timerfd");
	*c = (struct vmm_clock){
		.clock = { &vmm_clock_ops },
		.fd = fd,
		.offset_ns = clock_mono_ns(),
	};
	return 0;
}

void vmm_clock_fini(struct vmm_clock *c)
{
	if (c->clock.ops)
		fd_close(c->fd);
	*c = (struct vmm_clock){ 0 };
}

void vmm_clock_fire(struct vmm_clock *c)
{
	/* Only to make it unreadable; that it was not is a wake-up for nothing. */
	fd_calm(c->fd);
	lock_acquire(&c->lock);
	/* What a handler arms for the past fires in this loop too; a guest that does so for ever starves others. */
	for (unsigned i = 0; i < 64; i++) {
		struct timer *timer = c->timers.first;
		if (!timer || c->paused_ns || timer->deadline_ns > clock_guest_ns(c))
			break;
		timer_queue_remove(&c->timers, timer);
		lock_release(&c->lock);
		timer->fired(timer);
		lock_acquire(&c->lock);
	}
	clock_program(c);
	lock_release(&c->lock);
}

void vmm_clock_pause(struct vmm_clock *c)
{
	lock_acquire(&c->lock);
	if (!c->paused_ns)
		c->paused_ns = clock_mono_ns();
	clock_program(c);
	lock_release(&c->lock);
}

void vmm_clock_resume(struct vmm_clock *c)
{
	lock_acquire(&c->lock);
	if (c->paused_ns)
		c->offset_ns += clock_mono_ns() - c->paused_ns;
	c->paused_ns = 0;
	clock_program(c);
	lock_release(&c->lock);
}
