/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Task-state segments as they are in memory, for whoever switches tasks in a CPU's place.
 * Sources: Intel SDM 3A, Task-State Segment (TSS); 16-Bit Task-State Segment (TSS).
 */
#include <stdbool.h>
#include <stdint.h>

#include "x86/state.h"

#define X86_TSS_BYTES	    104U /* of the larger kind */
#define X86_TSS_SAVED_BYTES 64U	 /* of the larger kind, at most */

/* What a task switch saves, or takes. */
struct x86_tss {
	uint32_t ip, flags, regs[8]; /* in the order of enum x86_reg */
	uint16_t segs[X86_SEGS];     /* selectors */
	/* The rest is only taken. */
	uint32_t cr3; /* 32-bit only */
	uint16_t ldt;
	bool trap; /* 32-bit only: #DB before the task's first instruction */
};

/* x86_tss_is_32() - by the type of its descriptor */
static inline bool x86_tss_is_32(uint8_t type)
{
	return type & 8;
}
/* x86_tss_bytes() - how long it is at least: a limit below this less one is #TS */
static inline unsigned x86_tss_bytes(bool is_32)
{
	return is_32 ? X86_TSS_BYTES : 44;
}
/* x86_tss_parse() - @bytes: x86_tss_bytes() of them. A 16-bit one has no FS and GS: null; its registers' upper halves are ones. */
void x86_tss_parse(const uint8_t bytes[X86_TSS_BYTES], bool is_32, struct x86_tss *ret);
/*
 * x86_tss_pack() - what is saved, in one piece
 * Return: how many bytes; *ret_at: where they belong in the segment.
 */
unsigned x86_tss_pack(const struct x86_tss *tss, bool is_32, uint8_t ret[X86_TSS_SAVED_BYTES],
		      unsigned *ret_at);
