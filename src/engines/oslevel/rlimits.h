/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Resource limits: those of the spec, struct spec_ulimit. */
#include <stddef.h>

#include "base/core/err.h"
#include "engines/spec.h"

/*
 * rlimits_apply() - set limits on this process; what is not named stays as it was inherited
 * Errors: -EPERM where a hard limit cannot be raised so far, with the name, the value and this host's maximum.
 */
int rlimits_apply(const struct spec_ulimit *ulimits, size_t n, struct err *err);
