/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The last steps of any process of the workload's: who it is, what it runs, and giving up every right that this does
 * not need. Runs inside the workload's root. What the container engine does (engines/oslevel/process.c), from a message
 * in place of a spec.
 */
#include "config.h"
#include "engines/oslevel/users.h"

struct become {
	const struct config *config; /* borrowed; its env gets HOME and TERM */
	struct user user;
	char *home; /* "HOME=..."; owned */
};

void become_fini(struct become *become);
/* become_prepare() - look up the user, make the environment, set limits and the working directory. */
int become_prepare(struct become *become, int *ret_status, struct err *err);
/* become_stdio() - its own session; streams 0 to 2, -EBADF being /dev/null; execve(2) closes all else. */
int become_stdio(const struct become *become, int in, int out, int error, struct err *err);
/* become_drop() - capabilities, ids. */
int become_drop(const struct become *become, struct err *err);
/* become_run() - become the command. Returns on failure only, with 126 or 127 where the command is the cause. */
int become_run(const struct become *become, int *ret_status, struct err *err);
