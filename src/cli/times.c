/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/args.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/core/macros.h"
#include "base/os/clock.h"
#include "cli/decimal.h"

/* the unit's length in ns, or 0; moves past its name */
static uint64_t times_unit(const char **text)
{
	static const struct {
		const char *name;
		uint64_t ns;
	} units[] = {
		{ "ns", 1 },
		{ "us", 1000 },
		{ "ms", NS_PER_MS },
		{ "s", NS_PER_S },
		{ "m", 60 * NS_PER_S },
		{ "h", 3600 * NS_PER_S },
		{ "d", 86400 * NS_PER_S },
	};
	size_t len = 0;

	while (isalpha((unsigned char)(*text)[len]))
		len++;
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (!strncmp(units[i].name, *text, len) && !units[i].name[len]) {
			*text += len;
			return units[i].ns;
		}
	}
	return 0;
}

/* "1m30s", "500ms"; bare: a number alone is seconds */
static bool times_duration(const char *text, bool bare, int64_t *ret_ns)
{
	const char *c = text;
	int64_t sum = 0;

	do {
		bool first = c == text;
		struct decimal d;
		int64_t ns;
		if (!decimal_read(&c, &d))
			return false;
		uint64_t unit = bare && first && !*c ? NS_PER_S : times_unit(&c);
		if (!unit || !decimal_times(d, unit, &ns) || __builtin_add_overflow(sum, ns, &sum))
			return false;
	} while (*c);
	*ret_ns = sum;
	return true;
}

int args_duration_ns(const char *text, const char *flag, int64_t *ret_ns, struct err *err)
{
	if (times_duration(text, true, ret_ns))
		return 0;
	return err_say(err, EINVAL, "%s: '%s' is not a duration; write seconds, 1m30s or 500ms",
		       flag, text);
}

/* "Z", "+01:00", or nothing for UTC: seconds east */
static bool times_zone(const char *text, int64_t *ret_seconds)
{
	int64_t hours, minutes;
	char part[3] = "";

	*ret_seconds = 0;
	if (!*text || !strcmp(text, "Z") || !strcmp(text, "z"))
		return true;
	if ((*text != '+' && *text != '-') || strlen(text) != 6 || text[3] != ':' ||
	    !isdigit((unsigned char)text[1]) || !isdigit((unsigned char)text[4]))
		return false;
	memcpy(part, text + 1, 2);
	if (args_int(part, "", 0, 23, &hours, NULL) < 0 ||
	    args_int(text + 4, "", 0, 59, &minutes, NULL) < 0)
		return false;
	*ret_seconds = (hours * 3600 + minutes * 60) * (*text == '-' ? -1 : 1);
	return true;
}

/* RFC 3339, section 5.6 Internet Date/Time Format, and a date alone */
static bool times_rfc3339(const char *text, int64_t *ret_ns)
{
	struct tm tm = { 0 };
	struct decimal fraction = { 0 };
	int64_t east;
	const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);

	if (!rest) {
		tm = (struct tm){ 0 };
		rest = strptime(text, "%Y-%m-%d", &tm);
	}
	if (!rest || (*rest == '.' && !decimal_read(&rest, &fraction)) || !times_zone(rest, &east))
		return false;
	int64_t seconds = timegm(&tm) - east;
	if (seconds < 0 || seconds >= INT64_MAX / NS_PER_S)
		return false;
	*ret_ns = seconds * NS_PER_S + (int64_t)fraction.billionths;
	return true;
}

int args_time_ns(const char *text, const char *flag, int64_t now_ns, int64_t *ret_ns,
		 struct err *err)
{
	const char *c = text;
	struct decimal d;
	int64_t ago_ns;

	if (times_rfc3339(text, ret_ns))
		return 0;
	if (decimal_read(&c, &d) && !*c && decimal_times(d, NS_PER_S, ret_ns))
		return 0;
	if (times_duration(text, false, &ago_ns) && ago_ns <= now_ns) {
		*ret_ns = now_ns - ago_ns;
		return 0;
	}
	return err_say(err, EINVAL,
		       "%s: '%s' is not a time; write 2026-11-23T10:20:30Z, seconds since 1970, or "
		       "10m for ten minutes ago",
		       flag, text);
}
