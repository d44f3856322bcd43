/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Kicks a vcpu whose thread has had the CPU for too long: a guest without an end. A busy host makes it no shorter. */
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "machine/cpu_ops.h"

struct random_watch {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	clockid_t clock; /* of the thread that runs vcpus */
	struct vcpu *vcpu;
	uint64_t start_ns; /* on that clock */
	bool over;
};

/* random_watch_start(), random_watch_end() - by the thread that runs vcpus; assert. */
void random_watch_start(struct random_watch *w);
void random_watch_end(struct random_watch *w);
/* random_watch_set() - it begins to run this one; NULL: it has come back. */
void random_watch_set(struct random_watch *w, struct vcpu *vcpu);
