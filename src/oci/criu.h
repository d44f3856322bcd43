/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Checkpoint and restore by the program criu(8), which is looked for in PATH. What a container has from outside is named in both:
 * bind mounts, covers of masked files, a network namespace of somebody else's, and pipes at 0, 1 and 2.
 */
#include "cli/args.h"
#include "oci/container.h"

#define CRIU_OPTS                                                                                  \
	{ 0, OPT_TEXT, "image-path", "DIR", "where the images are (checkpoint)" },                 \
		{ 0, OPT_TEXT, "work-path", "DIR", "where criu writes its log (--image-path)" },   \
		{ 0, OPT_SWITCH, "tcp-established", NULL, "open TCP connections too" },            \
		{ 0, OPT_SWITCH, "ext-unix-sk", NULL, "sockets that lead outside too" },           \
		{ 0, OPT_SWITCH, "shell-job", NULL, "also one that has our terminal" },            \
	{                                                                                          \
		0, OPT_SWITCH, "file-locks", NULL, "locks of files too"                            \
	}

/* A command line that is being made. */
#define CRIU_ARGS_MAX 512
struct criu {
	const char *args[CRIU_ARGS_MAX]; /* NULL-ended */
	size_t n;
	struct pool *pool;
	bool failed; /* no memory, or too many words */
	char images[PATH_MAX], work[PATH_MAX];
	const char *log; /* of criu's, below work */
};

/*
 * criu_begin() - the command and what both verbs have in common; directories are made
 * @pool: of the words, as long as they are used
 * Errors: -ENOENT: there is no criu; -ENOTSUP: what a container has that criu cannot be told of.
 */
int criu_begin(const char *action, const struct args *args, const struct config *config,
	       struct pool *pool, struct criu *ret, struct err *err);
void criu_add(struct criu *criu, const char *word);
void criu_addf(struct criu *criu, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* criu_mounts() - --external for each mount from outside.  @pid: of the container's first process; 0: the way back */
void criu_mounts(struct criu *criu, const struct bundle *bundle, pid_t pid);
/* criu_check() - `criu check`; -ENOTSUP where this kernel is not one for it */
int criu_check(struct err *err);
/*
 * criu_run() - in a child, and its end
 * @before: in the child, first; NULL: nothing
 * Errors: -EIO with the first error of criu's log.
 */
int criu_run(const struct criu *criu, int (*before)(void *arg, struct err *err), void *arg,
	     struct err *err);
/* criu_error() - the first error of a log, which is the cause of those after it, without its time; "" */
void criu_error(const char *log, char ret[256]);
