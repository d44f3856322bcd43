/* SPDX-License-Identifier: Apache-2.0 */
#include "printed.h"

#include "scratch.h"

#include <stdlib.h>
#include <string.h>

enum format { TABLE, CSV, JSON, MD, HTML };

static char *printed(enum format format, const struct result *r, const struct result *old,
		     bool colour, unsigned width)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	int error = -1;

	assert_non_null(out);
	switch (format) {
	case TABLE:
		error = report_table(r, old, out, colour, width);
		break;
	case CSV:
		error = report_csv(r, out);
		break;
	case JSON:
		error = report_json(r, out);
		break;
	case MD:
		error = report_md(r, old, out);
		break;
	case HTML:
		error = report_html(r, old, out);
		break;
	}
	assert_int_equal(fclose(out), 0);
	assert_int_equal(error, 0);
	assert_int_equal(strlen(text), size); /* no NUL within */
	return text;
}

char *printed_table(const struct result *r, const struct result *old, bool colour, unsigned width)
{
	return printed(TABLE, r, old, colour, width);
}

char *printed_csv(const struct result *r)
{
	return printed(CSV, r, NULL, false, 0);
}

char *printed_json(const struct result *r)
{
	return printed(JSON, r, NULL, false, 0);
}

char *printed_md(const struct result *r, const struct result *old)
{
	return printed(MD, r, old, false, 0);
}

char *printed_html(const struct result *r, const struct result *old)
{
	return printed(HTML, r, old, false, 0);
}

size_t count(const char *text, const char *word)
{
	size_t n = 0;

	for (const char *at = text; (at = strstr(at, word)); at += strlen(word))
		n++;
	return n;
}
