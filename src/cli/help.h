/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* --help, from the same tables that are parsed. */
#include "base/core/buf.h"
#include "cli/cmd.h"

/*
 * help_cmd() - usage, summary, flags or sub-verbs, notes of one verb
 * @path: how it was called: "image list"
 */
void help_cmd(const struct cmd *cmd, const char *path, struct buf *ret);
/* help_main() - what `strata --help` shows. */
void help_main(const struct cli *cli, struct buf *ret);
