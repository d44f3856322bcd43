/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A console that nobody reads, whose last words are kept: what a kernel said before it ended without having come to
 * its workload. Any thread; the text is what a guest chose.
 */
#include "base/core/lock.h"
#include "machine/ops.h"

#define CONSOLE_TAIL_BYTES 512U

struct console_tail {
	struct console console;
	struct lock lock;
	char line[CONSOLE_TAIL_BYTES]; /* the one that is being written */
	unsigned len;
	char last[CONSOLE_TAIL_BYTES]; /* the last one that was whole and not empty */
};

void console_tail_init(struct console_tail *tail);
/* console_tail_last() - its last line, or what there is of one; "" where it never spoke. */
void console_tail_last(struct console_tail *tail, char ret[CONSOLE_TAIL_BYTES]);
