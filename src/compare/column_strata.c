/* SPDX-License-Identifier: Apache-2.0 */
/* Architectures of our own: this very program, run as a user would type it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compare/child.h"
#include "compare/columns.h"
#include "compare/group.h"
#include "engines/engine.h"
#include "engines/vmm/exits_read.h"
#include "manager/manager.h"
#include "storage/kernel.h"

#define STRATA_WORDS   40  /* of ours, before a command */
#define STRATA_VERB_S  60  /* for verbs that have no workload to wait for */
#define STRATA_START_S 300 /* the first start of a machine makes its disk */
#define STRATA_ADDED   256
#define STRATA_NAME    80

struct strata {
	char session[STRATA_NAME];
	struct group group; /* the session's */
	char added[STRATA_ADDED][STRATA_NAME];
	struct group added_groups[STRATA_ADDED];
	unsigned n_added;
};

/* A command line under way. */
struct strata_line {
	const char **words; /* owned, borrowed words */
	size_t n;
	char memory[32], cpus[16];
};

static void strata_line_fini(struct strata_line *line)
{
	free(line->words);
}

/* @more: how many words come at the end */
static int strata_line(const struct column *column, size_t more, struct strata_line *ret,
		       struct err *err)
{
	const struct column_setup *setup = column->setup;
	const char *const first[] = { setup->self, "--root", setup->root, "--run-root",
				      setup->run_root };

	*ret = (struct strata_line){ .words =
					     calloc(STRATA_WORDS + more + 1, sizeof(*ret->words)) };
	if (!ret->words)
		return err_set(err, ENOMEM, "run %s", setup->self);
	for (size_t i = 0; i < ARRAY_SIZE(first); i++)
		ret->words[ret->n++] = first[i];
	return 0;
}

static void strata_add_words(struct strata_line *line, const char *const *words)
{
	for (size_t i = 0; words[i]; i++)
		line->words[line->n++] = words[i];
}

static size_t strata_count(const char *const *words)
{
	size_t n = 0;

	while (words[n])
		n++;
	return n;
}

/* How an instance is asked for; docs/compare.md shows the line. */
static int strata_ask(const struct column *column, const char *verb_flag, const char *name,
		      const struct group *group, const char *const *argv, struct strata_line *ret,
		      struct err *err)
{
	const struct column_setup *setup = column->setup;
	int r = strata_line(column, strata_count(argv), ret, err);

	if (r < 0)
		return r;
	(void)snprintf(ret->memory, sizeof(ret->memory), "%llu",
		       (unsigned long long)setup->memory);		 /* fits */
	(void)snprintf(ret->cpus, sizeof(ret->cpus), "%u", setup->cpus); /* fits */
	const char *const words[] = { "run",	      verb_flag, "--name",
				      name,	      "--virt",	 column->ops->id,
				      "--network",    "none",	 "-m",
				      ret->memory,    "--cpus",	 ret->cpus,
				      "--entrypoint", "",	 NULL };
	const char *const counted[] = { "--cgroup-parent", group->path, NULL };
	/* cyclictest asks for a real-time policy before anything else. */
	static const char *const kept[] = { "--cap-add", "SYS_NICE", NULL };
	const char *const image[] = { setup->image, NULL };
	strata_add_words(ret, words);
	if (group->made)
		strata_add_words(ret, counted);
	if (!strcmp(verb_flag, "-d"))
		strata_add_words(ret, kept);
	strata_add_words(ret, image);
	strata_add_words(ret, argv);
	return 0;
}

/* One that has no workload: it works, or what it says is the error. */
static int strata_verb(const struct column *column, const char *const *words, unsigned timeout,
		       int stop, struct err *err)
{
	AUTO(strata_line_fini) struct strata_line line = { 0 };
	struct outcome outcome = { 0 };
	int r = strata_line(column, strata_count(words), &line, err);

	if (r < 0)
		return r;
	strata_add_words(&line, words);
	const struct child child = { .argv = line.words, .timeout = timeout, .stop = stop };
	r = child_run(&child, &outcome, err);
	if (r < 0)
		return r;
	if (outcome.timed_out)
		r = err_say(err, ETIMEDOUT, "strata %s: no answer in %u s", words[0], timeout);
	else if (outcome.status)
		r = err_say(err, EIO, "strata %s: %s", words[0], outcome.err_line);
	outcome_fini(&outcome);
	return r;
}

/* "error: start NAME: reason": the reason is what the same failure has in common. Other words may be the command's own. */
static void strata_plain(struct outcome *outcome)
{
	static const char ours[] = "error: start compare-";
	const char *reason;

	if (!outcome->err_line || strncmp(outcome->err_line, ours, sizeof(ours) - 1) != 0)
		return;
	reason = strstr(outcome->err_line + sizeof(ours), ": ");
	if (reason)
		memmove(outcome->err_line, reason + 2, strlen(reason + 2) + 1);
}

static void strata_remove(const struct column *column, const char *name)
{
	const char *const words[] = { "rm", "-f", name, NULL };

	/* Also after an interruption, so it listens to none. Gone already is good. */
	(void)strata_verb(column, words, STRATA_VERB_S, -EBADF, NULL);
}

static void strata_name(struct column *column, char ret[STRATA_NAME])
{
	(void)snprintf(ret, STRATA_NAME, "%.40s-%s-%u", column->setup->tag, column->ops->id,
		       column->started++); /* fits */
}

/* A name without the comparison's: "os-level-3". */
static const char *strata_short(const struct column *column, const char *name)
{
	return name + strlen(column->setup->tag) + 1;
}

/* The same limits for all: an ordinary user may have none for a container. */
static bool strata_limits(const struct column_setup *setup, const struct engine_ops *engine,
			  char why[240])
{
	const struct spec view = {
		.cgroup_parent = "",
		.network = SPEC_NETWORK_NONE,
		.limits = { .memory_bytes = (int64_t)setup->memory, .cpuset = "0" },
	};
	struct err err = { 0 };

	if (!engine->check || engine->check(&view, &err) == 0)
		return true;
	(void)snprintf(why, 240, "%.239s", err.text); /* cut: it still says what to do */
	return false;
}

bool strata_probe(const struct column_setup *setup, const char *name, char how[240], char why[240])
{
	const struct engine_ops *engine = engine_find(name, false);
	struct engine_report report = { 0 };
	struct kernel kernel = { 0 };
	struct err err = { 0 };

	if (!engine) {
		(void)snprintf(why, 240, "this build does not have it"); /* fits */
		return false;
	}
	engine->probe(&report);
	(void)snprintf(how, 240, "%s", report.how); /* fits */
	if (!report.available) {
		(void)snprintf(why, 240, "%s", report.why); /* as long */
		return false;
	}
	if (!engine->machines)
		return strata_limits(setup, engine, why);
	int r = kernel_find(&setup->manager->store, NULL, &kernel, &err);
	kernel_fini(&kernel);
	if (r < 0)
		(void)snprintf(why, 240, "%.239s", err.text); /* cut: it still says what to do */
	return r == 0;
}

int strata_open(struct column *column, struct err *err)
{
	column->state = calloc(1, sizeof(struct strata));
	return column->state ? 0 : err_set(err, ENOMEM, "column %s", column->ops->id);
}

struct strata_abort {
	const struct column *column;
	const char *name;
};

static void strata_abort(void *arg)
{
	const struct strata_abort *a = arg;

	strata_remove(a->column, a->name);
}

int strata_run(struct column *column, const char *const *argv, unsigned timeout,
	       struct outcome *ret, struct err *err)
{
	AUTO(strata_line_fini) struct strata_line line = { 0 };
	char name[STRATA_NAME];
	struct group group;
	double cpu, memory;

	strata_name(column, name);
	group_make(column->setup->tag, strata_short(column, name), NULL, &group);
	struct strata_abort abort = { column, name };
	int r = strata_ask(column, "--rm", name, &group, argv, &line, err);
	const struct child child = { .argv = line.words,
				     .group = &group,
				     .abort = strata_abort,
				     .arg = &abort,
				     .timeout = timeout,
				     .stop = column->setup->stop };
	if (r == 0)
		r = child_run(&child, ret, err);
	group_end(&group, &cpu, &memory);
	if (r == 0) {
		strata_plain(ret);
		ret->cpu = cpu;
		ret->memory = memory;
	}
	return r;
}

/* An idle instance that stays, named in *ret once there may be something to remove. */
static int strata_keep(struct column *column, const char *const *argv, char ret[STRATA_NAME],
		       struct group *group, struct err *err)
{
	AUTO(strata_line_fini) struct strata_line line = { 0 };
	struct outcome outcome = { 0 };

	strata_name(column, ret);
	group_make(column->setup->tag, strata_short(column, ret), NULL, group);
	int r = strata_ask(column, "-d", ret, group, argv, &line, err);
	if (r < 0)
		return r;
	const struct child child = { .argv = line.words,
				     .group = group,
				     .timeout = STRATA_START_S,
				     .stop = column->setup->stop };
	r = child_run(&child, &outcome, err);
	strata_plain(&outcome);
	if (r == 0 && (outcome.timed_out || outcome.status))
		r = err_say(err, EIO, "it does not start: %s",
			    outcome.timed_out ? "no answer" : outcome.err_line);
	outcome_fini(&outcome);
	if (r == 0)
		return 0;
	strata_remove(column, ret);
	group_end(group, NULL, NULL);
	ret[0] = '\0';
	return r;
}

/* The session's instance, if any, stopped or not. */
static void strata_end(struct column *column)
{
	struct strata *s = column->state;

	if (s->session[0])
		strata_remove(column, s->session);
	s->session[0] = '\0';
	group_end(&s->group, NULL, NULL);
}

int strata_start(struct column *column, struct err *err)
{
	struct strata *s = column->state;

	strata_end(column); /* one that was stopped */
	int r = strata_keep(column, column_idle, s->session, &s->group, err);
	if (r == 0)
		r = column_await(column, err);
	if (r < 0)
		strata_end(column);
	return r;
}

int strata_exec(struct column *column, const char *const *argv, unsigned timeout,
		struct outcome *ret, struct err *err)
{
	AUTO(strata_line_fini) struct strata_line line = { 0 };
	const struct strata *s = column->state;
	const char *const words[] = { "exec", s->session, NULL };
	int r = strata_line(column, strata_count(argv), &line, err);

	if (r < 0)
		return r;
	strata_add_words(&line, words);
	strata_add_words(&line, argv);
	const struct child child = { .argv = line.words,
				     .timeout = timeout,
				     .stop = column->setup->stop };
	return child_run(&child, ret, err);
}

static int strata_of_session(struct column *column, const char *verb, struct err *err)
{
	const struct strata *s = column->state;
	const char *const words[] = { verb, s->session, NULL };

	return strata_verb(column, words, STRATA_VERB_S, column->setup->stop, err);
}

int strata_pause(struct column *column, struct err *err)
{
	return strata_of_session(column, "pause", err);
}

int strata_resume(struct column *column, struct err *err)
{
	return strata_of_session(column, "resume", err);
}

int strata_stop(struct column *column, struct err *err)
{
	return strata_of_session(column, "stop", err);
}

static int strata_monitor(struct column *column, const char *name, pid_t *ret, struct err *err)
{
	struct instance instance = { 0 };
	int r = manager_find(column->setup->manager, name, &instance, err);

	if (r == 0)
		*ret = instance.monitor;
	instance_fini(&instance);
	return r;
}

int strata_processes(struct column *column, pid_t **ret, size_t *ret_n, struct err *err)
{
	const struct strata *s = column->state;
	pid_t roots[STRATA_ADDED + 1];
	int r = strata_monitor(column, s->session, &roots[0], err);

	for (unsigned i = 0; r == 0 && i < s->n_added; i++)
		r = strata_monitor(column, s->added[i], &roots[i + 1], err);
	if (r < 0)
		return r;
	r = child_tree(roots, s->n_added + 1, ret, ret_n);
	return r < 0 ? err_set(err, -r, "processes of %s", s->session) : 0;
}

int strata_exits(struct column *column, struct exit_counts *ret, uint64_t *ret_counted,
		 struct err *err)
{
	const struct strata *s = column->state;
	struct instance instance = { 0 };
	char run[4096];
	int r = manager_find(column->setup->manager, s->session, &instance, err);

	if (r < 0)
		return r;
	int n = snprintf(run, sizeof(run), "%s/instances/%s", column->setup->run_root, instance.id);
	instance_fini(&instance);
	if (n < 0 || (size_t)n >= sizeof(run))
		return err_set(err, ENAMETOOLONG, "%s", column->setup->run_root);
	return vmm_exits_read(run, true, ret, ret_counted, err);
}

/* Of a hypervisor elsewhere: it has no file of ours to count in. */
static int strata_hv_exits(struct column *column, struct exit_counts *ret, uint64_t *ret_counted,
			   struct err *err)
{
	const struct strata *s = column->state;
	struct instance instance = { 0 };
	struct stats_session session = { .of = NULL };
	struct guest_stats stats;
	int r = manager_find(column->setup->manager, s->session, &instance, err);

	if (r == 0)
		r = manager_stats(column->setup->manager, &instance, &session, &stats, err);
	stats_session_close(&session);
	instance_fini(&instance);
	if (r < 0)
		return r;
	*ret = stats.exits;
	*ret_counted = stats.exits_counted;
	return 0;
}

int strata_add(struct column *column, const char *const *argv, struct err *err)
{
	struct strata *s = column->state;

	if (s->n_added == STRATA_ADDED)
		return err_say(err, ENOSPC, "more than %d instances", STRATA_ADDED);
	int r = strata_keep(column, argv, s->added[s->n_added], &s->added_groups[s->n_added], err);
	s->n_added += r == 0;
	return r;
}

void strata_clear(struct column *column)
{
	struct strata *s = column->state;

	while (s->n_added) {
		s->n_added--;
		strata_remove(column, s->added[s->n_added]);
		group_end(&s->added_groups[s->n_added], NULL, NULL);
	}
}

void strata_close(struct column *column)
{
	struct strata *s = column->state;

	if (!s)
		return;
	strata_clear(column);
	strata_end(column);
	free(s);
	column->state = NULL;
	column->running = false;
}

COLUMN_STRATA(column_os_level, "os-level", "OS level", "host", NULL, false);
COLUMN_STRATA(column_hybrid, "hybrid", "hybrid", "host", strata_exits, false);
COLUMN_STRATA(column_hosted, "hosted", "hosted", "host", strata_exits, false);
/* On the lab's server every instruction is an emulator's: beside the same Linux on the same machine without a hypervisor. */
COLUMN_STRATA(column_bare_metal, "bare-metal", "bare-metal (lab)", "qemu-tcg", strata_hv_exits,
	      true);
