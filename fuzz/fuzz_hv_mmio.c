/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any instruction at a device of a guest's, with any registers: it comes to an end, asks for accesses of a size that a bus
 * knows, and touches no memory but what its callbacks give.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vm/mmio.h"

#define STEPS 8U

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

static int any_read(struct mmio_cpu *cpu, gva_t gva, void *ret, unsigned len)
{
	(void)cpu;
	memset(ret, (int)(gva & 0xff), len);
	return gva & 1 ? -EFAULT : gva & 2 ? -EIO : 0;
}

static int any_write(struct mmio_cpu *cpu, gva_t gva, const void *bytes, unsigned len)
{
	(void)cpu;
	must(bytes && len <= 8);
	return gva & 1 ? -EFAULT : gva & 2 ? -EIO : 0;
}

static uint64_t any_base(struct mmio_cpu *cpu, enum x86_seg seg)
{
	must(seg < X86_SEGS);
	return cpu->regs[seg];
}

static const struct mmio_cpu_ops ops = { .read = any_read,
					 .write = any_write,
					 .seg_base = any_base };

struct head {
	uint64_t regs[X86_REGS], rflags, value;
	uint8_t code, is_write;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mmio m = { 0 };
	struct head h;

	if (size < sizeof(h))
		return 0;
	memcpy(&h, data, sizeof(h));
	struct mmio_cpu cpu = { &ops, h.regs, &h.rflags };
	if (x86_decode(data + sizeof(h), size - sizeof(h), (enum x86_code)(h.code % 3), &m.insn) <=
	    0)
		return 0;
	enum mmio_step step = mmio_begin(&m, &cpu, 0xfec00000, h.is_write & 1);
	for (unsigned i = 0; i < STEPS && (step == MMIO_READ || step == MMIO_WRITE); i++) {
		must(m.len == 1 || m.len == 2 || m.len == 4 || m.len == 8);
		if (step == MMIO_READ)
			m.value = h.value;
		step = mmio_next(&m, &cpu);
	}
	must(step != MMIO_READ && step != MMIO_WRITE);
	return 0;
}
