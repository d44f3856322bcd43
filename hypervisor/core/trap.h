/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Exceptions and interrupts of the hypervisor itself.
 *
 * Interrupts are off wherever the hypervisor runs, but for trap_open() and cpu_idle(): its code is interrupted in those two
 * places only (and, with guests, by the exit that an interrupt causes: call trap_open() after it). So handlers run there,
 * on the CPU's own stack, and need no lock against the code that they interrupt.
 * An exception is a mistake of ours: panic(). Only an instruction that a fixup names (msr_read_safe()) may fault.
 */
#include <stdbool.h>
#include <stdint.h>

enum trap_vector {
	TRAP_NMI = 2,
	TRAP_DOUBLE_FAULT = 8,
	TRAP_MACHINE_CHECK = 18,
	TRAP_EXCEPTIONS = 32, /* below: the CPU's own */
	TRAP_DEVICES = 0x40,  /* .. TRAP_TIMER - 1: trap_vector_take() */
	TRAP_TIMER = 0xf0,
	TRAP_KICK = 0xf1,
	TRAP_SPURIOUS = 0xff,
};

/* As core/traps.S pushes it. */
struct trap_frame {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rdx, rcx, rbx, rax;
	uint64_t vector, error; /* error: 0 where the CPU pushes none */
	uint64_t rip, cs, rflags, rsp, ss;
};

/* trap_init() - fill the table, once; trap_load() - use it on this CPU */
void trap_init(void);
void trap_load(void);

/*
 * trap_vector_take() - a vector of its own for a device's interrupt, on any CPU
 * @handler: with arg, in trap_open() or cpu_idle(); the interrupt is acknowledged afterwards
 * Return: the vector, or -ENOSPC.
 */
int trap_vector_take(void (*handler)(void *arg), void *arg);
void trap_vector_give(int vector);

/* trap_open() - take what is pending, now */
static inline void trap_open(void)
{
	__asm__ volatile("sti; nop; cli" : : : "memory");
}

/*
 * cpu_idle() - halt until an interrupt came: the timer, a kick, a device
 * The caller has looked for work with interrupts off; a kick that came since ends the halt at once. Time is counted in
 * cpu_this()->idle_ns.
 */
void cpu_idle(void);

/* msr_read_safe(), msr_write_safe() - Return: false: the CPU has no such MSR, or not that value (#GP). */
bool msr_read_safe(uint32_t msr, uint64_t *ret);
bool msr_write_safe(uint32_t msr, uint64_t value);

/* trap_dispatch() - from core/traps.S */
void trap_dispatch(struct trap_frame *frame);
