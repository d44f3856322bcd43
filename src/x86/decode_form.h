/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the decoder's tables hold: forms, made of the lines of insns/ (NOTATION there), and the trees that lead to
 * them. tools/x86_tables.py makes them, decode.c walks them.
 */
#include <stdint.h>

#include "x86/insn.h"

/* How many bytes an operand has; those from X86_SIZE_V on depend on more than the form. */
enum x86_size {
	X86_SIZE_0,
	X86_SIZE_B,
	X86_SIZE_W,
	X86_SIZE_D,
	X86_SIZE_Q,
	X86_SIZE_T,  /* 10: an x87 register */
	X86_SIZE_DQ, /* 16 */
	X86_SIZE_QQ, /* 32 */
	X86_SIZE_ZQ, /* 64 */
	X86_SIZE_FX, /* 512: FXSAVE's image */
	X86_SIZE_XS, /* 576: XSAVE's least */
	X86_SIZE_V,  /* the operand size: 2, 4, 8 */
	X86_SIZE_Z,  /* the same, at most 4 */
	X86_SIZE_Y,  /* 8 with W in 64-bit code, else 4 */
	X86_SIZE_M,  /* 8 in 64-bit code, else 4 */
	X86_SIZE_P, /* selector and offset, this of 2 or 4 bytes: AMD ignores REX.W with them (Zen 4; APM 3, LFS) */
	X86_SIZE_2V,   /* two of the operand size */
	X86_SIZE_G,    /* limit and base of a table: 10 in 64-bit code, else 6 */
	X86_SIZE_ENV,  /* FLDENV: 14 or 28, by the operand size */
	X86_SIZE_SAVE, /* FRSTOR: 94 or 108 */
	X86_SIZE_X,    /* the vector length: 16, 32, 64 */
	X86_SIZE_H,    /* half of it, */
	X86_SIZE_F,    /* a quarter, */
	X86_SIZE_E,    /* an eighth */
	X86_SIZE_DDUP, /* VMOVDDUP's source: 8, 32, 64 */
};

enum x86_imm {
	X86_IMM_NONE,
	X86_IMM_B,  /* 8 bits, zero-extended */
	X86_IMM_S,  /* 8 bits, sign-extended */
	X86_IMM_W,  /* 16 bits, zero-extended */
	X86_IMM_Z,  /* 16 or 32 bits by the operand size, sign-extended */
	X86_IMM_V,  /* the operand size */
	X86_IMM_BB, /* two bytes: imm and imm2 */
	X86_IMM_WB, /* a word and a byte */
	X86_IMM_AP, /* far pointer: offset, then selector in imm2 */
};

/* Which memory `mem` is. */
enum x86_form_mem {
	X86_MEM_NONE,  /* none, or ModRM's where rm names memory */
	X86_MEM_MOFFS, /* [disp] */
	X86_MEM_SI,    /* [rSI] */
	X86_MEM_DI,    /* ES:[rDI] */
	X86_MEM_XLAT,  /* [rBX + AL] */
	X86_MEM_MASK,  /* [rDI] */
};

#define X86_FORM_READ  0x40U /* with a field's kind */
#define X86_FORM_WRITE 0x80U
#define X86_FORM_KIND  0x1fU

#define X86_FORM_MODRM	   0x00001U
#define X86_FORM_LOCK	   0x00002U /* LOCK may stand before it, with memory */
#define X86_FORM_D64	   0x00004U /* in 64-bit code 8 bytes wide, or 2 with 66 */
#define X86_FORM_REP	   0x00008U /* F2, F3 repeat it */
#define X86_FORM_DX	   0x00010U /* the port is in DX */
#define X86_FORM_BITS	   0x00020U /* the register's upper bits move the address */
#define X86_FORM_COUNT	   0x00040U /* shift by imm: flags by its value */
#define X86_FORM_CL	   0x00080U /* shift by CL: flags perhaps */
#define X86_FORM_CC	   0x00100U /* condition in opcode[3:0] */
#define X86_FORM_REG_ONLY  0x00200U /* ModRM.mod is ignored: rm is a register */
#define X86_FORM_OPREG	   0x00400U /* rm is opcode[2:0] */
#define X86_FORM_SEGOP	   0x00800U /* reg is a segment, opcode[5:3] */
#define X86_FORM_IS4	   0x01000U
#define X86_FORM_MANDATORY 0x02000U /* 66, F3, F2 is a part of the opcode */
#define X86_FORM_VSIB	   0x04000U
#define X86_FORM_MASK	   0x08000U /* EVEX: may have a mask; */
#define X86_FORM_MASKED	   0x10000U /* must have one; */
#define X86_FORM_ZERO	   0x20000U /* may zero */
#define X86_FORM_ROUND	   0x40000U /* EVEX.b with registers: embedded rounding; */
#define X86_FORM_SAE	   0x80000U /* or exceptions suppressed */
#define X86_FORM_3DNOW	   0x100000U
#define X86_FORM_GATHER	   0x200000U /* destination, index (and a vector mask) must differ */
#define X86_FORM_DISTINCT  0x400000U /* the destination must not be a source */

struct x86_form {
	uint8_t op;
	uint8_t reg, rm, vvvv;		    /* enum x86_field, X86_FORM_READ, _WRITE */
	uint8_t op_size, rm_size, mem_size; /* enum x86_size */
	uint8_t disp_size;		    /* EVEX: what a one-byte displacement counts in */
	uint8_t broadcast;		    /* EVEX.b with memory: bytes of an element, 0: #UD */
	uint8_t imm, mem;
	uint8_t implicit, flags; /* indices */
	uint8_t uses;
	uint8_t align; /* bytes, 255: the memory operand's size */
	uint32_t attrs;
};

/* General registers that no field names. partial: written, but not whole with an operand size below 4. */
struct x86_implicit {
	uint32_t read, written, partial;
};
struct x86_flag_set {
	uint16_t read, written, undefined;
};

/*
 * A node: 0: nothing; X86_NODE_TREE set: the place of a switch in x86_tree: what it asks (enum x86_dim), then a node for each
 * answer; else the index of a form.
 */
#define X86_NODE_TREE 0x8000U
enum x86_dim {
	X86_DIM_PREFIX, /* none, 66, F3, F2 */
	X86_DIM_CODE,	/* 16- and 32-bit, 64-bit */
	X86_DIM_W,
	X86_DIM_B,   /* REX.B */
	X86_DIM_L,   /* 128, 256, 512, reserved; 512 with rounding */
	X86_DIM_MOD, /* memory, register; from here on ModRM is needed */
	X86_DIM_REG,
	X86_DIM_RM,
	X86_DIMS,
};

#define X86_ROOTS 12 /* legacy 4 maps, VEX 3 (0F, 0F38, 0F3A), EVEX 5 (and 5, 6) */

extern const struct x86_form x86_forms[];
extern const struct x86_implicit x86_implicits[];
extern const struct x86_flag_set x86_flag_sets[];
extern const uint16_t x86_tree[];
extern const uint16_t x86_roots[X86_ROOTS][256];
