/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Whole machines of the software CPU whose guests are hostile: random code in random modes, with page tables that map pages twice,
 * not at all, to ROM and to where no memory is, at both ends of the address space. Any fault of the guest's ends at a handler that writes its number to a port.
 */
#include "diff.h"
#include "engines/hosted/hosted_cpu.h"
#include "x86/state.h"

#define RANDOM_RAM_BYTES 0x100000U
#define RANDOM_ROM_BYTES 0x10000U
#define RANDOM_CODE                                                                                \
	0x10000U /* from here to the end of RAM, and in ROM behind it: random instructions */
#define RANDOM_VCPUS	4U
#define RANDOM_ACCESSES 64U /* of devices, in one case */

struct random_rig {
	struct guest_mem mem;
	struct vm *vm;
	struct vcpu *vcpus[RANDOM_VCPUS];
	unsigned n;
	uint8_t *ram, *rom;
};

/* random_rig_create() - @n vcpus; asserts. cache_bytes 0: no translator. */
void random_rig_create(struct random_rig *rig, unsigned n, uint64_t cache_bytes);
void random_rig_destroy(struct random_rig *rig);
/* random_code() - instructions, most of which do something. */
void random_code(struct diff_rng *rng, uint8_t *at, size_t n);
/* random_memory() - tables and code. @is_wild: a guest may reach its own page tables. */
void random_memory(struct diff_rng *rng, struct random_rig *rig, bool is_wild);
/* random_state() - somewhere in the code, in some mode. */
void random_state(struct diff_rng *rng, struct x86_state *ret);
/* random_answer() - what a device answers, by the access alone; whether the guest goes on. */
bool random_answer(enum vcpu_exit exit, struct vcpu_io *io);
/* random_thread() - every thread that runs vcpus, first. */
void random_thread(void);
