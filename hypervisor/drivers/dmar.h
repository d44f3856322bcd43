/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The firmware's DMAR table: the server's VT-d units, which devices are behind each, and the memory that the firmware's own devices
 * go on using. It is checked as any input: lengths bound every loop, what does not fit is said.
 * Source: Intel Virtualization Technology for Directed I/O 4.1, BIOS Considerations.
 */
#include <stdbool.h>
#include <stdint.h>

#define DMAR_UNITS    32U
#define DMAR_RESERVED 16U
#define DMAR_SCOPES   32U /* of one unit or range */
#define DMAR_PATH     4U  /* bridges one below another, and the device */

enum dmar_scope_kind {
	DMAR_ENDPOINT = 1,
	DMAR_BRIDGE = 2
}; /* others are no PCI devices with buffers of ours */

struct dmar_scope {
	uint8_t kind, bus;
	uint8_t n_path;
	struct {
		uint8_t slot, function;
	} path[DMAR_PATH];
};

struct dmar_scopes {
	struct dmar_scope at[DMAR_SCOPES];
	unsigned n;
};

struct dmar_unit {
	uint64_t base; /* physical, of its registers; page aligned, below 2^46 */
	bool has_rest; /* every device that no other unit names */
	struct dmar_scopes scopes;
};

struct dmar_reserved {
	uint64_t start, len; /* bytes, whole pages, below 2^52 */
	struct dmar_scopes scopes;
};

struct dmar {
	struct dmar_unit units[DMAR_UNITS];
	unsigned n_units;
	struct dmar_reserved reserved[DMAR_RESERVED];
	unsigned n_reserved;
	bool has_interrupts; /* INTR_REMAP: interrupts may be remapped */
};

/*
 * dmar_read() - read the table; segment 0 of PCI only
 * @table: len bytes, with the ACPI head
 * Return: 0; -EPROTO: lengths that contradict themselves, addresses that cannot be; -E2BIG: more than fits here; -ENODATA: no unit.
 */
int dmar_read(const uint8_t *table, uint32_t len, struct dmar *ret);
