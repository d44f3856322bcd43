/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "compare/html.h"
#include "compare/palette.h"

/* The character that valid UTF-8 starts with, and its bytes. */
static unsigned html_char(const unsigned char *s, size_t *ret_len)
{
	*ret_len = s[0] < 0x80 ? 1 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	unsigned c = *ret_len == 1 ? s[0] : s[0] & (0x7fU >> *ret_len);

	for (size_t i = 1; i < *ret_len; i++)
		c = c << 6 | (s[i] & 0x3f);
	return c;
}

/*
 * Control characters and noncharacters are no HTML (HTML, "Preprocessing the input stream"); what overrides the direction of
 * writing (Unicode Standard Annex #9, "Directional Formatting Characters") would let text pass for other text.
 */
static bool html_forbidden(unsigned c)
{
	return (c < 0x20 && c != '\n' && c != '\t') || (c >= 0x7f && c < 0xa0) ||
	       (c >= 0xfdd0 && c <= 0xfdef) || (c & 0xfffe) == 0xfffe || c == 0x200e ||
	       c == 0x200f || (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

void html_text(struct buf *out, const char *text)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t len;

	for (; *s; s += len) {
		unsigned c = html_char(s, &len);
		const char *as = c == '&'	     ? "&amp;"
				 : c == '<'	     ? "&lt;"
				 : c == '>'	     ? "&gt;"
				 : c == '"'	     ? "&quot;"
				 : c == '\''	     ? "&#39;"
				 : html_forbidden(c) ? "\xef\xbf\xbd"
						     : NULL;
		(void)(as ? buf_adds(out, as) : buf_add(out, s, len)); /* a failure is sticky */
	}
}

void page_add(struct page *page, const char *markup)
{
	(void)buf_adds(&page->out, markup); /* a failure is sticky */
}

void page_text(struct page *page, const char *text)
{
	html_text(&page->out, text);
}

void page_code(struct page *page, const char *text)
{
	for (const char *open = strchr(text, '`'); open; open = strchr(text, '`')) {
		const char *close = strchr(open + 1, '`');
		char part[256];
		if (!close || open - text >= (ptrdiff_t)sizeof(part) ||
		    close - open > (ptrdiff_t)sizeof(part))
			break;
		(void)snprintf(part, sizeof(part), "%.*s", (int)(open - text), text);
		page_text(page, part);
		(void)snprintf(part, sizeof(part), "%.*s", (int)(close - open - 1), open + 1);
		page_add(page, "<code>");
		page_text(page, part);
		page_add(page, "</code>");
		text = close + 1;
	}
	page_text(page, text);
}

void page_short(struct page *page, const char *text, size_t chars)
{
	char cut[256];
	size_t n = 0;

	for (const char *c = text; *c && n < sizeof(cut) - 4; c++) {
		if ((*c & 0xc0) != 0x80 && chars-- == 0) {
			memcpy(cut + n, "…", sizeof("…"));
			page_text(page, cut);
			return;
		}
		cut[n++] = *c;
	}
	cut[n] = '\0';
	page_text(page, text[n] ? cut : text);
}

void page_printf(struct page *page, const char *fmt, ...)
{
	char text[1024];
	va_list args;

	va_start(args, fmt);
	int n = vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (n < 0 || (size_t)n >= sizeof(text)) /* what is long is never formatted */
		page->out.failed = true;
	else
		page_add(page, text);
}

void page_title(struct page *page, size_t column)
{
	page_text(page, page->view->result->columns[column].title);
}

static const char *page_shape(const struct look *look)
{
	static const char *const shapes[] = {
		[MARKER_BAR] = "bar",	      [MARKER_CIRCLE] = "circle",
		[MARKER_SQUARE] = "square",   [MARKER_TRIANGLE] = "triangle",
		[MARKER_DIAMOND] = "diamond", [MARKER_DOWN] = "down",
		[MARKER_CROSS] = "cross",     [MARKER_STAR] = "star",
	};

	return shapes[look->marker];
}

void page_icon(struct page *page, size_t column)
{
	const struct look *look = look_of(page->view->result, column);

	page_printf(page,
		    "<svg class=\"icon\" viewBox=\"-7 -7 14 14\" aria-hidden=\"true\">"
		    "<use class=\"mk a-%s%s\" href=\"#m-%s\"/></svg>",
		    look->name, look->hollow ? " hollow" : "", page_shape(look));
}

void page_mark(struct page *page, size_t column, double x, double y, bool faint)
{
	const struct look *look = look_of(page->view->result, column);

	page_printf(page, "<use class=\"mk a-%s%s%s\" href=\"#m-%s\" x=\"%.2f%%\" y=\"%.1f\"/>",
		    look->name, look->hollow ? " hollow" : "", faint ? " faint" : "",
		    page_shape(look), x, y);
}

void page_figure(struct page *page, size_t metric, size_t column)
{
	const struct view *view = page->view;
	const struct figure *f = view_figure(view, metric, column);
	char text[FIGURE_TEXT];

	page_title(page, column);
	figure_text(f->s.median, text);
	page_printf(page, ": %s ", text);
	page_text(page, view->result->metrics[metric].unit);
	ratio_text(f->ratio, text);
	if (*text && !view_is_baseline(view, column)) {
		page_printf(page, ", %s ", text);
		page_title(page, (size_t)view->baselines[column]);
	}
	if (f->s.noisy)
		page_add(page, "; " WORDS_NOISY);
}

void page_svg(struct page *page, const char *id, unsigned height, const char *title,
	      const char *about)
{
	page_printf(page,
		    "<svg class=\"plot\" role=\"img\" width=\"100%%\" height=\"%u\" "
		    "aria-labelledby=\"%s-t %s-d\"><title id=\"%s-t\">",
		    height, id, id, id);
	page_text(page, title);
	page_printf(page, "</title><desc id=\"%s-d\">", id);
	page_text(page, about);
	page_add(page, "</desc>");
}
