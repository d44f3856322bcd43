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
/* What they are made of; s = 1. */
#define X86_TYPE_ACCESSED   0x1U
#define X86_TYPE_RW	    0x2U /* data: writable; code: readable */
#define X86_TYPE_DOWN	    0x4U /* data: expands down */
#define X86_TYPE_CONFORMING 0x4U /* code */
#define X86_TYPE_CODE	    0x8U
/* s = 0: of a TSS */
#define X86_TYPE_BUSY 0x2U

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
/*
 * x86_descriptor_parse() - the fields of 8 bytes from a descriptor table, whatever they are; unusable is not set
 * Of a system segment in long mode the upper half of the base is the caller's.
 */
struct x86_segment x86_descriptor_parse(uint64_t raw, uint16_t selector);
