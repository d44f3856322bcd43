/* SPDX-License-Identifier: Apache-2.0 */
/* Switches the server off. Source: ACPI 6.4, PM1 Control Registers; Transitioning from the Working to the Soft Off State. */
#include "core/clock.h"
#include "core/io.h"
#include "core/print.h"
#include "selftest/selftest.h"

#define SCI_EN	      0x1U
#define SLP_TYP_SHIFT 10U
#define SLP_TYP	      0x1c00U
#define SLP_EN	      0x2000U
#define WAIT_NS	      UINT64_C(1000000000)

/* Where the firmware still has it. */
static void acpi_on(const struct firmware *f)
{
	uint64_t end = clock_ns() + WAIT_NS;

	if (!f->smi_command || !f->acpi_enable || port_in16(f->pm1a) & SCI_EN)
		return;
	port_out8(f->smi_command, f->acpi_enable);
	while (!(port_in16(f->pm1a) & SCI_EN) && clock_ns() < end)
		cpu_relax();
}

static void sleep_set(uint16_t port, uint8_t type)
{
	uint16_t value = port_in16(port) & (uint16_t) ~(SLP_TYP | SLP_EN);

	value |= (uint16_t)(type << SLP_TYP_SHIFT);
	port_out16(port, value);
	port_out16(port, value | SLP_EN);
}

void self_test_power_off(const struct firmware *firmware)
{
	if (!firmware->has_s5 || !firmware->pm1a) {
		self_test_note("this server does not say how it is switched off");
		return;
	}
	print_flush();
	acpi_on(firmware);
	sleep_set(firmware->pm1a, firmware->s5_a);
	if (firmware->pm1b)
		sleep_set(firmware->pm1b, firmware->s5_b);
	clock_delay_ns(WAIT_NS);
	self_test_note("this server does not switch itself off");
}
