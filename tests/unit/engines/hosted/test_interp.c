/* SPDX-License-Identifier: Apache-2.0 */
/* The interpreter's classes one by one; what computes is in test_interp_diff.c. */
#include "diff.h"

#include <cpuid.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "engines/hosted/io.h"
#include "machine/mem.h"
#include "scratch.h"

#define ARCH_SET_GS 0x1001
#define STACK	    (DIFF_DATA + DIFF_PAGE + 2048)
#define DEVICE	    (DIFF_REGION + 0x40 * DIFF_PAGE)
#define DEVICE_GPA  UINT64_C(0xfe000000)
#define GUARD	    (DIFF_DATA + 2 * DIFF_PAGE) /* the first byte that is not there */

#define AVX512_FP16 (1U << 23) /* CPUID 7, EDX */

#define DE 0
#define DB 1
#define BR 5
#define UD 6
#define NM 7
#define GP 13
#define PF 14
#define AC 17

static struct hosted_vm vm;
static struct hosted_cpu cpu;
static struct vcpu_io io;

/* ---- the guest ---- */

static uint8_t *at(uint64_t gva)
{
	unsigned page = gva >= DIFF_CODE ? 5 : gva >= DIFF_DATA + DIFF_PAGE ? 10 : 8;

	return (uint8_t *)mem_hva(vm.mem, (gpa_t)page * DIFF_PAGE, DIFF_PAGE) + gva % DIFF_PAGE;
}

static uint64_t get(uint64_t gva, unsigned bytes)
{
	uint64_t value = 0;

	memcpy(&value, at(gva), bytes);
	return value;
}

static void put(uint64_t gva, uint64_t value, unsigned bytes)
{
	memcpy(at(gva), &value, bytes);
}

static void code_is(enum x86_code code)
{
	cpu.segs[X86_CS].l = code == X86_CODE_64;
	cpu.segs[X86_CS].db = code == X86_CODE_32;
	cpu_mode_update(&cpu);
}

/* A page of a device's. */
static void device_map(void)
{
	uint64_t *entries = mem_hva(vm.mem, UINT64_C(4) * DIFF_PAGE, DIFF_PAGE);

	entries[(DEVICE >> 12) % 512] = DEVICE_GPA | 0x67;
}

static int set_up(void **state)
{
	(void)state;
	if (diff_machine_create(&vm, &cpu) != 0)
		return -1;
	device_map();
	cpu.io_out = &io;
	cpu.regs[X86_RSP] = STACK;
	cpu.rip = DIFF_CODE;
	mmu_enter(&cpu);
	return (int)syscall(SYS_arch_prctl, ARCH_SET_GS, &cpu);
}

static int tear_down(void **state)
{
	(void)state;
	mmu_leave(&cpu);
	diff_machine_destroy(&cpu);
	return 0;
}

/* One instruction at rip. */
static enum cpu_result step(const char *bytes, size_t n)
{
	memcpy(at(cpu.rip), bytes, n);
	return interp_step(&cpu);
}
#define STEP(bytes) step(bytes, sizeof(bytes) - 1)

#define assert_done(bytes)                                                                         \
	do {                                                                                       \
		uint64_t next_ = cpu.rip + sizeof(bytes) - 1;                                      \
		assert_int_equal(STEP(bytes), CPU_OK);                                             \
		assert_int_equal(cpu.rip, next_);                                                  \
	} while (0)

static void assert_fault(enum cpu_result result, unsigned vector)
{
	assert_int_equal(result, CPU_FAULT);
	assert_int_equal(cpu.fault.vector, vector);
}

/* What the machine does between two run(). */
static void answer(uint64_t value)
{
	memcpy(cpu.io_data, &value, sizeof(cpu.io_data));
	io_begin(&cpu);
}

/* ---- branches ---- */

static void conditions(void **state)
{
	/* flags, then a bit for each condition that holds, from O on */
	static const struct {
		uint64_t flags;
		uint16_t holds;
	} cases[] = {
		{ 0, 0xaaaa },
		{ X86_OF, 0x5aa9 },
		{ X86_CF, 0xaa66 },
		{ X86_ZF, 0x6a5a },
		{ X86_SF, 0x59aa },
		{ X86_PF, 0xa6aa },
		{ X86_SF | X86_OF, 0xa9a9 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint16_t holds = 0;
		for (unsigned cc = 0; cc < 16; cc++) {
			const char jcc[] = { (char)(0x70 + cc), 0x10 };
			cpu.rip = DIFF_CODE;
			cpu.rflags = cases[i].flags | 2;
			assert_int_equal(step(jcc, 2), CPU_OK);
			holds |= (uint16_t)((cpu.rip == DIFF_CODE + 0x12) << cc);
		}
		assert_int_equal(holds, cases[i].holds);
	}
}

static void calls_and_returns(void **state)
{
	(void)state;
	assert_int_equal(STEP("\xe8\x0b\x00\x00\x00"), CPU_OK); /* call +11 */
	assert_int_equal(cpu.rip, DIFF_CODE + 16);
	assert_int_equal(cpu.regs[X86_RSP], STACK - 8);
	assert_int_equal(get(STACK - 8, 8), DIFF_CODE + 5);
	assert_int_equal(STEP("\xc2\x10\x00"), CPU_OK); /* ret 16 */
	assert_int_equal(cpu.rip, DIFF_CODE + 5);
	assert_int_equal(cpu.regs[X86_RSP], STACK + 16);
	cpu.regs[X86_RAX] = DIFF_CODE + 64;
	assert_int_equal(STEP("\xff\xe0"), CPU_OK); /* jmp rax */
	assert_int_equal(cpu.rip, DIFF_CODE + 64);
	put(DIFF_DATA, DIFF_CODE + 80, 8);
	cpu.regs[X86_RBX] = DIFF_DATA;
	assert_int_equal(STEP("\xff\x13"), CPU_OK); /* call [rbx] */
	assert_int_equal(cpu.rip, DIFF_CODE + 80);
	assert_int_equal(get(STACK + 8, 8), DIFF_CODE + 66);
}

static void a_bad_target_changes_nothing(void **state)
{
	(void)state;
	cpu.regs[X86_RAX] = UINT64_C(0x800000000000);
	assert_fault(STEP("\xff\xd0"), GP); /* call rax */
	assert_int_equal(cpu.rip, DIFF_CODE);
	assert_int_equal(cpu.regs[X86_RSP], STACK);
	put(STACK, UINT64_C(0x800000000000), 8);
	assert_fault(STEP("\xc3"), GP);
	assert_int_equal(cpu.regs[X86_RSP], STACK);
	cpu.regs[X86_RSP] = DIFF_DATA; /* nothing below */
	assert_fault(STEP("\xe8\x00\x00\x00\x00"), PF);
	assert_int_equal(cpu.fault.cr2, DIFF_DATA - 8);
	assert_int_equal(cpu.rip, DIFF_CODE);
	code_is(X86_CODE_32);
	cpu.segs[X86_CS].limit = DIFF_CODE + 0x100;
	cpu_mode_update(&cpu);
	assert_fault(STEP("\xe9\x00\x10\x00\x00"), GP); /* beyond the limit */
}

static void loops(void **state)
{
	(void)state;
	cpu.regs[X86_RCX] = 2;
	assert_int_equal(STEP("\xe2\x10"), CPU_OK);
	assert_int_equal(cpu.rip, DIFF_CODE + 18);
	assert_done("\xe2\x10");
	assert_int_equal(cpu.regs[X86_RCX], 0);
	cpu.regs[X86_RCX] = UINT64_C(0x500000001);
	assert_done("\x67\xe2\x10"); /* loop, ecx */
	assert_int_equal(cpu.regs[X86_RCX], 0);
	cpu.regs[X86_RCX] = 5;
	cpu.rflags |= X86_ZF;
	assert_done("\xe0\x10"); /* loopne */
	cpu.regs[X86_RCX] = UINT64_C(0x500000000);
	assert_done("\xe3\x10"); /* jrcxz */
	uint64_t rip = cpu.rip;
	assert_int_equal(STEP("\x67\xe3\x10"), CPU_OK); /* jecxz */
	assert_int_equal(cpu.rip, rip + 0x13);
}

/* ---- the stack ---- */

static void pushes_and_pops(void **state)
{
	(void)state;
	assert_done("\x54"); /* push rsp: its old value */
	assert_int_equal(get(STACK - 8, 8), STACK);
	assert_done("\x6a\xfe"); /* push -2 */
	assert_int_equal(get(STACK - 16, 8), (uint64_t)-2);
	assert_done("\x66\x6a\xfe"); /* the same in 16 bits */
	assert_int_equal(cpu.regs[X86_RSP], STACK - 18);
	cpu.regs[X86_RSP] = STACK - 8;
	put(STACK - 8, 77, 8);
	assert_done("\x8f\x44\x24\x08"); /* pop [rsp + 8]: with rsp as it is after */
	assert_int_equal(get(STACK + 8, 8), 77);
	put(STACK, DIFF_DATA, 8);
	assert_done("\x5c"); /* pop rsp */
	assert_int_equal(cpu.regs[X86_RSP], DIFF_DATA);
	cpu.regs[X86_RSP] = STACK;
	cpu.regs[X86_RBX] = DIFF_REGION;
	assert_fault(STEP("\x8f\x03"), PF); /* pop [rbx]: nothing there */
	assert_int_equal(cpu.regs[X86_RSP], STACK);
}

static void all_registers(void **state)
{
	(void)state;
	code_is(X86_CODE_32);
	for (unsigned i = 0; i < 8; i++)
		cpu.regs[i] = i == X86_RSP ? STACK : 0x1000 + i;
	assert_done("\x60"); /* pusha */
	assert_int_equal(cpu.regs[X86_RSP], STACK - 32);
	assert_int_equal(get(STACK - 4, 4), 0x1000 + X86_RAX);
	assert_int_equal(get(STACK - 20, 4), STACK);
	for (unsigned i = 0; i < 8; i++) {
		if (i != X86_RSP)
			cpu.regs[i] = 0;
	}
	put(STACK - 20, 5, 4);
	assert_done("\x61"); /* popa, all but esp */
	assert_int_equal(cpu.regs[X86_RSP], STACK);
	assert_int_equal(cpu.regs[X86_RDI], 0x1000 + X86_RDI);
	cpu.regs[X86_RSP] = DIFF_DATA + 16; /* half of it has room */
	put(DIFF_DATA, 0x55, 4);
	assert_fault(STEP("\x60"), PF);
	assert_int_equal(cpu.regs[X86_RSP], DIFF_DATA + 16);
	assert_int_equal(get(DIFF_DATA, 4), 0x55);
}

static void frames(void **state)
{
	(void)state;
	cpu.regs[X86_RBP] = STACK + 512;
	put(STACK + 504, 0xabc, 8);
	assert_done("\xc8\x20\x00\x02"); /* enter 32, 2 */
	assert_int_equal(get(STACK - 8, 8), STACK + 512);
	assert_int_equal(get(STACK - 16, 8), 0xabc);
	assert_int_equal(get(STACK - 24, 8), STACK - 8);
	assert_int_equal(cpu.regs[X86_RBP], STACK - 8);
	assert_int_equal(cpu.regs[X86_RSP], STACK - 24 - 32);
	assert_done("\xc9"); /* leave */
	assert_int_equal(cpu.regs[X86_RBP], STACK + 512);
	assert_int_equal(cpu.regs[X86_RSP], STACK);
}

static void a_16_bit_stack_wraps(void **state)
{
	(void)state;
	code_is(X86_CODE_16);
	cpu.segs[X86_SS].db = false;
	cpu.segs[X86_SS].base = DIFF_DATA - 0x2000;
	cpu.segs[X86_SS].limit = 0xffff;
	cpu_mode_update(&cpu);
	cpu.regs[X86_RSP] = UINT64_C(0xabc02004);
	cpu.regs[X86_RAX] = 0x1234;
	assert_done("\x50");
	assert_int_equal(cpu.regs[X86_RSP], UINT64_C(0xabc02002));
	assert_int_equal(get(DIFF_DATA + 2, 2), 0x1234);
	cpu.regs[X86_RSP] = UINT64_C(0xabc00000);
	cpu.segs[X86_SS].base = DIFF_DATA - 0xf000;
	assert_done("\x50"); /* from 0 to fffe */
	assert_int_equal(cpu.regs[X86_RSP], UINT64_C(0xabc0fffe));
	assert_int_equal(get(DIFF_DATA + 0xffe, 2), 0x1234);
}

/* ---- strings ---- */

static void copies_across_pages(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3000; i++)
		put(DIFF_DATA + i, i * 7, 1);
	cpu.regs[X86_RSI] = DIFF_DATA;
	cpu.regs[X86_RDI] = DIFF_DATA + 3500;
	cpu.regs[X86_RCX] = 3000;
	assert_done("\xf3\xa4");
	assert_int_equal(cpu.regs[X86_RCX], 0);
	assert_int_equal(cpu.regs[X86_RSI], DIFF_DATA + 3000);
	for (unsigned i = 0; i < 3000; i++)
		assert_int_equal(get(DIFF_DATA + 3500 + i, 1), i * 7 & 0xff);
}

static void an_overlapping_copy_repeats_itself(void **state)
{
	(void)state;
	put(DIFF_DATA, UINT64_C(0x1122334455667788), 8);
	cpu.regs[X86_RSI] = DIFF_DATA;
	cpu.regs[X86_RDI] = DIFF_DATA + 3;
	cpu.regs[X86_RCX] = 1000;
	assert_done("\xf3\xa4");
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(get(DIFF_DATA + i, 1), get(DIFF_DATA + i % 3, 1));
	put(DIFF_DATA + 0x800, UINT64_C(0x0123456789abcdef), 8);
	put(DIFF_DATA + 0x808, 0, 8);
	cpu.regs[X86_RSI] = DIFF_DATA + 0x800;
	cpu.regs[X86_RDI] = DIFF_DATA + 0x804;
	cpu.regs[X86_RCX] = 2;
	assert_done("\xf3\x48\xa5"); /* eights: each is read whole before it is written */
	assert_int_equal(get(DIFF_DATA + 0x804, 8), UINT64_C(0x0123456789abcdef));
	assert_int_equal(get(DIFF_DATA + 0x80c, 4), 0x01234567);
}

static void backwards(void **state)
{
	(void)state;
	put(DIFF_DATA + 100, UINT64_C(0x1122334455667788), 8);
	cpu.rflags |= X86_DF;
	cpu.regs[X86_RSI] = DIFF_DATA + 104;
	cpu.regs[X86_RDI] = DIFF_DATA + 204;
	cpu.regs[X86_RCX] = 2;
	assert_done("\xf3\xa5");
	assert_int_equal(get(DIFF_DATA + 200, 8), UINT64_C(0x1122334455667788));
	assert_int_equal(cpu.regs[X86_RDI], DIFF_DATA + 196);
}

static void a_fault_leaves_what_is_done(void **state)
{
	(void)state;
	cpu.regs[X86_RAX] = UINT64_C(0x1111111111111111);
	cpu.regs[X86_RDI] = GUARD - 80;
	cpu.regs[X86_RCX] = 100;
	assert_fault(STEP("\xf3\x48\xab"), PF); /* rep stosq */
	assert_int_equal(cpu.fault.cr2, GUARD);
	assert_int_equal(cpu.fault.error, 6);
	assert_int_equal(cpu.regs[X86_RCX], 90);
	assert_int_equal(cpu.regs[X86_RDI], GUARD);
	assert_int_equal(cpu.rip, DIFF_CODE);
	assert_int_equal(get(GUARD - 8, 8), UINT64_C(0x1111111111111111));
}

static void compares_and_scans(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 64; i++) {
		put(DIFF_DATA + i, i, 1);
		put(DIFF_DATA + 100 + i, i == 20 ? 0x80 : i, 1);
	}
	cpu.regs[X86_RSI] = DIFF_DATA;
	cpu.regs[X86_RDI] = DIFF_DATA + 100;
	cpu.regs[X86_RCX] = 64;
	assert_done("\xf3\xa6"); /* repe cmpsb: 20 - 80h */
	assert_int_equal(cpu.regs[X86_RCX], 43);
	assert_int_equal(cpu.regs[X86_RSI], DIFF_DATA + 21);
	assert_int_equal(cpu.rflags & X86_FLAGS_ARITH, X86_CF | X86_SF | X86_OF);
	cpu.regs[X86_RAX] = 30;
	cpu.regs[X86_RDI] = DIFF_DATA;
	cpu.regs[X86_RCX] = 64;
	assert_done("\xf2\xae"); /* repne scasb */
	assert_int_equal(cpu.regs[X86_RCX], 33);
	assert_true(cpu.rflags & X86_ZF);
	cpu.regs[X86_RCX] = 0;
	uint64_t flags = cpu.rflags;
	assert_done("\xf3\xa6"); /* none at all */
	assert_int_equal(cpu.rflags, flags);
}

static void whoever_polls_is_heard(void **state)
{
	(void)state;
	cpu.regs[X86_RDI] = DIFF_DATA;
	cpu.regs[X86_RCX] = 8192;
	cpu.poll = CPU_POLL_KICK;
	assert_int_equal(STEP("\xf3\xaa"), CPU_OK);
	assert_int_equal(cpu.rip, DIFF_CODE); /* to be continued */
	assert_in_range(cpu.regs[X86_RCX], 1, 8191);
	assert_int_equal(cpu.regs[X86_RDI] + cpu.regs[X86_RCX], DIFF_DATA + 8192);
	while (cpu.rip == DIFF_CODE)
		assert_int_equal(interp_step(&cpu), CPU_OK);
	assert_int_equal(cpu.regs[X86_RCX], 0);
}

static void narrow_addresses(void **state)
{
	(void)state;
	put(DIFF_DATA + 8, 0x5a, 1);
	cpu.regs[X86_RSI] = UINT64_C(0xffff000000000000) | (DIFF_DATA + 8);
	cpu.regs[X86_RDI] = UINT64_C(0xffff000000000000) | DIFF_DATA;
	cpu.regs[X86_RCX] = UINT64_C(0xffff000000000001);
	assert_done("\x67\xf3\xa4");
	assert_int_equal(get(DIFF_DATA, 1), 0x5a);
	assert_int_equal(cpu.regs[X86_RDI], DIFF_DATA + 1);
	assert_int_equal(cpu.regs[X86_RCX], 0);
}

/* ---- devices ---- */

static void a_read_modify_write_of_a_device(void **state)
{
	(void)state;
	cpu.regs[X86_RBX] = DEVICE + 8;
	cpu.regs[X86_RAX] = 5;
	assert_int_equal(STEP("\x0f\xc1\x03"), CPU_EXIT); /* xadd [rbx], eax */
	assert_int_equal(cpu.exit, VCPU_EXIT_MMIO);
	assert_false(io.mmio.is_write);
	assert_int_equal(io.mmio.gpa, DEVICE_GPA + 8);
	assert_int_equal(io.mmio.len, 4);
	answer(100);
	assert_int_equal(interp_step(&cpu), CPU_EXIT);
	assert_true(io.mmio.is_write);
	assert_int_equal(*(uint32_t *)io.mmio.data, 105);
	assert_int_equal(cpu.regs[X86_RAX], 5); /* not yet */
	assert_int_equal(cpu.rip, DIFF_CODE);
	answer(0);
	assert_int_equal(interp_step(&cpu), CPU_OK);
	assert_int_equal(cpu.regs[X86_RAX], 100);
	assert_int_equal(cpu.rip, DIFF_CODE + 3);
}

static void a_pop_of_the_x87_stack_to_a_device_pops_once(void **state)
{
	uint16_t status;

	(void)state;
	__asm__ volatile("fninit; fld1; fldpi; fld1");
	cpu.regs[X86_RBX] = DEVICE;
	assert_int_equal(STEP("\xdd\x1b"), CPU_EXIT); /* fstp qword [rbx] */
	while (!io.mmio.is_write) { /* a store of the x87 may store nothing: what is there is read */
		answer(0);
		assert_int_equal(interp_step(&cpu), CPU_EXIT);
	}
	assert_int_equal(*(uint64_t *)io.mmio.data, UINT64_C(0x3ff0000000000000));
	answer(0);
	assert_int_equal(interp_step(&cpu), CPU_OK);
	__asm__ volatile("fnstsw %0; fninit" : "=a"(status));
	assert_int_equal(status >> 11 & 7, 6); /* two are left */
}

static void a_string_from_a_port(void **state)
{
	(void)state;
	cpu.cpl = 0;
	cpu_mode_update(&cpu);
	cpu.regs[X86_RDX] = 0x1f0;
	cpu.regs[X86_RDI] = DIFF_DATA;
	cpu.regs[X86_RCX] = 2;
	assert_int_equal(STEP("\xf3\x66\x6d"), CPU_EXIT); /* rep insw */
	assert_int_equal(cpu.exit, VCPU_EXIT_PIO);
	assert_int_equal(io.pio.port, 0x1f0);
	assert_int_equal(io.pio.len, 2);
	answer(0x1111);
	assert_int_equal(interp_step(&cpu), CPU_EXIT);
	assert_int_equal(cpu.regs[X86_RCX], 1);
	assert_int_equal(get(DIFF_DATA, 2), 0x1111);
	answer(0x2222);
	assert_int_equal(interp_step(&cpu), CPU_OK);
	assert_int_equal(get(DIFF_DATA + 2, 2), 0x2222);
	cpu.regs[X86_RSI] = DIFF_DATA;
	assert_int_equal(STEP("\x6e"), CPU_EXIT); /* outsb */
	assert_true(io.pio.is_write);
	assert_int_equal(*io.pio.data, 0x11);
	answer(0);
	assert_int_equal(interp_step(&cpu), CPU_OK);
	assert_int_equal(cpu.regs[X86_RSI], DIFF_DATA + 1);
}

static void a_port_is_not_read_for_a_page_that_is_not_there(void **state)
{
	(void)state;
	cpu.cpl = 0;
	cpu_mode_update(&cpu);
	cpu.regs[X86_RDI] = GUARD;
	assert_fault(STEP("\x6c"), PF);
	cpu.cpl = 3;
	cpu_mode_update(&cpu);
	cpu.regs[X86_RDI] = DIFF_DATA;
	assert_fault(STEP("\x6c"), GP); /* nor without the right to */
}

/* ---- operands ---- */

static void locked_across_pages(void **state)
{
	const uint64_t where = DIFF_DATA + DIFF_PAGE - 3;

	(void)state;
	put(where, 0xffffff, 3);
	put(where + 3, 0, 5);
	cpu.regs[X86_RBX] = where;
	assert_done("\xf0\x48\x83\x03\x01"); /* lock add qword [rbx], 1 */
	assert_int_equal(get(where, 3), 0);
	assert_int_equal(get(where + 3, 5), 1);
	assert_int_equal(vm.lock_split, 0);
}

/* All of the registers below 8 are named: regression. */
static void an_address_of_two_registers_and_four_operands(void **state)
{
	(void)state;
	put(DIFF_DATA, UINT64_C(0x100000002), 8);
	cpu.regs[X86_RSI] = DIFF_DATA - 8;
	cpu.regs[X86_RDI] = 8;
	cpu.regs[X86_RAX] = 2;
	cpu.regs[X86_RDX] = 1;
	cpu.regs[X86_RBX] = 4;
	cpu.regs[X86_RCX] = 3;
	assert_done("\xf0\x0f\xc7\x0c\x3e"); /* lock cmpxchg8b [rsi + rdi] */
	assert_true(cpu.rflags & X86_ZF);
	assert_int_equal(get(DIFF_DATA, 8), UINT64_C(0x300000004));
}

static void bases_of_fs_and_gs(void **state)
{
	(void)state;
	cpu.segs[X86_FS].base = DIFF_DATA;
	cpu.segs[X86_GS].base = DIFF_DATA + 0x100;
	put(DIFF_DATA + 0x10, 0x77, 8);
	put(DIFF_DATA + 0x110, 0x88, 8);
	cpu.regs[X86_RAX] = 0x10;
	assert_done("\x64\x48\x8b\x18"); /* mov rbx, fs:[rax] */
	assert_int_equal(cpu.regs[X86_RBX], 0x77);
	assert_done("\x65\x48\x8b\x18");
	assert_int_equal(cpu.regs[X86_RBX], 0x88);
	assert_done("\x65\x48\x8d\x18"); /* lea: no base */
	assert_int_equal(cpu.regs[X86_RBX], 0x10);
}

static void limits_of_segments(void **state)
{
	(void)state;
	code_is(X86_CODE_32);
	cpu.segs[X86_DS].base = DIFF_DATA;
	cpu.segs[X86_DS].limit = 0xfff;
	cpu_mode_update(&cpu);
	put(DIFF_DATA + 0xffc, 0x99, 4);
	cpu.regs[X86_RBX] = 0xffc;
	assert_done("\x8b\x03");
	assert_int_equal(cpu.regs[X86_RAX], 0x99);
	cpu.regs[X86_RBX] = 0xffd;
	assert_fault(STEP("\x8b\x03"), GP);
	cpu.segs[X86_DS].type = 1; /* read-only */
	cpu.regs[X86_RBX] = 0;
	cpu_mode_update(&cpu);
	assert_fault(STEP("\x89\x03"), GP);
	cpu.segs[X86_DS] = cpu.segs[X86_ES]; /* flat: but code cannot be written */
	cpu_mode_update(&cpu);
	cpu.regs[X86_RBX] = DIFF_DATA;
	assert_done("\x2e\x8b\x03");
	assert_done("\x2e\x8b\x03");
	assert_fault(STEP("\x2e\x89\x03"), GP);
}

static void addresses_that_are_not_canonical(void **state)
{
	(void)state;
	cpu.regs[X86_RBX] = UINT64_C(0x800000000000);
	assert_fault(STEP("\x8b\x03"), GP);
	cpu.regs[X86_RBP] = UINT64_C(0x800000000000);
	assert_fault(STEP("\x8b\x45\x00"), 12); /* by the stack's segment */
}

/* ---- faults by mode ---- */

static void divisions(void **state)
{
	(void)state;
	cpu.regs[X86_RAX] = 7;
	cpu.regs[X86_RDX] = 5;
	cpu.regs[X86_RCX] = 5;
	assert_fault(STEP("\x48\xf7\xf1"), DE); /* div rcx: 2^64 * 5 / 5 */
	assert_int_equal(cpu.regs[X86_RAX], 7);
	cpu.regs[X86_RCX] = 6;
	assert_done("\x48\xf7\xf1");
	cpu.regs[X86_RAX] = 1;
	cpu.regs[X86_RCX] = 0;
	assert_fault(STEP("\xf6\xf1"), DE); /* div cl */
	cpu.regs[X86_RAX] = 0x80000000;
	cpu.regs[X86_RDX] = 0xffffffff;
	cpu.regs[X86_RCX] = 0xffffffff;
	assert_fault(STEP("\xf7\xf9"), DE); /* idiv ecx: -2^31 / -1 */
	cpu.regs[X86_RCX] = 1;
	assert_done("\xf7\xf9");
	assert_int_equal(cpu.regs[X86_RAX], 0x80000000);
	cpu.regs[X86_RBX] = DIFF_DATA;
	put(DIFF_DATA, 0, 8);
	assert_fault(STEP("\xf7\x33"), DE); /* div dword [rbx] */
}

static void units_that_are_off(void **state)
{
	(void)state;
	cpu.cr0 |= X86_CR0_TS;
	cpu_mode_update(&cpu);
	assert_fault(STEP("\xd9\xe8"), NM);	    /* fld1 */
	assert_fault(STEP("\x9b"), NM);		    /* fwait, MP */
	assert_fault(STEP("\x0f\x58\xc1"), NM);	    /* addps */
	assert_fault(STEP("\xc5\xf0\x58\xc1"), NM); /* vaddps */
	assert_fault(STEP("\x0f\xfc\xc1"), NM);	    /* paddb mm */
	assert_done("\xf3\x0f\xb8\xc1");	    /* popcnt is none of them */
	cpu.cr0 &= ~(X86_CR0_TS | X86_CR0_MP);
	cpu.cr0 |= X86_CR0_EM;
	cpu_mode_update(&cpu);
	assert_fault(STEP("\xd9\xe8"), NM);
	assert_fault(STEP("\x0f\xfc\xc1"), UD);
	assert_fault(STEP("\x0f\x58\xc1"), UD);
	cpu.cr0 &= ~X86_CR0_EM;
	cpu.cr4 &= ~(X86_CR4_OSFXSR | UINT64_C(0x40000));
	cpu_mode_update(&cpu);
	assert_fault(STEP("\x0f\x58\xc1"), UD);
	assert_fault(STEP("\xc5\xf0\x58\xc1"), UD);
	assert_done("\x9b");
}

static void alignment(void **state)
{
	(void)state;
	cpu.cr0 |= X86_CR0_AM;
	cpu.rflags |= UINT64_C(0x40000);
	cpu_mode_update(&cpu);
	cpu.regs[X86_RBX] = DIFF_DATA + 2;
	assert_fault(STEP("\x8b\x03"), AC);
	assert_int_equal(cpu.fault.error, 0);
	assert_done("\x66\x8b\x03");
	cpu.regs[X86_RSP] = STACK + 4;
	assert_fault(STEP("\x50"), AC);
}

/* cmocka has put its own in the place of ours. */
static void handlers_again(void)
{
	struct err err;

	interp_vcpu_destroy(&cpu);
	assert_int_equal(interp_vcpu_create(&cpu, &err), 0);
}

static void unmasked_exceptions(void **state)
{
	uint32_t mxcsr = 0x1f00, plain = 0x1f80; /* an invalid operation is not masked */

	(void)state;
	handlers_again();
	put(DIFF_DATA, mxcsr, 4);
	put(DIFF_DATA + 8, 0xbf800000, 4); /* -1 */
	cpu.regs[X86_RBX] = DIFF_DATA;
	assert_done("\x0f\xae\x13");			       /* ldmxcsr */
	enum cpu_result result = STEP("\xf3\x0f\x51\x43\x08"); /* sqrtss xmm0, [rbx + 8] */
	__asm__ volatile("stmxcsr %0; ldmxcsr %1" : "=m"(mxcsr) : "m"(plain));
	assert_fault(result, 19);
	assert_int_equal(mxcsr, 0x1f01);
	cpu.cr4 &= ~X86_CR4_OSXMMEXCPT;
	assert_done("\x0f\xae\x13");
	result = STEP("\xf3\x0f\x51\x43\x08");
	__asm__ volatile("ldmxcsr %0" : : "m"(plain));
	assert_fault(result, UD);
	put(DIFF_DATA, 0x80001f80, 4);
	assert_fault(STEP("\x0f\xae\x13"), GP); /* reserved bits */
}

/* ---- between instructions ---- */

static void a_shadow_lasts_for_one_instruction(void **state)
{
	(void)state;
	cpu.shadow = CPU_SHADOW_STI;
	cpu.regs[X86_RBX] = DEVICE;
	assert_int_equal(STEP("\x8b\x03"), CPU_EXIT);
	assert_int_equal(cpu.shadow, CPU_SHADOW_STI); /* it has not retired */
	answer(1);
	assert_int_equal(interp_step(&cpu), CPU_OK);
	assert_int_equal(cpu.shadow, 0);
}

static void single_steps(void **state)
{
	(void)state;
	cpu.rflags |= X86_TF;
	cpu_mode_update(&cpu);
	(void)STEP("\x90"); /* there is no handler: the machine goes down on the way to it */
	assert_int_equal(cpu.dr[6] & 0x4000, 0x4000);
	assert_int_equal(cpu.rip, DIFF_CODE + 1);
}

static void the_resume_flag_is_not_in_a_trap_frame(void **state)
{
	(void)state;
	cpu.rflags |= X86_TF | UINT64_C(0x10000);
	cpu_mode_update(&cpu);
	(void)STEP("\x90");
	assert_int_equal(cpu.dr[6] & 0x4000, 0x4000);
	assert_false(cpu.rflags & UINT64_C(0x10000));
}

/* What an instruction met before it faulted is not told of the next. */
static void a_fault_forgets_watched_memory(void **state)
{
	(void)state;
	cpu.dr[0] = DIFF_DATA;
	cpu.dr[7] = 0x400 | 1 | 3U << 16 | 3U << 18; /* 4 bytes, reads and writes */
	cpu_mode_update(&cpu);
	cpu.regs[X86_RSI] = DIFF_DATA;
	cpu.regs[X86_RDI] = GUARD;
	assert_fault(STEP("\xa5"), PF); /* movsd */
	assert_done("\x90");
	assert_int_equal(cpu.dr[6] & 0xf, 0);
}

static void watched_memory(void **state)
{
	(void)state;
	cpu.dr[0] = DIFF_DATA + 4;
	cpu.dr[7] = 0x400 | 1 | 1U << 16 | 3U << 18; /* 4 bytes, writes */
	cpu_mode_update(&cpu);
	cpu.regs[X86_RBX] = DIFF_DATA + 4;
	assert_done("\x8b\x03");
	assert_int_equal(cpu.dr[6] & 0xf, 0);
	(void)STEP("\x88\x43\x03"); /* mov [rbx + 3], al */
	assert_int_equal(cpu.dr[6] & 0xf, 1);
	cpu.dr[6] = 0;
	cpu.dr[0] = cpu.rip;
	cpu.dr[7] = 0x400 | 1;
	cpu_mode_update(&cpu);
	assert_fault(STEP("\x90"), DB);
	assert_int_equal(cpu.dr[6] & 0xf, 1);
	cpu.rflags |= UINT64_C(0x10000); /* RF: passes, and is gone after */
	assert_done("\x90");
	assert_false(cpu.rflags & UINT64_C(0x10000));
}

/* ---- fetching ---- */

static void code_across_pages(void **state)
{
	static const uint8_t add[] = { 0x48, 0x81, 0xc0, 0x44, 0x33, 0x22, 0x11 };

	(void)state;
	for (unsigned split = 1; split < sizeof(add); split++) {
		cpu.rip = DIFF_DATA + DIFF_PAGE - split;
		cpu.regs[X86_RAX] = 0;
		for (unsigned i = 0; i < sizeof(add); i++)
			put(cpu.rip + i, add[i], 1);
		assert_int_equal(interp_step(&cpu), CPU_OK);
		assert_int_equal(cpu.regs[X86_RAX], 0x11223344);
		cpu.rip = GUARD - split;
		for (unsigned i = 0; i < split; i++)
			put(cpu.rip + i, add[i], 1);
		assert_fault(interp_step(&cpu), PF);
		assert_int_equal(cpu.fault.cr2, GUARD);
	}
	cpu.rip = GUARD - 1;
	put(GUARD - 1, 0x90, 1);
	assert_int_equal(interp_step(&cpu), CPU_OK); /* ends right there */
}

static void bytes_that_are_no_instruction(void **state)
{
	(void)state;
	assert_fault(STEP("\x06"), UD);
	assert_fault(STEP("\x0f\x0b"), UD);
	assert_fault(STEP("\xf0\x90"), UD); /* lock nop */
	assert_fault(STEP("\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x90"), GP);
}

/* One that the host's CPU may lack decodes, and is the guest's #UD then. */
static void what_the_host_lacks(void **state)
{
	(void)state;
	unsigned a, b, c, d = 0;
	if (__get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & AVX512_FP16))
		SKIP("this CPU lacks nothing that is known here");
	handlers_again();
	assert_fault(STEP("\x62\xf5\x74\x48\x58\xc2"), UD); /* vaddph */
	cpu.regs[X86_RBX] = GUARD;
	assert_fault(STEP("\x62\xf5\x74\x48\x58\x03"),
		     UD); /* and before its operand is looked at */
}

static void changed_code_is_executed_as_it_is(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 300; i++) {
		const char mov[] = { (char)0xb0, (char)i };
		cpu.rip = DIFF_CODE;
		assert_int_equal(step(mov, 2), CPU_OK);
		assert_int_equal(cpu.regs[X86_RAX] & 0xff, i & 0xff);
	}
	code_is(X86_CODE_32);
	cpu.rip = DIFF_CODE;
	assert_int_equal(STEP("\x48\x01\xc8"),
			 CPU_OK); /* dec eax, where 64-bit code has a REX prefix */
	assert_int_equal(cpu.rip, DIFF_CODE + 1);
}

/* ---- what 64-bit code does not have ---- */

static void bounds(void **state)
{
	(void)state;
	code_is(X86_CODE_32);
	put(DIFF_DATA, (uint32_t)-5, 4);
	put(DIFF_DATA + 4, 10, 4);
	cpu.regs[X86_RBX] = DIFF_DATA;
	cpu.regs[X86_RAX] = (uint32_t)-5;
	assert_done("\x62\x03");
	cpu.regs[X86_RAX] = 11;
	assert_fault(STEP("\x62\x03"), BR);
	cpu.regs[X86_RAX] = 0x123;
	assert_fault(STEP("\xd4\x00"), DE); /* aam 0 */
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(conditions),
		TEST(calls_and_returns),
		TEST(a_bad_target_changes_nothing),
		TEST(loops),
		TEST(pushes_and_pops),
		TEST(all_registers),
		TEST(frames),
		TEST(a_16_bit_stack_wraps),
		TEST(copies_across_pages),
		TEST(an_overlapping_copy_repeats_itself),
		TEST(backwards),
		TEST(a_fault_leaves_what_is_done),
		TEST(compares_and_scans),
		TEST(whoever_polls_is_heard),
		TEST(narrow_addresses),
		TEST(a_read_modify_write_of_a_device),
		TEST(a_pop_of_the_x87_stack_to_a_device_pops_once),
		TEST(a_string_from_a_port),
		TEST(a_port_is_not_read_for_a_page_that_is_not_there),
		TEST(locked_across_pages),
		TEST(an_address_of_two_registers_and_four_operands),
		TEST(bases_of_fs_and_gs),
		TEST(limits_of_segments),
		TEST(addresses_that_are_not_canonical),
		TEST(divisions),
		TEST(units_that_are_off),
		TEST(alignment),
		TEST(unmasked_exceptions),
		TEST(a_shadow_lasts_for_one_instruction),
		TEST(single_steps),
		TEST(the_resume_flag_is_not_in_a_trap_frame),
		TEST(a_fault_forgets_watched_memory),
		TEST(watched_memory),
		TEST(code_across_pages),
		TEST(bytes_that_are_no_instruction),
		TEST(what_the_host_lacks),
		TEST(changed_code_is_executed_as_it_is),
		TEST(bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
