/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engines/oslevel/pidone.h"

/* Of process 1 and its workload, which tells what it did on a pipe. */
struct scene {
	pid_t init;
	int said; /* the workload's word; the end is the init's and the workload's */
	int go;	  /* closed: the init goes on */
};

/* The init does nothing between the two until it is told to: the workload must not have begun by then. */
static _Noreturn void scene_init(int word, int go, void (*workload)(int word))
{
	struct err err = { 0 };
	pid_t child;
	char byte;

	if (pidone_fork(&child, &err) < 0)
		_exit(1);
	if (child == 0) {
		workload(word);
		_exit(3);
	}
	(void)!read(go, &byte, 1);
	pidone_run(child);
}

static void scene_start(struct scene *scene, void (*workload)(int word))
{
	int ends[2], go[2];

	assert_int_equal(pipe(ends), 0);
	assert_int_equal(pipe(go), 0);
	scene->init = fork();
	assert_true(scene->init >= 0);
	if (scene->init == 0) {
		(void)close(ends[0]);
		(void)close(go[1]);
		scene_init(ends[1], go[0], workload);
	}
	(void)close(ends[1]);
	(void)close(go[0]);
	scene->go = go[1];
	scene->said = ends[0];
}

static bool scene_said(const struct scene *scene, int timeout_ms)
{
	struct pollfd p = { .fd = scene->said, .events = POLLIN };

	return poll(&p, 1, timeout_ms) == 1;
}

static int scene_end(struct scene *scene)
{
	int status;

	assert_int_equal(waitpid(scene->init, &status, 0), scene->init);
	(void)close(scene->said);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void workload_speaks(int word)
{
	if (write(word, "x", 1) == 1)
		_exit(7);
}

/* Regression: the workload ran beside an init that still had its rights, its files and its arguments. */
static void the_workload_begins_when_its_init_is_ready(void **state)
{
	struct scene scene;

	(void)state;
	scene_start(&scene, workload_speaks);
	assert_false(scene_said(&scene, 100));
	(void)close(scene.go);
	assert_true(scene_said(&scene, 100000));
	assert_int_equal(scene_end(&scene), 7);
}

static void workload_asks_to_be_ended(int word)
{
	(void)word;
	(void)kill(getppid(), SIGTERM);
	for (;;)
		(void)pause();
}

/* Regression: a signal that came before the init listened was lost, or ended it. */
static void no_signal_comes_too_early(void **state)
{
	struct scene scene;

	(void)state;
	scene_start(&scene, workload_asks_to_be_ended);
	(void)close(scene.go);
	assert_int_equal(scene_end(&scene), 128 + SIGTERM);
}

static void workload_closes(int word)
{
	(void)close(word);
	for (;;)
		(void)pause();
}

static void the_init_holds_no_end_open(void **state)
{
	struct scene scene;
	char byte;

	(void)state;
	scene_start(&scene, workload_closes);
	(void)close(scene.go);
	assert_int_equal(read(scene.said, &byte, 1), 0);
	assert_int_equal(kill(scene.init, SIGTERM), 0);
	assert_int_equal(scene_end(&scene), 128 + SIGTERM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_workload_begins_when_its_init_is_ready),
		cmocka_unit_test(no_signal_comes_too_early),
		cmocka_unit_test(the_init_holds_no_end_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
