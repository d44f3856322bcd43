/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "vmx/vmcs.h"
#include "vmx/vmx_format.h"

static void segments_go_there_and_back(void **state)
{
	static const uint32_t rights[] = { 0xa09b, 0xc093, 0x8b,   0x82,   0xf3,
					   0x93,   0x9b,   0xd0fb, 0x10000 };
	struct x86_segment s;
	(void)state;

	for (unsigned i = 0; i < sizeof(rights) / sizeof(rights[0]); i++) {
		vmx_segment_of(&s, rights[i], 0x1000, 0xffff, 0x10);
		assert_int_equal(vmx_access_of(&s), rights[i]);
		assert_true(s.base == 0x1000);
		assert_int_equal(s.selector, 0x10);
	}
	vmx_segment_of(&s, 0xa09b, 0, UINT32_MAX, 8);
	assert_true(s.l && s.g && s.s && s.present && !s.db && !s.unusable);
	assert_int_equal(s.type, 0xb);
	vmx_segment_of(&s, 0xf3, 0, 0xffff, 0);
	assert_int_equal(s.dpl, 3);
	/* what an unusable one says besides is nothing */
	vmx_segment_of(&s, VMX_ACCESS_UNUSABLE | VMX_ACCESS_PRESENT, 0, 0, 0);
	assert_true(s.unusable && !s.present);
}

static void a_segment_that_is_not_present_is_unusable(void **state)
{
	const struct x86_segment s = { .type = 3, .s = true };
	(void)state;

	assert_int_equal(vmx_access_of(&s), VMX_ACCESS_UNUSABLE);
}

static void what_a_cpu_would_not_have_loaded_is_made_fit(void **state)
{
	struct x86_segment s = { .type = 0xa, .s = true, .present = true, .limit = 0x12345678 };
	(void)state;

	vmx_segment_fit(&s);
	assert_int_equal(s.type, 0xb);
	assert_true(s.g);
	assert_int_equal(s.limit, 0x12345fff);
	s = (struct x86_segment){
		.type = 3, .s = true, .present = true, .limit = 0x1234, .g = true
	};
	vmx_segment_fit(&s);
	assert_false(s.g);
	s = (struct x86_segment){ .unusable = true, .limit = 0x12345678 };
	vmx_segment_fit(&s);
	assert_int_equal(s.limit, 0x12345678);

	s = (struct x86_segment){ .type = 9, .present = true, .limit = 0x67 };
	vmx_task_fit(&s);
	assert_int_equal(vmx_access_of(&s), 0x8b);
	s = (struct x86_segment){ .unusable = true };
	vmx_task_fit(&s);
	assert_int_equal(vmx_access_of(&s), 0x8b);
	assert_int_equal(s.limit, 0xffff);
}

static void events_have_their_type_and_no_error_code_in_real_mode(void **state)
{
	struct hw_event fault = { HW_EVENT_EXCEPTION, 13, true, 0x18 };
	struct hw_event irq = { .type = HW_EVENT_IRQ, .vector = 0x30 };
	struct hw_event nmi = { .type = HW_EVENT_NMI, .vector = 2 };
	(void)state;

	assert_int_equal(vmx_event_info(&fault, false), 0x80000b0d);
	assert_int_equal(vmx_event_info(&fault, true), 0x8000030d);
	assert_int_equal(vmx_event_info(&irq, false), 0x80000030);
	assert_int_equal(vmx_event_info(&nmi, false), 0x80000202);
}

static void an_event_that_did_not_arrive_is_given_again(void **state)
{
	struct hw_event e = { 0 };
	(void)state;

	assert_true(vmx_event_of(0x80000b0e, 6, &e));
	assert_int_equal(e.type, HW_EVENT_EXCEPTION);
	assert_int_equal(e.vector, 14);
	assert_true(e.has_error);
	assert_int_equal(e.error, 6);
	assert_true(vmx_event_of(0x80000030, 6, &e));
	assert_int_equal(e.type, HW_EVENT_IRQ);
	assert_false(e.has_error);
	assert_int_equal(e.error, 0);
	assert_true(vmx_event_of(0x80000202, 0, &e));
	assert_int_equal(e.type, HW_EVENT_NMI);
}

static void an_instructions_event_is_not(void **state)
{
	struct hw_event e = { .type = HW_EVENT_NONE };
	(void)state;

	assert_false(vmx_event_of(0x0000030e, 0, &e)); /* not valid */
	assert_false(vmx_event_of(0x80000480, 0, &e)); /* INT n */
	assert_false(vmx_event_of(0x80000501, 0, &e)); /* INT1 */
	assert_false(vmx_event_of(0x80000603, 0, &e)); /* INT3 */
	assert_false(vmx_event_of(0x80000700, 0, &e)); /* no such type */
	assert_int_equal(e.type, HW_EVENT_NONE);
}

static void an_instructions_event_is_told_from_others(void **state)
{
	(void)state;
	assert_true(vmx_event_is_insn(0x80000441)); /* INT 0x41 */
	assert_true(vmx_event_is_insn(0x80000501)); /* INT1 */
	assert_true(vmx_event_is_insn(0x80000603)); /* INT3 */
	assert_false(vmx_event_is_insn(0x80000041));
	assert_false(vmx_event_is_insn(0x80000202));
	assert_false(vmx_event_is_insn(0x80000b0d));
	assert_false(vmx_event_is_insn(0x00000603));
}

static void task_switches(void **state)
{
	static const uint8_t whys[] = { HW_TASK_CALL, HW_TASK_IRET, HW_TASK_JMP, HW_TASK_GATE };
	struct hw_task task;

	(void)state;
	for (uint64_t i = 0; i < 4; i++) {
		vmx_task_of(i << 30 | 0x1234, &task);
		assert_int_equal(task.why, whys[i]);
		assert_int_equal(task.selector, 0x1234);
	}
}

static void ports(void **state)
{
	struct hw_exit e = { 0 };
	(void)state;

	vmx_io_of(0x03f80000, &e);
	assert_int_equal(e.pio.port, 0x3f8);
	assert_int_equal(e.pio.len, 1);
	assert_true(e.pio.is_write && !e.pio.is_string);
	vmx_io_of(0xffff003b, &e);
	assert_int_equal(e.pio.port, 0xffff);
	assert_int_equal(e.pio.len, 4);
	assert_true(!e.pio.is_write && e.pio.is_string);
}

static void memory(void **state)
{
	struct hw_exit e = { 0 };
	(void)state;

	vmx_ept_of(0x181, &e); /* read by an instruction */
	assert_true(!e.npf.is_write && !e.npf.is_fetch && !e.npf.in_walk);
	vmx_ept_of(0x182, &e);
	assert_true(e.npf.is_write && !e.npf.in_walk);
	vmx_ept_of(0x184, &e);
	assert_true(e.npf.is_fetch);
	vmx_ept_of(0x83, &e); /* the accessed bit of a guest's page table */
	assert_true(e.npf.in_walk);
	vmx_ept_of(0x1, &e); /* PDPTEs */
	assert_true(e.npf.in_walk);
}

static void refusals_have_words(void **state)
{
	(void)state;
	assert_string_equal(vmx_insn_error(7), "entry with invalid controls");
	assert_string_equal(vmx_insn_error(5), "VMRESUME of a VMCS that was not launched");
	assert_string_equal(vmx_insn_error(0), "an error without a name");
	assert_string_equal(vmx_insn_error(14), "an error without a name");
	assert_string_equal(vmx_insn_error(UINT32_MAX), "an error without a name");
}

static struct vmx_entry_state good(void)
{
	struct vmx_entry_state s = {
		.cr0 = 0x80000031,
		.cr4 = 0x2020,
		.efer = X86_EFER_LME | X86_EFER_LMA,
		.rflags = 2,
		.rip = 0x100000,
		.dr7 = 0x400,
		.entry = VMX_ENTRY_GUEST_64,
	};

	vmx_segment_of(&s.cs, 0xa09b, 0, UINT32_MAX, 8);
	vmx_segment_of(&s.ss, 0xc093, 0, UINT32_MAX, 16);
	vmx_segment_of(&s.tr, 0x8b, 0, 0x67, 24);
	vmx_segment_of(&s.ldt, 0x10000, 0, 0, 0);
	return s;
}

#define SAYS(what)                                                                                 \
	assert_string_equal(vmx_state_fault(&s), "the CPU refuses the guest's state" what)

static void what_is_wrong_with_a_state_is_found(void **state)
{
	struct vmx_entry_state s = good();
	(void)state;

	SAYS(""); /* nothing that is looked at */
	s.entry = 0;
	SAYS(": EFER, CR0 and CR4 disagree about long mode");
	s = good();
	s.cr0 &= ~X86_CR0_PE;
	SAYS(": CR0 has paging without protection");
	s = good();
	s.cr4 = 0x2000;
	SAYS(": EFER, CR0 and CR4 disagree about long mode");
	s = good();
	s.rflags = 0;
	SAYS(": RFLAGS");
	s.rflags = 0x20002; /* virtual 8086 in long mode */
	SAYS(": RFLAGS");
	s = good();
	s.rip = UINT64_C(0x8000000000000000);
	SAYS(": RIP");
	s = good();
	s.cs.l = false;
	s.rip = UINT64_C(0x100000000);
	SAYS(": RIP");
	s = good();
	s.cs.type = 2;
	SAYS(": CS");
	s = good();
	s.cs.dpl = 3;
	SAYS(": CS");
	s = good();
	s.tr.type = 9;
	SAYS(": TR");
	s = good();
	s.ldt = s.tr;
	SAYS(": LDTR");
	s = good();
	s.event = 0x80000030; /* with RFLAGS.IF clear */
	SAYS(": an event while events are blocked");
	s = good();
	s.dr7 = UINT64_C(0x100000400);
	SAYS(": DR7");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(segments_go_there_and_back),
		cmocka_unit_test(a_segment_that_is_not_present_is_unusable),
		cmocka_unit_test(what_a_cpu_would_not_have_loaded_is_made_fit),
		cmocka_unit_test(events_have_their_type_and_no_error_code_in_real_mode),
		cmocka_unit_test(an_event_that_did_not_arrive_is_given_again),
		cmocka_unit_test(an_instructions_event_is_not),
		cmocka_unit_test(an_instructions_event_is_told_from_others),
		cmocka_unit_test(task_switches),
		cmocka_unit_test(ports),
		cmocka_unit_test(memory),
		cmocka_unit_test(refusals_have_words),
		cmocka_unit_test(what_is_wrong_with_a_state_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
