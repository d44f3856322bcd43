/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the files msr*.c share: MSRs without their #GP and their exits, which are msr_read()'s and msr_write()'s (cpu.h).
 *
 * Theory of operation. Most registers only keep what was written, if its reserved bits are right: x86/msr.h; msr_table.c says where.
 * Those that do something are in msr.c; time, and the paravirtual clock (x86/pvclock.h), in msr_clock.c. x2APIC registers and the TSC deadline are the machine's.
 */
#include "engines/hosted/cpu.h"

enum msr_result { MSR_OK, MSR_FAULT, MSR_NONE, MSR_MACHINE };

/* msr_get(), msr_put() - one MSR as RDMSR and WRMSR have it. MSR_NONE: does not exist; MSR_MACHINE: is kept by the machine. */
enum msr_result msr_get(struct hosted_cpu *cpu, uint32_t index, uint64_t *ret);
enum msr_result msr_put(struct hosted_cpu *cpu, uint32_t index, uint64_t value);
/* msr_reset() - as after power-up. @is_bsp: the first vcpu */
void msr_reset(struct hosted_cpu *cpu, bool is_bsp);

/* msr_table.c */
enum msr_result msr_table_get(const struct hosted_cpu *cpu, uint32_t index, uint64_t *ret);
enum msr_result msr_table_put(struct hosted_cpu *cpu, uint32_t index, uint64_t value);
void msr_table_reset(struct hosted_cpu *cpu);

/* msr_clock.c */
enum msr_result msr_clock_get(struct hosted_cpu *cpu, uint32_t index, uint64_t *ret);
enum msr_result msr_clock_put(struct hosted_cpu *cpu, uint32_t index, uint64_t value);
/*
 * clock_hz() - of the host's TSC, measured at the first call if the CPU does not say: some 20 ms after the clock started at the earliest,
 * else it waits that long
 */
uint64_t clock_hz(struct hosted_clock *clock);

static inline uint64_t clock_rdtsc(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}
/* clock_ns() - clock_gettime(2), by system call: the C library is out of reach. */
uint64_t clock_ns(int clock);
