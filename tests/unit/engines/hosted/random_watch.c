/* SPDX-License-Identifier: Apache-2.0 */
#include "random_watch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "engines/hosted/hosted_cpu.h"

#define NS_PER_S    UINT64_C(1000000000)
#define PATIENCE_NS UINT64_C(5000000)

static uint64_t used_ns(const struct random_watch *w)
{
	struct timespec now;

	(void)clock_gettime(w->clock, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static void *watch_main(void *arg)
{
	struct random_watch *w = arg;

	(void)pthread_mutex_lock(&w->lock);
	while (!w->over) {
		struct timespec at;
		(void)clock_gettime(CLOCK_REALTIME, &at);
		uint64_t ns = (uint64_t)at.tv_nsec + PATIENCE_NS;
		at.tv_sec += (time_t)(ns / NS_PER_S);
		at.tv_nsec = (long)(ns % NS_PER_S);
		(void)pthread_cond_timedwait(&w->changed, &w->lock, &at);
		if (w->vcpu && used_ns(w) - w->start_ns > PATIENCE_NS)
			hosted_cpu_ops.kick(w->vcpu);
	}
	(void)pthread_mutex_unlock(&w->lock);
	return NULL;
}

void random_watch_set(struct random_watch *w, struct vcpu *vcpu)
{
	(void)pthread_mutex_lock(&w->lock);
	w->vcpu = vcpu;
	w->start_ns = used_ns(w);
	(void)pthread_mutex_unlock(&w->lock);
}

void random_watch_start(struct random_watch *w)
{
	memset(w, 0, sizeof(*w));
	assert_int_equal(pthread_getcpuclockid(pthread_self(), &w->clock), 0);
	(void)pthread_mutex_init(&w->lock, NULL);
	(void)pthread_cond_init(&w->changed, NULL);
	assert_int_equal(pthread_create(&w->thread, NULL, watch_main, w), 0);
}

void random_watch_end(struct random_watch *w)
{
	(void)pthread_mutex_lock(&w->lock);
	w->over = true;
	(void)pthread_cond_signal(&w->changed);
	(void)pthread_mutex_unlock(&w->lock);
	(void)pthread_join(w->thread, NULL);
}
