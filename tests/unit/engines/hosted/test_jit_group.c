/* SPDX-License-Identifier: Apache-2.0 */
/* Accesses that share a look-up, and code that is far from the state that it reaches. */
#include "jit_run.h"

#include <sys/mman.h>

#include "engines/hosted/jit_parts.h"

static int setup(void **state)
{
	static struct jit_rig rig;

	*state = &rig;
	return jit_rig_create(&rig, CACHE);
}

static int teardown(void **state)
{
	jit_rig_destroy(*state);
	return 0;
}

/* No place near the vcpu's state is free for the code, which reaches it by GS then. */
static int setup_far(void **state)
{
	const uint64_t reach = UINT64_C(3) << 30;
	static struct jit_rig rig;
	const uint64_t here = (uintptr_t)&rig & ~(uint64_t)(PAGE - 1);

	for (uint64_t at = here; at < here + reach; at += CACHE)
		(void)mmap((void *)at, CACHE, PROT_NONE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1,
			   0);
	*state = &rig;
	return jit_rig_create(&rig, CACHE);
}

/* push rbx, push r15, three fields, pop, pop: one look-up, wherever the stack is. */
static void accesses_that_share_a_look_up(void **state)
{
	struct jit_rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpu;
	struct jit_stats before, after;

	LOAD(rig, JIT_RIG_CODE, 0x53,	/* push rbx */
	     0x41, 0x57,		/* push r15 */
	     0x48, 0x83, 0xec, 0x18,	/* sub rsp, 24 */
	     0x48, 0x89, 0x7c, 0x24, 8, /* mov [rsp + 8], rdi */
	     0x48, 0x01, 0x74, 0x24, 8, /* add [rsp + 8], rsi */
	     0x48, 0x8b, 0x5c, 0x24, 8, /* mov rbx, [rsp + 8] */
	     0x48, 0x89, 0xd8,		/* mov rax, rbx */
	     0x48, 0x83, 0xc4, 0x18,	/* add rsp, 24 */
	     0x41, 0x5f,		/* pop r15 */
	     0x5b,			/* pop rbx */
	     HLT);
	jit_rig_map(rig, JIT_RIG_STACK - PAGE, 0x150000, PTE);
	for (unsigned at = 0; at < 80;
	     at += 8) { /* over a page's end, to one that is no neighbour */
		for (unsigned i = 0; i < 2; i++) {
			cpu->regs[X86_RSP] = JIT_RIG_STACK + 48 - at;
			cpu->regs[X86_RBX] = 0x1234;
			cpu->regs[X86_R15] = 0x5678;
			cpu->regs[X86_RDI] = 100 + at;
			cpu->regs[X86_RSI] = 11;
			run_to(rig, JIT_RIG_CODE, JIT_RIG_CODE + 32);
			assert_int_equal(cpu->regs[X86_RAX], 111 + at);
			assert_int_equal(cpu->regs[X86_RBX], 0x1234);
			assert_int_equal(cpu->regs[X86_R15], 0x5678);
			assert_int_equal(cpu->regs[X86_RSP], JIT_RIG_STACK + 48 - at);
		}
	}
	jit_stats(cpu, &before);
	cpu->regs[X86_RSP] = JIT_RIG_STACK - 64;
	run_to(rig, JIT_RIG_CODE, JIT_RIG_CODE + 32);
	jit_stats(cpu, &after);
	assert_true(after.misses - before.misses <= 1);
}

/* One look-up for all of a page that RIP-relative operands are in; a fault is that of the access whose turn it is. */
static void known_addresses_share_a_look_up(void **state)
{
	struct jit_rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpu;
	struct jit_stats before, after;

	LOAD(rig, JIT_RIG_CODE, 0x48, 0x8b, 0x05, 0xf9, 0xff, 0x0f, 0, /* mov rax, [DATA] */
	     0x48, 0x03, 0x05, 0xf2, 0xff, 0x0f, 0,		       /* 7: add rax, [DATA] */
	     0x48, 0x89, 0x05, 0xe3, 0x0f, 0x10, 0, /* 14: mov [DATA + 4088], rax */
	     0x4c, 0x8b, 0x15, 0xdc, 0x0f, 0x10, 0, /* 21: mov r10, [DATA + 4088] */
	     HLT);
	put64(rig, JIT_RIG_DATA, 33);
	jit_rig_map(rig, JIT_RIG_DATA, 0x100000, PTE & ~UINT64_C(2));
	cpu->rip = JIT_RIG_CODE;
	assert_int_equal(jit_rig_run(rig), CPU_FAULT);
	assert_int_equal(cpu->fault.cr2, JIT_RIG_DATA + 4088);
	assert_int_equal(cpu->rip, JIT_RIG_CODE + 14);
	assert_int_equal(cpu->regs[X86_RAX], 66);
	jit_rig_map(rig, JIT_RIG_DATA, 0x100000, PTE);
	jit_stats(cpu, &before);
	run_to(rig, JIT_RIG_CODE, JIT_RIG_CODE + 28);
	jit_stats(cpu, &after);
	assert_int_equal(cpu->regs[X86_R10], 66);
	assert_int_equal(after.misses - before.misses, 1);
	run_to(rig, JIT_RIG_CODE, JIT_RIG_CODE + 28);
	jit_stats(cpu, &before);
	assert_int_equal(before.misses, after.misses);
}

/* The first access is allowed, the next one, of the same group, is not. */
static void a_group_that_may_only_be_read(void **state)
{
	struct jit_rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpu;

	LOAD(rig, JIT_RIG_CODE, 0x48, 0x8b, 0x07, /* mov rax, [rdi] */
	     0x48, 0x89, 0x47, 8,		  /* 3: mov [rdi + 8], rax */
	     HLT);
	put64(rig, JIT_RIG_DATA + PAGE, 99);
	jit_rig_map(rig, JIT_RIG_DATA + PAGE, 0x101000, PTE & ~UINT64_C(2));
	cpu->regs[X86_RDI] = JIT_RIG_DATA + PAGE;
	cpu->regs[X86_RAX] = 0;
	cpu->rip = JIT_RIG_CODE;
	assert_int_equal(jit_rig_run(rig), CPU_FAULT);
	assert_int_equal(cpu->fault.vector, VECTOR_PF);
	assert_int_equal(cpu->fault.error, 7);
	assert_int_equal(cpu->fault.cr2, JIT_RIG_DATA + PAGE + 8);
	assert_int_equal(cpu->rip, JIT_RIG_CODE + 3);
	assert_int_equal(cpu->regs[X86_RAX], 99);
	jit_rig_map(rig, JIT_RIG_DATA + PAGE, 0x101000, PTE);
	run_to(rig, JIT_RIG_CODE, JIT_RIG_CODE + 7);
	assert_int_equal(get64(rig, JIT_RIG_DATA + PAGE + 8), 99);
}

/* A store that is behind a branch marks its page when it is executed, not when a load before it is. */
static void a_store_behind_a_branch_leaves_the_page_clean(void **state)
{
	struct jit_rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpu;
	const uint64_t leaf = JIT_RIG_TABLES + 3 * PAGE + 0x101 * 8;
	uint64_t entry;

	LOAD(rig, JIT_RIG_CODE, 0x48, 0x8b, 0x07, /* mov rax, [rdi] */
	     0x85, 0xf6,			  /* test esi, esi */
	     0x74, 8,				  /* je 15 */
	     0x48, 0x8b, 0x5f, 16,		  /* mov rbx, [rdi + 16] */
	     0x48, 0x89, 0x47, 8,		  /* mov [rdi + 8], rax */
	     HLT);
	put64(rig, JIT_RIG_DATA + PAGE, 77);
	for (uint64_t stores = 0; stores < 2; stores++) {
		jit_rig_map(rig, JIT_RIG_DATA + PAGE, 0x101000, PTE & ~UINT64_C(0x40));
		cpu->regs[X86_RDI] = JIT_RIG_DATA + PAGE;
		cpu->regs[X86_RSI] = stores;
		run_to(rig, JIT_RIG_CODE, JIT_RIG_CODE + 15);
		assert_int_equal(cpu->regs[X86_RAX], 77);
		memcpy(&entry, rig->ram + leaf, 8);
		assert_int_equal(entry & 0x40, stores ? 0x40 : 0);
		assert_int_equal(get64(rig, JIT_RIG_DATA + PAGE + 8), stores ? 77 : 0);
		jit_rig_map(rig, JIT_RIG_DATA + PAGE, 0x101000, PTE & ~UINT64_C(2)); /* RO */
		cpu->regs[X86_RSI] = 0;
		run_to(rig, JIT_RIG_CODE, JIT_RIG_CODE + 15);
	}
}

/* b[i] = a[i - 1] + a[i] + a[i + 1], some times around the loop, over the ends of pages that are no neighbours on the host. */
static void a_short_loop_shares_look_ups_among_its_rounds(void **state)
{
	struct jit_rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpu;
	struct jit_stats before, after;

	LOAD(rig, JIT_RIG_CODE, 0x48, 0x8b, 0x14, 0xc3, /* mov rdx, [rbx + rax * 8] */
	     0x48, 0x03, 0x54, 0xc3, 8,			/* add rdx, [rbx + rax * 8 + 8] */
	     0x48, 0x03, 0x54, 0xc3, 16,		/* add rdx, [rbx + rax * 8 + 16] */
	     0x48, 0x89, 0x54, 0xc5, 8,			/* mov [rbp + rax * 8 + 8], rdx */
	     0x48, 0xff, 0xc0,				/* inc rax */
	     0x48, 0x39, 0xc8,				/* cmp rax, rcx */
	     0x75, 0xe5,				/* jne 0 */
	     HLT);
	jit_rig_map(rig, JIT_RIG_DATA + PAGE, 0x160000, PTE);
	for (uint64_t i = 0; i < 1024; i++) {
		uint64_t at = JIT_RIG_DATA + i * 8;
		put64(rig, i < 512 ? at : at + 0x5f000, i * i);
	}
	for (uint64_t start = 490; start < 512; start++) {
		for (uint64_t rounds = 1; rounds < 40; rounds++) {
			cpu->regs[X86_RBX] = JIT_RIG_DATA;
			cpu->regs[X86_RBP] = JIT_RIG_DATA + 2 * PAGE + 4;
			cpu->regs[X86_RAX] = start;
			cpu->regs[X86_RCX] = start + rounds;
			run_to(rig, JIT_RIG_CODE, JIT_RIG_CODE + 27);
			uint64_t last = start + rounds;
			assert_int_equal(cpu->regs[X86_RAX], last);
			assert_int_equal(cpu->regs[X86_RDX], 3 * last * last + 2);
			assert_int_equal(get64(rig, JIT_RIG_DATA + 2 * PAGE + 4 + last * 8),
					 3 * last * last + 2);
		}
	}
	jit_stats(cpu, &before);
	cpu->regs[X86_RAX] = 0;
	run_to(rig, JIT_RIG_CODE, JIT_RIG_CODE + 27);
	jit_stats(cpu, &after);
	assert_in_range(after.misses - before.misses, 0, 6); /* 550 rounds, two ends of pages */
	LOAD(rig, JIT_RIG_CODE + 8, 0);			     /* add rdx, [rbx + rax * 8] */
	cpu->regs[X86_RAX] = 100;
	cpu->regs[X86_RCX] = 120;
	run_to(rig, JIT_RIG_CODE, JIT_RIG_CODE + 27);
	assert_int_equal(cpu->regs[X86_RDX], 2 * 119 * 119 + 121 * 121);
}

/* The value, and not what the stack pointer would have become. */
static void pop_into_the_stack_pointer(void **state)
{
	struct jit_rig *rig = *state;

	LOAD(rig, JIT_RIG_CODE, 0x58, /* pop rax */
	     0x5b,		      /* pop rbx */
	     0x5c,		      /* pop rsp */
	     0x59,		      /* pop rcx */
	     HLT);
	for (unsigned i = 0; i < 3; i++)
		put64(rig, JIT_RIG_STACK - 64 + i * 8, i < 2 ? i + 1 : JIT_RIG_STACK - 128);
	put64(rig, JIT_RIG_STACK - 128, 44);
	rig->cpu.regs[X86_RSP] = JIT_RIG_STACK - 64;
	run_to(rig, JIT_RIG_CODE, JIT_RIG_CODE + 4);
	assert_int_equal(rig->cpu.regs[X86_RAX], 1);
	assert_int_equal(rig->cpu.regs[X86_RBX], 2);
	assert_int_equal(rig->cpu.regs[X86_RCX], 44);
	assert_int_equal(rig->cpu.regs[X86_RSP], JIT_RIG_STACK - 120);
	assert_int_equal(rig->cpu.insns, 1); /* HLT */
}

static void the_state_is_reached_by_gs_where_it_is_far(void **state)
{
	const struct jit_rig *rig = *state;

	assert_int_equal(rig->cpu.jit->state, 0);
	accesses_that_share_a_look_up(state);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
/* Those whose machine finds no room near it: last, since the room stays taken. */
#define T_FAR(test) cmocka_unit_test_setup_teardown(test, setup_far, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(accesses_that_share_a_look_up),
		T(known_addresses_share_a_look_up),
		T(a_group_that_may_only_be_read),
		T(a_store_behind_a_branch_leaves_the_page_clean),
		T(a_short_loop_shares_look_ups_among_its_rounds),
		T(pop_into_the_stack_pointer),
		T_FAR(the_state_is_reached_by_gs_where_it_is_far),
		T_FAR(known_addresses_share_a_look_up),
		T_FAR(a_short_loop_shares_look_ups_among_its_rounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
