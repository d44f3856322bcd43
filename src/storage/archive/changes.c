/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/archive/changes.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/core/macros.h"

enum change_kind {
	CHANGE_COMMAND, /* JSON array, or a line for the shell */
	CHANGE_TEXT,	/* the last one wins */
	CHANGE_ENV,	/* NAME=VALUE into an array, replacing NAME's */
	CHANGE_LABEL,	/* NAME=VALUE into an object */
	CHANGE_SET,	/* words, or a JSON array, as members of an object */
};

static const struct change {
	const char *word;
	const char *member;
	enum change_kind kind;
} changes[] = {
	{ "CMD", "Cmd", CHANGE_COMMAND },
	{ "ENTRYPOINT", "Entrypoint", CHANGE_COMMAND },
	{ "ENV", "Env", CHANGE_ENV },
	{ "LABEL", "Labels", CHANGE_LABEL },
	{ "EXPOSE", "ExposedPorts", CHANGE_SET },
	{ "VOLUME", "Volumes", CHANGE_SET },
	{ "USER", "User", CHANGE_TEXT },
	{ "WORKDIR", "WorkingDir", CHANGE_TEXT },
	{ "STOPSIGNAL", "StopSignal", CHANGE_TEXT },
};

static int change_bad(const char *change, const char *why, struct err *err)
{
	return err_say(err, EINVAL, "--change \"%.200s\": %s", change, why);
}

static json_t *change_member(json_t *config, const char *member, json_t *(*make)(void))
{
	json_t *value = json_object_get(config, member);

	if (value)
		return value;
	value = make();
	return json_object_set_new(config, member, value) < 0 ? NULL : value;
}

/* A JSON array of strings, or NULL when the text is none. */
static json_t *change_array(const char *text)
{
	json_t *array = text[0] == '[' ? json_loads(text, 0, NULL) : NULL;

	for (size_t i = 0; array && i < json_array_size(array); i++) {
		if (!json_is_string(json_array_get(array, i))) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

static int change_command(json_t *config, const char *member, const char *text)
{
	json_t *array = change_array(text);

	if (!array)
		array = json_pack("[sss]", "/bin/sh", "-c", text);
	return json_object_set_new(config, member, array);
}

static int change_env(json_t *config, const char *member, const char *text, size_t name_len)
{
	json_t *env = change_member(config, member, json_array);

	for (size_t i = 0; i < json_array_size(env); i++) {
		const char *old = json_string_value(json_array_get(env, i));
		if (!strncmp(old, text, name_len + 1))
			return json_array_set_new(env, i, json_string(text));
	}
	return json_array_append_new(env, json_string(text));
}

static int change_label(json_t *config, const char *member, const char *text, size_t name_len)
{
	json_t *labels = change_member(config, member, json_object);

	return json_object_setn_new(labels, text, name_len, json_string(text + name_len + 1));
}

static int change_set(json_t *config, const char *member, const char *text)
{
	json_t *set = change_member(config, member, json_object);
	json_t *array = change_array(text);
	int r = 0;

	for (size_t i = 0; r == 0 && i < json_array_size(array); i++)
		r = json_object_set_new(set, json_string_value(json_array_get(array, i)),
					json_object());
	while (!array && r == 0 && *text) {
		size_t n = strcspn(text, " \t");
		if (n)
			r = json_object_setn_new(set, text, n, json_object());
		text += n;
		text += strspn(text, " \t");
	}
	json_decref(array);
	return r;
}

int changes_apply(const char *change, json_t *config, struct err *err)
{
	size_t n = strcspn(change, " \t");
	const char *text = change + n + strspn(change + n, " \t");
	const struct change *c = NULL;
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		if (n == strlen(changes[i].word) && !strncasecmp(change, changes[i].word, n))
			c = &changes[i];
	}
	if (!c)
		return change_bad(change,
				  "must start with CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, "
				  "STOPSIGNAL, USER, VOLUME or WORKDIR",
				  err);
	if (!text[0])
		return change_bad(change, "nothing follows the first word", err);

	size_t name_len = strcspn(text, "=");
	if ((c->kind == CHANGE_ENV || c->kind == CHANGE_LABEL) && (!name_len || !text[name_len]))
		return change_bad(change, "must be NAME=VALUE", err);
	switch (c->kind) {
	case CHANGE_COMMAND:
		r = change_command(config, c->member, text);
		break;
	case CHANGE_TEXT:
		r = json_object_set_new(config, c->member, json_string(text));
		break;
	case CHANGE_ENV:
		r = change_env(config, c->member, text, name_len);
		break;
	case CHANGE_LABEL:
		r = change_label(config, c->member, text, name_len);
		break;
	case CHANGE_SET:
		r = change_set(config, c->member, text);
		break;
	}
	/* jansson takes only UTF-8, and says no more than that it failed. */
	return r < 0 ? change_bad(change, "is not valid UTF-8", err) : 0;
}
