/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Resource limits by the names of --ulimit: those of the spec, struct spec_ulimit. */
#include <stddef.h>

#include "base/core/err.h"
#include "engines/spec.h"

/* rlimits_find() - RLIMIT_x of "nofile", or -EINVAL. */
int rlimits_find(const char *name);
const char *rlimits_name(int resource); /* "nofile", static; NULL for an unknown one */

/*
 * rlimits_parse() - "nofile=1024:2048", "nofile=1024" (both), "core=-1" or "core=unlimited"
 * Errors: -EINVAL: unknown name, not a number, or a soft limit above the hard one. ret->name is static.
 */
int rlimits_parse(const char *text, struct spec_ulimit *ret, struct err *err);

/*
 * rlimits_apply() - set limits on this process; what is not named stays as it was inherited
 * Errors: -EPERM where a hard limit cannot be raised so far, with the name, the value and this host's maximum.
 */
int rlimits_apply(const struct spec_ulimit *ulimits, size_t n, struct err *err);
