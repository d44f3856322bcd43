/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/os/log.h"
#include "cli/cmd.h"
#include "cli/help.h"
#include "cli/host.h"
#include "cli/suggest.h"
#include "cli/verbs.h"

static const struct cmd *const main_cmds[] = {
	&cmd_run,	    &cmd_create,    &cmd_start, &cmd_stop,    &cmd_restart, &cmd_kill,
	&cmd_pause,	    &cmd_resume,    &cmd_exec,	&cmd_attach,  &cmd_logs,    &cmd_ps,
	&cmd_inspect,	    &cmd_stats,	    &cmd_top,	&cmd_wait,    &cmd_cp,	    &cmd_rename,
	&cmd_update,	    &cmd_rm,	    &cmd_image, &cmd_volume,  &cmd_network, &cmd_events,
	&cmd_compare,	    &cmd_baremetal, &cmd_info,	&cmd_version, &cmd_boot,    &cmd_completion,
	&cmd_import_openvz, &cmd_record,    NULL,
};

/* what Docker users type without thinking */
static const struct cmd_alias main_aliases[] = {
	{ "images", &cmd_image_list },	 { "pull", &cmd_image_pull },
	{ "rmi", &cmd_image_rm },	 { "load", &cmd_image_import },
	{ "import", &cmd_image_import }, { "save", &cmd_image_export },
	{ "tag", &cmd_image_tag },	 { NULL, NULL },
};

static const struct opt main_opts[] = {
	{ 0, OPT_TEXT, "root", "DIR", "where images, volumes and instances are kept" },
	{ 0, OPT_TEXT, "run-root", "DIR", "where what ends with a reboot is kept" },
	{ 0, OPT_TEXT, "host", "CHANNEL", "a server of strata-hv: serial line, socket, or lab" },
	{ 'D', OPT_SWITCH, "debug", NULL, "tell on standard error what is done" },
	{ 'v', OPT_SWITCH, "version", NULL, "print the version" },
	{ 0 },
};

/* the verb that the words name */
struct main_call {
	const struct cmd *cmd;
	char path[64]; /* "image list" */
	int argc;      /* what follows the verb */
	char **argv;
};

int cli_manager(struct cli *cli, struct manager **ret, struct err *err)
{
	if (!cli->opened) {
		int r = manager_open(cli->root, cli->run_root, &cli->manager, err);
		if (r < 0)
			return r;
		cli->opened = true;
		if (cli->host)
			r = host_use(cli, err);
		if (r < 0)
			return r;
	}
	*ret = &cli->manager;
	return 0;
}

static int main_unknown(const struct cli *cli, const struct cmd *const *cmds, const char *noun,
			const char *typed, struct err *err)
{
	struct suggest suggest = { 0 };
	const char *gap = *noun ? " " : "";

	for (unsigned i = 0; cmds[i]; i++) {
		suggest_offer(&suggest, typed, cmds[i]->name);
		if (cmds[i]->alias)
			suggest_offer(&suggest, typed, cmds[i]->alias);
	}
	for (unsigned i = 0; !*noun && cli->aliases[i].name; i++)
		suggest_offer(&suggest, typed, cli->aliases[i].name);
	if (suggest.best)
		return err_say(
			err, EINVAL,
			"unknown verb '%s', did you mean 'strata %s%s%s'? See 'strata%s%s --help'",
			typed, noun, gap, suggest.best, gap, noun);
	return err_say(err, EINVAL, "unknown verb '%s', see 'strata%s%s --help'", typed, gap, noun);
}

static const struct cmd *main_top(const struct cli *cli, const char *word)
{
	const struct cmd *cmd = cmd_find(cli->cmds, word);

	for (unsigned i = 0; !cmd && cli->aliases[i].name; i++) {
		if (!strcmp(cli->aliases[i].name, word))
			cmd = cli->aliases[i].cmd;
	}
	return cmd;
}

/* words: not empty, the first is no flag */
static int main_find(const struct cli *cli, int argc, char **argv, struct main_call *ret,
		     struct err *err)
{
	struct main_call call = { .cmd = main_top(cli, argv[0]),
				  .argc = argc - 1,
				  .argv = argv + 1 };

	if (!call.cmd)
		return main_unknown(cli, cli->cmds, "", argv[0], err);
	(void)snprintf(call.path, sizeof(call.path), "%s", argv[0]); /* names are short */
	while (call.cmd->subs && call.argc && call.argv[0][0] != '-') {
		const struct cmd *sub = cmd_find(call.cmd->subs, call.argv[0]);
		size_t len = strlen(call.path);
		if (!sub)
			return main_unknown(cli, call.cmd->subs, call.path, call.argv[0], err);
		(void)snprintf(call.path + len, sizeof(call.path) - len, " %s",
			       call.argv[0]); /* names are short */
		call.cmd = sub;
		call.argc--;
		call.argv++;
	}
	*ret = call;
	return 0;
}

static int main_help(const struct cli *cli, const struct main_call *call, struct err *err)
{
	AUTO(buf_fini) struct buf text = { 0 };

	if (call)
		help_cmd(call->cmd, call->path, &text);
	else
		help_main(cli, &text);
	if (text.failed)
		return err_set(err, ENOMEM, "print the help");
	(void)fputs(buf_str(&text), stdout); /* main_flush() looks at it */
	return 0;
}

static int main_operands(const struct main_call *call, const struct args *args, struct err *err)
{
	const struct cmd *cmd = call->cmd;

	if (args->argc < cmd->min_operands)
		return err_say(err, EINVAL, "usage: strata %s%s %s, see 'strata %s --help'",
			       call->path, cmd->opts ? " [FLAGS]" : "", cmd->operands, call->path);
	if (cmd->max_operands >= 0 && args->argc > cmd->max_operands)
		return err_say(err, EINVAL, "'%s' is one word too many, see 'strata %s --help'",
			       args->argv[cmd->max_operands], call->path);
	return 0;
}

static int main_call(struct cli *cli, const struct main_call *call, struct err *err)
{
	const struct cmd *cmd = call->cmd;
	AUTO(args_fini) struct args args = { 0 };

	int r = args_parse(cmd->opts ? cmd->opts : no_opts, cmd->stop_at_operand, call->argc,
			   call->argv, &args, err);
	if (r < 0) {
		struct err cause = *err;
		return err_say(err, EINVAL, "%s, see 'strata %s --help'", cause.text, call->path);
	}
	if (args.help)
		return main_help(cli, call, err);
	if (cmd->subs)
		return err_say(err, EINVAL, "strata %s needs a verb, see 'strata %s --help'",
			       call->path, call->path);
	r = main_operands(call, &args, err);
	return r < 0 ? r : cmd->run(cli, &args, err);
}

static int main_words(struct cli *cli, int argc, char **argv, struct err *err)
{
	AUTO(args_fini) struct args args = { 0 };
	struct main_call call;

	int r = args_parse(main_opts, true, argc, argv, &args, err);
	if (r < 0) {
		struct err cause = *err;
		return err_say(err, EINVAL, "%s, see 'strata --help'", cause.text);
	}
	const char *debug = getenv("STRATA_DEBUG");
	if (args_on(&args, "debug") || (debug && !strcmp(debug, "1")))
		log_debug_enable();
	cli->root = args_text(&args, "root", NULL);
	cli->run_root = args_text(&args, "run-root", NULL);
	cli->host = args_text(&args, "host", NULL);
	if (args_on(&args, "version")) {
		(void)puts("strata version " STRATA_VERSION); /* main_flush() looks at it */
		return 0;
	}
	if (args.help || !args.argc)
		return main_help(cli, NULL, err);
	if (!strcmp(args.argv[0], "help") && args.argc == 1)
		return main_help(cli, NULL, err);
	bool help = !strcmp(args.argv[0], "help");
	r = main_find(cli, args.argc - help, args.argv + help, &call, err);
	if (r < 0)
		return r;
	return help ? main_help(cli, &call, err) : main_call(cli, &call, err);
}

/* a list that did not reach its file is an error, whatever went well before */
static int main_flush(int status)
{
	if (!fflush(stdout) && !ferror(stdout))
		return status;
	struct err err = { 0 };
	(void)err_set(&err, errno, "write to standard output");
	log_error(&err);
	return status ? status : EXIT_STRATA;
}

int main(int argc, char **argv)
{
	struct cli cli = { .cmds = main_cmds, .aliases = main_aliases, .opts = main_opts };
	struct err err = { 0 };
	int skip = argc > 0; /* execve(2) may pass no name at all */

	int r = main_words(&cli, argc - skip, argv + skip, &err);
	if (r < 0) {
		/* what was printed before comes first */
		(void)fflush(stdout); /* main_flush() reports it */
		log_error(&err);
	}
	if (cli.opened)
		manager_close(&cli.manager);
	return main_flush(r < 0 ? EXIT_STRATA : r);
}
