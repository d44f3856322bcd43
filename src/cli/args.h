/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Flags as Docker and Podman users type them: --name VALUE, --name=VALUE, -n VALUE, -nVALUE, bundled
 * switches (-it), "--" ends them. Each verb has one table; parsing and --help come from it.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/core/err.h"

enum opt_type {
	OPT_SWITCH, /* --rm, --rm=false */
	OPT_TEXT,   /* the last one wins */
	OPT_LIST,   /* may be repeated, order kept */
};

struct opt {
	char letter; /* 0: none */
	enum opt_type type;
	const char *name; /* without dashes; NULL ends the table */
	const char *arg;  /* what --help calls the value: "NAME"; NULL for a switch */
	const char *help;
};

struct args_value {
	bool on;
	unsigned count;
	const char **texts; /* count of them, borrowed from argv; array owned */
};

struct args {
	const struct opt *opts;
	struct args_value *values; /* one per opt; owned */
	int argc;		   /* what is left: operands */
	char **argv;		   /* borrowed, NULL-ended */
};

/*
 * args_parse() - flags of one verb
 * @argv: after the verb's name   @stop: the first operand ends the flags (run, create, exec)
 * Return: 0, or -EINVAL with a line that names the flag. *ret needs args_fini().
 */
int args_parse(const struct opt *opts, bool stop, int argc, char **argv, struct args *ret,
	       struct err *err);
void args_fini(struct args *args);

/* By long name; asking for one that is not in the table is our bug and asserts. */
bool args_on(const struct args *args, const char *name);
bool args_given(const struct args *args, const char *name);
const char *args_text(const struct args *args, const char *name, const char *dflt);
const struct args_value *args_list(const struct args *args, const char *name);

/* Sizes "512m" (k, m, g, t; powers of 1024; bare is bytes), plain integers, durations "1m30s" or seconds. */
int args_size(const char *text, const char *flag, int64_t *ret_bytes, struct err *err);
int args_int(const char *text, const char *flag, int64_t min, int64_t max, int64_t *ret,
	     struct err *err);
