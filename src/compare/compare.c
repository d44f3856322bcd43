/* SPDX-License-Identifier: Apache-2.0 */
#include "compare/compare.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/core/macros.h"
#include "base/os/clock.h"
#include "base/os/json.h"
#include "compare/facts.h"
#include "compare/measure.h"
#include "compare/plan.h"
#include "compare/workload.h"

#define COMPARE_IMAGE_ID 12 /* characters, as `strata image ls` has it */
#define COMPARE_READER_S 5  /* what a workload is thought to take until it was seen */

static bool compare_listed(const char *const *list, const char *name)
{
	for (size_t i = 0; list[i]; i++) {
		if (!strcmp(list[i], name))
			return true;
	}
	return false;
}

static bool compare_wants_column(const struct compare_request *request,
				 const struct column_ops *ops)
{
	return request->virt ? ops == columns[0] || compare_listed(request->virt, ops->id)
			     : !ops->asked_only;
}

static bool compare_wants_metric(const struct compare_request *request, const char *id)
{
	for (size_t i = 0; request->globs && request->globs[i]; i++) {
		if (fnmatch(request->globs[i], id, 0) == 0)
			return true;
	}
	return !request->globs;
}

/* Asked for by name it is measured at any level. */
static bool compare_takes(const struct compare_request *request, const struct metric *metric)
{
	return compare_wants_metric(request, metric->id) &&
	       (request->globs || metric->level <= request->level);
}

static int compare_check_names(const struct compare_request *request, struct err *err)
{
	char known[256] = "";

	for (size_t i = 0; columns[i]; i++) {
		size_t len = strlen(known);
		(void)snprintf(known + len, sizeof(known) - len, "%s%s", i ? ", " : "",
			       columns[i]->id); /* cut: still telling */
	}
	for (size_t i = 0; request->virt && request->virt[i]; i++) {
		if (!column_find(request->virt[i]))
			return err_say(err, EINVAL, "--virt: there is no '%s'; there are %s",
				       request->virt[i], known);
	}
	return 0;
}

/* A pattern that matches nothing is a slip of the pen, also where others match. */
static int compare_check_globs(const struct compare_request *request, struct err *err)
{
	for (size_t i = 0; request->globs && request->globs[i]; i++) {
		bool any = false;
		for (size_t m = 0; metrics[m] && !any; m++)
			any = fnmatch(request->globs[i], metrics[m]->id, 0) == 0;
		if (!any)
			return err_say(
				err, EINVAL,
				"--metric: no metric's name matches '%s'; groups are life.*, memory.*, cpu.* (docs/compare-suite.md)",
				request->globs[i]);
	}
	return 0;
}

int compare_check(const struct compare_request *request, struct err *err)
{
	regex_t regex;
	int r = compare_check_names(request, err);

	if (r == 0)
		r = compare_check_globs(request, err);
	if (r < 0 || !request->parse)
		return r;
	r = workload_regex(request->parse, &regex, err);
	if (r == 0)
		regfree(&regex);
	return r;
}

/* ---- what is to be measured ---- */

static int compare_add_column(struct comparison *c, const struct column_ops *ops, struct err *err)
{
	char how[240] = "", why[240] = "";
	bool can = ops->probe(&c->setup.view, how, why);
	const struct result_column column = { .id = (char *)(uintptr_t)ops->id,
					      .title = (char *)(uintptr_t)ops->title,
					      .baseline = (char *)(uintptr_t)ops->baseline,
					      .how = how,
					      .why = can ? NULL : why,
					      .peer = ops->peer };
	int r = result_column_add(c->result, &column);

	return r < 0 ? err_set(err, -r, "column %s", ops->id) : 0;
}

static int compare_add_metric(struct comparison *c, const struct metric *metric, struct err *err)
{
	const struct result_metric row = { .id = (char *)(uintptr_t)metric->id,
					   .title = (char *)(uintptr_t)metric->title,
					   .unit = (char *)(uintptr_t)metric->unit,
					   .source = (char *)(uintptr_t)metric->source,
					   .better = metric->better,
					   .once = metric->once };
	int r = result_metric_add(c->result, &row);

	return r < 0 ? err_set(err, -r, "metric %s", metric->id) : 0;
}

/* The words of the workload as the reader gave them, for the report and for --continue. */
static char *compare_command(const struct comparison *c)
{
	AUTO(buf_fini) struct buf text = { 0 };

	if (c->request->suite)
		return NULL;
	for (size_t i = 0; c->setup.argv[i]; i++)
		(void)buf_printf(&text, "%s%s", i ? " " : "", c->setup.argv[i]); /* sticky */
	return result_utf8(buf_str(&text));
}

/* What else its figures go by: a tag may name another image tomorrow. */
static json_t *compare_facts(const struct comparison *c)
{
	json_t *facts = facts_read(c->request->memory, c->request->cpus);

	if (facts && json_object_set_new(facts, "image",
					 json_stringn(c->setup.image.id, COMPARE_IMAGE_ID)) == 0)
		return facts;
	json_decref(facts);
	return NULL;
}

static int compare_fresh(struct comparison *c, struct err *err)
{
	struct result *result = c->result;
	size_t index;
	int r = 0;

	result->level = c->request->level;
	result->image = result_utf8(c->request->image);
	result->command = compare_command(c);
	result->host = compare_facts(c);
	result->started_ns = clock_real_ns();
	if (!result->image || !result->host || (!c->request->suite && !result->command))
		return err_set(err, ENOMEM, "compare");
	for (size_t i = 0; columns[i] && r == 0; i++)
		r = compare_wants_column(c->request, columns[i])
			    ? compare_add_column(c, columns[i], err)
			    : 0;
	for (size_t i = 0; c->request->suite && metrics[i] && r == 0; i++)
		r = compare_takes(c->request, metrics[i]) ? compare_add_metric(c, metrics[i], err)
							  : 0;
	return r == 0 && !c->request->suite ? reader_metrics(result, &index, err) : r;
}

static bool compare_same(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

/* Samples of another machine, kernel, image or version are not of one figure. What the file does not say is not asked. */
static int compare_same_host(const struct comparison *c, struct err *err)
{
	static const char *const keys[] = { "limits", "cpu", "kernel", "strata", "image" };
	AUTO(json_decref_p) json_t *here = compare_facts(c);

	if (!here)
		return err_set(err, ENOMEM, "compare");
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		const char *now = json_str(here, keys[i], "");
		const char *was = json_str(c->result->host, keys[i], now);
		if (!strcmp(was, now))
			continue;
		return i ? err_say(err, EINVAL,
				   "--continue %s: its %s was %s, here it is %s: name another file",
				   c->request->state, keys[i], was, now)
			 : err_say(err, EINVAL,
				   "--continue %s: it was measured with %s: give the same -m and --cpus",
				   c->request->state, was);
	}
	return 0;
}

static int compare_loaded(struct comparison *c, struct err *err)
{
	const struct compare_request *request = c->request;
	struct result *result = c->result;
	char *command;
	int r = result_load(request->state, result, err);

	if (r < 0)
		return r;
	command = compare_command(c);
	bool same = compare_same(result->image, request->image) &&
		    compare_same(result->command, command);
	free(command);
	if (!same)
		return err_say(err, EINVAL,
			       "--continue %s: it is of %s%s%s: give that again, or another file",
			       request->state, result->image ? result->image : "no image",
			       result->command ? " " : "", result->command ? result->command : "");
	r = compare_same_host(c, err);
	if (r < 0)
		return r;
	if (result->n_columns > MEASURE_COLUMNS)
		return err_say(err, EINVAL, "--continue %s: it has more than %d columns",
			       request->state, MEASURE_COLUMNS);
	result->ended_ns = 0;
	return 0;
}

/* ---- the columns ---- */

static void compare_cannot(struct comparison *c, size_t column, const char *why)
{
	char **place = &c->result->columns[column].why;

	free(*place);
	*place = result_utf8(why[0] ? why : "it cannot be opened");
	c->columns[column].ops = NULL;
}

/* One that cannot says why in its place; the others go on. */
static int compare_open(struct comparison *c, struct err *err)
{
	for (size_t i = 0; i < c->result->n_columns; i++) {
		const struct result_column *column = &c->result->columns[i];
		const struct column_ops *ops = column_find(column->id);
		struct err why = { 0 };
		/* Without --virt: all that the file has, which was asked for when it was begun. */
		if (column->why || !ops ||
		    (c->request->virt && !compare_wants_column(c->request, ops)))
			continue;
		c->columns[i] = (struct column){ .ops = ops, .setup = &c->setup.view };
		int r = ops->open(&c->columns[i], &why);
		if (r == 0)
			continue;
		ops->close(&c->columns[i]);
		if (r == -EINTR) {
			c->columns[i].ops = NULL;
			c->interrupted = true;
			return err_say(err, EINTR, "interrupted");
		}
		compare_cannot(c, i, why.text);
	}
	return 0;
}

static void compare_close(struct comparison *c)
{
	for (size_t i = 0; i < MEASURE_COLUMNS; i++) {
		if (c->columns[i].ops)
			c->columns[i].ops->close(&c->columns[i]);
		c->columns[i].ops = NULL;
	}
}

/* ---- the tasks ---- */

static struct task compare_task(const struct comparison *c, size_t index)
{
	const char *id = c->result->metrics[index].id;
	const struct metric *metric = metric_find(id);

	if (!metric || !c->request->suite || !compare_wants_metric(c->request, id))
		return (struct task){ 0 };
	return (struct task){ .metric = metric,
			      .id = metric->id,
			      .index = index,
			      .seconds = metric->seconds,
			      .runs = metric->once ? 1 : c->runs,
			      .warm_ups = metric->once ? 0 : PLAN_WARM_UP,
			      .sample = suite_sample };
}

static int compare_reader(struct comparison *c, struct err *err)
{
	int index = result_find_metric(c->result, "workload.status");
	const struct task task = { .id = "workload",
				   .index = index < 0 ? 0 : (size_t)index,
				   .seconds = COMPARE_READER_S,
				   .runs = c->runs,
				   .warm_ups = PLAN_WARM_UP,
				   .sample = reader_sample };

	if (index < 0)
		return err_say(err, EINVAL, "%s: it is of no workload", c->request->state);
	measure_expect(c, &task);
	return measure_task(c, &task, err);
}

static int compare_suite(struct comparison *c, struct err *err)
{
	int r = 0;

	for (size_t i = 0; i < c->result->n_metrics; i++) {
		struct task task = compare_task(c, i);
		if (task.sample)
			measure_expect(c, &task);
	}
	for (size_t i = 0; i < c->result->n_metrics && r == 0; i++) {
		struct task task = compare_task(c, i);
		if (task.sample)
			r = measure_task(c, &task, err);
	}
	return r;
}

static int compare_all(struct comparison *c, struct err *err)
{
	int r = c->request->go_on ? compare_loaded(c, err) : compare_fresh(c, err);

	if (r < 0)
		result_fini(c->result); /* of another comparison, or half a one */
	if (r == 0)
		r = measure_save(c, err);
	if (r == 0)
		r = compare_open(c, err);
	progress_init(&c->progress, stderr, isatty(STDERR_FILENO));
	if (r == 0)
		r = c->request->suite ? compare_suite(c, err) : compare_reader(c, err);
	progress_end(&c->progress);
	if (r == 0)
		c->result->ended_ns = clock_real_ns();
	return r;
}

int compare_run(const struct compare_request *request, struct result *ret, bool *ret_interrupted,
		struct err *err)
{
	struct comparison c = { .request = request, .result = ret };
	struct err save = { 0 };

	*ret = (struct result){ 0 };
	c.runs = request->runs ? request->runs : plan_runs(request->level);
	int r = compare_check(request, err);
	if (r == 0 && request->parse) {
		r = workload_regex(request->parse, &c.regex, err);
		c.has_regex = r == 0;
	}
	if (r < 0)
		return r;
	r = setup_make(request, &c.setup, err);
	if (r == 0)
		r = compare_all(&c, err);
	compare_close(&c);
	*ret_interrupted = c.interrupted;
	if (r == 0 || c.interrupted)
		r = measure_save(&c, &save) < 0 ? err_say(err, save.code, "%s", save.text) : 0;
	setup_fini(&c.setup); /* last: a second Ctrl-C ends us from here on */
	if (c.has_regex)
		regfree(&c.regex);
	return r;
}
