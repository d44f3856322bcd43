/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What all columns get alike, found out once. */
#include <signal.h>

#include "compare/column.h"
#include "compare/compare.h"
#include "storage/image.h"
#include "storage/staging.h"

struct setup {
	struct column_setup view;
	struct image image;
	struct staging staging;
	const char **
		argv; /* of the workload, the image's entry point and all; NULL-ended; owned array */
	const char **env; /* owned array; the strings are the image's, but for the first ones */
	char *layers, *self, *scratch;
	int stop;      /* signalfd */
	sigset_t mask; /* what was blocked before */
};

/*
 * setup_make() - from the request; SIGINT, SIGTERM and SIGHUP are blocked from here on (a SIGHUP that is ignored stays so) and heard through setup.stop, and this
 * process and all it starts is kept to as many CPUs as columns may have
 * Errors: -ENOENT no such image; -EINVAL: it names no command; -E2BIG. *ret needs setup_fini() in each case.
 */
int setup_make(const struct compare_request *request, struct setup *ret, struct err *err);
void setup_fini(struct setup *setup);
