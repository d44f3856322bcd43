/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The ACPI tables that describe the machine: RSDP, RSDT and XSDT, FADT, FACS, MADT, MCFG, DSDT, one after the other in
 * the area that a PC's firmware has at LAYOUT_ACPI, where a guest that was told nothing looks for them.
 *
 * What they promise: LAPIC ids are the vcpus' indices; the PIT is on GSI 2; the SCI is GSI 9, level; INTx go to
 * pci_intx_gsi() and up; ECAM, the windows of the PCI bus and every port are machine/layout.h's.
 * Source: ACPI 6.3, 5.2 ACPI System Description Tables; PCI Firmware 3.0, 4.1.2 MCFG Table Description.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/core/err.h"
#include "machine/mem.h"

#define ACPI_VCPUS_MAX 4096U

struct acpi_config {
	unsigned vcpus; /* 1..ACPI_VCPUS_MAX */
	bool serial;	/* devices that are not in every machine */
	bool rtc;
	bool i8042; /* a keyboard controller that is worth a driver: not one that only resets */
	bool fwcfg;
};

/*
 * acpi_build() - the tables, as they shall lie at base
 * @data: size bytes, zeroed here   @base: multiple of 64, below 4 GiB, where the RSDP comes
 * @ret_len: bytes that are used
 * Return: 0; -EINVAL: no vcpus, or too many; -ENOSPC: size is too small.
 */
int acpi_build(const struct acpi_config *config, uint8_t *data, size_t size, gpa_t base,
	       size_t *ret_len, struct err *err);
/* acpi_install() - the same into guest memory at LAYOUT_ACPI, where the RSDP is then; also -EFAULT: no memory there. */
int acpi_install(const struct acpi_config *config, struct guest_mem *mem, struct err *err);
