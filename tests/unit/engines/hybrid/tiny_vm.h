/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A VM of one vcpu over kvm_cpu_ops, for the unit tests of src/engines/hybrid: 1 MiB of memory, and a few
 * instructions of real mode at TINY_CODE with every segment at 0. A case does TINY_VM(vm, irqchip), which skips it
 * where there is no usable /dev/kvm.
 */
#include "scratch.h"

#include <stdbool.h>
#include <stdint.h>

#include "machine/cpu_ops.h"

#define TINY_BYTES 0x100000U
#define TINY_CODE  0x1000U

/* Machine code of real mode: GUEST16(name, "mov $1, %al; out %al, $0x10") defines name[] and name_end[]. */
#define GUEST16(name, text)                                                                        \
	extern const uint8_t name[], name##_end[];                                                 \
	__asm__(".pushsection .rodata\n.code16\n" #name ":\n" text "\n" #name                      \
		"_end:\n.code64\n.popsection\n")

struct tiny_vm {
	struct guest_mem mem;
	struct vm *vm;
	struct vcpu *vcpu;
	struct vcpu_io io;
	struct x86_state state; /* as it was set at the start */
	uint8_t *ram;
};

/* tiny_missing() - why there is no VM here, or NULL. */
const char *tiny_missing(void);
enum tiny_irqchip { TINY_NONE, TINY_FULL };
void tiny_init(struct tiny_vm *vm, enum tiny_irqchip irqchip);
void tiny_fini(struct tiny_vm *vm);
/* tiny_code() - put code at gpa. tiny_load() - at TINY_CODE, where the vcpu starts. */
void tiny_code(struct tiny_vm *vm, uint32_t gpa, const uint8_t *code, const uint8_t *end);
void tiny_load(struct tiny_vm *vm, const uint8_t *code, const uint8_t *end);
/* tiny_vector() - the real-mode handler of an interrupt. */
void tiny_vector(struct tiny_vm *vm, uint8_t vector, uint16_t ip);
/* tiny_run() - run() until it returns something but KICKED. */
enum vcpu_exit tiny_run(struct tiny_vm *vm);
/* tiny_expect_out() - the next exit is a byte written to port. */
void tiny_expect_out(struct tiny_vm *vm, uint16_t port, uint8_t value);

#define LOAD(vm, name) tiny_load((vm), name, name##_end)
#define TINY_VM(name, irqchip)                                                                     \
	const char *missing_ = tiny_missing();                                                     \
	if (missing_)                                                                              \
		SKIP(missing_);                                                                    \
	AUTO(tiny_fini) struct tiny_vm name;                                                       \
	tiny_init(&name, (enum tiny_irqchip)(irqchip))
