/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What every reader of JSON here needs on top of jansson: bounded parsing, and members with types. */
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/core/buf.h"
#include "base/core/err.h"

void json_decref_p(json_t **json); /* for AUTO */

/*
 * json_parse() - one JSON object from hostile text
 * @what: names the text in the error ("image config")
 * Errors: -EBADMSG with the line, -ENOMEM. Duplicate keys are refused.
 */
int json_parse(const char *text, size_t len, const char *what, json_t **ret, struct err *err);

/*
 * json_str(), json_int(), json_bool() - a member with a default for "absent"
 * Return: the member (strings borrowed from obj), dflt where it is absent, null or of another type.
 */
const char *json_str(const json_t *obj, const char *key, const char *dflt);
int64_t json_int(const json_t *obj, const char *key, int64_t dflt);
bool json_bool(const json_t *obj, const char *key, bool dflt);

/*
 * json_strings() - an array's strings, NULL-ended, borrowed; members that are none are left out
 * Return: the array, the caller's to free(); NULL on ENOMEM.
 */
const char **json_strings(const json_t *array);

/* json_text() - compact text (indent 0) or indented by so many spaces; NULL on ENOMEM; free() it. */
char *json_text(const json_t *json, int indent);
