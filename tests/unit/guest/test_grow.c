/* SPDX-License-Identifier: Apache-2.0 */
#include "grow.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/core/bytes.h"

static void make(uint8_t super[GROW_SUPER_BYTES], uint64_t blocks, uint32_t log, bool wide)
{
	memset(super, 0, GROW_SUPER_BYTES);
	le16_store(super + 0x38, 0xef53);
	le32_store(super + 0x4, (uint32_t)blocks);
	le32_store(super + 0x18, log);
	le32_store(super + 0x60, wide ? 0x80 : 0);
	le32_store(super + 0x150, (uint32_t)(blocks >> 32));
}

static void a_larger_disk_has_more_blocks(void **state)
{
	uint8_t super[GROW_SUPER_BYTES];

	(void)state;
	make(super, 16384, 2, false);
	assert_int_equal(grow_blocks(super, 64 << 20), 0);
	assert_int_equal(grow_blocks(super, (64 << 20) + 4095), 0);
	assert_int_equal(grow_blocks(super, (64 << 20) + 4096), 16385);
	assert_int_equal(grow_blocks(super, UINT64_C(1) << 40), UINT64_C(1) << 28);
}

/* Never: what lies past the new end would be lost. */
static void none_is_made_smaller(void **state)
{
	uint8_t super[GROW_SUPER_BYTES];

	(void)state;
	make(super, 16384, 2, false);
	assert_int_equal(grow_blocks(super, 32 << 20), 0);
	assert_int_equal(grow_blocks(super, 0), 0);
	make(super, UINT64_C(1) << 33, 2, true);
	assert_int_equal(grow_blocks(super, UINT64_C(1) << 40), 0);
	assert_int_equal(grow_blocks(super, UINT64_C(1) << 46), UINT64_C(1) << 34);
}

static void what_is_no_ext4_is_left_alone(void **state)
{
	uint8_t super[GROW_SUPER_BYTES];

	(void)state;
	make(super, 16384, 2, false);
	super[0x38] = 0;
	assert_int_equal(grow_blocks(super, UINT64_C(1) << 40), 0);
	make(super, 16384, 60, false);
	assert_int_equal(grow_blocks(super, UINT64_C(1) << 40), 0);
	make(super, 16384, UINT32_MAX, false);
	assert_int_equal(grow_blocks(super, UINT64_C(1) << 40), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_larger_disk_has_more_blocks),
		cmocka_unit_test(none_is_made_smaller),
		cmocka_unit_test(what_is_no_ext4_is_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
