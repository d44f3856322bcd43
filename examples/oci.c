/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bundle from its start to its end, with libstrata-oci. As root, or as whoever its config.json is for:
 *
 *	cc oci.c $(pkg-config --cflags --libs strata-oci) -o oci
 *	./oci /path/to/bundle
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <strata/oci.h>

static int failed(const struct strata_oci *oci, const char *what)
{
	(void)fprintf(stderr, "%s: %s\n", what, strata_oci_error(oci));
	return 1;
}

/* A second process in it, and what the runtime knows of it. */
static int look(struct strata_oci *oci, const struct strata_oci_io *io)
{
	char *text;
	int status;

	if (strata_oci_exec(oci, "example", "{\"args\": [\"echo\", \"one more\"], \"cwd\": \"/\"}",
			    io, &status) < 0)
		return failed(oci, "exec");
	(void)printf("exec: status %d\n", status);
	if (strata_oci_state(oci, "example", &text) < 0)
		return failed(oci, "state");
	(void)printf("%s\n", text);
	free(text);
	if (strata_oci_kill(oci, "example", SIGKILL, true) < 0)
		return failed(oci, "kill");
	return 0;
}

int main(int argc, char **argv)
{
	const struct strata_oci_io io = { sizeof(io), -1, STDOUT_FILENO, STDERR_FILENO, NULL };
	struct strata_oci *oci = strata_oci_new(argc > 2 ? argv[2] : NULL);

	if (!oci || argc < 2)
		return 2;
	if (argc > 3)
		strata_oci_program(oci, argv[3]);
	if (strata_oci_create(oci, "example", argv[1], &io) < 0) {
		int r = failed(oci, "create");
		strata_oci_free(oci);
		return r;
	}
	int r = strata_oci_start(oci, "example") < 0 ? failed(oci, "start") : look(oci, &io);
	if (strata_oci_delete(oci, "example", true) < 0)
		r = failed(oci, "delete");
	strata_oci_free(oci);
	return r;
}
