/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <errno.h>
#include <string.h>

#include "base/core/bytes.h"
#include "base/core/macros.h"
#include "machine/acpi.h"
#include "machine/layout.h"

static const struct acpi_config all = {
	.vcpus = 2,
	.serial = true,
	.rtc = true,
	.i8042 = true,
	.fwcfg = true,
};

struct tables {
	uint8_t data[LAYOUT_ACPI_BYTES];
	size_t len;
};

static void build(struct tables *t, const struct acpi_config *config)
{
	struct err err = { 0 };

	assert_int_equal(acpi_build(config, t->data, sizeof(t->data), LAYOUT_ACPI, &t->len, &err),
			 0);
}

static uint8_t sum(const uint8_t *data, size_t len)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum = (uint8_t)(sum + data[i]);
	return sum;
}

static uint8_t *at(struct tables *t, uint64_t gpa)
{
	assert_in_range(gpa, LAYOUT_ACPI, LAYOUT_ACPI + t->len - 8);
	return &t->data[gpa - LAYOUT_ACPI];
}

/* A whole table whose header is right. */
static uint8_t *table(struct tables *t, uint64_t gpa, const char *signature)
{
	uint8_t *data = at(t, gpa);
	uint32_t len = le32_load(data + 4);

	assert_memory_equal(data, signature, 4);
	assert_in_range(len, 36, t->len - (gpa - LAYOUT_ACPI));
	assert_int_equal(sum(data, len), 0);
	assert_memory_equal(data + 10, "STRATASTRATAVM", 14);
	return data;
}

/* Through the XSDT, as a guest does. */
static uint8_t *find(struct tables *t, const char *signature)
{
	uint8_t *xsdt = table(t, le64_load(t->data + 24), "XSDT");

	for (uint32_t i = 36; i < le32_load(xsdt + 4); i += 8) {
		if (!memcmp(at(t, le64_load(xsdt + i)), signature, 4))
			return table(t, le64_load(xsdt + i), signature);
	}
	return NULL;
}

static void the_rsdp_leads_to_both_roots(void **state)
{
	static struct tables t;

	(void)state;
	build(&t, &all);
	assert_memory_equal(t.data, "RSD PTR ", 8);
	assert_int_equal(sum(t.data, 20), 0);
	assert_int_equal(sum(t.data, 36), 0);
	assert_int_equal(t.data[15], 2);
	uint8_t *rsdt = table(&t, le32_load(t.data + 16), "RSDT");
	uint8_t *xsdt = table(&t, le64_load(t.data + 24), "XSDT");
	assert_int_equal(le32_load(rsdt + 4), 36 + 3 * 4);
	assert_int_equal(le32_load(xsdt + 4), 36 + 3 * 8);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(le32_load(rsdt + 36 + 4 * i), le64_load(xsdt + 36 + 8 * i));
	assert_non_null(find(&t, "FACP"));
	assert_non_null(find(&t, "APIC"));
	assert_non_null(find(&t, "MCFG"));
}

static void the_fadt_has_the_fixed_registers(void **state)
{
	static struct tables t;

	(void)state;
	build(&t, &all);
	uint8_t *fadt = find(&t, "FACP");
	assert_int_equal(le32_load(fadt + 4), 276);
	uint8_t *facs = at(&t, le32_load(fadt + 36));
	assert_memory_equal(facs, "FACS", 4);
	assert_int_equal(le32_load(fadt + 36) % 64, 0);
	assert_int_equal(le32_load(facs + 4), 64);
	(void)table(&t, le32_load(fadt + 40), "DSDT");
	assert_int_equal(le32_load(fadt + 40), le64_load(fadt + 140));
	assert_int_equal(le16_load(fadt + 46), 9);
	assert_int_equal(le32_load(fadt + 48), 0); /* no SMI */
	assert_int_equal(le32_load(fadt + 56), 0x600);
	assert_int_equal(le32_load(fadt + 64), 0x604);
	assert_int_equal(le32_load(fadt + 76), 0x608);
	assert_int_equal(fadt[88], 4);
	assert_int_equal(fadt[89], 2);
	assert_int_equal(fadt[91], 4);
	assert_int_equal(fadt[108], 0x32);
	assert_int_equal(le16_load(fadt + 109), 0x17);
	uint32_t flags = le32_load(fadt + 112);
	assert_int_equal(flags & 1 << 20, 0); /* not hardware-reduced */
	assert_int_equal(flags & 1 << 4, 0);  /* the power button is a fixed one */
	assert_true(flags & 1 << 8);	      /* 32-bit timer */
	assert_true(flags & 1 << 10);
	assert_memory_equal(fadt + 116, "\x01\x08\x00\x01\xf9\x0c\0\0\0\0\0\0\x06", 13);
	assert_int_equal(le64_load(fadt + 148 + 4), 0x600);
	assert_int_equal(le64_load(fadt + 172 + 4), 0x604);
	assert_int_equal(le64_load(fadt + 208 + 4), 0x608);
}

static void what_is_not_there_is_not_promised(void **state)
{
	static struct tables t;
	const struct acpi_config least = { .vcpus = 1 };

	(void)state;
	build(&t, &least);
	uint8_t *fadt = find(&t, "FACP");
	assert_int_equal(le16_load(fadt + 109), 0x35); /* no 8042, no RTC */
	assert_int_equal(fadt[108], 0);
	uint8_t *dsdt = table(&t, le32_load(fadt + 40), "DSDT");
	assert_null(memmem(dsdt, le32_load(dsdt + 4), "COM1", 4));
	assert_null(memmem(dsdt, le32_load(dsdt + 4), "KBD_", 4));
	assert_null(memmem(dsdt, le32_load(dsdt + 4), "FWCF", 4));
	assert_null(memmem(dsdt, le32_load(dsdt + 4), "RTC_", 4));
	assert_non_null(memmem(dsdt, le32_load(dsdt + 4), "PCI0", 4));
}

static void mcfg_is_ecam(void **state)
{
	static struct tables t;

	(void)state;
	build(&t, &all);
	uint8_t *mcfg = find(&t, "MCFG");
	assert_int_equal(le32_load(mcfg + 4), 60);
	assert_int_equal(le64_load(mcfg + 44), LAYOUT_ECAM);
	assert_memory_equal(mcfg + 52, "\0\0\0\0\0\0\0\0", 8); /* segment 0, bus 0 to 0 */
}

/* Counts the entries of each type, and that their lengths add up. */
static void madt_count(const uint8_t *madt, unsigned counts[16])
{
	uint32_t len = le32_load(madt + 4), at = 44;

	memset(counts, 0, 16 * sizeof(*counts));
	for (; at < len; at += madt[at + 1]) {
		assert_in_range(madt[at], 0, 15);
		assert_in_range(madt[at + 1], 6, 16);
		counts[madt[at]]++;
	}
	assert_int_equal(at, len);
}

static void the_madt_lists_every_vcpu(void **state)
{
	static struct tables t;
	static const unsigned vcpus[] = { 1, 2, 254, 255, 256, 1024, ACPI_VCPUS_MAX };

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(vcpus); i++) {
		const struct acpi_config config = { .vcpus = vcpus[i] };
		unsigned counts[16], low = vcpus[i] > 255 ? 255 : vcpus[i];
		build(&t, &config);
		madt_count(find(&t, "APIC"), counts);
		assert_int_equal(counts[0], low);
		assert_int_equal(counts[9], vcpus[i] - low);
		assert_int_equal(counts[1], 1);
		assert_int_equal(counts[2], 2);
		assert_int_equal(counts[4], 1);
		assert_int_equal(counts[10], vcpus[i] > 255);
	}
}

static void the_madt_routes_the_timer_and_the_sci(void **state)
{
	static struct tables t;
	const struct acpi_config config = { .vcpus = 256 };
	static const uint8_t timer[] = { 2, 10, 0, 0, 2, 0, 0, 0, 0, 0 };
	static const uint8_t sci[] = { 2, 10, 0, 9, 9, 0, 0, 0, 0x0d, 0 };
	static const uint8_t ioapic[] = { 1, 12, 0, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0 };
	static const uint8_t last[] = { 9, 16, 0, 0, 255, 0, 0, 0, 1, 0, 0, 0, 255, 0, 0, 0 };

	(void)state;
	build(&t, &config);
	uint8_t *madt = find(&t, "APIC");
	assert_int_equal(le32_load(madt + 36), 0xfee00000);
	assert_int_equal(le32_load(madt + 40), 1);
	assert_non_null(memmem(madt, le32_load(madt + 4), timer, sizeof(timer)));
	assert_non_null(memmem(madt, le32_load(madt + 4), sci, sizeof(sci)));
	assert_non_null(memmem(madt, le32_load(madt + 4), ioapic, sizeof(ioapic)));
	assert_non_null(memmem(madt, le32_load(madt + 4), last, sizeof(last)));
}

static void every_size_that_is_too_small_is_refused(void **state)
{
	static struct tables t;
	struct err err = { 0 };
	size_t len, need;

	(void)state;
	build(&t, &all);
	need = t.len;
	for (size_t size = 0; size < need; size++) {
		memset(t.data, 0xa5, sizeof(t.data));
		assert_int_equal(acpi_build(&all, t.data, size, LAYOUT_ACPI, &len, &err), -ENOSPC);
		assert_int_equal(t.data[size], 0xa5);
	}
	assert_int_equal(acpi_build(&all, t.data, need, LAYOUT_ACPI, &len, &err), 0);
	assert_int_equal(len, need);
}

static void numbers_of_vcpus_that_cannot_be_are_refused(void **state)
{
	static struct tables t;
	struct acpi_config config = { .vcpus = 0 };
	struct err err = { 0 };

	(void)state;
	assert_int_equal(acpi_build(&config, t.data, sizeof(t.data), LAYOUT_ACPI, &t.len, &err),
			 -EINVAL);
	config.vcpus = ACPI_VCPUS_MAX + 1;
	assert_int_equal(acpi_build(&config, t.data, sizeof(t.data), LAYOUT_ACPI, &t.len, &err),
			 -EINVAL);
	assert_string_equal(err.text, "build ACPI tables: 4097 vcpus cannot be, 1 to 4096 can");
}

static void installs_where_guests_look(void **state)
{
	static uint8_t ram[0x100000];
	struct guest_mem mem = { 0 };
	struct err err = { 0 };

	(void)state;
	assert_int_equal(acpi_install(&all, &mem, &err), -EFAULT);
	assert_int_equal(mem_add(&mem, 0, sizeof(ram), ram, false), 0);
	assert_int_equal(acpi_install(&all, &mem, &err), 0);
	assert_memory_equal(ram + 0xe0000, "RSD PTR ", 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_rsdp_leads_to_both_roots),
		cmocka_unit_test(the_fadt_has_the_fixed_registers),
		cmocka_unit_test(what_is_not_there_is_not_promised),
		cmocka_unit_test(mcfg_is_ecam),
		cmocka_unit_test(the_madt_lists_every_vcpu),
		cmocka_unit_test(the_madt_routes_the_timer_and_the_sci),
		cmocka_unit_test(every_size_that_is_too_small_is_refused),
		cmocka_unit_test(numbers_of_vcpus_that_cannot_be_are_refused),
		cmocka_unit_test(installs_where_guests_look),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
