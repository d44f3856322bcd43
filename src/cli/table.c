/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/table.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TABLE_GAP 3

void table_fini(struct table *table)
{
	buf_fini(&table->text);
	buf_fini(&table->sizes);
}

/* A cell in the common text. */
struct table_size {
	size_t len;
	unsigned width; /* columns on the screen */
};

static const char *table_title(const struct table *table, unsigned column)
{
	return table->columns[column].title;
}

/* from one column to the next that people see; n: the line is full */
static unsigned table_seen(const struct table *table, unsigned column)
{
	while (column < table->n && !table_title(table, column))
		column++;
	return column;
}

void table_add(struct table *table, const char *text)
{
	size_t before = table->text.len;
	unsigned width = text_add_printable(&table->text, text);
	const struct table_size size = { table->text.len - before, width };

	(void)buf_add(&table->sizes, &size, sizeof(size)); /* a failure is sticky */
	if (table->widths[table->at] < width)
		table->widths[table->at] = width;
	table->at = table_seen(table, table->at + 1);
	if (table->at == table->n)
		table->at = table_seen(table, 0);
}

int table_begin(struct table *table, const struct column *columns, unsigned n, struct err *err)
{
	*table = (struct table){ .columns = columns, .n = n };
	if (n > TABLE_COLUMNS || table_seen(table, 0) == n)
		return err_say(err, E2BIG, "a table of %u columns", n);
	table->at = table_seen(table, 0);
	for (unsigned c = 0; c < n; c++) {
		if (columns[c].title)
			table_add(table, columns[c].title);
	}
	return 0;
}

static void table_pad(struct buf *buf, unsigned width)
{
	static const char blanks[] = "                                ";

	while (width) {
		unsigned n = width < sizeof(blanks) - 1 ? width : (unsigned)sizeof(blanks) - 1;
		(void)buf_add(buf, blanks, n); /* a failure is sticky */
		width -= n;
	}
}

int table_end(const struct table *table, struct buf *ret, struct err *err)
{
	const char *text = buf_str(&table->text);
	unsigned owed = 0; /* padding, written only before a further cell */
	unsigned c = table_seen(table, 0);

	ret->failed = ret->failed || table->text.failed || table->sizes.failed;
	for (size_t at = 0; at + sizeof(struct table_size) <= table->sizes.len;
	     at += sizeof(struct table_size)) {
		struct table_size size;
		memcpy(&size, table->sizes.data + at, sizeof(size));
		if (size.width) {
			table_pad(ret, owed);
			owed = 0;
		}
		(void)buf_add(ret, text, size.len); /* a failure is sticky */
		text += size.len;
		owed += table->widths[c] - size.width + TABLE_GAP;
		c = table_seen(table, c + 1);
		if (c == table->n) {
			(void)buf_adds(ret, "\n"); /* likewise */
			owed = 0;
			c = table_seen(table, 0);
		}
	}
	return ret->failed ? err_set(err, ENOMEM, "print the list") : 0;
}

static void table_add_json(struct table *table, const json_t *v)
{
	char number[32];

	if (json_is_string(v)) {
		table_add(table, json_string_value(v));
	} else if (json_is_integer(v)) {
		(void)snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(v));
		table_add(table, number);
	} else {
		table_add(table, !json_is_boolean(v) ? "" : json_is_true(v) ? "yes" : "no");
	}
}

int table_text(const struct column *columns, unsigned n, const json_t *rows, struct buf *ret,
	       struct err *err)
{
	AUTO(table_fini) struct table table;
	size_t i;
	const json_t *row;

	int r = table_begin(&table, columns, n, err);
	if (r < 0)
		return r;
	json_array_foreach(rows, i, row)
	{
		for (unsigned c = 0; c < n; c++) {
			if (columns[c].title)
				table_add_json(&table, json_object_get(row, columns[c].key));
		}
	}
	return table_end(&table, ret, err);
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
