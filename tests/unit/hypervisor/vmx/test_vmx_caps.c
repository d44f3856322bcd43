/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "vmx/vmcs.h"
#include "vmx/vmx_caps.h"

/* What must be 1, and what may be. */
static uint64_t cap(uint32_t must, uint32_t may)
{
	return (uint64_t)may << 32 | must;
}

/* Bochs 2.7's corei7_skylake_x, as its MSRs read; EPT and VPID as on silicon of that kind. */
static struct vmx_caps skylake(void)
{
	return (struct vmx_caps){
		.basic = UINT64_C(0x00d8100000000012) | VMX_BASIC_TRUE,
		.misc = 5,
		.pin = cap(0x16, 0x7f),
		.proc = cap(0x04006172, 0xfff9fffe),
		.proc2 = cap(0, 0x02177fff),
		.exit = cap(0x36dfb, 0x1ffffff),
		.entry = cap(0x11fb, 0x3ffff),
		.ept_vpid = UINT64_C(0x00000f0106334141),
	};
}

static void refused(const struct vmx_caps *caps, const char *words)
{
	struct vmx_controls ret = { .pin = 0x1234 };
	struct err err = { 0 };

	assert_int_equal(vmx_controls_choose(caps, &ret, &err), -ENOTSUP);
	assert_string_equal(err.text, words);
	assert_int_equal(ret.pin, 0x1234); /* untouched */
}

static void what_must_be_set_is_and_nothing_that_may_not(void **state)
{
	struct vmx_caps caps = skylake();
	struct vmx_controls c;
	struct err err = { 0 };
	(void)state;

	assert_int_equal(vmx_controls_choose(&caps, &c, &err), 0);
	assert_int_equal(c.pin & 0x16, 0x16);
	assert_int_equal(c.pin & ~UINT32_C(0x7f), 0);
	assert_int_equal(c.proc & 0x04006172, 0x04006172);
	assert_int_equal(c.proc2 & ~UINT32_C(0x02177fff), 0);
	assert_int_equal(c.exit & 0x36dfb, 0x36dfb);
	assert_int_equal(c.entry & 0x11fb, 0x11fb);
	assert_true(c.has_1g);
	assert_true(c.has_tsc_scaling);
	assert_false(c.proc2 & VMX_PROC2_TSC_SCALING); /* a guest's own wish */
	assert_true(c.invept_single);
	assert_int_equal(c.timer_shift, 5);
	assert_true(c.pin & VMX_PIN_TIMER && c.exit & VMX_EXIT_SAVE_TIMER);
}

static void a_guest_exits_by_what_it_must_and_by_no_more(void **state)
{
	const uint32_t wanted = VMX_PROC_HLT | VMX_PROC_IO | VMX_PROC_MSR_BITMAPS | VMX_PROC_MWAIT |
				VMX_PROC_MONITOR | VMX_PROC_RDPMC | VMX_PROC_TPR_SHADOW;
	const uint32_t unwanted = VMX_PROC_CR3_LOAD | VMX_PROC_CR3_STORE | VMX_PROC_CR8_LOAD |
				  VMX_PROC_CR8_STORE | VMX_PROC_INVLPG | VMX_PROC_RDTSC |
				  VMX_PROC_MOV_DR | VMX_PROC_WINDOW | VMX_PROC_NMI_WINDOW;
	struct vmx_caps caps = skylake();
	struct vmx_controls c;
	(void)state;

	assert_int_equal(vmx_controls_choose(&caps, &c, NULL), 0);
	assert_int_equal(c.proc & wanted, wanted);
	assert_int_equal(c.proc & unwanted, 0);
	assert_int_equal(c.entry & VMX_ENTRY_GUEST_64, 0); /* real mode comes first */
	assert_true(c.proc2 & VMX_PROC2_INVPCID);	   /* else it is #UD, and CPUID shows it */
	caps.proc2 |= (uint64_t)VMX_PROC2_ENCLS << 32;
	assert_int_equal(vmx_controls_choose(&caps, &c, NULL), 0);
	assert_true(c.proc2 & VMX_PROC2_ENCLS); /* else a guest would make enclaves */
}

static void what_is_missing_has_its_name(void **state)
{
	struct vmx_caps caps = skylake();
	(void)state;

	caps.proc2 &= ~((uint64_t)VMX_PROC2_UNRESTRICTED << 32);
	refused(&caps, "this CPU's VMX has no unrestricted guests");
	caps.proc2 &= ~((uint64_t)VMX_PROC2_EPT << 32);
	refused(&caps, "this CPU's VMX has no EPT");
	caps = skylake();
	caps.proc &= ~((uint64_t)VMX_PROC_SECONDARY << 32);
	refused(&caps, "this CPU's VMX has no secondary controls");
	caps = skylake();
	caps.pin &= ~((uint64_t)VMX_PIN_VIRTUAL_NMI << 32);
	refused(&caps, "this CPU's VMX has no virtual NMIs");
	caps = skylake();
	caps.entry &= ~((uint64_t)VMX_ENTRY_LOAD_EFER << 32);
	refused(&caps, "this CPU's VMX has no EFER of a guest's");
	caps = skylake();
	caps.ept_vpid &= ~(UINT64_C(1) << 20);
	refused(&caps, "this CPU's VMX has no INVEPT");
	caps = skylake();
	caps.basic &= ~VMX_BASIC_TRUE;
	refused(&caps, "this CPU's VMX has no true controls");
	caps = (struct vmx_caps){ 0 }; /* no MSR of it could be read */
	refused(&caps, "this CPU's VMX has no true controls");
}

static void cr3_that_must_exit_is_refused(void **state)
{
	struct vmx_caps caps = skylake();
	(void)state;

	caps.proc |= VMX_PROC_CR3_LOAD | VMX_PROC_CR3_STORE;
	refused(&caps, "this CPU's VMX has no CR3 of a guest's own");
}

static void an_older_cpu_does_without_what_is_only_good_to_have(void **state)
{
	struct vmx_caps caps = skylake();
	struct vmx_controls c;
	(void)state;

	caps.proc2 =
		cap(0, VMX_PROC2_EPT | VMX_PROC2_UNRESTRICTED | VMX_PROC2_VPID | VMX_PROC2_WBINVD);
	caps.pin &= ~((uint64_t)VMX_PIN_TIMER << 32);
	caps.ept_vpid &= ~(UINT64_C(1) << 17 | UINT64_C(1) << 25);
	assert_int_equal(vmx_controls_choose(&caps, &c, NULL), 0);
	assert_false(c.has_1g);
	assert_false(c.invept_single);
	assert_int_equal(c.pin & VMX_PIN_TIMER, 0);
	assert_int_equal(c.exit & VMX_EXIT_SAVE_TIMER, 0); /* goes with it only */
	assert_int_equal(c.proc2 & VMX_PROC2_INVPCID, 0);
}

static void the_firmware_decides(void **state)
{
	struct err err = { 0 };
	(void)state;

	assert_int_equal(vmx_feature_check(FEATURE_LOCKED | FEATURE_VMX, &err), 0);
	assert_int_equal(vmx_feature_check(0, &err), 0); /* not locked: it can be turned on */
	assert_int_equal(vmx_feature_check(FEATURE_LOCKED, &err), -EPERM);
	assert_string_equal(err.text, "VT-x (VMX) is turned off by the firmware: turn it on there");
	assert_int_equal(vmx_feature_check(FEATURE_LOCKED | 2, &err),
			 -EPERM); /* inside of SMX only */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_must_be_set_is_and_nothing_that_may_not),
		cmocka_unit_test(a_guest_exits_by_what_it_must_and_by_no_more),
		cmocka_unit_test(what_is_missing_has_its_name),
		cmocka_unit_test(cr3_that_must_exit_is_refused),
		cmocka_unit_test(an_older_cpu_does_without_what_is_only_good_to_have),
		cmocka_unit_test(the_firmware_decides),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
