/* SPDX-License-Identifier: Apache-2.0 */
#include "tiny_vm.h"

#include <string.h>

#include "base/core/macros.h"
#include "machine/lapic.h"

GUEST16(wait_for_it, "out %al, $0x80; sti; 1: cmpb $0, 0x2000; je 1b; out %al, $0x90");
GUEST16(handler, "mov $0x21, %al; movb $1, 0x2000; out %al, $0x81; iret");

static void injected_vector_runs_its_handler(void **state)
{
	(void)state;
	TINY_VM(vm, TINY_NONE);
	LOAD(&vm, wait_for_it);
	tiny_code(&vm, 0x4000, handler, handler_end);
	tiny_vector(&vm, 0x21, 0x4000);

	assert_int_equal(tiny_run(&vm), VCPU_EXIT_PIO);
	assert_int_equal(vm.io.pio.port, 0x80);
	assert_false(vm.vcpu->ops->irq_ready(vm.vcpu)); /* interrupts are off */
	vm.vcpu->ops->irq_window(vm.vcpu, true);
	assert_int_equal(tiny_run(&vm), VCPU_EXIT_IRQ_WINDOW);
	assert_true(vm.vcpu->ops->irq_ready(vm.vcpu));
	vm.vcpu->ops->irq_window(vm.vcpu, false);
	assert_int_equal(vm.vcpu->ops->inject(vm.vcpu, 0x21), 0);
	assert_false(vm.vcpu->ops->irq_ready(vm.vcpu)); /* one at a time */
	tiny_expect_out(&vm, 0x81, 0x21);
	assert_int_equal(tiny_run(&vm), VCPU_EXIT_PIO);
	assert_int_equal(vm.io.pio.port, 0x90);
}

GUEST16(nmi_handler, "mov $0x02, %al; out %al, $0x82; iret");

static void nmi_needs_no_window(void **state)
{
	(void)state;
	TINY_VM(vm, TINY_NONE);
	LOAD(&vm, wait_for_it);
	tiny_code(&vm, 0x4000, nmi_handler, nmi_handler_end);
	tiny_vector(&vm, 2, 0x4000);
	assert_int_equal(tiny_run(&vm), VCPU_EXIT_PIO);
	assert_int_equal(vm.vcpu->ops->inject_nmi(vm.vcpu), 0);
	tiny_expect_out(&vm, 0x82, 2);
}

GUEST16(halts, "sti; hlt; out %al, $0x90");

static void hlt_exits_and_an_interrupt_ends_it(void **state)
{
	(void)state;
	TINY_VM(vm, TINY_NONE);
	LOAD(&vm, halts);
	tiny_code(&vm, 0x4000, handler, handler_end);
	tiny_vector(&vm, 0x21, 0x4000);
	assert_int_equal(tiny_run(&vm), VCPU_EXIT_HLT);
	assert_true(vm.vcpu->ops->irq_ready(vm.vcpu));
	assert_int_equal(vm.vcpu->ops->inject(vm.vcpu, 0x21), 0);
	tiny_expect_out(&vm, 0x81, 0x21);
	assert_int_equal(tiny_run(&vm), VCPU_EXIT_PIO);
	assert_int_equal(vm.io.pio.port, 0x90);
}

GUEST16(one_exit, "out %al, $0x80; out %al, $0x80");

static void cr8_and_apic_base_are_the_guests(void **state)
{
	struct x86_state regs;

	(void)state;
	TINY_VM(vm, TINY_NONE);
	LOAD(&vm, one_exit);
	assert_int_equal(tiny_run(&vm), VCPU_EXIT_PIO);
	assert_int_equal(vm.vcpu->ops->cr8_get(vm.vcpu), 0);
	vm.vcpu->ops->cr8_set(vm.vcpu, 9);
	assert_int_equal(tiny_run(&vm), VCPU_EXIT_PIO);
	assert_int_equal(vm.vcpu->ops->cr8_get(vm.vcpu), 9);
	assert_int_equal(vm.vcpu->ops->state_get(vm.vcpu, &regs), 0);
	assert_int_equal(regs.cr8, 9);
	assert_int_equal(vm.vcpu->ops->apic_base_get(vm.vcpu), regs.apic_base);
}

/* The master PIC to vectors from 0x20 up, all lines open; then wait. */
GUEST16(pic,
	"mov $0x11, %al; out %al, $0x20; mov $0x20, %al; out %al, $0x21; mov $4, %al; out %al, $0x21\n"
	"mov $1, %al; out %al, $0x21; mov $0, %al; out %al, $0x21; out %al, $0x80; sti\n"
	"1: hlt; jmp 1b");
GUEST16(pic_handler, "mov $0x20, %al; out %al, $0x20; out %al, $0x84; iret");

/* wrmsr of IA32_TSC_DEADLINE, rdmsr of it */
GUEST16(deadline,
	"mov $0x6e0, %ecx; mov $0x1234, %eax; mov $5, %edx; wrmsr; rdmsr; out %al, $0x80");

static void deadline_of_the_tsc_is_the_machines(void **state)
{
	(void)state;
	TINY_VM(vm, TINY_NONE);
	const struct cpu_ops *ops = vm.vcpu->ops;
	uint64_t before = 0, after = 0;

	if (!ops->tsc_hz(vm.vcpu)) {
		tiny_fini(&vm); /* a skip does not come back */
		SKIP("this KVM keeps the deadline's register to itself");
	}
	assert_in_range(ops->tsc_hz(vm.vcpu), 100000000, 20000000000); /* 0.1 to 20 GHz */
	LOAD(&vm, deadline);
	assert_int_equal(tiny_run(&vm), VCPU_EXIT_MSR_WRITE);
	assert_int_equal(vm.io.msr.index, MSR_TSC_DEADLINE);
	assert_int_equal(vm.io.msr.value, 0x500001234);
	assert_int_equal(ops->msr_get(vm.vcpu, MSR_TSC, &before), 0);
	assert_int_equal(tiny_run(&vm), VCPU_EXIT_MSR_READ);
	vm.io.msr.value = 0x77;
	tiny_expect_out(&vm, 0x80, 0x77);
	assert_int_equal(ops->msr_get(vm.vcpu, MSR_TSC, &after), 0);
	assert_true(after > before);
}

/* A vcpu that never ran, or is reset, is asked too; and its next run begins with what was set. */
static void cr8_and_apic_base_follow_a_set_state(void **state)
{
	(void)state;
	TINY_VM(vm, TINY_NONE);
	const struct cpu_ops *ops = vm.vcpu->ops;
	struct x86_state set = vm.state;

	set.cr8 = 7;
	set.apic_base = 0xfee00900;
	assert_int_equal(ops->state_set(vm.vcpu, &set), 0);
	assert_int_equal(ops->cr8_get(vm.vcpu), 7);
	assert_int_equal(ops->apic_base_get(vm.vcpu), 0xfee00900);
	LOAD(&vm, one_exit);
	assert_int_equal(tiny_run(&vm), VCPU_EXIT_PIO);
	assert_int_equal(ops->cr8_get(vm.vcpu), 7);
}

static void line_reaches_kvms_pic(void **state)
{
	(void)state;
	TINY_VM(vm, TINY_FULL);
	LOAD(&vm, pic);
	tiny_code(&vm, 0x4000, pic_handler, pic_handler_end);
	tiny_vector(&vm, 0x24, 0x4000);
	assert_int_equal(tiny_run(&vm), VCPU_EXIT_PIO);
	for (int i = 0; i < 3; i++) {
		vm.vcpu->ops->irq_set(vm.vm, 4, true);
		vm.vcpu->ops->irq_set(vm.vm, 4, false);
		tiny_expect_out(&vm, 0x84, 0x20);
	}
}

/* Software-enables the LAPIC (SDM 3A, Spurious-Interrupt Vector Register); ES is at the LAPIC's page. */
GUEST16(lapic, "movl $0x1ff, %es:0xf0; out %al, $0x80; sti; 1: hlt; jmp 1b");
GUEST16(msi_handler, "movl $0, %es:0xb0; mov $0x55, %al; out %al, $0x85; iret");

static void lapic_on(struct tiny_vm *vm)
{
	struct x86_state regs = vm->state;

	LOAD(vm, lapic);
	tiny_code(vm, 0x4000, msi_handler, msi_handler_end);
	tiny_vector(vm, 0x55, 0x4000);
	regs.segs[X86_ES].base = 0xfee00000;
	assert_int_equal(vm->vcpu->ops->state_set(vm->vcpu, &regs), 0);
	assert_int_equal(tiny_run(vm), VCPU_EXIT_PIO);
}

static void message_reaches_kvms_lapic(void **state)
{
	(void)state;
	TINY_VM(vm, TINY_FULL);
	lapic_on(&vm);
	for (int i = 0; i < 3; i++) {
		vm.vcpu->ops->msi(vm.vm, 0xfee00000, 0x55);
		tiny_expect_out(&vm, 0x85, 0x55);
	}
}

/* A guest may name any LAPIC and vector it likes. */
static void messages_to_nowhere_are_dropped(void **state)
{
	(void)state;
	TINY_VM(vm, TINY_FULL);
	LOAD(&vm, one_exit);
	vm.vcpu->ops->msi(vm.vm, 0xfee77000, 0x41);
	vm.vcpu->ops->msi(vm.vm, UINT64_MAX, UINT32_MAX);
	vm.vcpu->ops->msi(vm.vm, 0, 0);
	vm.vcpu->ops->irq_set(vm.vm, UINT32_MAX, true);
	assert_int_equal(tiny_run(&vm), VCPU_EXIT_PIO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(injected_vector_runs_its_handler),
		cmocka_unit_test(nmi_needs_no_window),
		cmocka_unit_test(hlt_exits_and_an_interrupt_ends_it),
		cmocka_unit_test(cr8_and_apic_base_are_the_guests),
		cmocka_unit_test(cr8_and_apic_base_follow_a_set_state),
		cmocka_unit_test(deadline_of_the_tsc_is_the_machines),
		cmocka_unit_test(line_reaches_kvms_pic),
		cmocka_unit_test(message_reaches_kvms_lapic),
		cmocka_unit_test(messages_to_nowhere_are_dropped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
