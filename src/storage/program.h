/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Other people's programs, run to their end, and what they said. */
#include "base/core/buf.h"
#include "base/core/err.h"

/*
 * program_run() - run it, take what it writes to standard output and error
 * @argv: as helper_spawn()   @dir: its working directory; NULL: ours   @ret_text: appended, at most 1 MiB
 * Return: its exit status, 127 where it could not be run, 128 + n after signal n; or -errno.
 */
int program_run(const char *const *argv, const char *dir, struct buf *ret_text, struct err *err);
/* program_last_line() - the last line of text that has words in it, "failed without a word" where none has. */
const char *program_last_line(struct buf *text);
