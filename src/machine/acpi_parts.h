/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What acpi.c and acpi_dsdt.c share. */
#include "machine/acpi.h"
#include "machine/aml.h"

/* SLP_TYP of S5 (machine/pm.h), as _S5 tells it. */
#define ACPI_SLEEP_TYPE_S5 5U

/*
 * The machine has one bus, and says so: Linux looks for forgotten host bridges on every bus that MCFG has, which would be
 * 8,160 accesses before it even starts (pcibios_fixup_peer_bridges in its arch/x86/pci/legacy.c).
 */
#define ACPI_PCI_LAST_BUS 0U

/* acpi_dsdt() - the body of the DSDT, after its header. */
void acpi_dsdt(struct aml *aml, const struct acpi_config *config);
