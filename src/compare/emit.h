/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What several reports print alike. */
#include <stdio.h>

#include "base/core/buf.h"
#include "compare/view.h"

/* emit() - a whole report to its stream; 0, -ENOMEM where it is not whole, or the stream's -errno. */
int emit(const struct buf *text, FILE *out);
/* emit_ratio() - "ratio to host: os-level, hybrid"; false and nothing: no column's is to that one. */
bool emit_ratio(const struct view *view, size_t baseline, struct buf *ret);
/* emit_missing() - "qemu-kvm does not run here: no /dev/kvm"; false and nothing: it does. */
bool emit_missing(const struct view *view, size_t column, struct buf *ret);
/* emit_changed() - whether a figure is told from what it was. */
bool emit_changed(const struct view *view);
#define WORDS_UNCHANGED "no figure whose quartiles parted from what they were"
/* emit_change() - "hosted: cold start, 12.3 ms was 10.1 ms (+22 %)"; since is DIFFER_WORSE or DIFFER_BETTER. */
void emit_change(const struct view *view, size_t metric, size_t column, struct buf *ret);
