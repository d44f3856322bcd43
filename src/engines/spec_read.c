/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/spec_read.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/os/digest.h"

static void fail(struct spec_reader *rd, int code, const char *key, const char *text)
{
	if (rd->failed)
		return;
	rd->failed = err_say(rd->err, code, "spec: %s%s: %s", rd->at, key, text);
}

void spec_fail(struct spec_reader *rd, const char *key, const char *fmt, ...)
{
	char text[256];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args); /* a cut text is still a text */
	va_end(args);
	fail(rd, EINVAL, key, text);
}

void spec_require(struct spec_reader *rd, const char *key, const char *value)
{
	if (!value)
		spec_fail(rd, key, "is missing");
}

static json_t *member(struct spec_reader *rd, const char *key)
{
	json_t *v = rd->failed ? NULL : json_object_get(rd->obj, key);

	return json_is_null(v) ? NULL : v;
}

struct spec_reader spec_enter(struct spec_reader *rd, const char *key)
{
	struct spec_reader in = { .obj = member(rd, key), .failed = rd->failed, .err = rd->err };

	if (in.obj && !json_is_object(in.obj))
		spec_fail(rd, key, "must be an object");
	in.failed = rd->failed;
	(void)snprintf(in.at, sizeof(in.at), "%.40s%.20s.", rd->at, key); /* fits */
	return in;
}

struct spec_reader spec_enter_item(struct spec_reader *rd, json_t *list, const char *key, size_t i)
{
	struct spec_reader in = { .obj = json_array_get(list, i), .err = rd->err };
	char name[48];

	(void)snprintf(name, sizeof(name), "%.20s[%zu]", key, i); /* fits */
	if (!json_is_object(in.obj))
		spec_fail(rd, name, "must be an object");
	in.failed = rd->failed;
	(void)snprintf(in.at, sizeof(in.at), "%.40s%s.", rd->at,
		       name); /* cut, it still says where */
	return in;
}

void spec_leave(struct spec_reader *rd, const struct spec_reader *in)
{
	rd->failed = in->failed;
}

const char *spec_str(struct spec_reader *rd, const char *key, const char *dflt)
{
	const json_t *v = member(rd, key);

	if (!v)
		return dflt;
	if (!json_is_string(v)) {
		spec_fail(rd, key, "must be a string");
		return dflt;
	}
	if (strlen(json_string_value(v)) != json_string_length(v)) {
		spec_fail(rd, key, "must not hold a NUL character");
		return dflt;
	}
	return json_string_value(v);
}

const char *spec_path(struct spec_reader *rd, const char *key, const char *dflt)
{
	const char *s = spec_str(rd, key, dflt);

	if (s && s != dflt && spec_is_absolute(s)) {
		spec_fail(rd, key, "%s", spec_is_absolute(s));
		return dflt;
	}
	return s;
}

const char *spec_ip(struct spec_reader *rd, const char *key)
{
	const char *s = spec_str(rd, key, NULL);
	struct in6_addr address;

	if (!s || !*s)
		return NULL;
	if (inet_pton(AF_INET, s, &address) == 1 || inet_pton(AF_INET6, s, &address) == 1)
		return s;
	spec_fail(rd, key, "must be an IP address");
	return NULL;
}

const char *spec_ifname(struct spec_reader *rd, const char *key)
{
	const char *s = spec_str(rd, key, NULL);

	if (!s)
		return NULL;
	if (!*s || strlen(s) >= IFNAMSIZ || strpbrk(s, "/ :\t\n") || !strcmp(s, ".") ||
	    !strcmp(s, ".."))
		spec_fail(rd, key, "must be the name of an interface, at most %d characters",
			  IFNAMSIZ - 1);
	return s;
}

bool spec_bool(struct spec_reader *rd, const char *key, bool dflt)
{
	const json_t *v = member(rd, key);

	if (!v)
		return dflt;
	if (!json_is_boolean(v)) {
		spec_fail(rd, key, "must be true or false");
		return dflt;
	}
	return json_is_true(v);
}

int64_t spec_int(struct spec_reader *rd, const char *key, int64_t min, int64_t max, int64_t dflt)
{
	const json_t *v = member(rd, key);

	if (!v && dflt != SPEC_REQUIRED)
		return dflt;
	if (!v) {
		spec_fail(rd, key, "is missing");
		return min;
	}
	if (!json_is_integer(v)) {
		spec_fail(rd, key, "must be a whole number");
		return min;
	}
	int64_t value = json_integer_value(v);
	if (value >= min && value <= max)
		return value;
	if (max == INT64_MAX)
		spec_fail(rd, key, "must be at least %" PRId64, min);
	else
		spec_fail(rd, key, "must be between %" PRId64 " and %" PRId64, min, max);
	return min;
}

static void fail_words(struct spec_reader *rd, const char *key, const char *const words[])
{
	char list[160];
	size_t n = 0;

	for (int i = 0; words[i] && n < sizeof(list); i++) {
		int len = snprintf(list + n, sizeof(list) - n, "%s%s", i ? ", " : "", words[i]);
		n += len > 0 ? (size_t)len : 0;
	}
	spec_fail(rd, key, "must be one of %s", list);
}

int spec_word(struct spec_reader *rd, const char *key, const char *const words[], int dflt)
{
	const char *s = spec_str(rd, key, NULL);

	if (!s && dflt >= 0)
		return dflt;
	if (!s) {
		spec_fail(rd, key, "is missing");
		return 0;
	}
	for (int i = 0; words[i]; i++) {
		if (!strcmp(words[i], s))
			return i;
	}
	fail_words(rd, key, words);
	return 0;
}

json_t *spec_array(struct spec_reader *rd, const char *key, size_t max)
{
	json_t *v = member(rd, key);

	if (!v)
		return NULL;
	if (!json_is_array(v))
		spec_fail(rd, key, "must be an array");
	else if (json_array_size(v) > max)
		spec_fail(rd, key, "has more than %zu entries", max);
	else
		return v;
	return NULL;
}

void *spec_alloc(struct spec_reader *rd, const json_t *list, size_t size)
{
	size_t n = json_array_size(list);

	if (rd->failed || !n)
		return NULL;
	void *p = calloc(n, size);
	if (!p)
		rd->failed = err_set(rd->err, ENOMEM, "spec");
	return p;
}

const char **spec_strings(struct spec_reader *rd, const char *key, size_t max,
			  const char *(*check)(const char *), size_t *ret_n)
{
	const json_t *list = spec_array(rd, key, max);
	size_t n = json_array_size(list);
	const char **strings = calloc(n + 1, sizeof(*strings));

	if (!strings && !rd->failed)
		rd->failed = err_set(rd->err, ENOMEM, "spec");
	for (size_t i = 0; i < n && !rd->failed; i++) {
		const json_t *v = json_array_get(list, i);
		const char *s = json_string_value(v);
		char name[48];

		(void)snprintf(name, sizeof(name), "%.20s[%zu]", key, i); /* fits */
		if (!s)
			spec_fail(rd, name, "must be a string");
		else if (strlen(s) != json_string_length(v))
			spec_fail(rd, name, "must not hold a NUL character");
		else if (check && check(s))
			spec_fail(rd, name, "%s", check(s));
		if (strings)
			strings[i] = s;
	}
	if (ret_n)
		*ret_n = rd->failed ? 0 : n;
	return strings;
}

const char *spec_is_env(const char *s)
{
	return strchr(s, '=') > s ? NULL : "must be NAME=VALUE";
}

const char *spec_is_filled(const char *s)
{
	return *s ? NULL : "must not be empty";
}

const char *spec_is_absolute(const char *s)
{
	return *s == '/' ? NULL : "must be an absolute path";
}

bool spec_is_id(const char *s)
{
	return digest_is_hex(s);
}

bool spec_is_name(const char *s)
{
	size_t len = strlen(s);

	if (!len || len > 128 || !isalnum((unsigned char)s[0]))
		return false;
	for (const char *p = s; *p; p++) {
		if (!isalnum((unsigned char)*p) && !strchr("_.-", *p))
			return false;
	}
	return true;
}

bool spec_is_hostname(const char *s)
{
	for (const char *p = s; *p; p++) {
		if (!isalnum((unsigned char)*p) && !strchr("_.-", *p))
			return false;
	}
	return strlen(s) <= 64;
}

bool spec_is_relative(const char *s)
{
	if (strlen(s) > 160)
		return false;
	for (const char *p = s;; p++) {
		size_t n = strcspn(p, "/");
		if (!n || !strncmp(p, "..", n > 2 ? n : 2) || (n == 1 && *p == '.'))
			return false;
		p += n;
		if (!*p)
			return true;
	}
}

/* "0-2,4": numbers and rising ranges; whether the host has them is for the kernel to say. */
bool spec_is_cpu_list(const char *s)
{
	for (const char *p = s;;) {
		unsigned long first, last;
		char *end;

		if (!isdigit((unsigned char)*p))
			return false;
		first = last = strtoul(p, &end, 10);
		if (*end == '-') {
			p = end + 1;
			if (!isdigit((unsigned char)*p))
				return false;
			last = strtoul(p, &end, 10);
		}
		if (last < first || last > 65535)
			return false;
		if (!*end)
			return true;
		if (*end != ',')
			return false;
		p = end + 1;
	}
}

bool spec_is_mac(const char *s)
{
	for (int i = 0; i < 17; i++) {
		bool good = i % 3 == 2 ? s[i] == ':' : isxdigit((unsigned char)s[i]) != 0;
		if (!good)
			return false;
	}
	return !s[17];
}
