/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/oslevel/rlimits.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>

_Static_assert(RLIM_INFINITY == UINT64_MAX, "no limit is UINT64_MAX in a spec");

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
