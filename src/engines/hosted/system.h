/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the files of segments, exceptions and system instructions share, and what the interpreter asks of them.
 *
 *   mode.c        cpu_mode_update(), faults, debug registers
 *   seg.c         limits and types; descriptors   seg_load.c    segment registers, LDTR, TR, LAR and its kin
 *   except.c      which event goes where, double faults; except_legacy.c, except_long.c: through the IDT
 *   stack.c       frames on any stack             far.c, iret.c far control flow
 *   task.c        task switches                   system_*.c    instructions, by what they are about
 *
 * Sources, throughout: Intel SDM 2, Instruction Set Reference; SDM 3A, Protected-Mode Memory Management; Protection; Interrupt and
 * Exception Handling; Task Management; SDM 3B, 8086 Emulation; Mixing 16-Bit and 32-Bit Code; AMD APM 2 and 3.
 */
#include "engines/hosted/cpu.h"

/* Bits of a selector error code. Source: SDM 3A, Error Code. */
#define SYS_ERR_EXT 1U
#define SYS_ERR_IDT 2U

#define SYS_FL_TF	  UINT64_C(0x100)
#define SYS_FL_IF	  UINT64_C(0x200)
#define SYS_FL_DF	  UINT64_C(0x400)
#define SYS_FL_IOPL	  UINT64_C(0x3000)
#define SYS_FL_IOPL_SHIFT 12
#define SYS_FL_NT	  UINT64_C(0x4000)
#define SYS_FL_RF	  UINT64_C(0x10000)
#define SYS_FL_VM	  UINT64_C(0x20000)
#define SYS_FL_AC	  UINT64_C(0x40000)
#define SYS_FL_VIF	  UINT64_C(0x80000)
#define SYS_FL_VIP	  UINT64_C(0x100000)
#define SYS_FL_ID	  UINT64_C(0x200000)
#define SYS_FL_ARITH	  UINT64_C(0x8d5)
/* What a 32-bit pop can bring; all else reads as 0, bit 1 as 1. */
#define SYS_FL_ALL UINT64_C(0x3f7fd5)

/* XCR0: all that a feature takes. Source: SDM 1, Enabling the XSAVE Feature Set. */
#define SYS_XCR0_AVX	UINT64_C(0x6)
#define SYS_XCR0_AVX512 UINT64_C(0xe6)

/* The type field with s = 0. Source: SDM 3A, System-Segment and Gate-Descriptor Types. */
enum sys_type {
	SYS_TYPE_TSS16 = 1,
	SYS_TYPE_LDT = 2,
	SYS_TYPE_TSS16_BUSY = 3,
	SYS_TYPE_CALL16 = 4,
	SYS_TYPE_TASK = 5,
	SYS_TYPE_INT16 = 6,
	SYS_TYPE_TRAP16 = 7,
	SYS_TYPE_TSS = 9,
	SYS_TYPE_TSS_BUSY = 11,
	SYS_TYPE_CALL = 12,
	SYS_TYPE_INT = 14,
	SYS_TYPE_TRAP = 15,
};
#define SYS_TYPE_BUSY 2U

/* ---- modes ---- */

static inline bool sys_is_protected(const struct hosted_cpu *cpu)
{
	return cpu->cr0 & X86_CR0_PE;
}
static inline bool sys_is_vm86(const struct hosted_cpu *cpu)
{
	return (cpu->rflags & SYS_FL_VM) && sys_is_protected(cpu);
}
/* Real or virtual-8086: selectors are paragraphs. */
static inline bool sys_is_8086(const struct hosted_cpu *cpu)
{
	return !sys_is_protected(cpu) || (cpu->rflags & SYS_FL_VM);
}
static inline bool sys_is_long(const struct hosted_cpu *cpu)
{
	return cpu->efer & X86_EFER_LMA;
}
static inline bool sys_is_64(const struct hosted_cpu *cpu)
{
	return sys_is_long(cpu) && cpu->segs[X86_CS].l;
}
static inline unsigned sys_iopl(const struct hosted_cpu *cpu)
{
	return (unsigned)(cpu->rflags >> SYS_FL_IOPL_SHIFT) & 3;
}
static inline bool sys_is_null(uint16_t selector)
{
	return !(selector & 0xfffc);
}
/* fault_error(), fault_raise(), in a form that lets the compiler see that they do not return CPU_OK. */
static inline enum cpu_result sys_fault(struct hosted_cpu *cpu, uint8_t vector, uint32_t error)
{
	(void)fault_error(cpu, vector, error);
	return CPU_FAULT;
}
static inline enum cpu_result sys_raise(struct hosted_cpu *cpu, uint8_t vector)
{
	(void)fault_raise(cpu, vector);
	return CPU_FAULT;
}
static inline enum cpu_result sys_gp(struct hosted_cpu *cpu, uint32_t error)
{
	return sys_fault(cpu, SYS_GP, error);
}
/* sys_next() - the address after an instruction. */
static inline uint64_t sys_next(const struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t next = cpu->rip + insn->len;

	return insn->code == X86_CODE_64 ? next : next & UINT32_MAX;
}
/* sys_done() - it has retired. */
static inline enum cpu_result sys_done(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	cpu->rip = sys_next(cpu, insn);
	return CPU_OK;
}
/* sys_events() - run() is to look whether something can be delivered now. */
void sys_events(struct hosted_cpu *cpu);
/* sys_set_flags() - bits of mask from value; whatever hangs on them follows. */
void sys_set_flags(struct hosted_cpu *cpu, uint64_t value, uint64_t mask);
/* sys_set_cpl() - and nothing but the TLB class with it: for pushes on an inner stack. */
void sys_set_cpl(struct hosted_cpu *cpu, uint8_t cpl);

/* ---- debug registers (mode.c) ---- */

/* debug_fetch() - the instruction breakpoint at a linear address: #DB as a fault, unless RF. */
enum cpu_result debug_fetch(struct hosted_cpu *cpu, uint64_t gva);
/* debug_data() - DR6 bits of enabled data breakpoints that an access meets; for except_debug() once the instruction has retired. */
uint64_t debug_data(const struct hosted_cpu *cpu, uint64_t gva, unsigned len, bool is_write);
/* debug_watched() - the same for what cpu_ops.debug_set() has. */
uint8_t debug_watched(const struct hosted_cpu *cpu, uint64_t gva, unsigned len, bool is_write);
/* debug_access() - an access that is about to be made: both, into debug_hits and debug_met. */
void debug_access(struct hosted_cpu *cpu, uint64_t gva, unsigned len, bool is_write);
/* debug_port() - the same for an I/O port (CR4.DE). */
uint64_t debug_port(const struct hosted_cpu *cpu, uint16_t port, unsigned len);

/* ---- segments ---- */

/* seg_range() - whether [offset, offset + len) is within a segment's limit; 64-bit code has none. */
bool seg_range(const struct x86_segment *seg, uint64_t offset, unsigned len);
/* seg_fetch() - the linear address of an instruction: CS's limit, canonical form; #GP. Execute-only code is fine here. */
enum cpu_result seg_fetch(struct hosted_cpu *cpu, uint64_t offset, uint64_t *ret);
/* A descriptor as it is in its table. */
struct seg_desc {
	struct x86_segment seg;
	uint64_t raw, high; /* high: the second half of a system descriptor in long mode, else 0 */
	uint64_t addr;	    /* linear */
};
/* seg_lookup() - one that may not be there: *ret_there. CPU_FAULT: the table's page is not. */
enum cpu_result seg_lookup(struct hosted_cpu *cpu, uint16_t selector, struct seg_desc *ret,
			   bool *ret_there);
/* seg_desc() - one that must be there: else a fault of this vector with the selector, and ext, as its error. */
enum cpu_result seg_desc(struct hosted_cpu *cpu, uint16_t selector, uint8_t vector, uint32_t ext,
			 struct seg_desc *ret);
/* seg_accessed() - the accessed bit, in the table and in desc. */
enum cpu_result seg_accessed(struct hosted_cpu *cpu, struct seg_desc *desc);
/* seg_set_type() - the type field in the table: busy bits. */
enum cpu_result seg_set_type(struct hosted_cpu *cpu, struct seg_desc *desc, uint8_t type);

static inline bool seg_is_code(const struct x86_segment *seg)
{
	return seg->s && (seg->type & 8);
}
static inline bool seg_is_conforming(const struct x86_segment *seg)
{
	return seg->type & 4;
}
static inline bool seg_is_writable(const struct x86_segment *seg)
{
	return seg->s && (seg->type & 0xa) == 2;
}
static inline bool seg_is_readable(const struct x86_segment *seg)
{
	return seg->s && (seg->type & 0xa) != 8;
}
static inline uint32_t seg_error(uint16_t selector, uint32_t ext)
{
	return (selector & 0xfffcU) | ext;
}

/* seg_load() - MOV, POP and their kin: any segment register but CS. */
enum cpu_result seg_load(struct hosted_cpu *cpu, enum x86_seg seg, uint16_t selector);
/* seg_check() - the checks alone; for instructions that can still fault after. *ret: what to put there. */
enum cpu_result seg_check(struct hosted_cpu *cpu, enum x86_seg seg, uint16_t selector,
			  struct x86_segment *ret);
/* seg_8086() - a segment register as real and virtual-8086 mode load it. */
void seg_8086(struct hosted_cpu *cpu, enum x86_seg seg, uint16_t selector);
/* seg_null() - a null selector's. */
struct x86_segment seg_null(uint16_t selector, uint8_t dpl);
/* seg_stack() - SS for a change to privilege cpl: checked. @vector: of wrong ones, #GP (return) or #TS (call, interrupt). */
enum cpu_result seg_stack(struct hosted_cpu *cpu, uint16_t selector, uint8_t cpl, uint8_t vector,
			  uint32_t ext, struct seg_desc *ret);
/* seg_outer() - after a return to a less privileged level: what it must not reach any more becomes null. */
void seg_outer(struct hosted_cpu *cpu);

/* ---- stacks (stack.c) ---- */

/* A stack that need not be the one in force. */
struct stack {
	struct x86_segment ss;
	uint64_t sp;
	bool is_64;	/* no segment, 64-bit pointer */
	uint32_t error; /* of #SS where it ends */
};
/* stack_now() - the one in force. */
struct stack stack_now(const struct hosted_cpu *cpu);
uint64_t stack_mask(const struct stack *stack);
/* stack_push() - n values of width bytes, the first at the highest address, with the privilege in force; sp moves. */
enum cpu_result stack_push(struct hosted_cpu *cpu, struct stack *stack, const uint64_t *values,
			   unsigned n, unsigned width);
/* stack_peek() - n values from byte `from` above the stack pointer on; nothing moves. */
enum cpu_result stack_peek(struct hosted_cpu *cpu, const struct stack *stack, uint64_t from,
			   unsigned width, unsigned n, uint64_t *ret);
/* stack_set_sp() - the stack pointer, as wide as this stack's is. */
void stack_set_sp(struct hosted_cpu *cpu, const struct stack *stack, uint64_t sp);
/* stack_inner() - the stack that the TSS has for a privilege level: SS:ESP checked, or RSP in long mode (ist 0, or 1..7). */
enum cpu_result stack_inner(struct hosted_cpu *cpu, uint8_t cpl, unsigned ist, uint32_t ext,
			    struct stack *ret);

/* ---- events (except.c) ---- */

struct except_event {
	uint8_t vector;
	bool is_software; /* INT n, INT3, INTO: the gate's DPL counts */
	bool has_error;
	uint32_t error;
	uint32_t ext;	/* SYS_ERR_EXT, or 0: of errors on the way */
	uint64_t rip;	/* that is pushed */
	uint64_t flags; /* set in the pushed image besides: RF with faults */
};
/* except_enter() - once through the IDT. CPU_FAULT: nothing has changed, the new fault is in cpu->fault. */
enum cpu_result except_enter(struct hosted_cpu *cpu, const struct except_event *event);
enum cpu_result except_legacy(struct hosted_cpu *cpu, const struct except_event *event);
enum cpu_result except_long(struct hosted_cpu *cpu, const struct except_event *event);
/* except_real() - by an interrupt vector table at base: real mode's, and a redirected INT in virtual-8086 mode. */
enum cpu_result except_real(struct hosted_cpu *cpu, const struct except_event *event);
/* except_code() - the code segment of a gate's selector, checked. */
enum cpu_result except_code(struct hosted_cpu *cpu, uint16_t selector, uint32_t ext,
			    struct seg_desc *ret);

/* ---- far control flow, tasks ---- */

enum task_why { TASK_JMP, TASK_CALL, TASK_IRET, TASK_GATE };
/*
 * task_switch() - to the TSS of a checked descriptor
 * @next: EIP that the old task goes on with   @error: pushed on the new stack, or NULL
 * CPU_FAULT: before the switch, or in the new task: cpu's state tells, as it is that of whoever gets the fault.
 */
enum cpu_result task_switch(struct hosted_cpu *cpu, struct seg_desc *tss, enum task_why why,
			    uint64_t next, uint32_t ext, const uint32_t *error);
/* task_tss() - the descriptor of a TSS that a task gate or a far branch names. */
enum cpu_result task_tss(struct hosted_cpu *cpu, uint16_t selector, bool is_busy, uint8_t vector,
			 uint32_t ext, struct seg_desc *ret);
/* far_set_code() - CS with its RPL, RIP, CPL. */
void far_set_code(struct hosted_cpu *cpu, struct seg_desc *code, uint64_t rip, uint8_t cpl);
/* far_target() - whether rip can be executed in this code segment; else #GP(ext). */
enum cpu_result far_target(struct hosted_cpu *cpu, const struct x86_segment *code, uint64_t rip,
			   uint32_t ext);

enum cpu_result far_jmp(struct hosted_cpu *cpu, const struct x86_insn *insn);
enum cpu_result far_call(struct hosted_cpu *cpu, const struct x86_insn *insn);
enum cpu_result far_ret(struct hosted_cpu *cpu, const struct x86_insn *insn);
enum cpu_result far_iret(struct hosted_cpu *cpu, const struct x86_insn *insn);
enum cpu_result far_syscall(struct hosted_cpu *cpu, const struct x86_insn *insn);
enum cpu_result far_sysret(struct hosted_cpu *cpu, const struct x86_insn *insn);
enum cpu_result far_sysenter(struct hosted_cpu *cpu, const struct x86_insn *insn);
enum cpu_result far_sysexit(struct hosted_cpu *cpu, const struct x86_insn *insn);

/* ---- operands (operand.c) ---- */

/* operand_memory() - the linear address of mem + at. */
enum cpu_result operand_memory(struct hosted_cpu *cpu, const struct x86_insn *insn, uint64_t at,
			       unsigned len, bool write, uint64_t *ret);
enum cpu_result operand_load(struct hosted_cpu *cpu, const struct x86_insn *insn, uint64_t at,
			     unsigned len, uint64_t *ret);
/* operand_rm(), operand_set_rm() - register or memory. */
enum cpu_result operand_rm(struct hosted_cpu *cpu, const struct x86_insn *insn, unsigned bytes,
			   uint64_t *ret);
enum cpu_result operand_set_rm(struct hosted_cpu *cpu, const struct x86_insn *insn, unsigned bytes,
			       uint64_t value);

/* ---- instructions: system.c has the table ---- */

typedef enum cpu_result system_fn(struct hosted_cpu *cpu, const struct x86_insn *insn);

/* system_io_allowed() - IN, OUT, INS, OUTS: IOPL or the TSS's bitmap; #GP(0). */
enum cpu_result system_io_allowed(struct hosted_cpu *cpu, uint16_t port, unsigned len);
/* system_has() - a CPUID bit that the guest is shown. */
bool system_has(const struct hosted_cpu *cpu, uint32_t function, uint32_t index, enum cpuid_reg reg,
		unsigned bit);
/* system_is_amd() - what differs between vendors follows the vendor that the guest is shown. */
bool system_is_amd(const struct hosted_cpu *cpu);
/* system_cpuid() - a leaf as CPUID reads it now, with the fall-back of leaves that are not there. */
void system_cpuid(const struct hosted_cpu *cpu, uint32_t function, uint32_t index, uint32_t ret[4]);

system_fn system_push_seg, system_pop_seg, system_mov_from_seg, system_mov_to_seg, system_load_far;
system_fn system_lldt, system_ltr, system_store_selector, system_lar, system_lsl, system_verify,
	system_arpl;
system_fn system_table_load, system_table_store, system_lmsw, system_smsw;
system_fn system_mov_from_cr, system_mov_to_cr, system_mov_from_dr, system_mov_to_dr;
system_fn system_invlpg, system_invpcid;
system_fn system_int, system_cli, system_sti, system_pushf, system_popf, system_hlt, system_ac;
system_fn system_in, system_out;
system_fn system_rdmsr, system_wrmsr, system_rdtsc, system_rdpmc, system_rdpid, system_cpuid_insn,
	system_hypercall, system_swapgs, system_fsgsbase;
system_fn system_xgetbv, system_xsetbv, system_fxsave, system_fxrstor, system_xsave, system_xrstor,
	system_fsave, system_frstor, system_fstenv, system_fldenv;
