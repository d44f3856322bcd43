/* SPDX-License-Identifier: Apache-2.0 */
#include "boot_scene.h"

#include "base/core/bytes.h"
#include "machine/boot_priv.h"
#include "machine/layout.h"

/* The walk that the CPU would do: 4-level paging, SDM 3A. */
static uint64_t walk(const struct boot_scene *scene, uint64_t gva)
{
	uint64_t table = scene->bsp.cr3, entry = 0;

	for (unsigned shift = 39; shift >= 21; shift -= 9) {
		entry = le64_load(scene->ram + table + (gva >> shift & 511) * 8);
		if (!(entry & 1))
			return UINT64_MAX;
		table = entry & UINT64_C(0xffffffffff000);
	}
	assert_true(entry & 0x80);
	return (entry & UINT64_C(0xfffffffe00000)) | (gva & 0x1fffff);
}

static void long_mode_maps_four_gib_to_themselves(void **state)
{
	struct boot_scene *scene = *state;
	struct boot boot = { .mem = &scene->mem, .source = &scene->source, .err = &scene->err };
	const struct x86_state *s = &scene->bsp;

	assert_int_equal(boot_state64(&boot, 0x100200, &scene->bsp), 0);
	for (uint64_t gva = 0; gva < UINT64_C(0x100000000); gva += 0x1ffff1)
		assert_int_equal(walk(scene, gva), gva);
	assert_int_equal(walk(scene, UINT64_C(0x100000000)), UINT64_MAX);
	assert_int_equal(walk(scene, UINT64_C(0x8000000000)), UINT64_MAX);
	assert_int_equal(s->cr0, X86_CR0_PE | X86_CR0_ET | X86_CR0_PG);
	assert_int_equal(s->cr4, X86_CR4_PAE);
	assert_int_equal(s->efer, X86_EFER_LME | X86_EFER_LMA);
	assert_int_equal(s->rip, 0x100200);
	assert_int_equal(s->segs[X86_CS].selector, 0x10);
	assert_int_equal(s->segs[X86_SS].selector, 0x18);
	assert_true(s->segs[X86_CS].l && !s->segs[X86_CS].db);
	assert_int_equal(le64_load(scene->ram + s->gdt.base + 0x10), UINT64_C(0x00af9b000000ffff));
	assert_int_equal(s->regs[X86_RSP], LAYOUT_BOOT_STACK);
	assert_int_equal(s->rflags & X86_RFLAGS_IF, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(long_mode_maps_four_gib_to_themselves,
						boot_scene_init, boot_scene_fini),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
