/* SPDX-License-Identifier: Apache-2.0 */
#include "core/firmware.h"

#include <string.h>

#include "base/core/bytes.h"

#define TABLES_MOST	 256U
#define TABLE_BYTES_MOST (UINT32_C(16) << 20)

struct acpi_rsdp {
	uint8_t signature[8], checksum, oem[6], revision;
	struct le32 rsdt;
	/* revision 2 */
	struct le32 len;
	uint8_t xsdt[8];
	uint8_t extended_checksum, reserved[3];
} __attribute__((packed));

struct acpi_head {
	uint8_t signature[4];
	struct le32 len;
	uint8_t revision, checksum, oem[6], oem_table[8], oem_revision[4], creator[4],
		creator_revision[4];
} __attribute__((packed));

_Static_assert(sizeof(struct acpi_rsdp) == 36 && sizeof(struct acpi_head) == 36, "ACPI 6.4");

static bool sums_to_zero(const void *bytes, uint64_t len)
{
	const uint8_t *b = bytes;
	uint8_t sum = 0;

	for (uint64_t i = 0; i < len; i++)
		sum = (uint8_t)(sum + b[i]);
	return sum == 0;
}

static bool rsdp_is_good(const struct acpi_rsdp *rsdp)
{
	return memcmp(rsdp->signature, "RSD PTR ", 8) == 0 && sums_to_zero(rsdp, 20);
}

/* In the first KiB of the extended BIOS data area, or below 1 MiB, on a boundary of 16. */
static const struct acpi_rsdp *rsdp_search(const struct boot_view *view, uint64_t start,
					   uint64_t len)
{
	for (uint64_t at = start; at < start + len; at += 16) {
		const struct acpi_rsdp *rsdp = boot_view_at(view, at, sizeof(*rsdp));
		if (rsdp && rsdp_is_good(rsdp))
			return rsdp;
	}
	return NULL;
}

static const struct acpi_rsdp *rsdp_find(const struct boot_view *view, const struct boot_info *info)
{
	const struct acpi_rsdp *copy = (const void *)info->rsdp_copy;

	if (rsdp_is_good(copy))
		return copy;
	if (info->rsdp) {
		const struct acpi_rsdp *told = boot_view_at(view, info->rsdp, sizeof(*told));
		if (told && rsdp_is_good(told))
			return told;
	}
	const uint8_t *ebda = boot_view_at(view, 0x40e, 2);
	const struct acpi_rsdp *found = NULL;
	if (ebda)
		found = rsdp_search(view, (uint64_t)le16_load(ebda) << 4, 1024);
	return found ? found : rsdp_search(view, 0xe0000, 0x20000);
}

/* Return: NULL: not all there, or its sum is wrong. *ret_len: with the head. */
static const uint8_t *table_at(const struct boot_view *view, uint64_t phys, uint32_t *ret_len)
{
	const struct acpi_head *head = boot_view_at(view, phys, sizeof(*head));

	if (!head)
		return NULL;
	uint32_t len = le32_get(head->len);
	if (len < sizeof(*head) || len > TABLE_BYTES_MOST || !boot_view_at(view, phys, len) ||
	    !sums_to_zero(head, len))
		return NULL;
	*ret_len = len;
	return (const uint8_t *)head;
}

static void madt_cpu(uint32_t id, uint32_t flags, struct firmware *ret)
{
	if (flags & 1 && ret->n_cpus < CPU_MAX) /* enabled */
		ret->apic_ids[ret->n_cpus++] = id;
}

static void madt_read(const uint8_t *table, uint32_t len, struct firmware *ret)
{
	if (len < 44)
		return;
	ret->has_pic = le32_load(table + 40) & 1;
	for (uint32_t at = 44; at + 2 <= len;) {
		const uint8_t *entry = table + at;
		uint8_t size = entry[1];
		if (size < 2 || size > len - at)
			return;
		if (entry[0] == 0 && size >= 8)
			madt_cpu(entry[3], le32_load(entry + 4), ret);
		else if (entry[0] == 9 && size >= 16)
			madt_cpu(le32_load(entry + 4), le32_load(entry + 8), ret);
		else if (entry[0] == 1 && size >= 12 && ret->n_ioapics < FIRMWARE_IOAPICS)
			ret->ioapics[ret->n_ioapics++] = le32_load(entry + 4);
		at += size;
	}
}

static uint16_t port_of(const uint8_t *at)
{
	uint32_t port = le32_load(at);

	return port <= UINT16_MAX ? (uint16_t)port : 0;
}

static void fadt_read(const uint8_t *table, uint32_t len, struct firmware *ret)
{
	if (len < 80)
		return;
	ret->pm1a = port_of(table + 64);
	ret->pm1b = port_of(table + 68);
	ret->pm_timer = port_of(table + 76);
	ret->smi_command = port_of(table + 48);
	ret->acpi_enable = table[52];
	ret->dsdt = len >= 148 ? le64_load(table + 140) : 0;
	if (!ret->dsdt)
		ret->dsdt = le32_load(table + 40);
}

/* An element that is a small number: ACPI 6.4, Data Objects Encoding. Return: bytes of it; 0: it is something else. */
static uint32_t aml_number(const uint8_t *at, const uint8_t *end, uint8_t *ret)
{
	if (at < end && (at[0] == 0x00 || at[0] == 0x01)) {
		*ret = at[0];
		return 1;
	}
	if (end - at < 2 || at[0] < 0x0a || at[0] > 0x0c)
		return 0;
	*ret = at[1]; /* what is more of it does not fit SLP_TYP */
	return at[0] == 0x0a ? 2 : at[0] == 0x0b ? 3 : 5;
}

/* Behind the name: a package of two numbers or more. ACPI 6.4, \_Sx (System States); Package Length Encoding. */
static bool s5_package(const uint8_t *at, const uint8_t *end, struct firmware *ret)
{
	if (end - at < 3 || at[0] != 0x12 || end - at < 3 + (at[1] >> 6))
		return false;
	at += 2 + (at[1] >> 6);
	if (*at++ < 2)
		return false;
	uint32_t n = aml_number(at, end, &ret->s5_a);
	return n && n < (uint32_t)(end - at) && aml_number(at + n, end, &ret->s5_b) &&
	       ret->s5_a < 8 && ret->s5_b < 8;
}

/* The name is looked for among all bytes of the table: nobody runs its program here. */
static void s5_find(const struct boot_view *view, struct firmware *ret)
{
	uint32_t len = 0;
	const uint8_t *dsdt = ret->dsdt ? table_at(view, ret->dsdt, &len) : NULL;

	if (!dsdt || memcmp(dsdt, "DSDT", 4) != 0)
		return;
	for (uint32_t at = 36; !ret->has_s5 && len >= 8 && at < len - 8; at++) {
		const uint8_t *name = dsdt + at + 1;
		if (dsdt[at] != 0x08) /* DefName */
			continue;
		name += *name == '\\';
		if (memcmp(name, "_S5_", 4) == 0)
			ret->has_s5 = s5_package(name + 4, dsdt + len, ret);
	}
}

static void mcfg_read(const uint8_t *table, uint32_t len, struct firmware *ret)
{
	for (uint32_t at = 44; at + 16 <= len; at += 16) {
		if (le16_load(table + at + 8) != 0) /* segment */
			continue;
		ret->ecam = le64_load(table + at);
		ret->ecam_first = table[at + 10];
		ret->ecam_last = table[at + 11];
		return;
	}
}

/* Its address is one of memory: the structure before it says so. */
static void hpet_read(const uint8_t *table, uint32_t len, struct firmware *ret)
{
	if (len >= 56 && table[40] == 0)
		ret->hpet = le64_load(table + 44);
}

static void dmar_keep(const uint8_t *table, uint32_t len, struct firmware *ret)
{
	ret->has_iommu = true;
	ret->dmar = table;
	ret->dmar_len = len;
}

static void ivrs_keep(const uint8_t *table, uint32_t len, struct firmware *ret)
{
	ret->has_iommu = true;
	ret->ivrs = table;
	ret->ivrs_len = len;
}

static void table_read(const uint8_t *table, uint32_t len, struct firmware *ret)
{
	if (memcmp(table, "APIC", 4) == 0)
		madt_read(table, len, ret);
	else if (memcmp(table, "FACP", 4) == 0)
		fadt_read(table, len, ret);
	else if (memcmp(table, "MCFG", 4) == 0)
		mcfg_read(table, len, ret);
	else if (memcmp(table, "HPET", 4) == 0)
		hpet_read(table, len, ret);
	else if (memcmp(table, "IVRS", 4) == 0)
		ivrs_keep(table, len, ret);
	else if (memcmp(table, "DMAR", 4) == 0)
		dmar_keep(table, len, ret);
}

/* The root table: pointers of 4 bytes (RSDT) or 8 (XSDT). */
static bool root_read(const struct boot_view *view, uint64_t phys, uint32_t each,
		      struct firmware *ret)
{
	uint32_t len;
	const uint8_t *root = table_at(view, phys, &len);

	if (!root || memcmp(root, each == 8 ? "XSDT" : "RSDT", 4) != 0)
		return false;
	for (uint32_t i = 0; i < TABLES_MOST && 36 + (i + 1) * each <= len; i++) {
		const uint8_t *pointer = root + 36 + i * each;
		uint32_t table_len;
		const uint8_t *table = table_at(
			view, each == 8 ? le64_load(pointer) : le32_load(pointer), &table_len);
		if (table)
			table_read(table, table_len, ret);
	}
	return true;
}

bool firmware_find(const struct boot_view *view, const struct boot_info *info, struct firmware *ret)
{
	const struct acpi_rsdp *rsdp = rsdp_find(view, info);

	memset(ret, 0, sizeof(*ret));
	if (!rsdp)
		return false;
	if (rsdp->revision >= 2 && sums_to_zero(rsdp, sizeof(*rsdp)))
		ret->has_acpi = root_read(view, le64_load(rsdp->xsdt), 8, ret);
	if (!ret->has_acpi)
		ret->has_acpi = root_read(view, le32_get(rsdp->rsdt), 4, ret);
	s5_find(view, ret);
	return ret->has_acpi;
}
