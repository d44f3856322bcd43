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
	OPT_GROUP,  /* no flag: help is a heading */
};

struct opt {
	char letter; /* 0: none */
	enum opt_type type;
	const char *name; /* without dashes; "" in a group; NULL ends the table */
	const char *arg;  /* what --help calls the value: "NAME"; NULL for a switch */
	const char *help; /* NULL: shares the line and the help of the next flag */
};

struct args_value {
	bool on;
	unsigned count;
	const char **texts; /* count of them, borrowed from argv; array owned */
};

struct args {
	const struct opt *opts;
	struct args_value *values; /* one per opt; owned */
	bool help;		   /* --help was given; what follows it was not read */
	int argc;		   /* what is left: operands */
	char **argv;		   /* borrowed, NULL-ended */
};

/*
 * args_parse() - flags of one verb
 * @argv: after the verb's name, NULL-ended; reordered in place   @stop: the first operand ends the flags
 *        (run, create, exec)
 * Return: 0, or -EINVAL with a line that names the flag. *ret needs args_fini().
 */
int args_parse(const struct opt *opts, bool stop, int argc, char **argv, struct args *ret,
	       struct err *err);
void args_fini(struct args *args); /* a zeroed one is a no-op */

/* By long name; asking for one that is not in the table is our bug and asserts. */
bool args_on(const struct args *args, const char *name);
bool args_given(const struct args *args, const char *name);
const char *args_text(const struct args *args, const char *name, const char *dflt);
const struct args_value *args_list(const struct args *args, const char *name);

/*
 * Values. @flag is what the error calls them: "--memory". Each returns 0 or -EINVAL.
 * Sizes are "512m" or "1.5g" (b, k, m, g, t; powers of 1024; bare is bytes), durations "1m30s", "500ms" or
 * seconds; a point in time is RFC 3339, seconds since the epoch, or how long ago ("10m").
 */
int args_size(const char *text, const char *flag, int64_t *ret_bytes, struct err *err);
/* of a network: "10m", "1.5gbit" are bits a second, powers of 1000 */
int args_bit_rate(const char *text, const char *flag, int64_t *ret_bits, struct err *err);
int args_int(const char *text, const char *flag, int64_t min, int64_t max, int64_t *ret,
	     struct err *err);
int args_bool(const char *text, const char *flag, bool *ret, struct err *err);
int args_duration_ns(const char *text, const char *flag, int64_t *ret_ns, struct err *err);
int args_time_ns(const char *text, const char *flag, int64_t now_ns, int64_t *ret_ns,
		 struct err *err);
/* args_cpus_us() - "1.5" CPUs as microseconds in each 100,000 */
int args_cpus_us(const char *text, const char *flag, int64_t *ret_us, struct err *err);
/* args_signal() - "TERM", "SIGTERM", "15", "RTMIN+3"; 1..64 */
int args_signal(const char *text, const char *flag, int *ret_signal, struct err *err);
