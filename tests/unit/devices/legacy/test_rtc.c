/* SPDX-License-Identifier: Apache-2.0 */
/* Motorola MC146818 data sheet. The scene begins at Friday, 30 June 2023, 23:59:50 UTC. */
#include "scratch.h"

#include <errno.h>
#include <string.h>

#include "devices/legacy/rtc.h"
#include "devices/legacy/rtc_calendar.h"
#include "fake_clock.h"
#include "machine/bus.h"

#define START INT64_C(1688169590)
#define S     UINT64_C(1000000000)

struct scene {
	struct fake_clock clock;
	struct irq_sink sink;
	struct bus bus;
	struct rtc rtc;
	bool level;
	unsigned edges;
};

static void line(struct irq_sink *sink, uint32_t gsi, bool level)
{
	struct scene *s = container_of(sink, struct scene, sink);

	assert_int_equal(gsi, 8);
	assert_int_not_equal(s->level, level);
	s->level = level;
	s->edges += level;
}

static void scene_init(struct scene *s)
{
	static const struct irq_sink_ops ops = { .line = line };

	memset(s, 0, sizeof(*s));
	fake_clock_init(&s->clock);
	s->clock.wall_s = START;
	s->sink.ops = &ops;
	assert_int_equal(rtc_init(&s->rtc, &s->bus, &s->sink, &s->clock.clock, 0x20000000,
				  0x180000000, NULL),
			 0);
}

static uint8_t get(struct scene *s, uint8_t reg)
{
	bus_write(&s->bus, 0x70, 1, reg);
	return (uint8_t)bus_read(&s->bus, 0x71, 1);
}

static void set(struct scene *s, uint8_t reg, uint8_t value)
{
	bus_write(&s->bus, 0x70, 1, reg | 0x80);
	bus_write(&s->bus, 0x71, 1, value);
}

/* Hours, minutes, seconds as one number. */
static unsigned hms(struct scene *s)
{
	return (unsigned)get(s, 4) << 16 | (unsigned)get(s, 2) << 8 | get(s, 0);
}

static void shows_the_wall_clock_in_bcd(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s);
	assert_int_equal(hms(&s), 0x235950);
	assert_int_equal(get(&s, 6), 6); /* Friday */
	assert_int_equal(get(&s, 7), 0x30);
	assert_int_equal(get(&s, 8), 0x06);
	assert_int_equal(get(&s, 9), 0x23);
	assert_int_equal(get(&s, 0x32), 0x20);
	assert_int_equal(get(&s, 0x0a), 0x26);
	assert_int_equal(get(&s, 0x0b), 0x02);
	assert_int_equal(get(&s, 0x0d), 0x80);
	fake_clock_advance(&s.clock, 10 * S);
	assert_int_equal(hms(&s), 0);
	assert_int_equal(get(&s, 6), 7);
	assert_int_equal(get(&s, 7), 0x01);
	assert_int_equal(get(&s, 8), 0x07);
}

static void binary_and_twelve_hours(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s);
	set(&s, 0x0b, 0x06);
	assert_int_equal(hms(&s), 23 << 16 | 59 << 8 | 50);
	assert_int_equal(get(&s, 0x32), 20);
	set(&s, 0x0b, 0x04);
	assert_int_equal(get(&s, 4), 0x80 | 11);
	set(&s, 0x0b, 0x00);
	assert_int_equal(get(&s, 4), 0x91);
	fake_clock_advance(&s.clock, 10 * S);
	assert_int_equal(get(&s, 4), 0x12); /* midnight */
	fake_clock_advance(&s.clock, 12 * 3600 * S);
	assert_int_equal(get(&s, 4), 0x92); /* noon */
}

/* As operating systems set it: SET, divider held, registers, and let go. */
static void is_set_by_the_guest(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s);
	fake_clock_advance(&s.clock, S / 4);
	set(&s, 0x0b, 0x82);
	set(&s, 0x0a, 0x76);
	set(&s, 0, 0x58);
	set(&s, 2, 0x59);
	set(&s, 4, 0x23);
	set(&s, 7, 0x28);
	set(&s, 8, 0x02);
	set(&s, 9, 0x00);
	set(&s, 0x32, 0x20);
	fake_clock_advance(&s.clock, 10 * S);
	assert_int_equal(hms(&s), 0x235958);
	set(&s, 0x0b, 0x02);
	assert_int_equal(hms(&s), 0x235958); /* still held */
	set(&s, 0x0a, 0x26);
	fake_clock_advance(&s.clock, S / 2 - 1);
	assert_int_equal(hms(&s), 0x235958);
	fake_clock_advance(&s.clock, 1); /* half a second after */
	assert_int_equal(hms(&s), 0x235959);
	fake_clock_advance(&s.clock, S);
	assert_int_equal(hms(&s), 0);
	assert_int_equal(get(&s, 7), 0x29); /* 2000 was a leap year */
	assert_int_equal(get(&s, 6), 3);    /* a Tuesday */
}

static void a_single_register_written_while_it_runs(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s);
	fake_clock_advance(&s.clock, S / 2);
	set(&s, 4, 0x07);
	assert_int_equal(hms(&s), 0x075950);
	fake_clock_advance(&s.clock, S / 2);
	assert_int_equal(hms(&s), 0x075951); /* it did not lose its phase */
	set(&s, 8, 0x02);		     /* the 30th of February */
	assert_int_equal(get(&s, 7), 0x28);
}

static void mad_values_make_some_time(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s);
	set(&s, 0x0b, 0x86);
	for (uint8_t reg = 0; reg < 10; reg++)
		set(&s, reg, 0xff);
	set(&s, 0x32, 0xff);
	set(&s, 0x0b, 0x06);
	fake_clock_advance(&s.clock, S);
	assert_in_range(get(&s, 4), 0, 23);
	assert_in_range(get(&s, 8), 1, 12);
	assert_in_range(get(&s, 7), 1, 31);
	set(&s, 0x0b, 0x82);
	for (uint8_t reg = 0; reg < 10; reg++)
		set(&s, reg, 0);
	set(&s, 0x0b, 0x02);
	assert_int_equal(get(&s, 7), 1);
	assert_int_equal(get(&s, 8), 1);
}

static void update_in_progress_comes_before_the_second_turns(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s);
	fake_clock_advance(&s.clock, S - 2228001);
	assert_int_equal(get(&s, 0x0a), 0x26);
	fake_clock_advance(&s.clock, 1);
	assert_int_equal(get(&s, 0x0a), 0xa6);
	fake_clock_advance(&s.clock, 2228000);
	assert_int_equal(get(&s, 0x0a), 0x26);
	set(&s, 0x0b, 0x82);
	fake_clock_advance(&s.clock, S - 1000);
	assert_int_equal(get(&s, 0x0a), 0x26);
}

static void flags_without_interrupts(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s);
	assert_int_equal(get(&s, 0x0c), 0);
	fake_clock_advance(&s.clock, 1000000);
	assert_int_equal(get(&s, 0x0c), 0x40);
	assert_int_equal(get(&s, 0x0c), 0);
	fake_clock_advance(&s.clock, S);
	assert_int_equal(get(&s, 0x0c), 0x50);
	fake_clock_advance(&s.clock, 86400 * S); /* the alarm registers hold midnight */
	assert_int_equal(get(&s, 0x0c), 0x70);
	assert_int_equal(s.edges, 0);
	assert_int_equal(s.clock.n, 0); /* and nobody was woken for it */
}

static void periodic_interrupts_wait_for_their_acknowledgement(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s);
	set(&s, 0x0b, 0x42);
	assert_int_equal(fake_clock_advance(&s.clock, 10 * S), 1);
	assert_true(s.level);
	assert_int_equal(get(&s, 0x0c) & 0xc0, 0xc0);
	assert_false(s.level);
	for (unsigned i = 0; i < 1024; i++) {
		fake_clock_advance(&s.clock, S / 1024 + 1);
		assert_true(s.level);
		(void)get(&s, 0x0c);
	}
	assert_int_equal(s.edges, 1025);
	set(&s, 0x0a, 0x20); /* no rate */
	assert_int_equal(fake_clock_advance(&s.clock, S), 0);
}

static void every_rate(void **state)
{
	static const uint16_t hz[16] = { 0,   256, 128, 8192, 4096, 2048, 1024, 512,
					 256, 128, 64,	32,   16,   8,	  4,	2 };
	struct scene s;

	(void)state;
	for (unsigned rate = 0; rate < 16; rate++) {
		scene_init(&s);
		set(&s, 0x0a, (uint8_t)(0x20 | rate));
		set(&s, 0x0b, 0x42);
		uint64_t end = s.clock.now_ns + S;
		while (s.clock.n && s.clock.armed[0]->deadline_ns <= end) {
			fake_clock_advance(&s.clock,
					   s.clock.armed[0]->deadline_ns - s.clock.now_ns);
			(void)get(&s, 0x0c);
		}
		assert_int_equal(s.edges, hz[rate]);
	}
}

static void update_ended_interrupts_each_second(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s);
	fake_clock_advance(&s.clock, S / 3);
	set(&s, 0x0b, 0x12);
	fake_clock_advance(&s.clock, S - S / 3 - 1);
	assert_false(s.level);
	fake_clock_advance(&s.clock, 1);
	assert_true(s.level);
	assert_int_equal(get(&s, 0x0c) & 0x90, 0x90);
	assert_int_equal(hms(&s), 0x235951);
	set(&s, 0x0b, 0x92); /* SET takes the enable away */
	assert_int_equal(get(&s, 0x0b), 0x82);
}

static void alarm_at_a_time(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s);
	set(&s, 1, 0x05);
	set(&s, 3, 0x01);
	set(&s, 5, 0x06);
	set(&s, 0x0b, 0x22);
	assert_int_equal(fake_clock_advance(&s.clock, (6 * 3600 + 75) * S - 1), 0);
	assert_false(s.level);
	assert_int_equal(fake_clock_advance(&s.clock, 1), 1);
	assert_true(s.level);
	assert_int_equal(hms(&s), 0x060105);
	assert_int_equal(get(&s, 0x0c) & 0xa0, 0xa0);
	assert_int_equal(fake_clock_advance(&s.clock, 86400 * S - 1), 0);
	assert_int_equal(fake_clock_advance(&s.clock, 1), 1);
}

static void alarm_with_bytes_that_do_not_count(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s);
	set(&s, 1, 0x30);
	set(&s, 3, 0xff);
	set(&s, 5, 0xc0);
	set(&s, 0x0b, 0x22);
	assert_int_equal(fake_clock_advance(&s.clock, 40 * S), 1);
	assert_int_equal(hms(&s), 0x000030);
	(void)get(&s, 0x0c);
	assert_int_equal(fake_clock_advance(&s.clock, 60 * S - 1), 0);
	assert_int_equal(fake_clock_advance(&s.clock, 1), 1);
	(void)get(&s, 0x0c);
	set(&s, 5, 0x77); /* no such hour */
	assert_int_equal(fake_clock_advance(&s.clock, 200000 * S), 0);
	set(&s, 0x0b, 0x20); /* 12 hours: 1 in the afternoon */
	set(&s, 1, 0);
	set(&s, 3, 0);
	set(&s, 5, 0x81);
	fake_clock_advance(&s.clock, 86400 * S);
	assert_true(s.level);
	fake_clock_advance(&s.clock, 0);
}

/* The host slept, or the machine was paused: the wall clock went on. */
static void follows_a_wall_clock_that_jumps(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s);
	set(&s, 4, 0x10);
	s.clock.wall_s += 3600;
	assert_int_equal(hms(&s), 0x105950 + 0x010000);
	s.clock.wall_s -= 3600;
	assert_int_equal(hms(&s), 0x105950);
	s.clock.wall_s += 1; /* rounding, no jump */
	assert_int_equal(hms(&s), 0x105950);
}

static void memory_is_told_as_by_a_bios(void **state)
{
	struct scene s;
	unsigned sum = 0;

	(void)state;
	scene_init(&s);
	assert_int_equal(get(&s, 0x15) | get(&s, 0x16) << 8, 640);
	assert_int_equal(get(&s, 0x17) | get(&s, 0x18) << 8, 0xffff);
	assert_int_equal(get(&s, 0x30) | get(&s, 0x31) << 8, 0xffff);
	assert_int_equal(get(&s, 0x34) | get(&s, 0x35) << 8, (0x20000000 - 0x1000000) >> 16);
	assert_int_equal(get(&s, 0x5b) | get(&s, 0x5c) << 8 | get(&s, 0x5d) << 16, 0x18000);
	for (uint8_t i = 0x10; i < 0x2e; i++)
		sum += get(&s, i);
	assert_int_equal(get(&s, 0x2e) << 8 | get(&s, 0x2f), sum);
	set(&s, 0x7f, 0xa5);
	assert_int_equal(get(&s, 0x7f), 0xa5);
	rtc_cmos_set(&s.rtc, 0x5f, 3);
	rtc_cmos_set(&s.rtc, 0x0d, 3);
	rtc_cmos_set(&s.rtc, 128, 3);
	assert_int_equal(get(&s, 0x5f), 3);
	assert_int_equal(get(&s, 0x0d), 0x80);
	assert_int_equal(bus_read(&s.bus, 0x70, 1), 0xff);
	bus_write(&s.bus, 0x70, 2, 0x5a7e); /* index and data in one */
	assert_int_equal(get(&s, 0x7e), 0x5a);
}

static void ports_that_are_taken(void **state)
{
	struct scene s;
	struct rtc second;
	struct err err = { 0 };

	(void)state;
	scene_init(&s);
	assert_int_equal(rtc_init(&second, &s.bus, &s.sink, &s.clock.clock, 0, 0, &err), -EEXIST);
	assert_non_null(strstr(err.text, "real-time clock"));
	set(&s, 0x0b, 0x42);
	assert_int_equal(s.clock.n, 1);
	rtc_fini(&s.rtc);
	assert_int_equal(s.clock.n, 0);
}

static void calendar_goes_there_and_back(void **state)
{
	struct calendar c;

	(void)state;
	for (int64_t s = -INT64_C(70000000000); s < INT64_C(200000000000);
	     s += 86400 * 37 + 12345) {
		calendar_of_s(s, &c);
		assert_int_equal(calendar_to_s(&c), s < -62135596800 ? calendar_to_s(&c) : s);
		assert_in_range(c.month, 1, 12);
		assert_in_range(c.weekday, 1, 7);
	}
	calendar_of_s(-1, &c);
	assert_int_equal(c.year, 1969);
	assert_int_equal(c.second, 59);
	assert_int_equal(c.weekday, 4);
	calendar_of_s(951782400, &c); /* 29 February 2000 */
	assert_int_equal(c.month * 100 + c.day, 229);
	calendar_of_s(4107542399, &c); /* 28 February 2100 is followed by March */
	assert_int_equal(c.month * 100 + c.day, 228);
	calendar_of_s(4107542400, &c);
	assert_int_equal(c.month * 100 + c.day, 301);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shows_the_wall_clock_in_bcd),
		cmocka_unit_test(binary_and_twelve_hours),
		cmocka_unit_test(is_set_by_the_guest),
		cmocka_unit_test(a_single_register_written_while_it_runs),
		cmocka_unit_test(mad_values_make_some_time),
		cmocka_unit_test(update_in_progress_comes_before_the_second_turns),
		cmocka_unit_test(flags_without_interrupts),
		cmocka_unit_test(periodic_interrupts_wait_for_their_acknowledgement),
		cmocka_unit_test(every_rate),
		cmocka_unit_test(update_ended_interrupts_each_second),
		cmocka_unit_test(alarm_at_a_time),
		cmocka_unit_test(alarm_with_bytes_that_do_not_count),
		cmocka_unit_test(follows_a_wall_clock_that_jumps),
		cmocka_unit_test(memory_is_told_as_by_a_bios),
		cmocka_unit_test(ports_that_are_taken),
		cmocka_unit_test(calendar_goes_there_and_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
