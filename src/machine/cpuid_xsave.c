/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leaf 0xd. Source: Intel SDM 1, Managing State Using the XSAVE Feature Set (Enumeration of CPU Support for XSAVE
 * Instructions and XSAVE-Supported Features; XSAVE Area).
 */
#include "machine/cpuid_priv.h"

#define XSAVE_LEGACY_BYTES 576U /* legacy region and header */
#define XSAVE_SUPERVISOR                                                                           \
	0x1U /* ECX of a component: in IA32_XSS, has no place in the standard format */

#define STATE(n)     (UINT64_C(1) << (n))
#define STATE_AVX    STATE(2)
#define STATE_AVX512 (STATE(5) | STATE(6) | STATE(7))
#define STATE_AMX    (STATE(17) | STATE(18))
#define STATE_CET    (STATE(11) | STATE(12)) /* in IA32_XSS */

static const char *const on_avx[] = { "avx",
				      "fma",
				      "f16c",
				      "xop",
				      "fma4",
				      "avx2",
				      "vaes",
				      "vpclmulqdq",
				      "avx_vnni",
				      "avx_ifma",
				      "avx_vnni_int8",
				      "avx_ne_convert",
				      "avx_vnni_int16",
				      NULL };
static const char *const on_avx512[] = { "avx512f",
					 "avx512dq",
					 "avx512ifma",
					 "avx512pf",
					 "avx512er",
					 "avx512cd",
					 "avx512bw",
					 "avx512vl",
					 "avx512vbmi",
					 "avx512_vbmi2",
					 "avx512_vnni",
					 "avx512_bitalg",
					 "avx512_vpopcntdq",
					 "avx512_4vnniw",
					 "avx512_4fmaps",
					 "avx512_vp2intersect",
					 "avx512_fp16",
					 "avx512_bf16",
					 NULL };
static const char *const on_amx[] = { "amx_bf16", "amx_tile",	 "amx_int8",
				      "amx_fp16", "amx_complex", NULL };
static const char *const on_cet[] = { "shstk", "ibt", NULL };
static const char *const on_pku[] = { "pku", NULL };

/* States that a feature flag asks for: without the flag no state, without the state no flag. */
static const struct {
	uint64_t states;
	const char *flag;
	const char *const *flags;
} xsave_users[] = {
	{ STATE_AVX, "avx", on_avx },
	{ STATE_AVX512, "avx512f", on_avx512 },
	{ STATE(9), "pku", on_pku },
	{ STATE_AMX, "amx_tile", on_amx },
};

static uint64_t states_of(uint32_t low, uint32_t high)
{
	return (uint64_t)high << 32 | low;
}

/* Feature flags and states made to agree; Return: what is left of the user states. */
static uint64_t xsave_agree(struct cpuid_list *list, uint64_t user)
{
	uint64_t known = STATE(0) | STATE(1);

	for (size_t i = 0; i < ARRAY_SIZE(xsave_users); i++) {
		uint64_t states = xsave_users[i].states;
		known |= states;
		if ((user & states) != states ||
		    !cpuid_has(list->leaves, list->n, xsave_users[i].flag)) {
			user &= ~states;
			cpuid_clear(list->leaves, list->n, xsave_users[i].flags);
		}
		/* AVX-512's registers are AVX's, longer. */
		if (states == STATE_AVX && !(user & STATE_AVX))
			user &= ~STATE_AVX512;
	}
	return user & known;
}

/* Control-flow enforcement is all that the machine keeps in IA32_XSS. */
static uint64_t xsave_supervisor(struct cpuid_list *list, uint64_t supervisor)
{
	bool cet = cpuid_has(list->leaves, list->n, "shstk") ||
		   cpuid_has(list->leaves, list->n, "ibt");

	if (cet && (supervisor & STATE_CET) == STATE_CET)
		return STATE_CET;
	cpuid_clear(list->leaves, list->n, on_cet);
	return 0;
}

/* One pass over the components: those that are gone are dropped, the sizes of the others summed. */
static void xsave_components(struct cpuid_list *list, uint64_t user, uint64_t supervisor,
			     uint32_t *ret_standard)
{
	uint32_t standard = XSAVE_LEGACY_BYTES;
	unsigned kept = 0;

	for (unsigned i = 0; i < list->n; i++) {
		struct cpuid_leaf leaf = list->leaves[i];
		bool component = leaf.function == CPUID_XSAVE && leaf.index >= 2;
		uint64_t bit = leaf.index < 64 ? STATE(leaf.index) : 0;
		if (component && !(bit & (user | supervisor)))
			continue;
		if (component && !(leaf.ecx & XSAVE_SUPERVISOR) && leaf.ebx + leaf.eax > standard)
			standard = leaf.ebx + leaf.eax;
		list->leaves[kept++] = leaf;
	}
	list->n = kept;
	*ret_standard = standard;
}

void cpuid_xsave(struct cpuid_list *list)
{
	struct cpuid_leaf *main_leaf = list_find(list, CPUID_XSAVE, 0);
	bool has = main_leaf && cpuid_has(list->leaves, list->n, "xsave");
	uint64_t user = has ? states_of(main_leaf->eax, main_leaf->edx) : 0;
	uint32_t bytes;

	user = xsave_agree(list, user);
	if (!(user & STATE_AMX)) {
		list_drop(list, 0x1d);
		list_drop(list, 0x1e);
	}
	if (!has) {
		cpuid_clear(list->leaves, list->n, on_cet);
		cpuid_clear(list->leaves, list->n, (const char *const[]){ "xsave", NULL });
		list_drop(list, CPUID_XSAVE);
		return;
	}
	struct cpuid_leaf *second = list_find(list, CPUID_XSAVE, 1);
	bool has_xsaves = second && second->eax & 8;
	uint64_t supervisor =
		xsave_supervisor(list, has_xsaves ? states_of(second->ecx, second->edx) : 0);
	xsave_components(list, user, supervisor, &bytes);

	/* XCR0 is 1 at reset; whoever runs the guest follows it in EBX. */
	main_leaf = list_find(list, CPUID_XSAVE, 0);
	if (!main_leaf)
		return;
	main_leaf->eax = (uint32_t)user;
	main_leaf->edx = (uint32_t)(user >> 32);
	main_leaf->ebx = XSAVE_LEGACY_BYTES;
	main_leaf->ecx = bytes;
	second = list_find(list, CPUID_XSAVE, 1);
	if (second) {
		if (!(user & STATE_AMX))
			second->eax &= ~UINT32_C(0x10);			  /* XFD */
		second->ebx = second->eax & 0xa ? XSAVE_LEGACY_BYTES : 0; /* XSAVEC or XSAVES */
		second->ecx = (uint32_t)supervisor;
		second->edx = (uint32_t)(supervisor >> 32);
	}
}
