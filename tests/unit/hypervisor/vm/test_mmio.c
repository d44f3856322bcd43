/* SPDX-License-Identifier: Apache-2.0 */
/* Instructions at a device: which accesses they ask for, and what is left behind. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/core/macros.h"
#include "vm/mmio.h"

#define DEVICE UINT64_C(0xfec00000)

struct rig {
	struct mmio_cpu cpu;
	uint64_t regs[X86_REGS], rflags;
	struct mmio m;
	uint8_t ram[256]; /* at linear 0x1000 */
	uint64_t device;
	unsigned reads, writes;
};

static struct rig *rig_of(struct mmio_cpu *cpu)
{
	return container_of(cpu, struct rig, cpu);
}

static void *ram_at(struct rig *r, gva_t gva, unsigned len)
{
	return gva >= 0x1000 && gva + len <= 0x1000 + sizeof(r->ram) ? r->ram + (gva - 0x1000)
								     : NULL;
}

static int rig_read(struct mmio_cpu *cpu, gva_t gva, void *ret, unsigned len)
{
	const void *at = ram_at(rig_of(cpu), gva, len);

	if (!at)
		return gva < 0x1000 ? -EIO : -EFAULT;
	memcpy(ret, at, len);
	return 0;
}

static int rig_write(struct mmio_cpu *cpu, gva_t gva, const void *data, unsigned len)
{
	void *at = ram_at(rig_of(cpu), gva, len);

	if (!at)
		return gva < 0x1000 ? -EIO : -EFAULT;
	memcpy(at, data, len);
	return 0;
}

static uint64_t rig_seg_base(struct mmio_cpu *cpu, enum x86_seg seg)
{
	(void)cpu;
	return seg == X86_GS ? 0x40 : 0;
}

static const struct mmio_cpu_ops rig_ops = {
	.read = rig_read,
	.write = rig_write,
	.seg_base = rig_seg_base,
};

static void rig_init(struct rig *r)
{
	*r = (struct rig){ .rflags = 0x202 };
	r->cpu = (struct mmio_cpu){ &rig_ops, r->regs, &r->rflags };
}

static uint64_t mask_of(unsigned len)
{
	return len >= 8 ? UINT64_MAX : (UINT64_C(1) << (8 * len)) - 1;
}

/* One instruction against a device that is one word. */
static enum mmio_step execute(struct rig *r, const char *bytes, size_t n, bool is_write)
{
	assert_int_equal(x86_decode((const uint8_t *)bytes, n, X86_CODE_64, &r->m.insn), n);
	r->reads = r->writes = 0;
	enum mmio_step step = mmio_begin(&r->m, &r->cpu, DEVICE, is_write);
	while (step == MMIO_READ || step == MMIO_WRITE) {
		assert_int_equal(r->m.gpa, DEVICE);
		uint64_t mask = mask_of(r->m.len);
		if (step == MMIO_READ)
			r->m.value = r->device & mask;
		else
			r->device = (r->device & ~mask) | (r->m.value & mask);
		r->reads += step == MMIO_READ;
		r->writes += step == MMIO_WRITE;
		step = mmio_next(&r->m, &r->cpu);
	}
	return step;
}

#define RUN(r, code, is_write) execute(r, code, sizeof(code) - 1, is_write)

static void moves_in_every_size(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r);
	r.device = UINT64_C(0x1122334455667788);
	r.regs[X86_RAX] = UINT64_MAX;
	assert_int_equal(RUN(&r, "\x8b\x03", false), MMIO_DONE); /* mov eax, [rbx] */
	assert_true(r.regs[X86_RAX] == 0x55667788);
	r.regs[X86_RAX] = UINT64_MAX;
	assert_int_equal(RUN(&r, "\x8a\x23", false), MMIO_DONE); /* mov ah, [rbx] */
	assert_true(r.regs[X86_RAX] == UINT64_C(0xffffffffffff88ff));
	assert_int_equal(RUN(&r, "\x66\x8b\x03", false), MMIO_DONE); /* mov ax, [rbx] */
	assert_true(r.regs[X86_RAX] == UINT64_C(0xffffffffffff7788));
	assert_int_equal(RUN(&r, "\x4c\x8b\x03", false), MMIO_DONE); /* mov r8, [rbx] */
	assert_true(r.regs[X86_R8] == r.device);
	r.regs[X86_RSI] = 0xabcd;
	assert_int_equal(RUN(&r, "\x40\x88\x33", true), MMIO_DONE); /* mov [rbx], sil */
	assert_true(r.device == UINT64_C(0x11223344556677cd));
	assert_int_equal(RUN(&r, "\x48\xc7\x03\xfe\xff\xff\xff", true),
			 MMIO_DONE); /* mov qword [rbx], -2 */
	assert_true(r.device == UINT64_MAX - 1);
	assert_int_equal(r.reads, 0);
	assert_int_equal(r.rflags, 0x202);
}

static void moffs_is_the_accumulator(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r);
	r.device = 0x99;
	assert_int_equal(RUN(&r, "\xa1\x00\x00\xc0\xfe\x00\x00\x00\x00", false), MMIO_DONE);
	assert_int_equal(r.regs[X86_RAX], 0x99);
	r.regs[X86_RAX] = 0x77;
	assert_int_equal(RUN(&r, "\xa2\x00\x00\xc0\xfe\x00\x00\x00\x00", true), MMIO_DONE);
	assert_int_equal(r.device, 0x77);
}

static void extensions_fill_the_register(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r);
	r.device = 0x80f0;
	r.regs[X86_RCX] = UINT64_MAX;
	assert_int_equal(RUN(&r, "\x0f\xb6\x0b", false), MMIO_DONE); /* movzx ecx, byte [rbx] */
	assert_true(r.regs[X86_RCX] == 0xf0);
	assert_int_equal(RUN(&r, "\x48\x0f\xbf\x0b", false), MMIO_DONE); /* movsx rcx, word [rbx] */
	assert_true(r.regs[X86_RCX] == UINT64_C(0xffffffffffff80f0));
	r.device = 0x80000000;
	assert_int_equal(RUN(&r, "\x48\x63\x0b", false), MMIO_DONE); /* movsxd rcx, dword [rbx] */
	assert_true(r.regs[X86_RCX] == UINT64_C(0xffffffff80000000));
}

static void read_modify_write_is_two_accesses(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r);
	r.device = 0xf0;
	assert_int_equal(RUN(&r, "\x83\x0b\x0f", true), MMIO_DONE); /* or dword [rbx], 0xf */
	assert_int_equal(r.device, 0xff);
	assert_int_equal(r.reads, 1);
	assert_int_equal(r.writes, 1);
	assert_int_equal(r.rflags, 0x202 | X86_PF);
	assert_int_equal(RUN(&r, "\xf0\xff\x03", true), MMIO_DONE); /* lock inc dword [rbx] */
	assert_int_equal(r.device, 0x100);
	assert_int_equal(RUN(&r, "\x0f\xba\x2b\x03", true), MMIO_DONE); /* bts dword [rbx], 3 */
	assert_int_equal(r.device, 0x108);
}

static void compares_keep_order_and_write_nothing(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r);
	r.device = 5;
	r.regs[X86_RAX] = 7;
	assert_int_equal(RUN(&r, "\x39\x03", false), MMIO_DONE); /* cmp [rbx], eax: 5 - 7 */
	assert_true(r.rflags & X86_CF);
	assert_int_equal(RUN(&r, "\x3b\x03", false), MMIO_DONE); /* cmp eax, [rbx]: 7 - 5 */
	assert_false(r.rflags & X86_CF);
	assert_int_equal(RUN(&r, "\xf6\x03\x04", false), MMIO_DONE); /* test byte [rbx], 4 */
	assert_false(r.rflags & X86_ZF);
	assert_int_equal(r.writes, 0);
	assert_int_equal(r.regs[X86_RAX], 7);
	assert_int_equal(RUN(&r, "\x03\x03", false), MMIO_DONE); /* add eax, [rbx] */
	assert_int_equal(r.regs[X86_RAX], 12);
}

static void exchanges_take_what_was_there(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r);
	r.device = 5;
	r.regs[X86_RCX] = 9;
	assert_int_equal(RUN(&r, "\x87\x0b", true), MMIO_DONE); /* xchg [rbx], ecx */
	assert_int_equal(r.device, 9);
	assert_int_equal(r.regs[X86_RCX], 5);
	assert_int_equal(RUN(&r, "\xf0\x0f\xc1\x0b", true), MMIO_DONE); /* lock xadd [rbx], ecx */
	assert_int_equal(r.device, 14);
	assert_int_equal(r.regs[X86_RCX], 9);
	r.regs[X86_RAX] = 1;
	assert_int_equal(RUN(&r, "\xf0\x0f\xb1\x0b", true), MMIO_DONE); /* cmpxchg [rbx], ecx: no */
	assert_int_equal(r.device, 14);
	assert_int_equal(r.regs[X86_RAX], 14);
	assert_false(r.rflags & X86_ZF);
	assert_int_equal(RUN(&r, "\xf0\x0f\xb1\x0b", true), MMIO_DONE); /* yes */
	assert_int_equal(r.device, 9);
	assert_true(r.rflags & X86_ZF);
}

static void repeated_strings_go_one_element_at_a_time(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r);
	r.regs[X86_RCX] = 2;
	r.regs[X86_RAX] = 0xaabbccdd;
	r.regs[X86_RDI] = 0x5000;
	assert_int_equal(RUN(&r, "\xf3\xab", true), MMIO_AGAIN); /* rep stosd */
	assert_int_equal(r.regs[X86_RDI], 0x5004);
	assert_int_equal(RUN(&r, "\xf3\xab", true), MMIO_DONE);
	assert_int_equal(r.regs[X86_RCX], 0);
	assert_int_equal(r.device, 0xaabbccdd);
	assert_int_equal(RUN(&r, "\xf3\xab", true), MMIO_DONE); /* with nothing to do */
	assert_int_equal(r.writes, 0);
	assert_int_equal(r.regs[X86_RDI], 0x5008);
}

static void movs_goes_both_ways(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r);
	memcpy(r.ram, "abcdefgh", 8);
	r.regs[X86_RSI] = 0x1000;
	r.regs[X86_RDI] = 0x9000;
	assert_int_equal(RUN(&r, "\x48\xa5", true), MMIO_DONE); /* movsq to the device */
	assert_memory_equal(&r.device, "abcdefgh", 8);
	assert_int_equal(r.regs[X86_RSI], 0x1008);
	assert_int_equal(r.regs[X86_RDI], 0x9008);
	r.device = 0x31323334;
	r.rflags |= X86_DF;
	r.regs[X86_RDI] = 0x1010;
	assert_int_equal(RUN(&r, "\xa5", false), MMIO_DONE); /* movsd from it, downwards */
	assert_memory_equal(r.ram + 0x10, "4321", 4);
	assert_int_equal(r.regs[X86_RDI], 0x100c);
	assert_int_equal(r.regs[X86_RSI], 0x1004);
	r.rflags &= ~(uint64_t)X86_DF;
	r.regs[X86_RSI] = 0x1000 - 0x40 + 0x20;
	assert_int_equal(RUN(&r, "\x65\xa4", true), MMIO_DONE); /* movsb, source in GS */
	assert_int_equal(r.device & 0xff, r.ram[0x20]);
}

static void a_fault_on_the_other_side_changes_nothing(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r);
	r.regs[X86_RSI] = 0x4000; /* not mapped */
	r.regs[X86_RDI] = 0x9000;
	r.regs[X86_RCX] = 3;
	assert_int_equal(RUN(&r, "\xf3\xa4", true), MMIO_FAULT);
	assert_int_equal(r.regs[X86_RSI], 0x4000);
	assert_int_equal(r.regs[X86_RCX], 3);
	assert_int_equal(r.writes, 0);
	r.regs[X86_RSI] = 0x10; /* a device too */
	assert_int_equal(RUN(&r, "\xf3\xa4", true), MMIO_UNKNOWN);
}

static void what_is_not_done_at_a_device_is_said(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r);
	assert_int_equal(RUN(&r, "\xd1\x23", true), MMIO_UNKNOWN);	/* shl dword [rbx], 1 */
	assert_int_equal(RUN(&r, "\x0f\x28\x03", false), MMIO_UNKNOWN); /* movaps xmm0, [rbx] */
	assert_int_equal(RUN(&r, "\x0f\xc7\x0b", true), MMIO_UNKNOWN);	/* cmpxchg8b */
	assert_int_equal(RUN(&r, "\xff\x33", false), MMIO_UNKNOWN);	/* push qword [rbx] */
	assert_int_equal(RUN(&r, "\xff\x23", false), MMIO_UNKNOWN);	/* jmp [rbx] */
	assert_int_equal(RUN(&r, "\x0f\xab\x03", true), MMIO_UNKNOWN);	/* bts [rbx], eax */
	assert_int_equal(RUN(&r, "\xae", false), MMIO_UNKNOWN);		/* scasb */
	assert_int_equal(RUN(&r, "\x89\xc3", false), MMIO_UNKNOWN); /* mov ebx, eax: no memory */
	assert_int_equal(r.reads + r.writes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(moves_in_every_size),
		cmocka_unit_test(moffs_is_the_accumulator),
		cmocka_unit_test(extensions_fill_the_register),
		cmocka_unit_test(read_modify_write_is_two_accesses),
		cmocka_unit_test(compares_keep_order_and_write_nothing),
		cmocka_unit_test(exchanges_take_what_was_there),
		cmocka_unit_test(repeated_strings_go_one_element_at_a_time),
		cmocka_unit_test(movs_goes_both_ways),
		cmocka_unit_test(a_fault_on_the_other_side_changes_nothing),
		cmocka_unit_test(what_is_not_done_at_a_device_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
