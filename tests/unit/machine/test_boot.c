/* SPDX-License-Identifier: Apache-2.0 */
#include "boot_scene.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "machine/boot_priv.h"
#include "machine/layout.h"

static void pvh_kernel(struct boot_scene *scene)
{
	uint8_t entry[8];

	boot_scene_elf(scene, true, 0x100000, 0x100000);
	boot_put64(entry, 0x100010);
	boot_scene_note(scene, 18, entry, 8);
}

static void what_is_no_kernel_says_so(void **state)
{
	struct boot_scene *scene = *state;

	boot_scene_refuse(scene, ENOEXEC, "the file is empty");
	memset(scene->kernel, 'x', 5000);
	for (uint64_t len = 1; len < 5000; len += 7) {
		scene->source.kernel_len = len;
		boot_scene_refuse(scene, ENOEXEC, "kernel: not a kernel");
	}
}

static void a_guest_without_low_memory_is_refused(void **state)
{
	struct boot_scene *scene = *state;

	pvh_kernel(scene);
	scene->mem = (struct guest_mem){ 0 };
	boot_scene_refuse(scene, ENOMEM, "no memory at 1 MiB");
	assert_int_equal(mem_add(&scene->mem, 0, LAYOUT_KERNEL, scene->ram, false), 0);
	boot_scene_refuse(scene, ENOMEM, "no memory at 1 MiB");
	scene->mem = (struct guest_mem){ 0 };
	assert_int_equal(mem_add(&scene->mem, 0, scene->ram_bytes, scene->ram, true), 0);
	boot_scene_refuse(scene, ENOMEM, "no memory at 1 MiB");
}

static void no_part_lands_on_our_tables(void **state)
{
	static const struct {
		uint64_t gpa;
		int code;
		const char *words;
	} bad[] = {
		{ 0x0, ENOEXEC, "overlap the boot tables" },
		{ 0xff00, ENOEXEC, "overlap the boot tables" },
		{ 0x1fe00, ENOEXEC, "overlap the command line" },
		{ 0x2fff0, ENOEXEC, "overlap the command line" },
		{ 0x9fb00, ENOEXEC, "overlap the firmware's area" },
		{ 0xffe00, ENOEXEC, "overlap the firmware's area" },
		{ 0x1fffe00, ENOMEM, "outside the guest's memory" },
		{ 0x2000000, ENOMEM, "outside the guest's memory" },
		{ UINT64_MAX - 0x100, ENOMEM, "outside the guest's memory" },
		{ LAYOUT_LAPIC, ENOMEM, "outside the guest's memory" },
	};
	struct boot_scene *scene = *state;
	uint8_t *zeroes = calloc(1, 0x10000);

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		boot_scene_elf(scene, true, bad[i].gpa, bad[i].gpa);
		boot_scene_refuse(scene, bad[i].code, bad[i].words);
	}
	assert_memory_equal(scene->ram, zeroes, 0x10000);
	free(zeroes);
}

static void initrd_goes_high_and_whole(void **state)
{
	struct boot_scene *scene = *state;
	uint8_t initrd[5000];

	memset(initrd, 0x5a, sizeof(initrd));
	pvh_kernel(scene);
	scene->source.initrd = initrd;
	scene->source.initrd_len = sizeof(initrd);
	boot_scene_load(scene);
	assert_memory_equal(scene->ram + scene->ram_bytes - 0x2000, initrd, sizeof(initrd));
}

/* Never read: the length alone is enough. */
static void an_initrd_larger_than_memory_is_refused(void **state)
{
	static const uint64_t lengths[] = { UINT64_C(32) << 20, UINT64_C(31) << 20, UINT64_MAX,
					    UINT64_MAX - 4095, UINT64_C(1) << 63 };
	struct boot_scene *scene = *state;
	uint8_t byte = 1;

	pvh_kernel(scene);
	scene->source.initrd = &byte;
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		scene->source.initrd_len = lengths[i];
		boot_scene_refuse(scene, ENOMEM, "initrd: its ");
	}
	scene->source.initrd_len = 0;
	boot_scene_refuse(scene, ENOEXEC, "initrd: the file is empty");
}

static void modules_go_below_one_another(void **state)
{
	struct boot_scene *scene = *state;
	struct boot_module modules[BOOT_MODULES];
	uint8_t data[BOOT_MODULES][100];

	pvh_kernel(scene);
	for (unsigned i = 0; i < BOOT_MODULES; i++) {
		memset(data[i], (int)i + 1, sizeof(data[i]));
		modules[i] = (struct boot_module){ data[i], sizeof(data[i]), "module" };
	}
	scene->source.modules = modules;
	scene->source.n_modules = BOOT_MODULES;
	boot_scene_refuse(scene, EINVAL, "modules: 16 are given, 15 is the most");
	scene->source.n_modules = BOOT_MODULES - 1;
	scene->source.initrd = data[15];
	scene->source.initrd_len = 100;
	boot_scene_load(scene);
	const uint8_t *top = scene->ram + scene->ram_bytes;
	assert_memory_equal(top - 0x1000, data[15], 100);
	for (unsigned i = 0; i < BOOT_MODULES - 1; i++)
		assert_memory_equal(top - (i + 2) * 0x1000, data[i], 100);
}

static void a_command_line_that_is_too_long_is_refused(void **state)
{
	struct boot_scene *scene = *state;
	char *text = malloc(0x10001);

	assert_non_null(text);
	memset(text, 'a', 0x10000);
	text[0x10000] = '\0';
	pvh_kernel(scene);
	scene->source.cmdline = text;
	boot_scene_refuse(scene, E2BIG, "command line: longer than the 65535 bytes");
	text[0xffff] = '\0';
	boot_scene_load(scene);
	assert_memory_equal(scene->ram + LAYOUT_CMDLINE, text, 0x10000);
	free(text);
}

static void claims_are_bounded(void **state)
{
	struct boot_scene *scene = *state;
	struct boot boot = { .mem = &scene->mem, .source = &scene->source, .err = &scene->err };

	for (unsigned i = 0; i < BOOT_CLAIMS; i++)
		assert_int_equal(boot_claim(&boot, 0x100000 + i * 0x1000, 0x1000, "kernel"), 0);
	assert_int_equal(boot_claim(&boot, 0x1000000, 1, "kernel"), -ENOEXEC);
	assert_non_null(strstr(scene->err.text, "too many parts"));
	assert_int_equal(boot_claim(&boot, 0x100fff, 1, "kernel"), -ENOEXEC);
	assert_non_null(strstr(scene->err.text, "overlap the kernel"));
}

static void slices_do_not_wrap(void **state)
{
	const uint8_t bytes[8] = { 0 };

	(void)state;
	assert_ptr_equal(boot_slice(bytes, 8, 0, 8), bytes);
	assert_ptr_equal(boot_slice(bytes, 8, 8, 0), bytes + 8);
	assert_null(boot_slice(bytes, 8, 9, 0));
	assert_null(boot_slice(bytes, 8, 1, 8));
	assert_null(boot_slice(bytes, 8, UINT64_MAX, 2));
	assert_null(boot_slice(bytes, 8, 2, UINT64_MAX));
}

int main(void)
{
#define BOOT_TEST(name) cmocka_unit_test_setup_teardown(name, boot_scene_init, boot_scene_fini)
	const struct CMUnitTest tests[] = {
		BOOT_TEST(what_is_no_kernel_says_so),
		BOOT_TEST(a_guest_without_low_memory_is_refused),
		BOOT_TEST(no_part_lands_on_our_tables),
		BOOT_TEST(initrd_goes_high_and_whole),
		BOOT_TEST(an_initrd_larger_than_memory_is_refused),
		BOOT_TEST(modules_go_below_one_another),
		BOOT_TEST(a_command_line_that_is_too_long_is_refused),
		BOOT_TEST(claims_are_bounded),
		cmocka_unit_test(slices_do_not_wrap),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
