/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The instructions that C has no words for: ports, MSRs, control registers, CPUID. */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static inline void port_out8(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}
static inline void port_out16(uint16_t port, uint16_t value)
{
	__asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port));
}
static inline void port_out32(uint16_t port, uint32_t value)
{
	__asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}
static inline uint8_t port_in8(uint16_t port)
{
	uint8_t value;
	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}
static inline uint16_t port_in16(uint16_t port)
{
	uint16_t value;
	__asm__ volatile("inw %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}
static inline uint32_t port_in32(uint16_t port)
{
	uint32_t value;
	__asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

/* An MSR that every CPU has which we run on; the others: core/trap.h, msr_read_safe(). */
static inline uint64_t msr_read(uint32_t msr)
{
	uint32_t low, high;
	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
	return (uint64_t)high << 32 | low;
}
static inline void msr_write(uint32_t msr, uint64_t value)
{
	__asm__ volatile("wrmsr"
			 :
			 : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
			 : "memory");
}

static inline void cpuid_read(uint32_t leaf, uint32_t subleaf, uint32_t ret[4])
{
	__asm__ volatile("cpuid"
			 : "=a"(ret[0]), "=b"(ret[1]), "=c"(ret[2]), "=d"(ret[3])
			 : "a"(leaf), "c"(subleaf));
}

#define CPU_BRAND_BYTES 49U

/* cpu_brand() - the CPU's own name. Return: false: it has none, *ret is empty. Source: Intel SDM 2A, CPUID, Processor Brand String. */
static inline bool cpu_brand(char ret[CPU_BRAND_BYTES])
{
	uint32_t regs[4];

	memset(ret, 0, CPU_BRAND_BYTES);
	cpuid_read(UINT32_C(0x80000000), 0, regs);
	if (regs[0] < UINT32_C(0x80000004))
		return false;
	for (unsigned i = 0; i < 3; i++) {
		cpuid_read(UINT32_C(0x80000002) + i, 0, regs);
		memcpy(ret + i * sizeof(regs), regs, sizeof(regs));
	}
	return true;
}

static inline uint64_t tsc_read(void)
{
	uint32_t low, high;
	__asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

static inline void cpu_relax(void)
{
	__asm__ volatile("pause" : : : "memory");
}

static inline void *cr3_read(void)
{
	uint64_t cr3;
	__asm__ volatile("mov %%cr3, %0" : "=r"(cr3));
	return (void *)(uintptr_t)cr3;
}
