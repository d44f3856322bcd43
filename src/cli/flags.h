/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Docker's small languages inside flag values, each turned into the members of docs/spec.md.
 *
 * All have one shape, so that run_config.c can list them in a table: read one value and add what it means to
 * @into. @flag is what the error calls it ("--volume"). @text is valid UTF-8. Return: 0, or a negative errno
 * and @into as it was, but for ranges and files, of which a part may have been added.
 */
#include <jansson.h>
#include <stdbool.h>

#include "base/core/err.h"

typedef int (*flag_fn)(const char *text, const char *flag, json_t *into, struct err *err);

/* into arrays */
int flag_plain(const char *text, const char *flag, json_t *into, struct err *err);
int flag_volume(const char *text, const char *flag, json_t *into, struct err *err);
int flag_mount(const char *text, const char *flag, json_t *into, struct err *err);
int flag_tmpfs(const char *text, const char *flag, json_t *into, struct err *err);
int flag_publish(const char *text, const char *flag, json_t *into, struct err *err);
int flag_device(const char *text, const char *flag, json_t *into, struct err *err);
int flag_ulimit(const char *text, const char *flag, json_t *into, struct err *err);
int flag_idmap(const char *text, const char *flag, json_t *into, struct err *err);
int flag_time_offset(const char *text, const char *flag, json_t *into, struct err *err);
int flag_env(const char *text, const char *flag, json_t *into, struct err *err);
int flag_env_file(const char *text, const char *flag, json_t *into, struct err *err);

int flag_disk(const char *text, const char *flag, json_t *into,
	      struct err *err); /* PATH[,ro][,format=raw|qcow2] */

struct args;
/* flag_vm() - the flags of a virtual machine, as the member "vm"; none given: nothing. */
int flag_vm(const struct args *args, json_t *config, struct err *err);

/*
 * flag_limits() - the flags of limits, as members of docs/spec.md, "limits"
 * @update: null for what is to be lifted
 */
int flag_limits(const struct args *args, bool update, json_t *limits, struct err *err);
/* flag_health() - the flags of its own check, as the member "health"; none given: nothing. */
int flag_health(const struct args *args, json_t *config, struct err *err);

/* into objects */
int flag_label(const char *text, const char *flag, json_t *into, struct err *err);
int flag_label_file(const char *text, const char *flag, json_t *into, struct err *err);
int flag_restart(const char *text, const char *flag, json_t *into, struct err *err);
int flag_log_opt(const char *text, const char *flag, json_t *into, struct err *err);
int flag_security_opt(const char *text, const char *flag, json_t *into, struct err *err);

/*
 * flag_lines() - what --env-file and --label-file hold: a value a line, '#' comments, blank lines
 * @text: hostile   @name: of the file   @one: is given each line
 */
int flag_lines(const char *text, size_t len, const char *name, flag_fn one, const char *flag,
	       json_t *into, struct err *err);
/* flag_is_utf8() - as RFC 3629 has it: what JSON can hold. */
bool flag_is_utf8(const char *text);
void flag_text_p(char **text); /* free(), for AUTO */
/* flag_append() - takes value, NULL being out of memory */
int flag_append(json_t *array, json_t *value, struct err *err);
/* flag_set() - likewise, as a member */
int flag_set(json_t *object, const char *key, json_t *value, struct err *err);
/* flag_host_path() - absolute, links kept; relative ones start at the working directory. *ret: free() */
int flag_host_path(const char *path, const char *flag, char **ret, struct err *err);
