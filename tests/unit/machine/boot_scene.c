/* SPDX-License-Identifier: Apache-2.0 */
#include "boot_scene.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/core/bytes.h"

void boot_put16(uint8_t *at, uint64_t value)
{
	le16_store(at, (uint16_t)value);
}

void boot_put32(uint8_t *at, uint64_t value)
{
	le32_store(at, (uint32_t)value);
}

void boot_put64(uint8_t *at, uint64_t value)
{
	le64_store(at, value);
}

int boot_scene_init(void **state)
{
	struct boot_scene *scene = calloc(1, sizeof(*scene));

	assert_non_null(scene);
	scene->ram_bytes = UINT64_C(32) << 20;
	scene->ram = mmap(NULL, scene->ram_bytes, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_true(scene->ram != MAP_FAILED);
	assert_int_equal(mem_add(&scene->mem, 0, scene->ram_bytes, scene->ram, false), 0);
	scene->source.kernel = scene->kernel;
	*state = scene;
	return 0;
}

int boot_scene_fini(void **state)
{
	struct boot_scene *scene = *state;

	(void)munmap(scene->ram, scene->ram_bytes);
	free(scene);
	return 0;
}

static void elf_header(uint8_t *k, bool is64, uint64_t entry)
{
	memcpy(k, "\177ELF", 4);
	k[4] = is64 ? 2 : 1;
	k[5] = k[6] = 1;
	boot_put16(k + 16, 2);
	boot_put16(k + 18, is64 ? 62 : 3);
	boot_put32(k + 20, 1);
	if (is64) {
		boot_put64(k + 24, entry);
		boot_put64(k + 32, 64);
		boot_put16(k + 54, 56);
		boot_put16(k + 56, 2);
	} else {
		boot_put32(k + 24, entry);
		boot_put32(k + 28, 52);
		boot_put16(k + 42, 32);
		boot_put16(k + 44, 2);
	}
}

void boot_scene_elf(struct boot_scene *scene, bool is64, uint64_t gpa, uint64_t entry)
{
	uint8_t *k = scene->kernel;

	memset(k, 0, sizeof(scene->kernel));
	elf_header(k, is64, entry);
	if (is64) {
		uint8_t *load = k + 64;
		boot_put32(load, 1);
		boot_put64(load + 8, 0x1000);
		boot_put64(load + 24, gpa);
		boot_put64(load + 32, 0x100);
		boot_put64(load + 40, 0x300);
	} else {
		uint8_t *load = k + 52;
		boot_put32(load, 1);
		boot_put32(load + 4, 0x1000);
		boot_put32(load + 12, gpa);
		boot_put32(load + 16, 0x100);
		boot_put32(load + 20, 0x300);
	}
	memset(k + 0x1000, 0xab, 0x100);
	scene->source.kernel_len = 0x1100;
}

void boot_scene_note(struct boot_scene *scene, uint32_t type, const void *desc, uint32_t desc_len)
{
	uint8_t *k = scene->kernel, *note = k + 0x800;
	bool is64 = k[4] == 2;
	uint64_t len = 16 + (desc_len + 3) / 4 * 4;

	boot_put32(note, 4);
	boot_put32(note + 4, desc_len);
	boot_put32(note + 8, type);
	memcpy(note + 12, "Xen", 4);
	memcpy(note + 16, desc, desc_len);
	if (is64) {
		uint8_t *entry = k + 64 + 56;
		boot_put32(entry, 4);
		boot_put64(entry + 8, 0x800);
		boot_put64(entry + 32, len);
		boot_put64(entry + 48, 4);
	} else {
		uint8_t *entry = k + 52 + 32;
		boot_put32(entry, 4);
		boot_put32(entry + 4, 0x800);
		boot_put32(entry + 16, len);
		boot_put32(entry + 28, 4);
	}
}

void boot_scene_bzimage(struct boot_scene *scene)
{
	uint8_t *k = scene->kernel;

	memset(k, 0, sizeof(scene->kernel));
	k[0x1f1] = 1;
	boot_put32(k + 0x1f4, 0x100);
	boot_put16(k + 0x1fe, 0xaa55);
	k[0x200] = 0xeb;
	k[0x201] = 0x6a;
	memcpy(k + 0x202, "HdrS", 4);
	boot_put16(k + 0x206, 0x20f);
	k[0x211] = 1;
	boot_put32(k + 0x22c, 0x7fffffff);
	boot_put32(k + 0x230, 0x200000);
	boot_put16(k + 0x236, 1);
	boot_put32(k + 0x238, 0x7ff);
	boot_put64(k + 0x258, 0x100000);
	boot_put32(k + 0x260, 0x200000);
	memset(k + 0x400, 0xcd, 0x1000);
	scene->source.kernel_len = 0x1400;
}

void boot_scene_load(struct boot_scene *scene)
{
	int r = boot_load(&scene->mem, &scene->source, &scene->bsp, &scene->err);

	if (r < 0)
		fail_msg("%s", scene->err.text);
	assert_int_equal(r, 0);
}

void boot_scene_refuse(struct boot_scene *scene, int code, const char *words)
{
	scene->err = (struct err){ 0 };
	int r = boot_load(&scene->mem, &scene->source, &scene->bsp, &scene->err);

	if (r == 0)
		fail_msg("loaded; should have said: %s", words);
	if (!strstr(scene->err.text, words) || strchr(scene->err.text, '\n'))
		fail_msg("said \"%s\", not: %s", scene->err.text, words);
	assert_int_equal(r, -code);
	assert_int_equal(scene->err.code, code);
}
