/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the two halves of the decoder share: decode.c reads bytes, decode_operands.c gives them meaning. */
#include "x86/decode_form.h"
#include "x86/insn.h"

struct decoder {
	const uint8_t *bytes;
	unsigned pos, end;
	struct x86_insn *insn;
	const struct x86_form *form;
	uint8_t root;	/* which of x86_roots */
	uint8_t prefix; /* as X86_DIM_PREFIX */
	uint8_t seg;	/* override, or X86_REG_NONE */
	uint8_t w, r, x,
		b; /* REX, VEX, EVEX: w 0, 1; the others as what they add to a register's number */
	uint8_t vvvv, v2; /* v2: EVEX.V', 16 or 0 */
	uint8_t v;	  /* the operand size that the prefixes give */
};

/* op_bytes, addr_bytes, gpr_bytes, once the form is known. */
void decode_sizes(struct decoder *d);

/* Everything that reading the bytes left open. Return: 0, or -EINVAL: they are not an instruction after all. */
int decode_operands(struct decoder *d);
