/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "cli/args.h"

#define OPT_STOP_TIME                                                                              \
	{                                                                                          \
		't', OPT_TEXT, "time", "S",                                                        \
			"seconds before it is killed (default: its --stop-timeout)"                \
	}

/* stop_timeout() - reads --time; -1: the instance's own */
int stop_timeout(const struct args *args, int64_t *ret_ms, struct err *err);
