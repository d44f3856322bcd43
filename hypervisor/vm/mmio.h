/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Completes one instruction of a guest's whose memory operand is a device: hardware says only which address faulted.
 *
 * Theory of operation. An access is asked for in steps, so that whoever owns the bus does it, as with KVM's exits:
 *
 *	step = mmio_begin(m, cpu, gpa, is_write)
 *	while (step == MMIO_READ || step == MMIO_WRITE) {
 *		m->value, m->len at m->gpa: done
 *		step = mmio_next(m, cpu)
 *	}
 *	MMIO_DONE: RIP goes behind the instruction. MMIO_AGAIN: a repeated one that has more to do; RIP stays.
 *
 * Registers and flags change in the step that ends it, and not before: an instruction that is given up has done nothing
 * but its accesses. Everything here is what a guest chose; nothing of it is trusted.
 * Sources: Intel SDM 2, Instruction Set Reference; SDM 1, EFLAGS Register.
 */
#include <stdbool.h>
#include <stdint.h>

#include "machine/types.h"
#include "x86/insn.h"

enum mmio_step {
	MMIO_READ,  /* fill value, zero-extended */
	MMIO_WRITE, /* take value's low len bytes */
	MMIO_DONE,
	MMIO_AGAIN,
	MMIO_FAULT,   /* the memory callback has noted an exception for the guest */
	MMIO_UNKNOWN, /* nothing that we do at a device */
};

struct mmio_cpu;

/* The other operand of a string instruction. @gva: linear. Return: 0; -EFAULT: noted for the guest; -EIO: no memory there. */
struct mmio_cpu_ops {
	int (*read)(struct mmio_cpu *cpu, gva_t gva, void *ret, unsigned len);
	int (*write)(struct mmio_cpu *cpu, gva_t gva, const void *data, unsigned len);
	uint64_t (*seg_base)(struct mmio_cpu *cpu, enum x86_seg seg);
};

/* What of the CPU takes part. */
struct mmio_cpu {
	const struct mmio_cpu_ops *ops;
	uint64_t *regs; /* X86_REGS of them */
	uint64_t *rflags;
};

struct mmio {
	struct x86_insn insn;
	gpa_t gpa;
	uint8_t len; /* 1, 2, 4, 8 */
	uint8_t phase;
	uint64_t value;	 /* of the access that is asked for */
	uint64_t loaded; /* what a read brought, for one that writes as well */
	bool to_device;	 /* MOVS: which side it is */
};

/*
 * mmio_begin() - @m->insn is decoded; @gpa: where its device operand is; @is_write: what faulted
 * Return: never MMIO_AGAIN but for a repeated instruction with nothing to do.
 */
enum mmio_step mmio_begin(struct mmio *m, struct mmio_cpu *cpu, gpa_t gpa, bool is_write);
/* mmio_next() - the access that was asked for is done. */
enum mmio_step mmio_next(struct mmio *m, struct mmio_cpu *cpu);
