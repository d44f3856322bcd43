/* SPDX-License-Identifier: Apache-2.0 */
/* The loaders' tables, written here by hand as the specifications have them, and then broken in every way. */
#include "scratch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/bytes.h"
#include "boot/info.h"

#define PHYS  UINT64_C(0x10000)
#define BYTES 0x4000U

struct memory {
	uint8_t *bytes; /* on the heap, so that a sanitizer sees a byte too far */
	struct boot_view view;
	uint32_t at;
};

static int memory_setup(void **state)
{
	struct memory *m = calloc(1, sizeof(*m));

	m->bytes = calloc(1, BYTES);
	m->view = (struct boot_view){ (uintptr_t)m->bytes - PHYS, PHYS, PHYS + BYTES };
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

static void put32(struct memory *m, uint32_t value)
{
	le32_store(m->bytes + m->at, value);
	m->at += 4;
}

static void put64(struct memory *m, uint64_t value)
{
	le64_store(m->bytes + m->at, value);
	m->at += 8;
}

static void put_text(struct memory *m, const char *text)
{
	memcpy(m->bytes + m->at, text, strlen(text) + 1);
	m->at += (uint32_t)strlen(text) + 1;
}

static void assert_scene(const struct boot_info *info)
{
	char value[16];

	assert_string_equal(strstr(boot_info_cmdline(info), "console"), "console=com2 quiet");
	assert_true(boot_info_word(info, "console", value, sizeof(value)));
	assert_string_equal(value, "com2");
	assert_true(boot_info_word(info, "quiet", value, sizeof(value)));
	assert_string_equal(value, "");
	assert_false(boot_info_word(info, "consol", value, sizeof(value)));
	assert_false(boot_info_word(info, "com2", value, sizeof(value)));
	assert_int_equal(info->n_files, 2);
	assert_int_equal(info->files[0].start, 0x200000);
	assert_int_equal(info->files[0].len, 0x1234);
	assert_string_equal(boot_file_text(info, 0), "guest.json");
	assert_string_equal(boot_file_text(info, 1), "");
	assert_int_equal(info->n_ranges, 2);
	assert_int_equal(info->ranges[1].start, 0x100000);
	assert_int_equal(info->ranges[1].len, UINT64_C(0x200000000));
	assert_int_equal(info->ranges[1].type, BOOT_RAM);
	assert_false(info->is_cut);
}

static void mb1_scene(struct memory *m)
{
	m->at = 0x1000;
	put_text(m, "/boot/strata-hv console=com2 quiet");
	m->at = 0x1100;
	put_text(m, "guest.json");
	m->at = 0x1200;
	put32(m, 0x200000), put32(m, 0x201234), put32(m, (uint32_t)PHYS + 0x1100), put32(m, 0);
	put32(m, 0x300000), put32(m, 0x300000), put32(m, (uint32_t)PHYS + 0x110a), put32(m, 0);
	m->at = 0x1300;
	put32(m, 20), put64(m, 0), put64(m, 0x9fc00), put32(m, 1);
	put32(m, 20), put64(m, 0x100000), put64(m, UINT64_C(0x200000000)), put32(m, 1);
	m->at = 0;
	put32(m, 0x4c), put32(m, 639), put32(m, 65535), put32(m, 0);
	put32(m, (uint32_t)PHYS + 0x1000), put32(m, 2), put32(m, (uint32_t)PHYS + 0x1200);
	m->at = 44;
	put32(m, 48), put32(m, (uint32_t)PHYS + 0x1300);
}

static void multiboot1_is_read(void **state)
{
	struct memory *m = *state;
	struct boot_info info;

	mb1_scene(m);
	assert_int_equal(boot_info_multiboot1(&m->view, PHYS, &info), 0);
	assert_scene(&info);
}

static void multiboot1_without_a_map_has_two_numbers(void **state)
{
	struct memory *m = *state;
	struct boot_info info;

	mb1_scene(m);
	m->at = 0;
	put32(m, 1);
	assert_int_equal(boot_info_multiboot1(&m->view, PHYS, &info), 0);
	assert_int_equal(info.n_ranges, 2);
	assert_int_equal(info.ranges[1].len, 65535 * 1024);
	m->at = 0;
	put32(m, 0);
	assert_int_equal(boot_info_multiboot1(&m->view, PHYS, &info), -ENODATA);
}

static void mb2_scene(struct memory *m)
{
	m->at = 8;
	put32(m, 1), put32(m, 8 + 19), put_text(m, "console=com2 quiet");
	m->at = (m->at + 7) & ~7U;
	put32(m, 3), put32(m, 16 + 11), put32(m, 0x200000), put32(m, 0x201234);
	put_text(m, "guest.json");
	m->at = (m->at + 7) & ~7U;
	put32(m, 3), put32(m, 16 + 1), put32(m, 0x300000), put32(m, 0x300000), put_text(m, "");
	m->at = (m->at + 7) & ~7U;
	put32(m, 6), put32(m, 16 + 48), put32(m, 24), put32(m, 0);
	put64(m, 0), put64(m, 0x9fc00), put32(m, 1), put32(m, 0);
	put64(m, 0x100000), put64(m, UINT64_C(0x200000000)), put32(m, 1), put32(m, 0);
	put32(m, 8), put32(m, 32), put64(m, UINT64_C(0x80000000)), put32(m, 4096), put32(m, 1024);
	put32(m, 768), m->bytes[m->at++] = 32, m->bytes[m->at++] = 1, m->at += 2;
	m->at = (m->at + 7) & ~7U;
	put32(m, 15), put32(m, 8 + 36);
	memcpy(m->bytes + m->at, "RSD PTR ", 8);
	m->bytes[m->at + 15] = 2;
	m->at += 36;
	m->at = (m->at + 7) & ~7U;
	put32(m, 0), put32(m, 8);
	uint32_t end = m->at;
	m->at = 0;
	put32(m, end), put32(m, 0);
	m->at = end;
}

static void multiboot2_is_read(void **state)
{
	struct memory *m = *state;
	struct boot_info info;

	mb2_scene(m);
	assert_int_equal(boot_info_multiboot2(&m->view, PHYS, &info), 0);
	assert_scene(&info);
	assert_int_equal(info.framebuffer.start, UINT64_C(0x80000000));
	assert_int_equal(info.framebuffer.width, 1024);
	assert_int_equal(info.framebuffer.bits, 32);
	assert_memory_equal(info.rsdp_copy, "RSD PTR ", 8);
}

static void pvh_scene(struct memory *m)
{
	m->at = 0x1000;
	put_text(m, "console=com2 quiet");
	m->at = 0x1100;
	put_text(m, "guest.json");
	m->at = 0x1200;
	put64(m, 0x200000), put64(m, 0x1234), put64(m, PHYS + 0x1100), put64(m, 0);
	put64(m, 0x300000), put64(m, 0), put64(m, 0), put64(m, 0);
	m->at = 0x1300;
	put64(m, 0), put64(m, 0x9fc00), put32(m, 1), put32(m, 0);
	put64(m, 0x100000), put64(m, UINT64_C(0x200000000)), put32(m, 1), put32(m, 0);
	m->at = 0;
	put32(m, 0x336ec578), put32(m, 1), put32(m, 0), put32(m, 2);
	put64(m, PHYS + 0x1200), put64(m, PHYS + 0x1000), put64(m, 0xe0000);
	put64(m, PHYS + 0x1300), put32(m, 2), put32(m, 0);
}

static void pvh_is_read(void **state)
{
	struct memory *m = *state;
	struct boot_info info;

	pvh_scene(m);
	assert_int_equal(boot_info_pvh(&m->view, PHYS, &info), 0);
	assert_scene(&info);
	assert_int_equal(info.rsdp, 0xe0000);
	m->at = 4;
	put32(m, 0); /* the version without a memory map */
	assert_int_equal(boot_info_pvh(&m->view, PHYS, &info), -EPROTO);
}

typedef int reader(const struct boot_view *view, uint64_t phys, struct boot_info *ret);

/* Whatever one word says, the reader stays inside the view and its own arrays, and comes back. */
static void break_each_word(struct memory *m, reader *read, uint32_t end)
{
	static const uint32_t values[] = { 0,
					   1,
					   7,
					   0xff,
					   0x3fff,
					   0x7fffffff,
					   0xfffffff0,
					   0xffffffff,
					   (uint32_t)PHYS + BYTES - 1,
					   (uint32_t)PHYS - 1 };
	struct boot_info info;

	for (uint32_t at = 0; at < end; at += 4) {
		uint32_t was = le32_load(m->bytes + at);
		for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
			le32_store(m->bytes + at, values[i]);
			int r = read(&m->view, PHYS, &info);
			assert_in_range(-r, 0, 200);
			assert_true(info.n_ranges <= BOOT_RANGES && info.n_files <= BOOT_FILES);
			assert_true(info.n_text <= BOOT_TEXT_BYTES);
			assert_non_null(memchr(boot_info_cmdline(&info), 0,
					       BOOT_TEXT_BYTES - info.cmdline));
		}
		le32_store(m->bytes + at, was);
	}
	assert_int_equal(read(&m->view, PHYS, &info), 0);
	assert_scene(&info);
	assert_int_equal(read(&m->view, PHYS + BYTES - 4, &info), -EFAULT);
	assert_int_equal(read(&m->view, 0, &info), -EFAULT);
}

static void broken_tables_are_an_error_or_are_cut(void **state)
{
	struct memory *m = *state;

	mb1_scene(m);
	break_each_word(m, boot_info_multiboot1, 0x1400);
	memset(m->bytes, 0, BYTES);
	mb2_scene(m);
	break_each_word(m, boot_info_multiboot2, m->at);
	memset(m->bytes, 0, BYTES);
	pvh_scene(m);
	break_each_word(m, boot_info_pvh, 0x1400);
}

static void more_than_fits_is_cut_and_said(void **state)
{
	struct memory *m = *state;
	struct boot_info info;

	boot_info_init(&info, "test");
	for (unsigned i = 0; i < BOOT_RANGES + 1; i++)
		boot_info_add_range(&info, i * 4096, 4096, BOOT_RAM);
	assert_true(info.is_cut);
	assert_int_equal(info.n_ranges, BOOT_RANGES);
	boot_info_init(&info, "test");
	boot_info_add_range(&info, UINT64_C(1) << 51, UINT64_MAX, BOOT_RAM);
	assert_int_equal(info.ranges[0].len, UINT64_C(1) << 51); /* 52 bits, and it does not wrap */
	memset(m->bytes, 'a', BYTES);				 /* a text that never ends */
	assert_int_equal(boot_info_add_text(&info, &m->view, PHYS, 2048), 0);
	assert_true(info.is_cut);
}

#define T(name) cmocka_unit_test_setup_teardown(name, memory_setup, memory_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(multiboot1_is_read),
		T(multiboot1_without_a_map_has_two_numbers),
		T(multiboot2_is_read),
		T(pvh_is_read),
		T(broken_tables_are_an_error_or_are_cut),
		T(more_than_fits_is_cut_and_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
