/* SPDX-License-Identifier: Apache-2.0 */
#include "tiny_vm.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "base/core/macros.h"
#include "engines/hybrid/kvm.h"

static void caps_are_plausible(void **state)
{
	struct cpu_caps caps = { 0 };
	struct err err = { 0 };

	(void)state;
	if (tiny_missing())
		SKIP(tiny_missing());
	assert_int_equal(kvm_cpu_ops.caps(&caps, &err), 0);
	assert_true(caps.irqchip);
	assert_true(caps.doorbells);
	assert_in_range(caps.vcpus, 1, 1 << 20);
	assert_in_range(caps.phys_bits, 32, 57);
}

GUEST16(writes_rom, "movb $0x77, %es:8; mov %es:4, %al; out %al, $0x80");

static void a_write_to_rom_exits_and_changes_nothing(void **state)
{
	struct x86_state regs;
	struct err err = { 0 };

	(void)state;
	TINY_VM(vm, TINY_FULL);
	uint8_t *rom = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(rom, MAP_FAILED);
	rom[4] = 0x42;
	assert_int_equal(mem_add(&vm.mem, 0x200000, 4096, rom, true), 0);
	const struct mem_slot *slot = &vm.mem.slots[1];
	assert_int_equal(vm.vm->ops->slot_set(vm.vm, slot, &err), 0);
	regs = vm.state;
	regs.segs[X86_ES].base = 0x200000;
	assert_int_equal(vm.vcpu->ops->state_set(vm.vcpu, &regs), 0);
	LOAD(&vm, writes_rom);
	assert_int_equal(tiny_run(&vm), VCPU_EXIT_MMIO);
	assert_true(vm.io.mmio.is_write);
	assert_int_equal(vm.io.mmio.gpa, 0x200008);
	tiny_expect_out(&vm, 0x80, 0x42);
	assert_int_equal(rom[8], 0);
	(void)munmap(rom, 4096);
}

static void a_bad_slot_is_refused_in_words(void **state)
{
	struct err err = { 0 };

	(void)state;
	TINY_VM(vm, TINY_FULL);
	struct mem_slot slot = { .gpa = 0x200001, .size_bytes = 4096, .hva = vm.ram, .index = 1 };
	assert_int_equal(vm.vm->ops->slot_set(vm.vm, &slot, &err), -EINVAL);
	assert_non_null(strstr(err.text, "4096 bytes of guest memory at 0x200001"));
}

static void nothing_is_destroyed_twice(void **state)
{
	(void)state;
	kvm_cpu_ops.vcpu_destroy(NULL);
	kvm_cpu_ops.vm_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(caps_are_plausible),
		cmocka_unit_test(a_write_to_rom_exits_and_changes_nothing),
		cmocka_unit_test(a_bad_slot_is_refused_in_words),
		cmocka_unit_test(nothing_is_destroyed_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
