/* SPDX-License-Identifier: Apache-2.0 */
#include "tiny_vm.h"

#include <errno.h>
#include <string.h>

#include "base/core/macros.h"

static struct x86_state long_mode(const struct x86_state *from)
{
	struct x86_state s = *from;

	for (unsigned i = 0; i < X86_REGS; i++)
		s.regs[i] = UINT64_C(0x1111111111111111) * (i & 7) + i;
	s.segs[X86_CS] = (struct x86_segment){ .selector = 0x10,
					       .limit = UINT32_MAX,
					       .type = 11,
					       .s = true,
					       .present = true,
					       .l = true,
					       .g = true };
	for (unsigned i = 0; i < X86_SEGS; i++) {
		if (i == X86_CS)
			continue;
		s.segs[i] = (struct x86_segment){ .selector = 0x18,
						  .limit = UINT32_MAX,
						  .type = 3,
						  .s = true,
						  .present = true,
						  .db = true,
						  .g = true };
	}
	s.segs[X86_FS].base = 0x123456789000;
	s.gdt = (struct x86_table){ 0x500, 0x1f };
	s.idt = (struct x86_table){ 0x600, 0xfff };
	s.cr0 = X86_CR0_PE | X86_CR0_ET | X86_CR0_PG;
	s.cr2 = 0xdead000;
	s.cr3 = 0x9000;
	s.cr4 = X86_CR4_PAE;
	s.efer = X86_EFER_LME | X86_EFER_LMA;
	s.rip = 0x100000;
	s.rflags = X86_RFLAGS_FIXED | X86_RFLAGS_IF;
	s.dr[0] = 0x1234;
	s.dr[3] = 0x5678;
	return s;
}

static void what_is_set_is_what_is_got(void **state)
{
	struct x86_state got;

	(void)state;
	TINY_VM(vm, TINY_FULL);
	struct x86_state want = long_mode(&vm.state);
	assert_int_equal(vm.vcpu->ops->state_set(vm.vcpu, &want), 0);
	assert_int_equal(vm.vcpu->ops->state_get(vm.vcpu, &got), 0);
	assert_memory_equal(got.regs, want.regs, sizeof(want.regs));
	for (unsigned i = 0; i < X86_SEGS; i++) {
		assert_int_equal(got.segs[i].base, want.segs[i].base);
		assert_int_equal(got.segs[i].selector, want.segs[i].selector);
		assert_int_equal(got.segs[i].limit, want.segs[i].limit);
		assert_int_equal(got.segs[i].type, want.segs[i].type);
		assert_int_equal(got.segs[i].l, want.segs[i].l);
		assert_int_equal(got.segs[i].db, want.segs[i].db);
	}
	assert_int_equal(got.rip, want.rip);
	assert_int_equal(got.rflags, want.rflags);
	assert_int_equal(got.gdt.base, want.gdt.base);
	assert_int_equal(got.idt.limit, want.idt.limit);
	assert_int_equal(got.cr0, want.cr0);
	assert_int_equal(got.cr2, want.cr2);
	assert_int_equal(got.cr3, want.cr3);
	assert_int_equal(got.cr4, want.cr4);
	assert_int_equal(got.efer, want.efer);
	assert_int_equal(got.dr[0], want.dr[0]);
	assert_int_equal(got.dr[3], want.dr[3]);
	assert_false(got.halted);
	assert_false(got.wait_sipi);
}

static void waiting_states_are_kept(void **state)
{
	struct x86_state s;

	(void)state;
	for (int own = TINY_NONE; own <= TINY_FULL; own++) {
		TINY_VM(vm, own);
		s = vm.state;
		s.halted = true;
		assert_int_equal(vm.vcpu->ops->state_set(vm.vcpu, &s), 0);
		assert_int_equal(vm.vcpu->ops->state_get(vm.vcpu, &s), 0);
		assert_true(s.halted);
		assert_false(s.wait_sipi);
		s.halted = false;
		s.wait_sipi = true;
		assert_int_equal(vm.vcpu->ops->state_set(vm.vcpu, &s), 0);
		assert_int_equal(vm.vcpu->ops->state_get(vm.vcpu, &s), 0);
		assert_false(s.halted);
		assert_true(s.wait_sipi);
	}
}

static void breakpoints_left_in_dr_can_be_taken_back(void **state)
{
	struct x86_state s;

	(void)state;
	TINY_VM(vm, TINY_FULL);
	s = vm.state;
	s.dr[1] = 0x4000;
	assert_int_equal(vm.vcpu->ops->state_set(vm.vcpu, &s), 0);
	assert_int_equal(vm.vcpu->ops->state_set(vm.vcpu, &vm.state), 0);
	assert_int_equal(vm.vcpu->ops->state_get(vm.vcpu, &s), 0);
	assert_int_equal(s.dr[1], 0);
}

static void nonsense_is_refused(void **state)
{
	struct x86_state s;

	(void)state;
	TINY_VM(vm, TINY_FULL);
	s = vm.state;
	s.cr0 = X86_CR0_PG; /* paging without protection */
	assert_true(vm.vcpu->ops->state_set(vm.vcpu, &s) < 0);
}

static void msrs_one_by_one(void **state)
{
	uint64_t value = 1;

	(void)state;
	TINY_VM(vm, TINY_FULL);
	assert_int_equal(vm.vcpu->ops->msr_set(vm.vcpu, 0xc0000102, 0x7000), 0); /* KernelGSBase */
	assert_int_equal(vm.vcpu->ops->msr_get(vm.vcpu, 0xc0000102, &value), 0);
	assert_int_equal(value, 0x7000);
	assert_int_equal(vm.vcpu->ops->msr_get(vm.vcpu, 0x4d5a0001, &value), -ENOENT);
	assert_int_equal(vm.vcpu->ops->msr_set(vm.vcpu, 0x4d5a0001, 0), -ENOENT);
	assert_int_equal(value, 0x7000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_set_is_what_is_got),
		cmocka_unit_test(waiting_states_are_kept),
		cmocka_unit_test(breakpoints_left_in_dr_can_be_taken_back),
		cmocka_unit_test(nonsense_is_refused),
		cmocka_unit_test(msrs_one_by_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
