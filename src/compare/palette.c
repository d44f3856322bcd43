/* SPDX-License-Identifier: Apache-2.0 */
#include "compare/palette.h"

#include <string.h>

#include "base/core/macros.h"

static const struct {
	const char *id;
	struct look look;
} palette[] = {
	{ "host", { "host", MARKER_BAR, false, 245, "|" } },
	{ "os-level", { "oslevel", MARKER_CIRCLE, false, 32, "●" } },
	{ "hybrid", { "hybrid", MARKER_SQUARE, false, 172, "■" } },
	{ "hosted", { "hosted", MARKER_TRIANGLE, false, 36, "▲" } },
	{ "bare-metal", { "bare", MARKER_DIAMOND, false, 167, "◆" } },
	{ "bare-linux", { "barelinux", MARKER_BAR, true, 138, "¦" } },
	{ "crun", { "crun", MARKER_CIRCLE, true, 74, "○" } },
	{ "qemu-kvm", { "qemukvm", MARKER_SQUARE, true, 179, "□" } },
	{ "qemu-tcg", { "qemutcg", MARKER_TRIANGLE, true, 175, "△" } },
};

static const struct look palette_others[] = {
	{ "other1", MARKER_DOWN, true, 139, "▽" },
	{ "other2", MARKER_DIAMOND, true, 109, "◇" },
	{ "other3", MARKER_CROSS, true, 102, "×" },
	{ "other4", MARKER_STAR, true, 137, "*" },
};

static const struct look *palette_find(const char *id)
{
	for (size_t i = 0; i < ARRAY_SIZE(palette); i++) {
		if (!strcmp(palette[i].id, id))
			return &palette[i].look;
	}
	return NULL;
}

const struct look *look_of(const struct result *result, size_t column)
{
	const struct look *look = palette_find(result->columns[column].id);
	size_t n = 0;

	for (size_t c = 0; c < column; c++)
		n += !palette_find(result->columns[c].id);
	return look ? look : &palette_others[n % ARRAY_SIZE(palette_others)];
}
