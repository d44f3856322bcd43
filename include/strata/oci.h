/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * libstrata-oci: containers from OCI bundles, for programs in C.
 *
 *	struct strata_oci *oci = strata_oci_new(NULL);
 *	if (strata_oci_create(oci, "box", "/path/to/bundle", NULL) < 0)
 *		puts(strata_oci_error(oci));
 *
 * Each call runs the program strata-oci and waits for it: what enters containers must be a program of its own, in a read-only
 * mount of its own (CVE-2019-5736) and of one thread, which a library's caller may not be. A context belongs to one
 * thread at a time; any number of them may be used at once. The library links nothing but the C library.
 *
 * Calls return 0, or -1 with a line of text for strata_oci_error(). Later versions add calls, and members at the
 * end of structs whose first member is their size; nothing that is here changes.
 */
#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct strata_oci;

/* What a container's, or an exec's, first process gets; -1: the null device. */
struct strata_oci_io {
	size_t size; /* sizeof(struct strata_oci_io) */
	int in, out, err;
	const char *console_socket; /* of one with a terminal: who gets it; else NULL */
};

/*
 * strata_oci_new() - a context
 * @root: where the state of containers is kept, absolute; NULL: strata-oci's default for this user
 * Return: NULL where there is no memory. strata_oci_free() it; NULL is a no-op there.
 */
struct strata_oci *strata_oci_new(const char *root);
void strata_oci_free(struct strata_oci *oci);
/* strata_oci_program() - another strata-oci than the installed one. Borrowed. */
void strata_oci_program(struct strata_oci *oci, const char *path);
/* strata_oci_error() - of the last call that failed, one line; "" where none has. Until the next call. */
const char *strata_oci_error(const struct strata_oci *oci);

/* strata_oci_create() - a container whose program waits; io: NULL: the null device */
int strata_oci_create(struct strata_oci *oci, const char *id, const char *bundle,
		      const struct strata_oci_io *io);
int strata_oci_start(struct strata_oci *oci, const char *id);
/* strata_oci_state() - as the specification has it (runtime.md, "State"), JSON; free() it */
int strata_oci_state(struct strata_oci *oci, const char *id, char **ret);
/* strata_oci_list() - a JSON array of all of them; free() it */
int strata_oci_list(struct strata_oci *oci, char **ret);
/* strata_oci_kill() - a signal by its number to the first process, or to all */
int strata_oci_kill(struct strata_oci *oci, const char *id, int sig, bool all);
/* strata_oci_delete() - force: also one that runs; of one that is not there that is no error */
int strata_oci_delete(struct strata_oci *oci, const char *id, bool force);
/*
 * strata_oci_exec() - one more process, and its end
 * @process: as in a config.json, JSON: {"args": ["ls"], "cwd": "/"}
 * @ret_status: its exit status, 128+n for signal n
 */
int strata_oci_exec(struct strata_oci *oci, const char *id, const char *process,
		    const struct strata_oci_io *io, int *ret_status);

#ifdef __cplusplus
}
#endif
