/* SPDX-License-Identifier: Apache-2.0 */
#include "tiny_vm.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engines/hybrid/kvm.h"
#include "x86/state.h"

const char *tiny_missing(void)
{
	if (access("/dev/kvm", F_OK) < 0)
		return "there is no /dev/kvm here";
	if (access("/dev/kvm", R_OK | W_OK) < 0)
		return "/dev/kvm is not for this user";
	return NULL;
}

static void start_state(struct tiny_vm *vm)
{
	assert_int_equal(vm->vcpu->ops->state_get(vm->vcpu, &vm->state), 0);
	for (unsigned i = 0; i < X86_SEGS; i++)
		vm->state.segs[i].base = vm->state.segs[i].selector = 0;
	vm->state.rip = TINY_CODE;
	vm->state.regs[X86_RSP] = TINY_CODE;
	vm->state.rflags = X86_RFLAGS_FIXED;
	assert_int_equal(vm->vcpu->ops->state_set(vm->vcpu, &vm->state), 0);
}

void tiny_init(struct tiny_vm *vm, enum tiny_irqchip irqchip)
{
	const struct cpu_ops *ops = &kvm_cpu_ops;
	struct vm_config config = { .mem = &vm->mem,
				    .own_irqchip = irqchip != TINY_NONE,
				    .vcpus = 1 };
	struct err err = { 0 };

	memset(vm, 0, sizeof(*vm));
	vm->ram = mmap(NULL, TINY_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(vm->ram, MAP_FAILED);
	assert_int_equal(mem_add(&vm->mem, 0, TINY_BYTES, vm->ram, false), 0);
	if (ops->vm_create(&config, &vm->vm, &err) < 0 ||
	    ops->slot_set(vm->vm, &vm->mem.slots[0], &err) < 0 ||
	    ops->vcpu_create(vm->vm, 0, &vm->vcpu, &err) < 0)
		fail_msg("%s", err.text);
	start_state(vm);
}

void tiny_fini(struct tiny_vm *vm)
{
	kvm_cpu_ops.vcpu_destroy(vm->vcpu);
	kvm_cpu_ops.vm_destroy(vm->vm);
	(void)munmap(vm->ram, TINY_BYTES);
}

void tiny_code(struct tiny_vm *vm, uint32_t gpa, const uint8_t *code, const uint8_t *end)
{
	memcpy(vm->ram + gpa, code, (size_t)(end - code));
}

void tiny_load(struct tiny_vm *vm, const uint8_t *code, const uint8_t *end)
{
	tiny_code(vm, TINY_CODE, code, end);
}

void tiny_vector(struct tiny_vm *vm, uint8_t vector, uint16_t ip)
{
	const uint16_t entry[2] = { ip, 0 }; /* offset, segment */

	memcpy(vm->ram + 4U * vector, entry, sizeof(entry));
}

enum vcpu_exit tiny_run(struct tiny_vm *vm)
{
	enum vcpu_exit exit;

	do {
		exit = vm->vcpu->ops->run(vm->vcpu, &vm->io);
	} while (exit == VCPU_EXIT_KICKED);
	if (exit == VCPU_EXIT_FAIL)
		print_message("%s (%#llx)\n", vm->io.fail.what,
			      (unsigned long long)vm->io.fail.code);
	return exit;
}

void tiny_expect_out(struct tiny_vm *vm, uint16_t port, uint8_t value)
{
	assert_int_equal(tiny_run(vm), VCPU_EXIT_PIO);
	assert_true(vm->io.pio.is_write);
	assert_int_equal(vm->io.pio.port, port);
	assert_int_equal(vm->io.pio.len, 1);
	assert_int_equal(vm->io.pio.count, 1);
	assert_int_equal(vm->io.pio.data[0], value);
}
