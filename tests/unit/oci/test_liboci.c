/* SPDX-License-Identifier: Apache-2.0 */
/* Against a program that is none: what the library makes of what it says. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include <strata/oci.h>

static char dir[] = "/tmp/strata-test-XXXXXX", program[64], said[64];

/* A program that keeps its words, then does as the script says. */
static struct strata_oci *with(const char *script)
{
	FILE *f = fopen(program, "w");

	assert_non_null(f);
	assert_true(fprintf(f, "#!/bin/sh\necho \"$*\" >%s\n%s\n", said, script) > 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(program, 0700), 0);
	struct strata_oci *oci = strata_oci_new("/root dir");
	assert_non_null(oci);
	strata_oci_program(oci, program);
	return oci;
}

static void was_told(const char *want)
{
	char line[512] = "";
	FILE *f = fopen(said, "r");

	assert_non_null(f);
	assert_non_null(fgets(line, sizeof(line), f));
	assert_int_equal(fclose(f), 0);
	assert_string_equal(line, want);
}

#define HEAD "--root /root dir --log /proc/self/fd/3 "

static void each_call_is_a_command(void **state)
{
	struct strata_oci *oci = with("echo '[]'");
	char *text = NULL;

	(void)state;
	assert_int_equal(strata_oci_create(oci, "-box", "/b", NULL), 0);
	was_told(HEAD "create --bundle /b -- -box\n");
	assert_int_equal(strata_oci_start(oci, "box"), 0);
	was_told(HEAD "start -- box\n");
	assert_int_equal(strata_oci_kill(oci, "box", SIGTERM, true), 0);
	was_told(HEAD "kill --all -- box 15\n");
	assert_int_equal(strata_oci_delete(oci, "box", true), 0);
	was_told(HEAD "delete --force -- box\n");
	assert_int_equal(strata_oci_list(oci, &text), 0);
	was_told(HEAD "list --format json\n");
	assert_string_equal(text, "[]\n");
	free(text);
	assert_string_equal(strata_oci_error(oci), "");
	strata_oci_free(oci);
}

static void errors_are_the_programs_last_words(void **state)
{
	struct strata_oci *oci =
		with("echo 'time=\"t\" level=warning msg=\"w\"' >&3\n"
		     "echo 'time=\"t\" level=error msg=\"it is \"so\"\"' >&3; exit 1");
	char *text = NULL;

	(void)state;
	assert_int_equal(strata_oci_state(oci, "box", &text), -1);
	assert_null(text);
	assert_string_equal(strata_oci_error(oci), "it is \"so\"");
	strata_oci_free(oci);
	oci = with("exit 3");
	assert_int_equal(strata_oci_start(oci, "box"), -1);
	assert_string_equal(strata_oci_error(oci), "strata-oci failed with status 3");
	strata_oci_program(oci, "/no/such/program");
	assert_int_equal(strata_oci_start(oci, "box"), -1);
	assert_string_equal(strata_oci_error(oci), "/no/such/program cannot be run");
	strata_oci_free(oci);
}

/* A status is an error only where strata-oci says so: else it is the process's. */
static void exec_tells_its_processs_status(void **state)
{
	struct strata_oci *oci = with("cat \"$6\"; exit 7");
	const struct strata_oci_io io = { sizeof(io), -1, -1, -1, "/console" };
	int status = -1;

	(void)state;
	assert_int_equal(strata_oci_exec(oci, "box", "{}", NULL, &status), 0);
	assert_int_equal(status, 7);
	strata_oci_free(oci);
	oci = with("echo 'level=error msg=\"no\"' >&3; exit 255");
	assert_int_equal(strata_oci_exec(oci, "box", "{}", &io, &status), -1);
	assert_string_equal(strata_oci_error(oci), "no");
	strata_oci_free(oci);
	oci = with("kill -9 $$");
	assert_int_equal(strata_oci_exec(oci, "box", "{}", NULL, &status), 0);
	assert_int_equal(status, 137);
	strata_oci_free(oci);
}

/* The caller's own fds: what the program has at 0 to 3, however they lie. */
static void streams_are_those_that_were_given(void **state)
{
	struct strata_oci *oci =
		with("read -r line; echo \"got $line\"; echo bad >&2; ls /proc/$$/fd | wc -l >&2");
	int in[2], out[2], err[2];
	char text[64] = "";

	(void)state;
	assert_true(pipe(in) == 0 && pipe(out) == 0 && pipe(err) == 0);
	assert_int_equal(write(in[1], "word\n", 5), 5);
	const struct strata_oci_io io = { sizeof(io), in[0], out[1], err[1], NULL };
	assert_int_equal(strata_oci_create(oci, "box", "/b", &io), 0);
	assert_int_equal(read(out[0], text, sizeof(text)), 9);
	assert_memory_equal(text, "got word\n", 9);
	assert_true(read(err[0], text, sizeof(text)) >= 4);
	assert_memory_equal(text, "bad\n", 4);
	for (int i = 0; i < 2; i++) {
		(void)close(in[i]);
		(void)close(out[i]);
		(void)close(err[i]);
	}
	strata_oci_free(oci);
	strata_oci_free(NULL);
}

static int setup(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	(void)snprintf(program, sizeof(program), "%s/program", dir);
	(void)snprintf(said, sizeof(said), "%s/said", dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	(void)unlink(program);
	(void)unlink(said);
	return rmdir(dir);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_call_is_a_command),
		cmocka_unit_test(errors_are_the_programs_last_words),
		cmocka_unit_test(exec_tells_its_processs_status),
		cmocka_unit_test(streams_are_those_that_were_given),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
