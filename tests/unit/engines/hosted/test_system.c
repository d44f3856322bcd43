/* SPDX-License-Identifier: Apache-2.0 */
/* Privileged and other system instructions: flags, ports, CPUID, time, bases. */
#include <string.h>

#include "base/core/macros.h"
#include "sys_rig.h"

#define EXT 0x80000000U

/* What each does at level 3, in the modes where it is an instruction: #GP(0), unless said otherwise. */
static const struct {
	const char *hex;
	uint8_t vector; /* at level 3 of long mode */
} privileged[] = {
	{ "f4", SYS_GP },	  /* hlt */
	{ "fa", SYS_GP },	  /* cli */
	{ "fb", SYS_GP },	  /* sti */
	{ "0f06", SYS_GP },	  /* clts */
	{ "0f08", SYS_GP },	  /* invd */
	{ "0f09", SYS_GP },	  /* wbinvd */
	{ "0f0138", SYS_GP },	  /* invlpg [rax] */
	{ "0f20c0", SYS_GP },	  /* mov rax, cr0 */
	{ "0f22c0", SYS_GP },	  /* mov cr0, rax */
	{ "0f22c8", SYS_UD },	  /* mov cr1, rax */
	{ "0f21c0", SYS_GP },	  /* mov rax, dr0 */
	{ "0f23c0", SYS_GP },	  /* mov dr0, rax */
	{ "0f30", SYS_GP },	  /* wrmsr */
	{ "0f32", SYS_GP },	  /* rdmsr */
	{ "0f33", SYS_GP },	  /* rdpmc */
	{ "0f0110", SYS_GP },	  /* lgdt [rax] */
	{ "0f0118", SYS_GP },	  /* lidt [rax] */
	{ "0f01f0", SYS_GP },	  /* lmsw ax */
	{ "0f01f8", SYS_GP },	  /* swapgs */
	{ "0f01ca", SYS_UD },	  /* clac */
	{ "0f01cb", SYS_UD },	  /* stac */
	{ "660f388208", SYS_GP }, /* invpcid rcx, [rax] */
	{ "e4 80", SYS_GP },	  /* in al, 0x80 */
	{ "ee", SYS_GP },	  /* out dx, al */
	{ "0f0b", SYS_UD },	  /* ud2 */
	{ "0f01c8", SYS_UD },	  /* monitor */
	{ "0f01c9", SYS_UD },	  /* mwait */
	{ "0f01d9", SYS_UD },	  /* vmmcall, no KVM shown */
	{ "0f01d8", SYS_UD },	  /* vmrun */
	{ "0f01ee", SYS_UD },	  /* rdpkru */
	{ "0f01d0", SYS_UD },	  /* xgetbv without OSXSAVE */
	{ "f30faec0", SYS_UD },	  /* rdfsbase eax without CR4.FSGSBASE */
};

static void user_code_is_refused(void **state)
{
	struct sys_rig *rig = *state;

	for (size_t i = 0; i < ARRAY_SIZE(privileged); i++) {
		sys_mode(rig, SYS_LONG, 3);
		sys_poke(rig, SYS_TSS + 0x68, UINT64_MAX, 8);
		sys_poke(rig, SYS_TSS + 0x68 + 16, UINT64_MAX, 8); /* ports 0x80 */
		rig->cpu.regs[X86_RAX] = SYS_DATA;
		sys_faults(rig, privileged[i].hex, privileged[i].vector,
			   privileged[i].vector == SYS_UD ? -1 : 0);
	}
}

/* ---- flags ---- */

static void interrupts_are_enabled_after_the_next(void **state)
{
	struct sys_rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpu;

	sys_mode(rig, SYS_LONG, 0);
	cpu->poll = 0;
	sys_runs(rig, "fb");
	assert_int_equal(cpu->shadow, CPU_SHADOW_STI);
	assert_true(cpu->rflags & SYS_FL_IF);
	assert_true(cpu->poll & CPU_POLL_EVENT);
	cpu->shadow = 0;
	sys_runs(rig, "fb"); /* they were on */
	assert_int_equal(cpu->shadow, 0);
	sys_runs(rig, "fa");
	assert_false(cpu->rflags & SYS_FL_IF);
	sys_mode(rig, SYS_LONG, 3);
	cpu->rflags |= SYS_FL_IOPL;
	cpu_mode_update(cpu);
	assert_true(cpu->mode & CPU_MODE_IOPL_OK);
	sys_runs(rig, "fb");
}

static void virtual_interrupt_flag(void **state)
{
	struct sys_rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpu;

	sys_mode(rig, SYS_P32, 3);
	cpu->cr4 |= X86_CR4_PVI;
	sys_runs(rig, "fb");
	assert_int_equal(cpu->rflags, 2 | SYS_FL_VIF);
	sys_runs(rig, "fa");
	assert_int_equal(cpu->rflags, 2);
	cpu->rflags |= SYS_FL_VIP;
	sys_faults(rig, "fb", SYS_GP, 0);

	sys_mode(rig, SYS_VM86, 3);
	sys_faults(rig, "fa", SYS_GP, 0);
	sys_faults(rig, "9c", SYS_GP, 0);
	sys_faults(rig, "9d", SYS_GP, 0);
	cpu->cr4 |= X86_CR4_VME;
	cpu->rflags |= SYS_FL_VIF;
	sys_runs(rig, "9c"); /* pushf: IF is VIF, IOPL 3 */
	assert_int_equal(sys_peek(rig, SYS_STACK3 - 2, 2), 0x3202);
	sys_poke(rig, SYS_STACK3 - 2, 2, 2);
	sys_runs(rig, "9d");
	assert_int_equal(cpu->rflags, 2 | SYS_FL_VM);
	sys_faults(rig, "669c", SYS_GP, 0);
}

static const struct {
	enum sys_mode mode;
	uint8_t cpl;
	uint64_t before, popped, after;
} popfs[] = {
	{ SYS_LONG, 0, 2, 0x3f7fd7, 2 | (0x247fd5) },
	{ SYS_LONG, 3, 2, 0x3f7fd7, 2 | (0x247fd5 & ~0x3200ULL) },
	{ SYS_LONG, 3, 0x3002, 0x3f7fd7, 2 | 0x247fd5 },
	{ SYS_LONG, 3, 0x3202, 0, 0x3002 },
	{ SYS_LONG, 3, 0x202, 0, 0x202 },
	{ SYS_P32, 0, 2, 0x3f7fd7, 2 | 0x247fd5 },
	{ SYS_REAL, 0, 0x40002, 0x7fd7, 0x47fd7 }, /* 16 bits */
	{ SYS_LONG, 0, 2 | SYS_FL_RF, 2, 2 },
};

static void popf_by_privilege(void **state)
{
	struct sys_rig *rig = *state;

	for (size_t i = 0; i < ARRAY_SIZE(popfs); i++) {
		sys_mode(rig, popfs[i].mode, popfs[i].cpl);
		rig->cpu.rflags = popfs[i].before;
		unsigned width = popfs[i].mode == SYS_LONG ? 8 : popfs[i].mode == SYS_P32 ? 4 : 2;
		rig->cpu.regs[X86_RSP] -= width;
		sys_poke(rig, rig->cpu.regs[X86_RSP], popfs[i].popped, width);
		sys_runs(rig, "9d");
		assert_int_equal(rig->cpu.rflags, popfs[i].after);
	}
}

static void pushf_hides_vm_and_rf(void **state)
{
	struct sys_rig *rig = *state;

	sys_mode(rig, SYS_LONG, 0);
	rig->cpu.rflags |= SYS_FL_RF | SYS_FL_AC;
	sys_runs(rig, "9c");
	assert_int_equal(sys_peek(rig, SYS_STACK0 - 8, 8), 2 | SYS_FL_AC);
}

static void ac_opens_user_pages(void **state)
{
	struct sys_rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpu;

	sys_mode(rig, SYS_LONG, 0);
	cpu->cr4 |= X86_CR4_SMAP;
	cpu_mode_update(cpu);
	const struct cpu_tlb *closed = cpu->tlb;
	sys_runs(rig, "0f01cb");
	assert_true(cpu->rflags & SYS_FL_AC);
	assert_true(cpu->tlb != closed);
	sys_runs(rig, "0f01ca");
	assert_true(cpu->tlb == closed);
	sys_show(rig, 7, 0, CPUID_EBX, 20, false);
	sys_faults(rig, "0f01cb", SYS_UD, -1);
}

static void hlt_halts(void **state)
{
	struct sys_rig *rig = *state;

	sys_mode(rig, SYS_REAL, 0);
	sys_runs(rig, "f4");
	assert_true(rig->cpu.halted);
}

/* ---- ports ---- */

static void ports_go_to_the_machine(void **state)
{
	struct sys_rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpu;

	sys_mode(rig, SYS_LONG, 0);
	cpu->regs[X86_RDX] = 0x123456;
	cpu->regs[X86_RAX] = 0x11223344aabbccdd;
	assert_int_equal(sys_exec(rig, "66ef"), CPU_EXIT); /* out dx, ax */
	assert_int_equal(cpu->exit, VCPU_EXIT_PIO);
	assert_int_equal(rig->io.pio.port, 0x3456);
	assert_int_equal(rig->io.pio.len, 2);
	assert_true(rig->io.pio.is_write);
	assert_int_equal(cpu->rip, SYS_CODE);
	assert_int_equal(rig->io.pio.data[0] | rig->io.pio.data[1] << 8, 0xccdd);
	memset(&cpu->io, 0, sizeof(cpu->io));
	/* in al, dx with the machine's answer in the journal */
	cpu->io.done[0] =
		(struct cpu_io_access){ .addr = 0x3456, .data = 0x5a, .len = 1, .is_port = true };
	cpu->io.n_done = 1;
	sys_runs(rig, "ec");
	assert_int_equal(cpu->regs[X86_RAX], 0x11223344aabbcc5a);
	memset(&cpu->io, 0, sizeof(cpu->io));
}

static void the_port_map_is_looked_at(void **state)
{
	struct sys_rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpu;
	static const struct {
		uint16_t port;
		unsigned len;
		bool allowed;
	} rows[] = {
		{ 0x10, 1, true },  { 0x13, 1, false }, { 0x10, 4, false },  { 0x14, 4, true },
		{ 0x12, 2, false }, { 0x1f, 2, true },	{ 0xffff, 1, true }, { 0x3f8, 1, true },
	};

	for (unsigned m = 0; m < 3; m++) {
		sys_mode(rig, m == 0 ? SYS_P32 : m == 1 ? SYS_LONG : SYS_VM86, 3);
		sys_poke(rig, SYS_TSS + 0x68 + 2, 1U << 3, 1);
		for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
			enum cpu_result r = system_io_allowed(cpu, rows[i].port, rows[i].len);
			assert_int_equal(r, rows[i].allowed ? CPU_OK : CPU_FAULT);
		}
		cpu->rflags |= SYS_FL_IOPL; /* lets protected mode, not virtual-8086 mode */
		assert_int_equal(system_io_allowed(cpu, 0x13, 1), m == 2 ? CPU_FAULT : CPU_OK);
		cpu->rflags &= ~SYS_FL_IOPL;
		cpu->tr.limit = 0x67; /* without a map */
		assert_int_equal(system_io_allowed(cpu, 0x10, 1), CPU_FAULT);
		assert_int_equal(cpu->fault.vector, SYS_GP);
	}
}

/* ---- CPUID, time, bases ---- */

static void cpuid_follows_control_registers(void **state)
{
	struct sys_rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpu;
	uint32_t regs[4];

	sys_mode(rig, SYS_LONG, 3);
	system_cpuid(cpu, 1, 0, regs);
	assert_false(regs[2] >> 27 & 1);
	assert_true(regs[3] >> 9 & 1);
	cpu->cr4 |= X86_CR4_OSXSAVE;
	cpu->apic_base = 0xfee00000;
	system_cpuid(cpu, 1, 0, regs);
	assert_true(regs[2] >> 27 & 1);
	assert_false(regs[3] >> 9 & 1);
	cpu->xcr0 = 3;
	system_cpuid(cpu, 0xd, 0, regs);
	assert_int_equal(regs[1], 576);
	cpu->xcr0 = 7;
	cpu->regs[X86_RAX] = 0xffffffff0000000d;
	cpu->regs[X86_RCX] = 0x100000000;
	sys_runs(rig, "0fa2");
	assert_int_equal(cpu->regs[X86_RAX], 7);
	assert_int_equal(cpu->regs[X86_RBX], 832);
	assert_int_equal(cpu->regs[X86_RDX], 0);
}

static void cpuid_beyond_its_last_leaf(void **state)
{
	struct sys_rig *rig = *state;
	uint32_t regs[4];

	system_cpuid(&rig->cpu, 0x12345, 0, regs);
	assert_int_equal(regs[0] | regs[1] | regs[2] | regs[3], 0);
	system_cpuid(&rig->cpu, EXT + 8, 0, regs);
	assert_int_equal(regs[0], 48);
	rig->cpu.leaves[0].ebx = 0x756e6547; /* Intel: the last basic leaf */
	system_cpuid(&rig->cpu, 0x12345, 1, regs);
	assert_int_equal(regs[0], 7);
	system_cpuid(&rig->cpu, 5, 0, regs); /* a gap is empty */
	assert_int_equal(regs[0] | regs[1] | regs[2] | regs[3], 0);
}

static void time_can_be_hidden(void **state)
{
	struct sys_rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpu;

	sys_mode(rig, SYS_LONG, 3);
	cpu->tsc_aux = 0x77;
	sys_runs(rig, "0f31");
	sys_runs(rig, "0f01f9");
	assert_int_equal(cpu->regs[X86_RCX], 0x77);
	sys_runs(rig, "f30fc7f8"); /* rdpid rax */
	assert_int_equal(cpu->regs[X86_RAX], 0x77);
	cpu->cr4 |= X86_CR4_TSD;
	sys_faults(rig, "0f31", SYS_GP, 0);
	sys_faults(rig, "0f01f9", SYS_GP, 0);
	sys_show(rig, EXT + 1, 0, CPUID_EDX, 27, false);
	sys_faults(rig, "0f01f9", SYS_UD, -1);
	sys_mode(rig, SYS_LONG, 0);
	cpu->cr4 |= X86_CR4_TSD;
	sys_runs(rig, "0f31");
}

static void segment_bases(void **state)
{
	struct sys_rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpu;

	sys_mode(rig, SYS_LONG, 0);
	cpu->cr4 |= X86_CR4_FSGSBASE;
	cpu->regs[X86_RAX] = 0xffff800012345678;
	sys_runs(rig, "f3480faed8"); /* wrgsbase rax */
	cpu->kernel_gs_base = 0x1000;
	sys_runs(rig, "0f01f8");
	assert_int_equal(cpu->kernel_gs_base, 0xffff800012345678);
	sys_runs(rig, "f3480faec9"); /* rdgsbase rcx */
	assert_int_equal(cpu->regs[X86_RCX], 0x1000);
	sys_runs(rig, "f30faed0"); /* wrfsbase eax */
	assert_int_equal(cpu->segs[X86_FS].base, 0x12345678);
	cpu->regs[X86_RAX] = 0x800000000000;
	sys_faults(rig, "f3480faed8", SYS_GP, 0);
}

static void hypercalls_of_kvm(void **state)
{
	struct sys_rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpu;

	cpu->leaves[cpu->n_leaves++] = (struct cpuid_leaf){
		.function = CPUID_KVM, .ebx = 0x4b4d564b, .ecx = 0x564b4d56, .edx = 0x4d
	};
	sys_mode(rig, SYS_LONG, 0);
	cpu->regs[X86_RAX] = 5;
	sys_runs(rig, "0f01d9");
	assert_int_equal(cpu->regs[X86_RAX], (uint64_t)-1000);
	sys_mode(rig, SYS_LONG, 3);
	sys_runs(rig, "0f01c1");
	assert_int_equal(cpu->regs[X86_RAX], (uint64_t)-1);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, sys_rig_create, sys_rig_destroy)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(user_code_is_refused),
		CASE(interrupts_are_enabled_after_the_next),
		CASE(virtual_interrupt_flag),
		CASE(popf_by_privilege),
		CASE(pushf_hides_vm_and_rf),
		CASE(ac_opens_user_pages),
		CASE(hlt_halts),
		CASE(ports_go_to_the_machine),
		CASE(the_port_map_is_looked_at),
		CASE(cpuid_follows_control_registers),
		CASE(cpuid_beyond_its_last_leaf),
		CASE(time_can_be_hidden),
		CASE(segment_bases),
		CASE(hypercalls_of_kvm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
