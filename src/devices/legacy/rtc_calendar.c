/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/legacy/rtc_calendar.h"

#include <stdbool.h>

#define DAY_S	       86400
#define DAYS_400_YEARS 146097 /* the calendar repeats, weekdays too */
#define DAYS_TO_1970   719162 /* from 1 January of year 1 */

static bool year_is_leap(int64_t year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static unsigned month_days(int64_t year, unsigned month)
{
	static const uint8_t days[12] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	return days[month - 1] + (month == 2 && year_is_leap(year) ? 1U : 0U);
}

/* Days from 1 January of year 1 to that of `year`, which is at least 1. */
static int64_t days_before_year(int64_t year)
{
	int64_t y = year - 1;

	return 365 * y + y / 4 - y / 100 + y / 400;
}

void calendar_of_s(int64_t s, struct calendar *ret)
{
	int64_t days = s / DAY_S, of_day = s % DAY_S, shift = 0;

	if (of_day < 0) {
		of_day += DAY_S;
		days--;
	}
	ret->weekday = (unsigned)(((days + 4) % 7 + 7) % 7) + 1; /* 1970 began on a Thursday */
	days += DAYS_TO_1970;
	if (days < 0) { /* before year 1 */
		shift = -days / DAYS_400_YEARS + 1;
		days += shift * DAYS_400_YEARS;
	}
	int64_t year = days / 366 + 1; /* never too late; at most one in 1,500 too early */
	while (days_before_year(year + 1) <= days)
		year++;
	days -= days_before_year(year);
	unsigned month = 1;
	while (days >= month_days(year, month))
		days -= month_days(year, month++);
	ret->year = (int)(year - 400 * shift);
	ret->month = month;
	ret->day = (unsigned)days + 1;
	ret->hour = (unsigned)of_day / 3600;
	ret->minute = (unsigned)of_day / 60 % 60;
	ret->second = (unsigned)of_day % 60;
}

int64_t calendar_to_s(const struct calendar *c)
{
	unsigned month = c->month < 1 ? 1 : c->month > 12 ? 12 : c->month;
	int64_t year = c->year < 1 ? 1 : c->year;
	unsigned last = month_days(year, month);
	unsigned day = c->day < 1 ? 1 : c->day > last ? last : c->day;
	int64_t days = days_before_year(year) - DAYS_TO_1970 + day - 1;

	for (unsigned m = 1; m < month; m++)
		days += month_days(year, m);
	return days * DAY_S + (int64_t)c->hour * 3600 + (int64_t)c->minute * 60 + c->second;
}
