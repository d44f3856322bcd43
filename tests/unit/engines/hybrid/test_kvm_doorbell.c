/* SPDX-License-Identifier: Apache-2.0 */
#include "tiny_vm.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/core/macros.h"
#include "base/os/fd.h"

#define BELL 0xc0000000U

GUEST16(rings, "movw $3, %es:0; movw $4, %es:0; movl $3, %es:0; out %al, $0x80");
GUEST16(rings_port, "mov $0xc010, %dx; out %ax, %dx; out %al, $0x80");

static void at_bell(struct tiny_vm *vm)
{
	struct x86_state regs = vm->state;

	regs.segs[X86_ES].base = BELL;
	assert_int_equal(vm->vcpu->ops->state_set(vm->vcpu, &regs), 0);
}

static uint64_t rung(int fd)
{
	uint64_t n = 0;

	if (read(fd, &n, sizeof(n)) < 0)
		assert_int_equal(errno, EAGAIN);
	return n;
}

static void a_doorbell_rings_instead_of_exiting(void **state)
{
	AUTO(fd_close_p) int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	(void)state;
	TINY_VM(vm, TINY_FULL);
	LOAD(&vm, rings);
	at_bell(&vm);
	assert_int_equal(vm.vm->ops->doorbell_set(vm.vm, BELL, 0, false, false, 0, fd), 0);
	tiny_expect_out(&vm, 0x80, 0);
	assert_int_equal(rung(fd), 3);
}

static void a_matching_doorbell_takes_only_its_value_and_width(void **state)
{
	AUTO(fd_close_p) int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	(void)state;
	TINY_VM(vm, TINY_FULL);
	LOAD(&vm, rings);
	at_bell(&vm);
	assert_int_equal(vm.vm->ops->doorbell_set(vm.vm, BELL, 2, false, true, 3, fd), 0);
	assert_int_equal(tiny_run(&vm), VCPU_EXIT_MMIO);
	assert_int_equal(vm.io.mmio.data[0], 4);
	assert_int_equal(tiny_run(&vm), VCPU_EXIT_MMIO);
	assert_int_equal(vm.io.mmio.len, 4);
	tiny_expect_out(&vm, 0x80, 0);
	assert_int_equal(rung(fd), 1);
}

static void a_doorbell_at_a_port(void **state)
{
	AUTO(fd_close_p) int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	(void)state;
	TINY_VM(vm, TINY_FULL);
	LOAD(&vm, rings_port);
	assert_int_equal(vm.vm->ops->doorbell_set(vm.vm, 0xc010, 2, true, false, 0, fd), 0);
	tiny_expect_out(&vm, 0x80, 0);
	assert_int_equal(rung(fd), 1);
}

static void taken_back_it_exits_again(void **state)
{
	AUTO(fd_close_p) int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	(void)state;
	TINY_VM(vm, TINY_FULL);
	LOAD(&vm, rings);
	at_bell(&vm);
	assert_int_equal(vm.vm->ops->doorbell_set(vm.vm, BELL, 0, false, false, 0, -1), -ENOENT);
	assert_int_equal(vm.vm->ops->doorbell_set(vm.vm, BELL, 0, false, false, 0, fd), 0);
	assert_int_equal(vm.vm->ops->doorbell_set(vm.vm, BELL, 0, false, false, 0, fd), -EEXIST);
	assert_int_equal(vm.vm->ops->doorbell_set(vm.vm, BELL, 0, false, false, 0, -1), 0);
	assert_int_equal(vm.vm->ops->doorbell_set(vm.vm, BELL, 0, false, false, 0, -1), -ENOENT);
	assert_int_equal(tiny_run(&vm), VCPU_EXIT_MMIO);
	assert_int_equal(rung(fd), 0);
}

static void they_are_bounded(void **state)
{
	AUTO(fd_close_p) int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int r = 0;
	uint64_t n;

	(void)state;
	TINY_VM(vm, TINY_FULL);
	for (n = 0; r == 0 && n < 2000; n++)
		r = vm.vm->ops->doorbell_set(vm.vm, BELL + n * 8, 0, false, false, 0, fd);
	assert_int_equal(r, -ENOSPC);
	assert_true(n > 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_doorbell_rings_instead_of_exiting),
		cmocka_unit_test(a_matching_doorbell_takes_only_its_value_and_width),
		cmocka_unit_test(a_doorbell_at_a_port),
		cmocka_unit_test(taken_back_it_exits_again),
		cmocka_unit_test(they_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
