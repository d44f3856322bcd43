/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/core/macros.h"
#include "compare/view.h"

/* Three digits of a number from 0.0001 to 99999, without an exponent. */
static void figure_plain(double value, char ret[FIGURE_TEXT])
{
	double size = fabs(value);
	int decimals = size >= 99.95 ? 0 : size >= 9.995 ? 1 : size >= 0.9995 ? 2 : 3;

	for (double limit = 0.09995; decimals >= 3 && size < limit && decimals < 7; limit /= 10)
		decimals++;
	if (value == floor(value))
		decimals = 0;
	(void)snprintf(ret, FIGURE_TEXT, "%.*f", decimals, value); /* fits: under 100000 */
}

void figure_text(double value, char ret[FIGURE_TEXT])
{
	static const char *const suffix[] = { "k", "M", "G", "T" };
	double size = fabs(value);
	size_t s = 0;

	if (!isfinite(value)) {
		(void)snprintf(ret, FIGURE_TEXT, "–"); /* fits */
	} else if (value == 0) {
		(void)snprintf(ret, FIGURE_TEXT, "0"); /* fits, without the sign */
	} else if (size < 0.0001 || size >= 999.5e12) {
		(void)snprintf(ret, FIGURE_TEXT, "%.2e", value); /* fits */
	} else if (size < 99999.5) {
		figure_plain(value, ret);
	} else {
		for (value /= 1000; fabs(value) >= 999.5; s++)
			value /= 1000;
		char digits[FIGURE_TEXT];
		figure_plain(value, digits);
		(void)snprintf(ret, FIGURE_TEXT, "%.16s%s", digits, suffix[s]); /* fits */
	}
}

void ratio_text(double ratio, char ret[FIGURE_TEXT])
{
	char digits[FIGURE_TEXT];

	if (!isfinite(ratio)) {
		*ret = '\0';
		return;
	}
	figure_text(ratio, digits);
	if (ratio >= 0.9995 && ratio < 9.995)
		(void)snprintf(digits, sizeof(digits), "%.2f", ratio); /* fits; 1 is "1.00" */
	(void)snprintf(ret, FIGURE_TEXT, "%.20s×", digits);	       /* fits */
}

void change_text(const struct figure *figure, char ret[FIGURE_TEXT])
{
	const char *sign = figure->s.median < figure->was ? "−" : "+";
	char digits[FIGURE_TEXT];

	figure_text(figure->change, digits);
	if (figure->change < 99999)
		(void)snprintf(digits, sizeof(digits), "%.*f", figure->change < 9.95,
			       figure->change); /* fits */
	if (isfinite(figure->change))
		(void)snprintf(ret, FIGURE_TEXT, "%s%.16s %%", sign, digits); /* fits */
	else
		(void)snprintf(ret, FIGURE_TEXT, "from 0"); /* fits */
}

static size_t group_len(const char *id)
{
	return strcspn(id, ".");
}

const char *group_name(const char *id, char ret[GROUP_NAME])
{
	static const struct {
		const char *id, *name;
	} groups[] = {
		{ "life", "Life cycle" },
		{ "memory", "Memory" },
		{ "cpu", "CPU" },
		{ "kernel", "Kernel paths" },
		{ "latency", "Latency" },
		{ "disk", "Disk" },
		{ "network", "Network" },
		{ "service", "Services" },
		{ "job", "A whole job" },
		{ "isolation", "Isolation" },
		{ "interference", "Interference" },
		{ "exits", "Exits" },
		{ "workload", "Workload" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(groups); i++) {
		if (group_is(id, groups[i].id))
			return groups[i].name;
	}
	/* cut where it is too long, at a character's start */
	size_t n = group_len(id);
	if (n >= GROUP_NAME) {
		for (n = GROUP_NAME - 1; n && (id[n] & 0xc0) == 0x80; n--)
			;
	}
	memcpy(ret, id, n);
	ret[n] = '\0';
	return ret;
}

bool group_same(const char *a, const char *b)
{
	return group_len(a) == group_len(b) && !memcmp(a, b, group_len(a));
}

bool group_is(const char *id, const char *group)
{
	return group_len(id) == strlen(group) && !memcmp(id, group, strlen(group));
}

const char *why_text(const struct result *result, size_t metric, size_t column)
{
	const struct result_cell *cell = result_cell(result, metric, column);
	const char *why = cell->why && *cell->why ? cell->why : result->columns[column].why;

	return why && *why ? why : "not measured";
}
