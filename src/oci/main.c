/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/os/clock.h"
#include "base/os/fd.h"
#include "base/os/idspace.h"
#include "oci/oci.h"
#include "oci/rootless.h"
#include "oci/vm.h"

static const struct opt main_opts[] = {
	{ 0, OPT_TEXT, "root", "DIR", "where the state of containers is kept (" OCI_ROOT ")" },
	{ 0, OPT_TEXT, "log", "FILE", "append what is said to a file, too" },
	{ 0, OPT_TEXT, "log-format", "FORMAT", "text (default) or json" },
	{ 0, OPT_SWITCH, "debug", NULL, "say more" },
	{ 0, OPT_TEXT, "cgroup-manager", "NAME",
	  "cgroupfs (default), systemd, or disabled: containers without cgroups" },
	{ 0, OPT_SWITCH, "systemd-cgroup", NULL,
	  "systemd: each container is a transient scope; cgroupsPath is slice:prefix:name" },
	{ 0, OPT_TEXT, "rootless", "WORD",
	  "true, false or auto (default): do without what only the host's root can do" },
	{ 0, OPT_TEXT, "strata-root", "DIR",
	  "where the kernels for virtual machines are (" OCI_STORE ")" },
	{ 'v', OPT_SWITCH, "version", NULL, "print the version" },
	{ 0 },
};

static const struct verb *const main_verbs[] = {
	&oci_verb_create,     &oci_verb_start,	 &oci_verb_run,	   &oci_verb_state,
	&oci_verb_kill,	      &oci_verb_delete,	 &oci_verb_exec,   &oci_verb_list,
	&oci_verb_ps,	      &oci_verb_pause,	 &oci_verb_resume, &oci_verb_update,
	&oci_verb_checkpoint, &oci_verb_restore, &oci_verb_events, &oci_verb_features,
	&oci_verb_spec,
};

static void say_json(int fd, const char *level, const char *text, const char *time)
{
	json_t *line = json_pack("{s:s, s:s, s:s}", "level", level, "msg", text, "time", time);
	char *dump = line ? json_dumps(line, JSON_COMPACT) : NULL;

	if (dump)
		(void)dprintf(fd, "%s\n", dump); /* nowhere left to say that it failed */
	free(dump);
	json_decref(line);
}

void oci_say(const struct oci *oci, const char *level, const char *text)
{
	char time[36];

	if (!strcmp(level, "debug") && !oci->debug)
		return;
	(void)fprintf(stderr, "%s: %s\n", level, text);
	if (oci->log < 0)
		return;
	clock_rfc3339(clock_real_ns(), time);
	if (oci->log_json)
		say_json(oci->log, level, text, time);
	else
		(void)dprintf(oci->log, "time=\"%s\" level=%s msg=\"%s\"\n", time, level, text);
}

static void main_help(void)
{
	(void)puts("strata-oci: runs OCI bundles, with the command line of runc\n\n"
		   "Usage: strata-oci [FLAGS] VERB [FLAGS] ID\n");
	for (size_t i = 0; i < ARRAY_SIZE(main_verbs); i++)
		(void)printf("  %-9s %-22s %s\n", main_verbs[i]->name, main_verbs[i]->operands,
			     main_verbs[i]->summary);
	(void)puts("\nFlags:");
	for (const struct opt *o = main_opts; o->name; o++)
		(void)printf("  --%-16s %-7s %s\n", o->name, o->arg ? o->arg : "", o->help);
}

static void main_verb_help(const struct verb *verb)
{
	(void)printf("strata-oci %s [FLAGS] %s\n%s\n", verb->name, verb->operands, verb->summary);
	for (const struct opt *o = verb->opts; o->name; o++)
		(void)printf("  --%-16s %-7s %s\n", o->name, o->arg ? o->arg : "", o->help);
}

static void main_version(void)
{
	(void)printf("strata-oci version %s\nspec: %s\n", STRATA_VERSION, CONFIG_VERSION);
}

static int main_rootless(const struct args *args, struct oci *oci, struct err *err)
{
	const char *word = args_text(args, "rootless", "auto");
	const enum ids_here here = ids_here();

	if (strcmp(word, "true") != 0 && strcmp(word, "false") != 0 && strcmp(word, "auto") != 0)
		return err_say(err, EINVAL, "--rootless %.40s: must be true, false or auto", word);
	if (!strcmp(word, "false") && here == IDS_USER)
		return err_say(err, EPERM, "--rootless false: you are not root");
	oci->entered = rootless_entered();
	oci->confined = !strcmp(word, "true") || (here != IDS_HOST && strcmp(word, "false") != 0);
	if (here == IDS_HOST || rootless_state(oci->root_text) < 0) {
		if (here == IDS_USER && !args_given(args, "root"))
			return err_say(err, EINVAL,
				       "XDG_RUNTIME_DIR is not set: say --root where the state of "
				       "containers is to be kept");
		return 0;
	}
	if (!args_given(args, "root"))
		oci->root = oci->root_text;
	return 0;
}

static int main_setup(const struct args *args, struct oci *oci, struct err *err)
{
	const char *format = args_text(args, "log-format", "text");
	const char *manager = args_text(args, "cgroup-manager", "cgroupfs");
	const char *log = args_text(args, "log", NULL);

	oci->root = args_text(args, "root", OCI_ROOT);
	oci->store = args_text(args, "strata-root", OCI_STORE);
	oci->debug = args_on(args, "debug");
	oci->log_json = !strcmp(format, "json");
	if (log && *log) {
		oci->log = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
		if (oci->log < 0)
			return err_set(err, errno, "--log %s", log);
	}
	if (!oci->log_json && strcmp(format, "text") != 0)
		return err_say(err, EINVAL, "--log-format %s: must be text or json", format);
	if (oci->root[0] != '/')
		return err_say(err, EINVAL, "--root %s: must be absolute", oci->root);
	if (oci->store[0] != '/')
		return err_say(err, EINVAL, "--strata-root %s: must be absolute", oci->store);
	const bool systemd = args_on(args, "systemd-cgroup");
	oci->no_cgroups = !strcmp(manager, "disabled");
	oci->systemd = systemd || !strcmp(manager, "systemd");
	if (strcmp(manager, "cgroupfs") != 0 && strcmp(manager, "systemd") != 0 && !oci->no_cgroups)
		return err_say(err, EINVAL,
			       "--cgroup-manager %.40s: must be cgroupfs, systemd or disabled",
			       manager);
	if (systemd && args_given(args, "cgroup-manager") && strcmp(manager, "systemd") != 0)
		return err_say(err, EINVAL, "--systemd-cgroup: --cgroup-manager says %s", manager);
	return main_rootless(args, oci, err);
}

static int main_find(const char *word, const struct verb **ret, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(main_verbs); i++) {
		if (!strcmp(main_verbs[i]->name, word)) {
			*ret = main_verbs[i];
			return 0;
		}
	}
	return err_say(err, EINVAL, "unknown verb '%.40s', see 'strata-oci --help'", word);
}

static int main_verb(const struct oci *oci, const struct verb *verb, int argc, char **argv,
		     struct err *err)
{
	AUTO(args_fini) struct args args = { 0 };
	int r = args_parse(verb->opts, verb->stop_at_operand, argc, argv, &args, err);

	if (r < 0)
		return r;
	if (args.help) {
		main_verb_help(verb);
		return 0;
	}
	if (args.argc < verb->min_operands ||
	    (verb->max_operands >= 0 && args.argc > verb->max_operands))
		return err_say(err, EINVAL, "%s takes: %s", verb->name,
			       verb->operands[0] ? verb->operands : "no operands");
	return verb->run(oci, &args, err);
}

static void main_free(char ***argv)
{
	free(*argv);
}

/* Where an ordinary user's command is root: in a namespace of its own, or in that of the container. */
static int main_enter(const struct oci *oci, const struct verb *verb, const struct args *args,
		      struct err *err)
{
	AUTO(container_close) struct container container = { .dir = -EBADF };
	AUTO(args_fini) struct args own = { 0 };

	if (verb->run != oci_verb_exec.run)
		return rootless_enter(err);
	/* Read again later: parsing reorders. */
	AUTO(main_free) char **words = calloc((size_t)args->argc + 1, sizeof(*words));
	if (!words)
		return err_set(err, ENOMEM, "arguments");
	memcpy(words, args->argv, (size_t)args->argc * sizeof(*words));
	int r = args_parse(verb->opts, true, args->argc - 1, words + 1, &own, err);
	if (r < 0 || own.help || own.argc < 1)
		return r;
	r = container_open(oci->root, own.argv[0], &container, err);
	if (r < 0)
		return r;
	if (container_status_of(&container, NULL) == CONTAINER_STOPPED)
		return err_say(err, ESRCH, "cannot exec: container not running: '%s' is stopped",
			       container.id);
	return rootless_join(container.pid, err);
}

static int main_seal(const struct oci *oci, const struct verb *verb, const struct args *args,
		     char *const *given, struct err *err)
{
	const bool user = geteuid() != 0;
	int r = user ? main_enter(oci, verb, args, err) : 0;

	return r < 0 ? r : self_seal(given, user, err);
}

static int main_run(struct oci *oci, int argc, char **argv, int *failed, struct err *err)
{
	AUTO(args_fini) struct args args = { 0 };
	const struct verb *verb = NULL;
	/* Parsing reorders it. */
	AUTO(main_free) char **given = calloc((size_t)argc + 1, sizeof(*given));
	if (!given)
		return err_set(err, ENOMEM, "arguments");
	memcpy(given, argv, (size_t)argc * sizeof(*given));
	int r = args_parse(main_opts, true, argc - 1, argv + 1, &args, err);

	if (r == 0)
		r = main_setup(&args, oci, err);
	if (r < 0)
		return r;
	if (args_on(&args, "version")) {
		main_version();
		return 0;
	}
	if (args.help || !args.argc || !strcmp(args.argv[0], "help")) {
		main_help();
		return args.help || args.argc ? 0 : 1;
	}
	r = main_find(args.argv[0], &verb, err);
	if (r < 0)
		return r;
	*failed = verb->failed ? verb->failed : 1;
	if (verb->run == oci_verb_create.run || verb->run == oci_verb_run.run ||
	    verb->run == oci_verb_exec.run)
		r = main_seal(oci, verb, &args, given, err);
	return r < 0 ? r : main_verb(oci, verb, args.argc - 1, args.argv + 1, err);
}

int main(int argc, char **argv)
{
	struct oci oci = { .log = -EBADF, .called = argc > 0 ? vm_called(argv[0]) : NULL };
	struct err err = { 0 };
	int failed = 1;

	(void)signal(SIGPIPE, SIG_IGN);
	int r = main_run(&oci, argc, argv, &failed, &err);
	if (r < 0)
		oci_say(&oci, "error", err.text);
	if (fflush(stdout) != 0 && r == 0)
		r = -EIO;
	return r < 0 ? failed : r;
}
