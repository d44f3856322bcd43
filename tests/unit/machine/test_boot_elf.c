/* SPDX-License-Identifier: Apache-2.0 */
#include "boot_scene.h"

#include <errno.h>
#include <string.h>

static void segments_land_and_their_rest_is_cleared(void **state)
{
	struct boot_scene *scene = *state;

	boot_scene_elf(scene, true, 0x200000, 0x200000);
	memset(scene->ram + 0x200000, 0xff, 0x1000);
	boot_scene_load(scene);
	for (unsigned i = 0; i < 0x301; i++)
		assert_int_equal(scene->ram[0x200000 + i],
				 i < 0x100 ? 0xab : (i < 0x300 ? 0 : 0xff));
}

/* Every field of the header and of the LOAD entry, made wrong alone. */
static void broken_images_say_what_is_broken(void **state)
{
	static const struct {
		unsigned offset, len;
		uint64_t value;
		const char *words;
	} bad[] = {
		{ 4, 1, 3, "not for x86" },
		{ 5, 1, 2, "not for x86" }, /* big endian */
		{ 16, 2, 1, "type 1, not an executable" },
		{ 16, 2, 4, "type 4, not an executable" },
		{ 18, 2, 183, "not for x86" }, /* AArch64 */
		{ 24, 8, 0x1fffff, "entry point 0x1fffff is outside" },
		{ 24, 8, 0x200300, "entry point 0x200300 is outside" },
		{ 24, 8, UINT64_C(0xffffffff81000000), "is outside the ELF image's segments" },
		{ 32, 8, 0x2000, "program headers are cut short" },
		{ 32, 8, UINT64_MAX - 3, "program headers are cut short" },
		{ 54, 2, 55, "program headers are cut short" },
		{ 56, 2, 0, "has 0 program headers" },
		{ 56, 2, 65, "has 65 program headers" },
		{ 64, 4, 3, "an ELF program for a dynamic loader" },
		{ 64 + 8, 8, 0x1001, "segment 0 is cut short" },
		{ 64 + 8, 8, UINT64_MAX, "segment 0 is cut short" },
		{ 64 + 32, 8, 0x301, "segment 0 is cut short" },
		{ 64 + 32, 8, UINT64_MAX, "segment 0 is cut short" },
		{ 64 + 40, 8, 0xff, "segment 0 is larger in the file than in memory" },
		{ 64 + 40, 8, 0, "entry point 0x200000 is outside" },
	};
	struct boot_scene *scene = *state;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		uint8_t raw[8];
		boot_scene_elf(scene, true, 0x200000, 0x200000);
		boot_put64(raw, bad[i].value);
		memcpy(scene->kernel + bad[i].offset, raw, bad[i].len);
		boot_scene_refuse(scene, ENOEXEC, bad[i].words);
	}
	boot_scene_elf(scene, true, 0x200000, 0x200000);
	boot_put64(scene->kernel + 64 + 40, UINT64_MAX);
	boot_scene_refuse(scene, ENOMEM, "outside the guest's memory");
}

static void every_cut_is_an_error(void **state)
{
	struct boot_scene *scene = *state;

	for (unsigned is64 = 0; is64 < 2; is64++) {
		uint8_t entry[8];
		boot_scene_elf(scene, is64, 0x200000, 0x200000);
		boot_put64(entry, 0x200000);
		boot_scene_note(scene, 18, entry, 4);
		boot_scene_load(scene);
		for (uint64_t len = 4; len < 0x1100; len++) {
			scene->source.kernel_len = len;
			boot_scene_refuse(scene, ENOEXEC, "cut short");
		}
	}
}

static void segments_may_touch_but_not_overlap(void **state)
{
	struct boot_scene *scene = *state;
	uint8_t *second = scene->kernel + 64 + 56;

	boot_scene_elf(scene, true, 0x200000, 0x200000);
	memcpy(second, scene->kernel + 64, 56);
	boot_scene_refuse(scene, ENOEXEC, "overlap the kernel");
	boot_put64(second + 24, 0x2002ff);
	boot_scene_refuse(scene, ENOEXEC, "overlap the kernel");
	boot_put64(second + 24, 0x200300);
	boot_scene_load(scene);
}

int main(void)
{
#define BOOT_TEST(name) cmocka_unit_test_setup_teardown(name, boot_scene_init, boot_scene_fini)
	const struct CMUnitTest tests[] = {
		BOOT_TEST(segments_land_and_their_rest_is_cleared),
		BOOT_TEST(broken_images_say_what_is_broken),
		BOOT_TEST(every_cut_is_an_error),
		BOOT_TEST(segments_may_touch_but_not_overlap),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
