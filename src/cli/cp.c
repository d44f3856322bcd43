/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/core/macros.h"
#include "cli/flags.h"
#include "cli/verb.h"
#include "cli/verbs.h"

static const struct opt cp_opts[] = {
	{ 'L', OPT_SWITCH, "follow-link", NULL, "of a link inside, copy what it points to" },
	{ 0 },
};

/*
 * cp_split() - "NAME:PATH" at its colon, NULL for a path of the host
 * A path with a colon in its name is written ./a:b, as Docker has it.
 */
static const char *cp_split(char *text)
{
	char *colon = strchr(text, ':');

	if (!colon || colon == text || text[0] == '.' || memchr(text, '/', (size_t)(colon - text)))
		return NULL;
	*colon = '\0';
	return colon + 1;
}

static int cp_run(struct cli *cli, const struct args *args, struct err *err)
{
	AUTO(instance_fini) struct instance instance = { 0 };
	AUTO(flag_text_p) char *from = strdup(args->argv[0]);
	AUTO(flag_text_p) char *to = strdup(args->argv[1]);
	struct manager *manager;

	if (!from || !to)
		return err_set(err, ENOMEM, "cp");
	const char *from_in = cp_split(from), *to_in = cp_split(to);
	if (!from_in == !to_in)
		return err_say(err, EINVAL,
			       "one of %s and %s must be in an instance: NAME:PATH, %s",
			       args->argv[0], args->argv[1],
			       from_in ? "and the other not" : "as in web1:/etc/hosts");
	if (!*(from_in ? to : from))
		return err_say(err, EINVAL,
			       "cp: the path of the host is empty: . is this directory");
	const char *inside = from_in ? from_in : to_in;
	if (!*inside)
		return err_say(err, EINVAL, "%s: no path after the colon", from_in ? from : to);
	if (!strcmp(to, "-") && isatty(STDOUT_FILENO))
		return err_say(err, EINVAL, "cp to - writes a tar: redirect standard output");
	int r = verb_find(cli, from_in ? from : to, &manager, &instance, err);
	if (r < 0)
		return r;
	if (from_in)
		return manager_copy_out(manager, &instance, from_in, to,
					args_on(args, "follow-link"), err);
	return manager_copy_in(manager, &instance, from, to_in, err);
}

const struct cmd cmd_cp = {
	.name = "cp",
	.operands = "SOURCE TARGET",
	.summary = "Copy files into or out",
	.notes = "One of the two is INSTANCE:PATH, the other a path of the host, or\n"
		 "- for a tar on standard input or output:\n"
		 "  strata cp web1:/etc/hosts .\n"
		 "  strata cp index.html web1:/srv/www/",
	.opts = cp_opts,
	.min_operands = 2,
	.max_operands = 2,
	.run = cp_run,
};
