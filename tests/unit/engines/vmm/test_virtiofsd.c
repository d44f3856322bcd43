/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os/file.h"
#include "engines/vmm/virtiofsd.h"

static void put(struct scratch *s, const char *name, const char *text)
{
	assert_int_equal(file_replace(s->fd, name, 0644, text, strlen(text), false), 0);
}

static void the_first_description_of_a_program_that_is_there(void **state)
{
	struct scratch *s = *state;
	char *path = NULL, text[160];
	struct err err = { 0 };

	put(s, "10-broken.json", "{ \"type\": \"fs\", ");
	put(s, "20-other.json", "{ \"type\": \"gpu\", \"binary\": \"/bin/true\" }");
	put(s, "30-gone.json", "{ \"type\": \"fs\", \"binary\": \"/nonexistent\" }");
	put(s, "35-relative.json", "{ \"type\": \"fs\", \"binary\": \"bin/true\" }");
	put(s, "36-none", "{ \"type\": \"fs\", \"binary\": \"/bin/false\" }");
	put(s, "40-here.json",
	    "{ \"type\": \"fs\", \"binary\": \"/bin/true\", \"description\": 5 }");
	put(s, "50-later.json", "{ \"type\": \"fs\", \"binary\": \"/bin/false\" }");
	(void)snprintf(text, sizeof(text), "%s", s->path);
	assert_int_equal(virtiofsd_find(text, &path, &err), 0);
	assert_string_equal(path, "/bin/true");
	free(path);
}

static void the_package_is_named(void **state)
{
	struct scratch *s = *state;
	char *path = NULL;
	struct err err = { 0 };

	assert_int_equal(virtiofsd_find(s->path, &path, &err), -ENOENT);
	assert_non_null(strstr(err.text, "apt-get install qemu-system-common"));
	assert_int_equal(virtiofsd_find("/nonexistent", &path, &err), -ENOENT);
	assert_null(path);
}

static int no_tree(void *arg, size_t i, char ret_name[VIRTIOFSD_NAME], struct err *err)
{
	(void)arg;
	(void)ret_name;
	return err_say(err, ENOENT, "tree %zu is not there", i);
}

static int not_born(void *arg, pid_t pid, struct err *err)
{
	(void)arg;
	(void)pid;
	return err_say(err, EPERM, "it must not be");
}

static void what_the_new_process_says_is_the_error(void **state)
{
	struct virtiofsd_plan plan = { .n = 3, .tree = no_tree };
	struct virtiofsd server;
	struct err err = { 0 };
	char *path = NULL;
	int socket = -EBADF;

	(void)state;
	if (geteuid() != 0)
		SKIP("needs root");
	if (virtiofsd_find(NULL, &path, NULL) < 0)
		SKIP("needs virtiofsd: make setup");
	free(path);
	assert_int_equal(virtiofsd_start(&plan, &server, &socket, &err), -ENOENT);
	assert_string_equal(err.text, "tree 0 is not there");
	assert_int_equal(socket, -EBADF);
	virtiofsd_stop(&server);
	plan.born = not_born;
	assert_int_equal(virtiofsd_start(&plan, &server, &socket, &err), -EPERM);
	virtiofsd_stop(&server);
	virtiofsd_stop(&server); /* a no-op */
	plan.n = 1000;
	assert_int_equal(virtiofsd_start(&plan, &server, &socket, &err), -E2BIG);
	virtiofsd_stop(&server);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		SCRATCH_TEST(the_first_description_of_a_program_that_is_there),
		SCRATCH_TEST(the_package_is_named),
		cmocka_unit_test(what_the_new_process_says_is_the_error),
	};

	return cmocka_run_group_tests_name("engines/vmm/virtiofsd", tests, NULL, NULL);
}
