/* SPDX-License-Identifier: Apache-2.0 */
#include "compare/measure.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "base/os/clock.h"
#include "compare/plan.h"

#define MEASURE_FAILURES 2 /* of one cell, and it is given up */

/* What a task's cells are at. */
struct measure_state {
	unsigned failures[MEASURE_COLUMNS];
	bool over[MEASURE_COLUMNS]; /* given up, or complete */
};

int measure_save(const struct comparison *c, struct err *err)
{
	return c->request->state ? result_save(c->result, c->request->state, err) : 0;
}

static bool measure_stopped(const struct comparison *c)
{
	struct pollfd stop = { c->setup.stop, POLLIN, 0 };

	return poll(&stop, 1, 0) > 0;
}

/* What --continue has no need to measure: all that is there, and what failed without an interruption. */
static unsigned measure_missing(const struct comparison *c, const struct task *task, size_t column)
{
	const struct result_cell *cell = result_cell(c->result, task->index, column);

	if (!c->columns[column].ops || (cell->why && !cell->n) || cell->n >= task->runs)
		return 0;
	return task->runs - (unsigned)cell->n;
}

void measure_expect(struct comparison *c, const struct task *task)
{
	for (size_t i = 0; i < c->result->n_columns; i++) {
		unsigned missing = measure_missing(c, task, i);
		if (missing)
			progress_expect(&c->progress, i, missing + task->warm_ups, task->seconds);
	}
}

static void measure_note(struct comparison *c, const struct task *task, size_t column,
			 const char *why)
{
	(void)result_why(c->result, task->index, column, why); /* no memory: a cell without words */
}

static void measure_failed(struct comparison *c, const struct task *task,
			   struct measure_state *state, size_t column, const struct err *why,
			   unsigned rounds_left)
{
	measure_note(c, task, column, why->text);
	state->failures[column]++;
	/* A second hang takes as long as the first; and what cannot be will not be. */
	if (why->code != ETIMEDOUT && why->code != ENOTSUP &&
	    state->failures[column] < MEASURE_FAILURES)
		return;
	state->over[column] = true;
	progress_drop(&c->progress, column, rounds_left, task->seconds);
}

/* Return: 0; -EINTR; or what saving says. */
static int measure_one(struct comparison *c, const struct task *task, struct measure_state *state,
		       size_t column, unsigned round, struct err *err)
{
	bool warm_up = round < task->warm_ups;
	struct err why = { 0 };
	int64_t begin = clock_mono_ns();

	progress_show(&c->progress, task->id, c->columns[column].ops->id);
	int r = task->sample(c, task, column, warm_up, &why);
	progress_did(&c->progress, column, task->seconds,
		     (double)(clock_mono_ns() - begin) / NS_PER_S);
	if (r == -EINTR || measure_stopped(c)) {
		c->interrupted = true;
		return -EINTR;
	}
	unsigned rounds = task->warm_ups + task->runs;
	if (r < 0)
		measure_failed(c, task, state, column, &why, rounds - round - 1);
	return warm_up && r == 0 ? 0 : measure_save(c, err);
}

/* A failure that was made up for is none. */
static void measure_forgive(struct comparison *c, const struct task *task)
{
	for (size_t i = 0; i < c->result->n_columns; i++) {
		if (result_cell(c->result, task->index, i)->n >= task->runs)
			measure_note(c, task, i, NULL);
	}
}

int measure_task(struct comparison *c, const struct task *task, struct err *err)
{
	struct measure_state state = { 0 };
	size_t n = c->result->n_columns;
	unsigned first[MEASURE_COLUMNS]; /* rounds before it are another time's */

	for (size_t i = 0; i < n; i++) {
		unsigned missing = measure_missing(c, task, i);
		state.over[i] = !missing;
		first[i] = task->runs - missing;
	}
	for (unsigned round = 0; round < task->warm_ups + task->runs; round++) {
		for (size_t at = 0; at < n; at++) {
			size_t column = plan_column(round, at, n);
			bool past =
				round >= task->warm_ups && round - task->warm_ups < first[column];
			if (state.over[column] || past)
				continue;
			int r = measure_one(c, task, &state, column, round, err);
			if (r < 0)
				return r;
		}
	}
	measure_forgive(c, task);
	return 0;
}
