/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/core/macros.h"
#include "engines/vmm/gdb_fake.h"

struct scene {
	struct fake_target fake;
	struct gdb gdb;
	char sent[FAKE_LOG_BYTES]; /* since the last ask() */
	size_t n_sent;
};

static void scene_send(struct gdb *gdb, const void *data, size_t len, void *arg)
{
	struct scene *s = arg;

	assert_ptr_equal(gdb, &s->gdb);
	assert_true(len < sizeof(s->sent) - s->n_sent);
	memcpy(s->sent + s->n_sent, data, len);
	s->n_sent += len;
	s->sent[s->n_sent] = '\0';
}

static bool feed_packet(struct scene *s, const char *payload, size_t len)
{
	struct gdb_text text = { 0 };
	char frame[GDB_FRAME_BYTES];

	gdb_text_add_n(&text, payload, len);
	return gdb_feed(&s->gdb, frame, gdb_frame(&text, frame));
}

/* Sends a packet; the answer's payload, NULL: there was none. */
static const char *ask(struct scene *s, const char *payload)
{
	static char answer[FAKE_LOG_BYTES];

	s->n_sent = 0;
	s->sent[0] = '\0';
	(void)feed_packet(s, payload, strlen(payload));
	const char *from = strchr(s->sent, '$'), *to = strrchr(s->sent, '#');
	if (!from || !to)
		return NULL;
	assert_true(to > from && strlen(to) == 3);
	(void)snprintf(answer, sizeof(answer), "%.*s", (int)(to - from - 1), from + 1);
	return answer;
}

#define SAYS(s, payload, want) assert_string_equal(ask(s, payload), want)

static void scene_init(struct scene *s)
{
	memset(s, 0, sizeof(*s));
	fake_target_init(&s->fake);
	gdb_init(&s->gdb, &s->fake.target, scene_send, s);
	assert_true(s->fake.held);
}

static void it_says_what_it_can(void **state)
{
	static struct scene s;

	(void)state;
	scene_init(&s);
	SAYS(&s, "qSupported:multiprocess+;swbreak+;hwbreak+;qRelocInsn+",
	     "PacketSize=1000;qXfer:features:read+;QStartNoAckMode+;vContSupported+;swbreak+;hwbreak"
	     "+");
	assert_int_equal(s.sent[0], '+');
	assert_true(s.gdb.swbreak);
	assert_non_null(ask(&s, "qSupported:noswbreak+;hwbreak-"));
	assert_false(s.gdb.swbreak);
	SAYS(&s, "vCont?", "vCont;c;C;s;S");
	SAYS(&s, "qAttached", "1");
	SAYS(&s, "?", "T05thread:1;");
	SAYS(&s, "vMustReplyEmpty", "");
	SAYS(&s, "qCRC:0,4", "");
	SAYS(&s, "!", "");
	SAYS(&s, "", "");
	SAYS(&s, "\x01", "");
	assert_int_equal(s.fake.resumes, 0);
}

static void acknowledgements_end_when_asked(void **state)
{
	static struct scene s;

	(void)state;
	scene_init(&s);
	SAYS(&s, "QStartNoAckMode", "OK");
	assert_int_equal(s.sent[0], '+');
	SAYS(&s, "QUnknown", "");
	assert_int_equal(s.sent[0], '$');
	s.n_sent = 0;
	assert_true(gdb_feed(&s.gdb, "-$qC#00", 7)); /* damaged: TCP does not do that */
	assert_int_equal(s.n_sent, 0);
}

static void a_lost_answer_is_sent_again(void **state)
{
	static struct scene s;

	(void)state;
	scene_init(&s);
	assert_true(gdb_feed(&s.gdb, "-", 1)); /* there was none yet */
	assert_int_equal(s.n_sent, 0);
	SAYS(&s, "qC", "QC1");
	s.n_sent = 0;
	assert_true(gdb_feed(&s.gdb, "-", 1));
	assert_string_equal(s.sent, "$QC1#c5");
	s.n_sent = 0;
	assert_true(gdb_feed(&s.gdb, "$qC#b5", 6));
	assert_int_equal(s.n_sent, 1);
	assert_int_equal(s.sent[0], '-');
}

static void the_description_comes_in_parts(void **state)
{
	static struct scene s;
	static char whole[8192];
	char request[64];
	size_t n = 0;

	(void)state;
	scene_init(&s);
	for (;;) {
		(void)snprintf(request, sizeof(request), "qXfer:features:read:target.xml:%zx,123",
			       n);
		const char *part = ask(&s, request);
		assert_true(part[0] == 'm' || part[0] == 'l');
		assert_true(strlen(part) - 1 <= 0x123);
		(void)snprintf(whole + n, sizeof(whole) - n, "%s", part + 1);
		n = strlen(whole);
		if (part[0] == 'l')
			break;
		assert_in_range(n, 1, sizeof(whole) - 0x200);
	}
	assert_non_null(strstr(whole, "<architecture>i386:x86-64</architecture>"));
	assert_string_equal(whole + n - 9, "</target>");
	SAYS(&s, "qXfer:features:read:target.xml:fffff,10", "l");
	SAYS(&s, "qXfer:features:read:other.xml:0,10", "E00");
	SAYS(&s, "qXfer:features:read:target.xml:0", "E00");
}

static void vcpus_are_threads(void **state)
{
	static struct scene s;

	(void)state;
	scene_init(&s);
	SAYS(&s, "qfThreadInfo", "m1,2");
	SAYS(&s, "qsThreadInfo", "l");
	SAYS(&s, "qC", "QC1");
	SAYS(&s, "T2", "OK");
	SAYS(&s, "T3", "E03");
	SAYS(&s, "Hg2", "OK");
	SAYS(&s, "qC", "QC2");
	SAYS(&s, "Hg0", "OK"); /* any: as it was */
	SAYS(&s, "qC", "QC2");
	SAYS(&s, "Hc-1", "OK");
	SAYS(&s, "Hg3", "E16");
	SAYS(&s, "Hx1", "E16");
	s.fake.states[1].wait_sipi = true;
	SAYS(&s, "qThreadExtraInfo,2", "7663707520312c206e6f742073746172746564");
	SAYS(&s, "qThreadExtraInfo,9", "E16");
}

static void many_threads_take_many_replies(void **state)
{
	static struct scene s;
	unsigned n = 0;

	(void)state;
	scene_init(&s);
	s.fake.target.vcpus = GDB_VCPUS_MAX;
	for (const char *a = ask(&s, "qfThreadInfo"); *a == 'm'; a = ask(&s, "qsThreadInfo")) {
		for (; *a; a++)
			n += *a == 'm' || *a == ',';
		assert_in_range(n, 1, GDB_VCPUS_MAX);
	}
	assert_int_equal(n, GDB_VCPUS_MAX);
}

static void registers_are_read_and_written(void **state)
{
	static struct scene s;
	char request[FAKE_LOG_BYTES];

	(void)state;
	scene_init(&s);
	SAYS(&s, "p0", "0010000000000000");
	SAYS(&s, "p10", "0000010000000000");
	SAYS(&s, "P0=8877665544332211", "OK");
	assert_int_equal(s.fake.states[0].regs[X86_RAX], UINT64_C(0x1122334455667788));
	SAYS(&s, "Hg2", "OK");
	SAYS(&s, "p0", "0020000000000000");
	const char *all = ask(&s, "g");
	assert_memory_equal(all, "0020000000000000", 16);
	(void)snprintf(request, sizeof(request), "G%s", all);
	request[1] = 'f';
	SAYS(&s, request, "OK");
	assert_int_equal(s.fake.states[1].regs[X86_RAX], 0x20f0);
	assert_int_equal(s.fake.states[1].cr0, 0x80000011);
	request[20] = 'z';
	SAYS(&s, request, "E16");
	SAYS(&s, "pffff", "E16");
	SAYS(&s, "p", "E16");
	SAYS(&s, "P0", "E16");
	SAYS(&s, "P0=12", "E16");
}

static void memory_is_read_and_written_across_pages(void **state)
{
	static struct scene s;

	(void)state;
	scene_init(&s);
	SAYS(&s, "M10ffe,4:01020304", "OK");
	assert_memory_equal(&s.fake.ram[0xffe], "\1\2\3\4", 4);
	SAYS(&s, "m10ffd,6", "900102030490");
	SAYS(&s, "m13ffe,8", "9090"); /* what there is */
	SAYS(&s, "m14000,1", "E0e");
	SAYS(&s, "m0,1", "E0e");
	SAYS(&s, "M13fff,2:0000", "E0e");
	SAYS(&s, "m10000,0", "");
	SAYS(&s, "m10000,801", "E16"); /* would not fit */
	assert_int_equal(strlen(ask(&s, "m10000,800")), GDB_PACKET_BYTES);
	SAYS(&s, "M10000,2:00", "E16");
	SAYS(&s, "M10000,1:0000", "E16");
	SAYS(&s, "m10000", "E16");
	SAYS(&s, "mxyz", "E16");
}

static void binary_memory_takes_every_byte(void **state)
{
	static struct scene s;
	static const char packet[] = "X10010,6:$#}*\0\x03";

	(void)state;
	scene_init(&s);
	assert_true(feed_packet(&s, packet, sizeof(packet) - 1));
	assert_memory_equal(&s.fake.ram[0x10], "$#}*\0\x03", 6);
	assert_true(feed_packet(&s, "X10010,0:", 9));
	assert_non_null(strstr(s.sent, "$OK#"));
	SAYS(&s, "X10010,2:x", "E16");
}

static void a_breakpoint_is_an_int3_that_nobody_sees(void **state)
{
	static struct scene s;

	(void)state;
	scene_init(&s);
	SAYS(&s, "Z0,10020,1", "OK");
	SAYS(&s, "Z0,10020,1", "OK"); /* twice is once */
	assert_int_equal(s.fake.ram[0x20], 0xcc);
	assert_true(s.fake.software);
	assert_true(gdb_owns(&s.gdb, 0x20));
	assert_false(gdb_owns(&s.gdb, 0x21));
	SAYS(&s, "m1001f,3", "909090");
	SAYS(&s, "M1001f,3:111213", "OK");
	assert_memory_equal(&s.fake.ram[0x1f], "\x11\xcc\x13", 3);
	SAYS(&s, "m1001f,3", "111213");
	SAYS(&s, "z0,10020,1", "OK");
	assert_int_equal(s.fake.ram[0x20], 0x12);
	assert_false(s.fake.software);
	SAYS(&s, "z0,10020,1", "OK");
	SAYS(&s, "Z0,0,1", "E0e");
	SAYS(&s, "Z0,", "E16");
	SAYS(&s, "Z3,10020,1", ""); /* the CPU cannot watch reads alone */
	SAYS(&s, "Z5,10020,1", "");
}

static void code_that_changed_is_not_put_back(void **state)
{
	static struct scene s;

	(void)state;
	scene_init(&s);
	SAYS(&s, "Z0,10020,1", "OK");
	s.fake.ram[0x20] = 0x55;
	SAYS(&s, "z0,10020,1", "OK");
	assert_int_equal(s.fake.ram[0x20], 0x55);
}

static void breakpoints_run_out(void **state)
{
	static struct scene s;
	char request[32];

	(void)state;
	scene_init(&s);
	for (unsigned i = 0; i <= GDB_BREAKPOINTS; i++) {
		(void)snprintf(request, sizeof(request), "Z0,%x,1", 0x10000 + i);
		SAYS(&s, request, i < GDB_BREAKPOINTS ? "OK" : "E1c");
	}
	assert_int_equal(s.fake.ram[GDB_BREAKPOINTS], 0x90);
	for (unsigned i = 0; i <= DEBUG_POINTS; i++) {
		(void)snprintf(request, sizeof(request), "Z1,%x,1", 0x10000 + i);
		SAYS(&s, request, i < DEBUG_POINTS ? "OK" : "E1c");
	}
	gdb_fini(&s.gdb);
	for (unsigned i = 0; i <= GDB_BREAKPOINTS; i++)
		assert_int_equal(s.fake.ram[i], 0x90);
	assert_int_equal(s.fake.points[0].len | s.fake.points[3].len, 0);
	assert_false(s.fake.software);
	assert_false(s.fake.held);
}

static void assert_point(const struct scene *s, unsigned i, gva_t gva, uint8_t len,
			 enum debug_access access)
{
	assert_int_equal(s->fake.points[i].gva, gva);
	assert_int_equal(s->fake.points[i].len, len);
	assert_int_equal(s->fake.points[i].access, access);
}

static void hardware_breakpoints_are_the_engines(void **state)
{
	static struct scene s;

	(void)state;
	scene_init(&s);
	SAYS(&s, "Z1,10020,1", "OK");
	SAYS(&s, "Z1,10030,1", "OK");
	SAYS(&s, "Z1,10020,1", "OK");
	assert_point(&s, 0, 0x10020, 1, DEBUG_EXECUTE);
	assert_point(&s, 1, 0x10030, 1, DEBUG_EXECUTE);
	assert_int_equal(s.fake.points[2].len, 0);
	assert_int_equal(s.fake.ram[0x20], 0x90);
	SAYS(&s, "z1,10020,1", "OK");
	assert_point(&s, 0, 0x10030, 1, DEBUG_EXECUTE);
	assert_int_equal(s.fake.points[1].len, 0);
	SAYS(&s, "z1,99999,1", "OK");
	SAYS(&s, "Z1,0,1", "OK"); /* an address as any other */
	assert_point(&s, 0, 0, 1, DEBUG_EXECUTE);
}

static void watched_data_is_cut_as_the_cpu_takes_it(void **state)
{
	static struct scene s;

	(void)state;
	scene_init(&s);
	SAYS(&s, "Z2,10103,e", "OK"); /* 1 at ..03, 4 at ..04, 8 at ..08, 1 at ..10 */
	assert_point(&s, 0, 0x10103, 1, DEBUG_WRITE);
	assert_point(&s, 1, 0x10104, 4, DEBUG_WRITE);
	assert_point(&s, 2, 0x10108, 8, DEBUG_WRITE);
	assert_point(&s, 3, 0x10110, 1, DEBUG_WRITE);
	SAYS(&s, "Z4,10200,1", "E1c");
	assert_point(&s, 3, 0x10110, 1, DEBUG_WRITE); /* as it was */
	SAYS(&s, "Z2,10103,e", "OK");		      /* twice is once */
	SAYS(&s, "Z2,10108,8", "OK");		      /* a part of what is watched already */
	SAYS(&s, "z2,10103,e", "OK");
	assert_point(&s, 0, 0x10108, 8, DEBUG_WRITE); /* which stays */
	assert_int_equal(s.fake.points[1].len, 0);
	SAYS(&s, "Z4,10108,8", "OK"); /* another kind is another */
	assert_point(&s, 0, 0x10108, 8, DEBUG_READ_WRITE);
	assert_point(&s, 1, 0x10108, 8, DEBUG_WRITE);
	SAYS(&s, "Z2,10108,0", "E16");
	SAYS(&s, "Z2,10108", "E16");
	SAYS(&s, "Z2,ffffffffffffffff,2", "E16");
	SAYS(&s, "Z2,0,ffffffffffffffff", "E1c");
	gdb_fini(&s.gdb);
	for (unsigned i = 0; i < DEBUG_POINTS; i++)
		assert_int_equal(s.fake.points[i].len, 0);
}

static void a_watchpoint_says_what_was_touched(void **state)
{
	static struct scene s;

	(void)state;
	scene_init(&s);
	SAYS(&s, "Z4,10108,4", "OK");
	SAYS(&s, "Z2,10110,2", "OK");
	assert_null(ask(&s, "vCont;c"));
	s.fake.held = true;
	s.n_sent = 0;
	gdb_stopped(&s.gdb, GDB_STOP_POINT, 0, 1);
	assert_non_null(strstr(s.sent, "$T05thread:1;watch:10110;#"));
	SAYS(&s, "?", "T05thread:1;watch:10110;");
	assert_null(ask(&s, "vCont;c"));
	s.fake.held = true;
	s.n_sent = 0;
	gdb_stopped(&s.gdb, GDB_STOP_POINT, 1, 0);
	assert_non_null(strstr(s.sent, "$T05thread:2;awatch:10108;#"));
}

static void what_runs_is_what_was_said(void **state)
{
	static struct scene s;

	(void)state;
	scene_init(&s);
	assert_null(ask(&s, "c"));
	assert_false(s.fake.held);
	assert_memory_equal(s.fake.run, "\1\1", 2);
	SAYS(&s, "g", "E10"); /* it runs */
	s.fake.held = true;
	gdb_stopped(&s.gdb, GDB_STOP_STEP, 1, 0);
	SAYS(&s, "?", "T05thread:2;");

	assert_null(ask(&s, "s"));
	assert_memory_equal(s.fake.run, "\0\2", 2); /* the one that stopped */
	s.fake.held = true;
	gdb_stopped(&s.gdb, GDB_STOP_STEP, 1, 0);

	assert_null(ask(&s, "vCont;s:1;c"));
	assert_memory_equal(s.fake.run, "\2\1", 2);
	s.fake.held = true;
	gdb_stopped(&s.gdb, GDB_STOP_STEP, 0, 0);

	assert_null(ask(&s, "vCont;C05:2"));
	assert_memory_equal(s.fake.run, "\0\1", 2);
	s.fake.held = true;
	gdb_stopped(&s.gdb, GDB_STOP_STEP, 0, 0);

	assert_null(ask(&s, "c10040"));
	assert_int_equal(s.fake.states[0].rip, 0x10040);
	s.fake.held = true;
	gdb_stopped(&s.gdb, GDB_STOP_STEP, 0, 0);
	assert_null(ask(&s, "S05;10050"));
	assert_int_equal(s.fake.states[0].rip, 0x10050);
	assert_memory_equal(s.fake.run, "\2\0", 2);
}

static void nonsense_does_not_run(void **state)
{
	static const char *const bad[] = {
		"vCont;", "vCont;x", "vCont;c:9", "vCont;Cz", "vCont;c:1c", "vCont;r1,2", "vContc",
	};
	static struct scene s;

	(void)state;
	scene_init(&s);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
		SAYS(&s, bad[i], "E16");
	assert_int_equal(s.fake.resumes, 0);
}

static void stops_say_why_and_where(void **state)
{
	static const struct {
		enum gdb_stop why;
		const char *plain, *with;
	} cases[] = {
		{ GDB_STOP_INTERRUPT, "$T02thread:2;#", "$T02thread:2;#" },
		{ GDB_STOP_STEP, "$T05thread:2;#", "$T05thread:2;#" },
		{ GDB_STOP_SOFTWARE, "$T05thread:2;#", "$T05thread:2;swbreak:;#" },
		{ GDB_STOP_POINT, "$T05thread:2;#", "$T05thread:2;hwbreak:;#" },
		{ GDB_STOP_CRASH, "$T0bthread:2;#", "$T0bthread:2;#" },
	};
	static struct scene s;

	(void)state;
	for (unsigned i = 0; i < 2 * ARRAY_SIZE(cases); i++) {
		scene_init(&s);
		(void)ask(&s, i & 1 ? "qSupported:swbreak+;hwbreak+" : "qSupported");
		assert_null(ask(&s, "vCont;c"));
		s.fake.held = true;
		s.n_sent = 0;
		gdb_stopped(&s.gdb, cases[i / 2].why, 1, 0);
		assert_non_null(strstr(s.sent, i & 1 ? cases[i / 2].with : cases[i / 2].plain));
		SAYS(&s, "qC", "QC2");
		s.n_sent = 0;
		gdb_stopped(&s.gdb, GDB_STOP_STEP, 0, 0); /* nobody waits for it */
		assert_int_equal(s.n_sent, 0);
	}
}

static void an_interrupt_stops_what_runs(void **state)
{
	static struct scene s;

	(void)state;
	scene_init(&s);
	assert_true(gdb_feed(&s.gdb, "\x03", 1)); /* nothing does */
	assert_int_equal(s.n_sent, 0);
	assert_null(ask(&s, "vCont;c"));
	s.n_sent = 0;
	assert_true(gdb_feed(&s.gdb, "\x03", 1));
	assert_true(s.fake.held);
	assert_string_equal(s.sent, "$T02thread:1;#d4");
}

static void detaching_leaves_no_trace(void **state)
{
	static struct scene s;

	(void)state;
	scene_init(&s);
	SAYS(&s, "Z0,10020,1", "OK");
	s.n_sent = 0;
	assert_false(feed_packet(&s, "D", 1));
	assert_non_null(strstr(s.sent, "$OK#"));
	assert_false(feed_packet(&s, "g", 1)); /* it is over */
	gdb_fini(&s.gdb);
	assert_int_equal(s.fake.ram[0x20], 0x90);
	assert_false(s.fake.held);
	assert_memory_equal(s.fake.run, "\1\1", 2);
	assert_int_equal(s.fake.kills, 0);
	gdb_fini(&s.gdb); /* twice is once */
	assert_int_equal(s.fake.resumes, 1);
}

static void killing_ends_the_machine(void **state)
{
	static struct scene s;

	(void)state;
	scene_init(&s);
	assert_false(feed_packet(&s, "k", 1));
	assert_int_equal(s.fake.kills, 1);
	gdb_fini(&s.gdb);
	assert_int_equal(s.fake.resumes, 0);

	scene_init(&s);
	assert_null(ask(&s, "c"));
	assert_false(feed_packet(&s, "k", 1)); /* also while it runs */
	assert_int_equal(s.fake.kills, 1);

	scene_init(&s);
	SAYS(&s, "vKill;1", "OK");
	assert_int_equal(s.fake.kills, 1);
}

static void the_end_is_told_to_who_waits(void **state)
{
	static struct scene s;

	(void)state;
	scene_init(&s);
	s.n_sent = 0;
	gdb_ended(&s.gdb, 0); /* nobody waits: the connection's end says it */
	assert_int_equal(s.n_sent, 0);
	gdb_fini(&s.gdb);
	assert_int_equal(s.fake.resumes, 0);

	scene_init(&s);
	assert_null(ask(&s, "c"));
	s.n_sent = 0;
	gdb_ended(&s.gdb, 0x21);
	assert_non_null(strstr(s.sent, "$W21#"));
	gdb_fini(&s.gdb);
	assert_int_equal(s.fake.resumes, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_says_what_it_can),
		cmocka_unit_test(acknowledgements_end_when_asked),
		cmocka_unit_test(a_lost_answer_is_sent_again),
		cmocka_unit_test(the_description_comes_in_parts),
		cmocka_unit_test(vcpus_are_threads),
		cmocka_unit_test(many_threads_take_many_replies),
		cmocka_unit_test(registers_are_read_and_written),
		cmocka_unit_test(memory_is_read_and_written_across_pages),
		cmocka_unit_test(binary_memory_takes_every_byte),
		cmocka_unit_test(a_breakpoint_is_an_int3_that_nobody_sees),
		cmocka_unit_test(code_that_changed_is_not_put_back),
		cmocka_unit_test(breakpoints_run_out),
		cmocka_unit_test(hardware_breakpoints_are_the_engines),
		cmocka_unit_test(watched_data_is_cut_as_the_cpu_takes_it),
		cmocka_unit_test(a_watchpoint_says_what_was_touched),
		cmocka_unit_test(what_runs_is_what_was_said),
		cmocka_unit_test(nonsense_does_not_run),
		cmocka_unit_test(stops_say_why_and_where),
		cmocka_unit_test(an_interrupt_stops_what_runs),
		cmocka_unit_test(detaching_leaves_no_trace),
		cmocka_unit_test(killing_ends_the_machine),
		cmocka_unit_test(the_end_is_told_to_who_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
