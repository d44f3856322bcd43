/* SPDX-License-Identifier: Apache-2.0 */
/* config-linux.md, "Seccomp": what is about the filter as a whole. Its rules are engines/seccomp's to read. */
#include <errno.h>
#include <linux/seccomp.h>
#include <string.h>

#include "base/os/json.h"
#include "oci/config.h"

const struct config_flag config_seccomp_flags[CONFIG_SECCOMP_FLAGS + 1] = {
	{ "SECCOMP_FILTER_FLAG_TSYNC",
	  0 }, /* one thread has the filter: nothing is left to synchronize */
	{ "SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG },
	{ "SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW },
	{ "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV },
	{ NULL, 0 },
};

static unsigned seccomp_flag(const struct reader *rd, const char *name)
{
	for (const struct config_flag *flag = config_seccomp_flags; flag->name; flag++) {
		if (!strcmp(flag->name, name))
			return flag->flag;
	}
	reader_fail(rd, "flags", EINVAL, "'%.40s' is not known", name);
	return 0;
}

/* Whether the profile sends anything outside. */
static bool seccomp_notifies(const json_t *seccomp)
{
	static const char action[] = "SCMP_ACT_NOTIFY";
	size_t i;
	json_t *call;

	if (!strcmp(json_str(seccomp, "defaultAction", ""), action))
		return true;
	json_array_foreach(json_object_get(seccomp, "syscalls"), i, call)
	{
		if (!strcmp(json_str(call, "action", ""), action))
			return true;
	}
	return false;
}

void config_read_seccomp(const struct reader *rd, struct config *config)
{
	const char *path = reader_str(rd, "listenerPath", "");
	const char *metadata = reader_str(rd, "listenerMetadata", "");
	size_t n;
	const char **flags = reader_strings(rd, "flags", &n);

	for (size_t i = 0; i < n; i++)
		config->seccomp_flags |= seccomp_flag(rd, flags[i]);
	config->notifies = rd->obj && seccomp_notifies(rd->obj);
	if (config->notifies && path[0] != '/')
		reader_fail(rd, "listenerPath", EINVAL,
			    "must be an absolute path: the profile has SCMP_ACT_NOTIFY");
	if (*metadata && !*path)
		reader_fail(rd, "listenerMetadata", EINVAL, "is there, but no listenerPath");
	if (config->seccomp_flags & SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV && !config->notifies)
		reader_fail(rd, "flags", EINVAL,
			    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV is for SCMP_ACT_NOTIFY");
}
