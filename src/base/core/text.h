/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Somebody else's words on our screen. */
#include "base/core/buf.h"

/* text_add_printable() - text with its control characters as '?'; returns the columns it takes. */
unsigned text_add_printable(struct buf *buf, const char *text);
/*
 * text_fold() - words, each line but the last ended where the next word would pass the screen's edge, and indented
 * @indent: columns before the first word, already there   @width: of the screen; a word that is longer than a line is cut
 * Control characters become '?'. No newline after the last line.
 */
void text_fold(struct buf *buf, const char *text, unsigned indent, unsigned width);
