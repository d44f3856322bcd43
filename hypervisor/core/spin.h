/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A ticket lock between CPUs of the server: fair, zeroed is unlocked, not recursive. Interrupts are off in the whole
 * hypervisor but for two marked places (core/trap.h), so no holder is ever interrupted. src/base/core/lock.h, which
 * machine and devices use, spins too (core/libc.c).
 * Lock order: vm, vcpu, device, run queue, pages, console.
 */
#include <stdint.h>

struct spin {
	uint32_t next, serving;
};

static inline void spin_lock(struct spin *spin)
{
	uint32_t mine = __atomic_fetch_add(&spin->next, 1, __ATOMIC_RELAXED);

	while (__atomic_load_n(&spin->serving, __ATOMIC_ACQUIRE) != mine)
		__builtin_ia32_pause();
}

static inline void spin_unlock(struct spin *spin)
{
	__atomic_store_n(&spin->serving, spin->serving + 1, __ATOMIC_RELEASE);
}
