/* SPDX-License-Identifier: Apache-2.0 */
#include "boot_scene.h"

#include <errno.h>
#include <string.h>

#include "base/core/bytes.h"
#include "machine/layout.h"

#define MAGIC UINT32_C(0x1badb002)

static void put_header(uint8_t *at, uint32_t flags)
{
	boot_put32(at, MAGIC);
	boot_put32(at + 4, flags);
	boot_put32(at + 8, UINT32_MAX - (MAGIC + flags) + 1);
}

/* Flat: the header at 0x40 of the file; 0x200 bytes to 0x120000, 0x500 in memory. */
static void flat_kernel(struct boot_scene *scene)
{
	uint8_t *h = scene->kernel + 0x40;

	memset(scene->kernel, 0, sizeof(scene->kernel));
	memset(scene->kernel + 0x100, 0xee, 0x120);
	put_header(h, 0x10003);
	boot_put32(h + 12, 0x120020); /* so the image begins at 0x20 of the file */
	boot_put32(h + 16, 0x120000);
	boot_put32(h + 20, 0x120200);
	boot_put32(h + 24, 0x120500);
	boot_put32(h + 28, 0x120100);
	scene->source.kernel_len = 0x220;
}

static void an_elf_image_starts_in_protected_mode(void **state)
{
	struct boot_scene *scene = *state;
	const struct x86_state *s = &scene->bsp;

	for (unsigned is64 = 0; is64 < 2; is64++) {
		boot_scene_elf(scene, is64, 0x400000, 0x400008);
		put_header(scene->kernel + 0x1000, 0);
		boot_scene_load(scene);
		assert_int_equal(s->rip, 0x400008);
		assert_int_equal(s->regs[X86_RAX], 0x2badb002);
		assert_int_equal(s->regs[X86_RBX], LAYOUT_ZERO_PAGE);
		assert_int_equal(s->cr0, X86_CR0_PE | X86_CR0_ET);
		assert_int_equal(s->efer, 0);
		assert_true(s->segs[X86_CS].db && !s->segs[X86_CS].l);
	}
}

static void a_flat_image_goes_where_its_header_says(void **state)
{
	struct boot_scene *scene = *state;

	flat_kernel(scene);
	memset(scene->ram + 0x120000, 0xff, 0x600);
	boot_scene_load(scene);
	assert_int_equal(scene->bsp.rip, 0x120100);
	assert_memory_equal(scene->ram + 0x120000, scene->kernel + 0x20, 0x200);
	assert_int_equal(scene->ram[0x120200], 0);
	assert_int_equal(scene->ram[0x1204ff], 0);
	assert_int_equal(scene->ram[0x120500], 0xff);
}

static void a_flat_image_without_ends_is_taken_whole(void **state)
{
	struct boot_scene *scene = *state;

	flat_kernel(scene);
	boot_put32(scene->kernel + 0x40 + 20, 0);
	boot_put32(scene->kernel + 0x40 + 24, 0);
	memset(scene->ram + 0x120000, 0xff, 0x600);
	boot_scene_load(scene);
	assert_memory_equal(scene->ram + 0x120000, scene->kernel + 0x20, 0x200);
	assert_int_equal(scene->ram[0x120200], 0xff);
}

static void broken_flat_images_say_what_is_broken(void **state)
{
	static const struct {
		unsigned offset;
		uint32_t value;
		const char *words;
	} bad[] = {
		{ 12, 0x11ffff, "header lies outside" },
		{ 12, 0x120041, "header lies outside" },
		{ 12, 0xffffffff, "header lies outside" },
		{ 20, 0x120201, "multiboot image is cut short" },
		{ 20, 0x11ffff, "multiboot image is cut short" },
		{ 24, 0x1201ff, "ends before the image does" },
		{ 28, 0x120500, "entry point 0x120500 is outside" },
		{ 28, 0x11ffff, "entry point 0x11ffff is outside" },
	};
	struct boot_scene *scene = *state;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		flat_kernel(scene);
		boot_put32(scene->kernel + 0x40 + bad[i].offset, bad[i].value);
		boot_scene_refuse(scene, ENOEXEC, bad[i].words);
	}
	flat_kernel(scene);
	boot_put32(scene->kernel + 0x40 + 24, 0xffffffff);
	boot_scene_refuse(scene, ENOMEM, "outside the guest's memory");
}

static void what_a_loader_must_know_or_refuse_is_refused(void **state)
{
	struct boot_scene *scene = *state;

	flat_kernel(scene);
	put_header(scene->kernel + 0x40, 0x10007);
	boot_scene_refuse(scene, ENOEXEC, "wants a video mode");
	put_header(scene->kernel + 0x40, 0x10008);
	boot_scene_refuse(scene, ENOEXEC, "flags 0x8");
	put_header(scene->kernel + 0x40, 0x30000); /* an optional wish */
	boot_scene_load(scene);
	put_header(scene->kernel + 0x40, 0);
	boot_scene_refuse(scene, ENOEXEC, "no ELF image and no load addresses");
}

static void a_header_counts_only_where_it_may_be(void **state)
{
	struct boot_scene *scene = *state;

	flat_kernel(scene);
	scene->kernel[0x48]++; /* checksum */
	boot_scene_refuse(scene, ENOEXEC, "not a kernel");
	memset(scene->kernel, 0, sizeof(scene->kernel));
	put_header(scene->kernel + 8192 - 12, 0);
	scene->source.kernel_len = sizeof(scene->kernel);
	boot_scene_refuse(scene, ENOEXEC, "no ELF image and no load addresses");
	memset(scene->kernel, 0, sizeof(scene->kernel));
	put_header(scene->kernel + 8192 - 8, 0);
	boot_scene_refuse(scene, ENOEXEC, "not a kernel");
	memset(scene->kernel, 0, sizeof(scene->kernel));
	put_header(scene->kernel + 0x42, 0); /* not on a multiple of 4 */
	boot_scene_refuse(scene, ENOEXEC, "not a kernel");
	put_header(scene->kernel + 0x40, 0x10000);
	scene->source.kernel_len = 0x40 + 31; /* the addresses are cut off */
	boot_scene_refuse(scene, ENOEXEC, "not a kernel");
}

static void information_holds_everything(void **state)
{
	struct boot_scene *scene = *state;
	uint8_t initrd[] = { 'e', 'n', 'v', '=', '1' };

	flat_kernel(scene);
	scene->source.initrd = initrd;
	scene->source.initrd_len = sizeof(initrd);
	scene->source.cmdline = "smap 1";
	boot_scene_load(scene);

	const uint8_t *info = scene->ram + LAYOUT_ZERO_PAGE;
	assert_int_equal(le32_load(info), 0x24d);
	assert_int_equal(le32_load(info + 4), 639);
	assert_int_equal(le32_load(info + 8), 31 * 1024);
	assert_string_equal((const char *)scene->ram + le32_load(info + 16), "kernel smap 1");
	assert_string_equal((const char *)scene->ram + le32_load(info + 64), "Strata");
	assert_int_equal(le32_load(info + 20), 1);
	const uint8_t *module = scene->ram + le32_load(info + 24);
	assert_int_equal(le32_load(module + 4) - le32_load(module), sizeof(initrd));
	assert_memory_equal(scene->ram + le32_load(module), initrd, sizeof(initrd));
	assert_string_equal((const char *)scene->ram + le32_load(module + 8), "initrd");
	const uint8_t *map = scene->ram + le32_load(info + 48);
	assert_int_equal(le32_load(info + 44), 6 * 24);
	assert_int_equal(le32_load(map), 20);
	assert_int_equal(le64_load(map + 4), 0);
	assert_int_equal(le64_load(map + 12), LAYOUT_EBDA);
	assert_int_equal(le32_load(map + 20), 1);
}

static void without_arguments_the_command_line_is_a_name(void **state)
{
	struct boot_scene *scene = *state;

	flat_kernel(scene);
	boot_scene_load(scene);
	const uint8_t *info = scene->ram + LAYOUT_ZERO_PAGE;
	assert_int_equal(le32_load(info), 0x245);
	assert_string_equal((const char *)scene->ram + le32_load(info + 16), "kernel");
	assert_int_equal(le32_load(info + 20), 0);
}

int main(void)
{
#define BOOT_TEST(name) cmocka_unit_test_setup_teardown(name, boot_scene_init, boot_scene_fini)
	const struct CMUnitTest tests[] = {
		BOOT_TEST(an_elf_image_starts_in_protected_mode),
		BOOT_TEST(a_flat_image_goes_where_its_header_says),
		BOOT_TEST(a_flat_image_without_ends_is_taken_whole),
		BOOT_TEST(broken_flat_images_say_what_is_broken),
		BOOT_TEST(what_a_loader_must_know_or_refuse_is_refused),
		BOOT_TEST(a_header_counts_only_where_it_may_be),
		BOOT_TEST(information_holds_everything),
		BOOT_TEST(without_arguments_the_command_line_is_a_name),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
