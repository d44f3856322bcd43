/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engines/hosted/jit_parts.h"
#include "engines/spec.h"
#include "give_way.h"
#include "jit_run.h"

#define VECTOR_DE 0

static int setup_cache(void **state, uint64_t bytes)
{
	static struct jit_rig rig;

	*state = &rig;
	return jit_rig_create(&rig, bytes);
}

static int setup(void **state)
{
	return setup_cache(state, CACHE);
}

/* The least that there can be: a few blocks fill a region. */
static int setup_tiny(void **state)
{
	return setup_cache(state, UINT64_C(1200) << 10);
}

static int teardown(void **state)
{
	jit_rig_destroy(*state);
	return 0;
}

/* 1000 times around: sum in rax. */
static void a_loop_is_translated_and_linked(void **state)
{
	struct jit_rig *rig = *state;
	struct jit_stats stats;

	LOAD(rig, JIT_RIG_CODE, 0x31, 0xc0, /* xor eax, eax */
	     0xb9, 0xe8, 0x03, 0, 0,	    /* mov ecx, 1000 */
	     0x48, 0x01, 0xc8,		    /* 7: add rax, rcx */
	     0xff, 0xc9,		    /* dec ecx */
	     0x75, 0xf9,		    /* jne 7 */
	     HLT);
	run_to(rig, JIT_RIG_CODE, JIT_RIG_CODE + 14);
	assert_int_equal(rig->cpu.regs[X86_RAX], 500500);
	assert_int_equal(rig->cpu.insns, 1); /* HLT */
	jit_stats(&rig->cpu, &stats);
	assert_true(stats.links >= 2);
}

/* A kernel comes from interrupts with no SS, and from SYSCALL with one: its code was translated twice. */
static void the_stack_segment_is_nothing_to_64_bit_code(void **state)
{
	struct jit_rig *rig = *state;
	struct jit_stats before, after;

	LOAD(rig, JIT_RIG_CODE, 0x31, 0xc0, HLT);
	rig->cpu.segs[X86_SS].db = true;
	cpu_mode_update(&rig->cpu);
	run_to(rig, JIT_RIG_CODE, JIT_RIG_CODE + 2);
	jit_stats(&rig->cpu, &before);
	rig->cpu.segs[X86_SS].db = false;
	cpu_mode_update(&rig->cpu);
	run_to(rig, JIT_RIG_CODE, JIT_RIG_CODE + 2);
	jit_stats(&rig->cpu, &after);
	assert_int_equal(after.blocks, before.blocks);
}

/* Calls across pages, r10, r11, r15 in every role, flags over memory accesses. */
static void registers_in_memory_and_flags_are_kept(void **state)
{
	struct jit_rig *rig = *state;
	const uint64_t f = JIT_RIG_CODE + PAGE + 0x100;
	int32_t to_f = (int32_t)(f - (JIT_RIG_CODE + 38));
	uint8_t code[] = { 0x49, 0xba, 1,    2,	   3, 4, 5, 6, 7, 8, /* mov r10, imm64 */
			   0x4d, 0x89, 0xd3,			     /* mov r11, r10 */
			   0x4d, 0x01, 0xd3,			     /* add r11, r10 */
			   0x4c, 0x8d, 0x3f,			     /* lea r15, [rdi] */
			   0x4d, 0x89, 0x1f,			     /* mov [r15], r11 */
			   0x4d, 0x8b, 0x07,			     /* mov r8, [r15] */
			   0x4f, 0x8d, 0x0c, 0x13,		     /* lea r9, [r11 + r10] */
			   0x48, 0x83, 0xf9, 5,			     /* cmp rcx, 5 */
			   0xe8, 0,    0,    0,	   0,		     /* call f */
			   HLT };

	memcpy(code + 34, &to_f, 4);
	jit_rig_load(rig, JIT_RIG_CODE, code, sizeof(code));
	LOAD(rig, f, 0x41, 0x57,     /* push r15 */
	     0x48, 0x8b, 0x17,	     /* mov rdx, [rdi] */
	     0x41, 0x0f, 0x94, 0xc2, /* sete r10b: the flags of cmp */
	     0x48, 0x83, 0xd2, 0,    /* adc rdx, 0 */
	     0x41, 0x5f,	     /* pop r15 */
	     0xc3);
	for (uint64_t rcx = 4; rcx <= 5; rcx++) {
		rig->cpu.regs[X86_RDI] = JIT_RIG_DATA + 24;
		rig->cpu.regs[X86_RCX] = rcx;
		run_to(rig, JIT_RIG_CODE, JIT_RIG_CODE + 38);
		uint64_t r10 = UINT64_C(0x0807060504030201);
		assert_int_equal(rig->cpu.regs[X86_R8], 2 * r10);
		assert_int_equal(rig->cpu.regs[X86_R9], 3 * r10);
		assert_int_equal(rig->cpu.regs[X86_R10], (r10 & ~UINT64_C(0xff)) | (rcx == 5));
		assert_int_equal(rig->cpu.regs[X86_R11], 2 * r10);
		assert_int_equal(rig->cpu.regs[X86_R15], JIT_RIG_DATA + 24);
		assert_int_equal(rig->cpu.regs[X86_RDX], 2 * r10 + (rcx < 5));
		assert_int_equal(rig->cpu.regs[X86_RSP], JIT_RIG_STACK);
	}
}

static void a_fault_leaves_the_state_before_the_instruction(void **state)
{
	struct jit_rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpu;

	LOAD(rig, JIT_RIG_CODE, 0xb8, 1, 0, 0, 0, /* mov eax, 1 */
	     0x48, 0x83, 0x07, 7,		  /* add qword [rdi], 7 */
	     0x48, 0x87, 0x06,			  /* 9: xchg [rsi], rax */
	     HLT);
	cpu->regs[X86_RDI] = JIT_RIG_DATA;
	cpu->regs[X86_RSI] = JIT_RIG_DATA + 2 * PAGE + 8;
	put64(rig, JIT_RIG_DATA, 1);
	jit_rig_map(rig, JIT_RIG_DATA + 2 * PAGE, 0x102000, PTE & ~UINT64_C(2));
	cpu->rip = JIT_RIG_CODE;
	assert_int_equal(jit_rig_run(rig), CPU_FAULT);
	assert_int_equal(cpu->fault.vector, VECTOR_PF);
	assert_int_equal(cpu->fault.error, 7); /* present, write, user */
	assert_int_equal(cpu->fault.cr2, JIT_RIG_DATA + 2 * PAGE + 8);
	assert_int_equal(cpu->rip, JIT_RIG_CODE + 9);
	assert_int_equal(cpu->regs[X86_RAX], 1);
	assert_int_equal(get64(rig, JIT_RIG_DATA), 8);
}

static void a_push_that_faults_leaves_the_stack_pointer(void **state)
{
	struct jit_rig *rig = *state;

	LOAD(rig, JIT_RIG_CODE, 0x50, 0x50, HLT); /* push rax, twice */
	rig->cpu.regs[X86_RSP] = JIT_RIG_STACK + 8;
	jit_rig_map(rig, JIT_RIG_STACK - PAGE, 0, 0);
	rig->cpu.rip = JIT_RIG_CODE;
	assert_int_equal(jit_rig_run(rig), CPU_FAULT);
	assert_int_equal(rig->cpu.fault.vector, VECTOR_PF);
	assert_int_equal(rig->cpu.rip, JIT_RIG_CODE + 1);
	assert_int_equal(rig->cpu.regs[X86_RSP], JIT_RIG_STACK);
}

static void an_access_across_pages_that_are_no_neighbours(void **state)
{
	struct jit_rig *rig = *state;

	LOAD(rig, JIT_RIG_CODE, 0x48, 0x8b, 0x07, /* mov rax, [rdi] */
	     0x48, 0xff, 0xc0,			  /* inc rax */
	     0x48, 0x89, 0x07,			  /* mov [rdi], rax */
	     HLT);
	jit_rig_map(rig, JIT_RIG_DATA + PAGE, 0x150000, PTE);
	memset(rig->ram + 0x100ffc, 0xff, 4);
	memset(rig->ram + 0x150000, 0x11, 4);
	rig->cpu.regs[X86_RDI] = JIT_RIG_DATA + PAGE - 4;
	run_to(rig, JIT_RIG_CODE, JIT_RIG_CODE + 9);
	assert_int_equal(rig->cpu.regs[X86_RAX], UINT64_C(0x1111111200000000));
	assert_int_equal(rig->ram[0x150000], 0x12);
	assert_int_equal(rig->ram[0x100ffc], 0);
}

/* The rig is made here, since cmocka sets handlers of its own between setup and test. */
static void division_by_zero_is_the_guests_own(void **state)
{
	assert_int_equal(setup(state), 0);
	struct jit_rig *rig = *state;

	LOAD(rig, JIT_RIG_CODE, 0x31, 0xd2, /* xor edx, edx */
	     0x48, 0xf7, 0xf1,		    /* div rcx */
	     HLT);
	rig->cpu.regs[X86_RAX] = 77;
	rig->cpu.regs[X86_RCX] = 7;
	run_to(rig, JIT_RIG_CODE, JIT_RIG_CODE + 5);
	assert_int_equal(rig->cpu.regs[X86_RAX], 11);
	rig->cpu.regs[X86_RCX] = 0;
	rig->cpu.rip = JIT_RIG_CODE;
	assert_int_equal(jit_rig_run(rig), CPU_FAULT);
	assert_int_equal(rig->cpu.fault.vector, VECTOR_DE);
	assert_int_equal(rig->cpu.rip, JIT_RIG_CODE + 2);
	assert_int_equal(rig->cpu.regs[X86_RAX], 11);
	(void)teardown(state);
}

/* It changes the immediate of the instruction behind the store, each time around. */
static void code_that_changes_itself(void **state)
{
	struct jit_rig *rig = *state;

	LOAD(rig, JIT_RIG_CODE, 0xb9, 10, 0, 0, 0, /* mov ecx, 10 */
	     0x31, 0xc0,			   /* xor eax, eax */
	     0x89, 0x0d, 1, 0, 0, 0,		   /* 7: mov [rip + 1], ecx */
	     0x05, 0, 0, 0, 0,			   /* 13: add eax, imm32 */
	     0xff, 0xc9,			   /* dec ecx */
	     0x75, 0xf1,			   /* jne 7 */
	     HLT);
	run_to(rig, JIT_RIG_CODE, JIT_RIG_CODE + 22);
	assert_int_equal(rig->cpu.regs[X86_RAX], 55);
}

/* What ahead of a jump was taken for flags that do not matter has to be looked at again when it changes. */
static void flags_behind_a_jump_matter_when_its_target_changes(void **state)
{
	struct jit_rig *rig = *state;

	LOAD(rig, JIT_RIG_CODE, 0x39, 0xc9,		     /* cmp ecx, ecx */
	     0x48, 0x8b, 0x17,				     /* mov rdx, [rdi] */
	     0xeb, 0x10);				     /* jmp 23 */
	LOAD(rig, JIT_RIG_CODE + 23, 0x31, 0xdb, 0x90, HLT); /* xor ebx, ebx */
	rig->cpu.regs[X86_RDI] = JIT_RIG_DATA;
	run_to(rig, JIT_RIG_CODE, JIT_RIG_CODE + 26);
	LOAD(rig, JIT_RIG_CODE + 23, 0x0f, 0x94, 0xc3, HLT); /* sete bl */
	rig->cpu.regs[X86_RBX] = 0;
	run_to(rig, JIT_RIG_CODE, JIT_RIG_CODE + 26);
	assert_int_equal(rig->cpu.regs[X86_RBX], 1);
}

static void a_page_of_code_that_leads_elsewhere(void **state)
{
	struct jit_rig *rig = *state;
	const uint64_t f = JIT_RIG_CODE + 2 * PAGE;
	int32_t to_f = (int32_t)(f - (JIT_RIG_CODE + 5));
	uint8_t call[] = { 0xe8, 0, 0, 0, 0, HLT };

	memcpy(call + 1, &to_f, 4);
	jit_rig_load(rig, JIT_RIG_CODE, call, sizeof(call));
	LOAD(rig, f, 0xb8, 1, 0, 0, 0, 0xc3);			    /* mov eax, 1; ret */
	LOAD(rig, JIT_RIG_CODE + 5 * PAGE, 0xb8, 2, 0, 0, 0, 0xc3); /* mov eax, 2; ret */
	for (unsigned i = 0; i < 3; i++) {
		run_to(rig, JIT_RIG_CODE, JIT_RIG_CODE + 5);
		assert_int_equal(rig->cpu.regs[X86_RAX], 1);
	}
	jit_rig_map(rig, f, 5 * PAGE, PTE);
	run_to(rig, JIT_RIG_CODE, JIT_RIG_CODE + 5);
	assert_int_equal(rig->cpu.regs[X86_RAX], 2);
	jit_rig_map(rig, f, 2 * PAGE, PTE);
	run_to(rig, JIT_RIG_CODE, JIT_RIG_CODE + 5);
	assert_int_equal(rig->cpu.regs[X86_RAX], 1);
}

static void an_endless_loop_looks_at_poll(void **state)
{
	struct jit_rig *rig = *state;
	/* direct; by a register; by a return */
	static const uint8_t loops[3][8] = { { 0xeb, 0xfe }, { 0xff, 0xe0 }, { 0x50, 0xc3 } };

	for (unsigned i = 0; i < 3; i++) {
		jit_rig_load(rig, JIT_RIG_CODE, loops[i], sizeof(loops[i]));
		rig->cpu.regs[X86_RAX] = JIT_RIG_CODE;
		rig->cpu.regs[X86_RSP] = JIT_RIG_STACK;
		rig->cpu.rip = JIT_RIG_CODE;
		rig->kick_after = 2000;
		assert_int_equal(jit_rig_run(rig), CPU_OK);
		assert_int_equal(rig->cpu.rip, JIT_RIG_CODE);
		assert_true(rig->cpu.poll & CPU_POLL_KICK);
		rig->cpu.poll = 0;
	}
}

/* 4000 functions that call one another, on as many places, in a cache that holds a part of them. */
static void a_cache_that_is_too_small_still_computes(void **state)
{
	struct jit_rig *rig = *state;
	struct jit_stats stats;
	const unsigned n = 4000, each = 40;

	for (unsigned i = 0; i < n; i++) {
		uint64_t at = JIT_RIG_CODE + (uint64_t)i * each;
		uint8_t code[] = { 0x48, 0x83,
				   0xc0, 1, /* add rax, 1 */
				   0x48, 0x89,
				   0x47, 8, /* mov [rdi + 8], rax */
				   0x48, 0x03,
				   0x47, 8, /* add rax, [rdi + 8] */
				   0x48, 0x2b,
				   0x47, 8, /* sub rax, [rdi + 8] */
				   0xe9, (uint8_t)(each - 21),
				   0,	 0,
				   0 };
		jit_rig_load(rig, at, code, sizeof(code));
	}
	LOAD(rig, JIT_RIG_CODE + (uint64_t)n * each, HLT);
	for (unsigned times = 0; times < 3; times++) {
		rig->cpu.regs[X86_RAX] = 0;
		rig->cpu.regs[X86_RDI] = JIT_RIG_DATA + 0x80000;
		run_to(rig, JIT_RIG_CODE, JIT_RIG_CODE + (uint64_t)n * each);
		assert_int_equal(rig->cpu.regs[X86_RAX], n);
	}
	jit_stats(&rig->cpu, &stats);
	assert_true(stats.evictions > 0);
	assert_true(stats.blocks > n);
}

static void data_beside_code_becomes_quick_again(void **state)
{
	struct jit_rig *rig = *state;

	/* a loop that stores into its own page: after some stores its code goes, and is made again, not each time */
	LOAD(rig, JIT_RIG_CODE, 0xb9, 0x10, 0x27, 0, 0, /* mov ecx, 10000 */
	     0x89, 0x0f,				/* 5: mov [rdi], ecx */
	     0xff, 0xc9,				/* dec ecx */
	     0x75, 0xfa,				/* jne 5 */
	     HLT);
	rig->cpu.regs[X86_RDI] = JIT_RIG_CODE + 0x800;
	run_to(rig, JIT_RIG_CODE, JIT_RIG_CODE + 11);
	assert_int_equal(get64(rig, JIT_RIG_CODE + 0x800), 1);
	LOAD(rig, JIT_RIG_CODE + PAGE, 0xb9, 0x10, 0x27, 0, 0, 0x89, 0x0f, 0xff, 0xc9, 0x75, 0xfa,
	     HLT);
	rig->cpu.insns = 0;
	run_to(rig, JIT_RIG_CODE + PAGE, JIT_RIG_CODE + PAGE + 11);
	assert_true(rig->cpu.insns < 100); /* the first page has no code any more */
}

static void a_device_writes_code(void **state)
{
	struct jit_rig *rig = *state;

	for (uint8_t i = 1; i < 50; i++) {
		LOAD(rig, JIT_RIG_CODE, 0xb8, i, 0, 0, 0, HLT);
		assert_true(i == 1 || !jit_page_has_code(&rig->vm, 0));
		run_to(rig, JIT_RIG_CODE, JIT_RIG_CODE + 5);
		assert_int_equal(rig->cpu.regs[X86_RAX], i);
		assert_true(jit_page_has_code(&rig->vm, 0));
	}
}

/* Forwards and in a page: by the host's own. Over a page's end, backwards: interpreted, with the same result. */
static void strings_are_moved_in_place(void **state)
{
	static const struct {
		uint64_t count, at;
		unsigned interpreted; /* HLT too */
	} cases[] = {
		{ 100, 8, 1 }, { 0, 8, 1 }, { 512, 0, 1 }, { 100, PAGE - 400, 2 }, { 600, 0, 2 }
	};
	struct jit_rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpu;

	LOAD(rig, JIT_RIG_CODE, 0xf3, 0x48, 0xab, /* rep stosq */
	     0x48, 0x89, 0xd1,			  /* mov rcx, rdx */
	     0x4c, 0x89, 0xd7,			  /* mov rdi, r10 */
	     0xf3, 0x48, 0xa5,			  /* rep movsq */
	     HLT);
	jit_rig_map(rig, JIT_RIG_DATA + PAGE, 0x150000, PTE);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t bytes = cases[i].count * 8, from = JIT_RIG_DATA + cases[i].at;
		for (unsigned again = 0; again < 2; again++) { /* first the TLB is filled */
			cpu->insns = 0;
			cpu->regs[X86_RDI] = cpu->regs[X86_RSI] = from;
			cpu->regs[X86_RCX] = cpu->regs[X86_RDX] = cases[i].count;
			cpu->regs[X86_RAX] = 0x1111111111111111U * (i + 1);
			cpu->regs[X86_R10] = JIT_RIG_DATA + 4 * PAGE;
			run_to(rig, JIT_RIG_CODE, JIT_RIG_CODE + 12);
			assert_int_equal(cpu->regs[X86_RCX], 0);
			assert_int_equal(cpu->regs[X86_RSI], from + bytes);
			assert_int_equal(cpu->regs[X86_RDI], JIT_RIG_DATA + 4 * PAGE + bytes);
		}
		assert_int_equal(cpu->insns > 1, cases[i].interpreted > 1);
		if (bytes)
			assert_int_equal(get64(rig, JIT_RIG_DATA + 4 * PAGE + bytes - 8),
					 cpu->regs[X86_RAX]);
	}
}

static void an_instruction_on_two_pages(void **state)
{
	struct jit_rig *rig = *state;
	const uint64_t at = JIT_RIG_CODE + PAGE - 3;
	const uint8_t other[] = { 7, 0, HLT };

	LOAD(rig, at - 3, 0xb0, 9, 0x90, 0xb8, 1, 2, 3, 0,
	     HLT); /* mov al, 9; nop; mov eax, 0x30201 */
	for (unsigned i = 0; i < 3; i++) {
		run_to(rig, at - 3, at + 5);
		assert_int_equal(rig->cpu.regs[X86_RAX], 0x30201);
	}
	assert_int_equal(rig->cpu.insns, 3); /* HLT only */
	LOAD(rig, at + 3, 5);		     /* its second half changes */
	run_to(rig, at - 3, at + 5);
	assert_int_equal(rig->cpu.regs[X86_RAX], 0x50201);
	jit_rig_load(rig, JIT_RIG_CODE + 7 * PAGE, other, sizeof(other)); /* and leads elsewhere */
	jit_rig_map(rig, JIT_RIG_CODE + PAGE, 7 * PAGE, PTE);
	run_to(rig, at - 3, at + 5);
	assert_int_equal(rig->cpu.regs[X86_RAX], 0x70201);
	jit_rig_map(rig, JIT_RIG_CODE + PAGE, 0, 0);
	rig->cpu.rip = at - 3;
	assert_int_equal(jit_rig_run(rig), CPU_FAULT);
	assert_int_equal(rig->cpu.fault.cr2, JIT_RIG_CODE + PAGE);
	assert_int_equal(rig->cpu.rip, at);
}

static void pushf_gives_all_flags(void **state)
{
	struct jit_rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpu;

	LOAD(rig, JIT_RIG_CODE, 0xb0, 0x7f, /* mov al, 127 */
	     0x04, 1,			    /* add al, 1: OF, SF, AF */
	     0x9c, 0x5b,		    /* pushf; pop rbx */
	     0x0f, 0x90, 0xc1,		    /* seto cl */
	     HLT);
	cpu->rflags |= UINT64_C(0x40000); /* AC */
	run_to(rig, JIT_RIG_CODE, JIT_RIG_CODE + 9);
	assert_int_equal(cpu->regs[X86_RBX], 0x40000 | 0x202 | X86_OF | X86_SF | X86_AF);
	assert_int_equal(cpu->regs[X86_RCX] & 0xff, 1);
}

static void *writer(void *arg)
{
	struct jit_rig *rig = arg;
	const int64_t until = give_way_until(20);

	for (unsigned i = 0; i < 500 && give_way(until); i++)
		;
	LOAD(rig, JIT_RIG_CODE + PAGE + 1, 2); /* mov eax, 2 */
	return NULL;
}

/* Translated code runs round and round while another thread writes what it calls. */
static void another_thread_writes_code(void **state)
{
	struct jit_rig *rig = *state;
	int32_t to_f = (int32_t)(PAGE - 5);
	uint8_t code[] = { 0xe8, 0,    0, 0, 0, /* call f */
			   0x83, 0xf8, 1,	/* cmp eax, 1 */
			   0x74, 0xf6,		/* je */
			   HLT };

	memcpy(code + 1, &to_f, 4);
	jit_rig_load(rig, JIT_RIG_CODE, code, sizeof(code));
	for (unsigned times = 0; times < 20; times++) {
		pthread_t thread;
		LOAD(rig, JIT_RIG_CODE + PAGE, 0xb8, 1, 0, 0, 0, 0xc3); /* f: mov eax, 1; ret */
		assert_int_equal(pthread_create(&thread, NULL, writer, rig), 0);
		run_to(rig, JIT_RIG_CODE, JIT_RIG_CODE + 10);
		assert_int_equal(pthread_join(thread, NULL), 0);
		assert_int_equal(rig->cpu.regs[X86_RAX], 2);
	}
}

static void cache_sizes_that_cannot_be(void **state)
{
	struct hosted_vm vm = { 0 };
	struct err err;

	(void)state;
	assert_int_equal(jit_vm_create(&vm, 4, 1U << 20, &err), -EINVAL);
	assert_null(vm.jit);
	assert_non_null(strstr(err.text, "code cache"));
	/* 64 vcpus with the usual 64 MiB were refused. */
	assert_int_equal(jit_vm_create(&vm, 64, SPEC_VM_CODE_CACHE, &err), 0);
	jit_vm_destroy(&vm);
	assert_int_equal(jit_vm_create(&vm, 1, SPEC_VM_CODE_CACHE_MIN, &err), 0);
	jit_vm_destroy(&vm);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* SDM 1, Canonical Addressing: the branch faults, and has done nothing. */
static void a_branch_to_no_address_faulted_at_its_target(void **state)
{
	static const struct {
		uint8_t code[6];
		unsigned at; /* of the branch */
	} rows[] = {
		{ { 0x90, 0xff, 0xe3, HLT }, 1 },	/* jmp rbx */
		{ { 0x90, 0xff, 0xd3, HLT }, 1 },	/* call rbx */
		{ { 0x53, 0xc3, HLT }, 1 },		/* push rbx; ret */
		{ { 0x53, 0xc2, 0x20, 0x00, HLT }, 1 }, /* push rbx; ret 32 */
		{ { 0x53, 0xff, 0x24, 0x24, HLT }, 1 }, /* push rbx; jmp [rsp] */
	};
	struct jit_rig *rig = *state;

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t at = JIT_RIG_CODE + 64 * i;
		jit_rig_load(rig, at, rows[i].code, sizeof(rows[i].code));
		rig->cpu.regs[X86_RBX] = UINT64_C(0x123456789abcdef0);
		rig->cpu.regs[X86_RSP] = JIT_RIG_STACK;
		rig->cpu.rip = at;
		assert_int_equal(jit_rig_run(rig), CPU_FAULT);
		assert_int_equal(rig->cpu.fault.vector, VECTOR_GP);
		assert_int_equal(rig->cpu.rip, at + rows[i].at);
		assert_int_equal(rig->cpu.regs[X86_RSP],
				 JIT_RIG_STACK - (rows[i].code[0] == 0x53 ? 8 : 0));
	}
}

/* The child's end: 0x0f, 0x0b are UD2, where a block was. */
static void break_and_run(struct jit_rig *rig, int error)
{
	struct jit_vcpu *jit = rig->cpu.jit;

	(void)dup2(error, STDERR_FILENO);
	for (unsigned i = 0; i < JIT_REGIONS; i++) {
		jit_ref ref = jit->regions[i].blocks;
		for (; ref; ref = jit_block(jit, ref)->next_region) {
			struct jit_block *block = jit_block(jit, ref);
			for (uint32_t k = 0; k + 1 < block->code_bytes; k += 2)
				memcpy(jit->rw + block->code + k, "\x0f\x0b", 2);
		}
	}
	rig->cpu.rip = JIT_RIG_CODE;
	(void)jit_rig_run(rig);
	_exit(0);
}

static void a_fault_of_our_own_died_without_a_word(void **state)
{
	static const char words[] =
		"strata-vmm: the software CPU failed: host exception 0000000000000006";
	static struct jit_rig own; /* made here: its handlers, not cmocka's */
	struct jit_rig *rig = &own;
	char text[256] = { 0 };
	int ends[2], status;

	(void)state;
	assert_int_equal(jit_rig_create(rig, CACHE), 0);
	LOAD(rig, JIT_RIG_CODE, 0x31, 0xc0, HLT);
	run_to(rig, JIT_RIG_CODE, JIT_RIG_CODE + 2);
	assert_int_equal(pipe(ends), 0);
	pid_t child = fork();
	if (child == 0)
		break_and_run(rig, ends[1]);
	(void)close(ends[1]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(read(ends[0], text, sizeof(text) - 1) > 0);
	(void)close(ends[0]);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGILL);
	assert_int_equal(strncmp(text, words, sizeof(words) - 1), 0);
	jit_rig_destroy(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_loop_is_translated_and_linked),
		T(registers_in_memory_and_flags_are_kept),
		T(the_stack_segment_is_nothing_to_64_bit_code),
		T(a_fault_leaves_the_state_before_the_instruction),
		T(a_push_that_faults_leaves_the_stack_pointer),
		T(an_access_across_pages_that_are_no_neighbours),
		cmocka_unit_test(division_by_zero_is_the_guests_own),
		cmocka_unit_test(a_fault_of_our_own_died_without_a_word),
		T(a_branch_to_no_address_faulted_at_its_target),
		T(code_that_changes_itself),
		T(flags_behind_a_jump_matter_when_its_target_changes),
		T(a_page_of_code_that_leads_elsewhere),
		T(an_endless_loop_looks_at_poll),
		cmocka_unit_test_setup_teardown(a_cache_that_is_too_small_still_computes,
						setup_tiny, teardown),
		T(data_beside_code_becomes_quick_again),
		T(a_device_writes_code),
		T(strings_are_moved_in_place),
		T(an_instruction_on_two_pages),
		T(pushf_gives_all_flags),
		T(another_thread_writes_code),
		cmocka_unit_test(cache_sizes_that_cannot_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
