/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * KVM's paravirtual clock: MSRs by which a guest says where its clock is to be written, and what is written there.
 *
 * Theory of operation. A guest's time is a straight line of its TSC. So the structure is written when the guest asks for it, and again only
 * when its TSC is set; the guest multiplies. Who executes the vcpu has a struct pvclock for it, knows both clocks, and can write guest
 * memory: where there is none, the guest gets no clock, and hears nothing of it.
 *
 * Sources: Linux Documentation/virt/kvm/x86/msr.rst; arch/x86/include/asm/pvclock-abi.h for the layouts.
 */
#include <stdbool.h>
#include <stdint.h>

/* The registers' values as written. */
struct pvclock {
	uint64_t system_time, wall_clock;
	uint32_t version; /* even */
};

/* Where guest memory is, as the host's side writes it. */
struct pvclock_mem {
	void (*write)(void *arg, uint64_t gpa, const void *data, unsigned len);
	void *arg;
};

/* What the guest's TSC tells. */
struct pvclock_line {
	uint64_t tsc_hz;
	uint64_t tsc_start; /* the TSC of this vcpu at time 0 */
	bool is_stable;	    /* all vcpus' TSCs are the same line */
};

/* pvclock_msr_read() - Return: false: not one of the clock's */
bool pvclock_msr_read(const struct pvclock *clock, uint32_t index, uint64_t *ret);
/* What the caller does next: pvclock_time_write(), if the clock is on; pvclock_wall_write(). */
enum pvclock_msr { PVCLOCK_NO_MSR, PVCLOCK_TIME, PVCLOCK_WALL };
enum pvclock_msr pvclock_msr_write(struct pvclock *clock, uint32_t index, uint64_t value);
/* pvclock_is_on() - the guest has said where its time is to be. */
bool pvclock_is_on(const struct pvclock *clock);
/* pvclock_time_write() - its time, where it said; the version is odd meanwhile. Nothing if it is off. */
void pvclock_time_write(struct pvclock *clock, const struct pvclock_line *line,
			const struct pvclock_mem *mem);
/* pvclock_wall_write() - @start_ns: the time of day, since 1970, at time 0 */
void pvclock_wall_write(const struct pvclock *clock, uint64_t start_ns,
			const struct pvclock_mem *mem);
/* pvclock_scale() - ns = (ticks << shift) * mul >> 32; a negative shift is to the right. @hz: > 0 */
void pvclock_scale(uint64_t hz, uint32_t *ret_mul, int8_t *ret_shift);
