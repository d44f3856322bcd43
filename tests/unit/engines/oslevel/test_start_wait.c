/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <stdbool.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "engines/oslevel/start_wait.h"

#define CALLERS_MANY 40

struct scene {
	struct sockaddr_un address;
	int listener;
	pid_t waits; /* for its start: 0 at its end once it was told */
};

static bool scene_heard(int socket)
{
	char word = 0;

	return recv(socket, &word, 1, 0) == 1 && word == 'S' &&
	       send(socket, "S", 1, MSG_NOSIGNAL) == 1;
}

static void scene_start(struct scene *scene, const struct scratch *scratch)
{
	scene->address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	(void)snprintf(scene->address.sun_path, sizeof(scene->address.sun_path), "%s/start",
		       scratch->path);
	scene->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	assert_int_equal(
		bind(scene->listener, (struct sockaddr *)&scene->address, sizeof(scene->address)),
		0);
	assert_int_equal(listen(scene->listener, CALLERS_MANY), 0);
	scene->waits = fork();
	assert_true(scene->waits >= 0);
	if (scene->waits == 0)
		_exit(start_wait(scene->listener, scene_heard, NULL) < 0);
	fd_close(scene->listener);
}

static int scene_connect(const struct scene *scene)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	assert_int_equal(
		connect(fd, (const struct sockaddr *)&scene->address, sizeof(scene->address)), 0);
	return fd;
}

/* It starts at the first word, which the caller has the answer of. */
static void scene_end(struct scene *scene)
{
	AUTO(fd_close_p) int starter = scene_connect(scene);
	char word = 0;
	int status;

	assert_int_equal(send(starter, "S", 1, MSG_NOSIGNAL), 1);
	assert_int_equal(recv(starter, &word, 1, 0), 1);
	assert_int_equal(word, 'S');
	assert_int_equal(waitpid(scene->waits, &status, 0), scene->waits);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void who_stops_where_he_looks_holds_up_no_start(void **state)
{
	struct scene scene;

	scene_start(&scene, *state);
	int stopped = scene_connect(&scene);
	scene_end(&scene);
	fd_close(stopped);
}

static void nor_do_many_who_stop(void **state)
{
	struct scene scene;
	int stopped[CALLERS_MANY];

	scene_start(&scene, *state);
	for (size_t i = 0; i < CALLERS_MANY; i++)
		stopped[i] = scene_connect(&scene);
	scene_end(&scene);
	for (size_t i = 0; i < CALLERS_MANY; i++)
		fd_close(stopped[i]);
}

static void who_looks_and_leaves_or_says_something_else_starts_nothing(void **state)
{
	struct scene scene;

	scene_start(&scene, *state);
	for (int i = 0; i < 3; i++)
		fd_close(scene_connect(&scene));
	AUTO(fd_close_p) int wrong = scene_connect(&scene);
	char word;
	assert_int_equal(send(wrong, "X", 1, MSG_NOSIGNAL), 1);
	assert_int_equal(recv(wrong, &word, 1, 0), 0); /* hung up */
	scene_end(&scene);
}

/* A starter who died before he had his answer has started nothing. */
static void a_starter_who_dies_is_followed_by_another(void **state)
{
	struct scene scene;
	AUTO(fd_close_p) int first = -EBADF;

	scene_start(&scene, *state);
	first = scene_connect(&scene);
	assert_int_equal(shutdown(first, SHUT_RD), 0); /* his answer cannot be sent */
	assert_int_equal(send(first, "S", 1, MSG_NOSIGNAL), 1);
	scene_end(&scene);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		SCRATCH_TEST(who_stops_where_he_looks_holds_up_no_start),
		SCRATCH_TEST(nor_do_many_who_stop),
		SCRATCH_TEST(who_looks_and_leaves_or_says_something_else_starts_nothing),
		SCRATCH_TEST(a_starter_who_dies_is_followed_by_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
