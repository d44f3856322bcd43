/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/boot.h"

#include <errno.h>
#include <string.h>

#include "machine/boot_priv.h"
#include "machine/layout.h"

#define BOOT_TABLES_END UINT64_C(0x8000) /* GDT, start info, zero page */

const uint8_t *boot_slice(const uint8_t *image, uint64_t image_len, uint64_t offset, uint64_t len)
{
	return offset <= image_len && len <= image_len - offset ? image + offset : NULL;
}

static const struct boot_claim *boot_overlap(const struct boot *boot, gpa_t gpa, uint64_t len)
{
	for (unsigned i = 0; i < boot->n_claims; i++) {
		const struct boot_claim *c = &boot->claims[i];
		if (gpa < c->gpa + c->len_bytes && c->gpa < gpa + len)
			return c;
	}
	return NULL;
}

int boot_claim(struct boot *boot, gpa_t gpa, uint64_t len_bytes, const char *what)
{
	if (!mem_is_ram(boot->mem, gpa, len_bytes))
		return err_say(
			boot->err, ENOMEM,
			"%s: 0x%llx bytes at 0x%llx are outside the guest's memory: it takes more, or another kernel",
			what, (unsigned long long)len_bytes, (unsigned long long)gpa);
	const struct boot_claim *other = boot_overlap(boot, gpa, len_bytes);
	if (other)
		return err_say(boot->err, ENOEXEC, "%s: 0x%llx bytes at 0x%llx overlap the %s",
			       what, (unsigned long long)len_bytes, (unsigned long long)gpa,
			       other->what);
	if (boot->n_claims == BOOT_CLAIMS)
		return err_say(boot->err, ENOEXEC, "%s: has too many parts", what);
	boot->claims[boot->n_claims++] = (struct boot_claim){ gpa, len_bytes, what };
	return 0;
}

int boot_put(struct boot *boot, gpa_t gpa, const uint8_t *data, uint64_t len, uint64_t mem_len,
	     const char *what)
{
	int r = boot_claim(boot, gpa, mem_len, what);

	if (r < 0)
		return r;
	/* Its pages need not lie in a row on the host: mem.h, pieces. */
	for (uint64_t done = 0, n = 0; done < mem_len; done += n) {
		uint8_t *to = mem_part(boot->mem, gpa + done, mem_len - done, true, &n);
		if (!to)
			return err_say(boot->err, ENOMEM, "%s: no memory for 0x%llx bytes of it",
				       what, (unsigned long long)n);
		const uint64_t copied = done >= len ? 0 : len - done < n ? len - done : n;
		if (copied)
			memcpy(to, data + done, copied);
		memset(to + copied, 0, n - copied);
	}
	mem_wrote(boot->mem, gpa, mem_len);
	return 0;
}

/* The end of the RAM that begins at or below LAYOUT_KERNEL, not past end. */
static gpa_t boot_low_end(const struct guest_mem *mem, gpa_t end)
{
	for (unsigned i = 0; i < mem->n; i++) {
		const struct mem_slot *slot = &mem->slots[i];
		gpa_t slot_end = slot->gpa + slot->size_bytes;
		if (!slot->read_only && slot->gpa <= LAYOUT_KERNEL && slot_end > LAYOUT_KERNEL)
			return slot_end < end ? slot_end : end;
	}
	return 0;
}

int boot_put_high(struct boot *boot, const uint8_t *data, uint64_t len, gpa_t end, const char *what,
		  gpa_t *ret)
{
	gpa_t top = boot_low_end(boot->mem, end);

	if (!len)
		return err_say(boot->err, ENOEXEC, "%s: the file is empty", what);
	/* Each turn goes below a claim, so there are at most as many as claims. */
	while (len <= top && top - len >= LAYOUT_KERNEL) {
		gpa_t gpa = (top - len) & ~(gpa_t)(GUEST_PAGE_BYTES - 1);
		const struct boot_claim *other = boot_overlap(boot, gpa, len);
		if (!other && gpa >= LAYOUT_KERNEL) {
			int r = boot_put(boot, gpa, data, len, len, what);
			if (r == 0)
				*ret = gpa;
			return r;
		}
		if (!other)
			break;
		top = other->gpa;
	}
	return err_say(boot->err, ENOMEM,
		       "%s: its %llu KiB do not fit beside the kernel into the guest's %llu MiB",
		       what, (unsigned long long)(len / 1024 + (len % 1024 != 0)),
		       (unsigned long long)(mem_ram_bytes(boot->mem) >> 20));
}

int boot_put_string(struct boot *boot, const char *text, uint64_t max, gpa_t *ret)
{
	uint64_t left = LAYOUT_CMDLINE_BYTES - boot->cmdline_used;
	uint64_t len = 0;

	if (max >= left)
		max = left ? left - 1 : 0;
	while (text && len <= max && text[len])
		len++;
	if (left == 0 || len > max)
		return err_say(boot->err, E2BIG,
			       "command line: longer than the %llu bytes that this kernel takes",
			       (unsigned long long)max);
	gpa_t gpa = LAYOUT_CMDLINE + boot->cmdline_used;
	int r = boot_table(boot, gpa, text ? text : "", len + 1);
	if (r < 0)
		return r;
	boot->cmdline_used += len + 1;
	*ret = gpa;
	return 0;
}

int boot_table(struct boot *boot, gpa_t gpa, const void *table, uint64_t len)
{
	if (mem_write(boot->mem, gpa, table, len) < 0)
		return err_say(boot->err, ENOMEM, "kernel: no memory for the boot tables");
	return 0;
}

unsigned boot_module_count(const struct boot_source *source)
{
	return source->n_modules + (source->initrd ? 1 : 0);
}

struct boot_module boot_module_get(const struct boot_source *source, unsigned n)
{
	if (!source->initrd)
		return source->modules[n];
	if (n == 0)
		return (struct boot_module){ source->initrd, source->initrd_len, NULL };
	return source->modules[n - 1];
}

const char *boot_module_name(const struct boot_source *source, unsigned n)
{
	return source->initrd && n == 0 ? "initrd" : "module";
}

/* What no image may touch, whichever protocol it speaks. */
static int boot_begin(struct boot *boot)
{
	static const struct boot_claim ours[] = {
		{ 0, BOOT_TABLES_END, "boot tables" },
		{ LAYOUT_CMDLINE, LAYOUT_CMDLINE_BYTES, "command line" },
		{ LAYOUT_EBDA, LAYOUT_KERNEL - LAYOUT_EBDA, "firmware's area below 1 MiB" },
	};

	if (!mem_is_ram(boot->mem, 0, LAYOUT_KERNEL + GUEST_PAGE_BYTES))
		return err_say(boot->err, ENOMEM, "kernel: the guest has no memory at 1 MiB");
	if (boot->source->n_modules >= BOOT_MODULES)
		return err_say(boot->err, EINVAL, "modules: %u are given, %u is the most",
			       boot->source->n_modules, BOOT_MODULES - 1);
	for (size_t i = 0; i < ARRAY_SIZE(ours); i++) {
		int r = boot_claim(boot, ours[i].gpa, ours[i].len_bytes, ours[i].what);
		if (r < 0)
			return r;
	}
	return 0;
}

int boot_load(struct guest_mem *mem, const struct boot_source *source, struct x86_state *ret_bsp,
	      struct err *err)
{
	/* In this order: an image may be several things, and vmlinux is any 64-bit ELF image. */
	static int (*const loaders[])(struct boot *, struct x86_state *) = { boot_bzimage, boot_pvh,
									     boot_multiboot,
									     boot_vmlinux };
	struct boot boot = { .mem = mem, .source = source, .err = err };
	struct x86_state bsp;
	int r = boot_begin(&boot);

	if (r < 0)
		return r;
	if (!source->kernel || !source->kernel_len)
		return err_say(err, ENOEXEC, "kernel: the file is empty");
	for (size_t i = 0; i < ARRAY_SIZE(loaders); i++) {
		r = loaders[i](&boot, &bsp);
		if (r == 0)
			*ret_bsp = bsp;
		if (r <= 0)
			return r;
	}
	return err_say(
		err, ENOEXEC,
		"kernel: not a kernel: no Linux bzImage, no ELF image with an entry that we know, no multiboot");
}
