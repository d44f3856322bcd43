/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What acpi.c and acpi_dsdt.c share. */
#include "machine/acpi.h"
#include "machine/aml.h"

/* SLP_TYP of S5 (machine/pm.h), as _S5 tells it. */
#define ACPI_SLEEP_TYPE_S5 5U

/* acpi_dsdt() - the body of the DSDT, after its header. */
void acpi_dsdt(struct aml *aml, const struct acpi_config *config);
