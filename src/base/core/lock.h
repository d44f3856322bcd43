/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A lock of one word that the freestanding rooms can use: the fast path is here, what waits is chosen at link time
 * (base/os/lock.c: futex(2); a hypervisor image or a test image brings its own). Zeroed is unlocked. Not recursive.
 */
#include <stdint.h>

struct lock {
	uint32_t word; /* 0 free, 1 held, 2 held and somebody may wait */
};

/* lock_wait() - return when *word may no longer be `seen`; may return early. */
void lock_wait(uint32_t *word, uint32_t seen);
/* lock_wake() - wake one that waits on word. */
void lock_wake(uint32_t *word);

static inline void lock_acquire(struct lock *lock)
{
	uint32_t free = 0;

	if (__atomic_compare_exchange_n(&lock->word, &free, 1, 0, __ATOMIC_ACQUIRE,
					__ATOMIC_RELAXED))
		return;
	while (__atomic_exchange_n(&lock->word, 2, __ATOMIC_ACQUIRE) != 0)
		lock_wait(&lock->word, 2);
}

static inline void lock_release(struct lock *lock)
{
	if (__atomic_exchange_n(&lock->word, 0, __ATOMIC_RELEASE) == 2)
		lock_wake(&lock->word);
}
