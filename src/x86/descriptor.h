/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Segment types, descriptors in memory and page-table bits.
 * Sources: Intel SDM 3A, Segment Descriptors; Code- and Data-Segment Descriptor Types; System Descriptor Types;
 * 4-Level Paging and 5-Level Paging.
 */
#include <stdint.h>

#include "x86/state.h"

/* The type field, s = 1: data or code; the accessed bit is set, as in every loaded segment register. */
#define X86_TYPE_DATA_RW 0x3U
#define X86_TYPE_CODE_XR 0xbU
/* The type field, s = 0. */
#define X86_TYPE_LDT	  0x2U
#define X86_TYPE_TSS_BUSY 0xbU /* 32-bit, or 64-bit in long mode */

#define X86_PTE_PRESENT UINT64_C(0x1)
#define X86_PTE_WRITE	UINT64_C(0x2)
#define X86_PTE_LARGE	UINT64_C(0x80)

#define X86_LARGE_PAGE_BYTES UINT64_C(0x200000)

/*
 * x86_descriptor() - the 8 bytes that a descriptor table holds for a segment
 * A limit that needs the granularity bit is given in seg->limit as bytes with its low 12 bits set, and seg->g.
 * Return: the descriptor; the upper half of a 64-bit base (system segments in long mode) is the caller's.
 */
uint64_t x86_descriptor(const struct x86_segment *seg);
