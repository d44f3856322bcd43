/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/help.h"

#include <string.h>

#define HELP_COLUMN_MAX 34 /* where the explanations start, at most: 46 columns are left to them */

/* one flag as typed: "-e, --env KEY=VALUE"; "    --name" is indented where it starts a line */
static void help_flag(const struct opt *opt, bool first, struct buf *line)
{
	if (opt->letter)
		(void)buf_printf(line, "-%c, ", opt->letter);
	else if (first)
		(void)buf_adds(line, "    ");
	(void)buf_printf(line, "--%s", opt->name);
	if (opt->arg)
		(void)buf_printf(line, " %s", opt->arg);
}

/* the flags that share one explanation; returns the last of them */
static const struct opt *help_line(const struct opt *opt, struct buf *line)
{
	(void)buf_adds(line, "  ");
	for (bool first = true;; first = false, opt++) {
		if (!first)
			(void)buf_adds(line, ", ");
		help_flag(opt, first, line);
		if (opt->help || !opt[1].name)
			return opt;
	}
}

static unsigned help_column(const struct opt *opts)
{
	unsigned column = 0;

	for (const struct opt *opt = opts; opt->name; opt++) {
		AUTO(buf_fini) struct buf line = { 0 };
		if (opt->type == OPT_GROUP)
			continue;
		opt = help_line(opt, &line);
		unsigned width = (unsigned)line.len + 2;
		if (width <= HELP_COLUMN_MAX && width > column)
			column = width;
	}
	return column ? column : HELP_COLUMN_MAX;
}

static void help_opts(const struct opt *opts, struct buf *ret)
{
	unsigned column = help_column(opts);

	for (const struct opt *opt = opts; opt->name; opt++) {
		AUTO(buf_fini) struct buf line = { 0 };
		if (opt->type == OPT_GROUP) {
			(void)buf_printf(ret, "%s:\n", opt->help);
			continue;
		}
		opt = help_line(opt, &line);
		const char *help = opt->help ? opt->help : "";
		bool fits = line.len + 2 <= column || line.len + 2 + strlen(help) <= 80;
		unsigned gap = line.len + 2 <= column ? column - (unsigned)line.len : 2;
		if (fits)
			(void)buf_printf(ret, "%s%*s%s\n", buf_str(&line), (int)gap, "", help);
		else
			(void)buf_printf(ret, "%s\n%*s%s\n", buf_str(&line), (int)column, "", help);
	}
}

static void help_subs(const struct cmd *const *subs, struct buf *ret)
{
	for (; *subs; subs++) {
		AUTO(buf_fini) struct buf name = { 0 };
		if ((*subs)->hidden)
			continue;
		(void)buf_adds(&name, (*subs)->name);
		if ((*subs)->alias)
			(void)buf_printf(&name, ", %s", (*subs)->alias);
		(void)buf_printf(ret, "  %-16s %s\n", buf_str(&name), (*subs)->summary);
	}
}

void help_cmd(const struct cmd *cmd, const char *path, struct buf *ret)
{
	const char *flags = cmd->opts && cmd->opts[0].name ? " [FLAGS]" : "";
	const char *operands = cmd->subs ? "VERB" : cmd->operands ? cmd->operands : "";

	(void)buf_printf(ret, "Usage: strata %s%s%s%s\n%s.\n", path, flags, *operands ? " " : "",
			 operands, cmd->summary);
	if (cmd->alias && !cmd->subs)
		(void)buf_printf(ret, "Also called: %s\n", cmd->alias);
	if (*flags && cmd->opts[0].type != OPT_GROUP)
		(void)buf_adds(ret, "\n");
	if (*flags)
		help_opts(cmd->opts, ret);
	if (cmd->subs) {
		(void)buf_adds(ret, "\n");
		help_subs(cmd->subs, ret);
		(void)buf_printf(ret, "\n'strata %s VERB --help' tells more of one.\n", path);
	}
	if (cmd->notes)
		(void)buf_printf(ret, "\n%s\n", cmd->notes);
}

/* verbs in pairs, down the left side first, so that 24 lines hold them all */
static void help_verbs(const struct cmd *const *cmds, struct buf *ret)
{
	const struct cmd *shown[64];
	unsigned n = 0;

	for (; *cmds && n < ARRAY_SIZE(shown); cmds++) {
		if (!(*cmds)->hidden)
			shown[n++] = *cmds;
	}
	unsigned half = (n + 1) / 2;
	for (unsigned i = 0; i < half; i++) {
		(void)buf_printf(ret, "  %-8s %-30s", shown[i]->name, shown[i]->summary);
		if (half + i < n)
			(void)buf_printf(ret, " %-10s %s", shown[half + i]->name,
					 shown[half + i]->summary);
		(void)buf_adds(ret, "\n");
	}
}

void help_main(const struct cli *cli, struct buf *ret)
{
	(void)buf_adds(ret, "Usage: strata [FLAGS] VERB ...\n"
			    "Run images under any server-virtualization architecture.\n\n");
	help_verbs(cli->cmds, ret);
	(void)buf_adds(ret, "\n");
	help_opts(cli->opts, ret);
	(void)buf_adds(ret, "'strata VERB --help' tells more of one; man strata tells it all.\n");
}
