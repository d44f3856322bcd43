/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What `run` and `create` are asked, as the JSON of docs/spec.md that manager_create() takes. */
#include <jansson.h>

#include "base/core/err.h"
#include "cli/args.h"

#define RUN_ONLY_OPTS 3 /* the first of run_opts, which create leaves out */
extern const struct opt run_opts[];

/*
 * run_config() - only members that were given; the operands are IMAGE [COMMAND [ARG...]]
 * Errors: -EINVAL, -ENOTSUP and what files say, in a line that names the flag. *ret is the caller's.
 */
int run_config(const struct args *args, json_t **ret, struct err *err);
