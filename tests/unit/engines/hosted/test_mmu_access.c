/* SPDX-License-Identifier: Apache-2.0 */
/* Accesses: across pages, devices, ROM, pages with code; and what other vcpus may still write. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "engines/hosted/io.h"
#include "mmu_rig.h"

#define PW (PTE_P | PTE_W)

static void map(struct rig *rig, uint64_t gva, uint64_t gpa, uint64_t bits)
{
	rig_map(rig, 1, gva, gpa, PW, bits);
}

static struct hosted_cpu *start(struct rig *rig)
{
	rig_paging(rig, RIG_LONG);
	return &rig->cpus[0];
}

static void a_clean_page_gets_no_write_tag(void **state)
{
	struct rig *rig = *state;
	struct hosted_cpu *cpu = start(rig);
	uint32_t word = 7;

	map(rig, 0x1000, 0x100000, PW);
	assert_int_equal(cpu_load(cpu, 0x1000, &word, 4), CPU_OK);
	assert_int_equal(cpu->tlb->entries[1].read, 0x1000);
	assert_int_equal(cpu->tlb->entries[1].write, cpu_tlb_none(1));
	assert_int_equal(cpu_store(cpu, 0x1000, &word, 4), CPU_OK);
	assert_int_equal(cpu->tlb->entries[1].write, 0x1000);
	assert_ptr_equal(cpu_hva(&cpu->tlb->entries[1], 0x1004), rig->ram + 0x100004);
}

static void accesses_cross_pages(void **state)
{
	struct rig *rig = *state;
	struct hosted_cpu *cpu = start(rig);
	uint8_t out[64], back[64];

	map(rig, 0x1000, 0x105000, PW);
	map(rig, 0x2000, 0x102000, PW);
	for (unsigned len = 1; len <= 64; len++) {
		for (unsigned before = 0; before <= len; before++) {
			for (unsigned i = 0; i < len; i++)
				out[i] = (uint8_t)(len * 7 + before * 3 + i);
			memset(rig->ram + 0x105f00, 0, 0x100);
			memset(rig->ram + 0x102000, 0, 0x100);
			assert_int_equal(cpu_store(cpu, 0x2000 - before, out, len), CPU_OK);
			assert_int_equal(cpu_load(cpu, 0x2000 - before, back, len), CPU_OK);
			assert_memory_equal(out, back, len);
			assert_memory_equal(rig->ram + 0x106000 - before, out, before);
			assert_memory_equal(rig->ram + 0x102000, out + before, len - before);
			assert_int_equal(rig->ram[0x106000 - before - 1], 0);
			assert_int_equal(rig->ram[0x102000 + len - before], 0);
		}
	}
}

static void a_store_that_faults_in_its_second_page_stores_nothing(void **state)
{
	struct rig *rig = *state;
	struct hosted_cpu *cpu = start(rig);
	uint64_t word = UINT64_MAX;

	map(rig, 0x1000, 0x105000, PW);
	assert_int_equal(cpu_store(cpu, 0x1ffd, &word, 8), CPU_FAULT);
	assert_int_equal(cpu->fault.cr2, 0x2000);
	assert_int_equal(cpu->fault.error, 2);
	assert_int_equal(rig->ram[0x105ffd], 0);
	assert_int_equal(cpu_load(cpu, 0x1ffd, &word, 8), CPU_FAULT);
	assert_int_equal(cpu->fault.cr2, 0x2000);
	assert_int_equal(cpu_probe(cpu, 0x1ff8, 8, CPU_WRITE), CPU_OK);
	assert_int_equal(cpu_probe(cpu, 0x1ff9, 8, CPU_WRITE), CPU_FAULT);
	assert_int_equal(cpu_load(cpu, 0xffd, &word, 8), CPU_FAULT);
	assert_int_equal(cpu->fault.cr2, 0xffd);
}

static void linear_addresses_wrap_at_four_gib_but_in_64_bit_code(void **state)
{
	struct rig *rig = *state;
	struct hosted_cpu *cpu = start(rig);
	uint32_t word = 0x44332211, back = 0;

	map(rig, 0xfffff000, 0x105000, PW);
	map(rig, 0, 0x102000, PW);
	assert_int_equal(cpu_store(cpu, 0xfffffffe, &word, 4), CPU_FAULT); /* 0x100000000 */
	assert_int_equal(cpu->fault.cr2, 0x100000000);
	cpu->mode = X86_CODE_32;
	rig_paging(rig, RIG_PAE);
	rig_map(rig, 1, 0, 0x102000, PW, PW);
	uint64_t gva = 0xfffff000;
	/* rig's tables are one of each level: PDPTE 3 and 0 lead to the same */
	rig_map(rig, 1, gva, 0x105000, PW, PW);
	assert_int_equal(cpu_store(cpu, 0xfffffffe, &word, 4), CPU_OK);
	assert_int_equal(cpu_load(cpu, 0xfffffffe, &back, 4), CPU_OK);
	assert_int_equal(back, word);
	assert_int_equal(rig->ram[0x102000], 0x33);
}

/* ---- devices ---- */

/* Runs an access until it is done; the machine's answers are `answer`, and what it saw is counted. */
static unsigned asked(struct hosted_cpu *cpu, struct vcpu_io *io, uint64_t gva, void *data,
		      unsigned len, bool is_write, uint64_t answer, uint64_t *ret_gpas)
{
	unsigned n = 0;

	cpu->io_out = io;
	for (;;) {
		enum cpu_result r =
			is_write ? cpu_store(cpu, gva, data, len) : cpu_load(cpu, gva, data, len);
		if (r == CPU_OK)
			break;
		assert_int_equal(r, CPU_EXIT);
		assert_int_equal(cpu->exit, VCPU_EXIT_MMIO);
		assert_int_equal(io->mmio.is_write, is_write);
		ret_gpas[n++] = io->mmio.gpa << 8 | io->mmio.len;
		if (!is_write)
			memcpy(io->mmio.data, &answer, io->mmio.len);
		io_begin(cpu);
		assert_in_range(n, 1, 16);
	}
	assert_int_equal(cpu->io.at, cpu->io.n_done);
	io_retire(cpu);
	return n;
}

static void devices_are_asked_through_the_journal(void **state)
{
	struct rig *rig = *state;
	struct hosted_cpu *cpu = start(rig);
	struct vcpu_io io = { 0 };
	uint64_t gpas[16], word = 0;
	uint8_t wide[64];

	map(rig, 0x1000, RIG_NOTHING, PW);
	map(rig, 0x2000, 0x102000, PW);
	assert_int_equal(asked(cpu, &io, 0x1010, &word, 4, false, 0xfeedbeef, gpas), 1);
	assert_int_equal(word, 0xfeedbeef);
	assert_int_equal(gpas[0], (RIG_NOTHING + 0x10ULL) << 8 | 4);
	assert_int_equal(asked(cpu, &io, 0x1010, &word, 8, true, 0, gpas), 1);
	assert_memory_equal(io.mmio.data, &word, 8);
	/* 64 bytes are eight accesses, three at a page's end are two */
	assert_int_equal(asked(cpu, &io, 0x1000, wide, 64, false, 0x0102030405060708, gpas), 8);
	assert_int_equal(wide[63], 1);
	assert_int_equal(gpas[7], (RIG_NOTHING + 56ULL) << 8 | 8);
	memset(rig->ram + 0x102000, 0x99, 16);
	word = 0;
	assert_int_equal(asked(cpu, &io, 0x1ffd, &word, 8, false, 0x0a0b, gpas), 2);
	assert_int_equal(word, 0x99999999990b0a0bULL);
	assert_int_equal(gpas[1], (RIG_NOTHING + 0xfffULL) << 8 | 1);
}

static void memory_is_not_written_before_the_device_has_answered(void **state)
{
	struct rig *rig = *state;
	struct hosted_cpu *cpu = start(rig);
	struct vcpu_io io = { 0 };
	uint64_t word = UINT64_MAX;

	map(rig, 0x1000, 0x102000, PW);
	map(rig, 0x2000, RIG_NOTHING, PW);
	cpu->io_out = &io;
	assert_int_equal(cpu_store(cpu, 0x1ffc, &word, 8), CPU_EXIT);
	assert_int_equal(rig->ram[0x102ffc], 0);
	io_begin(cpu);
	assert_int_equal(cpu_store(cpu, 0x1ffc, &word, 8), CPU_OK);
	assert_int_equal(rig->ram[0x102ffc], 0xff);
}

static void rom_is_read_as_memory_and_written_as_a_device(void **state)
{
	struct rig *rig = *state;
	struct hosted_cpu *cpu = start(rig);
	struct vcpu_io io = { 0 };
	uint64_t gpas[16], word = 0;
	uint8_t *hva;
	uint64_t gpa;

	map(rig, 0x1000, RIG_ROM, PW | PTE_D);
	assert_int_equal(cpu_load(cpu, 0x1000, &word, 2), CPU_OK);
	assert_int_equal(word, 0x5a5a);
	assert_int_equal(cpu->tlb->entries[1].write, cpu_tlb_none(1));
	assert_int_equal(mmu_fill(cpu, 0x1008, CPU_WRITE, &hva, &gpa), CPU_EXIT);
	assert_int_equal(gpa, RIG_ROM + 8);
	assert_int_equal(asked(cpu, &io, 0x1000, &word, 4, true, 0, gpas), 1);
	assert_int_equal(gpas[0], (uint64_t)RIG_ROM << 8 | 4);
	assert_int_equal(rig->rom[0], 0x5a);
	hva = rig->ram;
	assert_int_equal(cpu_pin(cpu, 0x1000, 4, true, &hva), CPU_OK);
	assert_null(hva);
	assert_int_equal(cpu_pin(cpu, 0x1000, 4, false, &hva), CPU_OK);
	assert_ptr_equal(hva, rig->rom);
}

static void a_journal_that_does_not_fit_any_more_is_cut(void **state)
{
	struct rig *rig = *state;
	struct hosted_cpu *cpu = start(rig);
	struct vcpu_io io = { 0 };
	uint64_t data = 0;

	cpu->io_out = &io;
	assert_int_equal(io_access(cpu, true, false, 0x60, 1, &data), CPU_EXIT);
	assert_int_equal(cpu->exit, VCPU_EXIT_PIO);
	assert_int_equal(io.pio.port, 0x60);
	*io.pio.data = 0x55;
	io_begin(cpu);
	/* Another instruction stands there now. */
	assert_int_equal(io_access(cpu, true, false, 0x61, 1, &data), CPU_EXIT);
	assert_int_equal(cpu->io.n_done, 0);
	*io.pio.data = 0x66;
	io_begin(cpu);
	assert_int_equal(io_access(cpu, true, false, 0x61, 1, &data), CPU_OK);
	assert_int_equal(data, 0x66);
}

static void an_instruction_without_end_fails(void **state)
{
	struct rig *rig = *state;
	struct hosted_cpu *cpu = start(rig);
	struct vcpu_io io = { 0 };
	uint64_t data = 0;

	cpu->io_out = &io;
	for (unsigned i = 0; i < CPU_IO_MAX; i++) {
		for (unsigned j = 0; j < i; j++)
			assert_int_equal(io_access(cpu, false, true, j, 1, &data), CPU_OK);
		assert_int_equal(io_access(cpu, false, true, i, 1, &data), CPU_EXIT);
		assert_int_equal(cpu->exit, VCPU_EXIT_MMIO);
		io_begin(cpu);
	}
	for (unsigned j = 0; j < CPU_IO_MAX; j++)
		assert_int_equal(io_access(cpu, false, true, j, 1, &data), CPU_OK);
	assert_int_equal(io_access(cpu, false, true, 99, 1, &data), CPU_EXIT);
	assert_int_equal(cpu->exit, VCPU_EXIT_FAIL);
	assert_false(cpu->io.pending);
}

/* ---- code ---- */

static void stores_to_pages_with_code_are_told(void **state)
{
	struct rig *rig = *state;
	struct hosted_cpu *cpu = start(rig);
	uint32_t word = 0x90909090;
	uint8_t *hva;
	uint64_t gpa = 0;

	map(rig, 0x1000, 0x100000, PW | PTE_D);
	rig->code[0x100] = 1;
	assert_int_equal(mmu_fill(cpu, 0x1004, CPU_WRITE, &hva, &gpa), CPU_EXIT);
	assert_int_equal(gpa, 0x100004);
	assert_int_equal(cpu->tlb->entries[1].write, cpu_tlb_none(1));
	assert_int_equal(cpu->tlb->entries[1].read, 0x1000);
	assert_int_equal(cpu_store(cpu, 0x1004, &word, 4), CPU_OK);
	assert_int_equal(rig->wrote, 1);
	assert_int_equal(rig->wrote_gpa, 0x100004);
	assert_int_equal(rig->wrote_len, 4);
	assert_memory_equal(rig->ram + 0x100004, &word, 4);
	/* jit_wrote() of this rig leaves no code: the next store goes straight */
	assert_int_equal(cpu_store(cpu, 0x1004, &word, 4), CPU_OK);
	assert_int_equal(cpu->tlb->entries[1].write, 0x1000);
	assert_int_equal(rig->wrote, 1);
}

static void a_pinned_page_has_no_code_left(void **state)
{
	struct rig *rig = *state;
	struct hosted_cpu *cpu = start(rig);
	uint8_t *hva = NULL;

	map(rig, 0x1000, 0x100000, PW);
	map(rig, 0x2000, 0x101000, PW); /* its neighbour */
	map(rig, 0x3000, 0x105000, PW);
	rig->code[0x100] = rig->code[0x101] = 1;
	assert_int_equal(cpu_pin(cpu, 0x1ffc, 8, true, &hva), CPU_OK);
	assert_ptr_equal(hva, rig->ram + 0x100ffc);
	assert_int_equal(rig->wrote, 2);
	assert_int_equal(rig->code[0x100] | rig->code[0x101], 0);
	assert_int_equal(cpu_pin(cpu, 0x2ffc, 8, true, &hva), CPU_OK);
	assert_null(hva); /* no neighbours */
	assert_int_equal(cpu_pin(cpu, 0x4000, 8, true, &hva), CPU_FAULT);
}

static void fetches_stop_where_the_code_does(void **state)
{
	struct rig *rig = *state;
	struct hosted_cpu *cpu = start(rig);
	uint8_t bytes[X86_INSN_MAX];
	unsigned n = 0;

	map(rig, 0x1000, 0x100000, PW);
	cpu->fault.vector = 99;
	assert_int_equal(cpu_fetch(cpu, 0x1ffa, bytes, &n), CPU_OK);
	assert_int_equal(n, 6);
	assert_int_equal(cpu->fault.vector, 99); /* what was tried in vain left no trace */
	map(rig, 0x2000, 0x105000, PW);
	memset(rig->ram + 0x105000, 0x77, 16);
	assert_int_equal(cpu_fetch(cpu, 0x1ffa, bytes, &n), CPU_OK);
	assert_int_equal(n, 15);
	assert_int_equal(bytes[6], 0x77);
	map(rig, 0x3000, RIG_NOTHING, PW);
	assert_int_equal(cpu_fetch(cpu, 0x3000, bytes, &n), CPU_OK);
	assert_int_equal(bytes[0], 0xff);
	const uint8_t *hva;
	uint64_t gpa;
	assert_int_equal(cpu_fetch_page(cpu, 0x3000, &gpa, &hva), CPU_EXIT);
}

/* ---- other vcpus ---- */

static void a_protected_page_is_written_by_no_one(void **state)
{
	struct rig *rig = *state;
	uint32_t word = 1;

	(void)start(rig);
	map(rig, 0x1000, 0x100000, PW);
	map(rig, 0x2000, 0x101000, PW);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(cpu_store(&rig->cpus[i], 0x1000, &word, 4), CPU_OK);
		assert_int_equal(cpu_store(&rig->cpus[i], 0x2000, &word, 4), CPU_OK);
		assert_int_equal(rig->cpus[i].tlb->entries[1].write, 0x1000);
	}
	rig->code[0x100] = 1;
	mmu_protect(&rig->vm, &rig->cpus[0], 0x100123); /* vcpu 1 is not running */
	assert_int_equal(rig->cpus[0].tlb->entries[1].write, cpu_tlb_none(1));
	assert_int_equal(rig->cpus[0].tlb->entries[1].read, 0x1000);
	assert_int_equal(rig->cpus[0].tlb->entries[2].write, 0x2000);
	mmu_enter(&rig->cpus[1]);
	assert_int_equal(rig->cpus[1].tlb->entries[1].write, cpu_tlb_none(1));
	assert_int_equal(rig->cpus[1].tlb->entries[2].write, 0x2000);
	assert_int_equal(rig->cpus[1].poll, 0);
	mmu_leave(&rig->cpus[1]);
}

static void more_pages_than_the_list_holds(void **state)
{
	struct rig *rig = *state;
	struct hosted_cpu *other = &rig->cpus[1];
	uint32_t word = 1;

	(void)start(rig);
	for (unsigned i = 1; i <= MMU_SYNC_GPAS + 2; i++) {
		map(rig, i * 0x1000, 0x100000 + i * 0x1000, PW);
		assert_int_equal(cpu_store(other, i * 0x1000, &word, 4), CPU_OK);
		assert_int_equal(other->tlb->entries[i].write, i * 0x1000);
		rig->code[0x100 + i] = 1;
	}
	for (unsigned i = 1; i <= MMU_SYNC_GPAS + 2; i++)
		mmu_protect(&rig->vm, NULL, 0x100000 + i * 0x1000);
	mmu_enter(other);
	for (unsigned i = 1; i <= MMU_SYNC_GPAS + 2; i++)
		assert_int_equal(other->tlb->entries[i].write, cpu_tlb_none(i));
	mmu_leave(other);
}

#define ROUNDS 2000U

struct writer {
	struct rig *rig;
	unsigned at;	   /* the vcpu, and whose page it protects: the other's */
	unsigned straight; /* stores that went straight into a page with code: never */
	uint32_t stop;
};

static uint64_t page_of(unsigned i)
{
	return 0x1000 * (1 + i);
}

/* A store by C is told after its bytes are there: the other vcpu is given the time for that. */
static bool stays_code(const struct rig *rig, unsigned page)
{
	for (unsigned i = 0; i < 1000; i++) {
		if (__atomic_load_n(&rig->code[page], __ATOMIC_SEQ_CST) != 2)
			return false;
		(void)sched_yield();
	}
	return true;
}

/*
 * One of two vcpus at once, in run(): it stores into both pages, as translated code would, by the write tag alone; and takes now the one,
 * now the other page's code for translated, protects it, and looks whether the byte that it saw then stays.
 */
static void *writer_main(void *arg)
{
	struct writer *w = arg;
	struct hosted_cpu *cpu = &w->rig->cpus[w->at];
	const unsigned page = 0x100 + w->at;
	volatile uint8_t *mine = w->rig->ram + page * 0x1000ULL;

	mmu_enter(cpu);
	for (unsigned i = 0; i < ROUNDS; i++) {
		for (unsigned j = 0; j < 2; j++) {
			const struct cpu_tlb_entry *e = &cpu->tlb->entries[1 + j];
			uint8_t byte = (uint8_t)i;
			if (e->write == page_of(j))
				(*(volatile uint8_t *)cpu_hva(e, page_of(j)))++;
			else
				(void)cpu_store(cpu, page_of(j), &byte, 1);
		}
		if (__atomic_load_n(&cpu->poll, __ATOMIC_SEQ_CST) & CPU_POLL_SYNC)
			mmu_sync(cpu);
		if (i % 4)
			continue;
		__atomic_store_n(&w->rig->code[page], 2, __ATOMIC_SEQ_CST);
		mmu_protect(&w->rig->vm, cpu, page * 0x1000ULL);
		uint8_t seen = *mine;
		for (unsigned k = 0; k < 50; k++)
			w->straight += *mine != seen && stays_code(w->rig, page);
	}
	mmu_leave(cpu);
	return NULL;
}

static void two_that_protect_at_once_get_on(void **state)
{
	struct rig *rig = *state;
	struct writer writers[2] = { { .rig = rig, .at = 0 }, { .rig = rig, .at = 1 } };
	pthread_t threads[2];

	(void)start(rig);
	map(rig, 0x1000, 0x100000, PW | PTE_A | PTE_D);
	map(rig, 0x2000, 0x101000, PW | PTE_A | PTE_D);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, writer_main, &writers[i]), 0);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(writers[0].straight, 0);
	assert_int_equal(writers[1].straight, 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, rig_create, rig_destroy)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_clean_page_gets_no_write_tag),
		T(accesses_cross_pages),
		T(a_store_that_faults_in_its_second_page_stores_nothing),
		T(linear_addresses_wrap_at_four_gib_but_in_64_bit_code),
		T(devices_are_asked_through_the_journal),
		T(memory_is_not_written_before_the_device_has_answered),
		T(rom_is_read_as_memory_and_written_as_a_device),
		T(a_journal_that_does_not_fit_any_more_is_cut),
		T(an_instruction_without_end_fails),
		T(stores_to_pages_with_code_are_told),
		T(a_pinned_page_has_no_code_left),
		T(fetches_stop_where_the_code_does),
		T(a_protected_page_is_written_by_no_one),
		T(more_pages_than_the_list_holds),
		T(two_that_protect_at_once_get_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
