/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tester of the 80386 in a ROM, which is no part of this project: STRATA_TEST386 is the path of an image of test386.asm (64 KiB, for
 * address 0xf0000, POST port 0x190, checks of undefined flags off); without it the tests are skipped. It tells port 0x190
 * where it is; 0xff is its end, HLT anywhere else is what it found wrong.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "engines/hosted/hosted_cpu.h"
#include "x86/state.h"
#include "scratch.h"

#define RAM_BYTES   0xf0000U
#define ROM_BYTES   0x10000U
#define ROM_LOW	    0xf0000U
#define ROM_HIGH    0xffff0000U
#define POST_PORT   0x190U
#define POST_ENDED  0xffU
#define RUNS_MAX    100000000U
#define STACK_BYTES 65536U

struct rom_rig {
	struct guest_mem mem;
	struct vm *vm;
	struct vcpu *vcpu;
	uint8_t *ram, *rom;
	uint8_t post;
};

static uint8_t *pages(size_t n)
{
	void *at = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(at, MAP_FAILED);
	return at;
}

static bool rom_load(struct rom_rig *rig)
{
	const char *path = getenv("STRATA_TEST386");
	FILE *file = path ? fopen(path, "rb") : NULL;

	if (!file)
		return false;
	rig->ram = pages(RAM_BYTES);
	rig->rom = pages(ROM_BYTES);
	assert_int_equal(fread(rig->rom, 1, ROM_BYTES, file), ROM_BYTES);
	(void)fclose(file);
	return true;
}

static void rig_make(struct rom_rig *rig, bool interpret_only)
{
	struct err err = { 0 };
	struct cpuid_leaf leaves[CPUID_LEAVES_MAX];
	unsigned n = CPUID_LEAVES_MAX;
	const struct vm_config config = { .mem = &rig->mem,
					  .vcpus = 1,
					  .code_cache_bytes = 8 << 20,
					  .interpret_only = interpret_only };

	assert_int_equal(mem_add(&rig->mem, 0, RAM_BYTES, rig->ram, false), 0);
	assert_int_equal(mem_add(&rig->mem, ROM_LOW, ROM_BYTES, rig->rom, true), 0);
	assert_int_equal(mem_add(&rig->mem, ROM_HIGH, ROM_BYTES, rig->rom, true), 0);
	assert_int_equal(hosted_cpu_ops.vm_create(&config, &rig->vm, &err), 0);
	for (unsigned i = 0; i < rig->mem.n; i++)
		assert_int_equal(hosted_cpu_ops.slot_set(rig->vm, &rig->mem.slots[i], &err), 0);
	assert_int_equal(hosted_cpu_ops.vcpu_create(rig->vm, 0, &rig->vcpu, &err), 0);
	assert_int_equal(hosted_cpu_ops.cpuid_supported(leaves, &n, &err), 0);
	assert_int_equal(hosted_cpu_ops.cpuid_set(rig->vcpu, leaves, n, &err), 0);
}

/* Port 0x190 is told apart; nobody is at any other, nor where no memory is. */
static bool goes_on(struct rom_rig *rig, enum vcpu_exit exit, struct vcpu_io *io)
{
	switch (exit) {
	case VCPU_EXIT_PIO:
		if (io->pio.is_write && io->pio.port == POST_PORT)
			rig->post = io->pio.data[0];
		if (!io->pio.is_write)
			memset(io->pio.data, 0xff, io->pio.len);
		return rig->post != POST_ENDED;
	case VCPU_EXIT_MMIO:
		if (!io->mmio.is_write)
			memset(io->mmio.data, 0xff, io->mmio.len);
		return true;
	case VCPU_EXIT_KICKED:
	case VCPU_EXIT_IRQ_WINDOW:
		return true;
	default:
		return false;
	}
}

static void rom_run(struct rom_rig *rig)
{
	struct vcpu_io io = { 0 };
	struct x86_state state;
	enum vcpu_exit exit = VCPU_EXIT_MAX;

	for (unsigned i = 0; i < RUNS_MAX; i++) {
		exit = hosted_cpu_ops.run(rig->vcpu, &io);
		if (!goes_on(rig, exit, &io))
			break;
	}
	(void)hosted_cpu_ops.state_get(rig->vcpu, &state);
	if (rig->post != POST_ENDED)
		print_message("POST 0x%02x, exit %d at 0x%llx:0x%llx\n", rig->post, exit,
			      (unsigned long long)state.segs[X86_CS].base,
			      (unsigned long long)state.rip);
}

static void rom_test(bool interpret_only)
{
	static uint8_t stack[STACK_BYTES];
	const stack_t alternate = { .ss_sp = stack, .ss_size = sizeof(stack) };
	struct rom_rig rig = { 0 };

	if (!rom_load(&rig)) {
		SKIP("STRATA_TEST386 names no ROM of test386.asm");
		return;
	}
	assert_int_equal(sigaltstack(&alternate, NULL), 0);
	rig_make(&rig, interpret_only);
	rom_run(&rig);
	hosted_cpu_ops.vcpu_destroy(rig.vcpu);
	hosted_cpu_ops.vm_destroy(rig.vm);
	(void)munmap(rig.ram, RAM_BYTES);
	(void)munmap(rig.rom, ROM_BYTES);
	assert_int_equal(rig.post, POST_ENDED);
}

static void interpreted(void **state)
{
	(void)state;
	rom_test(true);
}

static void translated(void **state)
{
	(void)state;
	rom_test(false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(interpreted),
		cmocka_unit_test(translated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
