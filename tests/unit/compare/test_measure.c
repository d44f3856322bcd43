/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/os/fd.h"
#include "compare/measure.h"
#include "compare/plan.h"

/* Four columns A to D, whose samples do what a case wants and leave their letters. */
struct rig {
	struct comparison c;
	struct compare_request request;
	struct result result;
	char order[256];
	size_t n;
	int fails;	     /* the column that does, or -1 */
	int code;	     /* with this */
	size_t interrupt_at; /* after so many samples; 0: never */
	int stop;
};

static const struct column_ops ops[] = {
	{ .id = "a", .title = "A" },
	{ .id = "b", .title = "B" },
	{ .id = "c", .title = "C" },
	{ .id = "d", .title = "D" },
};

static int sample(struct comparison *c, const struct task *task, size_t column, bool warm_up,
		  struct err *err)
{
	struct rig *rig = container_of(c, struct rig, c);

	assert_true(rig->n < sizeof(rig->order) - 1);
	rig->order[rig->n++] = (char)((warm_up ? 'a' : 'A') + (int)column);
	if (rig->n == rig->interrupt_at)
		return err_say(err, EINTR, "interrupted");
	if (rig->fails == (int)column)
		return err_say(err, rig->code, "does not work");
	return warm_up ? 0 : result_sample(c->result, task->index, column, (double)rig->n);
}

static struct task task_of(unsigned runs, unsigned warm_ups)
{
	return (struct task){
		.id = "m.m", .seconds = 1, .runs = runs, .warm_ups = warm_ups, .sample = sample
	};
}

static void rig_open(struct rig *rig)
{
	const struct result_metric metric = { .id = (char *)(uintptr_t) "m.m" };

	*rig = (struct rig){ .fails = -1 };
	rig->stop = eventfd(0, EFD_CLOEXEC);
	rig->c.request = &rig->request;
	rig->c.result = &rig->result;
	rig->c.setup.stop = rig->stop;
	assert_int_equal(result_metric_add(&rig->result, &metric), 0);
	for (size_t i = 0; i < 4; i++) {
		const struct result_column column = { .id = (char *)(uintptr_t)ops[i].id };
		assert_int_equal(result_column_add(&rig->result, &column), (int)i);
		rig->c.columns[i].ops = &ops[i];
	}
	progress_init(&rig->c.progress, NULL, false);
}

static void rig_close(struct rig *rig)
{
	result_fini(&rig->result);
	fd_close(rig->stop);
}

static void columns_take_turns_there_and_back(void **state)
{
	struct task task = task_of(3, 1);
	struct err err = { 0 };
	struct rig rig;

	(void)state;
	rig_open(&rig);
	assert_int_equal(measure_task(&rig.c, &task, &err), 0);
	assert_string_equal(rig.order, "abcdDCBAABCDDCBA");
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(result_cell(&rig.result, 0, i)->n, 3);
	rig_close(&rig);
}

static void what_fails_twice_is_given_up_and_says_why(void **state)
{
	struct task task = task_of(4, 1);
	struct err err = { 0 };
	struct rig rig;

	(void)state;
	rig_open(&rig);
	rig.fails = 1;
	rig.code = EIO;
	measure_expect(&rig.c, &task);
	assert_int_equal(measure_task(&rig.c, &task, &err), 0);
	assert_string_equal(rig.order, "abcdDCBAACDDCAACD");
	assert_string_equal(result_cell(&rig.result, 0, 1)->why, "does not work");
	assert_int_equal(result_cell(&rig.result, 0, 2)->n, 4);
	assert_int_equal(rig.c.progress.done, rig.c.progress.total);
	rig_close(&rig);
}

static void what_hangs_is_given_up_at_once(void **state)
{
	struct task task = task_of(2, 1);
	struct err err = { 0 };
	struct rig rig;

	(void)state;
	rig_open(&rig);
	rig.fails = 3;
	rig.code = ETIMEDOUT;
	assert_int_equal(measure_task(&rig.c, &task, &err), 0);
	assert_string_equal(rig.order, "abcdCBAABC");
	rig_close(&rig);
}

static void a_column_that_is_not_open_is_left_out(void **state)
{
	struct task task = task_of(1, 0);
	struct err err = { 0 };
	struct rig rig;

	(void)state;
	rig_open(&rig);
	rig.c.columns[2].ops = NULL;
	assert_int_equal(measure_task(&rig.c, &task, &err), 0);
	assert_string_equal(rig.order, "ABD");
	rig_close(&rig);
}

/* An interruption, the file, and the same again with what is missing. */
static void what_was_measured_is_not_measured_again(void **state)
{
	struct scratch *s = *state;
	struct task task = task_of(2, 0);
	struct err err = { 0 };
	char path[128];
	struct rig rig;

	(void)snprintf(path, sizeof(path), "%s/state.json", s->path);
	rig_open(&rig);
	rig.request.state = path;
	rig.interrupt_at = 6;
	assert_int_equal(measure_task(&rig.c, &task, &err), -EINTR);
	assert_true(rig.c.interrupted);
	assert_string_equal(rig.order, "ABCDDC");
	rig_close(&rig);

	rig_open(&rig);
	rig.request.state = path;
	result_fini(&rig.result);
	assert_int_equal(result_load(path, &rig.result, &err), 0);
	assert_int_equal(measure_task(&rig.c, &task, &err), 0);
	assert_string_equal(rig.order, "CBA");
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(result_cell(&rig.result, 0, i)->n, 2);
	rig_close(&rig);
}

static void a_signal_ends_it_after_the_sample(void **state)
{
	struct task task = task_of(2, 0);
	struct err err = { 0 };
	struct rig rig;

	(void)state;
	rig_open(&rig);
	fd_poke(rig.stop);
	assert_int_equal(measure_task(&rig.c, &task, &err), -EINTR);
	assert_string_equal(rig.order, "A");
	rig_close(&rig);
}

static void every_level_has_enough_runs_to_tell_a_difference(void **state)
{
	(void)state;
	assert_true(plan_runs(COMPARE_QUICK) >= 5);
	assert_true(plan_runs(COMPARE_STANDARD) > plan_runs(COMPARE_QUICK));
	assert_true(plan_runs(COMPARE_FULL) > plan_runs(COMPARE_STANDARD));
}

static void a_name_that_is_none_is_refused_with_those_there_are(void **state)
{
	const char *const virt[] = { "os-level", "nosuch", NULL }, *const globs[] = { "nosuch.*",
										      NULL };
	struct compare_request request = { .suite = true, .virt = virt };
	struct err err = { 0 };

	(void)state;
	assert_int_equal(compare_check(&request, &err), -EINVAL);
	assert_non_null(strstr(err.text, "nosuch"));
	assert_non_null(strstr(err.text, "hosted"));
	request.virt = NULL;
	request.globs = globs;
	assert_int_equal(compare_check(&request, &err), -EINVAL);
	request.globs = NULL;
	assert_int_equal(compare_check(&request, &err), 0);
	request.suite = false;
	request.parse = "no group";
	assert_int_equal(compare_check(&request, &err), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(columns_take_turns_there_and_back),
		cmocka_unit_test(what_fails_twice_is_given_up_and_says_why),
		cmocka_unit_test(what_hangs_is_given_up_at_once),
		cmocka_unit_test(a_column_that_is_not_open_is_left_out),
		SCRATCH_TEST(what_was_measured_is_not_measured_again),
		cmocka_unit_test(a_signal_ends_it_after_the_sample),
		cmocka_unit_test(every_level_has_enough_runs_to_tell_a_difference),
		cmocka_unit_test(a_name_that_is_none_is_refused_with_those_there_are),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
