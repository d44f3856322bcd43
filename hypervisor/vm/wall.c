/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/wall.h"

#include <stdbool.h>

#include "core/clock.h"
#include "core/io.h"
#include "core/spin.h"

#define PORT_INDEX 0x70U
#define PORT_DATA  0x71U
#define TRIES	   8U
#define NS_PER_S   UINT64_C(1000000000)

enum reg {
	REG_S = 0,
	REG_MIN = 2,
	REG_H = 4,
	REG_DAY = 7,
	REG_MONTH = 8,
	REG_YEAR = 9,
	REG_A = 10,
	REG_B = 11
};

#define A_UPDATING 0x80U
#define B_BINARY   0x4U
#define B_24	   0x2U

/* Read once: what comes later is this plus the clock. */
static struct {
	struct spin lock;
	bool is_read;
	int64_t start_s; /* when clock_ns() was 0 */
} wall;

static uint8_t cmos(enum reg reg)
{
	port_out8(PORT_INDEX, (uint8_t)reg);
	return port_in8(PORT_DATA);
}

static unsigned plain(uint8_t value, uint8_t mode)
{
	return mode & B_BINARY ? value : (value >> 4) * 10U + (value & 0xfU);
}

/* Days since 1970 of a Gregorian date from 2000 on: years begin in March, so that leap days end them. */
static int64_t days_of(unsigned year, unsigned month, unsigned day)
{
	unsigned y = month > 2 ? year : year - 1;
	unsigned m = month > 2 ? month - 3 : month + 9;

	return (int64_t)365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

static int64_t cmos_s(void)
{
	uint8_t mode = cmos(REG_B), hour = cmos(REG_H);
	unsigned h = plain(hour & 0x7f, mode);
	unsigned year = 2000 + plain(cmos(REG_YEAR), mode), month = plain(cmos(REG_MONTH), mode);
	unsigned day = plain(cmos(REG_DAY), mode);

	if (!(mode & B_24))
		h = h % 12 + (hour & 0x80 ? 12 : 0);
	if (month < 1 || month > 12 || day < 1 || day > 31 || h > 23)
		return 0;
	return days_of(year, month, day) * 86400 + h * 3600 + plain(cmos(REG_MIN), mode) * 60 +
	       plain(cmos(REG_S), mode);
}

/* Twice the same, and no update under way. */
static int64_t cmos_steady_s(void)
{
	int64_t last = -1;

	for (unsigned i = 0; i < TRIES; i++) {
		int64_t now = cmos(REG_A) & A_UPDATING ? -1 : cmos_s();
		if (now >= 0 && now == last)
			return now;
		last = now;
	}
	return last > 0 ? last : 0;
}

int64_t wall_s(void)
{
	int64_t now_s = (int64_t)(clock_ns() / NS_PER_S);

	spin_lock(&wall.lock);
	if (!wall.is_read) {
		int64_t s = cmos_steady_s();
		wall.start_s = s ? s - now_s : 0;
		wall.is_read = true;
	}
	int64_t start = wall.start_s;
	spin_unlock(&wall.lock);
	return start ? start + now_s : 0;
}
