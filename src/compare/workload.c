/* SPDX-License-Identifier: Apache-2.0 */
#include "compare/workload.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/macros.h"
#include "base/os/json.h"

#define WORKLOAD_LINE_MAX 65536 /* bytes of the output's end that are looked at */
#define WORKLOAD_PARSED	  "parsed"

/* Metrics that every workload has: a program's own number of that name is another. */
static const char *const workload_taken[] = { "time", "cpu", "memory", "status", WORKLOAD_PARSED };

int workload_regex(const char *text, regex_t *ret, struct err *err)
{
	char why[160];
	int code = regcomp(ret, text, REG_EXTENDED | REG_NEWLINE);

	if (code) {
		(void)regerror(code, ret, why, sizeof(why)); /* cut: still telling */
		return err_say(err, EINVAL, "--parse '%s': %s", text, why);
	}
	if (ret->re_nsub)
		return 0;
	regfree(ret);
	return err_say(err, EINVAL,
		       "--parse '%s': put the number into a group: '([0-9.]+) requests'", text);
}

static bool workload_is_taken(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(workload_taken); i++) {
		if (!strcmp(workload_taken[i], name))
			return true;
	}
	return false;
}

/* What the program calls so itself. */
static void workload_add(struct workload_numbers *numbers, const char *name, double value)
{
	struct workload_number *number = &numbers->list[numbers->n];

	if (numbers->n == WORKLOAD_NUMBERS || !name[0] || !isfinite(value))
		return;
	(void)snprintf(number->name, sizeof(number->name), "%s%s",
		       workload_is_taken(name) ? "own-" : "", name); /* cut, as said */
	for (char *c = number->name; *c; c++) {
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.",
			    *c))
			*c = '_';
	}
	if (workload_find(numbers, number->name))
		return; /* the first of two that became the same */
	number->value = value;
	numbers->n++;
}

const struct workload_number *workload_find(const struct workload_numbers *numbers,
					    const char *name)
{
	for (size_t i = 0; i < numbers->n; i++) {
		if (!strcmp(numbers->list[i].name, name))
			return &numbers->list[i];
	}
	return NULL;
}

static bool workload_is_number(const char *text, size_t n, double *ret)
{
	char copy[64], *end;

	if (!n || n >= sizeof(copy))
		return false;
	memcpy(copy, text, n);
	copy[n] = '\0';
	double value = strtod(copy, &end);
	if (*end || !isfinite(value))
		return false;
	*ret = value;
	return true;
}

/* The last match of a line counts: programs say their sum at the end. */
static int workload_match_text(const char *text, const regex_t *regex, double *ret)
{
	regmatch_t groups[2];
	int flags = 0;
	bool found = false;

	while (regexec(regex, text, 2, groups, flags) == 0) {
		if (groups[1].rm_so >= 0 &&
		    workload_is_number(text + groups[1].rm_so,
				       (size_t)(groups[1].rm_eo - groups[1].rm_so), ret))
			found = true;
		if (!text[groups[0].rm_eo])
			break;
		text += groups[0].rm_eo > 0 ? groups[0].rm_eo : 1;
		flags = text[-1] == '\n' ? 0 : REG_NOTBOL;
	}
	return found ? 0 : -ENODATA;
}

/* A NUL ends a line like any other: what comes after it counts, too. */
static int workload_match(const char *text, size_t n, const regex_t *regex, double *ret)
{
	const char *end = text + n;
	int r = -ENODATA;

	for (; text < end; text += strlen(text) + 1) {
		if (*text && workload_match_text(text, regex, ret) == 0)
			r = 0;
	}
	return r;
}

static void workload_json(const char *text, size_t n, struct workload_numbers *ret)
{
	AUTO(json_decref_p) json_t *json = NULL;
	const char *key;
	json_t *value;

	while (n && strchr(" \t\r\n", text[n - 1]) && text[n - 1])
		n--;
	size_t start = n;
	while (start && text[start - 1] != '\n' && n - start < WORKLOAD_LINE_MAX)
		start--;
	if (start == n || text[start] != '{' ||
	    json_parse(text + start, n - start, "output", &json, NULL) < 0)
		return;
	json_object_foreach(json, key, value)
	{
		if (json_is_number(value))
			workload_add(ret, key, json_number_value(value));
	}
}

int workload_parse(const char *text, size_t n, const regex_t *regex, struct workload_numbers *ret)
{
	size_t skip = n > WORKLOAD_LINE_MAX ? n - WORKLOAD_LINE_MAX : 0;
	double value = 0;
	int r = regex ? workload_match(text + skip, n - skip, regex, &value) : 0;

	*ret = (struct workload_numbers){ 0 };
	if (regex && r == 0)
		ret->list[ret->n++] =
			(struct workload_number){ .name = WORKLOAD_PARSED, .value = value };
	workload_json(text, n, ret);
	return r;
}
