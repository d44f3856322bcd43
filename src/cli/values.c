/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/args.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/core/macros.h"
#include "base/os/signals.h"
#include "cli/decimal.h"

#define CPU_PERIOD_US                                                                              \
	100000 /* the kernel's default, cpu.max in Documentation/admin-guide/cgroup-v2.rst */

static bool values_size(const char *text, int64_t *ret_bytes)
{
	static const char units[] = "bkmgt";
	struct decimal d;
	unsigned shift = 0;

	if (!decimal_read(&text, &d))
		return false;
	if (*text) {
		const char *unit = strchr(units, tolower((unsigned char)*text));
		if (!unit)
			return false;
		shift = 10 * (unsigned)(unit - units);
		text++;
	}
	if (shift && !strncasecmp(text, "ib", 2))
		text += 2;
	else if (shift && (*text == 'b' || *text == 'B'))
		text++;
	return !*text && decimal_times(d, 1ULL << shift, ret_bytes);
}

int args_size(const char *text, const char *flag, int64_t *ret_bytes, struct err *err)
{
	if (values_size(text, ret_bytes))
		return 0;
	return err_say(err, EINVAL, "%s: '%s' is not a size; write bytes, or 512k, 64m, 1.5g", flag,
		       text);
}

/* As tc(8) has them: "mbit", "m", each a thousand times the one before. */
static bool values_bit_rate(const char *text, int64_t *ret_bits)
{
	static const char units[] = "kmgt";
	struct decimal d;
	uint64_t times = 1;

	if (!decimal_read(&text, &d))
		return false;
	const char *unit = *text ? strchr(units, tolower((unsigned char)*text)) : NULL;
	if (unit) {
		text++;
		for (const char *c = units; c <= unit; c++)
			times *= 1000;
	}
	if (!strncasecmp(text, "bit", 3))
		text += 3;
	return !*text && decimal_times(d, times, ret_bits);
}

int args_bit_rate(const char *text, const char *flag, int64_t *ret_bits, struct err *err)
{
	if (values_bit_rate(text, ret_bits))
		return 0;
	return err_say(err, EINVAL,
		       "%s: '%s' is not a rate; write bits a second, or 512k, 10mbit, 1.5g", flag,
		       text);
}

int args_int(const char *text, const char *flag, int64_t min, int64_t max, int64_t *ret,
	     struct err *err)
{
	char *end;

	errno = 0;
	long long n = strtoll(text, &end, 10);
	if (end == text || *end || isspace((unsigned char)*text))
		return err_say(err, EINVAL, "%s: '%s' is not a whole number", flag, text);
	if (errno || n < min || n > max)
		return err_say(err, EINVAL, "%s: %s is not between %lld and %lld", flag, text,
			       (long long)min, (long long)max);
	*ret = n;
	return 0;
}

int args_bool(const char *text, const char *flag, bool *ret, struct err *err)
{
	static const char *const yes[] = { "true", "1", "t", "yes" };
	static const char *const no[] = { "false", "0", "f", "no" };

	for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
		bool is_yes = !strcasecmp(text, yes[i]);
		if (is_yes || !strcasecmp(text, no[i])) {
			*ret = is_yes;
			return 0;
		}
	}
	return err_say(err, EINVAL, "%s: '%s' is neither true nor false", flag, text);
}

int args_cpus_us(const char *text, const char *flag, int64_t *ret_us, struct err *err)
{
	const char *c = text;
	struct decimal d;
	int64_t us;

	if (!decimal_read(&c, &d) || *c || !decimal_times(d, CPU_PERIOD_US, &us))
		return err_say(err, EINVAL, "%s: '%s' is not a number of CPUs; write 2 or 0.5",
			       flag, text);
	/* the kernel refuses a quota below 1 ms */
	if (us && us < 1000)
		return err_say(err, EINVAL, "%s: %s is too little; 0.01 is the least", flag, text);
	*ret_us = us;
	return 0;
}

int args_signal(const char *text, const char *flag, int *ret_signal, struct err *err)
{
	int sig = signal_parse(text);

	if (!sig)
		return err_say(err, EINVAL, "%s: '%s' is not a signal; write TERM, SIGTERM or 15",
			       flag, text);
	*ret_signal = sig;
	return 0;
}
