/* SPDX-License-Identifier: Apache-2.0 */
/* render SCENE|FILE FORMAT [WIDTH] [BASELINE]: a report of a made-up result, or of a file's, for tests that look at reports. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compare/report.h"
#include "scene.h"

static int render(const struct result *r, const struct result *old, const char *format,
		  unsigned width)
{
	if (!strcmp(format, "table"))
		return report_table(r, old, stdout, false, width);
	if (!strcmp(format, "colour"))
		return report_table(r, old, stdout, true, width);
	if (!strcmp(format, "json"))
		return report_json(r, stdout);
	if (!strcmp(format, "csv"))
		return report_csv(r, stdout);
	if (!strcmp(format, "md"))
		return report_md(r, old, stdout);
	return report_html(r, old, stdout);
}

int main(int argc, char **argv)
{
	struct result result, old = { 0 };
	struct err err;

	if (argc < 3)
		return 2;
	if (!scene_named(argv[1], &result) && result_load(argv[1], &result, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	if (argc > 4 && result_load(argv[4], &old, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	int r = render(&result, argc > 4 ? &old : NULL, argv[2],
		       argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 0);
	result_fini(&result);
	result_fini(&old);
	return r < 0;
}
