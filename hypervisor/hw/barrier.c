/* SPDX-License-Identifier: Apache-2.0 */
#include "hw/barrier.h"

#include "base/core/macros.h"

#define BIT(n) (UINT64_C(1) << (n))

/* CPUID leaf 7: EBX, EDX */
#define RTM	  BIT(11)
#define MD_CLEAR  BIT(10)
#define SPEC_CTRL BIT(26) /* IBRS and IBPB */
#define STIBP	  BIT(27)
#define L1D_FLUSH BIT(28)
/* Fn8000_0008_EBX */
#define AMD_IBPB  BIT(12)
#define AMD_STIBP BIT(15)
/* Fn8000_0021: EAX, ECX */
#define VERW_CLEAR BIT(5)
#define AUTO_IBRS  BIT(8)
#define TSA_SQ_NO  BIT(1)
#define TSA_L1_NO  BIT(2)
/* IA32_ARCH_CAPABILITIES */
#define RDCL_NO	   BIT(0)
#define IBRS_ALL   BIT(1)
#define SKIP_L1D   BIT(3) /* a hypervisor below us does it */
#define MDS_NO	   BIT(5)
#define TAA_NO	   BIT(8)
#define RFDS_NO	   BIT(27)
#define RFDS_CLEAR BIT(28)
/* IA32_SPEC_CTRL */
#define SPEC_IBRS  BIT(0)
#define SPEC_STIBP BIT(1)

/* VERW overwrites the buffers, and they are ones that leak. */
static bool needs_verw(const struct barrier_facts *f)
{
	uint64_t caps = f->arch_capabilities;
	bool by_md = f->leaf7_edx & MD_CLEAR &&
		     (!(caps & MDS_NO) || (f->leaf7_ebx & RTM && !(caps & TAA_NO)));
	bool by_rfds = caps & RFDS_CLEAR && !(caps & RFDS_NO);
	bool by_tsa = f->ext21_eax & VERW_CLEAR &&
		      (f->ext21_ecx & (TSA_SQ_NO | TSA_L1_NO)) != (TSA_SQ_NO | TSA_L1_NO);

	return f->is_vmx ? by_md || by_rfds : by_tsa;
}

void barriers_choose(const struct barrier_facts *f, struct barriers *ret)
{
	*ret = (struct barriers){ 0 };
	if (f->leaf7_edx & SPEC_CTRL || f->ext8_ebx & AMD_IBPB)
		ret->wanted |= BARRIER_BRANCHES;
	/* Foreshadow is Intel's alone, and reads what a nested page table once named. */
	if (f->is_vmx && f->leaf7_edx & L1D_FLUSH && !(f->arch_capabilities & (RDCL_NO | SKIP_L1D)))
		ret->wanted |= BARRIER_L1D;
	if (needs_verw(f))
		ret->wanted |= BARRIER_BUFFERS;
	if (f->is_vmx && f->leaf7_edx & SPEC_CTRL && f->arch_capabilities & IBRS_ALL)
		ret->spec_ctrl |= SPEC_IBRS;
	if (f->leaf7_edx & STIBP || f->ext8_ebx & AMD_STIBP)
		ret->spec_ctrl |= SPEC_STIBP;
	ret->auto_ibrs = !f->is_vmx && f->ext21_eax & AUTO_IBRS;
}

unsigned barrier_due(struct barrier_past *past, unsigned wanted, uint64_t next)
{
	unsigned due = 0;

	if (past->branches_of != next)
		due |= BARRIER_BRANCHES;
	if (past->data_of != next)
		due |= BARRIER_L1D | BARRIER_BUFFERS;
	past->branches_of = past->data_of = next;
	return due & wanted;
}

static size_t text_add(char *ret, size_t at, size_t room, const char *word)
{
	for (const char *c = at ? ", " : ""; *c && at + 1 < room; c++)
		ret[at++] = *c;
	for (; *word && at + 1 < room; word++)
		ret[at++] = *word;
	ret[at] = '\0';
	return at;
}

bool barriers_text(const struct barriers *b, char *ret, size_t room)
{
	const struct {
		bool has;
		const char *word;
	} words[] = {
		{ b->wanted & BARRIER_BRANCHES, "branches (IBPB)" },
		{ b->wanted & BARRIER_L1D, "L1D" },
		{ b->wanted & BARRIER_BUFFERS, "buffers (VERW)" },
		{ b->spec_ctrl & SPEC_IBRS, "IBRS for good" },
		{ b->spec_ctrl & SPEC_STIBP, "STIBP for good" },
		{ b->auto_ibrs, "automatic IBRS" },
	};
	size_t at = 0;

	ret[0] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (words[i].has)
			at = text_add(ret, at, room, words[i].word);
	}
	return at;
}
