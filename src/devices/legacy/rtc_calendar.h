/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The Gregorian calendar, without time zones and leap seconds. */
#include <stdint.h>

struct calendar {
	int year;
	unsigned month, day; /* from 1 */
	unsigned hour, minute, second;
	unsigned
		weekday; /* 1 is Sunday, as the MC146818 counts; calendar_to_s() does not look at it */
};

/* calendar_of_s() - @s: seconds since 1970, may be negative; years -9999 to 99999 or so. */
void calendar_of_s(int64_t s, struct calendar *ret);
/* calendar_to_s() - fields out of range are taken as the nearest that are not (month, day) or carry over (the rest). */
int64_t calendar_to_s(const struct calendar *c);
