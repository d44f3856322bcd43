/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logical to linear addresses, and descriptors in their tables.
 * Sources: SDM 3A, Logical Address Translation in IA-32e Mode; Segment Descriptors; Limit Checking; Type Checking.
 */
#include "engines/hosted/system.h"
#include "x86/descriptor.h"

#define DESC_TYPE_AT 5U /* the byte with type, s, DPL and present */
#define TYPE_CODE    8U
#define TYPE_DOWN    4U /* data: expand-down */

bool seg_range(const struct x86_segment *seg, uint64_t offset, unsigned len)
{
	uint64_t last = offset + len - 1;

	if (seg->s && !(seg->type & TYPE_CODE) && (seg->type & TYPE_DOWN))
		return offset > seg->limit && last <= (seg->db ? UINT32_MAX : UINT16_MAX);
	return last <= seg->limit;
}

static enum cpu_result seg_fault(struct hosted_cpu *cpu, enum x86_seg seg)
{
	return sys_fault(cpu, seg == X86_SS ? SYS_SS : SYS_GP, 0);
}

static enum cpu_result linear_64(struct hosted_cpu *cpu, enum x86_seg seg, uint64_t offset,
				 unsigned len, uint64_t *ret)
{
	uint64_t at = offset;

	if (seg == X86_FS || seg == X86_GS)
		at += cpu->segs[seg].base;
	if (!sys_is_canonical(at) || !sys_is_canonical(at + len - 1))
		return seg_fault(cpu, seg);
	*ret = at;
	return CPU_OK;
}

static bool seg_type_allows(const struct x86_segment *seg, bool write)
{
	if (seg->unusable)
		return false;
	return write ? seg_is_writable(seg) : seg_is_readable(seg);
}

enum cpu_result seg_linear(struct hosted_cpu *cpu, enum x86_seg seg, uint64_t offset, unsigned len,
			   bool write, uint64_t *ret)
{
	const struct x86_segment *s = &cpu->segs[seg];

	if (sys_is_64(cpu))
		return linear_64(cpu, seg, offset, len, ret);
	offset &= UINT32_MAX;
	if (!sys_is_8086(cpu) && !seg_type_allows(s, write))
		return seg_fault(cpu, seg);
	if (!seg_range(s, offset, len))
		return seg_fault(cpu, seg);
	*ret = (s->base + offset) & UINT32_MAX;
	return CPU_OK;
}

enum cpu_result seg_fetch(struct hosted_cpu *cpu, uint64_t offset, uint64_t *ret)
{
	const struct x86_segment *cs = &cpu->segs[X86_CS];

	if (sys_is_64(cpu)) {
		if (!sys_is_canonical(offset))
			return sys_gp(cpu, 0);
		*ret = offset;
		return CPU_OK;
	}
	if (offset > cs->limit)
		return sys_gp(cpu, 0);
	*ret = (cs->base + offset) & UINT32_MAX;
	return CPU_OK;
}

/* A system descriptor of long mode takes two places; call gates are among them, task gates are not there. */
static enum cpu_result seg_high(struct hosted_cpu *cpu, uint64_t limit, uint64_t at,
				struct seg_desc *ret, bool *ret_there)
{
	if (at + 15 > limit) {
		*ret_there = false;
		return CPU_OK;
	}
	enum cpu_result r = cpu_load_system(cpu, ret->addr + 8, &ret->high, 8);
	ret->seg.base |= ret->high << 32;
	return r;
}

enum cpu_result seg_lookup(struct hosted_cpu *cpu, uint16_t selector, struct seg_desc *ret,
			   bool *ret_there)
{
	bool local = selector & 4;
	uint64_t at = selector & 0xfff8U;
	uint64_t base = local ? cpu->ldt.base : cpu->gdt.base;
	uint64_t limit = local ? cpu->ldt.limit : cpu->gdt.limit;

	*ret_there = !(local && cpu->ldt.unusable) && at + 7 <= limit;
	if (!*ret_there)
		return CPU_OK;
	ret->high = 0;
	ret->addr = base + at;
	if (!sys_is_long(cpu))
		ret->addr &= UINT32_MAX;
	enum cpu_result r = cpu_load_system(cpu, ret->addr, &ret->raw, 8);
	if (r != CPU_OK)
		return r;
	ret->seg = x86_descriptor_parse(ret->raw, selector);
	if (sys_is_long(cpu) && !ret->seg.s)
		return seg_high(cpu, limit, at, ret, ret_there);
	return CPU_OK;
}

enum cpu_result seg_desc(struct hosted_cpu *cpu, uint16_t selector, uint8_t vector, uint32_t ext,
			 struct seg_desc *ret)
{
	bool there;
	enum cpu_result r = seg_lookup(cpu, selector, ret, &there);

	if (r == CPU_OK && !there)
		return sys_fault(cpu, vector, seg_error(selector, ext));
	return r;
}

enum cpu_result seg_set_type(struct hosted_cpu *cpu, struct seg_desc *desc, uint8_t type)
{
	uint8_t byte = (uint8_t)((desc->raw >> 40 & 0xf0) | type);

	desc->seg.type = type;
	desc->raw = (desc->raw & ~(UINT64_C(0xff) << 40)) | (uint64_t)byte << 40;
	return cpu_store_system(cpu, desc->addr + DESC_TYPE_AT, &byte, 1);
}

enum cpu_result seg_accessed(struct hosted_cpu *cpu, struct seg_desc *desc)
{
	if (desc->seg.type & 1)
		return CPU_OK;
	return seg_set_type(cpu, desc, desc->seg.type | 1);
}
