/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/oslevel/rlimits.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

_Static_assert(RLIM_INFINITY == UINT64_MAX, "no limit is UINT64_MAX in a spec");

static const struct {
	const char *name;
	int resource;
} rlimits_table[] = {
	{ "as", RLIMIT_AS },
	{ "core", RLIMIT_CORE },
	{ "cpu", RLIMIT_CPU },
	{ "data", RLIMIT_DATA },
	{ "fsize", RLIMIT_FSIZE },
	{ "locks", RLIMIT_LOCKS },
	{ "memlock", RLIMIT_MEMLOCK },
	{ "msgqueue", RLIMIT_MSGQUEUE },
	{ "nice", RLIMIT_NICE },
	{ "nofile", RLIMIT_NOFILE },
	{ "nproc", RLIMIT_NPROC },
	{ "rss", RLIMIT_RSS },
	{ "rtprio", RLIMIT_RTPRIO },
	{ "rttime", RLIMIT_RTTIME },
	{ "sigpending", RLIMIT_SIGPENDING },
	{ "stack", RLIMIT_STACK },
};

int rlimits_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(rlimits_table); i++) {
		if (!strcmp(rlimits_table[i].name, name))
			return rlimits_table[i].resource;
	}
	return -EINVAL;
}

const char *rlimits_name(int resource)
{
	for (size_t i = 0; i < ARRAY_SIZE(rlimits_table); i++) {
		if (rlimits_table[i].resource == resource)
			return rlimits_table[i].name;
	}
	return NULL;
}

/* @len bytes of text that must be a number from end to end. */
static int rlimits_value(const char *text, size_t len, uint64_t *ret)
{
	uint64_t value = 0;

	if ((len == 2 && !memcmp(text, "-1", 2)) || (len == 9 && !memcmp(text, "unlimited", 9))) {
		*ret = UINT64_MAX;
		return 0;
	}
	if (!len)
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		unsigned digit = (unsigned)text[i] - '0';
		if (digit > 9 || value > ((uint64_t)INT64_MAX - digit) / 10)
			return -EINVAL;
		value = value * 10 + digit;
	}
	*ret = value;
	return 0;
}

int rlimits_parse(const char *text, struct spec_ulimit *ret, struct err *err)
{
	struct spec_ulimit limit = { 0 };
	char name[16];
	size_t n = strcspn(text, "=");

	if (!text[n] || n >= sizeof(name))
		return err_say(err, EINVAL,
			       "ulimit '%s': write NAME=SOFT[:HARD], such as nofile=1024:2048",
			       text);
	memcpy(name, text, n);
	name[n] = '\0';
	limit.resource = rlimits_find(name);
	if (limit.resource < 0)
		return err_say(
			err, EINVAL,
			"ulimit '%s': no such limit; there are as, core, cpu, data, fsize, "
			"locks, memlock, msgqueue, nice, nofile, nproc, rss, rtprio, rttime, "
			"sigpending and stack",
			name);
	limit.name = rlimits_name(limit.resource);

	const char *soft = text + n + 1;
	size_t soft_len = strcspn(soft, ":");
	const char *hard = soft[soft_len] ? soft + soft_len + 1 : soft;
	if (rlimits_value(soft, soft_len, &limit.soft) < 0 ||
	    rlimits_value(hard, hard == soft ? soft_len : strlen(hard), &limit.hard) < 0)
		return err_say(
			err, EINVAL,
			"ulimit '%s': a limit is a number, or -1 for none, as in %s=1024:2048",
			text, limit.name);
	if (limit.soft > limit.hard)
		return err_say(err, EINVAL, "ulimit '%s': the soft limit is above the hard one",
			       text);
	*ret = limit;
	return 0;
}

static const char *rlimits_text(uint64_t value, char *text, size_t size)
{
	if (value == UINT64_MAX)
		return "unlimited";
	(void)snprintf(text, size, "%" PRIu64, value); /* 20 digits fit */
	return text;
}

int rlimits_apply(const struct spec_ulimit *ulimits, size_t n, struct err *err)
{
	for (size_t i = 0; i < n; i++) {
		const struct spec_ulimit *limit = &ulimits[i];
		struct rlimit now, want = { .rlim_cur = limit->soft, .rlim_max = limit->hard };
		char asked[24], most[24];

		if (setrlimit((__rlimit_resource_t)limit->resource, &want) == 0)
			continue;
		int code = errno;
		if (code != EPERM || getrlimit((__rlimit_resource_t)limit->resource, &now) < 0)
			return err_set(err, code, "ulimit %s", limit->name);
		return err_say(err, EPERM,
			       "ulimit %s: %s is more than this host can give, which is %s; ask "
			       "for less",
			       limit->name, rlimits_text(limit->hard, asked, sizeof(asked)),
			       rlimits_text(now.rlim_max, most, sizeof(most)));
	}
	return 0;
}
