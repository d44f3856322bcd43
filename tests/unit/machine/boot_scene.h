/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the boot tests share: a guest's memory, and kernels made by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "machine/boot.h"

#define SCENE_KERNEL_MAX 0x6000

struct boot_scene {
	struct guest_mem mem;
	uint8_t *ram;
	uint64_t ram_bytes;
	uint8_t kernel[SCENE_KERNEL_MAX];
	struct boot_source source; /* kernel points to the one above */
	struct x86_state bsp;
	struct err err;
};

int boot_scene_init(void **state); /* 32 MiB from 0; for cmocka's setup and teardown */
int boot_scene_fini(void **state);

/* An ELF image: LOAD of 0x100 bytes from 0x1000 to gpa, 0x300 in memory. */
void boot_scene_elf(struct boot_scene *scene, bool is64, uint64_t gpa, uint64_t entry);
/* A NOTE entry for it, at 0x800. */
void boot_scene_note(struct boot_scene *scene, uint32_t type, const void *desc, uint32_t desc_len);
/* A bzImage of protocol 2.15: one setup sector beyond the first, 0x1000 bytes for 1 MiB, 2 MiB to unpack. */
void boot_scene_bzimage(struct boot_scene *scene);

/* boot_load() that must work, with the words of the error when it does not. */
void boot_scene_load(struct boot_scene *scene);
/* boot_load() that must fail with the code, its one line holding words. */
void boot_scene_refuse(struct boot_scene *scene, int code, const char *words);

void boot_put16(uint8_t *at, uint64_t value);
void boot_put32(uint8_t *at, uint64_t value);
void boot_put64(uint8_t *at, uint64_t value);
