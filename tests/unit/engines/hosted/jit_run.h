/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Programs of bytes in a rig (jit_rig.h), for tests: they end with HLT. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "jit_rig.h"

#define HLT	  0xf4
#define VECTOR_GP 13
#define VECTOR_PF 14
#define CACHE	  (UINT64_C(4) << 20)
#define PAGE	  4096U
#define PTE	  UINT64_C(0x67)

#define LOAD(rig, gva, ...)                                                                        \
	jit_rig_load(rig, gva, (const uint8_t[]){ __VA_ARGS__ },                                   \
		     sizeof((const uint8_t[]){ __VA_ARGS__ }))

/* Runs to HLT at that address. */
static inline void run_to(struct jit_rig *rig, uint64_t from, uint64_t hlt)
{
	rig->cpu.rip = from;
	assert_int_equal(jit_rig_run(rig), CPU_FAULT);
	assert_int_equal(rig->cpu.fault.vector, VECTOR_GP);
	assert_int_equal(rig->cpu.rip, hlt);
}

static inline void put64(struct jit_rig *rig, uint64_t gva, uint64_t value)
{
	memcpy(rig->ram + (gva - JIT_RIG_VA), &value, 8);
}

static inline uint64_t get64(const struct jit_rig *rig, uint64_t gva)
{
	uint64_t value;

	memcpy(&value, rig->ram + (gva - JIT_RIG_VA), 8);
	return value;
}
