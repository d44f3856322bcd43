/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What several verbs do alike. */
#include <jansson.h>

#include "cli/cmd.h"
#include "cli/host.h"

#define ID_SHORT 12 /* digits of an id that lists show */

typedef int (*verb_fn)(struct manager *manager, struct instance *instance, const struct args *args,
		       struct err *err);
/*
 * verb_each() - fn on every instance that the operands name, and the name printed as each succeeds
 * One that fails is reported and the next one tried. Return: 0, or EXIT_STRATA when any failed.
 */
int verb_each(struct cli *cli, const struct args *args, verb_fn fn, struct err *err);
/* verb_each_host() - the same; a guest that the server of --host started by itself is done this to: @host */
int verb_each_host(struct cli *cli, const struct args *args, verb_fn fn, enum host_verb host,
		   struct err *err);
/* verb_remove() - likewise for names of things in the store. */
int verb_remove(struct cli *cli, const struct args *args,
		int (*remove)(struct store *store, const char *name, struct err *err),
		struct err *err);
/* verb_find() - the instance that ref names. *ret needs instance_fini(). */
int verb_find(struct cli *cli, const char *ref, struct manager **ret_manager, struct instance *ret,
	      struct err *err);

struct verb_start {
	bool attach, forward_in, sig_proxy;
	const char *detach_keys; /* NULL: the default */
	bool fresh; /* just created: removed where it cannot start, so that its name is free again */
};
/*
 * verb_start() - start an instance, and with attach stay with it until it ends or is left
 * @ret_left: the user went, it still runs; may be NULL
 * Return: the exit status: of the workload, or 125..127 where it could not run, the error being printed.
 */
int verb_start(struct manager *manager, struct instance *instance, const struct verb_start *opts,
	       bool *ret_left);
/* verb_detach_keys() - what leaves an attached instance; checked. */
int verb_detach_keys(const char *keys, const char **ret, struct err *err);

/* verb_row() - appends value, an object that json_pack() may have failed to make, to rows. */
int verb_row(json_t *rows, json_t *value, struct err *err);
/* verb_time() - RFC 3339, "" for never. */
json_t *verb_time(int64_t real_ns);
/* verb_ago() - "3 minutes ago", "" for never. */
json_t *verb_ago(int64_t real_ns);
/* verb_size() - bytes for people, "12.3MB", in ret of 32 bytes. */
void verb_size(int64_t bytes, char ret[32]);
/* verb_labels() - the flag --label as an object, or NULL in *ret where it was not given. */
int verb_labels(const struct args *args, json_t **ret, struct err *err);
/* verb_confirm() - with --force at once; else the terminal is asked; -ECANCELED for no. */
int verb_confirm(const struct args *args, const char *question, struct err *err);
