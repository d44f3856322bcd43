/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The programs that belong to this one. */
#include "base/core/err.h"

/*
 * self_helper_path() - where a helper program is: $STRATA_LIBEXEC (for tests), beside this program, or
 * where `make install` puts it
 * $STRATA_SELF is where this program is, for one that runs from elsewhere (oci/self.c).
 * @name: "strata-archive"   @ret: owned by the caller
 * Errors: -ENOENT, with the places that were tried.
 */
int self_helper_path(const char *name, char **ret, struct err *err);
