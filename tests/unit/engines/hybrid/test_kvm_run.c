/* SPDX-License-Identifier: Apache-2.0 */
#include "tiny_vm.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "base/core/macros.h"

GUEST16(widths, "mov $0x44332211, %eax; mov $0x3f8, %dx\n"
		"out %al, %dx; out %ax, %dx; out %eax, %dx; out %al, $0x80");

static void port_writes_of_every_width(void **state)
{
	(void)state;
	TINY_VM(vm, TINY_NONE);
	LOAD(&vm, widths);
	for (uint8_t len = 1; len <= 4; len = (uint8_t)(len * 2)) {
		assert_int_equal(tiny_run(&vm), VCPU_EXIT_PIO);
		assert_true(vm.io.pio.is_write);
		assert_int_equal(vm.io.pio.port, 0x3f8);
		assert_int_equal(vm.io.pio.len, len);
		assert_memory_equal(vm.io.pio.data, "\x11\x22\x33\x44", len);
	}
	tiny_expect_out(&vm, 0x80, 0x11);
}

GUEST16(reads, "mov $0x71, %dx; in %dx, %eax; mov %eax, %ebx; in %dx, %al; hlt");

static void port_reads_take_what_the_run_loop_gives(void **state)
{
	struct x86_state regs;

	(void)state;
	TINY_VM(vm, TINY_NONE);
	LOAD(&vm, reads);
	assert_int_equal(tiny_run(&vm), VCPU_EXIT_PIO);
	assert_false(vm.io.pio.is_write);
	memcpy(vm.io.pio.data, "\x78\x56\x34\x12", 4);
	assert_int_equal(tiny_run(&vm), VCPU_EXIT_PIO);
	vm.io.pio.data[0] = 0x9a;
	assert_int_equal(tiny_run(&vm), VCPU_EXIT_HLT);
	assert_int_equal(vm.vcpu->ops->state_get(vm.vcpu, &regs), 0);
	assert_int_equal(regs.regs[X86_RBX], 0x12345678);
	assert_int_equal(regs.regs[X86_RAX], 0x1234569a);
}

GUEST16(strings, "cld; mov $0x2000, %si; mov $0x3000, %di; mov $5, %cx; mov $0x60, %dx\n"
		 "rep outsb; mov $3, %cx; rep insw; hlt");

/* KVM may give a string in one exit or in many: what counts is what arrives. */
static void strings_arrive_whole(void **state)
{
	char out[8] = { 0 };
	size_t n = 0;
	uint16_t next = 0x4241;

	(void)state;
	TINY_VM(vm, TINY_NONE);
	LOAD(&vm, strings);
	memcpy(vm.ram + 0x2000, "hello", 5);
	for (;;) {
		enum vcpu_exit exit = tiny_run(&vm);
		if (exit == VCPU_EXIT_HLT)
			break;
		assert_int_equal(exit, VCPU_EXIT_PIO);
		for (uint32_t i = 0; i < vm.io.pio.count; i++) {
			if (vm.io.pio.is_write) {
				assert_int_equal(vm.io.pio.len, 1);
				assert_true(n < sizeof(out));
				out[n++] = (char)vm.io.pio.data[i];
				continue;
			}
			assert_int_equal(vm.io.pio.len, 2);
			memcpy(vm.io.pio.data + 2 * i, &next, 2);
			next = (uint16_t)(next + 0x0202);
		}
	}
	assert_string_equal(out, "hello");
	assert_memory_equal(vm.ram + 0x3000, "ABCDEF", 6);
}

GUEST16(mmio,
	"movl $0x11223344, %es:4; movw $0x5566, %es:8; mov %es:0x10, %eax; mov %eax, 0x2000; hlt");

static void mmio_outside_slots_exits(void **state)
{
	struct x86_state regs;

	(void)state;
	TINY_VM(vm, TINY_NONE);
	LOAD(&vm, mmio);
	regs = vm.state;
	regs.segs[X86_ES].base = 0xc0000000;
	assert_int_equal(vm.vcpu->ops->state_set(vm.vcpu, &regs), 0);
	assert_int_equal(tiny_run(&vm), VCPU_EXIT_MMIO);
	assert_true(vm.io.mmio.is_write);
	assert_int_equal(vm.io.mmio.gpa, 0xc0000004);
	assert_int_equal(vm.io.mmio.len, 4);
	assert_memory_equal(vm.io.mmio.data, "\x44\x33\x22\x11", 4);
	assert_int_equal(tiny_run(&vm), VCPU_EXIT_MMIO);
	assert_int_equal(vm.io.mmio.gpa, 0xc0000008);
	assert_int_equal(vm.io.mmio.len, 2);
	assert_int_equal(tiny_run(&vm), VCPU_EXIT_MMIO);
	assert_false(vm.io.mmio.is_write);
	memcpy(vm.io.mmio.data, "abcd", 4);
	assert_int_equal(tiny_run(&vm), VCPU_EXIT_HLT);
	assert_memory_equal(vm.ram + 0x2000, "abcd", 4);
}

GUEST16(triple, "mov $8, %ax; mov %ax, %ds");

static void triple_fault_is_a_shutdown(void **state)
{
	struct x86_state regs;

	(void)state;
	TINY_VM(vm, TINY_FULL);
	LOAD(&vm, triple);
	regs = vm.state; /* protected mode with empty tables: no segment, and no handler, not even for a fault */
	regs.cr0 |= X86_CR0_PE;
	regs.gdt.limit = regs.idt.limit = 0;
	assert_int_equal(vm.vcpu->ops->state_set(vm.vcpu, &regs), 0);
	assert_int_equal(tiny_run(&vm), VCPU_EXIT_SHUTDOWN);
}

GUEST16(unknown_msr,
	"mov $0x4d5a0001, %ecx; rdmsr; out %al, $0x80; mov $7, %eax; wrmsr; out %al, $0x80\n"
	"rdmsr; out %al, $0x80");
GUEST16(fault_seen, "mov $0xdd, %al; out %al, $0x81");

static void msrs_that_kvm_does_not_know_are_asked(void **state)
{
	(void)state;
	TINY_VM(vm, TINY_FULL);
	LOAD(&vm, unknown_msr);
	tiny_code(&vm, 0x4000, fault_seen, fault_seen_end);
	tiny_vector(&vm, 13, 0x4000);
	assert_int_equal(tiny_run(&vm), VCPU_EXIT_MSR_READ);
	assert_int_equal(vm.io.msr.index, 0x4d5a0001);
	vm.io.msr.value = 0x5a;
	tiny_expect_out(&vm, 0x80, 0x5a);
	assert_int_equal(tiny_run(&vm), VCPU_EXIT_MSR_WRITE);
	assert_int_equal(vm.io.msr.value & 0xffffffff, 7);
	tiny_expect_out(&vm, 0x80, 7);
	assert_int_equal(tiny_run(&vm), VCPU_EXIT_MSR_READ);
	vm.io.msr.fault = true;
	tiny_expect_out(&vm, 0x81, 0xdd);
}

GUEST16(x2apic, "mov $0x802, %ecx; rdmsr; out %al, $0x80; mov $0x6e0, %ecx; wrmsr; hlt");

static void without_kvms_lapic_its_msrs_are_asked(void **state)
{
	(void)state;
	TINY_VM(vm, TINY_NONE);
	LOAD(&vm, x2apic);
	assert_int_equal(tiny_run(&vm), VCPU_EXIT_MSR_READ);
	assert_int_equal(vm.io.msr.index, 0x802);
	vm.io.msr.value = 3;
	tiny_expect_out(&vm, 0x80, 3);
	assert_int_equal(tiny_run(&vm), VCPU_EXIT_MSR_WRITE);
	assert_int_equal(vm.io.msr.index, 0x6e0);
	assert_int_equal(tiny_run(&vm), VCPU_EXIT_HLT);
}

/* An x87 load from MMIO: in no KVM's emulator. */
GUEST16(not_emulated, "fldt %es:0");

static void an_instruction_that_kvm_lacks_fails_in_words(void **state)
{
	struct x86_state regs;

	(void)state;
	TINY_VM(vm, TINY_FULL);
	LOAD(&vm, not_emulated);
	regs = vm.state;
	regs.segs[X86_ES].base = 0xc0000000;
	assert_int_equal(vm.vcpu->ops->state_set(vm.vcpu, &regs), 0);
	assert_int_equal(tiny_run(&vm), VCPU_EXIT_FAIL);
	assert_string_equal(vm.io.fail.what, "KVM cannot emulate an instruction of the guest's");
	if (vm.io.fail.insn_len)
		assert_memory_equal(vm.io.fail.insn, not_emulated, 2);
}

GUEST16(loop, "1: jmp 1b");
GUEST16(loop_in_ports, "1: out %al, $0x80; jmp 1b");

static void kick_before_run_ends_the_next_one(void **state)
{
	(void)state;
	TINY_VM(vm, TINY_FULL);
	LOAD(&vm, loop_in_ports);
	assert_int_equal(tiny_run(&vm), VCPU_EXIT_PIO);
	vm.vcpu->ops->kick(vm.vcpu);
	vm.vcpu->ops->kick(vm.vcpu);
	assert_int_equal(vm.vcpu->ops->run(vm.vcpu, &vm.io), VCPU_EXIT_KICKED);
	assert_int_equal(vm.vcpu->ops->run(vm.vcpu, &vm.io), VCPU_EXIT_PIO);
}

static void *run_until_kicked(void *arg)
{
	struct tiny_vm *vm = arg;

	return (void *)(uintptr_t)vm->vcpu->ops->run(vm->vcpu, &vm->io);
}

static void run_in_a_thread_and_kick(struct tiny_vm *vm)
{
	pthread_t thread;
	void *exit;

	assert_int_equal(pthread_create(&thread, NULL, run_until_kicked, vm), 0);
	vm->vcpu->ops->kick(vm->vcpu); /* before KVM_RUN or in it, as it comes */
	assert_int_equal(pthread_join(thread, &exit), 0);
	assert_int_equal((uintptr_t)exit, VCPU_EXIT_KICKED);
}

static void kick_ends_a_guest_that_loops(void **state)
{
	(void)state;
	TINY_VM(vm, TINY_FULL);
	LOAD(&vm, loop);
	run_in_a_thread_and_kick(&vm);
}

static void kick_works_where_the_signal_was_blocked(void **state)
{
	sigset_t set, old;

	(void)state;
	TINY_VM(vm, TINY_FULL);
	LOAD(&vm, loop);
	sigemptyset(&set);
	sigaddset(&set, SIGSTKFLT);
	assert_int_equal(pthread_sigmask(SIG_BLOCK, &set, &old), 0);
	run_in_a_thread_and_kick(&vm);
	assert_int_equal(pthread_sigmask(SIG_SETMASK, &old, NULL), 0);
}

struct runner {
	struct tiny_vm *vm;
	unsigned kicks; /* returns so far */
	unsigned wanted;
};

static void *run_many(void *arg)
{
	struct runner *r = arg;

	for (unsigned i = 0; i < r->wanted; i++) {
		if (r->vm->vcpu->ops->run(r->vm->vcpu, &r->vm->io) != VCPU_EXIT_KICKED)
			return arg;
		__atomic_fetch_add(&r->kicks, 1, __ATOMIC_SEQ_CST);
	}
	return NULL;
}

/* The race this looks for: a kick between the check and the entry must not be lost. A lost one hangs. */
static void no_kick_is_lost(void **state)
{
	struct runner r = { .wanted = 300 };
	pthread_t thread;
	void *bad;

	(void)state;
	TINY_VM(vm, TINY_FULL);
	LOAD(&vm, loop);
	r.vm = &vm;
	assert_int_equal(pthread_create(&thread, NULL, run_many, &r), 0);
	for (unsigned seen = 0; seen < r.wanted;) {
		vm.vcpu->ops->kick(vm.vcpu);
		unsigned now;
		while ((now = __atomic_load_n(&r.kicks, __ATOMIC_SEQ_CST)) == seen)
			sched_yield();
		seen = now;
	}
	assert_int_equal(pthread_join(thread, &bad), 0);
	assert_null(bad);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(port_writes_of_every_width),
		cmocka_unit_test(port_reads_take_what_the_run_loop_gives),
		cmocka_unit_test(strings_arrive_whole),
		cmocka_unit_test(mmio_outside_slots_exits),
		cmocka_unit_test(triple_fault_is_a_shutdown),
		cmocka_unit_test(msrs_that_kvm_does_not_know_are_asked),
		cmocka_unit_test(without_kvms_lapic_its_msrs_are_asked),
		cmocka_unit_test(an_instruction_that_kvm_lacks_fails_in_words),
		cmocka_unit_test(kick_before_run_ends_the_next_one),
		cmocka_unit_test(kick_ends_a_guest_that_loops),
		cmocka_unit_test(kick_works_where_the_signal_was_blocked),
		cmocka_unit_test(no_kick_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
