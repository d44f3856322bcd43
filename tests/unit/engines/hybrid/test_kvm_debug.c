/* SPDX-License-Identifier: Apache-2.0 */
#include "tiny_vm.h"

#include <errno.h>

#include "base/core/macros.h"
#include "engines/hybrid/kvm_kind.h"
#include "engines/hybrid/private.h"

GUEST16(steps, "nop; nop; nop; nop; int3; out %al, $0x80");

static void single_steps(void **state)
{
	(void)state;
	TINY_VM(vm, TINY_FULL);
	LOAD(&vm, steps);
	assert_int_equal(vm.vcpu->ops->debug_set(vm.vcpu, true, false, NULL), 0);
	assert_int_equal(tiny_run(&vm), VCPU_EXIT_DEBUG);
	assert_int_equal(vm.io.debug.exception, 1);
	assert_int_equal(vm.io.debug.rip, TINY_CODE + 1);
	assert_int_equal(tiny_run(&vm), VCPU_EXIT_DEBUG);
	assert_int_equal(vm.io.debug.rip, TINY_CODE + 2);
}

static void hardware_breakpoint(void **state)
{
	const struct debug_point at[DEBUG_POINTS] = { [1] = { TINY_CODE + 3, 1, DEBUG_EXECUTE } };

	(void)state;
	TINY_VM(vm, TINY_FULL);
	LOAD(&vm, steps);
	assert_int_equal(vm.vcpu->ops->debug_set(vm.vcpu, false, false, at), 0);
	assert_int_equal(tiny_run(&vm), VCPU_EXIT_DEBUG);
	assert_int_equal(vm.io.debug.rip, TINY_CODE + 3);
	assert_true(vm.io.debug.dr6 & 2);
}

/* SDM 3B, Debug Control Register (DR7), and its example's bits: G0 to G3 are 2, 8, 0x20, 0x80. */
static void points_become_dr7(void **state)
{
	const struct debug_point none[DEBUG_POINTS] = { 0 };
	const struct debug_point points[DEBUG_POINTS] = { { 0x1000, 1, DEBUG_EXECUTE },
							  { 0x2000, 2, DEBUG_WRITE },
							  { 0x3000, 4, DEBUG_READ_WRITE },
							  { 0x4000, 8, DEBUG_WRITE } };

	(void)state;
	assert_int_equal(kvm_debug_dr7(none), 0x400);
	assert_int_equal(kvm_debug_dr7(points),
			 0x400 | 0xaa | 0x50000 << 4 | 0xf0000 << 8 | UINT64_C(0x90000) << 12);
}

/* Nothing at 0x3000, a read of 0x3010, a write to it. */
GUEST16(touches, "mov 0x3000, %al; mov 0x3010, %al; mov %al, 0x3010; nop; out %al, $0x80");

static void watchpoints(void **state)
{
	const struct debug_point writes[DEBUG_POINTS] = { [2] = { 0x3010, 2, DEBUG_WRITE } },
				 both[DEBUG_POINTS] = { [0] = { 0x3010, 4, DEBUG_READ_WRITE } };
	struct kvm_kind kind;

	(void)state;
	if (tiny_missing() || kvm_kind_measure(&kind, NULL) < 0 || !kind.hardware)
		SKIP("a KVM without hardware assistance watches no data");
	TINY_VM(vm, TINY_FULL);
	LOAD(&vm, touches);
	assert_int_equal(vm.vcpu->ops->debug_set(vm.vcpu, false, false, writes), 0);
	assert_int_equal(tiny_run(&vm), VCPU_EXIT_DEBUG);
	assert_int_equal(vm.io.debug.exception, 1);
	assert_int_equal(vm.io.debug.dr6 & 0xf, 4);
	assert_int_equal(vm.io.debug.rip, TINY_CODE + 9); /* behind the write */

	assert_int_equal(vm.vcpu->ops->state_set(vm.vcpu, &vm.state), 0);
	assert_int_equal(vm.vcpu->ops->debug_set(vm.vcpu, false, false, both), 0);
	assert_int_equal(tiny_run(&vm), VCPU_EXIT_DEBUG);
	assert_int_equal(vm.io.debug.rip, TINY_CODE + 6); /* behind the read */
	assert_int_equal(tiny_run(&vm), VCPU_EXIT_DEBUG);
	assert_int_equal(vm.io.debug.dr6 & 0xf, 1);
	assert_int_equal(vm.vcpu->ops->debug_set(vm.vcpu, false, false, NULL), 0);
	tiny_expect_out(&vm, 0x80, 0);
}

static void real_addresses_are_themselves(void **state)
{
	gpa_t gpa = 0;

	(void)state;
	TINY_VM(vm, TINY_FULL);
	assert_int_equal(vm.vcpu->ops->translate(vm.vcpu, 0x1234, &gpa), 0);
	assert_int_equal(gpa, 0x1234);
}

static void pages_are_walked(void **state)
{
	struct x86_state s;
	gpa_t gpa = 1;

	(void)state;
	TINY_VM(vm, TINY_FULL);
	uint64_t *tables = (uint64_t *)(void *)vm.ram;
	tables[0x9000 / 8] = 0xa000 | 3; /* PML4, PDPT, PD, PT: SDM 3A, 4-Level Paging */
	tables[0xa000 / 8] = 0xb000 | 3;
	tables[0xb000 / 8] = 0xc000 | 3;
	tables[0xc000 / 8 + 5] = 0x7000 | 3;
	s = vm.state;
	s.cr0 = X86_CR0_PE | X86_CR0_ET | X86_CR0_PG;
	s.cr3 = 0x9000;
	s.cr4 = X86_CR4_PAE;
	s.efer = X86_EFER_LME | X86_EFER_LMA;
	s.segs[X86_CS].l = true;
	assert_int_equal(vm.vcpu->ops->state_set(vm.vcpu, &s), 0);
	assert_int_equal(vm.vcpu->ops->translate(vm.vcpu, 0x5123, &gpa), 0);
	assert_int_equal(gpa, 0x7123);
	assert_int_equal(vm.vcpu->ops->translate(vm.vcpu, 0x6123, &gpa), -EFAULT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(single_steps),
		cmocka_unit_test(hardware_breakpoint),
		cmocka_unit_test(points_become_dr7),
		cmocka_unit_test(watchpoints),
		cmocka_unit_test(real_addresses_are_themselves),
		cmocka_unit_test(pages_are_walked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
