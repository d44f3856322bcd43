/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <string.h>

#include "base/core/macros.h"
#include "machine/aml.h"

#define EMITS(aml, ...)                                                                            \
	do {                                                                                       \
		static const uint8_t want_[] = { __VA_ARGS__ };                                    \
		assert_false((aml)->full);                                                         \
		assert_int_equal((aml)->len, sizeof(want_));                                       \
		assert_memory_equal((aml)->data, want_, sizeof(want_));                            \
	} while (0)

static void names_are_filled_up(void **state)
{
	uint8_t data[32];
	struct aml aml = { .data = data, .size = sizeof(data) };

	(void)state;
	aml_name(&aml, "\\_S5");
	aml_path(&aml, "COM1");
	EMITS(&aml, 0x08, '\\', '_', 'S', '5', '_', 'C', 'O', 'M', '1');
}

static void integers_take_the_shortest_form(void **state)
{
	uint8_t data[64];
	struct aml aml = { .data = data, .size = sizeof(data) };

	(void)state;
	aml_integer(&aml, 0);
	aml_integer(&aml, 1);
	aml_integer(&aml, 0xff);
	aml_integer(&aml, 0x100);
	aml_integer(&aml, 0x10000);
	aml_integer(&aml, UINT64_C(0x100000000));
	EMITS(&aml, 0, 1, 0x0a, 0xff, 0x0b, 0, 1, 0x0c, 0, 0, 1, 0, 0x0e, 0, 0, 0, 0, 1, 0, 0, 0);
}

/* The number of PNP0A08 that every PCI Express machine's DSDT has: 0x080ad041. */
static void eisa_ids_are_compressed(void **state)
{
	uint8_t data[16];
	struct aml aml = { .data = data, .size = sizeof(data) };

	(void)state;
	aml_eisa_id(&aml, "PNP0A08");
	aml_eisa_id(&aml, "PNP0501");
	EMITS(&aml, 0x0c, 0x41, 0xd0, 0x0a, 0x08, 0x0c, 0x41, 0xd0, 0x05, 0x01);
}

static void lengths_count_themselves(void **state)
{
	static const struct {
		unsigned content, bytes;
		uint8_t length[4];
	} cases[] = {
		{ 0, 1, { 1 } },
		{ 62, 1, { 63 } },
		{ 63, 2, { 0x41, 4 } },
		{ 0xffd, 2, { 0x4f, 0xff } },
		{ 0xffe, 3, { 0x81, 0, 1 } },
		{ 0xffffc, 3, { 0x8f, 0xff, 0xff } },
		{ 0xffffd, 4, { 0xc1, 0, 0, 1 } },
	};
	static uint8_t data[0x100010], zeros[0x100000];

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct aml aml = { .data = data, .size = sizeof(data) };
		size_t package = aml_open(&aml, AML_PACKAGE);
		aml_bytes(&aml, zeros, cases[i].content);
		aml_close(&aml, package);
		assert_false(aml.full);
		assert_int_equal(aml.len, 1 + cases[i].bytes + cases[i].content);
		assert_memory_equal(data + 1, cases[i].length, cases[i].bytes);
	}
}

static void objects_nest(void **state)
{
	uint8_t data[64];
	struct aml aml = { .data = data, .size = sizeof(data) };

	(void)state;
	size_t device = aml_open(&aml, AML_DEVICE);
	aml_path(&aml, "A");
	size_t package = aml_open(&aml, AML_PACKAGE);
	aml_byte(&aml, 1);
	aml_string(&aml, "x");
	aml_close(&aml, package);
	aml_close(&aml, device);
	EMITS(&aml, 0x5b, 0x82, 11, 'A', '_', '_', '_', 0x12, 5, 1, 0x0d, 'x', 0);
}

static void a_resource_template_is_a_buffer_that_knows_its_size(void **state)
{
	uint8_t data[64];
	struct aml aml = { .data = data, .size = sizeof(data) };

	(void)state;
	size_t crs = aml_resources_open(&aml);
	aml_ports(&aml, 0x3f8, 8);
	aml_irq(&aml, 4);
	aml_resources_close(&aml, crs);
	EMITS(&aml, 0x11, 16, 0x0a, 13, 0x47, 1, 0xf8, 3, 0xf8, 3, 1, 8, 0x22, 0x10, 0, 0x79, 0);
}

static void windows_take_the_smallest_descriptor(void **state)
{
	uint8_t data[128];
	struct aml aml = { .data = data, .size = sizeof(data) };

	(void)state;
	aml_window(&aml, AML_WINDOW_BUS, 0, 255);
	EMITS(&aml, 0x88, 13, 0, 2, 0xc, 0, 0, 0, 0, 0, 255, 0, 0, 0, 0, 1);
	aml.len = 0;
	aml_window(&aml, AML_WINDOW_PORTS, 0, 0xffff); /* its length needs 17 bits */
	EMITS(&aml, 0x87, 23, 0, 1, 0xc, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0,
	      0, 1, 0);
	aml.len = 0;
	aml_window(&aml, AML_WINDOW_MEMORY, 0, 0xffffffff);
	assert_int_equal(aml.len, 46);
	aml.len = 0;
	aml_window(&aml, AML_WINDOW_MEMORY, 0x1000, 0x1fff); /* memory has no 16-bit form */
	assert_int_equal(data[0], 0x87);
}

static void what_does_not_fit_is_dropped_at_every_length(void **state)
{
	uint8_t data[80];

	(void)state;
	for (size_t size = 0; size < 64; size++) {
		struct aml aml = { .data = data, .size = size };
		memset(data, 0xa5, sizeof(data));
		size_t device = aml_open(&aml, AML_DEVICE);
		aml_path(&aml, "A");
		size_t crs = aml_resources_open(&aml);
		aml_window(&aml, AML_WINDOW_MEMORY, 0, UINT64_C(0x1000000000));
		aml_resources_close(&aml, crs);
		aml_close(&aml, device);
		assert_int_equal(aml.full, size < 59);
		assert_true(aml.len <= size);
		for (size_t i = size; i < sizeof(data); i++)
			assert_int_equal(data[i], 0xa5);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_filled_up),
		cmocka_unit_test(integers_take_the_shortest_form),
		cmocka_unit_test(eisa_ids_are_compressed),
		cmocka_unit_test(lengths_count_themselves),
		cmocka_unit_test(objects_nest),
		cmocka_unit_test(a_resource_template_is_a_buffer_that_knows_its_size),
		cmocka_unit_test(windows_take_the_smallest_descriptor),
		cmocka_unit_test(what_does_not_fit_is_dropped_at_every_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
