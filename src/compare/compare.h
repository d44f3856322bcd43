/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* `strata compare` from its beginning to its end. docs/compare.md says what is measured, and how. */
#include <stdbool.h>
#include <stdint.h>

#include "base/core/err.h"
#include "compare/result.h"

struct manager;

struct compare_request {
	struct manager *manager;
	const char *image;
	bool suite;		 /* the built-in suite in that image; else the reader's workload */
	const char *const *argv; /* the workload, NULL-ended; NULL: what the image runs by itself */
	const char *const *
		virt; /* ids of columns, NULL-ended; NULL: all. "host" comes always: ratios are to it */
	const char *const *
		globs; /* fnmatch(3) patterns of metrics' ids, NULL-ended; NULL: all of the level */
	enum compare_level level;
	unsigned runs; /* of each; 0: as the level has it */
	unsigned
		timeout; /* seconds for one; 0: 20 times what it should take, or COMPARE_WORKLOAD_S */
	uint64_t memory; /* bytes */
	unsigned cpus;
	const char *
		parse; /* POSIX extended regular expression, whose first group is a number of the workload's; or NULL */
	const char *state; /* path of the file that is saved after each sample */
	bool go_on;	   /* what is in that file is not measured again */
};

#define COMPARE_WORKLOAD_S 600
#define COMPARE_RUNS_MAX   1000

/*
 * compare_run() - measure
 * @ret: what there is, also after an interruption (SIGINT, SIGTERM, SIGHUP: *ret_interrupted); result_fini()
 * Nothing of it is left on the host when it returns. Errors: one line that says what to do.
 */
int compare_run(const struct compare_request *request, struct result *ret, bool *ret_interrupted,
		struct err *err);
/* compare_check() - names and patterns that match nothing, a regular expression that is none: -EINVAL. */
int compare_check(const struct compare_request *request, struct err *err);
