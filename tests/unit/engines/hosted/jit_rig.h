/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * One vcpu in 64-bit code at CPL 3 with a translator, and memory that the host's side sees at the same linear addresses: a program
 * may be run there and here. It ends with HLT, which CPL 3 must not, or at a fault of its own.
 */
#include "engines/hosted/jit.h"

#define JIT_RIG_VA    UINT64_C(0x40000000)
#define JIT_RIG_BYTES UINT64_C(0x800000)
#define JIT_RIG_TABLES                                                                             \
	UINT64_C(0x7f0000) /* physical: page tables; the last one is of 4 KiB pages */
#define JIT_RIG_CODE  JIT_RIG_VA
#define JIT_RIG_DATA  (JIT_RIG_VA + 0x100000)
#define JIT_RIG_STACK (JIT_RIG_VA + 0x200000)

struct jit_rig {
	struct guest_mem mem;
	struct hosted_vm vm;
	struct hosted_cpu cpu;
	uint8_t *ram; /* JIT_RIG_BYTES, at JIT_RIG_VA in this process too */
	unsigned
		kick_after; /* the next jit_rig_run() is kicked after so many turns of another thread's; 0: it is not */
};

/* jit_rig_create() - with a code cache of so many bytes. 0 or -errno. */
int jit_rig_create(struct jit_rig *rig, uint64_t cache_bytes);
void jit_rig_destroy(struct jit_rig *rig);
/* jit_rig_load() - bytes at a linear address, as a device would write them. */
void jit_rig_load(struct jit_rig *rig, uint64_t gva, const void *bytes, size_t n);
/* jit_rig_map() - a page of the region leads to another physical page, with these bits; flushes. */
void jit_rig_map(struct jit_rig *rig, uint64_t gva, uint64_t gpa, uint64_t bits);
/*
 * jit_rig_run() - from cpu.rip on
 * Return: CPU_FAULT: cpu.fault; a program's HLT is #GP. CPU_OK: poll was set.
 */
enum cpu_result jit_rig_run(struct jit_rig *rig);
