/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/legacy/rtc.h"

#include <string.h>

#include "base/core/macros.h"
#include "devices/legacy/rtc_calendar.h"
#include "machine/layout.h"

#define NS_PER_S   UINT64_C(1000000000)
#define CRYSTAL_HZ UINT64_C(32768)
/* UIP is high for 244 us before an update and the 1,984 us that it takes; the time turns at the end: Update Cycle. */
#define UPDATE_NS 2228000
/* After its divider was held, the first update comes half a second later: Divider Stages. */
#define HALF_S_NS 500000000
#define DAY_S	  86400
#define ALARM_ROUNDS                                                                               \
	300 /* more than the steps to any alarm that exists: 24 hours, 2 x 60 minutes, 2 x 60 s */

enum {
	REG_SECONDS = 0x00,
	REG_SECONDS_ALARM = 0x01,
	REG_MINUTES = 0x02,
	REG_MINUTES_ALARM = 0x03,
	REG_HOURS = 0x04,
	REG_HOURS_ALARM = 0x05,
	REG_WEEKDAY = 0x06,
	REG_DAY = 0x07,
	REG_MONTH = 0x08,
	REG_YEAR = 0x09,
	REG_A = 0x0a,
	REG_B = 0x0b,
	REG_C = 0x0c,
	REG_D = 0x0d,
};

enum { A_UIP = 0x80, A_HELD = 0x60, A_RATE = 0x0f };
enum { B_SET = 0x80, B_UIE = 0x10, B_BINARY = 0x04, B_24H = 0x02 };
/* The same bits enable in B and report in C. */
enum { C_IRQF = 0x80, C_PERIODIC = 0x40, C_ALARM = 0x20, C_UPDATE = 0x10, C_SOURCES = 0x70 };
enum { D_VALID = 0x80 };

static uint64_t rtc_now(struct rtc *rtc)
{
	return rtc->clock->ops->now_ns(rtc->clock);
}

/* Whether the time stands: the guest sets it, or holds the divider. */
static bool rtc_stands(const struct rtc *rtc)
{
	return rtc->cmos[REG_B] & B_SET || (rtc->cmos[REG_A] & A_HELD) == A_HELD;
}

static int64_t rtc_time_s(const struct rtc *rtc, uint64_t ns)
{
	return rtc->set_s + (int64_t)((ns - rtc->set_ns) / NS_PER_S);
}

static uint64_t rtc_phase_ns(const struct rtc *rtc, uint64_t ns)
{
	return (ns - rtc->set_ns) % NS_PER_S;
}

/* The host's clock was set, or went on while the machine stood: more than what two ways of rounding can differ. */
static void rtc_follow_wall(struct rtc *rtc, uint64_t now)
{
	int64_t expected = rtc->wall_s + (int64_t)((now - rtc->set_ns) / NS_PER_S);
	int64_t moved = rtc->clock->ops->wall_s(rtc->clock) - expected;

	if (moved >= -1 && moved <= 1)
		return;
	rtc->set_s += moved;
	rtc->wall_s += moved;
}

/* ---- the time in registers ---- */

static uint8_t rtc_encode(const struct rtc *rtc, unsigned value)
{
	return (uint8_t)(rtc->cmos[REG_B] & B_BINARY ? value : value / 10 % 10 << 4 | value % 10);
}

static unsigned rtc_decode(const struct rtc *rtc, uint8_t value)
{
	return rtc->cmos[REG_B] & B_BINARY ? value : (value >> 4) * 10U + (value & 15U);
}

static uint8_t rtc_encode_hour(const struct rtc *rtc, unsigned hour)
{
	if (rtc->cmos[REG_B] & B_24H)
		return rtc_encode(rtc, hour);
	uint8_t half = hour >= 12 ? 0x80 : 0;
	return rtc_encode(rtc, hour % 12 ? hour % 12 : 12) | half;
}

static unsigned rtc_decode_hour(const struct rtc *rtc, uint8_t value)
{
	if (rtc->cmos[REG_B] & B_24H)
		return rtc_decode(rtc, value);
	return rtc_decode(rtc, value & 0x7f) % 12 + (value & 0x80 ? 12 : 0);
}

/* Time into registers, unless it stands. */
static void rtc_refresh(struct rtc *rtc, uint64_t now)
{
	struct calendar c;

	if (rtc_stands(rtc))
		return;
	calendar_of_s(rtc_time_s(rtc, now), &c);
	rtc->cmos[REG_SECONDS] = rtc_encode(rtc, c.second);
	rtc->cmos[REG_MINUTES] = rtc_encode(rtc, c.minute);
	rtc->cmos[REG_HOURS] = rtc_encode_hour(rtc, c.hour);
	rtc->cmos[REG_WEEKDAY] = rtc_encode(rtc, c.weekday);
	rtc->cmos[REG_DAY] = rtc_encode(rtc, c.day);
	rtc->cmos[REG_MONTH] = rtc_encode(rtc, c.month);
	rtc->cmos[REG_YEAR] = rtc_encode(rtc, (unsigned)(c.year % 100));
	rtc->cmos[RTC_CENTURY] = rtc_encode(rtc, (unsigned)(c.year / 100));
}

/* Registers into time. The seconds go on turning where they did. */
static void rtc_take(struct rtc *rtc, uint64_t now)
{
	unsigned century = rtc_decode(rtc, rtc->cmos[RTC_CENTURY]);
	struct calendar c = {
		.year = (int)((century ? century : 20) * 100 +
			      rtc_decode(rtc, rtc->cmos[REG_YEAR]) % 100),
		.month = rtc_decode(rtc, rtc->cmos[REG_MONTH]),
		.day = rtc_decode(rtc, rtc->cmos[REG_DAY]),
		.hour = rtc_decode_hour(rtc, rtc->cmos[REG_HOURS]),
		.minute = rtc_decode(rtc, rtc->cmos[REG_MINUTES]),
		.second = rtc_decode(rtc, rtc->cmos[REG_SECONDS]),
	};

	rtc->set_ns = now - rtc_phase_ns(rtc, now);
	rtc->set_s = calendar_to_s(&c);
	rtc->wall_s = rtc->clock->ops->wall_s(rtc->clock);
}

/* ---- interrupts ---- */

static uint64_t crystal_ticks(uint64_t ns)
{
	return ns / NS_PER_S * CRYSTAL_HZ + ns % NS_PER_S * CRYSTAL_HZ / NS_PER_S;
}

/* In ticks of the crystal: Periodic Interrupt Selection; 0: none. */
static uint64_t rtc_period_ticks(const struct rtc *rtc)
{
	unsigned rate = rtc->cmos[REG_A] & A_RATE;

	if (!rate)
		return 0;
	return rate <= 2 ? UINT64_C(64) << rate : UINT64_C(1) << (rate - 1);
}

static bool alarm_matches(uint8_t alarm, uint8_t value)
{
	return (alarm & 0xc0) == 0xc0 || alarm == value; /* "don't care": Alarm Bytes */
}

/* The first second after s at which the alarm is due; INT64_MAX: never. */
static int64_t rtc_next_alarm(const struct rtc *rtc, int64_t s)
{
	const uint8_t *cmos = rtc->cmos;
	int64_t t = s + 1;

	for (unsigned i = 0; i < ALARM_ROUNDS; i++) {
		unsigned of_day = (unsigned)((t % DAY_S + DAY_S) % DAY_S);
		unsigned hour = of_day / 3600, minute = of_day / 60 % 60, second = of_day % 60;
		if (!alarm_matches(cmos[REG_HOURS_ALARM], rtc_encode_hour(rtc, hour)))
			t += 3600 - of_day % 3600;
		else if (!alarm_matches(cmos[REG_MINUTES_ALARM], rtc_encode(rtc, minute)))
			t += 60 - second;
		else if (!alarm_matches(cmos[REG_SECONDS_ALARM], rtc_encode(rtc, second)))
			t++;
		else
			return t;
	}
	return INT64_MAX;
}

/* What has happened since the last look into register C. */
static void rtc_sync(struct rtc *rtc, uint64_t now)
{
	uint64_t period = rtc_period_ticks(rtc), seen = rtc->seen_ns;

	rtc_follow_wall(rtc, now);
	rtc->seen_ns = now;
	if (period && crystal_ticks(now) / period != crystal_ticks(seen) / period)
		rtc->cmos[REG_C] |= C_PERIODIC;
	if (rtc_stands(rtc))
		return;
	int64_t from = rtc_time_s(rtc, seen), to = rtc_time_s(rtc, now);
	if (from == to)
		return;
	rtc->cmos[REG_C] |= C_UPDATE;
	if (rtc_next_alarm(rtc, from) <= to)
		rtc->cmos[REG_C] |= C_ALARM;
}

static uint64_t rtc_ns_of_s(const struct rtc *rtc, int64_t s)
{
	return rtc->set_ns + (uint64_t)(s - rtc->set_s) * NS_PER_S;
}

/* When the next interrupt that is enabled comes; 0: none does. */
static uint64_t rtc_next_ns(const struct rtc *rtc, uint64_t now)
{
	uint64_t period = rtc_period_ticks(rtc), next = UINT64_MAX;
	uint8_t enabled = rtc->cmos[REG_B];
	int64_t s = rtc_time_s(rtc, now);

	if (enabled & C_PERIODIC && period) {
		uint64_t ticks = (crystal_ticks(now) / period + 1) * period;
		uint64_t part = (ticks % CRYSTAL_HZ * NS_PER_S + CRYSTAL_HZ - 1) / CRYSTAL_HZ;
		next = ticks / CRYSTAL_HZ * NS_PER_S + part;
	}
	if (enabled & C_UPDATE && !rtc_stands(rtc) && rtc_ns_of_s(rtc, s + 1) < next)
		next = rtc_ns_of_s(rtc, s + 1);
	if (enabled & C_ALARM && !rtc_stands(rtc)) {
		int64_t alarm = rtc_next_alarm(rtc, s);
		if (alarm != INT64_MAX && rtc_ns_of_s(rtc, alarm) < next)
			next = rtc_ns_of_s(rtc, alarm);
	}
	return next == UINT64_MAX ? 0 : next;
}

/* The line follows the flags that are enabled; while it is up, nothing more needs to be waited for. */
static void rtc_update(struct rtc *rtc, uint64_t now)
{
	bool level = rtc->cmos[REG_B] & rtc->cmos[REG_C] & C_SOURCES;
	uint64_t next = level ? 0 : rtc_next_ns(rtc, now);

	rtc->cmos[REG_C] = (uint8_t)((rtc->cmos[REG_C] & C_SOURCES) | (level ? C_IRQF : 0));
	if (level != rtc->irq_level) {
		rtc->irq_level = level;
		rtc->irq->ops->line(rtc->irq, GSI_RTC, level);
	}
	if (next)
		rtc->clock->ops->arm(rtc->clock, &rtc->timer, next);
	else
		rtc->clock->ops->cancel(rtc->clock, &rtc->timer);
}

static void rtc_fired(struct timer *timer)
{
	struct rtc *rtc = container_of(timer, struct rtc, timer);

	lock_acquire(&rtc->lock);
	uint64_t now = rtc_now(rtc);
	rtc_sync(rtc, now);
	rtc_update(rtc, now);
	lock_release(&rtc->lock);
}

/* ---- ports ---- */

static bool rtc_is_time(unsigned reg)
{
	return reg == RTC_CENTURY || (reg < REG_A && reg != REG_SECONDS_ALARM &&
				      reg != REG_MINUTES_ALARM && reg != REG_HOURS_ALARM);
}

static uint8_t rtc_reg_read(struct rtc *rtc, unsigned reg, uint64_t now)
{
	uint8_t value;

	switch (reg) {
	case REG_A:
		if (!rtc_stands(rtc) && rtc_phase_ns(rtc, now) >= NS_PER_S - UPDATE_NS)
			return rtc->cmos[REG_A] | A_UIP;
		return rtc->cmos[REG_A];
	case REG_C: /* reading is acknowledging */
		value = rtc->cmos[REG_C];
		rtc->cmos[REG_C] = 0;
		rtc_update(rtc, now);
		return value;
	case REG_D:
		return D_VALID;
	default:
		if (rtc_is_time(reg))
			rtc_refresh(rtc, now);
		return rtc->cmos[reg];
	}
}

/* Registers A and B: what stands begins to go, or the other way round. */
static void rtc_control_write(struct rtc *rtc, unsigned reg, uint8_t value, uint64_t now)
{
	bool stood = rtc_stands(rtc);
	bool held = (rtc->cmos[REG_A] & A_HELD) == A_HELD;

	rtc_refresh(rtc, now);
	if (reg == REG_A)
		rtc->cmos[REG_A] = value & (uint8_t)~A_UIP;
	else
		rtc->cmos[REG_B] = value & B_SET ? value & (uint8_t)~B_UIE : value;
	if (held && (rtc->cmos[REG_A] & A_HELD) != A_HELD)
		rtc->set_ns = now - HALF_S_NS;
	if (stood && !rtc_stands(rtc))
		rtc_take(rtc, now);
	rtc_update(rtc, now);
}

static void rtc_reg_write(struct rtc *rtc, unsigned reg, uint8_t value, uint64_t now)
{
	switch (reg) {
	case REG_A:
	case REG_B:
		rtc_control_write(rtc, reg, value, now);
		break;
	case REG_C:
	case REG_D:
		break;
	default:
		if (rtc_is_time(reg))
			rtc_refresh(rtc, now);
		rtc->cmos[reg] = value;
		if (rtc_is_time(reg) && !rtc_stands(rtc))
			rtc_take(rtc, now);
		rtc_update(rtc, now);
		break;
	}
}

static uint64_t rtc_read(struct bus_region *region, uint64_t offset, unsigned len)
{
	struct rtc *rtc = container_of(region, struct rtc, region);

	(void)len;
	if (offset == 0)
		return 0xff; /* the index cannot be read */
	uint64_t now = rtc_now(rtc);
	rtc_sync(rtc, now);
	return rtc_reg_read(rtc, rtc->index, now);
}

static void rtc_write(struct bus_region *region, uint64_t offset, unsigned len, uint64_t value)
{
	struct rtc *rtc = container_of(region, struct rtc, region);
	uint64_t now = rtc_now(rtc);

	if (offset == 0) {
		rtc->index = value & (RTC_CMOS_BYTES - 1); /* bit 7 is the NMI's mask */
		value >>= 8;
	}
	if (offset == 0 && len == 1)
		return;
	rtc_sync(rtc, now);
	rtc_reg_write(rtc, rtc->index, (uint8_t)value, now);
}

static const struct bus_ops rtc_ops = {
	.name = "rtc",
	.read = rtc_read,
	.write = rtc_write,
};

/* ---- life ---- */

static void cmos_store(struct rtc *rtc, unsigned at, unsigned bytes, uint64_t value)
{
	for (unsigned i = 0; i < bytes; i++)
		rtc->cmos[at + i] = (uint8_t)(value >> 8 * i);
}

static uint64_t at_most(uint64_t value, uint64_t most)
{
	return value < most ? value : most;
}

/* What BIOSes leave: 640 KiB, KiB above 1 MiB, 64 KiB units above 16 MiB and above 4 GiB, and the checksum. */
static void cmos_fill(struct rtc *rtc, uint64_t low, uint64_t high)
{
	uint64_t above_1m = low > 0x100000 ? low - 0x100000 : 0;
	uint64_t above_16m = low > 0x1000000 ? low - 0x1000000 : 0;
	unsigned sum = 0;

	rtc->cmos[0x14] = 0x02; /* a floating-point unit, no floppy disk, no display */
	cmos_store(rtc, 0x15, 2, 640);
	cmos_store(rtc, 0x17, 2, at_most(above_1m >> 10, 0xffff));
	cmos_store(rtc, 0x30, 2, at_most(above_1m >> 10, 0xffff));
	cmos_store(rtc, 0x34, 2, at_most(above_16m >> 16, 0xffff));
	cmos_store(rtc, 0x5b, 3, at_most(high >> 16, 0xffffff));
	for (unsigned i = 0x10; i <= 0x2d; i++)
		sum += rtc->cmos[i];
	rtc->cmos[0x2e] = (uint8_t)(sum >> 8);
	rtc->cmos[0x2f] = (uint8_t)sum;
}

int rtc_init(struct rtc *rtc, struct bus *pio, struct irq_sink *irq, struct clock *clock,
	     uint64_t low_ram_bytes, uint64_t high_ram_bytes, struct err *err)
{
	memset(rtc, 0, sizeof(*rtc));
	rtc->irq = irq;
	rtc->clock = clock;
	rtc->timer.fired = rtc_fired;
	rtc->cmos[REG_A] = 0x26; /* 32.768 kHz, 1,024 Hz */
	rtc->cmos[REG_B] = B_24H;
	cmos_fill(rtc, low_ram_bytes, high_ram_bytes);
	rtc->set_ns = rtc->seen_ns = rtc_now(rtc);
	rtc->set_s = rtc->wall_s = clock->ops->wall_s(clock);
	rtc->region = (struct bus_region){
		.ops = &rtc_ops, .lock = &rtc->lock, .base = PORT_RTC, .size = 2
	};
	int r = bus_add(pio, &rtc->region);
	return r < 0 ? err_say(err, -r, "add the real-time clock: its ports are taken") : 0;
}

void rtc_fini(struct rtc *rtc)
{
	if (rtc->clock)
		rtc->clock->ops->cancel(rtc->clock, &rtc->timer);
}

void rtc_cmos_set(struct rtc *rtc, unsigned at, uint8_t value)
{
	if (at > REG_D && at < RTC_CMOS_BYTES)
		rtc->cmos[at] = value;
}
