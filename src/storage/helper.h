/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Run strata-archive (storage/archive_main.c has its side) and other programs, and hear their answer. */
#include <jansson.h>
#include <sys/types.h>

#include "base/core/err.h"

struct helper {
	pid_t pid; /* 0: none */
	int result;
	int control; /* closing it lets an import's process go */
};

struct helper_fds {
	int in, out; /* standard input and output; negative: ours */
	int dir;     /* its fd 5 */
	int layers;  /* its fd 6; negative: none. Of cp: the user namespace to work in */
};

/* helper_start() - @argv: the arguments after the program's name, NULL-ended */
int helper_start(const char *const *argv, const struct helper_fds *fds, struct helper *ret,
		 struct err *err);
/* helper_result() - its answer; the process may live on until helper_fini(). */
int helper_result(struct helper *helper, json_t **ret, struct err *err);
void helper_fini(struct helper *helper); /* lets it go and reaps it; for AUTO */

/*
 * helper_spawn() - run a program with fds[i] as its fd i, negative: as ours for i < 3, else closed
 * @argv: NULL-ended, argv[0] a path, or a name looked up in PATH, then in /usr/sbin
 * The program is killed when this process ends. It exits with 127 where it cannot be run.
 */
int helper_spawn(const char *const *argv, const int *fds, size_t n_fds, pid_t *ret,
		 struct err *err);
int helper_wait(pid_t pid); /* the status as waitpid(2) gives it */
