/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Our decoder beside Zydis: the same bytes, every fact that both know. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <Zydis/Zydis.h>

#include "x86/insn.h"

struct zydis {
	ZydisDecoder decoders[3]; /* by enum x86_code */
};

struct zydis_view {
	bool valid;
	ZydisDecodedInstruction insn;
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
};

struct difference {
	const char *what; /* NULL: none */
	uint64_t ours, theirs;
};

void zydis_init(struct zydis *zydis);

/*
 * zydis_compare() - decode @bytes (X86_INSN_MAX of them) by both
 * @ret_view: what Zydis saw
 * @ret_insn, @ret_len: what x86_decode() gave
 * Return: the first thing in which they differ
 */
struct difference zydis_compare(const struct zydis *zydis, const uint8_t *bytes, enum x86_code code,
				struct zydis_view *ret_view, struct x86_insn *ret_insn,
				int *ret_len);

/* The same of what both have decoded already. */
struct difference zydis_compare_decoded(const struct x86_insn *insn, const struct zydis_view *view);

/* Why a difference is meant, or NULL: it is not. */
const char *zydis_excuse(const struct difference *difference, const struct zydis_view *view,
			 const struct x86_insn *insn, const uint8_t *bytes, enum x86_code code);
