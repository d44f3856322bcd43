/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The caller's terminal while an instance has it. */
#include <stdbool.h>
#include <stddef.h>
#include <termios.h>

#include "base/core/err.h"
#include "base/os/json.h"

struct terminal {
	struct termios saved;
	bool raw;
};
/* terminal_size_put() - standard input's size into a spec that has a terminal; a no-op where it is none. 0 or -ENOMEM. */
int terminal_size_put(json_t *spec);
void terminal_raw(struct terminal *terminal); /* a no-op where standard input is none */
void terminal_restore(struct terminal *terminal);

#define DETACH_KEYS_MAX 8
#define DETACH_KEYS	"ctrl-p,ctrl-q" /* Docker's */
struct detach_keys {
	char keys[DETACH_KEYS_MAX];
	unsigned n, seen;
};
/* detach_keys_parse() - "ctrl-p,ctrl-q", "a", "ctrl-@"; NULL: the default; "": none. -EINVAL. */
int detach_keys_parse(const char *text, struct detach_keys *ret, struct err *err);
/* detach_keys_scan() - true once the whole sequence was typed, in one read or over several. */
bool detach_keys_scan(struct detach_keys *keys, const char *data, size_t len);
