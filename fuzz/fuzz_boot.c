/* SPDX-License-Identifier: Apache-2.0 */
/* boot_load() with any bytes as a kernel: a start inside of RAM, or one line that says why not. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "machine/boot.h"
#include "machine/layout.h"

#define RAM_BYTES (UINT64_C(4) << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Guard pages around RAM: a byte beside it is a crash. */
static uint8_t *ram_get(void)
{
	uint8_t *all = mmap(NULL, RAM_BYTES + 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (all == MAP_FAILED || mprotect(all + 4096, RAM_BYTES, PROT_READ | PROT_WRITE) < 0)
		abort();
	return all + 4096;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct boot_source source = { .kernel = data, .kernel_len = size, .cmdline = "a=b" };
	struct boot_module module = { data, size, "module" };
	struct guest_mem mem = { 0 };
	struct err err = { 0 };
	struct x86_state bsp;
	uint8_t *ram = ram_get();

	if (mem_add(&mem, 0, RAM_BYTES, ram, false) < 0)
		abort();
	if (size && data[size - 1] & 1) {
		source.initrd = data;
		source.initrd_len = size;
	}
	if (size && data[size - 1] & 2) {
		source.modules = &module;
		source.n_modules = 1;
	}
	memset(ram + LAYOUT_EBDA, 0x5a, LAYOUT_KERNEL - LAYOUT_EBDA);
	int r = boot_load(&mem, &source, &bsp, &err);
	if (r < 0 && (!err.text[0] || strchr(err.text, '\n')))
		abort();
	if (r == 0 &&
	    (bsp.rip >= RAM_BYTES || bsp.segs[X86_CS].base || bsp.gdt.base != LAYOUT_BOOT_GDT))
		abort();
	/* Every byte is the one before it: untouched. */
	if (ram[LAYOUT_EBDA] != 0x5a ||
	    memcmp(ram + LAYOUT_EBDA, ram + LAYOUT_EBDA + 1, LAYOUT_KERNEL - LAYOUT_EBDA - 1) != 0)
		abort();
	if (munmap(ram - 4096, RAM_BYTES + 8192) < 0)
		abort();
	return 0;
}
