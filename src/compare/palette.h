/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * How each architecture looks, in every report: a colour that colour-blind readers can tell from the others, and a shape for those
 * who see none. The colours are after Okabe and Ito, "Color Universal Design"; on paper and screen each has its own shade
 * (report.css), so that it stands out from the page by 3:1 at least. What is hollow is not ours.
 */
#include "compare/result.h"

enum marker {
	MARKER_BAR, /* the baseline */
	MARKER_CIRCLE,
	MARKER_SQUARE,
	MARKER_TRIANGLE,
	MARKER_DIAMOND,
	MARKER_DOWN, /* a triangle on its tip */
	MARKER_CROSS,
	MARKER_STAR,
};

struct look {
	const char *name; /* of its class in the page */
	enum marker marker;
	bool hollow;
	unsigned ansi;	  /* of 256 colours: ECMA-48 SGR 38;5 as xterm has it */
	const char *sign; /* the marker as a character */
};

/* look_of() - by its id; for one we do not know, by its place among those. */
const struct look *look_of(const struct result *result, size_t column);
