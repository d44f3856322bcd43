/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cmd.h"

#include <string.h>

const struct opt no_opts[] = { { 0 } };

const struct cmd *cmd_find(const struct cmd *const *cmds, const char *name)
{
	for (; *cmds; cmds++) {
		const struct cmd *cmd = *cmds;
		if (!strcmp(cmd->name, name) || (cmd->alias && !strcmp(cmd->alias, name)))
			return cmd;
	}
	return NULL;
}
