/* SPDX-License-Identifier: Apache-2.0 */
/* The run loop, with instructions that are functions here: a guest's code is a list of them, an instruction is a byte long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include <cmocka.h>

#include "engines/hosted/io.h"
#include "engines/hosted/jit.h"
#include "engines/hosted/run.h"
#include "give_way.h"
#include "mmu_rig.h"

static enum cpu_result done(struct hosted_cpu *cpu)
{
	cpu->rip++;
	cpu->shadow = 0;
	return CPU_OK;
}

static enum cpu_result halt(struct hosted_cpu *cpu)
{
	(void)done(cpu);
	cpu->halted = true;
	cpu->exit = VCPU_EXIT_HLT;
	return CPU_EXIT;
}

/* One instruction for each value of rip: what a letter of `program` says. */
static const char *program;

static enum cpu_result in(struct hosted_cpu *cpu)
{
	uint64_t value = 0;
	enum cpu_result r = io_access(cpu, true, false, 0x1f0, 2, &value);

	if (r != CPU_OK)
		return r;
	cpu->regs[X86_RAX] = value;
	return done(cpu);
}

static enum cpu_result move(struct hosted_cpu *cpu)
{
	uint64_t value = 0;
	enum cpu_result r = io_access(cpu, false, false, 0xfe000000, 8, &value);

	if (r == CPU_OK)
		r = io_access(cpu, false, true, 0xfe000010, 8, &value);
	return r == CPU_OK ? done(cpu) : r;
}

static enum cpu_result rdmsr(struct hosted_cpu *cpu)
{
	enum cpu_result r = msr_read(cpu, 0x6e0, &cpu->regs[X86_RAX]);

	return r == CPU_OK ? done(cpu) : r;
}

static enum cpu_result wrmsr(struct hosted_cpu *cpu)
{
	enum cpu_result r = msr_write(cpu, 0x80b, 0x1234);

	return r == CPU_OK ? done(cpu) : r;
}

static enum cpu_result step(struct hosted_cpu *cpu)
{
	switch (program[cpu->rip]) {
	case 'i':
		return in(cpu);
	case 'm':
		return move(cpu);
	case 'r':
		return rdmsr(cpu);
	case 'w':
		return wrmsr(cpu);
	case 'h':
		return halt(cpu);
	case 's': /* STI */
		(void)done(cpu);
		cpu->rflags |= X86_IF;
		cpu->shadow = CPU_SHADOW_STI;
		return CPU_OK;
	case 'c': /* CLI */
		cpu->rflags &= ~(uint64_t)X86_IF;
		return done(cpu);
	case 'k': /* somebody kicks meanwhile */
		hosted_kick(&cpu->vcpu);
		return done(cpu);
	case 'f':
		return fault_raise(cpu, 6);
	case 'p': /* the task priority falls, as MOV to CR8 has it */
		cpu->cr8 = cpu->cr8 ? cpu->cr8 - 1 : 15;
		(void)__atomic_fetch_or(&cpu->poll, CPU_POLL_EVENT, __ATOMIC_RELAXED);
		return done(cpu);
	case 't': /* IRET */
		cpu->nmi_blocked = false;
		return done(cpu);
	default:
		return done(cpu);
	}
}

/* The scene: a vcpu whose program is `text`, at its first letter. */
static struct hosted_cpu *scene(struct rig *rig, const char *text)
{
	struct hosted_cpu *cpu = rig_boot(rig);
	struct x86_state s;

	program = text;
	rig->step = step;
	assert_int_equal(hosted_state_get(&cpu->vcpu, &s), 0);
	s.rip = 0;
	s.segs[X86_CS].base = 0;
	s.wait_sipi = false;
	assert_int_equal(hosted_state_set(&cpu->vcpu, &s), 0);
	return cpu;
}

static struct vcpu_io io;

static enum vcpu_exit run(struct hosted_cpu *cpu)
{
	return hosted_run(&cpu->vcpu, &io);
}

static void a_kick_is_never_lost(void **state)
{
	struct hosted_cpu *cpu = scene(*state, "..k..h");

	hosted_kick(&cpu->vcpu);
	assert_int_equal(run(cpu), VCPU_EXIT_KICKED); /* before */
	assert_int_equal(cpu->rip, 0);
	assert_int_equal(run(cpu), VCPU_EXIT_KICKED); /* during */
	assert_int_equal(cpu->rip, 3);
	assert_int_equal(run(cpu), VCPU_EXIT_HLT);
	assert_int_equal(cpu->rip, 6);
}

/* Another thread that kicks, and waits for the run() to end; and an instruction that wants to be looked at itself, as STI does. */
#define KICKS	       10000U
#define KICKS_MS       3000U /* fewer where each takes a time slice */
#define STEPS_TOO_MANY 1000U /* with a kick that nobody saw */

static struct {
	unsigned wanted, sent, seen; /* atomic */
	unsigned steps;		     /* since one was sent that was not seen yet */
	bool lost;
} kicks;

static void *kick_often(void *arg)
{
	const int64_t until = give_way_until(KICKS_MS);

	for (unsigned i = 0; i < kicks.wanted; i++) {
		if (clock_mono_ns() > until)
			__atomic_store_n(&kicks.wanted, i + 1, __ATOMIC_RELEASE);
		hosted_kick(arg);
		__atomic_store_n(&kicks.sent, i + 1, __ATOMIC_RELEASE);
		while (__atomic_load_n(&kicks.seen, __ATOMIC_ACQUIRE) <= i)
			(void)sched_yield();
	}
	return NULL;
}

static enum cpu_result step_event(struct hosted_cpu *cpu)
{
	(void)__atomic_fetch_or(&cpu->poll, CPU_POLL_EVENT, __ATOMIC_RELAXED);
	if (__atomic_load_n(&kicks.sent, __ATOMIC_ACQUIRE) <= kicks.seen)
		kicks.steps = 0;
	else if (++kicks.steps > STEPS_TOO_MANY)
		kicks.lost = true;
	if (kicks.lost)
		hosted_kick(&cpu->vcpu);
	return CPU_OK;
}

static void a_kick_was_lost_that_came_while_another_event_was_taken(void **state)
{
	struct rig *rig = *state;
	struct hosted_cpu *cpu = scene(rig, ".");
	pthread_t thread;

	memset(&kicks, 0, sizeof(kicks));
	kicks.wanted = KICKS;
	rig->step = step_event;
	assert_int_equal(pthread_create(&thread, NULL, kick_often, &cpu->vcpu), 0);
	while (kicks.seen < __atomic_load_n(&kicks.wanted, __ATOMIC_ACQUIRE)) {
		assert_int_equal(run(cpu), VCPU_EXIT_KICKED);
		(void)__atomic_add_fetch(&kicks.seen, 1, __ATOMIC_RELEASE);
	}
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_false(kicks.lost);
}

static void io_completes_in_the_next_run(void **state)
{
	struct rig *rig = *state;
	struct hosted_cpu *cpu = scene(rig, "i.h");

	assert_int_equal(run(cpu), VCPU_EXIT_PIO);
	assert_int_equal(io.pio.port, 0x1f0);
	assert_int_equal(io.pio.len, 2);
	assert_int_equal(io.pio.count, 1);
	assert_false(io.pio.is_write);
	assert_int_equal(cpu->rip, 0);
	memcpy(io.pio.data, "\x34\x12", 2);
	assert_int_equal(run(cpu), VCPU_EXIT_HLT);
	assert_int_equal(cpu->regs[X86_RAX], 0x1234);
	assert_int_equal(rig->steps, 4);
}

/* What a VMM does before it looks at registers: kick, run. */
static void an_instruction_is_settled_by_a_kicked_run(void **state)
{
	struct hosted_cpu *cpu = scene(*state, "im.h");

	assert_int_equal(run(cpu), VCPU_EXIT_PIO);
	hosted_kick(&cpu->vcpu);
	assert_int_equal(run(cpu), VCPU_EXIT_KICKED);
	assert_int_equal(cpu->rip, 1);
	assert_int_equal(run(cpu), VCPU_EXIT_MMIO);
	hosted_kick(&cpu->vcpu);
	assert_int_equal(run(cpu), VCPU_EXIT_MMIO); /* its second access */
	assert_true(io.mmio.is_write);
	assert_int_equal(run(cpu), VCPU_EXIT_KICKED);
	assert_int_equal(cpu->rip, 2);
}

static void no_interrupt_between_an_access_and_its_instructions_end(void **state)
{
	struct rig *rig = *state;
	struct hosted_cpu *cpu = scene(rig, "i.h");

	cpu->rflags |= X86_IF;
	assert_int_equal(run(cpu), VCPU_EXIT_PIO);
	assert_int_equal(hosted_inject_nmi(&cpu->vcpu), 0);
	assert_true(hosted_irq_ready(&cpu->vcpu));
	assert_int_equal(hosted_inject(&cpu->vcpu, 0x31), 0);
	rig->interrupts = 0;
	memcpy(io.pio.data, "\x77\x00", 2);
	assert_int_equal(run(cpu), VCPU_EXIT_HLT);
	assert_int_equal(cpu->regs[X86_RAX], 0x77);
	assert_int_equal(rig->interrupts, 2);
	assert_int_equal(rig->vector, 0x31); /* the NMI came first */
}

static void interrupts_wait_for_the_flag_and_the_shadow(void **state)
{
	struct rig *rig = *state;
	struct hosted_cpu *cpu = scene(rig, "..s.c.h");

	assert_false(hosted_irq_ready(&cpu->vcpu));
	hosted_irq_window(&cpu->vcpu, true);
	assert_int_equal(run(cpu), VCPU_EXIT_IRQ_WINDOW);
	assert_int_equal(cpu->rip, 4); /* one instruction after STI */
	assert_true(hosted_irq_ready(&cpu->vcpu));
	assert_int_equal(hosted_inject(&cpu->vcpu, 0x40), 0);
	assert_int_equal(hosted_inject(&cpu->vcpu, 0x41), -16);
	hosted_irq_window(&cpu->vcpu, false);
	assert_int_equal(run(cpu), VCPU_EXIT_HLT);
	assert_int_equal(rig->interrupts, 1);
	assert_int_equal(rig->vector, 0x40);
}

static enum cpu_result fails(struct hosted_cpu *cpu, uint8_t vector)
{
	(void)vector;
	return fault_page(cpu, 0x1234, 2);
}

static void an_interrupt_whose_delivery_faults_is_over(void **state)
{
	struct rig *rig = *state;
	struct hosted_cpu *cpu = scene(rig, "..h");

	cpu->rflags |= X86_IF;
	rig->interrupt = fails;
	assert_int_equal(hosted_inject(&cpu->vcpu, 0x40), 0);
	assert_int_equal(run(cpu), VCPU_EXIT_HLT);
	assert_int_equal(rig->interrupts, 1);
	assert_int_equal(rig->delivered, 1);
	assert_false(cpu->irq_injected);
}

/* A stack in a device's memory: the delivery is done again, not the instruction. */
static enum cpu_result pushes(struct hosted_cpu *cpu, uint8_t vector)
{
	uint64_t value = vector;

	return io_access(cpu, false, true, 0xfe000000, 8, &value);
}

static void a_delivery_goes_through_the_journal(void **state)
{
	struct rig *rig = *state;
	struct hosted_cpu *cpu = scene(rig, "..h");

	cpu->rflags |= X86_IF;
	rig->interrupt = pushes;
	assert_int_equal(hosted_inject(&cpu->vcpu, 0x40), 0);
	assert_int_equal(run(cpu), VCPU_EXIT_MMIO);
	assert_int_equal(rig->steps, 0);
	assert_int_equal(hosted_inject_nmi(&cpu->vcpu), 0); /* waits for its turn */
	assert_int_equal(run(cpu), VCPU_EXIT_MMIO);
	assert_int_equal(rig->vector, 2);
	assert_int_equal(rig->interrupts, 3);
	assert_int_equal(run(cpu), VCPU_EXIT_HLT);
}

/* A frame on the stack that a data breakpoint watches. */
static enum cpu_result meets(struct hosted_cpu *cpu, uint8_t vector)
{
	(void)vector;
	cpu->debug_hits |= 2;
	return CPU_OK;
}

static enum cpu_result meets_again(struct hosted_cpu *cpu)
{
	cpu->debug_hits |= 2;
	if (rig_of(cpu->vm)->debugs == 100)
		hosted_kick(&cpu->vcpu);
	return CPU_OK;
}

static void a_frame_that_meets_a_breakpoint(void **state)
{
	struct rig *rig = *state;
	struct hosted_cpu *cpu = scene(rig, "s.ih");

	rig->interrupt = meets;
	hosted_irq_window(&cpu->vcpu, true);
	assert_int_equal(run(cpu), VCPU_EXIT_IRQ_WINDOW);
	hosted_irq_window(&cpu->vcpu, false);
	assert_int_equal(hosted_inject(&cpu->vcpu, 0x40), 0);
	assert_int_equal(hosted_inject_nmi(&cpu->vcpu), 0); /* comes first, #DB before the other */
	cpu->rflags &= ~(uint64_t)X86_IF;
	unsigned steps = rig->steps;
	assert_int_equal(run(cpu), VCPU_EXIT_PIO);
	assert_int_equal(rig->interrupts, 1);
	assert_int_equal(rig->debugs, 1);
	assert_int_equal(rig->dr6, 2);
	assert_int_equal(rig->steps, steps + 1);
	assert_int_equal(cpu->debug_hits, 0);
}

/* Benign ones in turn: real CPUs hang, which their hypervisors had to learn. */
static void a_debug_exception_that_meets_itself_can_be_kicked(void **state)
{
	struct rig *rig = *state;
	struct hosted_cpu *cpu = scene(rig, "..h");

	rig->debug = meets_again;
	cpu->debug_hits = 1;
	assert_int_equal(run(cpu), VCPU_EXIT_KICKED);
	assert_int_equal(rig->debugs, 100);
	assert_int_equal(rig->steps, 0);
	rig->debug = NULL;
	assert_int_equal(run(cpu), VCPU_EXIT_HLT);
	assert_int_equal(rig->debugs, 101);
}

static void an_nmi_waits_for_the_end_of_another(void **state)
{
	struct rig *rig = *state;
	struct hosted_cpu *cpu = scene(rig, "..k.t.h");

	assert_int_equal(hosted_inject_nmi(&cpu->vcpu), 0);
	assert_int_equal(run(cpu), VCPU_EXIT_KICKED);
	assert_int_equal(rig->interrupts, 1);
	assert_int_equal(hosted_inject_nmi(&cpu->vcpu), 0);
	assert_int_equal(run(cpu), VCPU_EXIT_HLT);
	assert_int_equal(rig->interrupts, 2);
	assert_int_equal(cpu->rip, 7);
}

static void a_halt_with_work_goes_on(void **state)
{
	struct rig *rig = *state;
	struct hosted_cpu *cpu = scene(rig, "sh.h");
	struct x86_state s;

	/* Injected while IF was clear: the machine was told that it would be taken. */
	cpu->irq_injected = true;
	cpu->irq_vector = 0x55;
	assert_int_equal(run(cpu), VCPU_EXIT_HLT);
	assert_int_equal(rig->interrupts, 1);
	assert_int_equal(cpu->rip, 4);
	assert_int_equal(hosted_state_get(&cpu->vcpu, &s), 0);
	assert_true(s.halted);
}

static void the_machine_hears_of_a_lower_task_priority(void **state)
{
	struct hosted_cpu *cpu = scene(*state, "pp.ph");

	assert_int_equal(run(cpu), VCPU_EXIT_KICKED); /* to 15, which holds back more; to 14 */
	assert_int_equal(cpu->rip, 2);
	assert_int_equal(run(cpu), VCPU_EXIT_KICKED);
	assert_int_equal(cpu->rip, 4);
	assert_int_equal(run(cpu), VCPU_EXIT_HLT);
}

static void faults_are_delivered(void **state)
{
	struct rig *rig = *state;
	struct hosted_cpu *cpu = scene(rig, ".f");

	hosted_kick(&cpu->vcpu);
	assert_int_equal(run(cpu), VCPU_EXIT_KICKED);
	cpu->debug_step = true; /* this rig has no handler: one delivery is enough */
	assert_int_equal(run(cpu), VCPU_EXIT_DEBUG);
	assert_int_equal(run(cpu), VCPU_EXIT_DEBUG);
	assert_int_equal(rig->delivered, 1);
	assert_int_equal(cpu->fault.vector, 6);
}

static void msrs_of_the_machine_exit(void **state)
{
	struct rig *rig = *state;
	struct hosted_cpu *cpu = scene(rig, "rwrh");

	assert_int_equal(run(cpu), VCPU_EXIT_MSR_READ);
	assert_int_equal(io.msr.index, 0x6e0);
	io.msr.value = 0x1122334455667788;
	assert_int_equal(run(cpu), VCPU_EXIT_MSR_WRITE);
	assert_int_equal(cpu->regs[X86_RAX], 0x1122334455667788);
	assert_int_equal(io.msr.index, 0x80b);
	assert_int_equal(io.msr.value, 0x1234);
	assert_int_equal(run(cpu), VCPU_EXIT_MSR_READ);
	io.msr.fault = true;
	rig->delivered = 0;
	cpu->debug_step = true; /* one look at where the fault is delivered to */
	assert_int_equal(run(cpu), VCPU_EXIT_DEBUG);
	assert_int_equal(rig->delivered, 1);
	assert_int_equal(cpu->fault.vector, 13);
}

/* ---- the translator ---- */

static enum cpu_result jit_to_the_end(struct hosted_cpu *cpu)
{
	struct rig *rig = rig_of(cpu->vm);

	rig->wrote++; /* counts calls here */
	while (program[cpu->rip] == '.')
		cpu->rip++;
	return CPU_AGAIN;
}

static void translated_code_runs_where_it_may(void **state)
{
	struct rig *rig = *state;
	struct hosted_cpu *cpu = scene(rig, "....s....i..h");

	cpu->jit = (struct jit_vcpu *)rig;
	rig->jit = jit_to_the_end;
	assert_int_equal(run(cpu), VCPU_EXIT_PIO);
	assert_int_equal(rig->steps, 3); /* s, the one in its shadow, i */
	assert_int_equal(rig->wrote, 2);
	assert_int_equal(run(cpu), VCPU_EXIT_HLT);
	assert_int_equal(rig->steps, 5); /* i again, without the translator; h */
	assert_int_equal(rig->wrote, 3);
	cpu->rip = 0;
	cpu->mode |= CPU_MODE_TRAP;
	rig->wrote = rig->steps = 0;
	assert_int_equal(run(cpu), VCPU_EXIT_PIO);
	assert_int_equal(rig->wrote, 0);
	assert_int_equal(rig->steps, 10);
}

/* ---- the debugger ---- */

static void single_steps(void **state)
{
	struct hosted_cpu *cpu = scene(*state, "..h");

	cpu->rflags |= X86_IF;
	assert_int_equal(hosted_debug_set(&cpu->vcpu, true, false, NULL), 0);
	assert_false(hosted_irq_ready(&cpu->vcpu)); /* the step is for the code that is looked at */
	assert_int_equal(hosted_inject_nmi(&cpu->vcpu), 0);
	for (unsigned i = 1; i < 4; i++) {
		assert_int_equal(run(cpu), VCPU_EXIT_DEBUG);
		assert_int_equal(io.debug.rip, i);
		assert_int_equal(io.debug.exception, 1);
		assert_int_equal(io.debug.dr6 & 0x4000, 0x4000);
	}
}

static void breakpoints_stop_before_the_instruction(void **state)
{
	struct rig *rig = *state;
	struct hosted_cpu *cpu = scene(rig, ".....h");
	const struct debug_point at[DEBUG_POINTS] = { { 0 }, { .gva = 3, .len = 1 } };

	rig->ram[2] = 0xcc;
	assert_int_equal(hosted_debug_set(&cpu->vcpu, false, true, at), 0);
	assert_int_equal(run(cpu), VCPU_EXIT_DEBUG);
	assert_int_equal(io.debug.exception, 3);
	assert_int_equal(io.debug.rip, 2);
	assert_int_equal(cpu->rip, 2);
	assert_int_equal(run(cpu),
			 VCPU_EXIT_DEBUG); /* and again, until something is done about it */
	assert_int_equal(io.debug.rip, 2);
	assert_int_equal(hosted_inject_breakpoint(&cpu->vcpu), 0); /* it is the guest's own */
	assert_int_equal(run(cpu), VCPU_EXIT_DEBUG);
	assert_int_equal(io.debug.exception, 1);
	assert_int_equal(io.debug.rip, 3);
	assert_int_equal(io.debug.dr6 & 0xf, 2);
	assert_int_equal(hosted_debug_set(&cpu->vcpu, true, true, at), 0);
	assert_int_equal(run(cpu), VCPU_EXIT_DEBUG); /* a step leaves it */
	assert_int_equal(io.debug.rip, 4);
	assert_int_equal(hosted_debug_set(&cpu->vcpu, false, false, NULL), 0);
	assert_int_equal(run(cpu), VCPU_EXIT_HLT);
}

/* ---- registers ---- */

static void state_goes_round(void **state)
{
	struct hosted_cpu *cpu = scene(*state, "h");
	struct x86_state s, back;

	memset(&s, 0, sizeof(s));
	for (unsigned i = 0; i < X86_REGS; i++)
		s.regs[i] = 0x1111111111111111ULL * i + i;
	for (unsigned i = 0; i < X86_SEGS; i++)
		s.segs[i] = (struct x86_segment){ .base = i,
						  .limit = 0xffff,
						  .selector = 8,
						  .type = 3,
						  .s = true,
						  .present = true,
						  .dpl = 3 };
	s.rip = 0x123456;
	s.rflags = 0x202;
	s.cr0 = X86_CR0_PE | X86_CR0_PG;
	s.cr2 = 5;
	s.cr3 = 0x1000;
	s.cr4 = 0x20;
	s.cr8 = 9;
	s.efer = 0x500;
	s.apic_base = 0xfee00900;
	s.gdt = (struct x86_table){ 0x1000, 0x7f };
	s.idt = (struct x86_table){ 0x2000, 0xfff };
	s.tr.selector = 0x40;
	s.ldt.selector = 0x50;
	s.dr[0] = 0x77;
	s.dr[6] = 0xffff0ff1;
	s.dr[7] = 0x401;
	s.halted = true;
	assert_int_equal(hosted_state_set(&cpu->vcpu, &s), 0);
	assert_int_equal(hosted_state_get(&cpu->vcpu, &back), 0);
	assert_memory_equal(s.regs, back.regs, sizeof(s.regs));
	assert_memory_equal(s.dr, back.dr, sizeof(s.dr));
	assert_memory_equal(&s.cr0, &back.cr0,
			    offsetof(struct x86_state, dr) - offsetof(struct x86_state, cr0));
	assert_int_equal(back.segs[X86_GS].base, X86_GS);
	assert_int_equal(back.rip, 0x123456);
	assert_int_equal(back.tr.selector, 0x40);
	assert_int_equal(back.ldt.selector, 0x50);
	assert_int_equal(back.gdt.base + back.idt.limit, 0x1fff);
	assert_true(back.halted);
	assert_int_equal(cpu->cpl, 3);
	assert_int_equal(hosted_cr8_get(&cpu->vcpu), 9);
	hosted_cr8_set(&cpu->vcpu, 0xf3);
	assert_int_equal(hosted_cr8_get(&cpu->vcpu), 3);
	assert_int_equal(hosted_apic_base_get(&cpu->vcpu), 0xfee00900);
}

static void a_reset_forgets_what_was_due(void **state)
{
	struct rig *rig = *state;
	struct hosted_cpu *cpu = scene(rig, "i.h");
	struct x86_state s;

	assert_int_equal(run(cpu), VCPU_EXIT_PIO);
	cpu->irq_injected = cpu->nmi_blocked = true;
	cpu->nmi_pending = 1;
	x86_state_reset(&s, false);
	assert_int_equal(hosted_state_set(&cpu->vcpu, &s), 0);
	assert_false(cpu->irq_injected || cpu->nmi_pending || cpu->nmi_blocked || cpu->io.pending);
	assert_int_equal(hosted_state_get(&cpu->vcpu, &s), 0);
	assert_true(s.wait_sipi);
	x86_state_sipi(&s, 0);
	assert_int_equal(hosted_state_set(&cpu->vcpu, &s), 0);
	program = "..h";
	assert_int_equal(run(cpu), VCPU_EXIT_HLT);
	assert_int_equal(rig->interrupts, 0);
}

/* The debugger writes a register: what is due stays due. */
static void setting_registers_keeps_what_is_due(void **state)
{
	struct hosted_cpu *cpu = scene(*state, "..h");
	struct x86_state s;

	cpu->nmi_pending = 1;
	assert_int_equal(hosted_state_get(&cpu->vcpu, &s), 0);
	s.regs[X86_RAX] = 1;
	assert_int_equal(hosted_state_set(&cpu->vcpu, &s), 0);
	assert_true(cpu->nmi_pending);
}

static uint64_t gs_base(void)
{
	uint64_t base;

	__asm__ volatile("rdgsbase %0" : "=r"(base));
	return base;
}

/* Of the registers, what a guest's instruction would see and leave. */
static struct {
	uint64_t xmm15, gs;
	uint32_t mxcsr;
	uint16_t fcw;
} seen, left;

static enum cpu_result vector_step(struct hosted_cpu *cpu)
{
	__asm__ volatile("movq %%xmm15, %0; stmxcsr %1; fnstcw %2"
			 : "=r"(seen.xmm15), "=m"(seen.mxcsr), "=m"(seen.fcw));
	if (cpu->vm->host.fsgsbase)
		seen.gs = gs_base();
	__asm__ volatile("movq %0, %%xmm15; ldmxcsr %1; fldcw %2; fld1"
			 :
			 : "r"(left.xmm15), "m"(left.mxcsr), "m"(left.fcw));
	return halt(cpu);
}

static void vector_state_is_the_guests_in_run_and_the_hosts_after(void **state)
{
	struct rig *rig = *state;
	struct hosted_cpu *cpu = scene(rig, "");
	uint32_t before, after;
	uint16_t fcw_before, fcw_after, fsw;

	rig->step = vector_step;
	left.xmm15 = 0x1234567890abcdef;
	left.mxcsr = 0x3f80; /* another rounding */
	left.fcw = 0x0f7f;
	__asm__ volatile("stmxcsr %0; fnstcw %1" : "=m"(before), "=m"(fcw_before));
	assert_int_equal(run(cpu), VCPU_EXIT_HLT);
	__asm__ volatile("stmxcsr %0; fnstcw %1; fnstsw %2"
			 : "=m"(after), "=m"(fcw_after), "=m"(fsw));
	assert_int_equal(after, before);
	assert_int_equal(fcw_after, fcw_before);
	assert_int_equal(fsw & 0x3800, 0); /* the stack's top is 0: empty */
	assert_int_equal(seen.mxcsr, 0x1f80);
	assert_int_equal(seen.xmm15, 0);
	assert_int_equal(seen.fcw, 0x37f);
	__asm__ volatile("pxor %%xmm15, %%xmm15" : : : "xmm15");
	assert_int_equal(run(cpu), VCPU_EXIT_HLT);
	assert_int_equal(seen.xmm15, left.xmm15);
	assert_int_equal(seen.mxcsr, left.mxcsr);
	assert_int_equal(seen.fcw, left.fcw);
	if (cpu->vm->host.fsgsbase) {
		assert_int_equal(seen.gs, (uintptr_t)cpu);
		assert_int_equal(gs_base(), 0);
	}
}

static void xsave_images_go_round_and_bad_ones_are_refused(void **state)
{
	static uint8_t image[16384] __attribute__((aligned(64)));
	struct rig *rig = *state;
	struct hosted_cpu *cpu = scene(rig, "");
	uint64_t xcr0 = 0;
	size_t n = 1;

	assert_int_equal(hosted_xsave_get(&cpu->vcpu, &xcr0, image, &n), -7);
	assert_int_equal(n, cpu->xsave_bytes);
	assert_int_equal(hosted_xsave_get(&cpu->vcpu, &xcr0, image, &n), 0);
	assert_int_equal(xcr0, 1);
	image[160 + 15 * 16] = 0x99; /* XMM15 */
	image[512] |= 2;
	assert_int_equal(hosted_xsave_set(&cpu->vcpu, 3, image, sizeof(image)), 0);
	rig->step = vector_step;
	left.mxcsr = 0x1f80;
	left.fcw = 0x37f;
	assert_int_equal(run(cpu), VCPU_EXIT_HLT);
	assert_int_equal(seen.xmm15, 0x99);
	assert_int_equal(cpu->xcr0, 3);
	static const struct {
		unsigned at;
		uint8_t bits;
	} bad[] = { { 513, 2 }, { 519, 0x80 }, { 527, 0x80 }, { 528, 1 }, { 575, 1 }, { 27, 1 } };
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		image[bad[i].at] ^= bad[i].bits;
		assert_int_equal(hosted_xsave_set(&cpu->vcpu, 3, image, sizeof(image)), -22);
		image[bad[i].at] ^= bad[i].bits;
	}
	assert_int_equal(hosted_xsave_set(&cpu->vcpu, 2, image, sizeof(image)), -22);
	assert_int_equal(hosted_xsave_set(&cpu->vcpu, 5, image, sizeof(image)), -22);
	assert_int_equal(hosted_xsave_set(&cpu->vcpu, 0x27, image, sizeof(image)), -22);
	assert_int_equal(hosted_xsave_set(&cpu->vcpu, 1ULL << 62 | 1, image, sizeof(image)), -22);
	assert_int_equal(hosted_xsave_set(&cpu->vcpu, 3, image, cpu->xsave_bytes - 1), -22);
	assert_int_equal(cpu->xcr0, 3);
}

/* ---- the machine's side ---- */

static void a_devices_write_reaches_the_translator(void **state)
{
	struct rig *rig = *state;
	struct hosted_cpu *cpu = scene(rig, "");

	mem_wrote(&rig->mem, 0x5000, 16);
	assert_int_equal(rig->wrote, 0); /* there is none */
	cpu->vm->jit = (struct jit_vm *)rig;
	mem_wrote(&rig->mem, 0x5000, 16);
	assert_int_equal(rig->wrote, 1);
	assert_int_equal(rig->wrote_gpa, 0x5000);
	cpu->vm->jit = NULL;
}

static void each_vcpu_is_made_once(void **state)
{
	struct rig *rig = *state;
	struct hosted_cpu *cpu = rig_boot(rig);
	struct err err = { 0 };
	struct vcpu *other = NULL;

	assert_int_equal(cpu->vm->n_cpus, 1);
	assert_int_equal(hosted_vcpu_create(rig->made, 0, &other, &err), -22);
	assert_int_equal(hosted_vcpu_create(rig->made, HOSTED_VCPUS_MAX, &other, &err), -22);
	assert_int_equal(hosted_vcpu_create(rig->made, 2, &other, &err), 0);
	assert_int_equal(cpu->vm->n_cpus, 3);
	mmu_protect(cpu->vm, cpu, 0x1000); /* vcpu 1 is not there */
	assert_true(hosted_cpu(other)->wait_sipi);
	hosted_vcpu_destroy(other);
	hosted_vcpu_destroy(NULL);
	hosted_vm_destroy(NULL);
}

#define T(name) cmocka_unit_test_setup_teardown(name, rig_create, rig_destroy)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_kick_is_never_lost),
		T(a_kick_was_lost_that_came_while_another_event_was_taken),
		T(io_completes_in_the_next_run),
		T(an_instruction_is_settled_by_a_kicked_run),
		T(no_interrupt_between_an_access_and_its_instructions_end),
		T(interrupts_wait_for_the_flag_and_the_shadow),
		T(an_interrupt_whose_delivery_faults_is_over),
		T(a_delivery_goes_through_the_journal),
		T(a_frame_that_meets_a_breakpoint),
		T(a_debug_exception_that_meets_itself_can_be_kicked),
		T(an_nmi_waits_for_the_end_of_another),
		T(a_halt_with_work_goes_on),
		T(the_machine_hears_of_a_lower_task_priority),
		T(faults_are_delivered),
		T(msrs_of_the_machine_exit),
		T(translated_code_runs_where_it_may),
		T(single_steps),
		T(breakpoints_stop_before_the_instruction),
		T(state_goes_round),
		T(a_reset_forgets_what_was_due),
		T(setting_registers_keeps_what_is_due),
		T(vector_state_is_the_guests_in_run_and_the_hosts_after),
		T(xsave_images_go_round_and_bad_ones_are_refused),
		T(a_devices_write_reaches_the_translator),
		T(each_vcpu_is_made_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
