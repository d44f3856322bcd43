/* SPDX-License-Identifier: Apache-2.0 */
/* Properties of a unit that a bundle's annotations give, in the text form of GVariant: its documentation, "GVariant Text Format". */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/os/json.h"
#include "oci/unit.h"

#define VARIANT_BYTES_MAX 4096

/* What is left to read, and the type of what was read. */
struct variant {
	const char *at;
	const char *type; /* "i" */
};

static void variant_space(struct variant *v)
{
	v->at += strspn(v->at, " \t");
}

static bool variant_word(struct variant *v, const char *word)
{
	const size_t len = strlen(word);

	if (strncmp(v->at, word, len) != 0)
		return false;
	v->at += len;
	return true;
}

/* Between quotes of either kind, a backslash before what means itself. */
static json_t *variant_text(struct variant *v)
{
	char text[VARIANT_BYTES_MAX];
	const char quote = *v->at++;
	size_t n = 0;

	for (; *v->at && *v->at != quote; v->at++) {
		if (*v->at == '\\' && v->at[1])
			v->at++;
		if (n == sizeof(text) - 1)
			return NULL;
		text[n++] = *v->at;
	}
	if (*v->at++ != quote) {
		v->at--;
		return NULL;
	}
	text[n] = '\0';
	return json_string(text);
}

static json_t *variant_number(struct variant *v, const char *type)
{
	static const struct {
		char type;
		int64_t min, max;
	} ranges[] = { { 'y', 0, UINT8_MAX },	     { 'n', INT16_MIN, INT16_MAX },
		       { 'q', 0, UINT16_MAX },	     { 'i', INT32_MIN, INT32_MAX },
		       { 'u', 0, UINT32_MAX },	     { 'x', INT64_MIN, INT64_MAX },
		       { 't', INT64_MIN, INT64_MAX } };
	char *end;

	v->type = type;
	errno = 0;
	if (*type == 'd') {
		const double real = strtod(v->at, &end);
		json_t *value = end != v->at && !errno ? json_real(real) : NULL;
		v->at = end;
		return value;
	}
	/* "infinity" of systemd is the largest of this type: systemd_main.c has it as -1. */
	const unsigned long long big = *type == 't' && *v->at != '-' ? strtoull(v->at, &end, 0) : 0;
	const long long small =
		*type == 't' && *v->at != '-' ? (long long)big : strtoll(v->at, &end, 0);
	if (end == v->at || errno || (*type == 't' && *v->at == '-'))
		return NULL;
	v->at = end;
	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
		if (ranges[i].type == *type && small >= ranges[i].min && small <= ranges[i].max)
			return json_integer(small);
	}
	return NULL;
}

static json_t *variant_basic(struct variant *v)
{
	static const struct {
		const char *word, *type;
	} words[] = { { "byte ", "y" },	  { "int16 ", "n" }, { "uint16 ", "q" }, { "int32 ", "i" },
		      { "uint32 ", "u" }, { "int64 ", "x" }, { "uint64 ", "t" }, { "double ", "d" },
		      { "@y ", "y" },	  { "@n ", "n" },    { "@q ", "q" },	 { "@i ", "i" },
		      { "@u ", "u" },	  { "@x ", "x" },    { "@t ", "t" },	 { "@d ", "d" } };

	v->type = "b";
	if (variant_word(v, "true"))
		return json_true();
	if (variant_word(v, "false"))
		return json_false();
	v->type = "s";
	(void)variant_word(v, "@s ");
	variant_space(v);
	if (*v->at == '\'' || *v->at == '"')
		return variant_text(v);
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (!variant_word(v, words[i].word))
			continue;
		variant_space(v);
		return variant_number(v, words[i].type);
	}
	const size_t digits = strspn(v->at, "+-0123456789abcdefABCDEFxX");
	return variant_number(v, v->at[digits] == '.' || v->at[digits] == 'e' ? "d" : "i");
}

/* Of one type: that of the first. */
static json_t *variant_array(struct variant *v, const char **ret_type)
{
	AUTO(json_decref_p) json_t *list = json_array();

	v->at++;
	*ret_type = NULL;
	for (variant_space(v); *v->at != ']'; variant_space(v)) {
		json_t *member = variant_basic(v);
		const bool same = !*ret_type || !strcmp(*ret_type, v->type);
		*ret_type = v->type;
		if (!same)
			json_decref(member);
		if (!member || !same || json_array_append_new(list, member) < 0)
			return NULL;
		variant_space(v);
		if (*v->at == ',')
			v->at++;
		else if (*v->at != ']')
			return NULL;
	}
	v->at++;
	return TAKE(list);
}

static json_t *variant_parse(const char *text, char ret_type[4])
{
	struct variant v = { .at = text };
	const char *of = NULL;
	bool strings = false;
	json_t *value;

	variant_space(&v);
	strings = variant_word(&v, "@as ");
	variant_space(&v);
	const bool array = *v.at == '[';
	value = array ? variant_array(&v, &of) : strings ? NULL : variant_basic(&v);
	if (array && !of)
		of = strings ? "s" : NULL;
	variant_space(&v);
	if (!value || *v.at || (array && !of) || (strings && strcmp(of, "s") != 0)) {
		json_decref(value);
		return NULL;
	}
	(void)snprintf(ret_type, 4, "%s%s", array ? "a" : "", array ? of : v.type); /* fits */
	return value;
}

/* systemd.directives(7): "TimeoutStopSec" of a file is TimeoutStopUSec on the bus. */
static json_t *variant_seconds(json_t *value, char type[4])
{
	const double seconds = json_number_value(value);
	json_t *micros = json_is_number(value) && seconds >= 0 && seconds < 1e12
				 ? json_integer((json_int_t)(seconds * 1e6))
				 : NULL;

	json_decref(value);
	memcpy(type, "t", 2);
	return micros;
}

/* What it is made of would not be ours any more: another's processes moved, or his devices. */
static bool variant_is_ours(const char *name)
{
	static const char *const ours[] = { "PIDs",	   "PIDFDs",	   "Slice",
					    "Delegate",	   "DevicePolicy", "DeviceAllow",
					    "ControlGroup" };

	for (size_t i = 0; i < ARRAY_SIZE(ours); i++) {
		if (!strcmp(ours[i], name))
			return true;
	}
	return false;
}

json_t *unit_annotation(const char *name, const char *value, struct err *err)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
	const size_t len = strlen(name);
	char bus_name[64], type[4] = "";

	if (variant_is_ours(name)) {
		(void)err_say(err, EINVAL, "annotation org.systemd.property.%s: that one is ours",
			      name);
		return NULL;
	}
	if (len < 3 || name[strspn(name, letters)] || len > 60) {
		(void)err_say(err, EINVAL,
			      "annotation org.systemd.property.%.60s: no property's name", name);
		return NULL;
	}
	json_t *json =
		value && strlen(value) < VARIANT_BYTES_MAX ? variant_parse(value, type) : NULL;
	(void)snprintf(bus_name, sizeof(bus_name), "%s", name); /* fits */
	if (json && len > 4 && !strcmp(name + len - 3, "Sec") && name[len - 4] >= 'a' &&
	    name[len - 4] <= 'z') {
		json = variant_seconds(json, type);
		(void)snprintf(bus_name, sizeof(bus_name), "%.*sUSec", (int)(len - 3),
			       name); /* fits */
	}
	if (!json) {
		(void)err_say(err, EINVAL,
			      "annotation org.systemd.property.%s: '%.60s' is no value, as true, "
			      "'text', uint64 5 or ['a', 'b']",
			      name, value ? value : "");
		return NULL;
	}
	return json_pack("[s, s, o]", bus_name, type, json);
}
