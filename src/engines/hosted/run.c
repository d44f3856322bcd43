/* SPDX-License-Identifier: Apache-2.0 */
/* The run loop: from one event for the machine to the next. */
#include "engines/hosted/run.h"

#include <sys/syscall.h>

#include "engines/hosted/io.h"
#include "engines/hosted/jit.h"

#define INT3	  0xccU
#define DR6_FIXED UINT64_C(0xffff0ff0)
#define DR6_STEP  UINT64_C(0x4000) /* BS: SDM 3B, Debug Status Register (DR6) */

/* What is being done, and is done again with the journal's answers if the machine is needed for it. */
enum under_way { DOES_NOTHING, DOES_INSN, DOES_DEBUG, DOES_NMI, DOES_IRQ };

/* ---- the thread's registers ---- */

static void gs_set(const struct hosted_cpu *cpu, uint64_t base)
{
	long result = SYS_arch_prctl;

	if (cpu->vm->host.fsgsbase)
		__asm__ volatile("wrgsbase %0" : : "r"(base));
	else if (base)
		__asm__ volatile("syscall"
				 : "+a"(result)
				 : "D"((long)ARCH_SET_GS), "S"(base)
				 : "rcx", "r11", "memory");
}

static void vectors_enter(struct hosted_cpu *cpu)
{
	__asm__ volatile("stmxcsr %0; fnstcw %1" : "=m"(cpu->host_mxcsr), "=m"(cpu->host_fcw));
	__asm__ volatile("xrstor64 (%0)"
			 :
			 : "r"(cpu->xsave), "a"((uint32_t)cpu->xsave_mask),
			   "d"((uint32_t)(cpu->xsave_mask >> 32))
			 : "memory");
}

/* What C expects: an empty x87 stack, its own control words, no upper halves that slow SSE down. */
static void vectors_leave(struct hosted_cpu *cpu)
{
	__asm__ volatile("xsave64 (%0)"
			 :
			 : "r"(cpu->xsave), "a"((uint32_t)cpu->xsave_mask),
			   "d"((uint32_t)(cpu->xsave_mask >> 32))
			 : "memory");
	if (cpu->vm->host.avx)
		__asm__ volatile("vzeroupper");
	__asm__ volatile("fninit; fldcw %1; ldmxcsr %0"
			 :
			 : "m"(cpu->host_mxcsr), "m"(cpu->host_fcw));
}

/* ---- events ---- */

bool hosted_irq_ready(struct vcpu *vcpu)
{
	const struct hosted_cpu *cpu = hosted_cpu(vcpu);

	return (cpu->rflags & X86_IF) && !cpu->shadow && !cpu->irq_injected && !cpu->debug_step;
}

static bool nmi_is_due(const struct hosted_cpu *cpu)
{
	return cpu->nmi_pending && !cpu->nmi_blocked && !cpu->shadow && !cpu->debug_step;
}

static bool irq_is_due(const struct hosted_cpu *cpu)
{
	return cpu->irq_injected && (cpu->rflags & X86_IF) && !cpu->shadow && !cpu->debug_step;
}

/*
 * The delivery of an event met data breakpoints on its stack: #DB before the handler's first instruction. Its own delivery may meet them
 * again, without an end, but with a look at poll in between.
 */
static bool debug_is_due(const struct hosted_cpu *cpu)
{
	return cpu->debug_hits && !(cpu->shadow & CPU_SHADOW_MOV_SS);
}

static enum cpu_result deliver_debug(struct hosted_cpu *cpu)
{
	const uint64_t hits = cpu->debug_hits;

	cpu->debug_hits = 0;
	enum cpu_result r = except_debug(cpu, hits);
	if (r == CPU_EXIT)
		cpu->debug_hits = hits; /* it is done again */
	return r;
}

/* An event whose delivery faults is over too: the fault is delivered, and is no double fault (SDM 3A, Interrupt 8). */
static enum cpu_result deliver(struct hosted_cpu *cpu)
{
	bool is_nmi = cpu->under_way == DOES_NMI;
	enum cpu_result r = except_interrupt(cpu, is_nmi ? SYS_NMI : cpu->irq_vector);

	if (r == CPU_EXIT)
		return r;
	cpu->halted = false;
	exit_count(cpu->vcpu.counts, EXIT_INTERRUPT);
	if (is_nmi) {
		cpu->nmi_pending--;
		cpu->nmi_blocked = true;
	} else {
		cpu->irq_injected = false;
	}
	return r;
}

static void poll_take(struct hosted_cpu *cpu)
{
	/* In one step: a kick that came between a look and the clearing would be lost. */
	uint32_t poll =
		__atomic_fetch_and(&cpu->poll, ~(CPU_POLL_KICK | CPU_POLL_EVENT), __ATOMIC_SEQ_CST);

	if (poll & CPU_POLL_SYNC)
		mmu_sync(cpu);
	/* The task priority fell: what it held back may be due now, which the machine's LAPIC knows. */
	if ((poll & CPU_POLL_KICK) || cpu->cr8 < cpu->cr8_told)
		cpu->kicked = true;
	cpu->cr8_told = cpu->cr8;
}

/* ---- the debugger ---- */

static bool is_debugged(const struct hosted_cpu *cpu)
{
	return cpu->debug_step || cpu->debug_software || cpu->debug_hardware || cpu->debug_watches;
}

static enum cpu_result debug_exit(struct hosted_cpu *cpu, uint32_t exception, uint64_t dr6)
{
	cpu->io_out->debug.rip = cpu->rip;
	cpu->io_out->debug.dr6 = dr6;
	cpu->io_out->debug.exception = exception;
	cpu->exit = VCPU_EXIT_DEBUG;
	return CPU_EXIT;
}

static uint64_t linear_rip(const struct hosted_cpu *cpu)
{
	if ((cpu->mode & CPU_MODE_CODE) == X86_CODE_64)
		return cpu->rip;
	return (cpu->segs[X86_CS].base + cpu->rip) & UINT32_MAX;
}

/* What the debugger has at the instruction that comes next. A step leaves a breakpoint where it begins. */
static enum cpu_result debug_before(struct hosted_cpu *cpu)
{
	uint64_t at = linear_rip(cpu);
	uint8_t bytes[X86_INSN_MAX];
	unsigned n;

	for (unsigned i = 0; cpu->debug_hardware && !cpu->debug_step && i < 4; i++) {
		if (cpu->debug_dr[i] && cpu->debug_dr[i] == at)
			return debug_exit(cpu, SYS_DB, DR6_FIXED | UINT64_C(1) << i);
	}
	bool skip = cpu->debug_pending_bp;
	cpu->debug_pending_bp = false;
	if (!cpu->debug_software || skip)
		return CPU_OK;
	if (cpu_fetch(cpu, at, bytes, &n) == CPU_OK && bytes[0] == INT3)
		return debug_exit(cpu, SYS_BP, 0);
	return CPU_OK; /* and if it cannot be fetched, the instruction will say so */
}

/* What it has behind the instruction that retired. */
static enum cpu_result debug_after(struct hosted_cpu *cpu)
{
	uint64_t dr6 = DR6_FIXED | cpu->debug_met | (cpu->debug_step ? DR6_STEP : 0);

	cpu->debug_met = 0;
	return debug_exit(cpu, SYS_DB, dr6);
}

/* ---- the loop ---- */

/* Whether translated code may go on from here. */
static bool is_translatable(const struct hosted_cpu *cpu)
{
	return cpu->jit && !cpu->shadow && cpu->io.n_done == 0 &&
	       !(cpu->mode & (CPU_MODE_TRAP | CPU_MODE_ALIGN)) && !is_debugged(cpu);
}

static enum cpu_result instruction(struct hosted_cpu *cpu)
{
	enum cpu_result r = CPU_AGAIN;

	if (is_translatable(cpu))
		r = jit_run(cpu);
	else if (is_debugged(cpu) && cpu->io.n_done == 0 && debug_before(cpu) == CPU_EXIT)
		return CPU_EXIT;
	if (r != CPU_AGAIN)
		return r;
	if (cpu->io.n_done == 0) /* else it is the same one, once more */
		cpu_left(cpu, EXIT_INSTRUCTION);
	return interp_step(cpu);
}

/* The next thing to do. CPU_EXIT: cpu->exit. */
static enum cpu_result next(struct hosted_cpu *cpu)
{
	if (cpu->under_way == DOES_NOTHING) {
		if (cpu->kicked) {
			cpu->kicked = false;
			cpu->exit = VCPU_EXIT_KICKED;
			return CPU_EXIT;
		}
		if (debug_is_due(cpu)) {
			cpu->under_way = DOES_DEBUG;
		} else if (nmi_is_due(cpu)) {
			cpu->under_way = DOES_NMI;
		} else if (irq_is_due(cpu)) {
			cpu->under_way = DOES_IRQ;
		} else if (cpu->irq_window && hosted_irq_ready(&cpu->vcpu)) {
			cpu->exit = VCPU_EXIT_IRQ_WINDOW;
			return CPU_EXIT;
		} else {
			cpu->under_way = DOES_INSN;
		}
	}
	if (cpu->under_way == DOES_INSN)
		return instruction(cpu);
	return cpu->under_way == DOES_DEBUG ? deliver_debug(cpu) : deliver(cpu);
}

/* HLT retired, and what it waits for may be there already. */
static enum cpu_result halt(struct hosted_cpu *cpu)
{
	if (!cpu->debug_step && !nmi_is_due(cpu) && !irq_is_due(cpu)) {
		cpu->exit = VCPU_EXIT_HLT;
		return CPU_EXIT;
	}
	cpu->halted = false;
	return CPU_OK;
}

static enum vcpu_exit loop(struct hosted_cpu *cpu)
{
	for (;;) {
		if (__atomic_load_n(&cpu->poll, __ATOMIC_RELAXED))
			poll_take(cpu);
		enum cpu_result r = next(cpu);
		if (r == CPU_FAULT) {
			cpu->debug_met = 0;
			exit_count(cpu->vcpu.counts, EXIT_EXCEPTION);
			r = except_deliver(cpu);
			if (r == CPU_OK)
				cpu->shadow = 0; /* it was the instruction's that is not executed */
		}
		if (cpu->io.pending)
			return cpu->exit;
		io_retire(cpu);
		cpu->under_way = DOES_NOTHING;
		if (cpu->halted)
			r = halt(cpu);
		if (r == CPU_OK && (cpu->debug_step || cpu->debug_met))
			r = debug_after(cpu);
		if (r == CPU_EXIT)
			return cpu->exit;
	}
}

enum vcpu_exit hosted_run(struct vcpu *vcpu, struct vcpu_io *io)
{
	struct hosted_cpu *cpu = hosted_cpu(vcpu);

	cpu->io_out = io;
	cpu->cr8_told = cpu->cr8;
	cpu->halted = cpu->wait_sipi = false;
	io_begin(cpu);
	gs_set(cpu, (uintptr_t)cpu);
	vectors_enter(cpu);
	mmu_enter(cpu);
	enum vcpu_exit exit = loop(cpu);
	mmu_leave(cpu);
	vectors_leave(cpu);
	gs_set(cpu, 0);
	return exit;
}

void hosted_kick(struct vcpu *vcpu)
{
	(void)__atomic_fetch_or(&hosted_cpu(vcpu)->poll, CPU_POLL_KICK, __ATOMIC_SEQ_CST);
}
