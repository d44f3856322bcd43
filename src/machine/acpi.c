/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/acpi.h"

#include <errno.h>
#include <string.h>

#include "base/core/bytes.h"
#include "machine/acpi_parts.h"
#include "machine/layout.h"

#define ACPI_HEADER_BYTES 36U
#define ACPI_FACS_BYTES	  64U
#define ACPI_RSDP_BYTES	  36U
#define ACPI_TABLES	  3U /* in the XSDT: FADT, MADT, MCFG */

/* The last LAPIC id that an xAPIC can have: 0xff is broadcast. Above come x2APIC entries: 5.2.12.12. */
#define ACPI_XAPIC_ID_MAX 254U

/* ---- a table: header, body, checksum (5.2.6 System Description Table Header) ---- */

static void acpi_zeros(struct aml *out, size_t len)
{
	for (size_t i = 0; i < len && !out->full; i++)
		aml_byte(out, 0);
}

static void acpi_number(struct aml *out, uint64_t value, unsigned bytes)
{
	aml_bytes(out, &value, bytes); /* little-endian */
}

static void acpi_align(struct aml *out, size_t align)
{
	acpi_zeros(out, (align - out->len % align) % align);
}

static uint8_t acpi_sum(const uint8_t *data, size_t len)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum = (uint8_t)(sum + data[i]);
	return (uint8_t)-sum;
}

/* Where the table begins, for acpi_end(). */
static size_t acpi_begin(struct aml *out, const char *signature, uint8_t revision)
{
	acpi_align(out, 16);
	size_t at = out->len;
	aml_bytes(out, signature, 4);
	acpi_number(out, 0, 4); /* length, by acpi_end() */
	aml_byte(out, revision);
	aml_byte(out, 0); /* checksum, by acpi_end() */
	aml_bytes(out, "STRATA", 6);
	aml_bytes(out, "STRATAVM", 8);
	acpi_number(out, 1, 4);
	aml_bytes(out, "STRA", 4);
	acpi_number(out, 1, 4);
	return at;
}

static void acpi_end(struct aml *out, size_t at)
{
	if (out->full)
		return;
	size_t len = out->len - at;
	le32_store(&out->data[at + 4], (uint32_t)len);
	out->data[at + 9] = acpi_sum(&out->data[at], len);
}

/* ---- MADT: 5.2.12 ---- */

static void madt_lapics(struct aml *out, unsigned vcpus)
{
	for (unsigned id = 0; id < vcpus && id <= ACPI_XAPIC_ID_MAX; id++) {
		acpi_number(out, 0x0800, 2); /* type 0, 8 bytes */
		aml_byte(out, (uint8_t)id);  /* processor UID */
		aml_byte(out, (uint8_t)id);
		acpi_number(out, 1, 4); /* enabled */
	}
	for (unsigned id = ACPI_XAPIC_ID_MAX + 1; id < vcpus; id++) {
		acpi_number(out, 0x1009, 4); /* type 9, 16 bytes */
		acpi_number(out, id, 4);
		acpi_number(out, 1, 4);
		acpi_number(out, id, 4); /* processor UID */
	}
}

static void madt_override(struct aml *out, uint8_t irq, uint32_t gsi, uint16_t flags)
{
	acpi_number(out, 0x0a02, 2); /* type 2, 10 bytes */
	aml_byte(out, 0);	     /* ISA */
	aml_byte(out, irq);
	acpi_number(out, gsi, 4);
	acpi_number(out, flags, 2); /* 0: as the bus has it; 0xd: level, active high */
}

/* LINT1 of every LAPIC is where an NMI comes in. */
static void madt_nmi(struct aml *out, unsigned vcpus)
{
	acpi_number(out, 0x0604, 2); /* type 4, 6 bytes */
	aml_byte(out, 0xff);	     /* all */
	acpi_number(out, 0, 2);
	aml_byte(out, 1);
	if (vcpus <= ACPI_XAPIC_ID_MAX + 1)
		return;
	acpi_number(out, 0x0c0a, 2); /* type 10, 12 bytes */
	acpi_number(out, 0, 2);
	acpi_number(out, 0xffffffff, 4); /* all */
	acpi_number(out, 1, 4);		 /* LINT1, 3 bytes reserved */
}

static size_t acpi_madt(struct aml *out, const struct acpi_config *config)
{
	size_t at = acpi_begin(out, "APIC", 5);

	acpi_number(out, LAYOUT_LAPIC, 4);
	acpi_number(out, 1, 4); /* there are PICs too */
	madt_lapics(out, config->vcpus);
	acpi_number(out, 0x0c01, 4); /* I/O APIC: type 1, 12 bytes, id 0 */
	acpi_number(out, LAYOUT_IOAPIC, 4);
	acpi_number(out, 0, 4); /* its first GSI */
	madt_override(out, 0, 2, 0);
	madt_override(out, GSI_SCI, GSI_SCI, 0xd);
	madt_nmi(out, config->vcpus);
	acpi_end(out, at);
	return at;
}

static size_t acpi_mcfg(struct aml *out)
{
	size_t at = acpi_begin(out, "MCFG", 1);

	acpi_zeros(out, 8);
	acpi_number(out, LAYOUT_ECAM, 8);
	acpi_number(out, 0, 2); /* segment */
	aml_byte(out, 0);	/* first and last bus */
	aml_byte(out, ACPI_PCI_LAST_BUS);
	acpi_zeros(out, 4);
	acpi_end(out, at);
	return at;
}

/* ---- FADT: 5.2.9 ---- */

#define FADT_BOOT_LEGACY_DEVICES 0x01U
#define FADT_BOOT_8042		 0x02U
#define FADT_BOOT_NO_VGA	 0x04U
#define FADT_BOOT_NO_ASPM	 0x10U
#define FADT_BOOT_NO_RTC	 0x20U

#define FADT_WBINVD	  0x0001U
#define FADT_C1		  0x0004U
#define FADT_SLEEP_BUTTON 0x0020U /* there is no fixed one; of the power button there is */
#define FADT_FIX_RTC	  0x0040U /* no wake-up status of the RTC among the fixed registers */
#define FADT_TIMER_32	  0x0100U
#define FADT_RESET	  0x0400U
#define FADT_HEADLESS	  0x1000U

/* 5.2.3.2 Generic Address Structure, in port space. @access: 1 byte, 2 word, 3 dword; 0 ports: there is none. */
static void fadt_gas(struct aml *out, unsigned port, unsigned bits, unsigned access)
{
	aml_byte(out, 1);
	aml_byte(out, (uint8_t)bits);
	aml_byte(out, 0);
	aml_byte(out, (uint8_t)access);
	acpi_number(out, port, 8);
}

/* Bytes 36 to 115: as ACPI 1.0 had it. */
static void fadt_first(struct aml *out, const struct acpi_config *config, gpa_t facs, gpa_t dsdt)
{
	unsigned boot = FADT_BOOT_LEGACY_DEVICES | FADT_BOOT_NO_VGA | FADT_BOOT_NO_ASPM |
			(config->i8042 ? FADT_BOOT_8042 : 0) | (config->rtc ? 0 : FADT_BOOT_NO_RTC);

	acpi_number(out, facs, 4);
	acpi_number(out, dsdt, 4);
	aml_byte(out, 0);
	aml_byte(out, 4); /* an enterprise server */
	acpi_number(out, GSI_SCI, 2);
	acpi_zeros(out, 8); /* no SMI command port: ACPI is always on */
	acpi_number(out, PORT_PM1_EVENT, 4);
	acpi_number(out, 0, 4);
	acpi_number(out, PORT_PM1_CONTROL, 4);
	acpi_zeros(out, 8); /* PM1b control, PM2 */
	acpi_number(out, PORT_PM_TIMER, 4);
	acpi_zeros(out, 8); /* no general purpose events */
	aml_byte(out, 4);   /* lengths: PM1 event, PM1 control, PM2, timer */
	aml_byte(out, 2);
	aml_byte(out, 0);
	aml_byte(out, 4);
	acpi_zeros(out, 4);
	acpi_number(out, 0xfff, 2); /* latencies of C2 and C3: not supported */
	acpi_number(out, 0xfff, 2);
	acpi_zeros(out, 6);		       /* flush, duty */
	acpi_zeros(out, 2);		       /* alarms */
	aml_byte(out, config->rtc ? 0x32 : 0); /* where the RTC has its century */
	acpi_number(out, boot, 2);
	aml_byte(out, 0);
	acpi_number(out,
		    FADT_WBINVD | FADT_C1 | FADT_SLEEP_BUTTON | FADT_FIX_RTC | FADT_TIMER_32 |
			    FADT_RESET | FADT_HEADLESS,
		    4);
}

static size_t acpi_fadt(struct aml *out, const struct acpi_config *config, gpa_t facs, gpa_t dsdt)
{
	size_t at = acpi_begin(out, "FACP", 6);

	fadt_first(out, config, facs, dsdt);
	fadt_gas(out, PORT_RESET, 8, 1);
	aml_byte(out, 0x06);	   /* the value that resets */
	acpi_zeros(out, 3);	   /* ARM boot flags, minor version 0 */
	acpi_number(out, 0, 8);	   /* X_FIRMWARE_CTRL: the 32-bit one counts */
	acpi_number(out, dsdt, 8); /* X_DSDT */
	fadt_gas(out, PORT_PM1_EVENT, 32, 2);
	acpi_zeros(out, 12);
	fadt_gas(out, PORT_PM1_CONTROL, 16, 2);
	acpi_zeros(out, 24); /* PM1b control, PM2 */
	fadt_gas(out, PORT_PM_TIMER, 32, 3);
	acpi_zeros(out, 24);		 /* general purpose events */
	acpi_zeros(out, 24);		 /* sleep control and status: reduced hardware only */
	aml_bytes(out, "STRATA\0\0", 8); /* hypervisor vendor */
	acpi_end(out, at);
	return at;
}

/* 5.2.10 Firmware ACPI Control Structure: 64 bytes, aligned to them, no header and no checksum. */
static size_t acpi_facs(struct aml *out)
{
	acpi_align(out, ACPI_FACS_BYTES);
	size_t at = out->len;
	aml_bytes(out, "FACS", 4);
	acpi_number(out, ACPI_FACS_BYTES, 4);
	acpi_zeros(out, 24);
	aml_byte(out, 2); /* version */
	acpi_zeros(out, ACPI_FACS_BYTES - 33);
	return at;
}

/* ---- the roots: 5.2.5 RSDP, 5.2.7 RSDT, 5.2.8 XSDT ---- */

static size_t acpi_root(struct aml *out, const char *signature, unsigned width, gpa_t base,
			const size_t tables[ACPI_TABLES])
{
	size_t at = acpi_begin(out, signature, 1);

	for (unsigned i = 0; i < ACPI_TABLES; i++)
		acpi_number(out, base + tables[i], width);
	acpi_end(out, at);
	return at;
}

static void acpi_rsdp(uint8_t rsdp[ACPI_RSDP_BYTES], gpa_t rsdt, gpa_t xsdt)
{
	memcpy(rsdp, "RSD PTR ", 8);
	memcpy(rsdp + 9, "STRATA", 6);
	rsdp[15] = 2;
	le32_store(rsdp + 16, (uint32_t)rsdt);
	le32_store(rsdp + 20, ACPI_RSDP_BYTES);
	le64_store(rsdp + 24, xsdt);
	rsdp[8] = acpi_sum(rsdp, 20);
	rsdp[32] = acpi_sum(rsdp, ACPI_RSDP_BYTES);
}

static void acpi_tables(struct aml *out, const struct acpi_config *config, gpa_t base)
{
	size_t tables[ACPI_TABLES];

	acpi_zeros(out, ACPI_RSDP_BYTES); /* its content comes last */
	size_t facs = acpi_facs(out);
	size_t dsdt = acpi_begin(out, "DSDT", 2);
	acpi_dsdt(out, config);
	acpi_end(out, dsdt);
	tables[0] = acpi_fadt(out, config, base + facs, base + dsdt);
	tables[1] = acpi_madt(out, config);
	tables[2] = acpi_mcfg(out);
	size_t rsdt = acpi_root(out, "RSDT", 4, base, tables);
	size_t xsdt = acpi_root(out, "XSDT", 8, base, tables);
	if (!out->full)
		acpi_rsdp(out->data, base + rsdt, base + xsdt);
}

int acpi_build(const struct acpi_config *config, uint8_t *data, size_t size, gpa_t base,
	       size_t *ret_len, struct err *err)
{
	struct aml out = { .data = data, .size = size };

	if (!config->vcpus || config->vcpus > ACPI_VCPUS_MAX)
		return err_say(err, EINVAL, "build ACPI tables: %u vcpus cannot be, 1 to %u can",
			       config->vcpus, ACPI_VCPUS_MAX);
	memset(data, 0, size);
	acpi_tables(&out, config, base);
	if (out.full)
		return err_say(err, ENOSPC,
			       "build ACPI tables: those for %u vcpus do not fit into %zu bytes",
			       config->vcpus, size);
	*ret_len = out.len;
	return 0;
}

int acpi_install(const struct acpi_config *config, struct guest_mem *mem, struct err *err)
{
	uint8_t *data = mem_hva(mem, LAYOUT_ACPI, LAYOUT_ACPI_BYTES);
	size_t len;

	if (!data)
		return err_say(err, EFAULT, "build ACPI tables: the guest has no memory at %#x",
			       (unsigned)LAYOUT_ACPI);
	int r = acpi_build(config, data, LAYOUT_ACPI_BYTES, LAYOUT_ACPI, &len, err);
	if (r == 0)
		mem_wrote(mem, LAYOUT_ACPI, LAYOUT_ACPI_BYTES);
	return r;
}
