/* SPDX-License-Identifier: Apache-2.0 */
#include "random_rig.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "base/core/macros.h"

/* Physical pages. */
#define GDT	 0x1000U
#define TSS64	 0x1800U
#define TSS32	 0x1900U
#define IDT64	 0x2000U
#define IDT32	 0x3000U
#define PML4	 0x4000U
#define PDPT	 0x5000U
#define PD	 0x6000U
#define PT	 0x7000U
#define PD32	 0x8000U
#define PT32	 0x9000U
#define STACKS	 0xe000U /* of handlers */
#define HANDLERS 0xf000U
#define NOTHING	 UINT64_C(0xfe000000)

#define SEL_CODE64   0x08U
#define SEL_DATA     0x10U
#define SEL_CODE32   0x18U
#define SEL_CODE32_3 0x23U
#define SEL_DATA_3   0x2bU
#define SEL_CODE64_3 0x33U
#define SEL_TSS64    0x38U
#define SEL_CODE16_3 0x4bU
#define SEL_TSS32    0x58U

#define THREAD_STACK 65536U

static uint8_t *pages(size_t n)
{
	void *at = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(at, MAP_FAILED);
	return at;
}

/* AVX, where the host has it. */
static void vectors_on(struct vcpu *vcpu)
{
	static uint8_t image[16384];
	size_t n = sizeof(image);
	uint64_t xcr0;

	assert_int_equal(hosted_cpu_ops.xsave_get(vcpu, &xcr0, image, &n), 0);
	if (__builtin_cpu_supports("avx"))
		assert_int_equal(hosted_cpu_ops.xsave_set(vcpu, xcr0 | 7, image, n), 0);
}

void random_rig_create(struct random_rig *rig, unsigned n, uint64_t cache_bytes)
{
	struct err err = { 0 };
	struct cpuid_leaf leaves[CPUID_LEAVES_MAX];
	unsigned n_leaves = CPUID_LEAVES_MAX;
	const struct vm_config config = { .mem = &rig->mem,
					  .vcpus = n,
					  .code_cache_bytes = cache_bytes,
					  .interpret_only = cache_bytes == 0 };

	memset(rig, 0, sizeof(*rig));
	rig->n = n;
	rig->ram = pages(RANDOM_RAM_BYTES);
	rig->rom = pages(RANDOM_ROM_BYTES);
	assert_int_equal(mem_add(&rig->mem, 0, RANDOM_RAM_BYTES, rig->ram, false), 0);
	assert_int_equal(mem_add(&rig->mem, RANDOM_RAM_BYTES, RANDOM_ROM_BYTES, rig->rom, true), 0);
	assert_int_equal(hosted_cpu_ops.vm_create(&config, &rig->vm, &err), 0);
	for (unsigned i = 0; i < rig->mem.n; i++)
		assert_int_equal(hosted_cpu_ops.slot_set(rig->vm, &rig->mem.slots[i], &err), 0);
	assert_int_equal(hosted_cpu_ops.cpuid_supported(leaves, &n_leaves, &err), 0);
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(hosted_cpu_ops.vcpu_create(rig->vm, i, &rig->vcpus[i], &err), 0);
		assert_int_equal(hosted_cpu_ops.cpuid_set(rig->vcpus[i], leaves, n_leaves, &err),
				 0);
		vectors_on(rig->vcpus[i]);
	}
}

void random_rig_destroy(struct random_rig *rig)
{
	for (unsigned i = 0; i < rig->n; i++)
		hosted_cpu_ops.vcpu_destroy(rig->vcpus[i]);
	hosted_cpu_ops.vm_destroy(rig->vm);
	(void)munmap(rig->ram, RANDOM_RAM_BYTES);
	(void)munmap(rig->rom, RANDOM_ROM_BYTES);
}

void random_thread(void)
{
	static _Thread_local uint8_t stack[THREAD_STACK];
	const stack_t alternate = { .ss_sp = stack, .ss_size = sizeof(stack) };

	assert_int_equal(sigaltstack(&alternate, NULL), 0);
}

/* ---- tables ---- */

static void put64(struct random_rig *rig, uint64_t at, uint64_t value)
{
	memcpy(rig->ram + at, &value, 8);
}

static void put32(struct random_rig *rig, uint64_t at, uint64_t value)
{
	uint32_t v = (uint32_t)value;

	memcpy(rig->ram + at, &v, 4);
}

static void descriptors_put(struct random_rig *rig)
{
	static const uint64_t flat[] = {
		[SEL_CODE64 / 8] = UINT64_C(0x00af9b000000ffff),
		[SEL_DATA / 8] = UINT64_C(0x00cf93000000ffff),
		[SEL_CODE32 / 8] = UINT64_C(0x00cf9b000000ffff),
		[SEL_CODE32_3 / 8] = UINT64_C(0x00cffb000000ffff),
		[SEL_DATA_3 / 8] = UINT64_C(0x00cff3000000ffff),
		[SEL_CODE64_3 / 8] = UINT64_C(0x00affb000000ffff),
		[SEL_TSS64 / 8] = UINT64_C(0x00008b0000000067) | (uint64_t)TSS64 << 16,
		[SEL_CODE16_3 / 8] = UINT64_C(0x008ffb000000ffff),
		[SEL_TSS32 / 8] = UINT64_C(0x00008b0000000067) | (uint64_t)TSS32 << 16,
	};

	memcpy(rig->ram + GDT, flat, sizeof(flat));
	put64(rig, TSS64 + 4, STACKS + 0x800);
	put64(rig, TSS64 + 36, STACKS + 0x400);
	put32(rig, TSS32 + 4, STACKS + 0xc00);
	put32(rig, TSS32 + 8, SEL_DATA);
	put32(rig, TSS32 + 100, 0xffff0000);
	for (unsigned i = 0; i < 256; i++) {
		const uint64_t handler = HANDLERS + 4 * i;
		const uint64_t gate = (handler & 0xffff) | UINT64_C(0xee00) << 32;
		put64(rig, IDT64 + 16 * i, gate | SEL_CODE64 << 16 | (uint64_t)(i == 8) << 32);
		put32(rig, IDT32 + 8 * i, (handler & 0xffff) | SEL_CODE32 << 16);
		put32(rig, IDT32 + 8 * i + 4, 0xee00);
		put32(rig, 4 * i, (uint64_t)(HANDLERS >> 4) << 16 | 4 * i);
		put32(rig, handler, 0xf4f400e7 | i << 8); /* out %eax, $i; hlt */
	}
}

/* Identity, and behind RAM and ROM whatever. */
static uint64_t entry(struct diff_rng *rng, uint64_t page, bool is_wild)
{
	uint64_t bits = 0x67; /* present, writable, user, accessed, dirty */
	uint64_t frame = page << 12;

	if (page < RANDOM_CODE >> 12 && !is_wild)
		return frame | (page == GDT >> 12 || page == STACKS >> 12 ? 0x63 : 0x61);
	if (page >= (RANDOM_RAM_BYTES + RANDOM_ROM_BYTES) >> 12)
		frame = (RANDOM_CODE +
			 diff_random(rng) % (RANDOM_RAM_BYTES + RANDOM_ROM_BYTES - RANDOM_CODE)) &
			~UINT64_C(0xfff);
	switch (diff_random(rng) % 24) {
	case 0:
		return frame; /* not there */
	case 1:
		return frame | (bits & ~UINT64_C(2));
	case 2:
		return frame | (bits & ~UINT64_C(4));
	case 3:
		return NOTHING | (frame & 0xffff) | bits;
	case 4:
		return frame | bits | 0x100;
	default:
		return frame | bits;
	}
}

static void tables_put(struct diff_rng *rng, struct random_rig *rig, bool is_wild)
{
	put64(rig, PML4, PDPT | 0x67);
	put64(rig, PML4 + 8 * 255, PDPT | 0x67);
	put64(rig, PML4 + 8 * 511, PDPT | 0x67);
	put64(rig, PDPT, PD | 0x67);
	put64(rig, PDPT + 8 * 511, PD | 0x67);
	put64(rig, PD, PT | 0x67);
	put64(rig, PD + 8 * 511, PT | 0x67);
	if (is_wild)
		put64(rig, PD + 8, 0xe7); /* 2 MiB: everything again */
	for (unsigned i = 0; i < 512; i++)
		put64(rig, PT + 8 * i,
		      entry(rng, i, is_wild) |
			      (diff_random(rng) % 32 || i < 16 ? 0 : UINT64_C(1) << 63));
	put32(rig, PD32, PT32 | 0x67);
	put32(rig, PD32 + 4 * 1023, PT32 | 0x67);
	for (unsigned i = 0; i < 1024; i++)
		put32(rig, PT32 + 4 * i, entry(rng, i, is_wild));
}

void random_memory(struct diff_rng *rng, struct random_rig *rig, bool is_wild)
{
	memset(rig->ram, 0, RANDOM_CODE);
	descriptors_put(rig);
	tables_put(rng, rig, is_wild);
	random_code(rng, rig->ram + RANDOM_CODE, RANDOM_RAM_BYTES - RANDOM_CODE);
	random_code(rng, rig->rom, RANDOM_ROM_BYTES);
	mem_wrote(&rig->mem, 0, RANDOM_RAM_BYTES);
	mem_wrote(&rig->mem, RANDOM_RAM_BYTES, RANDOM_ROM_BYTES);
}

/* ---- state ---- */

struct kind {
	uint8_t cpl, code; /* enum x86_code */
	bool is_long, is_protected, paging, is_vm86;
};

static const struct kind kinds[] = {
	{ 0, X86_CODE_64, true, true, true, false },
	{ 0, X86_CODE_64, true, true, true, false },
	{ 0, X86_CODE_64, true, true, true, false },
	{ 0, X86_CODE_64, true, true, true, false },
	{ 3, X86_CODE_64, true, true, true, false },
	{ 3, X86_CODE_64, true, true, true, false },
	{ 3, X86_CODE_64, true, true, true, false },
	{ 3, X86_CODE_64, true, true, true, false },
	{ 3, X86_CODE_64, true, true, true, false },
	{ 3, X86_CODE_32, true, true, true, false },
	{ 0, X86_CODE_32, false, true, true, false },
	{ 3, X86_CODE_32, false, true, true, false },
	{ 0, X86_CODE_32, false, true, false, false },
	{ 3, X86_CODE_16, true, true, true, false },
	{ 0, X86_CODE_16, false, false, false, false },
	{ 3, X86_CODE_16, false, true, true, true },
};

static uint64_t address(struct diff_rng *rng)
{
	static const uint64_t odd[] = {
		UINT64_C(0x7ffffffffff0),     UINT64_C(0x800000000000),
		UINT64_C(0xfffffffffffffff4), UINT64_C(0xfffffff8),
		UINT64_C(0x10fff8),	      UINT64_C(0xffff800000000000),
		UINT64_C(0xfffffffffffe1234), UINT64_C(0x110000),
		UINT64_C(0x3ffff0),	      UINT64_C(0x7fffffffff80),
		UINT64_C(0xffffffffffffffc0), UINT64_C(0xffffffc0),
	};
	uint64_t kind = diff_random(rng) % 32;

	if (kind == 0)
		return odd[diff_random(rng) % ARRAY_SIZE(odd)];
	if (kind < 3)
		return ((diff_random(rng) % 0x100000 + RANDOM_CODE) | 0xff0) +
		       diff_random(rng) % 16;
	if (kind < 12)
		return 0x20000 + diff_random(rng) % 0x800; /* where others were */
	return diff_random(rng) % 0xf0000 + RANDOM_CODE;
}

static void segments_put(const struct kind *kind, struct x86_state *s)
{
	const bool flat = kind->is_protected && !kind->is_vm86;
	struct x86_segment data = { .limit = flat ? UINT32_MAX : 0xffff,
				    .selector = kind->cpl ? SEL_DATA_3 : SEL_DATA,
				    .type = 3,
				    .s = true,
				    .present = true,
				    .db = flat,
				    .g = flat,
				    .dpl = kind->cpl };

	if (!flat) {
		data.selector = 0x2000;
		data.base = 0x20000;
	}
	for (unsigned i = 0; i < X86_SEGS; i++)
		s->segs[i] = data;
	struct x86_segment *cs = &s->segs[X86_CS];
	if (!flat)
		return;
	cs->type = 11;
	cs->l = kind->code == X86_CODE_64;
	cs->db = kind->code == X86_CODE_32;
	cs->selector = kind->cpl ? SEL_CODE64_3 : SEL_CODE64;
	if (kind->code == X86_CODE_32)
		cs->selector = kind->cpl ? SEL_CODE32_3 : SEL_CODE32;
	else if (kind->code == X86_CODE_16)
		cs->selector = SEL_CODE16_3;
}

static void system_put(struct diff_rng *rng, const struct kind *kind, struct x86_state *s)
{
	s->cr0 = X86_CR0_ET | X86_CR0_NE | X86_CR0_MP;
	s->cr4 = X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT | 0x40090; /* OSXSAVE, PSE, PGE */
	if (kind->is_protected)
		s->cr0 |= X86_CR0_PE | X86_CR0_WP;
	if (kind->paging)
		s->cr0 |= X86_CR0_PG;
	s->cr3 = kind->is_long ? PML4 : PD32;
	if (kind->is_long) {
		s->cr4 |= X86_CR4_PAE;
		s->efer = X86_EFER_LME | X86_EFER_LMA | X86_EFER_NX | X86_EFER_SCE;
	}
	if (diff_random(rng) % 8 == 0)
		s->cr4 |= UINT64_C(0x300800); /* UMIP, SMEP, SMAP */
	s->gdt = (struct x86_table){ GDT, 0x5f };
	s->idt = (struct x86_table){ IDT32, 0x7ff };
	if (kind->is_long)
		s->idt = (struct x86_table){ IDT64, 0xfff };
	else if (!kind->is_protected)
		s->idt = (struct x86_table){ 0, 0x3ff };
	s->tr = (struct x86_segment){ .base = kind->is_long ? TSS64 : TSS32,
				      .limit = 0x67,
				      .selector = kind->is_long ? SEL_TSS64 : SEL_TSS32,
				      .type = 11,
				      .present = true };
}

void random_state(struct diff_rng *rng, struct x86_state *ret)
{
	const struct kind *kind = &kinds[diff_random(rng) % ARRAY_SIZE(kinds)];
	const bool flat = kind->is_protected && !kind->is_vm86;

	x86_state_reset(ret, true);
	segments_put(kind, ret);
	system_put(rng, kind, ret);
	for (unsigned i = 0; i < X86_REGS; i++) {
		uint64_t raw = diff_random(rng);
		ret->regs[i] = raw % 8 < 5 ? address(rng) : raw % 8 < 7 ? raw >> 8 & 0x3f : raw;
	}
	ret->rip = address(rng);
	if (!flat || kind->code != X86_CODE_64)
		ret->rip &= flat ? UINT32_MAX : 0xffff;
	ret->rflags = X86_RFLAGS_FIXED | (diff_random(rng) & UINT64_C(0x40cd5));
	if (diff_random(rng) % 32 == 0)
		ret->rflags |= 0x100; /* TF */
	if (kind->is_vm86)
		ret->rflags |= UINT64_C(0x20000) | (diff_random(rng) & 0x3000);
}

bool random_answer(enum vcpu_exit exit, struct vcpu_io *io)
{
	switch (exit) {
	case VCPU_EXIT_PIO:
		if (!io->pio.is_write)
			memset(io->pio.data, (int)(io->pio.port * 7 & 0xff), io->pio.len);
		return !io->pio.is_write;
	case VCPU_EXIT_MMIO:
		if (!io->mmio.is_write)
			memset(io->mmio.data, (int)(io->mmio.gpa * 5 & 0xff), io->mmio.len);
		return true;
	case VCPU_EXIT_MSR_READ:
	case VCPU_EXIT_MSR_WRITE:
		io->msr.value = io->msr.index;
		io->msr.fault = false;
		return true;
	default:
		return false;
	}
}
