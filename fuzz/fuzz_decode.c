/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as an instruction of any code size (the first byte says which). No byte beyond those given is looked at, more bytes
 * only ever end an -EAGAIN, and what the decoder says of an instruction fits together.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz_copy.h"
#include "x86/insn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

static int decode_copy(const uint8_t *bytes, size_t n, enum x86_code code, struct x86_insn *ret)
{
	uint8_t *copy = fuzz_copy(bytes, n);
	int r = x86_decode(copy, n, code, ret);

	free(copy);
	return r;
}

static void part_fits(const struct x86_insn *insn, unsigned at, unsigned len)
{
	must(at + len <= insn->len && (!len || at > insn->opcode_at));
}

static void mem_fits(const struct x86_insn *insn)
{
	const struct x86_mem *mem = &insn->mem;
	unsigned scale = mem->scale;

	must(mem->seg < X86_SEGS);
	must(mem->base == X86_REG_NONE ||
	     (mem->base < X86_REGS && insn->gpr_read >> mem->base & 1));
	must(scale && scale <= 8 && !(scale & (scale - 1)));
	must(mem->index == X86_REG_NONE || mem->is_vsib || insn->gpr_read >> mem->index & 1);
	must(!mem->is_rip || (insn->code == X86_CODE_64 && mem->base == X86_REG_NONE));
	must(mem->bytes || !(mem->is_read || mem->is_written));
	must(!mem->align || !(mem->align & (mem->align - 1)));
}

static void fields_fit(const struct x86_insn *insn)
{
	unsigned gprs = insn->code == X86_CODE_64 ? 16 : 8;

	must(insn->reg < 32 && insn->rm < 32 && insn->vvvv < 32);
	must(insn->reg_field != X86_FIELD_GPR || insn->reg < gprs);
	must(insn->rm_field != X86_FIELD_GPR || insn->rm < gprs);
	must(insn->vvvv_field != X86_FIELD_GPR || insn->vvvv < gprs);
	must(insn->reg_field != X86_FIELD_SEG || insn->reg < X86_SEGS);
	must(insn->reg_field != X86_FIELD_MASK || insn->reg < 8);
	must((insn->rm_field == X86_FIELD_MEM) <= insn->has_mem);
	/* SYSCALL and SYSRET use r11, from compatibility mode too */
	must(!((insn->gpr_read | insn->gpr_written) >> gprs) || insn->op == X86_OP_SYSCALL ||
	     insn->op == X86_OP_SYSRET);
}

static void insn_fits(const struct x86_insn *insn)
{
	uint32_t flags = X86_FLAGS_ARITH | X86_DF | X86_TF | X86_IF;

	must(insn->op < X86_OP_MAX && insn->class <= X86_CLASS_SYSTEM);
	must(insn->opcode_at < insn->len && insn->bytes[insn->opcode_at] == insn->opcode);
	must(!insn->has_modrm || insn->bytes[insn->modrm_at] == insn->modrm);
	part_fits(insn, insn->disp_at, insn->disp_len);
	part_fits(insn, insn->imm_at, insn->imm_len);
	must(insn->op_bytes && !(insn->op_bytes & (insn->op_bytes - 1)) && insn->op_bytes <= 8);
	must(insn->addr_bytes == 2 || insn->addr_bytes == 4 || insn->addr_bytes == 8);
	must(!((insn->flags_read | insn->flags_written) & ~flags));
	must(!(insn->flags_undefined & ~insn->flags_written));
	must(!insn->has_lock || (insn->has_mem && insn->mem.is_read && insn->mem.is_written));
	must(insn->vex_l < 3);
	fields_fit(insn);
	if (insn->has_mem)
		mem_fits(insn);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct x86_insn first, insn;
	enum x86_code code;
	int result = -EAGAIN;

	if (size < 1)
		return 0;
	code = (enum x86_code)(*data++ % 3);
	size--;
	for (size_t n = 0; n <= size && n <= X86_INSN_MAX + 1; n++) {
		int r = decode_copy(data, n, code, &insn);

		must(r == -EAGAIN || r == -EINVAL || r == -E2BIG || (r > 0 && (size_t)r <= n));
		must(r != -EAGAIN || n < X86_INSN_MAX);
		must(r != -E2BIG || n >= X86_INSN_MAX);
		must(result == -EAGAIN || r == result);
		if (r > 0) {
			insn_fits(&insn);
			must(insn.len == r && !memcmp(insn.bytes, data, insn.len));
			must(result == -EAGAIN || !memcmp(&insn, &first, sizeof(insn)));
			first = insn;
		}
		result = r;
	}
	return 0;
}
