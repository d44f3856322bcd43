/* SPDX-License-Identifier: Apache-2.0 */
#include "x86/tss.h"

/* Where a TSS of either kind has what; 0: not there. From ip on to the last of segs is one piece in both. */
struct layout {
	uint8_t width; /* of a register */
	uint8_t cr3, ip, flags, regs, segs, n_segs, ldt, trap;
};
static const struct layout tss32 = {
	.width = 4,
	.cr3 = 28,
	.ip = 32,
	.flags = 36,
	.regs = 40,
	.segs = 72,
	.n_segs = 6,
	.ldt = 96,
	.trap = 100,
};
static const struct layout tss16 = {
	.width = 2, .ip = 14, .flags = 16, .regs = 18, .segs = 34, .n_segs = 4, .ldt = 42
};
/* Segment registers in a TSS's order; the first four in a 16-bit one. */
static const uint8_t seg_order[X86_SEGS] = { X86_ES, X86_CS, X86_SS, X86_DS, X86_FS, X86_GS };

static const struct layout *layout_of(bool is_32)
{
	return is_32 ? &tss32 : &tss16;
}

static uint32_t field(const uint8_t *bytes, unsigned at, unsigned width)
{
	uint32_t value = 0;

	for (unsigned i = 0; i < width; i++)
		value |= (uint32_t)bytes[at + i] << 8 * i;
	return value;
}

static unsigned put(uint8_t *bytes, unsigned at, unsigned width, uint32_t value)
{
	for (unsigned i = 0; i < width; i++)
		bytes[at + i] = (uint8_t)(value >> 8 * i);
	return at + width;
}

void x86_tss_parse(const uint8_t bytes[X86_TSS_BYTES], bool is_32, struct x86_tss *ret)
{
	const struct layout *l = layout_of(is_32);
	const unsigned width = l->width;

	*ret = (struct x86_tss){
		.ip = field(bytes, l->ip, width),
		.flags = field(bytes, l->flags, width),
		.ldt = (uint16_t)field(bytes, l->ldt, 2),
		.cr3 = l->cr3 ? field(bytes, l->cr3, 4) : 0,
		.trap = l->trap && field(bytes, l->trap, 2) & 1,
	};
	for (unsigned i = 0; i < 8; i++)
		ret->regs[i] = field(bytes, l->regs + i * width, width) | (is_32 ? 0 : 0xffff0000);
	for (unsigned i = 0; i < l->n_segs; i++)
		ret->segs[seg_order[i]] = (uint16_t)field(bytes, l->segs + i * width, 2);
}

unsigned x86_tss_pack(const struct x86_tss *tss, bool is_32, uint8_t ret[X86_TSS_SAVED_BYTES],
		      unsigned *ret_at)
{
	const struct layout *l = layout_of(is_32);
	unsigned at = put(ret, 0, l->width, tss->ip);

	at = put(ret, at, l->width, tss->flags);
	for (unsigned i = 0; i < 8; i++)
		at = put(ret, at, l->width, tss->regs[i]);
	for (unsigned i = 0; i < l->n_segs; i++)
		at = put(ret, at, l->width, tss->segs[seg_order[i]]);
	*ret_at = l->ip;
	return at;
}
