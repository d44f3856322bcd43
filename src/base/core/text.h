/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Somebody else's words on our screen. */
#include "base/core/buf.h"

/* text_add_printable() - text with its control characters as '?'; returns the columns it takes. */
unsigned text_add_printable(struct buf *buf, const char *text);
