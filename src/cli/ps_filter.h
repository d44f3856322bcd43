/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* --filter KEY=VALUE of ps. */
#include "cli/cmd.h"

/* ps_filter_check() - -EINVAL with the keys there are; *ret_all: they ask about ended instances too. */
int ps_filter_check(const struct args_value *filters, bool *ret_all, struct err *err);
/* ps_filter_match() - values of one key are alternatives, keys (and labels) must all hold */
bool ps_filter_match(const struct args_value *filters, const struct instance *instance);
