/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/acpi_parts.h"

#include "machine/layout.h"
#include "machine/pci.h"

static size_t dsdt_device(struct aml *aml, const char *name, const char *eisa_id)
{
	size_t device = aml_open(aml, AML_DEVICE);

	aml_path(aml, name);
	aml_name(aml, "_HID");
	aml_eisa_id(aml, eisa_id);
	return device;
}

static size_t dsdt_resources(struct aml *aml)
{
	aml_name(aml, "_CRS");
	return aml_resources_open(aml);
}

/* ---- the PCI root bridge ---- */

static void dsdt_pci_resources(struct aml *aml)
{
	size_t crs = dsdt_resources(aml);

	aml_window(aml, AML_WINDOW_BUS, 0, ACPI_PCI_LAST_BUS);
	aml_ports(aml, PORT_PCI_ADDRESS, 8);
	aml_window(aml, AML_WINDOW_PORTS, PORT_PCI_BARS, PORT_PCI_END - 1);
	aml_window(aml, AML_WINDOW_MEMORY, LAYOUT_PCI32, LAYOUT_PCI32_END - 1);
	aml_window(aml, AML_WINDOW_MEMORY, LAYOUT_PCI64, LAYOUT_PCI64 + LAYOUT_PCI64_BYTES - 1);
	aml_resources_close(aml, crs);
}

/* 6.2.13 _PRT: every function of a slot, the pin, no link device, the GSI. */
static void dsdt_pci_routes(struct aml *aml)
{
	aml_name(aml, "_PRT");
	size_t routes = aml_open(aml, AML_PACKAGE);
	aml_byte(aml, PCI_SLOTS * 4);
	for (unsigned slot = 0; slot < PCI_SLOTS; slot++) {
		for (unsigned pin = 0; pin < 4; pin++) {
			size_t route = aml_open(aml, AML_PACKAGE);
			aml_byte(aml, 4);
			aml_integer(aml, slot << 16 | 0xffff);
			aml_integer(aml, pin);
			aml_integer(aml, 0);
			aml_integer(aml, pci_intx_gsi(slot + pin));
			aml_close(aml, route);
		}
	}
	aml_close(aml, routes);
}

/* CDW1 |= bits, the first word of what the guest handed in. */
static void dsdt_osc_fail(struct aml *aml, uint8_t bits)
{
	aml_op(aml, AML_OR);
	aml_path(aml, "CDW1");
	aml_integer(aml, bits);
	aml_path(aml, "CDW1");
}

/*
 * 6.2.11 _OSC; PCI Firmware 3.0, 4.5.1 _OSC Interface for PCI Host Bridge Devices. There is no firmware that would use
 * any of the features: the guest gets every one that it asks for.
 */
static void dsdt_pci_osc(struct aml *aml)
{
	/* 33db4d5b-1ff7-401c-9657-7441c03dd766 */
	static const uint8_t uuid[16] = { 0x5b, 0x4d, 0xdb, 0x33, 0xf7, 0x1f, 0x1c, 0x40,
					  0x96, 0x57, 0x74, 0x41, 0xc0, 0x3d, 0xd7, 0x66 };
	size_t method = aml_open(aml, AML_METHOD);

	aml_path(aml, "_OSC");
	aml_byte(aml, 4 | 8); /* arguments, serialized: it creates a field */
	aml_op(aml, AML_CREATE_DWORD_FIELD);
	aml_op(aml, AML_ARG3);
	aml_integer(aml, 0);
	aml_path(aml, "CDW1");

	size_t known = aml_open(aml, AML_IF);
	aml_op(aml, AML_LEQUAL);
	aml_op(aml, AML_ARG0);
	aml_buffer(aml, uuid, sizeof(uuid));
	size_t revision = aml_open(aml, AML_IF);
	aml_op(aml, AML_LNOT);
	aml_op(aml, AML_LEQUAL);
	aml_op(aml, AML_ARG1);
	aml_integer(aml, 1);
	dsdt_osc_fail(aml, 8); /* unrecognized revision */
	aml_close(aml, revision);
	aml_close(aml, known);

	size_t unknown = aml_open(aml, AML_ELSE);
	dsdt_osc_fail(aml, 4); /* unrecognized UUID */
	aml_close(aml, unknown);

	aml_op(aml, AML_RETURN);
	aml_op(aml, AML_ARG3);
	aml_close(aml, method);
}

static void dsdt_pci(struct aml *aml)
{
	size_t device = dsdt_device(aml, "PCI0", "PNP0A08");

	aml_name(aml, "_CID");
	aml_eisa_id(aml, "PNP0A03");
	aml_name(aml, "_UID");
	aml_integer(aml, 0);
	aml_name(aml, "_SEG");
	aml_integer(aml, 0);
	aml_name(aml, "_BBN");
	aml_integer(aml, 0);
	dsdt_pci_resources(aml);
	dsdt_pci_routes(aml);
	dsdt_pci_osc(aml);
	aml_close(aml, device);
}

/* ---- the board ---- */

/* What no other device lists. Linux uses ECAM only where it finds it reserved so (PCI Firmware 3.0, 4.1.2). */
static void dsdt_board(struct aml *aml)
{
	size_t device = dsdt_device(aml, "BORD", "PNP0C02");
	size_t crs = dsdt_resources(aml);

	aml_memory(aml, (uint32_t)LAYOUT_ECAM, (uint32_t)LAYOUT_ECAM_BYTES);
	aml_ports(aml, PORT_PM1_EVENT, (uint8_t)(PORT_PM_TIMER + 4 - PORT_PM1_EVENT));
	aml_ports(aml, PORT_ELCR, 2);
	aml_resources_close(aml, crs);
	aml_close(aml, device);
}

static void dsdt_isa(struct aml *aml, const char *name, const char *eisa_id, unsigned port,
		     uint8_t ports, unsigned irq)
{
	size_t device = dsdt_device(aml, name, eisa_id);
	size_t crs = dsdt_resources(aml);

	aml_ports(aml, (uint16_t)port, ports);
	aml_irq(aml, irq);
	aml_resources_close(aml, crs);
	aml_close(aml, device);
}

static void dsdt_pic(struct aml *aml)
{
	size_t device = dsdt_device(aml, "PIC", "PNP0000");
	size_t crs = dsdt_resources(aml);

	aml_ports(aml, PORT_PIC_MASTER, 2);
	aml_ports(aml, PORT_PIC_SLAVE, 2);
	aml_irq(aml, 2);
	aml_resources_close(aml, crs);
	aml_close(aml, device);
}

static void dsdt_serial(struct aml *aml)
{
	size_t device = dsdt_device(aml, "COM1", "PNP0501");

	aml_name(aml, "_UID");
	aml_integer(aml, 1);
	size_t crs = dsdt_resources(aml);
	aml_ports(aml, PORT_SERIAL_1, 8);
	aml_irq(aml, GSI_SERIAL_1);
	aml_resources_close(aml, crs);
	aml_close(aml, device);
}

static void dsdt_keyboard(struct aml *aml)
{
	size_t device = dsdt_device(aml, "KBD", "PNP0303");
	size_t crs = dsdt_resources(aml);

	aml_ports(aml, PORT_I8042, 1);
	aml_ports(aml, PORT_I8042 + 4, 1);
	aml_irq(aml, GSI_KEYBOARD);
	aml_resources_close(aml, crs);
	aml_close(aml, device);
}

/* "QEMU0002" is the name that drivers of fw_cfg know (QEMU's docs/specs/fw_cfg, ACPI Interface). */
static void dsdt_fwcfg(struct aml *aml)
{
	size_t device = aml_open(aml, AML_DEVICE);

	aml_path(aml, "FWCF");
	aml_name(aml, "_HID");
	aml_string(aml, "QEMU0002");
	size_t crs = dsdt_resources(aml);
	aml_ports(aml, PORT_FW_CFG, 12);
	aml_resources_close(aml, crs);
	aml_close(aml, device);
}

/* 7.4.2.6 _S5: the values for SLP_TYPa and SLP_TYPb, two more that are reserved. */
static void dsdt_soft_off(struct aml *aml)
{
	aml_name(aml, "\\_S5");
	size_t package = aml_open(aml, AML_PACKAGE);
	aml_byte(aml, 4);
	aml_integer(aml, ACPI_SLEEP_TYPE_S5);
	aml_integer(aml, ACPI_SLEEP_TYPE_S5);
	aml_integer(aml, 0);
	aml_integer(aml, 0);
	aml_close(aml, package);
}

void acpi_dsdt(struct aml *aml, const struct acpi_config *config)
{
	size_t scope = aml_open(aml, AML_SCOPE);

	aml_path(aml, "\\_SB");
	dsdt_pci(aml);
	dsdt_board(aml);
	dsdt_pic(aml);
	dsdt_isa(aml, "PIT", "PNP0100", PORT_PIT, 4, GSI_PIT);
	if (config->rtc)
		dsdt_isa(aml, "RTC", "PNP0B00", PORT_RTC, 2, GSI_RTC);
	if (config->serial)
		dsdt_serial(aml);
	if (config->i8042)
		dsdt_keyboard(aml);
	if (config->fwcfg)
		dsdt_fwcfg(aml);
	aml_close(aml, scope);
	dsdt_soft_off(aml);
}
