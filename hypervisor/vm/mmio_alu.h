/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The arithmetic of the instructions that may have a device as their operand. */
#include <stdbool.h>
#include <stdint.h>

struct alu_result {
	uint64_t value;
	uint32_t flags; /* those that are set */
	uint32_t
		changed; /* X86_CF ...: those that it decides; undefined ones are left as they are */
};

/* alu_knows() - ADD OR ADC SBB AND SUB XOR CMP TEST INC DEC NEG NOT, BT BTS BTR BTC. @op: enum x86_op */
bool alu_knows(uint8_t op);
/*
 * alu() - @a op @b; @len: 1, 2, 4, 8 bytes, above which both operands are zero; @rflags: for the carry
 * Of those with one operand it is @a. Source: Intel SDM 2, Instruction Set Reference, Flags Affected.
 */
struct alu_result alu(uint8_t op, uint64_t a, uint64_t b, unsigned len, uint64_t rflags);
