/* SPDX-License-Identifier: Apache-2.0 */
/* ACPI tables as firmware writes them, laid out by hand. */
#include "scratch.h"

#include <stdlib.h>
#include <string.h>

#include "base/core/bytes.h"
#include "core/firmware.h"

#define BYTES 0x100000U

struct memory {
	uint8_t *bytes;
	struct boot_view view;
	struct boot_info info;
	struct firmware firmware;
};

static void sum(uint8_t *table, uint32_t len, unsigned at)
{
	uint8_t total = 0;

	table[at] = 0;
	for (uint32_t i = 0; i < len; i++)
		total = (uint8_t)(total + table[i]);
	table[at] = (uint8_t)-total;
}

static void head(struct memory *m, uint32_t at, const char *signature, uint32_t len)
{
	memcpy(m->bytes + at, signature, 4);
	le32_store(m->bytes + at + 4, len);
	sum(m->bytes + at, len, 9);
}

/* RSDP at 0xf0040; XSDT, RSDT, MADT, FADT, MCFG, DMAR, HPET, DSDT from 0x1000 on. */
static int memory_setup(void **state)
{
	struct memory *m = calloc(1, sizeof(*m));
	static const uint32_t tables[] = { 0x2000, 0x3000, 0x4000, 0x5000, 0x6000 };
	static const uint8_t s5[] = { 0x08, '_',  'S',	'5', '_',  0x08, '\\', '_', 'S', '5',
				      '_',  0x12, 0x06, 4,   0x0a, 5,	 0x01, 0,   0 };

	m->bytes = calloc(1, BYTES);
	m->view = (struct boot_view){ (uintptr_t)m->bytes, 0x400, BYTES };
	uint8_t *madt = m->bytes + 0x2000;
	le32_store(madt + 40, 1);
	memcpy(madt + 44, (uint8_t[]){ 0, 8, 0, 0, 1, 0, 0, 0 }, 8);
	memcpy(madt + 52, (uint8_t[]){ 0, 8, 1, 5, 0, 0, 0, 0 }, 8); /* not enabled */
	memcpy(madt + 60, (uint8_t[]){ 0, 8, 2, 6, 1, 0, 0, 0 }, 8);
	memcpy(madt + 68, (uint8_t[]){ 1, 12, 0, 0, 0, 0, 0xc0, 0xfe }, 8);
	memcpy(madt + 80, (uint8_t[]){ 9, 16, 0, 0, 0, 1, 0, 0, 1 }, 9);
	head(m, 0x2000, "APIC", 96);
	le32_store(m->bytes + 0x3000 + 64, 0x604);
	le32_store(m->bytes + 0x3000 + 76, 0x608);
	le32_store(m->bytes + 0x3000 + 40, 0x7000);
	le32_store(m->bytes + 0x3000 + 48, 0xb2);
	m->bytes[0x3000 + 52] = 0xa0;
	head(m, 0x3000, "FACP", 116);
	le64_store(m->bytes + 0x4000 + 44, UINT64_C(0xb0000000));
	m->bytes[0x4000 + 55] = 0xff;
	head(m, 0x4000, "MCFG", 60);
	head(m, 0x5000, "DMAR", 48);
	le64_store(m->bytes + 0x6000 + 44, UINT64_C(0xfed00000));
	head(m, 0x6000, "HPET", 56);
	memcpy(m->bytes + 0x7000 + 40, s5, sizeof(s5));
	head(m, 0x7000, "DSDT", 40 + sizeof(s5));
	for (unsigned i = 0; i < 5; i++) {
		le64_store(m->bytes + 0x1000 + 36 + i * 8, tables[i]);
		le32_store(m->bytes + 0x1800 + 36 + i * 4, tables[i]);
	}
	head(m, 0x1000, "XSDT", 36 + 40);
	head(m, 0x1800, "RSDT", 36 + 20);
	uint8_t *rsdp = m->bytes + 0xf0040;
	memcpy(rsdp, "RSD PTR ", 8);
	rsdp[15] = 2;
	le32_store(rsdp + 16, 0x1800);
	le32_store(rsdp + 20, 36);
	le64_store(rsdp + 24, 0x1000);
	sum(rsdp, 20, 8);
	sum(rsdp, 36, 32);
	boot_info_init(&m->info, "test");
	*state = m;
	return 0;
}

static int memory_teardown(void **state)
{
	struct memory *m = *state;

	free(m->bytes);
	free(m);
	return 0;
}

static void assert_all(struct memory *m)
{
	const struct firmware *f = &m->firmware;

	assert_true(firmware_find(&m->view, &m->info, &m->firmware));
	assert_int_equal(f->n_cpus, 3);
	assert_int_equal(f->apic_ids[0], 0);
	assert_int_equal(f->apic_ids[1], 6);
	assert_int_equal(f->apic_ids[2], 0x100);
	assert_int_equal(f->ioapics[0], 0xfec00000);
	assert_int_equal(f->pm_timer, 0x608);
	assert_int_equal(f->pm1a, 0x604);
	assert_int_equal(f->ecam, 0xb0000000);
	assert_int_equal(f->ecam_last, 0xff);
	assert_true(f->has_iommu && f->has_pic);
	assert_ptr_equal(f->dmar, m->bytes + 0x5000);
	assert_int_equal(f->dmar_len, 48);
	assert_int_equal(f->hpet, 0xfed00000);
	assert_int_equal(f->smi_command, 0xb2);
	assert_int_equal(f->acpi_enable, 0xa0);
	assert_true(f->has_s5);
	assert_int_equal(f->s5_a, 5);
	assert_int_equal(f->s5_b, 1);
}

static void the_tables_are_found_by_search_by_pointer_and_by_copy(void **state)
{
	struct memory *m = *state;

	assert_all(m);
	memcpy(m->info.rsdp_copy, m->bytes + 0xf0040, 36);
	memset(m->bytes + 0xf0040, 0, 36);
	assert_all(m);
	memcpy(m->bytes + 0x800, m->info.rsdp_copy, 36);
	memset(m->info.rsdp_copy, 0, 36);
	m->info.rsdp = 0x800;
	assert_all(m);
}

static void the_old_root_table_serves_where_the_new_one_is_broken(void **state)
{
	struct memory *m = *state;

	m->bytes[0x1000 + 37] ^= 1;
	assert_all(m);
	m->bytes[0x1800 + 37] ^= 1;
	assert_false(firmware_find(&m->view, &m->info, &m->firmware));
	assert_int_equal(m->firmware.n_cpus, 0);
}

static void a_table_with_a_wrong_sum_is_as_if_it_were_not_there(void **state)
{
	struct memory *m = *state;

	m->bytes[0x2000 + 50] ^= 0xff;
	assert_true(firmware_find(&m->view, &m->info, &m->firmware));
	assert_int_equal(m->firmware.n_cpus, 0);
	assert_int_equal(m->firmware.pm_timer, 0x608);
}

static void entries_of_no_length_and_tables_past_the_end_stop_it(void **state)
{
	struct memory *m = *state;

	m->bytes[0x2000 + 61] = 0; /* the third entry's length */
	head(m, 0x2000, "APIC", 96);
	assert_true(firmware_find(&m->view, &m->info, &m->firmware));
	assert_int_equal(m->firmware.n_cpus, 1);
	le64_store(m->bytes + 0x1000 + 36, BYTES - 8);
	le64_store(m->bytes + 0x1000 + 44, UINT64_MAX - 4);
	head(m, 0x1000, "XSDT", 36 + 32);
	assert_true(firmware_find(&m->view, &m->info, &m->firmware));
	assert_int_equal(m->firmware.n_cpus, 0);
	assert_int_equal(m->firmware.pm_timer, 0);
	assert_int_equal(m->firmware.ecam, 0xb0000000);
}

/* @package: what is behind the name, at the very end of the table */
static bool has_s5(struct memory *m, const char *package, uint32_t len)
{
	uint8_t *dsdt = m->bytes + 0x7000;

	memset(dsdt, 0, 256);
	memcpy(dsdt + 44, "\x08_S5_", 5);
	memcpy(dsdt + 49, package, len);
	memset(dsdt + 49 + len, 0x0a, 16); /* not of the table */
	head(m, 0x7000, "DSDT", 49 + len);
	assert_true(firmware_find(&m->view, &m->info, &m->firmware));
	return m->firmware.has_s5;
}

static void how_it_is_switched_off_is_two_numbers_or_nothing(void **state)
{
	struct memory *m = *state;

	assert_true(has_s5(m, "\x12\x07\x02\x0a\x07\x0a\x06", 7));
	assert_int_equal(m->firmware.s5_a, 7);
	assert_int_equal(m->firmware.s5_b, 6);
	assert_true(has_s5(m, "\x12\x40\x01\x02\x0b\x03\x00\x0c\x04\x00\x00\x00", 12));
	assert_int_equal(m->firmware.s5_a, 3);
	assert_int_equal(m->firmware.s5_b, 4);
	assert_false(has_s5(m, "\x12\x07\x02\x0a\x07\x0a", 6));	    /* cut */
	assert_false(has_s5(m, "\x12\x07\x02\x0a\x08\x0a\x06", 7)); /* more than SLP_TYP holds */
	assert_false(has_s5(m, "\x12\x04\x01\x0a\x05", 5));	    /* one */
	assert_false(has_s5(m, "\x12\xc0\x02\x0a\x05\x0a", 6));	    /* its length is past the end */
	assert_false(has_s5(m, "\x12", 1));
	assert_false(has_s5(m, "", 0));
	m->bytes[0x7000 + 20] ^= 1; /* a wrong sum */
	assert_true(firmware_find(&m->view, &m->info, &m->firmware));
	assert_false(m->firmware.has_s5);
}

#define T(name) cmocka_unit_test_setup_teardown(name, memory_setup, memory_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_tables_are_found_by_search_by_pointer_and_by_copy),
		T(the_old_root_table_serves_where_the_new_one_is_broken),
		T(a_table_with_a_wrong_sum_is_as_if_it_were_not_there),
		T(entries_of_no_length_and_tables_past_the_end_stop_it),
		T(how_it_is_switched_off_is_two_numbers_or_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
