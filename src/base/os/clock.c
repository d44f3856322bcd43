/* SPDX-License-Identifier: Apache-2.0 */
#include "base/os/clock.h"

#include <stdio.h>
#include <time.h>

#include "base/core/macros.h"

static int64_t clock_ns(clockid_t id)
{
	struct timespec ts;

	(void)clock_gettime(id, &ts); /* cannot fail for these two clocks */
	return (int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

int64_t clock_real_ns(void)
{
	return clock_ns(CLOCK_REALTIME);
}

int64_t clock_mono_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

void clock_rfc3339(int64_t real_ns, char ret[36])
{
	time_t seconds = (time_t)(real_ns / NS_PER_S);
	int64_t rest = real_ns % NS_PER_S;
	if (rest < 0) { /* before 1970 the fraction still counts forward */
		rest += NS_PER_S;
		seconds--;
	}
	struct tm tm;
	char date[24];

	if (!gmtime_r(&seconds, &tm) || !strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm)) {
		ret[0] = '\0';
		return;
	}
	(void)snprintf(ret, 36, "%s.%09dZ", date, (int)rest); /* fits: 19+1+9+1 */
}

void clock_ago(int64_t real_ns, char ret[32])
{
	static const struct {
		int64_t seconds;
		const char *name;
	} units[] = {
		{ 365 * 86400, "year" }, { 30 * 86400, "month" }, { 7 * 86400, "week" },
		{ 86400, "day" },	 { 3600, "hour" },	  { 60, "minute" },
	};
	int64_t s = clock_real_ns() / NS_PER_S - real_ns / NS_PER_S;

	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (s >= units[i].seconds) {
			int n = (int)(s / units[i].seconds);
			(void)snprintf(ret, 32, "%d %s%s ago", n, units[i].name, n > 1 ? "s" : "");
			return;
		}
	}
	(void)snprintf(ret, 32, "%d second%s ago", s > 0 ? (int)s : 0, s == 1 ? "" : "s");
}
