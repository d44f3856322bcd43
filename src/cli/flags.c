/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/flags.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/core/macros.h"
#include "cli/args.h"

/* bytes of the sequence that starts here, 0 where it is none (RFC 3629, section 4) */
static unsigned flag_utf8_sequence(const unsigned char *c)
{
	unsigned n = c[0] < 0x80		    ? 1
		     : c[0] >= 0xc2 && c[0] <= 0xdf ? 2
		     : c[0] >= 0xe0 && c[0] <= 0xef ? 3
		     : c[0] >= 0xf0 && c[0] <= 0xf4 ? 4
						    : 0;

	for (unsigned i = 1; i < n; i++) {
		if ((c[i] & 0xc0) != 0x80)
			return 0;
	}
	bool overlong = (c[0] == 0xe0 && c[1] < 0xa0) || (c[0] == 0xf0 && c[1] < 0x90);
	bool surrogate = c[0] == 0xed && c[1] > 0x9f;
	bool too_high = c[0] == 0xf4 && c[1] > 0x8f;
	return overlong || surrogate || too_high ? 0 : n;
}

bool flag_is_utf8(const char *text)
{
	for (const unsigned char *c = (const unsigned char *)text; *c;) {
		unsigned n = flag_utf8_sequence(c);
		if (!n)
			return false;
		c += n;
	}
	return true;
}

void flag_text_p(char **text)
{
	free(*text);
	*text = NULL;
}

int flag_append(json_t *array, json_t *value, struct err *err)
{
	return json_array_append_new(array, value) ? err_set(err, ENOMEM, "read the flags") : 0;
}

int flag_set(json_t *object, const char *key, json_t *value, struct err *err)
{
	return json_object_set_new(object, key, value) ? err_set(err, ENOMEM, "read the flags") : 0;
}

int flag_host_path(const char *path, const char *flag, char **ret, struct err *err)
{
	char *absolute = NULL;

	if (path[0] == '/') {
		absolute = strdup(path);
	} else {
		AUTO(flag_text_p) char *cwd = getcwd(NULL, 0);
		if (!cwd)
			return err_set(err, errno, "%s %s: find the working directory", flag, path);
		if (!strncmp(path, "./", 2))
			path += 2;
		if (asprintf(&absolute, "%s%s%s", cwd, *path && strcmp(path, ".") ? "/" : "",
			     strcmp(path, ".") ? path : "") < 0)
			absolute = NULL;
		if (absolute && !flag_is_utf8(absolute)) {
			free(absolute);
			return err_say(err, EINVAL,
				       "%s %s: the working directory's name is not valid UTF-8",
				       flag, path);
		}
	}
	if (!absolute)
		return err_set(err, ENOMEM, "%s %s", flag, path);
	*ret = absolute;
	return 0;
}

int flag_plain(const char *text, const char *flag, json_t *into, struct err *err)
{
	if (!*text)
		return err_say(err, EINVAL, "%s: the value is empty", flag);
	return flag_append(into, json_string(text), err);
}

int flag_label(const char *text, const char *flag, json_t *into, struct err *err)
{
	size_t len = strcspn(text, "=");

	if (!len)
		return err_say(err, EINVAL, "%s '%s': the label has no name; write NAME=VALUE",
			       flag, text);
	AUTO(flag_text_p) char *key = strndup(text, len);
	if (!key)
		return err_set(err, ENOMEM, "read the flags");
	return flag_set(into, key, json_string(text[len] ? text + len + 1 : ""), err);
}

int flag_restart(const char *text, const char *flag, json_t *into, struct err *err)
{
	static const char *const policies[] = { "no", "always", "unless-stopped", "on-failure" };
	size_t len = strcspn(text, ":");
	int64_t max = 0;

	for (size_t i = 0; i < ARRAY_SIZE(policies); i++) {
		if (strncmp(policies[i], text, len) != 0 || policies[i][len])
			continue;
		if (text[len] && strcmp(policies[i], "on-failure") != 0)
			return err_say(err, EINVAL,
				       "%s %s: only on-failure takes a number of tries", flag,
				       text);
		int r = text[len] ? args_int(text + len + 1, flag, 0, 1000000, &max, err) : 0;
		r = r < 0 ? r : flag_set(into, "policy", json_string(policies[i]), err);
		return r < 0 ? r : flag_set(into, "max", json_integer(max), err);
	}
	return err_say(
		err, EINVAL,
		"%s: '%s' is not a policy; write no, on-failure[:N], always or unless-stopped",
		flag, text);
}

int flag_log_opt(const char *text, const char *flag, json_t *into, struct err *err)
{
	const char *value = strchr(text, '=');
	int64_t n;

	if (value && !strncmp(text, "max-size=", 9)) {
		int r = args_size(value + 1, flag, &n, err);
		if (r < 0)
			return r;
		if (n < 1024)
			return err_say(err, EINVAL, "%s: %s is too small; 1k is the least", flag,
				       text);
		return flag_set(into, "max_bytes", json_integer(n), err);
	}
	if (value && !strncmp(text, "max-file=", 9)) {
		int r = args_int(value + 1, flag, 1, 1000, &n, err);
		return r < 0 ? r : flag_set(into, "files", json_integer(n), err);
	}
	return err_say(err, EINVAL, "%s: '%s' is not known; write max-size=SIZE or max-file=N",
		       flag, text);
}

static int flag_seccomp(const char *value, const char *flag, json_t *into, struct err *err)
{
	AUTO(flag_text_p) char *path = NULL;

	if (!*value)
		return err_say(err, EINVAL, "%s seccomp: write a profile's file, or unconfined",
			       flag);
	if (!strcmp(value, "builtin"))
		value = "default";
	if (!strcmp(value, "default") || !strcmp(value, "unconfined"))
		return flag_set(into, "seccomp", json_string(value), err);
	int r = flag_host_path(value, flag, &path, err);
	if (r < 0)
		return r;
	if (access(path, R_OK) < 0)
		return err_set(err, errno, "%s seccomp: read the profile %s", flag, path);
	return flag_set(into, "seccomp", json_string(path), err);
}

int flag_security_opt(const char *text, const char *flag, json_t *into, struct err *err)
{
	size_t len = strcspn(text, "=:");
	const char *value = text[len] ? text + len + 1 : "";

	if (len == 17 && !strncmp(text, "no-new-privileges", len)) {
		bool on = true;
		int r = text[len] ? args_bool(value, flag, &on, err) : 0;
		return r < 0 ? r : flag_set(into, "no_new_privileges", json_boolean(on), err);
	}
	if (len == 7 && !strncmp(text, "seccomp", len))
		return flag_seccomp(value, flag, into, err);
	/* asking for less than what is applied anyway is no error */
	if (!strcmp(text, "apparmor=unconfined") || !strcmp(text, "label=disable"))
		return 0;
	if (!strncmp(text, "apparmor", 8) || !strncmp(text, "label", 5))
		return err_say(err, ENOTSUP,
			       "%s %s: AppArmor and SELinux labels are not supported, leave it out",
			       flag, text);
	return err_say(err, EINVAL,
		       "%s: '%s' is not known; write no-new-privileges, seccomp=FILE or "
		       "seccomp=unconfined",
		       flag, text);
}
