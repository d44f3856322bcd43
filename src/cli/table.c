/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/table.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TABLE_GAP     3
#define TABLE_COLUMNS 16

/* C0, DEL and, as UTF-8, C1: what a terminal obeys */
static unsigned text_control(const unsigned char *c)
{
	if (*c < 0x20 || *c == 0x7f)
		return 1;
	return *c == 0xc2 && c[1] >= 0x80 && c[1] <= 0x9f ? 2 : 0;
}

unsigned text_add_printable(struct buf *buf, const char *text)
{
	unsigned width = 0;

	for (const unsigned char *c = (const unsigned char *)text; *c;) {
		unsigned control = text_control(c);
		if (control)
			(void)buf_adds(buf, "?"); /* a failure is sticky */
		else
			(void)buf_add(buf, c, 1); /* likewise */
		if ((*c & 0xc0) != 0x80)
			width++;
		c += control ? control : 1;
	}
	return width;
}

/* the cell's columns on the screen */
static unsigned table_cell(const json_t *row, const char *key, struct buf *buf)
{
	const json_t *v = json_object_get(row, key);
	char number[32];

	if (json_is_string(v))
		return text_add_printable(buf, json_string_value(v));
	if (json_is_integer(v)) {
		(void)snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(v));
		return text_add_printable(buf, number);
	}
	if (json_is_boolean(v))
		return text_add_printable(buf, json_is_true(v) ? "yes" : "no");
	return 0;
}

static void table_widths(const struct column *columns, unsigned n, const json_t *rows,
			 unsigned *widths)
{
	AUTO(buf_fini) struct buf scratch = { 0 };
	size_t i;
	const json_t *row;

	for (unsigned c = 0; c < n; c++)
		widths[c] = columns[c].title ? (unsigned)strlen(columns[c].title) : 0;
	json_array_foreach(rows, i, row)
	{
		for (unsigned c = 0; c < n; c++) {
			scratch.len = 0;
			unsigned width =
				columns[c].title ? table_cell(row, columns[c].key, &scratch) : 0;
			widths[c] = width > widths[c] ? width : widths[c];
		}
	}
}

/* row NULL: the header */
static void table_line(const struct column *columns, unsigned n, const json_t *row,
		       const unsigned *widths, struct buf *buf)
{
	unsigned owed = 0; /* padding, written only before a further cell */

	for (unsigned c = 0; c < n; c++) {
		if (!columns[c].title)
			continue;
		AUTO(buf_fini) struct buf cell = { 0 };
		unsigned width = row ? table_cell(row, columns[c].key, &cell)
				     : text_add_printable(&cell, columns[c].title);
		if (width && owed)
			(void)buf_printf(buf, "%*s", (int)owed, "");
		(void)buf_adds(buf, buf_str(&cell));
		owed = (width ? 0 : owed) + widths[c] - width + TABLE_GAP;
		buf->failed = buf->failed || cell.failed;
	}
	(void)buf_adds(buf, "\n"); /* a failure is sticky */
}

int table_text(const struct column *columns, unsigned n, const json_t *rows, struct buf *ret,
	       struct err *err)
{
	unsigned widths[TABLE_COLUMNS];
	size_t i;
	const json_t *row;

	if (n > TABLE_COLUMNS)
		return err_say(err, E2BIG, "a table of %u columns", n);
	table_widths(columns, n, rows, widths);
	table_line(columns, n, NULL, widths, ret);
	json_array_foreach(rows, i, row) table_line(columns, n, row, widths, ret);
	return ret->failed ? err_set(err, ENOMEM, "print the list") : 0;
}

int print_json(const json_t *json, struct err *err)
{
	char *text = json_dumps(json, JSON_INDENT(2) | JSON_ENCODE_ANY);

	if (!text)
		return err_set(err, ENOMEM, "print JSON");
	(void)puts(text); /* main() looks at ferror(stdout) */
	free(text);
	return 0;
}

int table_print(const struct column *columns, unsigned n, const json_t *rows, bool json,
		struct err *err)
{
	AUTO(buf_fini) struct buf text = { 0 };

	if (json)
		return print_json(rows, err);
	int r = table_text(columns, n, rows, &text, err);
	if (r < 0)
		return r;
	(void)fwrite(text.data, 1, text.len, stdout); /* main() looks at ferror(stdout) */
	return 0;
}

int table_format(const struct args *args, bool *ret_json, struct err *err)
{
	const char *format = args_text(args, "format", "table");

	if (!strcmp(format, "json") || !strcmp(format, "table")) {
		*ret_json = format[0] == 'j';
		return 0;
	}
	if (strchr(format, '='))
		return err_say(err, EINVAL,
			       "-f is --format here, table or json; for '%s' use --filter", format);
	return err_say(err, EINVAL, "--format takes table or json, not '%s'", format);
}
