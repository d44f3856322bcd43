/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/core/macros.h"
#include "base/os/json.h"
#include "base/os/log.h"
#include "cli/flags.h"
#include "cli/verb.h"
#include "cli/verbs.h"

static const struct opt exec_opts[] = {
	{ 'd', OPT_SWITCH, "detach", NULL, "do not wait for it" },
	{ 'i', OPT_SWITCH, "interactive", NULL, "standard input goes in" },
	{ 't', OPT_SWITCH, "tty", NULL, "give it a terminal" },
	{ 'e', OPT_LIST, "env", "K[=V]", "another variable; without V your own" },
	{ 0, OPT_LIST, "env-file", "FILE", "variables, one a line" },
	{ 'u', OPT_TEXT, "user", "USER[:GROUP]", "who runs it (default: as the instance)" },
	{ 'w', OPT_TEXT, "workdir", "DIR", "where (default: as the instance)" },
	{ 0, OPT_SWITCH, "privileged", NULL, "with every capability" },
	{ 0, OPT_TEXT, "detach-keys", "KEYS", "what leaves it: ctrl-p,ctrl-q" },
	{ 0 },
};

static int exec_env(const struct args *args, json_t *env, struct err *err)
{
	const struct args_value *files = args_list(args, "env-file");
	const struct args_value *texts = args_list(args, "env");
	int r = 0;

	for (unsigned i = 0; r == 0 && i < files->count; i++)
		r = flag_env_file(files->texts[i], "--env-file", env, err);
	for (unsigned i = 0; r == 0 && i < texts->count; i++) {
		if (!flag_is_utf8(texts->texts[i]))
			return err_say(err, EINVAL, "--env '%s' is not valid UTF-8",
				       texts->texts[i]);
		r = flag_env(texts->texts[i], "--env", env, err);
	}
	return r;
}

static void exec_strings_p(const char ***strings)
{
	free(*strings);
}

/* the texts stay the JSON's, the array is the caller's */
static int exec_strings(const json_t *list, const char ***ret, struct err *err)
{
	size_t n = json_array_size(list);
	const char **strings = calloc(n + 1, sizeof(*strings));

	if (!strings)
		return err_set(err, ENOMEM, "read the flags");
	for (size_t i = 0; i < n; i++)
		strings[i] = json_string_value(json_array_get(list, i));
	*ret = strings;
	return 0;
}

static int exec_start(struct cli *cli, const struct args *args, const struct exec_opts *opts,
		      struct err *err)
{
	AUTO(instance_fini) struct instance instance = { 0 };
	struct manager *manager;
	int status = EXIT_STRATA;

	int r = verb_find(cli, args->argv[0], &manager, &instance, err);
	if (r < 0)
		return r;
	r = manager_exec(manager, &instance, opts, &status, err);
	if (r < 0) {
		log_error(err);
		return status > 0 ? status : EXIT_STRATA;
	}
	return status < 0 ? 0 : status; /* left with the detach keys */
}

static int exec_run(struct cli *cli, const struct args *args, struct err *err)
{
	AUTO(json_decref_p) json_t *env = json_array();
	AUTO(exec_strings_p) const char **strings = NULL;
	struct exec_opts opts = {
		.argv = args->argv + 1,
		.user = args_text(args, "user", NULL),
		.cwd = args_text(args, "workdir", NULL),
		.tty = args_on(args, "tty"),
		.stdin_open = args_on(args, "interactive"),
		.detach = args_on(args, "detach"),
		.privileged = args_on(args, "privileged"),
	};

	if (!env)
		return err_set(err, ENOMEM, "read the flags");
	if (opts.tty && opts.stdin_open && !opts.detach && !isatty(STDIN_FILENO))
		return err_say(
			err, ENOTTY,
			"-t with -i needs a terminal, and standard input is none: leave out -t");
	if (opts.cwd && opts.cwd[0] != '/')
		return err_say(err, EINVAL, "--workdir: '%s' is not absolute", opts.cwd);
	int r = verb_detach_keys(args_text(args, "detach-keys", NULL), &opts.detach_keys, err);
	r = r < 0 ? r : exec_env(args, env, err);
	r = r < 0 ? r : exec_strings(env, &strings, err);
	if (r < 0)
		return r;
	opts.env = strings;
	return exec_start(cli, args, &opts, err);
}

const struct cmd cmd_exec = {
	.name = "exec",
	.operands = "INSTANCE COMMAND [ARG...]",
	.summary = "Run a command in an instance",
	.notes = "The exit status is the command's; 126: it cannot be run, 127: it is not there.",
	.opts = exec_opts,
	.stop_at_operand = true,
	.min_operands = 2,
	.max_operands = -1,
	.run = exec_run,
};
