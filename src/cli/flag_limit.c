/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/flags.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/macros.h"
#include "base/os/rlimit.h"
#include "cli/args.h"

/* letters of "rwm", none twice */
static bool device_is_permissions(const char *text)
{
	if (!*text || strspn(text, "rwm") != strlen(text))
		return false;
	for (const char *c = text; *c; c++) {
		if (strchr(c + 1, *c))
			return false;
	}
	return true;
}

int flag_device(const char *text, const char *flag, json_t *into, struct err *err)
{
	AUTO(flag_text_p) char *copy = strdup(text);

	if (!copy)
		return err_set(err, ENOMEM, "read the flags");
	char *rest = copy;
	const char *source = strsep(&rest, ":");
	const char *target = rest ? strsep(&rest, ":") : source;
	const char *permissions = rest ? rest : "rwm";
	if (!rest && target != source && device_is_permissions(target)) { /* SRC:rwm */
		permissions = target;
		target = source;
	}
	if (source[0] != '/' || target[0] != '/' || !device_is_permissions(permissions))
		return err_say(err, EINVAL,
			       "%s: '%s' is not a device; write /dev/HOST[:/dev/INSIDE[:rwm]]",
			       flag, text);
	return flag_append(into,
			   json_pack("{s:s, s:s, s:s}", "source", source, "target", target,
				     "permissions", permissions),
			   err);
}

/* -1 stands for no limit, as in the words of prlimit(1) */
static int ulimit_value(const char *text, const char *flag, int64_t *ret, struct err *err)
{
	if (!strcmp(text, "unlimited") || !strcmp(text, "-1")) {
		*ret = -1;
		return 0;
	}
	return args_int(text, flag, 0, INT64_MAX, ret, err);
}

int flag_ulimit(const char *text, const char *flag, json_t *into, struct err *err)
{
	int64_t soft, hard;
	AUTO(flag_text_p) char *copy = strdup(text);

	if (!copy)
		return err_set(err, ENOMEM, "read the flags");
	char *rest = copy;
	const char *name = strsep(&rest, "=");
	if (rlimit_find(name) < 0 || !rest)
		return err_say(err, EINVAL,
			       "%s: '%s' is not a limit; write NAME=SOFT[:HARD], such as "
			       "nofile=1024:2048",
			       flag, text);
	int r = ulimit_value(strsep(&rest, ":"), flag, &soft, err);
	hard = soft;
	if (r == 0 && rest)
		r = ulimit_value(rest, flag, &hard, err);
	if (r < 0)
		return r;
	if (hard >= 0 && (soft < 0 || soft > hard))
		return err_say(err, EINVAL, "%s %s: the soft limit is above the hard one", flag,
			       text);
	return flag_append(into,
			   json_pack("{s:s, s:I, s:I}", "name", name, "soft", (json_int_t)soft,
				     "hard", (json_int_t)hard),
			   err);
}

int flag_idmap(const char *text, const char *flag, json_t *into, struct err *err)
{
	static const char *const keys[] = { "inside", "outside", "size" };
	int64_t values[3] = { 0, 0, 1 };
	unsigned n = 0;
	AUTO(flag_text_p) char *copy = strdup(text);

	if (!copy)
		return err_set(err, ENOMEM, "read the flags");
	for (char *rest = copy; rest; n++) {
		const char *part = strsep(&rest, ":");
		if (n == ARRAY_SIZE(keys) ||
		    args_int(part, keys[n], n == 2, UINT32_MAX - 1, &values[n], NULL) < 0) {
			n = 0;
			break;
		}
	}
	if (n < 2 || values[0] + values[2] > UINT32_MAX || values[1] + values[2] > UINT32_MAX)
		return err_say(err, EINVAL,
			       "%s: '%s' is not a mapping; write INSIDE:OUTSIDE:SIZE, such as "
			       "0:100000:65536",
			       flag, text);
	return flag_append(into,
			   json_pack("{s:I, s:I, s:I}", keys[0], (json_int_t)values[0], keys[1],
				     (json_int_t)values[1], keys[2], (json_int_t)values[2]),
			   err);
}

int flag_time_offset(const char *text, const char *flag, json_t *into, struct err *err)
{
	static const char *const clocks[][2] = { { "monotonic", "monotonic_s" },
						 { "boottime", "boottime_s" } };
	const int64_t max = INT64_MAX / 1000000000 / 2; /* the kernel's */
	AUTO(flag_text_p) char *copy = strdup(text);

	if (!copy)
		return err_set(err, ENOMEM, "read the flags");
	for (char *rest = copy; rest;) {
		char *value = strsep(&rest, ",");
		const char *name = strsep(&value, "=");
		int64_t seconds;
		size_t i = 0;
		while (i < ARRAY_SIZE(clocks) && strcmp(clocks[i][0], name) != 0)
			i++;
		if (i == ARRAY_SIZE(clocks) || !value ||
		    args_int(value, flag, -max, max, &seconds, NULL) < 0)
			return err_say(
				err, EINVAL,
				"%s: '%s' is not an offset; write monotonic=SECONDS,boottime=SECONDS",
				flag, text);
		int r = flag_set(into, clocks[i][1], json_integer(seconds), err);
		if (r < 0)
			return r;
	}
	return 0;
}
