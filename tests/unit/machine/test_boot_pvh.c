/* SPDX-License-Identifier: Apache-2.0 */
#include "boot_scene.h"

#include <errno.h>
#include <string.h>

#include "base/core/bytes.h"
#include "machine/layout.h"

static void pvh_kernel(struct boot_scene *scene, bool is64, uint64_t entry)
{
	uint8_t desc[8];

	boot_scene_elf(scene, is64, 0x100000, 0x100000);
	boot_put64(desc, entry);
	boot_scene_note(scene, 18, desc, is64 ? 8 : 4);
}

static void starts_as_the_abi_wants_it(void **state)
{
	struct boot_scene *scene = *state;
	const struct x86_state *s = &scene->bsp;

	for (unsigned is64 = 0; is64 < 2; is64++) {
		pvh_kernel(scene, is64, 0x100010);
		boot_scene_load(scene);
		assert_int_equal(s->rip, 0x100010);
		assert_int_equal(s->regs[X86_RBX], LAYOUT_PVH_INFO);
		assert_int_equal(s->cr0, X86_CR0_PE | X86_CR0_ET);
		assert_int_equal(s->cr4 | s->efer, 0);
		assert_int_equal(s->rflags, X86_RFLAGS_FIXED);
		assert_false(s->wait_sipi);
		for (unsigned i = 0; i < X86_SEGS; i++) {
			assert_int_equal(s->segs[i].base, 0);
			assert_int_equal(s->segs[i].limit, 0xffffffff);
			assert_int_equal(s->segs[i].type, i == X86_CS ? 0xb : 0x3);
			assert_true(s->segs[i].db && !s->segs[i].l && s->segs[i].present);
		}
		assert_int_equal(s->tr.limit, 0x67);
		assert_int_equal(s->tr.type, 0xb);
	}
}

static void the_gdt_in_memory_says_the_same(void **state)
{
	struct boot_scene *scene = *state;

	pvh_kernel(scene, true, 0x100000);
	boot_scene_load(scene);
	const uint8_t *gdt = scene->ram + scene->bsp.gdt.base;
	assert_int_equal(le64_load(gdt), 0);
	assert_int_equal(le64_load(gdt + scene->bsp.segs[X86_CS].selector),
			 UINT64_C(0x00cf9b000000ffff));
	assert_int_equal(le64_load(gdt + scene->bsp.segs[X86_DS].selector),
			 UINT64_C(0x00cf93000000ffff));
	assert_int_equal(le64_load(gdt + scene->bsp.tr.selector), UINT64_C(0x00008b0000000067));
	assert_true(scene->bsp.tr.selector + 7 <= scene->bsp.gdt.limit);
}

static void start_info_holds_everything(void **state)
{
	struct boot_scene *scene = *state;
	uint8_t initrd[3] = { 1, 2, 3 }, other[4] = { 4, 5, 6, 7 };
	struct boot_module module = { other, sizeof(other), "second=1" };

	pvh_kernel(scene, true, 0x100000);
	scene->source.initrd = initrd;
	scene->source.initrd_len = sizeof(initrd);
	scene->source.modules = &module;
	scene->source.n_modules = 1;
	scene->source.cmdline = "console=ttyS0";
	boot_scene_load(scene);

	const uint8_t *info = scene->ram + LAYOUT_PVH_INFO;
	assert_int_equal(le32_load(info), 0x336ec578);
	assert_int_equal(le32_load(info + 4), 1);
	assert_int_equal(le32_load(info + 8), 0);
	assert_int_equal(le32_load(info + 12), 2);
	assert_string_equal((const char *)scene->ram + le64_load(info + 24), "console=ttyS0");
	assert_int_equal(le64_load(info + 32), LAYOUT_ACPI);

	const uint8_t *list = scene->ram + le64_load(info + 16);
	assert_int_equal(le64_load(list + 8), 3);
	assert_memory_equal(scene->ram + le64_load(list), initrd, 3);
	assert_int_equal(le64_load(list + 16), 0);
	assert_int_equal(le64_load(list + 40), 4);
	assert_memory_equal(scene->ram + le64_load(list + 32), other, 4);
	assert_string_equal((const char *)scene->ram + le64_load(list + 48), "second=1");

	const uint8_t *map = scene->ram + le64_load(info + 40);
	assert_int_equal(le32_load(info + 48), 6);
	assert_int_equal(le64_load(map), 0);
	assert_int_equal(le64_load(map + 8), LAYOUT_EBDA);
	assert_int_equal(le32_load(map + 16), 1);
}

static void without_modules_the_list_is_null(void **state)
{
	struct boot_scene *scene = *state;

	pvh_kernel(scene, true, 0x100000);
	boot_scene_load(scene);
	assert_int_equal(le32_load(scene->ram + LAYOUT_PVH_INFO + 12), 0);
	assert_int_equal(le64_load(scene->ram + LAYOUT_PVH_INFO + 16), 0);
	assert_int_equal(scene->ram[LAYOUT_CMDLINE], 0);
}

static void other_notes_are_stepped_over(void **state)
{
	struct boot_scene *scene = *state;
	uint8_t *note = scene->kernel + 0x800;

	boot_scene_elf(scene, true, 0x100000, 0x100000);
	boot_scene_note(scene, 6, "abc", 3); /* 20 bytes with its padding */
	boot_put32(note + 20, 4);
	boot_put32(note + 24, 4);
	boot_put32(note + 28, 18);
	memcpy(note + 32, "GNU", 4); /* the type is right, the owner is not */
	boot_put32(note + 36, 0xbad);
	boot_put32(note + 40, 4);
	boot_put32(note + 44, 4);
	boot_put32(note + 48, 18);
	memcpy(note + 52, "Xen", 4);
	boot_put32(note + 56, 0x100020);
	boot_put64(scene->kernel + 64 + 56 + 32, 60);
	boot_scene_load(scene);
	assert_int_equal(scene->bsp.rip, 0x100020);
}

static void broken_notes_are_refused(void **state)
{
	struct boot_scene *scene = *state;
	uint8_t desc[16] = { 0 };

	boot_scene_elf(scene, true, 0x100000, 0x100000);
	boot_scene_note(scene, 18, desc, 16);
	boot_scene_refuse(scene, ENOEXEC, "holds no 32-bit entry point");
	boot_scene_note(scene, 18, desc, 0);
	boot_scene_refuse(scene, ENOEXEC, "holds no 32-bit entry point");
	desc[4] = 1;
	boot_scene_note(scene, 18, desc, 8);
	boot_scene_refuse(scene, ENOEXEC, "holds no 32-bit entry point");
	pvh_kernel(scene, true, 0x100300);
	boot_scene_refuse(scene, ENOEXEC, "entry point 0x100300 is outside");
	pvh_kernel(scene, true, 0x100000);
	boot_put64(scene->kernel + 64 + 56 + 8, 0x10f0);
	boot_scene_refuse(scene, ENOEXEC, "notes are cut short");
}

/* Lengths that would wrap, or name more than there is: no PVH note then, and the ELF entry counts. */
static void notes_that_lie_about_their_length_are_none(void **state)
{
	struct boot_scene *scene = *state;

	for (unsigned field = 0; field < 8; field += 4) {
		pvh_kernel(scene, true, 0x100010);
		boot_put32(scene->kernel + 0x800 + field, 0xffffffff);
		boot_scene_load(scene);
		assert_int_equal(scene->bsp.rip, 0x100000);
		assert_true(scene->bsp.segs[X86_CS].l);
	}
}

int main(void)
{
#define BOOT_TEST(name) cmocka_unit_test_setup_teardown(name, boot_scene_init, boot_scene_fini)
	const struct CMUnitTest tests[] = {
		BOOT_TEST(starts_as_the_abi_wants_it),
		BOOT_TEST(the_gdt_in_memory_says_the_same),
		BOOT_TEST(start_info_holds_everything),
		BOOT_TEST(without_modules_the_list_is_null),
		BOOT_TEST(other_notes_are_stepped_over),
		BOOT_TEST(broken_notes_are_refused),
		BOOT_TEST(notes_that_lie_about_their_length_are_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
