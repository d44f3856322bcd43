/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "cli/cmd.h"

/* inspect_all() - every operand as one JSON array; type NULL: whatever has the name. The exit status. */
int inspect_all(struct cli *cli, const struct args *args, const char *type, struct err *err);

#define OPT_INSPECT_FORMAT                                                                         \
	{                                                                                          \
		'f', OPT_TEXT, "format", "json", "nothing else is there: pipe it to jq"            \
	}
