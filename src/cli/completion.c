/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/macros.h"
#include "cli/cmd.h"
#include "cli/verbs.h"
#include "network/network.h"
#include "storage/image.h"
#include "storage/kernel.h"
#include "storage/volume.h"

/*
 * Theory of operation. The shell's script knows nothing: at each TAB it runs `strata completion words --`
 * with the words before the one being typed, and offers the lines that begin like it. Verbs and flags come
 * from the tables that are parsed, so nothing can be forgotten; no line at all lets the shell offer files.
 */

extern const char completion_bash[]; /* data/strata.bash, made a C string by the build */

/* the shell expands what it is offered: only what needs no quoting goes there */
static void completion_offer(const char *word)
{
	for (const char *c = word; *c; c++) {
		if (!isalnum((unsigned char)*c) && !strchr("_.:/@-+", *c))
			return;
	}
	(void)puts(word); /* main() looks at ferror(stdout) */
}

static void completion_opts(const struct opt *opts)
{
	for (; opts && opts->name; opts++) {
		if (opts->type != OPT_GROUP)
			(void)printf("--%s\n", opts->name); /* main() looks at ferror(stdout) */
	}
	(void)puts("--help");
}

static void completion_instances(struct manager *manager)
{
	struct instance *instances;
	size_t n;

	if (manager_list(manager, true, LIST_SHOWN, &instances, &n, NULL) < 0)
		return;
	for (size_t i = 0; i < n; i++)
		completion_offer(instances[i].name);
	instances_free(instances, n);
}

static void completion_images(struct manager *manager)
{
	struct image *images;
	size_t n;

	if (image_list(&manager->store, &images, &n, NULL) < 0)
		return;
	for (size_t i = 0; i < n; i++) {
		for (char **tag = images[i].tags; tag && *tag; tag++) {
			size_t len = strlen(*tag);
			if (len > 7 && !strcmp(*tag + len - 7, ":latest"))
				(*tag)[len - 7] = '\0';
			completion_offer(*tag);
		}
		image_fini(&images[i]);
	}
	free(images);
}

static void completion_volumes(struct manager *manager)
{
	struct volume *volumes;
	size_t n;

	if (volume_list(&manager->store, &volumes, &n, NULL) < 0)
		return;
	for (size_t i = 0; i < n; i++) {
		completion_offer(volumes[i].name);
		volume_fini(&volumes[i]);
	}
	free(volumes);
}

static void completion_networks(struct manager *manager)
{
	struct network *networks;
	size_t n;

	if (network_list(&manager->store, &networks, &n, NULL) < 0)
		return;
	for (size_t i = 0; i < n; i++) {
		completion_offer(networks[i].name);
		network_fini(&networks[i]);
	}
	free(networks);
}

static void completion_kernels(struct manager *manager)
{
	struct kernel *kernels;
	size_t n;

	if (kernel_list(&manager->store, &kernels, &n, NULL) < 0)
		return;
	for (size_t i = 0; i < n; i++)
		completion_offer(kernels[i].version);
	kernels_fini(kernels, n);
}

static void completion_operands(struct cli *cli, const char *operands)
{
	static const struct {
		const char *word;
		void (*offer)(struct manager *manager);
	} kinds[] = {
		{ "INSTANCE", completion_instances },	   { "IMAGE", completion_images },
		{ "VOLUME", completion_volumes },	   { "NETWORK", completion_networks },
		{ "NAME...", completion_instances },	   { "NAME...", completion_images },
		{ "SOURCE TARGET", completion_instances }, { "KERNEL", completion_kernels },
	};
	struct manager *manager;

	operands += *operands == '[';
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		/* a TAB is no place for errors: what cannot be listed is not offered */
		if (!strncmp(operands, kinds[i].word, strlen(kinds[i].word)) &&
		    cli_manager(cli, &manager, NULL) == 0)
			kinds[i].offer(manager);
	}
}

/* values: those that the help names ("table|json"), or known names */
static void completion_value(struct cli *cli, const struct opt *opt)
{
	static const struct {
		const char *name, *values;
	} known[] = {
		{ "virt", "auto|os-level|hosted|hybrid" },
		{ "restart", "no|on-failure|always|unless-stopped" },
		{ "network", "bridge|none|host|passt" },
		{ "security-opt", "no-new-privileges|seccomp" },
		{ "type", "instance|image|volume|network" },
	};
	const char *values = strchr(opt->arg, '|') ? opt->arg : "";

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if (!strcmp(known[i].name, opt->name))
			values = known[i].values;
	}
	while (*values) {
		size_t len = strcspn(values, "|");
		(void)printf("%.*s\n", (int)len, values); /* main() looks at ferror(stdout) */
		values += len + (values[len] == '|');
	}
	if (!strcmp(opt->name, "network"))
		completion_operands(cli, "NETWORK");
}

/* the flag that takes the word after this one as its value, or NULL */
static const struct opt *completion_pending(const struct opt *opts, const char *word)
{
	if (word[0] != '-' || !word[1])
		return NULL;
	for (; opts && opts->name; opts++) {
		bool named = word[1] == '-' && !strcmp(word + 2, opts->name);
		bool lettered =
			opts->letter && word[strlen(word) - 1] == opts->letter && word[1] != '-';
		if ((named || lettered) && (opts->type == OPT_TEXT || opts->type == OPT_LIST))
			return opts;
	}
	return NULL;
}

/* what may follow the words of one verb */
static void completion_verb(struct cli *cli, const struct cmd *cmd, char **words)
{
	const struct opt *pending = NULL;
	bool operand = false;

	for (; *words; words++) {
		if (pending)
			pending = NULL;
		else if ((*words)[0] == '-' && (!operand || !cmd->stop_at_operand))
			pending = completion_pending(cmd->opts, *words);
		else
			operand = true;
	}
	if (pending) {
		completion_value(cli, pending);
	} else if (!operand || !cmd->stop_at_operand) {
		completion_opts(cmd->opts);
		completion_operands(cli, cmd->operands ? cmd->operands : "");
	}
}

static void completion_cmds(const struct cmd *const *cmds)
{
	for (; *cmds; cmds++) {
		if (!(*cmds)->hidden)
			(void)puts((*cmds)->name); /* main() looks at ferror(stdout) */
		if ((*cmds)->alias)
			(void)puts((*cmds)->alias);
	}
}

static const struct cmd *completion_find(const struct cli *cli, const char *word)
{
	const struct cmd *cmd = cmd_find(cli->cmds, word);

	for (unsigned i = 0; !cmd && cli->aliases[i].name; i++) {
		if (!strcmp(cli->aliases[i].name, word))
			cmd = cli->aliases[i].cmd;
	}
	return cmd;
}

static void completion_words(struct cli *cli, char **words)
{
	const struct opt *pending = NULL;

	for (; *words && ((*words)[0] == '-' || pending); words++) {
		if (pending && !strcmp(pending->name, "root"))
			cli->root = *words;
		else if (pending && !strcmp(pending->name, "run-root"))
			cli->run_root = *words;
		pending = pending ? NULL : completion_pending(cli->opts, *words);
	}
	if (pending)
		return;
	if (!*words) {
		completion_cmds(cli->cmds);
		for (unsigned i = 0; cli->aliases[i].name; i++)
			(void)puts(cli->aliases[i].name); /* main() looks at ferror(stdout) */
		completion_opts(cli->opts);
		return;
	}
	const struct cmd *cmd = completion_find(cli, *words++);
	while (cmd && cmd->subs && *words)
		cmd = cmd_find(cmd->subs, *words++);
	if (cmd && cmd->subs)
		completion_cmds(cmd->subs);
	else if (cmd)
		completion_verb(cli, cmd, words);
}

static int completion_run(struct cli *cli, const struct args *args, struct err *err)
{
	if (!strcmp(args->argv[0], "bash")) {
		(void)fputs(completion_bash, stdout); /* main() looks at ferror(stdout) */
		return 0;
	}
	if (strcmp(args->argv[0], "words") != 0)
		return err_say(err, EINVAL, "no completion for '%s', only for bash", args->argv[0]);
	char **words = args->argv + 1;
	completion_words(cli, *words && !strcmp(*words, "--") ? words + 1 : words);
	return 0;
}

const struct cmd cmd_completion = {
	.name = "completion",
	.operands = "bash | words [-- WORD...]",
	.summary = "Print the script for bash",
	.notes = "Use it as: source <(strata completion bash)\n"
		 "'words' prints what may follow the words given: it is what the script calls.",
	.stop_at_operand = true,
	.min_operands = 1,
	.max_operands = -1,
	.run = completion_run,
};
