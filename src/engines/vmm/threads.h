/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The threads of a VMM and what each may ask of the kernel. */
#include <pthread.h>

#include "base/core/err.h"

struct vmm;

enum vmm_thread { VMM_THREAD_LOOP, VMM_THREAD_VCPU };

/* vmm_thread_start() - with a small stack, every signal blocked. */
int vmm_thread_start(pthread_t *ret, void *(*fn)(void *), void *arg, struct err *err);
/* vmm_thread_seal() - the calling thread's system-call filter. */
int vmm_thread_seal(const struct vmm *vmm, enum vmm_thread kind, struct err *err);
