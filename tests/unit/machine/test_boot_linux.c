/* SPDX-License-Identifier: Apache-2.0 */
#include "boot_scene.h"

#include <errno.h>
#include <string.h>

#include "base/core/bytes.h"
#include "machine/layout.h"

static void bzimage_starts_in_long_mode_with_a_zero_page(void **state)
{
	struct boot_scene *scene = *state;
	uint8_t initrd[10] = "cpio";
	const uint8_t *zp = scene->ram + LAYOUT_ZERO_PAGE;

	boot_scene_bzimage(scene);
	scene->source.initrd = initrd;
	scene->source.initrd_len = sizeof(initrd);
	scene->source.cmdline = "root=/dev/vda";
	boot_scene_load(scene);
	assert_int_equal(scene->bsp.rip, 0x100200);
	assert_int_equal(scene->bsp.regs[X86_RSI], LAYOUT_ZERO_PAGE);
	assert_true(scene->bsp.segs[X86_CS].l);
	assert_memory_equal(scene->ram + 0x100000, scene->kernel + 0x400, 0x1000);
	assert_memory_equal(zp + 0x202, "HdrS", 4);
	assert_int_equal(zp[0x210], 0xff);
	assert_string_equal((const char *)scene->ram + le32_load(zp + 0x228), "root=/dev/vda");
	assert_int_equal(le32_load(zp + 0x21c), sizeof(initrd));
	assert_memory_equal(scene->ram + le32_load(zp + 0x218), initrd, sizeof(initrd));
	assert_int_equal(le64_load(zp + 0x70), LAYOUT_ACPI);
	assert_int_equal(zp[0x1e8], 6);
	assert_int_equal(le64_load(zp + 0x2d0 + 8), LAYOUT_EBDA);
	assert_int_equal(le32_load(zp + 0x2d0 + 16), 1);
	assert_int_equal(zp[0x1ef], 0); /* sentinel: the page was cleared */
}

static void room_for_unpacking_is_kept_but_not_touched(void **state)
{
	struct boot_scene *scene = *state;
	uint8_t initrd[4096] = { 1 };

	boot_scene_bzimage(scene);
	memset(scene->ram + 0x102000, 0x77, 16);
	scene->source.initrd = initrd;
	scene->source.initrd_len = sizeof(initrd);
	boot_put32(scene->kernel + 0x22c, 0x300fff); /* one page above the kernel's room */
	boot_scene_load(scene);
	assert_int_equal(le32_load(scene->ram + LAYOUT_ZERO_PAGE + 0x218), 0x300000);
	assert_int_equal(scene->ram[0x102000], 0x77);
	boot_put32(scene->kernel + 0x22c, 0x300ffe);
	boot_scene_refuse(scene, ENOMEM, "initrd: its 4 KiB do not fit");
	boot_put32(scene->kernel + 0x22c, 0x7fffffff);
	boot_put32(scene->kernel + 0x260, 64 << 20);
	boot_scene_refuse(scene, ENOMEM, "outside the guest's memory");
}

static void piece_needed(const struct guest_mem *mem, gpa_t gpa, uint64_t len)
{
	uint64_t *pieces = mem->need_owner;

	for (uint64_t at = gpa >> MEM_PIECE_SHIFT; at <= (gpa + len - 1) >> MEM_PIECE_SHIFT; at++)
		*pieces |= UINT64_C(1) << at;
}

/* 20 MiB of room for unpacking were filled with zeroes before the first instruction. */
static void only_what_is_written_is_needed(void **state)
{
	struct boot_scene *scene = *state;
	uint64_t there = 0, needed = 0;
	uint8_t initrd = 9;

	boot_scene_bzimage(scene);
	scene->source.initrd = &initrd;
	scene->source.initrd_len = 1;
	boot_put32(scene->kernel + 0x22c, UINT32_MAX);
	boot_put32(scene->kernel + 0x260, 20 << 20);
	scene->mem.there = &there;
	scene->mem.need = piece_needed;
	scene->mem.need_owner = &needed;
	boot_scene_load(scene);
	assert_int_equal(needed, 1 | UINT64_C(1) << ((scene->ram_bytes - 1) >> MEM_PIECE_SHIFT));
}

static void initrd_end_may_be_the_last_byte_below_4_gib(void **state)
{
	struct boot_scene *scene = *state;
	uint8_t initrd = 9;

	boot_scene_bzimage(scene);
	scene->source.initrd = &initrd;
	scene->source.initrd_len = 1;
	boot_put32(scene->kernel + 0x22c, UINT32_MAX);
	boot_scene_load(scene);
	assert_int_equal(scene->ram[scene->ram_bytes - 4096], 9);
}

static void broken_bzimages_say_what_is_broken(void **state)
{
	static const struct {
		unsigned offset, len;
		uint64_t value;
		const char *words;
	} bad[] = {
		{ 0x206, 2, 0x20b, "boot protocol 2.11; 2.12" },
		{ 0x201, 1, 0x20, "header is cut short" },
		{ 0x236, 2, 0, "without a 64-bit entry" },
		{ 0x211, 1, 0, "without a 64-bit entry" },
		{ 0x1f4, 4, 0x101, "the bzImage is cut short" },
		{ 0x1f4, 4, UINT32_MAX, "the bzImage is cut short" },
		{ 0x1f1, 1, 9, "the bzImage is cut short" },
		{ 0x1f1, 1, 0, "the bzImage is cut short" }, /* means 4 */
		{ 0x258, 8, 0x8000, "overlap the command line" },
	};
	struct boot_scene *scene = *state;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		uint8_t raw[8];
		boot_scene_bzimage(scene);
		boot_put64(raw, bad[i].value);
		memcpy(scene->kernel + bad[i].offset, raw, bad[i].len);
		boot_scene_refuse(scene, ENOEXEC, bad[i].words);
	}
	boot_scene_bzimage(scene);
	boot_put64(scene->kernel + 0x258, UINT64_MAX);
	boot_scene_refuse(scene, ENOMEM, "outside the guest's memory");
	boot_scene_bzimage(scene);
	for (uint64_t len = 0x208; len < 0x13f1; len++) {
		scene->source.kernel_len = len;
		boot_scene_refuse(scene, ENOEXEC, "cut short");
	}
}

static void a_header_of_the_future_stays_in_its_place(void **state)
{
	struct boot_scene *scene = *state;

	boot_scene_bzimage(scene);
	scene->kernel[0x201] = 0xff; /* ends at 0x301: over the memory map */
	memset(scene->kernel + 0x290, 0x99, 0x71);
	boot_scene_load(scene);
	assert_int_equal(scene->ram[LAYOUT_ZERO_PAGE + 0x28f], 0);
	assert_int_equal(scene->ram[LAYOUT_ZERO_PAGE + 0x290], 0);
	assert_int_equal(le64_load(scene->ram + LAYOUT_ZERO_PAGE + 0x2d0), 0);
}

static void the_kernel_says_how_long_its_command_line_is(void **state)
{
	struct boot_scene *scene = *state;

	boot_scene_bzimage(scene);
	boot_put32(scene->kernel + 0x238, 4);
	scene->source.cmdline = "12345";
	boot_scene_refuse(scene, E2BIG, "longer than the 4 bytes");
	scene->source.cmdline = "1234";
	boot_scene_load(scene);
	boot_put32(scene->kernel + 0x238, UINT32_MAX); /* more than our room: the room counts */
	boot_scene_load(scene);
}

static void modules_have_no_place_in_the_protocol(void **state)
{
	struct boot_scene *scene = *state;
	uint8_t byte = 1;
	struct boot_module module = { &byte, 1, NULL };

	boot_scene_bzimage(scene);
	scene->source.modules = &module;
	scene->source.n_modules = 1;
	boot_scene_refuse(scene, EINVAL, "Linux's boot protocol has none");
}

static void vmlinux_starts_at_its_elf_entry(void **state)
{
	struct boot_scene *scene = *state;
	const uint8_t *zp = scene->ram + LAYOUT_ZERO_PAGE;

	boot_scene_elf(scene, true, 0x1000000, 0x1000080);
	scene->source.cmdline = "quiet";
	boot_scene_load(scene);
	assert_int_equal(scene->bsp.rip, 0x1000080);
	assert_int_equal(scene->bsp.regs[X86_RSI], LAYOUT_ZERO_PAGE);
	assert_true(scene->bsp.segs[X86_CS].l);
	assert_memory_equal(zp + 0x202, "HdrS", 4);
	assert_int_equal(le16_load(zp + 0x1fe), 0xaa55);
	assert_string_equal((const char *)scene->ram + le32_load(zp + 0x228), "quiet");
	boot_scene_elf(scene, false, 0x1000000, 0x1000080);
	boot_scene_refuse(scene, ENOEXEC, "a 32-bit ELF image without a PVH note");
}

int main(void)
{
#define BOOT_TEST(name) cmocka_unit_test_setup_teardown(name, boot_scene_init, boot_scene_fini)
	const struct CMUnitTest tests[] = {
		BOOT_TEST(bzimage_starts_in_long_mode_with_a_zero_page),
		BOOT_TEST(room_for_unpacking_is_kept_but_not_touched),
		BOOT_TEST(only_what_is_written_is_needed),
		BOOT_TEST(initrd_end_may_be_the_last_byte_below_4_gib),
		BOOT_TEST(broken_bzimages_say_what_is_broken),
		BOOT_TEST(a_header_of_the_future_stays_in_its_place),
		BOOT_TEST(the_kernel_says_how_long_its_command_line_is),
		BOOT_TEST(modules_have_no_place_in_the_protocol),
		BOOT_TEST(vmlinux_starts_at_its_elf_entry),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
