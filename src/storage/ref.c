/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/ref.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static bool ref_is_lower_digit(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool ref_is_alnum(char c)
{
	return ref_is_lower_digit(c) || (c >= 'A' && c <= 'Z');
}

/* Bytes of a separator inside a path component: ".", "_", "__" or any number of "-". */
static size_t ref_separator(const char *s)
{
	size_t dashes = strspn(s, "-");

	if (dashes)
		return dashes;
	if (s[0] == '_' && s[1] == '_')
		return 2;
	return s[0] == '.' || s[0] == '_' ? 1 : 0;
}

static bool ref_component_ok(const char *s, size_t n)
{
	size_t i = 0;

	if (!n)
		return false;
	for (;;) {
		size_t start = i;
		while (i < n && ref_is_lower_digit(s[i]))
			i++;
		if (i == start)
			return false;
		if (i == n)
			return true;
		size_t sep = ref_separator(s + i);
		if (!sep || i + sep >= n)
			return false;
		i += sep;
	}
}

/* As distribution/reference decides: else "a/b" is a path on the default registry. */
static bool ref_looks_like_domain(const char *s, size_t n)
{
	bool upper = false;

	for (size_t i = 0; i < n; i++) {
		if (s[i] == '.' || s[i] == ':' || s[i] == '[')
			return true;
		upper = upper || isupper((unsigned char)s[i]);
	}
	return upper || (n == 9 && !memcmp(s, "localhost", 9));
}

static bool ref_host_ok(const char *s, size_t n)
{
	if (n > 2 && s[0] == '[' && s[n - 1] == ']') {
		for (size_t i = 1; i < n - 1; i++) {
			if (!isxdigit((unsigned char)s[i]) && s[i] != ':')
				return false;
		}
		return true;
	}
	for (size_t i = 0; i < n; i++) {
		bool edge = i == 0 || i == n - 1 || s[i - 1] == '.' || s[i + 1] == '.';
		if (!ref_is_alnum(s[i]) && (edge || (s[i] != '-' && s[i] != '.')))
			return false;
	}
	return n > 0;
}

static bool ref_domain_ok(const char *s, size_t n)
{
	size_t host = n;

	while (host && isdigit((unsigned char)s[host - 1]))
		host--;
	if (host && host < n && s[host - 1] == ':')
		host--;
	else
		host = n;
	return ref_host_ok(s, host);
}

static bool ref_name_ok(const char *name)
{
	const char *p = name;
	size_t first = strcspn(p, "/");

	if (p[first] == '/' && ref_looks_like_domain(p, first)) {
		if (!ref_domain_ok(p, first))
			return false;
		p += first + 1;
	}
	for (;;) {
		size_t n = strcspn(p, "/");
		if (!ref_component_ok(p, n))
			return false;
		if (!p[n])
			return true;
		p += n + 1;
	}
}

static bool ref_tag_ok(const char *tag)
{
	size_t n = strlen(tag);

	if (!n || n > REF_TAG_MAX || tag[0] == '.' || tag[0] == '-')
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!ref_is_alnum(tag[i]) && tag[i] != '_' && tag[i] != '.' && tag[i] != '-')
			return false;
	}
	return true;
}

static int ref_bad(const char *text, const char *why, struct err *err)
{
	return err_say(err, EINVAL, "image name \"%.200s\": %s", text, why);
}

/* The name itself, checked, from where tag and digest are cut off. */
static int ref_name(const char *text, size_t n, struct ref *ref, struct err *err)
{
	if (!n)
		return ref_bad(text, "it is empty", err);
	if (n > REF_NAME_MAX)
		return ref_bad(text, "longer than 255 characters", err);
	memcpy(ref->name, text, n);
	ref->name[n] = '\0';
	if (digest_is_hex(ref->name))
		return ref_bad(text, "64 hex digits are an image's id, not a name", err);
	if (ref_name_ok(ref->name))
		return 0;
	return ref_bad(text,
		       strpbrk(ref->name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
			       ? "must be lower case"
			       : "must be letters and digits, with single . _ or - between, in "
				 "parts divided by /",
		       err);
}

int ref_parse(const char *text, struct ref *ret, struct err *err)
{
	struct ref ref = { .tag = "", .digest = "" };
	size_t n = strcspn(text, "@");

	if (text[n] == '@') {
		const char *digest = text + n + 1;
		if (strncmp(digest, "sha256:", 7) || !digest_is_hex(digest + 7))
			return ref_bad(text, "after @ must come sha256: and 64 hex digits", err);
		memcpy(ref.digest, digest + 7, sizeof(ref.digest));
	}
	/* A ":" before the last "/" is a port. */
	size_t colon = n;
	for (size_t i = n; i > 0 && text[i - 1] != '/'; i--) {
		if (text[i - 1] == ':') {
			colon = i - 1;
			break;
		}
	}
	if (colon < n) {
		size_t len = n - colon - 1;
		if (len <= REF_TAG_MAX)
			memcpy(ref.tag, text + colon + 1, len);
		if (len > REF_TAG_MAX || !ref_tag_ok(ref.tag))
			return ref_bad(text,
				       "the tag after : must be 1 to 128 letters, digits, _ . or -",
				       err);
	}
	int r = ref_name(text, colon, &ref, err);
	if (r < 0)
		return r;
	*ret = ref;
	return 0;
}

int ref_tag(const char *text, char ret[REF_MAX], struct err *err)
{
	struct ref ref;

	int r = ref_parse(text, &ref, err);
	if (r < 0)
		return r;
	if (ref.digest[0])
		return ref_bad(text, "a tag cannot hold a digest", err);
	(void)snprintf(ret, REF_MAX, "%s:%s", ref.name, ref.tag[0] ? ref.tag : "latest"); /* fits */
	return 0;
}
