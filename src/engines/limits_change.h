/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Limits of what runs already. */
#include "base/core/err.h"
#include "engines/spec.h"

/*
 * limits_change() - from some limits to others, as cgroup_update() takes it: 0 is left alone, -1 lifted
 * *ret borrows from both; limits_change_fini() frees its own. Errors: -ENOMEM. What cannot be lifted (a weight, CPUs) goes back to what
 * it is where nobody asks; a cpuset that is lifted: -EINVAL, as all CPUs are a list too.
 */
int limits_change(const struct spec_limits *from, const struct spec_limits *to,
		  struct spec_limits *ret, struct err *err);
void limits_change_fini(struct spec_limits *change);
