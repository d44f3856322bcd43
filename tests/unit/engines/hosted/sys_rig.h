/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * One vcpu with memory and tables for every mode, so that a case can execute an instruction by its bytes and look at what became of it.
 * No translator, no run loop.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engines/hosted/interp.h"
#include "engines/hosted/system.h"

/* Where things are. All memory is mapped at its own address, for user code too. */
enum {
	SYS_RAM = 0x400000,
	SYS_GDT = 0x1000,
	SYS_IDT = 0x2000,
	SYS_TSS = 0x3000, /* the one in TR */
	SYS_TSS2 = 0x4000,
	SYS_LDT = 0x5000,
	SYS_STACK0 = 0x8000, /* their ends */
	SYS_STACK1 = 0x9000, /* IST 1 */
	SYS_STACK3 = 0xa000,
	SYS_DATA = 0xb000,
	SYS_TABLES = 0x10000,
	SYS_CODE = 0x20000,
	SYS_HANDLERS = 0x30000, /* of vector n: at n * 16 */
	SYS_ABSENT = 0x3ff000,	/* a page that is not there, where there is paging */
};

/* Selectors of the GDT. */
enum {
	SEL_CODE32 = 0x08,
	SEL_DATA = 0x10,
	SEL_CODE64 = 0x18,
	SEL_USER32 = 0x20,
	SEL_USER_DATA = 0x28,
	SEL_USER64 = 0x30,
	SEL_TSS = 0x38, /* two places in long mode */
	SEL_CODE16 = 0x48,
	SEL_DATA16 = 0x50,
	SEL_READ_ONLY = 0x58,
	SEL_EXEC_ONLY = 0x60,
	SEL_DOWN = 0x68, /* expand-down, limit 0xfff */
	SEL_ABSENT = 0x70,
	SEL_CONFORMING = 0x78, /* DPL 0, of the mode's kind */
	SEL_GATE = 0x80,       /* call gate, DPL 3; two places in long mode */
	SEL_LDT = 0x90,	       /* the same */
	SEL_TSS2 = 0xa0,
	SEL_CODE_ABSENT = 0xa8,
	SEL_SMALL = 0xb0, /* data, limit 0xfff */
	SEL_TASK_GATE = 0xb8,
	SEL_CODE1 = 0xc0, /* code, DPL 1 */
	SEL_BOTH = 0xc8,  /* code, L and D */
	SEL_BEYOND = 0xd0,
};

struct sys_rig {
	struct guest_mem mem;
	struct hosted_vm vm;
	struct hosted_cpu cpu;
	struct interp_vcpu interp;
	struct vcpu_io io;
	uint8_t *ram;
	unsigned wrote; /* jit_wrote() calls */
};

enum sys_mode { SYS_REAL, SYS_VM86, SYS_P16, SYS_P32, SYS_COMPAT, SYS_LONG };

int sys_rig_create(void **state);
int sys_rig_destroy(void **state);
/* sys_mode() - tables and registers of a mode. @cpl: 0 or 3. */
void sys_mode(struct sys_rig *rig, enum sys_mode mode, uint8_t cpl);
/* sys_exec() - an instruction, in hexadecimal, at CS:RIP: decoded and executed. */
enum cpu_result sys_exec(struct sys_rig *rig, const char *hex);
/* sys_decode() - for cases that have something in vector registers: nothing may come between them and system_execute(). */
struct x86_insn sys_decode(const struct sys_rig *rig, const char *hex);
/* sys_faults() - it faults so. @error: -1: without an error code. */
void sys_faults(struct sys_rig *rig, const char *hex, unsigned vector, int error);
/* sys_runs() - it retires, and RIP is after it. */
void sys_runs(struct sys_rig *rig, const char *hex);
void sys_poke(struct sys_rig *rig, uint64_t at, uint64_t value, unsigned bytes);
uint64_t sys_peek(const struct sys_rig *rig, uint64_t at, unsigned bytes);
/* sys_set_desc() - a descriptor of the GDT. */
void sys_set_desc(struct sys_rig *rig, uint16_t selector, uint32_t base, uint32_t limit,
		  unsigned access, unsigned flags);
/* sys_set_gate() - IDT gate: of the mode's width. @type: with DPL << 5, and present 0x80. */
void sys_set_gate(struct sys_rig *rig, unsigned vector, uint16_t selector, unsigned type,
		  unsigned ist);
/* sys_show() - set or take a bit of CPUID. */
void sys_show(struct sys_rig *rig, uint32_t function, uint32_t index, enum cpuid_reg reg,
	      unsigned bit, bool on);
