/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Reading one JSON object member by member, for spec.c and spec_vm.c only. The first failure sticks: every read after it
 * gives the default, so the reader is asked once, at the end.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/core/err.h"

struct spec_reader {
	json_t *obj; /* borrowed; NULL: absent, everything has its default */
	char at[96]; /* "mounts[2]." in front of a member's name */
	int failed;  /* 0 or a negative errno */
	struct err *err;
};

#define SPEC_REQUIRED INT64_MIN /* as the default of spec_int() */

void spec_fail(struct spec_reader *rd, const char *key, const char *fmt, ...) PRINTF_LIKE(3, 4);
void spec_require(struct spec_reader *rd, const char *key, const char *value);

/* spec_enter() - an object inside, absent is fine; spec_leave() brings its failure back. */
struct spec_reader spec_enter(struct spec_reader *rd, const char *key);
struct spec_reader spec_enter_item(struct spec_reader *rd, json_t *list, const char *key, size_t i);
void spec_leave(struct spec_reader *rd, const struct spec_reader *in);

/* Members; null counts as absent. */
const char *spec_str(struct spec_reader *rd, const char *key, const char *dflt);
const char *spec_path(struct spec_reader *rd, const char *key, const char *dflt); /* absolute */
const char *spec_ip(struct spec_reader *rd, const char *key); /* of version 4 or 6; or NULL */
const char *spec_ifname(struct spec_reader *rd, const char *key);
bool spec_bool(struct spec_reader *rd, const char *key, bool dflt);
int64_t spec_int(struct spec_reader *rd, const char *key, int64_t min, int64_t max, int64_t dflt);
/* spec_word() - index in a NULL-ended list; dflt < 0: the member is required. Always a valid index. */
int spec_word(struct spec_reader *rd, const char *key, const char *const words[], int dflt);
json_t *spec_array(struct spec_reader *rd, const char *key, size_t max);
/* spec_alloc() - one zeroed entry for each item; NULL for none. */
void *spec_alloc(struct spec_reader *rd, const json_t *list, size_t size);
/* spec_strings() - NULL-ended, the caller's to free(); check: NULL, or what each must fulfil (it says what it wants). */
const char **spec_strings(struct spec_reader *rd, const char *key, size_t max,
			  const char *(*check)(const char *), size_t *ret_n);

/* Checks for spec_strings(): NULL where s is good, else what it must be. */
const char *spec_is_env(const char *s);
const char *spec_is_filled(const char *s);
const char *spec_is_absolute(const char *s);

bool spec_is_id(const char *s);
bool spec_is_name(const char *s);
bool spec_is_hostname(const char *s);
bool spec_is_relative(const char *s); /* "strata", "a/b" */
bool spec_is_cpu_list(const char *s);
bool spec_is_mac(const char *s);

struct spec_vm;
void spec_read_vm(struct spec_reader *rd, struct spec_vm *vm);
