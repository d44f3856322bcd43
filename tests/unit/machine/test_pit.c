/* SPDX-License-Identifier: Apache-2.0 */
/* Intel 8254 data sheet, Mode Definitions; the ticks are 838 ns long. */
#include "scratch.h"

#include <string.h>

#include "fake_clock.h"
#include "machine/bus.h"
#include "machine/pit.h"

struct scene {
	struct fake_clock clock;
	struct irq_sink sink;
	struct bus bus;
	struct pit pit;
	bool level;
	unsigned edges;
};

static void line(struct irq_sink *sink, uint32_t gsi, bool level)
{
	struct scene *s = container_of(sink, struct scene, sink);

	assert_int_equal(gsi, 0);
	s->edges += level && !s->level;
	s->level = level;
}

static void scene_init(struct scene *s)
{
	static const struct irq_sink_ops ops = { .line = line };

	memset(s, 0, sizeof(*s));
	fake_clock_init(&s->clock);
	s->sink.ops = &ops;
	pit_init(&s->pit, &s->sink, &s->clock.clock);
	assert_int_equal(bus_add(&s->bus, &s->pit.ports), 0);
	assert_int_equal(bus_add(&s->bus, &s->pit.port_b), 0);
}

static void out(struct scene *s, uint16_t port, uint8_t value)
{
	bus_write(&s->bus, port, 1, value);
}

static uint8_t in(struct scene *s, uint16_t port)
{
	return (uint8_t)bus_read(&s->bus, port, 1);
}

static unsigned in16(struct scene *s, uint16_t port)
{
	unsigned low = in(s, port);

	return low | (unsigned)in(s, port) << 8;
}

static void out16(struct scene *s, uint16_t port, unsigned value)
{
	out(s, port, value & 0xff);
	out(s, port, (uint8_t)(value >> 8));
}

/* To the moment of a tick, counted from the start of the clock. */
static void at(struct scene *s, uint64_t tick)
{
	uint64_t ns = (tick * 1000000000 + 1193181) / 1193182;

	assert_true(ns >= s->clock.now_ns);
	fake_clock_advance(&s->clock, ns - s->clock.now_ns);
}

static bool out2(struct scene *s)
{
	return in(s, 0x61) & 0x20;
}

/* As systems use it for their tick. */
static void mode_2_interrupts_at_its_rate(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s);
	out(&s, 0x43, 0x34);
	out16(&s, 0x40, 11932); /* 100 Hz */
	at(&s, 11931);
	assert_int_equal(s.edges, 0);
	assert_int_equal(in16(&s, 0x40), 1);
	at(&s, 11932);
	assert_int_equal(s.edges, 1);
	assert_int_equal(in16(&s, 0x40), 11932);
	at(&s, 11932 * 50);
	assert_int_equal(s.edges, 50);
	assert_true(s.level); /* it stays high: an edge-triggered PIC needs that */
}

static void mode_3_counts_by_two(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s);
	out(&s, 0x61, 1);
	out(&s, 0x43, 0xb6);
	out16(&s, 0x42, 1000);
	at(&s, 100);
	assert_int_equal(in16(&s, 0x42), 800);
	assert_true(out2(&s));
	at(&s, 499);
	assert_true(out2(&s));
	at(&s, 500);
	assert_false(out2(&s));
	assert_int_equal(in16(&s, 0x42), 1000);
	at(&s, 999);
	assert_false(out2(&s));
	at(&s, 1000);
	assert_true(out2(&s));
	out(&s, 0x43, 0xb6);
	out16(&s, 0x42, 5); /* odd: high for 3, low for 2 */
	at(&s, 1002);
	assert_true(out2(&s));
	at(&s, 1003);
	assert_false(out2(&s));
	at(&s, 1005);
	assert_true(out2(&s));
}

/* Interrupt on Terminal Count: how systems measure the TSC with channel 2. */
static void mode_0_on_the_gated_channel(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s);
	out(&s, 0x61, 0x01);
	out(&s, 0x43, 0xb0);
	assert_false(out2(&s));
	out16(&s, 0x42, 1000);
	at(&s, 600);
	assert_int_equal(in16(&s, 0x42), 400);
	out(&s, 0x61, 0x00); /* the gate stops it */
	at(&s, 5000);
	assert_int_equal(in16(&s, 0x42), 400);
	assert_false(out2(&s));
	out(&s, 0x61, 0x01);
	at(&s, 5399);
	assert_false(out2(&s));
	at(&s, 5400);
	assert_true(out2(&s));
	at(&s, 5401);
	assert_int_equal(in16(&s, 0x42), 0xffff); /* it wraps and goes on */
	assert_true(out2(&s));
	out(&s, 0x42, 10); /* the first byte of a new count stops it and lowers the output */
	assert_false(out2(&s));
	out(&s, 0x42, 0);
	at(&s, 5411);
	assert_true(out2(&s));
}

static void mode_0_interrupts_once(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s);
	out(&s, 0x43, 0x30);
	out16(&s, 0x40, 2000);
	at(&s, 1999);
	assert_int_equal(s.edges, 0);
	at(&s, 2000);
	assert_int_equal(s.edges, 1);
	at(&s, 200000);
	assert_int_equal(s.edges, 1);
	assert_true(s.level);
	out16(&s, 0x40, 100);
	assert_false(s.level);
	at(&s, 200100);
	assert_int_equal(s.edges, 2);
}

/* Software Triggered Strobe. */
static void mode_4_strobes(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s);
	out(&s, 0x43, 0x38);
	out16(&s, 0x40, 1000);
	at(&s, 1000);
	assert_int_equal(s.edges, 0);
	at(&s, 1001);
	assert_int_equal(s.edges, 1);
	at(&s, 100000);
	assert_int_equal(s.edges, 1);
	out16(&s, 0x40, 1000);
	at(&s, 101001);
	assert_int_equal(s.edges, 2);
}

/* Modes 1 and 5 wait for their gate. */
static void gate_triggers_the_one_shot_and_the_strobe(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s);
	out(&s, 0x43, 0xb2);
	out16(&s, 0x42, 100);
	at(&s, 500);
	assert_true(out2(&s));
	out(&s, 0x61, 1);
	assert_false(out2(&s));
	at(&s, 550);
	out(&s, 0x61, 0);
	out(&s, 0x61, 1); /* again, from the start */
	at(&s, 649);
	assert_false(out2(&s));
	out16(&s, 0x42, 200); /* for the next trigger */
	at(&s, 650);
	assert_true(out2(&s));
	out(&s, 0x61, 0);
	out(&s, 0x61, 1);
	at(&s, 849);
	assert_false(out2(&s));
	at(&s, 850);
	assert_true(out2(&s));

	out(&s, 0x43, 0xba);
	out16(&s, 0x42, 100);
	at(&s, 1000);
	out(&s, 0x61, 0);
	out(&s, 0x61, 1);
	at(&s, 1099);
	assert_true(out2(&s));
	at(&s, 1100);
	assert_false(out2(&s));
	at(&s, 1101);
	assert_true(out2(&s));
}

static void gate_restarts_the_rate(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s);
	out(&s, 0x61, 1);
	out(&s, 0x43, 0xb4);
	out16(&s, 0x42, 1000);
	at(&s, 700);
	out(&s, 0x61, 0);
	assert_true(out2(&s));
	at(&s, 999);
	assert_true(out2(&s));
	out(&s, 0x61, 1);
	at(&s, 1997);
	assert_true(out2(&s));
	at(&s, 1998);
	assert_false(out2(&s));
}

/* A count written to modes 2 and 3 waits for the end of the period. */
static void a_new_rate_waits_for_the_period(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s);
	out(&s, 0x43, 0x34);
	out16(&s, 0x40, 1000);
	at(&s, 300);
	out16(&s, 0x40, 400);
	out(&s, 0x43, 0xe2);			     /* read-back: status of channel 0 */
	assert_int_equal(in(&s, 0x40) & 0x40, 0x40); /* null count: not loaded yet */
	assert_int_equal(in16(&s, 0x40), 700);
	at(&s, 1000);
	assert_int_equal(s.edges, 1);
	out(&s, 0x43, 0xe2);
	assert_int_equal(in(&s, 0x40) & 0x40, 0);
	assert_int_equal(in16(&s, 0x40), 400);
	at(&s, 1400);
	assert_int_equal(s.edges, 2);
	at(&s, 1800);
	assert_int_equal(s.edges, 3);
}

static void latches_hold_a_count(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s);
	out(&s, 0x43, 0x34);
	out16(&s, 0x40, 0); /* 65536 */
	at(&s, 1);
	assert_int_equal(in16(&s, 0x40), 0xffff);
	at(&s, 0x1111);
	out(&s, 0x43, 0x00);
	at(&s, 0x2222);
	out(&s, 0x43, 0x00); /* the second latch changes nothing */
	assert_int_equal(in16(&s, 0x40), 0x10000 - 0x1111);
	assert_int_equal(in16(&s, 0x40), 0x10000 - 0x2222);
}

/* Read-Back Command: status first, then the count. */
static void read_back_gives_status_and_count(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s);
	out(&s, 0x61, 1);
	out(&s, 0x43, 0x34);
	out16(&s, 0x40, 1000);
	out(&s, 0x43, 0x96); /* channel 2: low byte only, mode 3 */
	out(&s, 0x42, 100);
	at(&s, 60);
	out(&s, 0x43, 0xca); /* both of channels 0 and 2 */
	at(&s, 90);
	assert_int_equal(in(&s, 0x40), 0xb4);
	assert_int_equal(in16(&s, 0x40), 940);
	assert_int_equal(in(&s, 0x42), 0x16); /* low in its second half */
	assert_int_equal(in(&s, 0x42), 80);
	out(&s, 0x43, 0xe8); /* status only */
	assert_int_equal(in(&s, 0x42), 0x16);
	assert_int_equal(in(&s, 0x42), 20);
}

static void single_bytes(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s);
	out(&s, 0x43, 0x20); /* high byte only */
	out(&s, 0x40, 0x12);
	at(&s, 0x100);
	assert_int_equal(in(&s, 0x40), 0x11);
	assert_int_equal(in(&s, 0x40), 0x11);
	assert_int_equal(in(&s, 0x43), 0xff);
}

static void bcd_counts(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s);
	out(&s, 0x43, 0x31); /* mode 0 */
	out16(&s, 0x40, 0x1000);
	at(&s, 1);
	assert_int_equal(in16(&s, 0x40), 0x0999);
	at(&s, 1000);
	assert_int_equal(s.edges, 1);
	at(&s, 1001);
	assert_int_equal(in16(&s, 0x40), 0x9999);
	out16(&s, 0x40, 0); /* ten thousand */
	at(&s, 11000);
	assert_int_equal(s.edges, 1);
	at(&s, 11001);
	assert_int_equal(s.edges, 2);
}

static void port_61(void **state)
{
	struct scene s;
	unsigned toggles = 0;
	uint8_t last = 0;

	(void)state;
	scene_init(&s);
	out(&s, 0x61, 0xff);
	assert_int_equal(in(&s, 0x61) & 0xcf, 0x0f);
	out(&s, 0x61, 0x02);
	assert_int_equal(in(&s, 0x61) & 0x0f, 0x02);
	for (unsigned i = 1; i <= 180; i++) {
		at(&s, i);
		uint8_t now = in(&s, 0x61) & 0x10;
		toggles += now != last;
		last = now;
	}
	assert_int_equal(toggles, 10);
}

static void a_mad_rate_does_not_flood(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s);
	out(&s, 0x43, 0x14);
	out(&s, 0x40, 1); /* illegal: taken as 2 */
	assert_in_range(fake_clock_advance(&s.clock, 10000000), 90, 101);
	pit_reset(&s.pit);
	assert_int_equal(fake_clock_advance(&s.clock, 10000000), 0);
	assert_false(s.level);
	out(&s, 0x43, 0x14);
	out(&s, 0x40, 200);
	pit_fini(&s.pit);
	assert_int_equal(s.clock.n, 0);
}

/* 100 days later nothing has overflowed. */
static void it_keeps_time(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s);
	s.clock.now_ns = UINT64_C(100) * 86400 * 1000000000;
	out(&s, 0x43, 0x30);
	out16(&s, 0x40, 59659); /* 50 ms */
	fake_clock_advance(&s.clock, 49999000);
	assert_int_equal(s.edges, 0);
	fake_clock_advance(&s.clock, 2000);
	assert_int_equal(s.edges, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mode_2_interrupts_at_its_rate),
		cmocka_unit_test(mode_3_counts_by_two),
		cmocka_unit_test(mode_0_on_the_gated_channel),
		cmocka_unit_test(mode_0_interrupts_once),
		cmocka_unit_test(mode_4_strobes),
		cmocka_unit_test(gate_triggers_the_one_shot_and_the_strobe),
		cmocka_unit_test(gate_restarts_the_rate),
		cmocka_unit_test(a_new_rate_waits_for_the_period),
		cmocka_unit_test(latches_hold_a_count),
		cmocka_unit_test(read_back_gives_status_and_count),
		cmocka_unit_test(single_bytes),
		cmocka_unit_test(bcd_counts),
		cmocka_unit_test(port_61),
		cmocka_unit_test(a_mad_rate_does_not_flood),
		cmocka_unit_test(it_keeps_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
