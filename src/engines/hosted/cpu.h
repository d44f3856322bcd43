/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The software CPU: one vcpu's state, and what its parts ask of each other.
 *
 * Theory of operation.
 *
 *   run.c     cpu_ops.run(): guest vector state into the host's registers, then, until something is for the machine:
 *             events (kick, interrupt, NMI, debug) -> translated code -> one instruction interpreted -> a fault delivered
 *   jit*      translated code: blocks of re-emitted instructions, chained; leaves with the next thing to do
 *   interp*   one instruction, any mode, from its decoded form: the reference, and whatever is rare or awkward
 *   system*   the privileged and the mode-changing ones; exceptions, interrupts, far control flow
 *   mmu*      page tables, the TLB that translated code looks into, guest memory by linear address
 *
 * Rules.
 * 1. In C, all of the vcpu's general state is in this struct: regs, rip (of the instruction under way), rflags. In translated code
 *    general registers and arithmetic flags are in the host's (jit.h says which and where).
 * 2. Vector, mask, MMX, x87 registers, MXCSR and the x87 control words are the GUEST'S, live in the host's registers, from the entry of
 *    run() to its end: nothing in this room that run() reaches may touch them. The room is compiled with -mgeneral-regs-only; nothing
 *    under run() calls the C library (its memcpy uses vector registers): copies are cpu_copy() and cpu_zero(). No allocation, no logging.
 * 3. A function that can fault returns enum cpu_result; CPU_OK, or the caller goes back at once, undoing nothing: whoever changes state
 *    does so after the last thing that can fault.
 * 4. Memory-mapped and port I/O end run(): the instruction is abandoned (CPU_EXIT), the machine answers, and the next run() executes
 *    the same instruction again, its accesses answered from the journal (struct cpu_io). The journal is emptied when an instruction retires.
 * 5. Everything here belongs to the vcpu's thread, but for what is marked atomic.
 *
 * GS base is the address of this struct while the vcpu's thread is in run(): translated code reaches it as %gs:offset.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "machine/cpu_ops.h"
#include "x86/insn.h"
#include "x86/msr.h"
#include "x86/pvclock.h"
#include "x86/state.h"

enum cpu_result {
	CPU_OK,
	CPU_FAULT, /* cpu->fault says which; to be delivered */
	CPU_EXIT,  /* cpu->exit and cpu->io: for the machine */
	CPU_AGAIN, /* jit_run() only: interpret the instruction at rip, then come back */
};

/* ---- memory ---- */

#define CPU_PAGE_BYTES 4096U
#define CPU_TLB_BITS   11
#define CPU_TLB_SIZE   (1U << CPU_TLB_BITS)
#define CPU_TLB_MIX    9

/*
 * One translation of a 4 KiB page, at cpu_tlb_index(). A tag is the page's linear address where that kind of access may
 * go straight to memory, else cpu_tlb_none(). An access of n bytes at gva hits when gva + n - 1 and the tag are the same but for the lower 12
 * bits: what crosses a page misses (mmu.c sees to it that the page after one is never at the same index).
 * write: only where the page's dirty bit is set, no translated code is in it, and it is no ROM.
 */
struct cpu_tlb_entry {
	uint64_t read, write, exec; /* tags */
	uint64_t host;		    /* address there of the page's first byte */
};

/* One per class of access. flags of an entry (global or not, page size) are kept apart, where translated code need not skip them. */
struct cpu_tlb {
	struct cpu_tlb_entry entries[CPU_TLB_SIZE];
};

/*
 * Two arrays that are walked at once are often a multiple of 4 MiB apart, or that and a page (malloc()'s own): bits further up are
 * mixed in, but not so that a step in both places is none.
 */
static inline unsigned cpu_tlb_index(uint64_t gva)
{
	return (unsigned)(gva >> 12 ^ gva >> (12 + CPU_TLB_MIX)) % CPU_TLB_SIZE;
}
/* What the tag of an entry is for no page: a page that is at another index, as is the one before it. Bit 0 says so. */
static inline uint64_t cpu_tlb_none(unsigned index)
{
	return (uint64_t)(index ^ 8) << 12 | 1;
}
static inline bool cpu_tlb_is_none(uint64_t tag)
{
	return tag & 1;
}
/* The host address of a byte in an entry's page. */
static inline uint8_t *cpu_hva(const struct cpu_tlb_entry *entry, uint64_t gva)
{
	return (uint8_t *)(uintptr_t)(entry->host + gva % CPU_PAGE_BYTES);
}

enum cpu_access { CPU_READ, CPU_WRITE, CPU_EXEC };

/*
 * The classes: which translations an access may use. A user-mode access: one per address space. Supervisor accesses: with user pages
 * reachable (no SMAP, or EFLAGS.AC set) or not. cpu->tlb is the one in force; system.c and mmu.c keep it right.
 */
#define CPU_TLB_SPACES                                                                             \
	8U /* address spaces whose user translations are kept: by PCID, where the guest uses them */

/* ---- modes ---- */

/*
 * What a block of code is translated for, besides its address: cpu->mode. Recomputed by cpu_mode_update() whenever one of its sources changes.
 */
#define CPU_MODE_CODE 0x003U /* enum x86_code */
#define CPU_MODE_CPL  0x00cU /* << 2 */
#define CPU_MODE_STACK32                                                                           \
	0x010U /* SS.B = 1 (16-bit stack pointer without it); not in 64-bit code, whose stack is 64 bits wide */
#define CPU_MODE_FLAT                                                                              \
	0x020U /* CS, DS, ES, SS have base 0, and limits that reach 4 GiB (or 64-bit code): no check needed */
#define CPU_MODE_NO_FPU	   0x040U /* CR0.TS or CR0.EM: x87 and MMX raise #NM (or #UD) */
#define CPU_MODE_NO_SSE	   0x080U /* CR0.TS, CR0.EM or no CR4.OSFXSR */
#define CPU_MODE_NO_AVX	   0x100U /* XCR0 or CR4.OSXSAVE is missing something of AVX */
#define CPU_MODE_NO_AVX512 0x200U
#define CPU_MODE_TRAP                                                                              \
	0x400U /* EFLAGS.TF, or a debug register is armed: one instruction at a time, interpreted */
#define CPU_MODE_ALIGN	 0x800U /* CR0.AM, EFLAGS.AC, CPL 3: alignment is checked; interpreted */
#define CPU_MODE_VM86	 0x1000U
#define CPU_MODE_REAL	 0x2000U
#define CPU_MODE_IOPL_OK 0x4000U /* CPL <= IOPL: CLI and STI are allowed */

/* ---- events ---- */

/* Exceptions. Source: SDM 3A, Exception and Interrupt Reference. */
enum sys_vector {
	SYS_DE = 0,
	SYS_DB = 1,
	SYS_NMI = 2,
	SYS_BP = 3,
	SYS_OF = 4,
	SYS_BR = 5,
	SYS_UD = 6,
	SYS_NM = 7,
	SYS_DF = 8,
	SYS_TS = 10,
	SYS_NP = 11,
	SYS_SS = 12,
	SYS_GP = 13,
	SYS_PF = 14,
	SYS_MF = 16,
	SYS_AC = 17,
	SYS_XM = 19,
};

struct cpu_fault {
	uint8_t vector; /* enum sys_vector */
	bool has_error;
	uint32_t error;
	uint64_t cr2; /* with vector 14 */
};

/* Why translated code, or a loop over instructions, shall come back to run(). atomic; bits are set by anybody, cleared by the owner. */
#define CPU_POLL_KICK  0x1U /* cpu_ops.kick() */
#define CPU_POLL_EVENT 0x2U /* an interrupt, NMI or window may be due: look at event fields */
#define CPU_POLL_SYNC                                                                              \
	0x4U /* another vcpu waits until this one may no longer write to some pages: mmu_sync() */

/* Accesses to devices of the instruction under way: done ones are answered from here when it is executed again. */
#define CPU_IO_MAX 16U /* an instruction's most: a repeated one retires element by element */
struct cpu_io_access {
	uint64_t addr; /* gpa or port */
	uint64_t data;
	uint8_t len;
	bool is_write, is_port;
};
struct cpu_io {
	struct cpu_io_access done[CPU_IO_MAX]; /* in program order */
	unsigned n_done, at;		       /* at: the next to be answered in this execution */
	bool pending;			       /* done[n_done] is with the machine */
};

struct hosted_vm;
struct jit_vcpu;

/* What translated code itself reads and writes here, by %gs:offset. jit_parts.h. */
struct jit_gs {
	uint64_t flags;	  /* guest's arithmetic flags, as LAHF (AH) and SETO (AL) give them */
	uint64_t host_sp; /* of jit_run() */
	uint64_t target;  /* host address to go on at */
	uint64_t entry;	  /* the same, with flags to be loaded first */
	uint64_t jumps;	  /* struct jit_jump[JIT_JUMPS] in force */
	uint64_t address; /* of a memory operand on its way to C: linear, and back: host */
	uint64_t temp;
	uint64_t looked; /* the entry of the TLB that it was not in */
	uint64_t group
		[8]; /* of what a block has looked up: the address on the host of a group's first byte, or of a known page */
	uint32_t pauses; /* PAUSE instructions until C is asked */
	uint32_t stamp;	 /* links to other pages are good while theirs equals this */
};

/* Interrupt and debug state between instructions. */
#define CPU_SHADOW_STI                                                                             \
	0x1U /* STI, MOV SS, POP SS: no interrupt before the next instruction has retired */
#define CPU_SHADOW_MOV_SS 0x2U /* nor a debug exception */

struct hosted_cpu {
	struct vcpu vcpu; /* first: what cpu_ops hands out */
	struct hosted_vm *vm;

	uint64_t regs[X86_REGS];
	uint64_t rip;
	uint64_t rflags; /* whole; bit 1 set */
	struct x86_segment segs[X86_SEGS], tr, ldt;
	struct x86_table gdt, idt;
	uint64_t cr0, cr2, cr3, cr4, cr8, efer, xcr0;
	uint64_t dr[8];
	uint8_t cpl;
	uint32_t mode;	     /* CPU_MODE_* */
	struct cpu_tlb *tlb; /* the class in force */
	uint32_t poll;	     /* CPU_POLL_*; atomic */
	uint8_t shadow;	     /* CPU_SHADOW_* */
	bool halted;	     /* HLT retired; run() returns VCPU_EXIT_HLT */

	/* MSRs that live here; others are in msrs[] or the machine's */
	uint64_t star, lstar, cstar, sfmask, kernel_gs_base, sysenter_cs, sysenter_esp,
		sysenter_eip;
	uint64_t apic_base, tsc_aux;
	uint64_t tsc_offset; /* guest TSC = host TSC + this */
	uint64_t tsc_adjust;
	bool kvm_no_poll; /* MSR_KVM_POLL_CONTROL was written as 0 */
	struct pvclock pvclock;
	uint64_t msrs[X86_MSRS]; /* msr_table.c: at the place of their row in x86_msrs[] */

	struct cpu_fault fault;
	enum vcpu_exit exit;
	struct vcpu_io *io_out; /* run()'s argument */
	struct cpu_io io;
	uint8_t io_data[8];

	/* events */
	uint8_t nmi_pending; /* how many: one to be served and, while none is, one latched behind it */
	bool nmi_blocked;
	bool irq_injected; /* irq_vector is to be delivered at the next opportunity: the machine was told it would be */
	uint8_t irq_vector;
	bool irq_window;
	bool kicked; /* owner's copy of CPU_POLL_KICK */
	/* cpu_ops.debug_set */
	bool debug_step, debug_software, debug_hardware;
	uint64_t debug_dr[DEBUG_POINTS]; /* where to stop before an instruction; 0: nowhere */
	struct debug_point debug_watch[DEBUG_POINTS]; /* data; len 0: none */
	bool debug_watches;			      /* any: CPU_MODE_TRAP */
	uint8_t debug_met;     /* of debug_watch, by the instruction under way: DR6 bits */
	bool debug_pending_bp; /* inject_breakpoint() */
	/*
	 * Data breakpoints of the guest's own that the instruction, or the delivery of an event, under way has met: DR6 bits. Not 0 between
	 * two instructions: #DB is due, unless MOV SS holds it back.
	 */
	uint64_t debug_hits;

	/* mmu.c */
	struct cpu_tlb
		*tlb_kernel[2]; /* [0]: user pages not reachable (SMAP, AC clear); [1]: reachable */
	struct cpu_tlb *tlb_user[CPU_TLB_SPACES];
	unsigned space;	      /* the current address space: index in tlb_user */
	struct mmu_vcpu *mmu; /* what mmu.c alone knows: side tables of the TLBs, spaces' PCIDs */

	struct jit_vcpu *jit; /* NULL: everything is interpreted */
	struct jit_gs jit_gs;
	struct interp_vcpu
		*interp; /* interp.h; the handler of interp_native.c finds it through GS */

	struct cpuid_leaf leaves[CPUID_LEAVES_MAX];
	unsigned n_leaves;

	/* Guest vector state while run() is not under way; XSAVE standard format, 64-byte aligned. */
	uint8_t *xsave;
	uint64_t xsave_mask; /* components that host and guest share */
	uint32_t xsave_bytes;

	uint64_t insns; /* interpreted: by tests, what is translated shows */

	/* run.c */
	uint8_t under_way;   /* what the journal belongs to: enum in run.c */
	uint64_t cr8_told;   /* what the machine knows of it */
	bool wait_sipi;	     /* x86_state.wait_sipi: kept for who asks */
	uint32_t host_mxcsr; /* while run() is under way */
	uint16_t host_fcw;
};

static inline struct hosted_cpu *hosted_cpu(struct vcpu *vcpu)
{
	return (struct hosted_cpu *)vcpu;
}

/* cpu_left() - translated code was left, for this. */
static inline void cpu_left(struct hosted_cpu *cpu, enum exit_reason reason)
{
	exit_count(cpu->vcpu.counts, EXIT_ALL);
	exit_count(cpu->vcpu.counts, reason);
}

/* memcpy() and memset(0) that leave the vector registers alone. */
static inline void cpu_copy(void *to, const void *from, size_t n)
{
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
}
static inline void cpu_zero(void *to, size_t n)
{
	__asm__ volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(0) : "memory");
}

/*
 * Code was written at another linear address than it is executed at: a serializing instruction comes between the two
 * (Intel SDM 3A, Handling Self- and Cross-Modifying Code). IRET to the next instruction is one, and needs no privilege.
 */
static inline void cpu_serialize(void)
{
	uint64_t scratch;

	__asm__ volatile("mov %%ss, %k0\n\t"
			 "lea -128(%%rsp), %%rsp\n\t"
			 "push %q0\n\t"
			 "lea 136(%%rsp), %q0\n\t"
			 "push %q0\n\t"
			 "pushfq\n\t"
			 "mov %%cs, %k0\n\t"
			 "push %q0\n\t"
			 "lea 1f(%%rip), %q0\n\t"
			 "push %q0\n\t"
			 "iretq\n"
			 "1:"
			 : "=&r"(scratch)
			 :
			 : "memory", "cc");
}

/*
 * Flags that an instruction leaves undefined (SDM 2), and that stay what they were on CPUs that say so by doing it: after MUL, IMUL,
 * DIV, BT and kin, LZCNT, TZCNT, rotates by more than one (AMD Zen 4). A flag that only AND and kin (AF) or shifts (AF, OF) leave undefined
 * does not depend on what it was.
 */
static inline uint32_t cpu_flags_kept(const struct x86_insn *insn)
{
	uint32_t undefined = insn->flags_undefined;

	return undefined == X86_AF || undefined == (X86_AF | X86_OF) ? 0 : undefined;
}

/* With 4-level paging, the only one that is shown: bits 63 to 47 are equal. */
static inline bool sys_is_canonical(uint64_t gva)
{
	return x86_is_canonical(gva, 48);
}

/* ---- mmu.c: by linear address; the segment's part is done ---- */

/* mmu_vcpu_create(), mmu_vcpu_destroy() - the TLBs of a vcpu. 0 or -ENOMEM. */
int mmu_vcpu_create(struct hosted_cpu *cpu, struct err *err);
void mmu_vcpu_destroy(struct hosted_cpu *cpu);
/*
 * mmu_fill() - make the TLB class in force answer for one access, or say why it cannot
 * Walks the page tables with cpu's privilege (user: CPL 3), sets accessed and dirty bits. Return: CPU_OK: filled, *ret_hva is the
 * byte's host address; CPU_FAULT: #PF in cpu->fault; CPU_EXIT: no memory there, or it must not be written straight (ROM, a page with
 * translated code): *ret_gpa is where; cpu_load() and cpu_store() do it. *ret_gpa is written with CPU_OK too.
 */
enum cpu_result mmu_fill(struct hosted_cpu *cpu, uint64_t gva, enum cpu_access access,
			 uint8_t **ret_hva, uint64_t *ret_gpa);
/*
 * cpu_load(), cpu_store() - 1 to 64 bytes at a linear address, with the privilege in force
 * Across pages; devices through the journal (up to 8 bytes an access; more are many). A store checks every page before it writes the
 * first byte. Stores into translated code invalidate it (jit_wrote()). 1, 2, 4 and 8 bytes within a page are one access to memory.
 */
enum cpu_result cpu_load(struct hosted_cpu *cpu, uint64_t gva, void *ret, unsigned len);
enum cpu_result cpu_store(struct hosted_cpu *cpu, uint64_t gva, const void *data, unsigned len);
/* The same as the CPU itself does for descriptor tables and task state segments: supervisor, whatever CPL, no SMAP. */
enum cpu_result cpu_load_system(struct hosted_cpu *cpu, uint64_t gva, void *ret, unsigned len);
enum cpu_result cpu_store_system(struct hosted_cpu *cpu, uint64_t gva, const void *data,
				 unsigned len);
/*
 * cpu_pin() - a host pointer to [gva, gva + len) for an instruction that must run on the memory itself (LOCK), len <= 64
 * Return: CPU_OK with *ret; *ret NULL: not memory, or across pages that are not neighbours: use cpu_load() and cpu_store().
 */
enum cpu_result cpu_pin(struct hosted_cpu *cpu, uint64_t gva, unsigned len, bool write,
			uint8_t **ret);
/* cpu_probe() - would this access fault? Nothing is read. */
enum cpu_result cpu_probe(struct hosted_cpu *cpu, uint64_t gva, unsigned len,
			  enum cpu_access access);
/* cpu_fetch() - instruction bytes at cs:rip for the decoder, across the page's end where both are mapped; *ret_len >= 1. */
enum cpu_result cpu_fetch(struct hosted_cpu *cpu, uint64_t gva, uint8_t ret[X86_INSN_MAX],
			  unsigned *ret_len);
/* cpu_fetch_page() - where the code page at gva is: its physical page and host address, for the translator. -> CPU_EXIT: not memory. */
enum cpu_result cpu_fetch_page(struct hosted_cpu *cpu, uint64_t gva, uint64_t *ret_gpa,
			       const uint8_t **ret_hva);
/*
 * Flushes. jit_mapping_changed() is told when a mapping that answered for CPU_EXEC since it was told last may no longer hold; not
 * when such a tag only makes room for another page's, since the mapping is as good as before (SDM 3A, Details of TLB Use).
 */
/* CR0.PG and WP, CR4's paging bits, EFER.NXE: every space, global pages too. */
void mmu_flush_all(struct hosted_cpu *cpu);
void mmu_flush_page(struct hosted_cpu *cpu, uint64_t gva); /* INVLPG */
void mmu_cr3_write(struct hosted_cpu *cpu, uint64_t cr3);  /* bit 63: no flush (CR4.PCIDE) */
/* mmu_pdptes_good() - whether PAE paging may begin there: no present one has a reserved bit (SDM 3A, PDPTE Registers); else #GP. */
bool mmu_pdptes_good(struct hosted_cpu *cpu, uint64_t cr3);
enum cpu_result mmu_invpcid(struct hosted_cpu *cpu, uint64_t type, uint64_t pcid, uint64_t gva);
void mmu_class_update(struct hosted_cpu *cpu); /* CPL, AC, CR4.SMAP, CR3 changed: set cpu->tlb */
/*
 * mmu_protect() - no vcpu may store into this physical page any more without coming to C; any vcpu's thread
 * jit_page_has_code() says true of it already. Waits for vcpus that may have a writable translation of the page and are in run();
 * so the caller holds no lock that another vcpu may wait for, unless that one waits between mmu_leave() and mmu_enter().
 */
void mmu_protect(struct hosted_vm *vm, struct hosted_cpu *self, uint64_t gpa);
/*
 * mmu_enter(), mmu_leave() - from here on this vcpu's thread uses its TLB; it no longer does
 * run() calls them at its ends; whoever waits in between, for a lock say, leaves and enters again: mmu_protect() does not
 * wait for it then. mmu_sync() does what CPU_POLL_SYNC asks, and clears it. What was looked up before is to be looked up again.
 */
void mmu_enter(struct hosted_cpu *cpu);
void mmu_leave(struct hosted_cpu *cpu);
void mmu_sync(struct hosted_cpu *cpu);
/* mmu_write_gpa() - the CPU itself writes guest memory (a paravirtual clock): false where there is no RAM. */
bool mmu_write_gpa(struct hosted_cpu *cpu, uint64_t gpa, const void *data, unsigned len);
/* mmu_translate() - for the debugger: no fault, no bits set. 0 or -EFAULT. */
int mmu_translate(struct hosted_cpu *cpu, uint64_t gva, uint64_t *ret_gpa);

/* ---- segments and system (seg.c, system*.c, except.c) ---- */

/* seg_linear() - a logical address of len bytes to a linear one, limit and type checked; #GP or #SS. */
enum cpu_result seg_linear(struct hosted_cpu *cpu, enum x86_seg seg, uint64_t offset, unsigned len,
			   bool write, uint64_t *ret);
/* cpu_mode_update() - mode, cpl-dependent things and the TLB class, after anything they depend on was changed. */
void cpu_mode_update(struct hosted_cpu *cpu);
/* system_execute() - a decoded instruction of class SYSTEM, or STACK with a segment or flags; rip moves on success. */
enum cpu_result system_execute(struct hosted_cpu *cpu, const struct x86_insn *insn);
/* except_deliver() - cpu->fault to the guest; double and triple faults: CPU_EXIT with VCPU_EXIT_SHUTDOWN. */
enum cpu_result except_deliver(struct hosted_cpu *cpu);
/* except_interrupt() - an external interrupt or NMI through the IDT. */
enum cpu_result except_interrupt(struct hosted_cpu *cpu, uint8_t vector);
/* except_debug() - #DB after an instruction: single step (dr6_bits) or data breakpoints. */
enum cpu_result except_debug(struct hosted_cpu *cpu, uint64_t dr6_bits);
/* Faults: set cpu->fault and return CPU_FAULT. */
enum cpu_result fault_raise(struct hosted_cpu *cpu, uint8_t vector);
enum cpu_result fault_error(struct hosted_cpu *cpu, uint8_t vector, uint32_t error);
enum cpu_result fault_page(struct hosted_cpu *cpu, uint64_t gva, uint32_t error);

/* msr.c: CPU_EXIT with VCPU_EXIT_MSR_* for those that are the machine's (x2APIC, TSC deadline). #GP for unknown ones. */
enum cpu_result msr_read(struct hosted_cpu *cpu, uint32_t index, uint64_t *ret);
enum cpu_result msr_write(struct hosted_cpu *cpu, uint32_t index, uint64_t value);
uint64_t cpu_tsc(const struct hosted_cpu *cpu);

/* ---- interp*.c ---- */

/*
 * interp_vcpu_create() - stubs and caches of a vcpu, after its xsave_bytes and xsave_mask are known and before the process is sealed
 * Executable memory, mapped twice (W^X); installs the handlers of SIGFPE, SIGILL, SIGSEGV and SIGTRAP (SA_ONSTACK), which are for
 * stubs only and leave any other such signal as deadly as it was. GS must be cpu's whenever interp_step() is called (above).
 * Return: 0 or -errno.
 */
int interp_vcpu_create(struct hosted_cpu *cpu, struct err *err);
void interp_vcpu_destroy(struct hosted_cpu *cpu);
/*
 * interp_step() - the instruction at cs:rip, whole; of a repeated string instruction as many elements as fit before poll is set, at
 * least one. On CPU_OK rip is the next instruction's. Handles the interrupt shadow; does not deliver faults.
 */
enum cpu_result interp_step(struct hosted_cpu *cpu);

/* Device accesses of interpreter and mmu, through the journal. len 1, 2, 4, 8 (ports: to 4). */
enum cpu_result io_access(struct hosted_cpu *cpu, bool is_port, bool is_write, uint64_t addr,
			  unsigned len, uint64_t *data);

/* ---- jit.h has the translator's side ---- */

/* The host's time stamp counter against its clocks; written at vm_create(), and once when a guest first asks for the clock. */
struct hosted_clock {
	uint64_t tsc_start;	  /* host TSC when the guest's clock was 0 */
	uint64_t monotonic_start; /* CLOCK_MONOTONIC_RAW then, ns */
	uint64_t hz;		  /* of the TSC; 0: not known yet; atomic */
	bool stable;		  /* the TSC never stops and never changes its pace */
};
/* What the host's CPU and kernel have. */
struct hosted_host {
	bool fsgsbase, avx;
};

struct hosted_vm {
	struct vm vm; /* first */
	struct guest_mem *mem;
	unsigned n_cpus;
	struct hosted_cpu *cpus[64];
	struct jit_vm *jit; /* NULL: everything is interpreted */
	int lock_split; /* interp_data.c: locked accesses that cannot be one of the host's; a spin lock */
	struct hosted_clock clock;
	struct hosted_host host;
};
