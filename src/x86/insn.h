/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * One decoded x86 instruction: what its bytes are, what it reads and writes, how it may be executed.
 *
 * A reader of it is one of three: the translator, which emits most instructions again with their registers and memory
 * operand replaced; the interpreter, which executes the others; the hypervisor, which completes an access that faulted.
 * So an instruction that only computes (class DATA) needs no name here: its bytes and fields are all there is to
 * know. Whatever touches control flow, the stack, segments or the system has an operation's name (enum x86_op).
 *
 * Sources: Intel SDM 2, Instruction Format; Instruction Set Reference; Opcode Map. AMD APM 3, appendices A to D.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "x86/state.h"

#define X86_INSN_MAX 15 /* bytes */

/* The code segment's kind: 16-bit (real, virtual-8086, D = 0), 32-bit (D = 1), 64-bit (L = 1 in long mode). */
enum x86_code { X86_CODE_16, X86_CODE_32, X86_CODE_64 };

enum x86_encoding { X86_ENC_LEGACY, X86_ENC_VEX, X86_ENC_EVEX };
/* The opcode maps; the numbers are those of VEX.mmmmm and EVEX.mmm. */
enum x86_map {
	X86_MAP_ONE = 0,
	X86_MAP_0F = 1,
	X86_MAP_0F38 = 2,
	X86_MAP_0F3A = 3,
	X86_MAP_5 = 5, /* EVEX only: AVX512-FP16 */
	X86_MAP_6 = 6,
};

/*
 * How it may be executed.
 * DATA: unprivileged, and its whole effect is on general, vector, mask, x87 and MMX registers, arithmetic flags, MXCSR and the
 *	one memory operand `mem`: emitted again with those replaced, it is the same instruction in every mode. LEA, NOP, LOCK'd
 *	read-modify-writes, CMPXCHG8B/16B, XLAT (mem is its table), CPU hints (PREFETCH, CLFLUSH, fences, PAUSE), gathers and
 *	scatters (mem.vsib: many accesses), BT* with a register bit offset (mem.bit_offset) are DATA.
 * BRANCH: near control flow: JMP, CALL, RET, Jcc, JCXZ, LOOPcc.
 * STACK: PUSH, POP (general registers, immediates, memory, flags), PUSHA, POPA, ENTER, LEAVE; not of segment registers.
 * STRING: MOVS, CMPS, SCAS, LODS, STOS, INS, OUTS, repeated or not.
 * SYSTEM: all else: privileged, mode-changing, segment-loading, far control flow, I/O, XSAVE and FXSAVE families, anything that
 *	virtualization shows something else for (CPUID, RDTSC, SGDT, SMSW, ...), CLI/STI, HLT, INT, IRET, MOV to and from Sreg/CR/DR.
 */
enum x86_class {
	X86_CLASS_DATA,
	X86_CLASS_BRANCH,
	X86_CLASS_STACK,
	X86_CLASS_STRING,
	X86_CLASS_SYSTEM
};

enum x86_op {
	X86_OP_DATA, /* class DATA, not named below */
	/* DATA, but of use to know by name */
	X86_OP_MOV, /* MOV of general registers, memory, immediates; not of segment, control, debug registers */
	X86_OP_MOVZX,
	X86_OP_MOVSX, /* MOVSXD too */
	X86_OP_LEA,
	X86_OP_NOP, /* 0F 1F, 90, PREFETCH, ENDBR and whatever does nothing here */
	X86_OP_PAUSE,
	X86_OP_ADD,
	X86_OP_OR,
	X86_OP_ADC,
	X86_OP_SBB,
	X86_OP_AND,
	X86_OP_SUB,
	X86_OP_XOR,
	X86_OP_CMP,
	X86_OP_TEST,
	X86_OP_INC,
	X86_OP_DEC,
	X86_OP_NEG,
	X86_OP_NOT,
	X86_OP_XCHG,
	X86_OP_XADD,
	X86_OP_CMPXCHG,
	X86_OP_CMPXCHG8B,
	X86_OP_CMPXCHG16B,
	X86_OP_BT,
	X86_OP_BTS,
	X86_OP_BTR,
	X86_OP_BTC,
	X86_OP_SHIFT, /* group 2: ROL ROR RCL RCR SHL SHR SAL SAR */
	X86_OP_DIV,
	X86_OP_IDIV, /* may raise #DE */
	X86_OP_XLAT,
	X86_OP_BOUND, /* may raise #BR; not in 64-bit code */
	X86_OP_AAM, /* may raise #DE; AAM, AAD, DAA, DAS, AAA, AAS are not in 64-bit code: emitting them again is impossible */
	X86_OP_AAD,
	X86_OP_AAA,
	X86_OP_AAS,
	X86_OP_DAA,
	X86_OP_DAS,
	X86_OP_SALC,
	X86_OP_SETCC,
	X86_OP_CMOVCC,
	X86_OP_CLC,
	X86_OP_STC,
	X86_OP_CMC,
	X86_OP_CLD,
	X86_OP_STD,
	X86_OP_LAHF,
	X86_OP_SAHF,
	X86_OP_FWAIT,
	X86_OP_STMXCSR,
	X86_OP_LDMXCSR,
	X86_OP_FENCE,	/* LFENCE, MFENCE, SFENCE */
	X86_OP_CLFLUSH, /* CLFLUSHOPT, CLWB, CLDEMOTE too: touches its page as a read does */
	X86_OP_RDRAND,
	X86_OP_RDSEED,
	X86_OP_MASKMOV, /* MASKMOVQ, MASKMOVDQU: implicit [rDI] */
	/* BRANCH */
	X86_OP_JMP,	/* imm: the displacement, signed */
	X86_OP_JMP_IND, /* rm: register or memory */
	X86_OP_JCC,	/* cc */
	X86_OP_JCXZ,
	X86_OP_LOOP,
	X86_OP_LOOPE,
	X86_OP_LOOPNE, /* count register: addr_bytes */
	X86_OP_CALL,
	X86_OP_CALL_IND,
	X86_OP_RET, /* imm: bytes to drop, 0 without */
	/* STACK */
	X86_OP_PUSH, /* rm (a register, or memory), or imm where rm_field is NONE */
	X86_OP_POP,
	X86_OP_PUSHF,
	X86_OP_POPF,
	X86_OP_PUSHA,
	X86_OP_POPA,
	X86_OP_ENTER, /* imm: bytes; imm2: nesting */
	X86_OP_LEAVE,
	/* STRING: mem is [rSI] with its segment (MOVS, CMPS, LODS, OUTS), else ES:[rDI]; MOVS's is both read and written */
	X86_OP_MOVS,
	X86_OP_CMPS,
	X86_OP_SCAS,
	X86_OP_LODS,
	X86_OP_STOS,
	X86_OP_INS,
	X86_OP_OUTS,
	/* SYSTEM */
	X86_OP_PUSH_SEG,
	X86_OP_POP_SEG, /* reg: enum x86_seg */
	X86_OP_MOV_FROM_SEG,
	X86_OP_MOV_TO_SEG,
	X86_OP_LES,
	X86_OP_LDS,
	X86_OP_LSS,
	X86_OP_LFS,
	X86_OP_LGS,
	X86_OP_JMP_FAR,
	X86_OP_CALL_FAR, /* imm2:imm, or mem (offset, then selector) */
	X86_OP_RET_FAR,
	X86_OP_IRET,
	X86_OP_INT,
	X86_OP_INT3,
	X86_OP_INTO,
	X86_OP_INT1,
	X86_OP_SYSCALL,
	X86_OP_SYSRET,
	X86_OP_SYSENTER,
	X86_OP_SYSEXIT,
	X86_OP_CLI,
	X86_OP_STI,
	X86_OP_HLT,
	X86_OP_CLTS,
	X86_OP_CLAC,
	X86_OP_STAC,
	X86_OP_IN,
	X86_OP_OUT, /* imm: port, unless port_dx */
	X86_OP_MOV_FROM_CR,
	X86_OP_MOV_TO_CR,
	X86_OP_MOV_FROM_DR,
	X86_OP_MOV_TO_DR,
	X86_OP_LGDT,
	X86_OP_LIDT,
	X86_OP_SGDT,
	X86_OP_SIDT,
	X86_OP_LLDT,
	X86_OP_SLDT,
	X86_OP_LTR,
	X86_OP_STR,
	X86_OP_LMSW,
	X86_OP_SMSW,
	X86_OP_LAR,
	X86_OP_LSL,
	X86_OP_VERR,
	X86_OP_VERW,
	X86_OP_ARPL,
	X86_OP_INVLPG,
	X86_OP_INVPCID,
	X86_OP_INVD,
	X86_OP_WBINVD,
	X86_OP_RDMSR,
	X86_OP_WRMSR,
	X86_OP_RDTSC,
	X86_OP_RDTSCP,
	X86_OP_RDPMC,
	X86_OP_RDPID,
	X86_OP_CPUID,
	X86_OP_XGETBV,
	X86_OP_XSETBV,
	X86_OP_RDFSBASE,
	X86_OP_RDGSBASE,
	X86_OP_WRFSBASE,
	X86_OP_WRGSBASE,
	X86_OP_SWAPGS,
	X86_OP_FXSAVE,
	X86_OP_FXRSTOR,
	X86_OP_XSAVE,
	X86_OP_XSAVEOPT,
	X86_OP_XSAVEC,
	X86_OP_XSAVES,
	X86_OP_XRSTOR,
	X86_OP_XRSTORS,
	X86_OP_FSAVE,
	X86_OP_FRSTOR,
	X86_OP_FSTENV,
	X86_OP_FLDENV, /* their images depend on the mode */
	X86_OP_MONITOR,
	X86_OP_MWAIT,
	X86_OP_VMCALL,
	X86_OP_VMMCALL, /* of which only the hypercalls ever do anything */
	X86_OP_RDPKRU,
	X86_OP_WRPKRU,
	X86_OP_UD, /* UD0, UD1, UD2: decodes, and raises #UD */
	/*
	 * VMX, SVM, SMX, SGX, TDX, TSX, CET's own, Key Locker, RSM, CLZERO, RDPRU, MONITORX, WAITPKG, MOVDIR64B and the like: decodes,
	 * and raises #UD in a guest, to which none of them is shown. Its length counts, and no more.
	 */
	X86_OP_VIRT,
	X86_OP_MAX,
};

/* What a ModRM, opcode or VEX field names. */
enum x86_field {
	X86_FIELD_NONE, /* not there, or an opcode extension (reg is ModRM.reg then) */
	X86_FIELD_GPR,	/* of op_bytes, or the width that gpr_bytes gives */
	X86_FIELD_GPR8, /* low byte; numbers 16..19: AH CH DH BH (no REX prefix) */
	X86_FIELD_MEM,	/* rm only: mem is its operand */
	X86_FIELD_VEC,	/* XMM, YMM, ZMM */
	X86_FIELD_MASK, /* k0..k7 */
	X86_FIELD_MMX,
	X86_FIELD_ST,
	X86_FIELD_SEG,
	X86_FIELD_CR,
	X86_FIELD_DR,
	X86_FIELD_BND, /* NOPs here: MPX is not shown */
};

#define X86_REG_NONE 0xffU
#define X86_REG_AH   16U /* with GPR8: 16..19 are AH, CH, DH, BH */

struct x86_mem {
	bool is_vsib;  /* index is a vector register; every element is an access of elem_bytes */
	bool is_rip;   /* relative to the next instruction (disp counts from there) */
	bool is_moffs; /* A0..A3: disp is the 64-, 32- or 16-bit address */
	bool bit_offset; /* BT* r/m, r: the register's bits above the operand's size move the address */
	bool is_read, is_written;
	uint8_t seg; /* enum x86_seg: the effective one. In 64-bit code all but FS and GS have base 0 */
	uint8_t base,
		index; /* enum x86_reg, or X86_REG_NONE; index of a vector register with is_vsib */
	uint8_t scale; /* 1, 2, 4, 8 */
	int64_t disp;  /* EVEX's compressed displacement is multiplied already */
	uint16_t
		bytes; /* accessed from the address on, under a mask at most; 0: none (LEA, NOP, INVLPG); with is_vsib: an element's; 512, and more, for the FPU images (576 for XSAVE's, of which the mask decides) */
	uint8_t align; /* bytes: #GP if it is not a multiple (MOVAPS, legacy SSE memory operands, CMPXCHG16B); 0, 1: any */
};

/* What else an instruction touches that an OS can have turned off (#NM, #UD). */
#define X86_USES_X87	0x01U /* CR0.EM, CR0.TS */
#define X86_USES_MMX	0x02U
#define X86_USES_SSE	0x04U /* CR0.TS, CR4.OSFXSR */
#define X86_USES_AVX	0x08U /* CR0.TS, CR4.OSXSAVE, XCR0[2:1] */
#define X86_USES_AVX512 0x10U /* and XCR0[7:5] */
#define X86_USES_MASKS	0x20U /* opmask instructions: XCR0[7:5] as well */

/* Arithmetic flags and DF, at their places in RFLAGS. */
#define X86_CF		0x001U
#define X86_PF		0x004U
#define X86_AF		0x010U
#define X86_ZF		0x040U
#define X86_SF		0x080U
#define X86_TF		0x100U
#define X86_IF		0x200U
#define X86_DF		0x400U
#define X86_OF		0x800U
#define X86_FLAGS_ARITH (X86_CF | X86_PF | X86_AF | X86_ZF | X86_SF | X86_OF)

struct x86_insn {
	uint8_t bytes[X86_INSN_MAX];
	uint8_t len;
	/* Where its parts are in bytes[]; len 0: it has none. Legacy prefixes come first, then REX, VEX or EVEX. */
	uint8_t opcode_at, modrm_at, disp_at, disp_len, imm_at, imm_len;
	uint8_t encoding, map, opcode;
	bool has_modrm, has_sib;
	uint8_t modrm, sib;
	bool has_lock, has_rep, has_repne; /* F3, F2: the last of them, mandatory prefixes too */
	bool has_opsize, has_addrsize;	   /* 66, 67 */
	uint8_t rex;			   /* 0: none */
	uint8_t pp; /* VEX/EVEX: 0 none, 1 66, 2 F3, 3 F2; legacy: the mandatory prefix */
	uint8_t vex_l; /* 0: 128, 1: 256, 2: 512 bits; 2 with EVEX.b and registers: L'L are a rounding mode */
	bool vex_w;
	bool evex_z, evex_b;
	uint8_t evex_aaa;

	uint8_t class;	    /* enum x86_class */
	uint8_t op;	    /* enum x86_op */
	uint8_t cc;	    /* with Jcc, SETcc, CMOVcc */
	uint8_t code;	    /* enum x86_code it was decoded as */
	uint8_t op_bytes;   /* 1, 2, 4, 8: the operand size in force; for vectors vex_l tells */
	uint8_t addr_bytes; /* 2, 4, 8 */
	uint8_t gpr_bytes; /* width of rm where it is a GPR and differs from op_bytes (MOVZX's source, MOVD, PINSRB, ...), else op_bytes */

	/* Fields with their REX, VEX, EVEX extension bits. Opcode registers (50+r, B8+r, C8+r, 90+r) are in rm, with rm_field GPR, has_modrm false. */
	uint8_t reg, rm, vvvv,
		is4; /* numbers; is4: the register in imm8[7:4], X86_REG_NONE without */
	uint8_t reg_field, rm_field, vvvv_field; /* enum x86_field */
	struct x86_mem mem;			 /* valid where has_mem */
	bool has_mem; /* ModRM memory, moffs, XLAT, string operand, implicit [rDI] */
	bool port_dx;

	int64_t imm;   /* sign-extended as the instruction does */
	uint16_t imm2; /* far selector, ENTER's level */

	uint32_t gpr_read,
		gpr_written; /* bit n: enum x86_reg n. A partial write (8, 16 bits) is in both. Address registers are read. Implicit ones too (MUL, CPUID, strings, stack pointer) */
	uint32_t flags_read,
		flags_written; /* X86_CF ...; undefined ones count as written; conditional writes (shift by CL) as read and written */
	uint32_t flags_undefined;
	uint8_t uses; /* X86_USES_* */
};

/*
 * x86_decode() - one instruction
 * @bytes, @n: what is there; more than 15 are not looked at
 * @ret: written whole on success only
 * Return: its length (1..15); -EAGAIN: goes on after the @n bytes; -E2BIG: longer than 15 bytes (#GP); -EINVAL: none (#UD), also
 * LOCK where it must not stand. CPUID is not asked: an instruction that the CPU lacks decodes all the same. Nor is the mode: in
 * real and virtual-8086 mode VEX and EVEX raise #UD, as do some system instructions.
 *
 * Where CPUs differ it is as AMD's Zen 4 has it, but for what Zen 5 refuses: in 64-bit code 66 makes a near branch 16 bits wide, a far pointer in memory has no
 * 64-bit offset, MOVSXD under 66 reads 32 bits. AMX, XOP, TBM, LWP and what only Knights Landing had are not decoded (-EINVAL).
 */
int x86_decode(const uint8_t *bytes, size_t n, enum x86_code code, struct x86_insn *ret);
