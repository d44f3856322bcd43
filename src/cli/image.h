/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <jansson.h>

#include "cli/cmd.h"

/* image_inspect() - what `inspect` shows of one; -ENOENT where there is none. *ret is the caller's. */
int image_inspect(struct cli *cli, const char *ref, json_t **ret, struct err *err);
