/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The firmware's IVRS table: the server's AMD-Vi units, which device IDs are behind each and by which name the unit knows them, and the
 * memory that the firmware's own devices go on using. It is checked as any input: lengths bound every loop, what does not fit is said.
 * Source: AMD I/O Virtualization Technology (IOMMU) Specification 3.05: I/O Virtualization Reporting Structure (IVRS); I/O
 * Virtualization Hardware Definition (IVHD) Block; IVHD Device Entries; I/O Virtualization Memory Definition (IVMD) Block.
 */
#include <stdbool.h>
#include <stdint.h>

#define IVRS_UNITS    32U
#define IVRS_ENTRIES  1024U /* of all units */
#define IVRS_RESERVED 32U
#define IVRS_IOAPICS  32U

/* A device ID is what a requester is known by: bus << 8 | slot << 3 | function. */
struct ivrs_unit {
	uint64_t base; /* physical, of its registers; on a boundary of 16 KiB, below 2^46 */
	uint16_t id;   /* of its own PCI function */
	uint16_t cap; /* that function's register of the IOMMU's capability; 0: it has none there */
	uint8_t flags; /* IVRS_* */
	uint8_t kind;  /* of the block: 0x10, 0x11, 0x40 */
};

/* IVHD flags: how the unit's requests are to be made. */
enum ivrs_flag {
	IVRS_TUNNEL = 0x01,	  /* HtTunEn */
	IVRS_PASS_WRITES = 0x02,  /* PassPW */
	IVRS_PASS_ANSWERS = 0x04, /* ResPassPW */
	IVRS_ISOCHRONOUS = 0x08,  /* Isoc */
};

struct ivrs_entry {
	uint16_t first, last; /* device IDs */
	uint16_t alias;	      /* the unit knows them by this one, too */
	bool has_alias;
	uint8_t unit;	  /* index */
	uint8_t settings; /* IVRS_*: of their entries in the device table */
};

enum ivrs_settings { IVRS_MANAGEMENT_AT = 4, IVRS_MANAGEMENT_MASK = 3 };

/* By which names IOAPICs interrupt. */
struct ivrs_ioapic {
	uint16_t id;
	uint8_t settings;
};

struct ivrs_reserved {
	uint16_t first, last; /* device IDs */
	uint64_t start, len;  /* bytes, whole pages, below 2^52 */
	bool read_only;
};

struct ivrs {
	struct ivrs_unit units[IVRS_UNITS];
	unsigned n_units;
	struct ivrs_entry entries[IVRS_ENTRIES];
	unsigned n_entries;
	struct ivrs_reserved reserved[IVRS_RESERVED];
	unsigned n_reserved;
	struct ivrs_ioapic ioapics[IVRS_IOAPICS];
	unsigned n_ioapics; /* 0: interrupts are not to be remapped */
};

/*
 * ivrs_read() - read the table; segment 0 of PCI only. Of a unit that several kinds of block describe, the latest kind is read.
 * @table: len bytes, with the ACPI head
 * Return: 0; -EPROTO: lengths or ranges that contradict themselves, addresses that cannot be; -E2BIG: more than fits here; -ENODATA:
 * no unit.
 */
int ivrs_read(const uint8_t *table, uint32_t len, struct ivrs *ret);
/* ivrs_find() - what says most about a device ID: the narrowest, and of these the last. NULL: no unit is in charge. */
const struct ivrs_entry *ivrs_find(const struct ivrs *ivrs, uint16_t id);
