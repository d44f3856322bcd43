/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What a guest program stands on: no operating system, one address space where virtual is physical, a serial port.
 *
 * A program defines guest_main(), which calls check() and its kin: "ok NAME" or "FAIL NAME: ..." on the serial
 * port. After it returns comes "end: N passed, M failed", and the machine is ended by the debug exit port (0, or 1 after
 * a failure); where there is none, by a reset.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void guest_main(void);

/* ---- ports and memory ---- */

static inline void out8(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port) : "memory");
}
static inline void out16(uint16_t port, uint16_t value)
{
	__asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port) : "memory");
}
static inline void out32(uint16_t port, uint32_t value)
{
	__asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port) : "memory");
}
static inline uint8_t in8(uint16_t port)
{
	uint8_t value;
	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}
static inline uint16_t in16(uint16_t port)
{
	uint16_t value;
	__asm__ volatile("inw %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}
static inline uint32_t in32(uint16_t port)
{
	uint32_t value;
	__asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

/* Memory-mapped registers: one instruction each, of the width that is named. */
#define MMIO(bits)                                                                                 \
	static inline uint##bits##_t read##bits(uint64_t addr)                                     \
	{                                                                                          \
		return *(volatile uint##bits##_t *)(uintptr_t)addr;                                \
	}                                                                                          \
	static inline void write##bits(uint64_t addr, uint##bits##_t value)                        \
	{                                                                                          \
		*(volatile uint##bits##_t *)(uintptr_t)addr = value;                               \
	}
MMIO(8)
MMIO(16)
MMIO(32)
MMIO(64)
#undef MMIO

static inline uint64_t msr_read(uint32_t index)
{
	uint32_t low, high;
	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(index));
	return (uint64_t)high << 32 | low;
}
static inline void msr_write(uint32_t index, uint64_t value)
{
	__asm__ volatile("wrmsr"
			 :
			 : "c"(index), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)));
}
static inline void cpuid(uint32_t function, uint32_t index, uint32_t ret[4])
{
	__asm__ volatile("cpuid"
			 : "=a"(ret[0]), "=b"(ret[1]), "=c"(ret[2]), "=d"(ret[3])
			 : "a"(function), "c"(index));
}
static inline uint64_t tsc(void)
{
	uint32_t low, high;
	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}
static inline void pause(void)
{
	__asm__ volatile("pause" : : : "memory");
}
/* barrier() - the compiler keeps the order of memory accesses across it; x86 keeps that of stores by itself. */
static inline void barrier(void)
{
	__asm__ volatile("" : : : "memory");
}
/* fence() - a store before it is seen before a load after it. */
static inline void fence(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}
static inline void irq_on(void)
{
	__asm__ volatile("sti" : : : "memory");
}
static inline void irq_off(void)
{
	__asm__ volatile("cli" : : : "memory");
}
/* wait_irq() - interrupts on, sleep until one came, interrupts off. */
static inline void wait_irq(void)
{
	__asm__ volatile("sti; hlt; cli" : : : "memory");
}

void *memcpy(void *to, const void *from, size_t len);
void *memset(void *to, int value, size_t len);
int memcmp(const void *a, const void *b, size_t len);
size_t text_len(const char *text);
/* mem_alloc() - zeroed, aligned (a power of two), never freed; ends the program when there is none left. */
void *mem_alloc(size_t len, size_t align);

/* ---- what is said ---- */

void print(const char *text);
void print_number(uint64_t value);
void print_hex(uint64_t value);
/* check() - one result. check_equal() - the same with both values, should they differ. */
void check(const char *name, bool ok);
void check_equal(const char *name, uint64_t got, uint64_t want);
/* skip() - said, not counted: what is missing here. */
void skip(const char *name, const char *why);
/* finish() - end the program now; guest_main() may also return. */
_Noreturn void finish(void);
/* fatal() - a failure after which nothing makes sense. */
_Noreturn void fatal(const char *what);

/* ---- the command line of the machine ---- */

/* option_number() - the value of "NAME=123" in it, or otherwise. */
uint64_t option_number(const char *name, uint64_t otherwise);

/* ---- time ---- */

/*
 * within() - for loops that wait for a device: false after some seconds by the PM timer (ACPI 6.5, 4.8.3.3 Power
 * Management Timer), or, without one, after very many calls. Start with a zeroed struct.
 */
struct within {
	uint32_t last;
	uint64_t ticks; /* of 3.579545 MHz */
	uint64_t calls;
};
bool within(struct within *w, unsigned seconds);
uint32_t pm_timer(void); /* 24 bits count, or all ones where there is none */
