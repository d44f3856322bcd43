/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Loads a kernel into a fresh machine, and says in which state its first CPU starts.
 *
 * Theory of operation. No firmware runs: the loader does what firmware and boot loader would have left behind. It
 * writes the memory map, the command line and the protocol's tables where machine/layout.h has them, the kernel where
 * it asks to be, and initrd and modules as high as they may be below 4 GiB. Every range is claimed before it is
 * written, so that nothing in an image can land on our tables or on another part. Pages that hold none of this
 * stay untouched. The ACPI tables at LAYOUT_ACPI are machine/acpi's; only their address is passed on.
 *
 * What starts how:
 *   ELF with the PVH note        32-bit protected mode, start info in EBX   (Xen docs/misc/pvh.pandoc)
 *   Linux bzImage, vmlinux       64-bit mode, zero page in RSI              (Linux Documentation/arch/x86/boot.rst)
 *   ELF or flat, multiboot 1     32-bit protected mode, information in EBX  (Multiboot Specification 0.6.96)
 */
#include <stdint.h>

#include "base/core/err.h"
#include "machine/mem.h"
#include "x86/state.h"

#define BOOT_MODULES 16

struct boot_module {
	const uint8_t *data;
	uint64_t len_bytes;
	const char *cmdline; /* NULL: none */
};

/* Bytes that the host has mapped; hostile, and read once. All borrowed. */
struct boot_source {
	const uint8_t *kernel;
	uint64_t kernel_len;
	const uint8_t *initrd; /* NULL: none; where a protocol knows modules, the first one */
	uint64_t initrd_len;
	const char *cmdline;		   /* NULL: empty */
	const struct boot_module *modules; /* beyond the initrd; Linux's own protocol has none */
	unsigned n_modules;
};

/*
 * boot_load() - recognise the kernel and load it
 * @mem: every slot is there; RAM from 0 to 1 MiB at least
 * @ret_bsp: the first CPU's state; the others start from x86_state_reset(, false)
 * Return: 0 or -errno; the memory may be half written after an error.
 * Errors: -ENOEXEC (no kernel that we know, or a broken one), -ENOMEM (does not fit into the memory), -E2BIG (the command
 * line is longer than the kernel takes), -EINVAL (more modules than BOOT_MODULES, or than the protocol knows). The text names the part:
 * "kernel: ...", "initrd: ...", "command line: ...".
 */
int boot_load(struct guest_mem *mem, const struct boot_source *source, struct x86_state *ret_bsp,
	      struct err *err);
