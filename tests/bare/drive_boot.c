/* SPDX-License-Identifier: Apache-2.0 */
/* What is done before a guest's first instruction: its CPUs' leaves, ACPI tables, and its kernel. */
#include "bare.h"

#include <string.h>

#include "base/core/bytes.h"
#include "machine/acpi.h"
#include "machine/boot.h"
#include "machine/cpuid.h"

/* ---- CPUID ---- */

static void host_cpuid(struct cpuid_leaf *leaf, uint32_t function, uint32_t index)
{
	*leaf = (struct cpuid_leaf){ .function = function, .index = index };
	__asm__ volatile("cpuid"
			 : "=a"(leaf->eax), "=b"(leaf->ebx), "=c"(leaf->ecx), "=d"(leaf->edx)
			 : "a"(function), "c"(index));
}

/* The leaves of the CPU that we run on, as an engine would offer them. */
static unsigned host_leaves(struct cpuid_leaf *leaves, unsigned room)
{
	static const uint32_t firsts[] = { CPUID_BASIC, (uint32_t)CPUID_EXT };
	unsigned n = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(firsts); i++) {
		struct cpuid_leaf first;
		host_cpuid(&first, firsts[i], 0);
		for (uint32_t f = firsts[i]; f <= first.eax && n < room; f++) {
			host_cpuid(&leaves[n], f, 0);
			leaves[n++].indexed = f == CPUID_CACHES || f == CPUID_EXTENDED_FEATURES ||
					      f == CPUID_TOPOLOGY || f == CPUID_XSAVE;
		}
	}
	return n;
}

bool drive_cpuid(struct board *b)
{
	struct cpuid_leaf host[CPUID_LEAVES_MAX], model[CPUID_LEAVES_MAX];
	struct cpuid_config config = { .vcpus = 2, .phys_bits = 40 };
	struct err err = { 0 };
	unsigned n = 0;

	(void)b;
	for (unsigned vcpu = 0; vcpu < 2; vcpu++) {
		unsigned n_host = host_leaves(host, CPUID_LEAVES_MAX);
		if (cpuid_model(&config, host, n_host, vcpu, model, &n, &err) < 0)
			print("%s\n", err.text);
		EXPECT(err.code == 0);
		EXPECT(cpuid_find(model, n, CPUID_FEATURES, 0)->ebx >> 24 == vcpu); /* APIC id */
		EXPECT(cpuid_has(model, n, "apic") && !cpuid_has(model, n, "x2apic"));
		EXPECT(cpuid_has(model, n, "hypervisor"));
	}
	return true;
}

/* ---- ACPI ---- */

static uint8_t sum(const uint8_t *data, uint32_t len)
{
	uint8_t total = 0;

	for (uint32_t i = 0; i < len; i++)
		total = (uint8_t)(total + data[i]);
	return total;
}

/* ACPI 6.3, 5.2.8 Extended System Description Table: how many tables there are, each whole; 0: one is not. */
static unsigned acpi_tables(struct board *b, uint64_t xsdt_gpa)
{
	const uint8_t *xsdt = mem_hva(&b->mem, xsdt_gpa, 36);
	unsigned n = 0;

	if (!xsdt || memcmp(xsdt, "XSDT", 4) != 0 || sum(xsdt, le32_load(xsdt + 4)))
		return 0;
	for (uint32_t at = 36; at < le32_load(xsdt + 4); at += 8, n++) {
		const uint8_t *table = mem_hva(&b->mem, le64_load(xsdt + at), 36);
		if (!table || sum(table, le32_load(table + 4)))
			return 0;
	}
	return n;
}

bool drive_acpi(struct board *b)
{
	struct acpi_config config = { .vcpus = 2, .serial = true, .rtc = true };
	const uint8_t *rsdp = board_at(b, LAYOUT_ACPI);
	struct err err = { 0 };

	EXPECT(acpi_install(&config, &b->mem, &err) == 0);
	EXPECT(memcmp(rsdp, "RSD PTR ", 8) == 0);
	EXPECT(sum(rsdp, 20) == 0 && sum(rsdp, le32_load(rsdp + 20)) == 0);
	EXPECT(acpi_tables(b, le64_load(rsdp + 24)) == 3); /* FADT, MADT, MCFG */
	return true;
}

/* ---- a kernel: ELF by PVH, 16 bytes long ---- */

static void elf_segment(uint8_t *ph, uint32_t type, uint32_t offset, uint64_t gpa, uint32_t len)
{
	le32_store(ph, type);
	le32_store(ph + 4, 7);
	le64_store(ph + 8, offset);
	le64_store(ph + 16, gpa);
	le64_store(ph + 24, gpa);
	le64_store(ph + 32, len);
	le64_store(ph + 40, len);
	le64_store(ph + 48, 4);
}

/* System V ABI, ELF Header, Program Header; Xen docs/misc/pvh.pandoc. */
static void elf_make(uint8_t elf[512])
{
	static const uint8_t ident[7] = { 0x7f, 'E', 'L', 'F', 2, 1, 1 };

	memset(elf, 0, 512);
	memcpy(elf, ident, sizeof(ident));
	le16_store(elf + 16, 2);  /* executable */
	le16_store(elf + 18, 62); /* x86-64 */
	le32_store(elf + 20, 1);
	le64_store(elf + 24, LAYOUT_KERNEL);
	le64_store(elf + 32, 64); /* program headers */
	le16_store(elf + 52, 64);
	le16_store(elf + 54, 56);
	le16_store(elf + 56, 2);
	elf_segment(elf + 64, 1, 0x180, LAYOUT_KERNEL, 16);
	elf_segment(elf + 120, 4, 0x100, 0, 20);
	le32_store(elf + 0x100, 4);
	le32_store(elf + 0x104, 4);
	le32_store(elf + 0x108, 18); /* XEN_ELFNOTE_PHYS32_ENTRY */
	memcpy(elf + 0x10c, "Xen", 4);
	le32_store(elf + 0x110, LAYOUT_KERNEL + 4);
	memset(elf + 0x180, 0x90, 16);
}

bool drive_boot(struct board *b)
{
	uint8_t elf[512];
	struct boot_source source = { .kernel = elf, .kernel_len = sizeof(elf), .cmdline = "a=b" };
	const uint8_t *info = board_at(b, LAYOUT_PVH_INFO);
	struct x86_state state;
	struct err err = { 0 };

	elf_make(elf);
	if (boot_load(&b->mem, &source, &state, &err) < 0)
		print("%s\n", err.text);
	EXPECT(err.code == 0);
	EXPECT(state.rip == LAYOUT_KERNEL + 4 && state.regs[X86_RBX] == LAYOUT_PVH_INFO);
	EXPECT(le32_load(info) == 0x336ec578);
	EXPECT(memcmp(board_at(b, le64_load(info + 24)), "a=b", 4) == 0);
	EXPECT(le64_load(info + 32) == LAYOUT_ACPI);
	EXPECT(*(uint8_t *)board_at(b, LAYOUT_KERNEL) == 0x90);
	le16_store(elf + 18, 40); /* another CPU's */
	EXPECT(boot_load(&b->mem, &source, &state, &err) < 0 && err.text[0]);
	return true;
}
