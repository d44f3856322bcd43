/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/buf.h"
#include "base/core/macros.h"
#include "base/os/json.h"
#include "manager/openvz.h"

#define OPENVZ_NAMES 512
#define OPENVZ_NAME  64	  /* bytes of one */
#define OPENVZ_VALUE 8192 /* likewise */

struct openvz_text {
	const char *at, *end;
	unsigned line;
};

static int openvz_bad(const struct openvz_text *t, const char *why, struct err *err)
{
	return err_say(err, EINVAL, "line %u: %s", t->line, why);
}

static bool openvz_skip(struct openvz_text *t)
{
	while (t->at < t->end) {
		if (*t->at == '#') {
			while (t->at < t->end && *t->at != '\n')
				t->at++;
		} else if (*t->at == '\n') {
			t->line++;
			t->at++;
		} else if (isspace((unsigned char)*t->at) || *t->at == ';') {
			t->at++;
		} else {
			return true;
		}
	}
	return false;
}

static int openvz_name(struct openvz_text *t, char ret[OPENVZ_NAME + 1], struct err *err)
{
	size_t n = 0;

	for (; t->at < t->end && (isalnum((unsigned char)*t->at) || *t->at == '_'); t->at++) {
		if (n == OPENVZ_NAME)
			return openvz_bad(t, "the name is too long", err);
		ret[n++] = *t->at;
	}
	ret[n] = '\0';
	if (!n || isdigit((unsigned char)ret[0]) || t->at == t->end || *t->at != '=')
		return openvz_bad(t, "not an assignment NAME=value (nothing is executed here)",
				  err);
	t->at++;
	return 0;
}

/* It would be for the terminal that a report is shown on. */
static bool openvz_is_control(char c)
{
	return (unsigned char)c == 0x7f || ((unsigned char)c < ' ' && !isspace((unsigned char)c));
}

/* One character of a value as a shell takes it, without what it would execute. */
static int openvz_char(struct openvz_text *t, char quote, struct buf *value, struct err *err)
{
	char c = *t->at++;

	if (quote != '\'' && (c == '`' || (c == '$' && t->at < t->end && *t->at == '(')))
		return openvz_bad(t, "a command, which is not executed here: write its result",
				  err);
	if (c == '\\' && quote != '\'' && t->at < t->end) {
		c = *t->at++;
		if (c == '\n') {
			t->line++;
			return 0;
		}
	}
	if (openvz_is_control(c))
		return openvz_bad(t, "a control character", err);
	t->line += c == '\n';
	if (isspace((unsigned char)c))
		c = ' '; /* it is shown, a line each */
	if (value->len >= OPENVZ_VALUE)
		return openvz_bad(t, "the value is too long", err);
	return buf_add(value, &c, 1) < 0 ? err_set(err, ENOMEM, "read") : 0;
}

static int openvz_value(struct openvz_text *t, struct buf *value, struct err *err)
{
	char quote = 0;
	int r = 0;

	while (r == 0 && t->at < t->end) {
		char c = *t->at;
		if (quote ? c == quote : c == '"' || c == '\'') {
			quote = quote ? 0 : c;
			t->at++;
		} else if (!quote && (isspace((unsigned char)c) || c == ';' || c == '#')) {
			break;
		} else if (!quote && strchr("|&<>()", c)) {
			return openvz_bad(t, "a command, which is not executed here", err);
		} else {
			r = openvz_char(t, quote, value, err);
		}
	}
	return r == 0 && quote ? openvz_bad(t, "a quote is not closed", err) : r;
}

int openvz_parse(const char *text, size_t len, json_t **ret, struct err *err)
{
	struct openvz_text t = { text, text + len, 1 };
	AUTO(json_decref_p) json_t *conf = json_object();

	if (len > OPENVZ_CONF_MAX)
		return err_say(err, EFBIG, "more than %d bytes", OPENVZ_CONF_MAX);
	if (!conf)
		return err_set(err, ENOMEM, "read");
	while (openvz_skip(&t)) {
		AUTO(buf_fini) struct buf value = { 0 };
		char name[OPENVZ_NAME + 1];
		int r = openvz_name(&t, name, err);
		if (r == 0)
			r = openvz_value(&t, &value, err);
		if (r < 0)
			return r;
		json_t *word = json_string(buf_str(&value));
		if (!word)
			return openvz_bad(&t, "the value is not UTF-8", err);
		if (json_object_set_new(conf, name, word))
			return err_set(err, ENOMEM, "read");
		if (json_object_size(conf) > OPENVZ_NAMES)
			return err_say(err, E2BIG, "more than %d parameters", OPENVZ_NAMES);
	}
	*ret = TAKE(conf);
	return 0;
}

int openvz_limit(const char *text, int64_t unit, int64_t *ret)
{
	static const char suffixes[] = "KMGT";
	const char *colon = strrchr(text, ':');
	const char *at = colon ? colon + 1 : text;
	char *end;

	if (!strcmp(at, "unlimited")) {
		*ret = -1;
		return 0;
	}
	if (!isdigit((unsigned char)*at))
		return -EINVAL;
	errno = 0;
	long long n = strtoll(at, &end, 10);
	const char *suffix = *end ? strchr(suffixes, toupper((unsigned char)*end)) : NULL;
	if (suffix) {
		unit = INT64_C(1) << (10 * (suffix - suffixes + 1));
		end++;
	} else if (toupper((unsigned char)*end) == 'P') {
		unit = 4096;
		end++;
	} else if (toupper((unsigned char)*end) == 'B') {
		unit = 1;
	}
	end += toupper((unsigned char)*end) == 'B';
	if (*end)
		return -EINVAL;
	/* Where somebody wrote LONG_MAX, 32 or 64 bits wide, no limit is meant. */
	if (errno == ERANGE || n >= INT32_MAX || n > INT64_MAX / unit)
		*ret = -1;
	else
		*ret = n * unit;
	return 0;
}

/* The path inside of one below the container's root; NULL: it is not. */
static const char *binds_target(const char *path)
{
	static const char *const roots[] = { "$VE_ROOT/", "${VE_ROOT}/", "/vz/root/" };

	for (size_t i = 0; i < ARRAY_SIZE(roots); i++) {
		const size_t n = strlen(roots[i]);
		if (strncmp(path, roots[i], n) != 0)
			continue;
		if (i + 1 < ARRAY_SIZE(roots))
			return path + n - 1;
		path = strchr(path + n, '/'); /* behind the CTID */
		return path;
	}
	return NULL;
}

static bool binds_path(const char *path)
{
	for (const char *c = path; *c; c++) {
		if (!isalnum((unsigned char)*c) && !strchr("/._-+@,", *c))
			return false;
	}
	return path[0] == '/' && path[1];
}

/* "mount -n --bind /a $VE_ROOT/b": the words of one line, quotes taken off. */
static void binds_line(const char *line, size_t len, json_t *list)
{
	char copy[1024], *words[32], *save = NULL;
	size_t n = 0, out = 0;
	bool bind = false;

	for (size_t i = 0; i < len && out + 1 < sizeof(copy); i++) {
		if (line[i] != '"' && line[i] != '\'')
			copy[out++] = line[i];
	}
	copy[out] = '\0';
	for (char *w = strtok_r(copy, " \t\r", &save); w && n < ARRAY_SIZE(words);
	     w = strtok_r(NULL, " \t\r", &save)) {
		words[n++] = w;
		bind = bind || strstr(w, "bind");
	}
	const char *command = n ? strrchr(words[0], '/') : NULL;
	if (n < 4 || !bind || strcmp(command ? command + 1 : words[0], "mount") != 0)
		return;
	for (size_t i = 1; i + 1 < n; i++) {
		const char *target = binds_target(words[i + 1]);
		if (target && binds_path(target) && binds_path(words[i])) {
			(void)json_array_append_new(list, json_sprintf("%s:%s", words[i], target));
			return;
		}
	}
}

int openvz_binds(const char *text, size_t len, json_t **ret, struct err *err)
{
	json_t *list = json_array();

	if (!list)
		return err_set(err, ENOMEM, "read");
	for (size_t at = 0; at < len && json_array_size(list) < OPENVZ_NAMES;) {
		const char *end = memchr(text + at, '\n', len - at);
		const size_t n = end ? (size_t)(end - text) - at : len - at;
		if (!memchr(text + at, '\0', n))
			binds_line(text + at, n, list);
		at += n + 1;
	}
	*ret = list;
	return 0;
}
