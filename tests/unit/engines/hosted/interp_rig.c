/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/hosted/io.h"

#include "interp_rig.h"

#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "machine/mem.h"

#define ARCH_SET_GS 0x1001

struct hosted_vm vm;
struct hosted_cpu cpu;
struct vcpu_io io;

uint8_t *at(uint64_t gva)
{
	unsigned page = gva >= DIFF_CODE ? 5 : gva >= DIFF_DATA + DIFF_PAGE ? 10 : 8;

	return (uint8_t *)mem_hva(vm.mem, (gpa_t)page * DIFF_PAGE, DIFF_PAGE) + gva % DIFF_PAGE;
}

uint64_t get(uint64_t gva, unsigned bytes)
{
	uint64_t value = 0;

	memcpy(&value, at(gva), bytes);
	return value;
}

void put(uint64_t gva, uint64_t value, unsigned bytes)
{
	memcpy(at(gva), &value, bytes);
}

void code_is(enum x86_code code)
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

int set_up(void **state)
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

int tear_down(void **state)
{
	(void)state;
	mmu_leave(&cpu);
	diff_machine_destroy(&cpu);
	return 0;
}

/* One instruction at rip. */
enum cpu_result step(const char *bytes, size_t n)
{
	memcpy(at(cpu.rip), bytes, n);
	return interp_step(&cpu);
}
void assert_fault(enum cpu_result result, unsigned vector)
{
	assert_int_equal(result, CPU_FAULT);
	assert_int_equal(cpu.fault.vector, vector);
}

/* What the machine does between two run(). */
void answer(uint64_t value)
{
	memcpy(cpu.io_data, &value, sizeof(cpu.io_data));
	io_begin(&cpu);
}

void handlers_again(void)
{
	struct err err;

	interp_vcpu_destroy(&cpu);
	assert_int_equal(interp_vcpu_create(&cpu, &err), 0);
}
