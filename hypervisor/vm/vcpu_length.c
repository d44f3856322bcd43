/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long the instruction is that exited. Hardware with next-RIP saving says it; elsewhere it is decoded once for each
 * place in each address space: who executes CPUID with a prefix, and then maps the same without one at the same address,
 * must reload CR3.
 */
#include <errno.h>

#include "vm/gva.h"
#include "vm/vcpu.h"

/* As far as the page, and the next one if it is there. */
unsigned hv_fetch(struct hv_vcpu *v, uint8_t ret[X86_INSN_MAX])
{
	const struct hw_ops *ops = v->vm->hw_ops;
	unsigned n = ops->insn_bytes(v->hw, ret);

	ops->paging(v->hw, &v->paging);
	if (n)
		return n;
	gva_t gva = ops->seg_base(v->hw, X86_CS) + v->hw->rip, at = 0;
	uint32_t access = GVA_FETCH | (v->paging.cpl == 3 ? GVA_USER : 0), error = 0;
	unsigned first = GUEST_PAGE_BYTES - (unsigned)(gva % GUEST_PAGE_BYTES);
	if (first > X86_INSN_MAX)
		first = X86_INSN_MAX;
	int r = gva_read(v->vm->mem, &v->paging, gva, access, ret, first, &at, &error);
	if (r == -EFAULT)
		hv_raise_page_fault(v, at, error);
	if (r < 0)
		return 0;
	if (first < X86_INSN_MAX && gva_read(v->vm->mem, &v->paging, gva + first, access,
					     ret + first, X86_INSN_MAX - first, &at, &error) == 0)
		return X86_INSN_MAX;
	return first;
}

static __attribute__((noinline)) unsigned length_decode(struct hv_vcpu *v, uint8_t kind,
							struct hv_length *known)
{
	uint8_t bytes[X86_INSN_MAX];
	struct x86_insn insn;
	unsigned n = hv_fetch(v, bytes);

	if (!n)
		return 0;
	int len = x86_decode(bytes, n, (enum x86_code)v->paging.code, &insn);
	if (len <= 0) /* rewritten under our feet: let it be executed again */
		return 0;
	*known = (struct hv_length){ v->hw->rip, v->paging.cr3, kind, (uint8_t)len };
	return (unsigned)len;
}

unsigned hv_insn_len(struct hv_vcpu *v, const struct hw_exit *exit)
{
	struct hv_length *known = &v->lengths[v->hw->rip % HV_LENGTHS];

	if (exit->insn_len)
		return exit->insn_len;
	if (known->rip == v->hw->rip && known->kind == exit->kind && known->len &&
	    known->cr3 == v->hw->cr3)
		return known->len;
	return length_decode(v, (uint8_t)exit->kind, known);
}
