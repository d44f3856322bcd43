/* SPDX-License-Identifier: Apache-2.0 */
/* The guest programs that need no device, over kvm_cpu_ops; the others run on a whole machine: tests/system. */
#include "guest_host.h"

#include <string.h>

#include "engines/hybrid/kvm_kind.h"

static void run_with(const struct guest_run *run)
{
	static struct guest_end end;

	if (tiny_missing())
		SKIP(tiny_missing());
	guest_host_run(run, &end);
	if (end.exited && end.status == 0 && strstr(end.text, " passed, 0 failed\n"))
		return;
	print_message("%s", end.text);
	for (unsigned i = 0; i < end.insn_len; i++)
		print_message("%02x ", end.insn[i]);
	fail_msg("%s: %s (rip %#llx)", run->name,
		 end.exited ? "it says that it failed" : end.failure, (unsigned long long)end.rip);
}

static void run(const char *name, const char *cmdline, unsigned vcpus, enum tiny_irqchip irqchip)
{
	run_with(&(const struct guest_run){ name, cmdline, vcpus, irqchip, false });
}

static void device(const char *name, const char *cmdline, unsigned vcpus)
{
	run_with(&(const struct guest_run){ name, cmdline, vcpus, TINY_FULL, true });
}

static void pio_with_kvms_controllers(void **state)
{
	(void)state;
	run("pio", "", 1, TINY_FULL);
}
static void pio_without(void **state)
{
	(void)state;
	run("pio", "", 1, TINY_NONE);
}
static void mmio_with_kvms_controllers(void **state)
{
	(void)state;
	run("mmio", "", 1, TINY_FULL);
}
static void mmio_without(void **state)
{
	(void)state;
	run("mmio", "", 1, TINY_NONE);
}
static void smp_with_kvms_controllers(void **state)
{
	(void)state;
	run("smp", "cpus=4", 4, TINY_FULL);
}

/* Where KVM has no hardware assistance its LAPIC forgets what is being handled: tests/guest/interrupts.c. */
static const char *in_service(void)
{
	struct kvm_kind kind;

	return kvm_kind_measure(&kind, NULL) == 0 && !kind.hardware ? "in_service=0" : "";
}

static void pci_bus(void **state)
{
	(void)state;
	device("pci", in_service(), 1);
}
static void blk_driver(void **state)
{
	(void)state;
	device("blk", "", 1);
}
static void net_driver(void **state)
{
	(void)state;
	device("net", "", 1);
}
static void console_driver(void **state)
{
	(void)state;
	device("console", "ports=2 echo_port=1", 1);
}
static void rng_driver(void **state)
{
	(void)state;
	device("rng", "", 1);
}
static void balloon_driver(void **state)
{
	(void)state;
	device("balloon", "", 1);
}
static void vsock_driver(void **state)
{
	(void)state;
	device("vsock", "echo_port=7", 1);
}
static void driver_that_lies(void **state)
{
	(void)state;
	device("hostile_rings", "cpus=2", 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pio_with_kvms_controllers),
		cmocka_unit_test(pio_without),
		cmocka_unit_test(mmio_with_kvms_controllers),
		cmocka_unit_test(mmio_without),
		cmocka_unit_test(smp_with_kvms_controllers),
		cmocka_unit_test(pci_bus),
		cmocka_unit_test(blk_driver),
		cmocka_unit_test(net_driver),
		cmocka_unit_test(console_driver),
		cmocka_unit_test(rng_driver),
		cmocka_unit_test(balloon_driver),
		cmocka_unit_test(vsock_driver),
		cmocka_unit_test(driver_that_lies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
