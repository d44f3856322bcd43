/* SPDX-License-Identifier: Apache-2.0 */
/* The guest programs that need no device, over kvm_cpu_ops; the others run on a whole machine: tests/system. */
#include "guest_host.h"

#include <string.h>

static void run(const char *name, const char *cmdline, unsigned vcpus, enum tiny_irqchip irqchip)
{
	static struct guest_end end;

	if (tiny_missing())
		SKIP(tiny_missing());
	guest_host_run(name, cmdline, vcpus, irqchip, &end);
	if (end.exited && end.status == 0 && strstr(end.text, " passed, 0 failed\n"))
		return;
	print_message("%s", end.text);
	for (unsigned i = 0; i < end.insn_len; i++)
		print_message("%02x ", end.insn[i]);
	fail_msg("%s: %s (rip %#llx)", name, end.exited ? "it says that it failed" : end.failure,
		 (unsigned long long)end.rip);
}

static void pio_with_kvms_controllers(void **state)
{
	(void)state;
	run("pio", "", 1, TINY_FULL);
}
static void pio_with_kvms_lapic(void **state)
{
	(void)state;
	run("pio", "", 1, TINY_SPLIT);
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
static void smp_with_kvms_lapic(void **state)
{
	(void)state;
	run("smp", "cpus=2", 2, TINY_SPLIT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pio_with_kvms_controllers),
		cmocka_unit_test(pio_with_kvms_lapic),
		cmocka_unit_test(pio_without),
		cmocka_unit_test(mmio_with_kvms_controllers),
		cmocka_unit_test(mmio_without),
		cmocka_unit_test(smp_with_kvms_controllers),
		cmocka_unit_test(smp_with_kvms_lapic),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
