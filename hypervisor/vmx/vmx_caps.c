/* SPDX-License-Identifier: Apache-2.0 */
#include "vmx/vmx_caps.h"

#include <errno.h>
#include <stddef.h>

#include "base/core/macros.h"
#include "vmx/vmcs.h"

#define MISC_TIMER_SHIFT 0x1fU

/* Capabilities of EPT and VPID. */
#define EPT_WALK_4	  (UINT64_C(1) << 6)
#define EPT_WRITE_BACK	  (UINT64_C(1) << 14)
#define EPT_2M		  (UINT64_C(1) << 16)
#define EPT_1G		  (UINT64_C(1) << 17)
#define EPT_INVEPT	  (UINT64_C(1) << 20)
#define EPT_INVEPT_SINGLE (UINT64_C(1) << 25)
#define EPT_INVEPT_ALL	  (UINT64_C(1) << 26)
#define VPID_INVVPID	  (UINT64_C(1) << 32)
#define VPID_INVVPID_ALL  (UINT64_C(1) << 42)

/* A control: without a name it is only good to have. */
struct wish {
	uint32_t bit;
	const char *name;
};

static const struct wish pin[] = {
	{ VMX_PIN_INTERRUPT, "exits by interrupts" },
	{ VMX_PIN_NMI, "exits by NMIs" },
	{ VMX_PIN_VIRTUAL_NMI, "virtual NMIs" },
	{ VMX_PIN_TIMER, NULL },
};

/* Reading the TSC, CR3 and CR8, INVLPG and MOV DR do not exit. Ports always do: there is no bitmap. */
static const struct wish proc[] = {
	{ VMX_PROC_TSC_OFFSET, "TSC offset" },	      { VMX_PROC_HLT, "exits by HLT" },
	{ VMX_PROC_MWAIT, "exits by MWAIT" },	      { VMX_PROC_RDPMC, "exits by RDPMC" },
	{ VMX_PROC_TPR_SHADOW, "TPR shadow" },	      { VMX_PROC_IO, "exits by ports" },
	{ VMX_PROC_MSR_BITMAPS, "MSR bitmaps" },      { VMX_PROC_MONITOR, "exits by MONITOR" },
	{ VMX_PROC_SECONDARY, "secondary controls" },
};

static const struct wish proc2[] = {
	{ VMX_PROC2_EPT, "EPT" },    { VMX_PROC2_UNRESTRICTED, "unrestricted guests" },
	{ VMX_PROC2_VPID, "VPIDs" }, { VMX_PROC2_WBINVD, "exits by WBINVD" },
	{ VMX_PROC2_RDTSCP, NULL },  { VMX_PROC2_INVPCID, NULL },
	{ VMX_PROC2_ENCLS, NULL },   { VMX_PROC2_ENCLV, NULL },
};

static const struct wish leave[] = {
	{ VMX_EXIT_SAVE_DEBUG, "debug controls" },
	{ VMX_EXIT_HOST_64, "64-bit hosts" },
	{ VMX_EXIT_SAVE_PAT, "PAT of a guest's" },
	{ VMX_EXIT_LOAD_PAT, "PAT of a guest's" },
	{ VMX_EXIT_SAVE_EFER, "EFER of a guest's" },
	{ VMX_EXIT_LOAD_EFER, "EFER of a guest's" },
	{ VMX_EXIT_SAVE_TIMER, NULL },
};

static const struct wish enter[] = {
	{ VMX_ENTRY_LOAD_DEBUG, "debug controls" },
	{ VMX_ENTRY_LOAD_PAT, "PAT of a guest's" },
	{ VMX_ENTRY_LOAD_EFER, "EFER of a guest's" },
};

/* Bits that would exit, or more, though nobody asked for them. */
static const struct wish must_be_off[] = {
	{ VMX_PROC_CR3_LOAD | VMX_PROC_CR3_STORE, "CR3 of a guest's own" },
	{ VMX_PROC_CR8_LOAD | VMX_PROC_CR8_STORE | VMX_PROC_INVLPG | VMX_PROC_RDTSC |
		  VMX_PROC_MOV_DR,
	  "TSC, CR8 or INVLPG without exits" },
};

int vmx_feature_check(uint64_t value, struct err *err)
{
	if (value & FEATURE_LOCKED && !(value & FEATURE_VMX))
		return err_say(err, EPERM,
			       "VT-x (VMX) is turned off by the firmware: turn it on there");
	return 0;
}

static int lacks(const char *what, struct err *err)
{
	return err_say(err, ENOTSUP, "this CPU's VMX has no %s", what);
}

static int choose(uint64_t cap, const struct wish *wishes, size_t n, uint32_t *ret, struct err *err)
{
	uint32_t must = (uint32_t)cap, may = (uint32_t)(cap >> 32);

	*ret = must;
	for (size_t i = 0; i < n; i++) {
		if (may & wishes[i].bit)
			*ret |= wishes[i].bit;
		else if (wishes[i].name)
			return lacks(wishes[i].name, err);
	}
	return 0;
}

static int ept_check(uint64_t cap, struct vmx_controls *ret, struct err *err)
{
	static const struct {
		uint64_t bits;
		const char *name;
	} needs[] = {
		{ EPT_WALK_4 | EPT_WRITE_BACK, "EPT of four levels in write-back memory" },
		{ EPT_2M, "EPT leaves of 2 MiB" },
		{ EPT_INVEPT, "INVEPT" },
		{ VPID_INVVPID | VPID_INVVPID_ALL, "INVVPID" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(needs); i++) {
		if ((cap & needs[i].bits) != needs[i].bits)
			return lacks(needs[i].name, err);
	}
	if (!(cap & (EPT_INVEPT_SINGLE | EPT_INVEPT_ALL)))
		return lacks("INVEPT", err);
	ret->has_1g = cap & EPT_1G;
	ret->invept_single = cap & EPT_INVEPT_SINGLE;
	return 0;
}

int vmx_controls_choose(const struct vmx_caps *caps, struct vmx_controls *ret, struct err *err)
{
	struct vmx_controls c = { 0 };
	int r;

	if (!(caps->basic & VMX_BASIC_TRUE))
		return lacks("true controls", err);
	if ((r = choose(caps->pin, pin, ARRAY_SIZE(pin), &c.pin, err)) < 0 ||
	    (r = choose(caps->proc, proc, ARRAY_SIZE(proc), &c.proc, err)) < 0 ||
	    (r = choose(caps->proc2, proc2, ARRAY_SIZE(proc2), &c.proc2, err)) < 0 ||
	    (r = choose(caps->exit, leave, ARRAY_SIZE(leave), &c.exit, err)) < 0 ||
	    (r = choose(caps->entry, enter, ARRAY_SIZE(enter), &c.entry, err)) < 0 ||
	    (r = ept_check(caps->ept_vpid, &c, err)) < 0)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(must_be_off); i++) {
		if (c.proc & must_be_off[i].bit)
			return lacks(must_be_off[i].name, err);
	}
	if (!(c.pin & VMX_PIN_TIMER)) /* an entry wants it so */
		c.exit &= ~VMX_EXIT_SAVE_TIMER;
	c.has_tsc_scaling = caps->proc2 >> 32 & VMX_PROC2_TSC_SCALING;
	c.timer_shift = caps->misc & MISC_TIMER_SHIFT;
	*ret = c;
	return 0;
}
