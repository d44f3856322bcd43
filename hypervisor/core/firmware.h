/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the firmware's ACPI tables say of the server. Each table's checksum and length are checked; one that fails is as if
 * it were not there.
 * Source: ACPI 6.4: Root System Description Pointer; System Description Table Header; MADT; FADT. PCI Firmware 3.2, MCFG. IA-PC HPET
 * 1.0a, The ACPI 2.0 HPET Description Table.
 */
#include <stdbool.h>
#include <stdint.h>

#include "boot/info.h"
#include "core/percpu.h"

#define FIRMWARE_IOAPICS 8U

struct firmware {
	bool has_acpi; /* a root table was found */
	uint32_t apic_ids[CPU_MAX];
	unsigned n_cpus; /* enabled; 0: no MADT */
	bool has_pic;	 /* a pair of 8259s */
	uint64_t ioapics[FIRMWARE_IOAPICS];
	unsigned n_ioapics;
	uint16_t pm_timer;	       /* port; 0: none */
	uint16_t pm1a, pm1b;	       /* PM1 control blocks' ports; 0: none */
	uint16_t smi_command;	       /* port; 0: ACPI's mode is always on */
	uint8_t acpi_enable;	       /* what turns it on there */
	bool has_s5;		       /* the server can be switched off: */
	uint8_t s5_a, s5_b;	       /* by these, as SLP_TYP of PM1a and PM1b */
	uint64_t dsdt;		       /* 0: none */
	uint64_t hpet;		       /* its registers; 0: none */
	uint64_t ecam;		       /* PCI configuration space of segment 0; 0: none */
	uint8_t ecam_first, ecam_last; /* its buses */
	bool has_iommu;		       /* a DMAR or IVRS table */
	const uint8_t *dmar;	       /* VT-d's, where the firmware has it; NULL: none */
	uint32_t dmar_len;
	const uint8_t *ivrs; /* AMD-Vi's; NULL: none */
	uint32_t ivrs_len;
};

/*
 * firmware_find() - read the tables
 * Return: whether there are any; *ret is filled in either case.
 */
bool firmware_find(const struct boot_view *view, const struct boot_info *info,
		   struct firmware *ret);
