/* SPDX-License-Identifier: Apache-2.0 */
#include "base/os/json.h"

#include <errno.h>
#include <stdlib.h>

void json_decref_p(json_t **json)
{
	json_decref(*json);
	*json = NULL;
}

int json_parse(const char *text, size_t len, const char *what, json_t **ret, struct err *err)
{
	json_error_t e;
	json_t *json = json_loadb(text, len, JSON_REJECT_DUPLICATES, &e);

	if (!json)
		return err_say(err, EBADMSG, "%s: not valid JSON: line %d: %s", what, e.line,
			       e.text);
	if (!json_is_object(json)) {
		json_decref(json);
		return err_say(err, EBADMSG, "%s: not a JSON object", what);
	}
	*ret = json;
	return 0;
}

const char *json_str(const json_t *obj, const char *key, const char *dflt)
{
	const json_t *v = json_object_get(obj, key);

	return json_is_string(v) ? json_string_value(v) : dflt;
}

int64_t json_int(const json_t *obj, const char *key, int64_t dflt)
{
	const json_t *v = json_object_get(obj, key);

	return json_is_integer(v) ? json_integer_value(v) : dflt;
}

bool json_bool(const json_t *obj, const char *key, bool dflt)
{
	const json_t *v = json_object_get(obj, key);

	return json_is_boolean(v) ? json_is_true(v) : dflt;
}

const char **json_strings(const json_t *array)
{
	const char **list = calloc(json_array_size(array) + 1, sizeof(*list));
	size_t n = 0, i;
	json_t *member;

	if (!list)
		return NULL;
	json_array_foreach(array, i, member)
	{
		if (json_is_string(member))
			list[n++] = json_string_value(member);
	}
	return list;
}

char *json_text(const json_t *json, int indent)
{
	return json_dumps(json, (indent ? JSON_INDENT((size_t)indent) : (size_t)JSON_COMPACT) |
					JSON_ENCODE_ANY);
}
