/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/ps_filter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/macros.h"
#include "base/os/json.h"

struct filter {
	const char *key;
	bool all; /* must hold for each value; else for one of them */
	bool (*match)(const struct instance *instance, const char *value);
};

static bool filter_name(const struct instance *instance, const char *value)
{
	return strstr(instance->name, value) != NULL;
}

static bool filter_id(const struct instance *instance, const char *value)
{
	return !strncmp(instance->id, value, strlen(value));
}

static bool filter_status(const struct instance *instance, const char *value)
{
	return !strcmp(instance_state_name(instance->state), value);
}

static bool filter_health(const struct instance *instance, const char *value)
{
	return !strcmp(status_health_name(instance->health), value);
}

static bool filter_exited(const struct instance *instance, const char *value)
{
	int64_t code;

	return args_int(value, "", 0, 255, &code, NULL) == 0 &&
	       instance->state == INSTANCE_EXITED && instance->exit_code == code;
}

/* "env" or "env=test" */
static bool filter_label(const struct instance *instance, const char *value)
{
	const json_t *labels = json_object_get(instance->spec, "labels");
	const char *key;
	json_t *text;

	json_object_foreach((json_t *)labels, key, text)
	{
		size_t len = strlen(key);
		if (strncmp(key, value, len) != 0 || (value[len] && value[len] != '='))
			continue;
		const char *has = json_string_value(text);
		if (!value[len] || (has && !strcmp(value + len + 1, has)))
			return true;
	}
	return false;
}

/* "demo" is "demo:latest" */
static bool filter_ancestor(const struct instance *instance, const char *value)
{
	const char *image = json_str(instance->spec, "image", "");
	size_t len = strlen(value);

	if (!strncmp(image, value, len) && (!image[len] || !strcmp(image + len, ":latest")))
		return true;
	len = strlen(image);
	return !strncmp(value, image, len) && !strcmp(value + len, ":latest");
}

static const struct filter filters[] = {
	{ "name", false, filter_name },		{ "id", false, filter_id },
	{ "status", false, filter_status },	{ "exited", false, filter_exited },
	{ "health", false, filter_health },	{ "label", true, filter_label },
	{ "ancestor", false, filter_ancestor },
};

static const struct filter *filter_of(const char *text)
{
	size_t len = strcspn(text, "=");

	for (size_t i = 0; i < ARRAY_SIZE(filters); i++) {
		if (!strncmp(filters[i].key, text, len) && !filters[i].key[len] && text[len])
			return &filters[i];
	}
	return NULL;
}

static bool filter_is_state(const char *text)
{
	for (int state = INSTANCE_CREATED; state <= INSTANCE_DEAD; state++) {
		if (!strcmp(instance_state_name((enum instance_state)state), text))
			return true;
	}
	return false;
}

int ps_filter_check(const struct args_value *texts, bool *ret_all, struct err *err)
{
	bool all = false;

	for (unsigned i = 0; i < texts->count; i++) {
		const char *text = texts->texts[i];
		const struct filter *filter = filter_of(text);
		if (!filter)
			return err_say(err, EINVAL,
				       "--filter: '%s' is not known; write name=, id=, status=, "
				       "health=, exited=, label= or ancestor=",
				       text);
		if (filter->match == filter_status && !filter_is_state(text + 7))
			return err_say(
				err, EINVAL,
				"--filter: no status '%s'; there are created, running, paused, "
				"restarting, exited and dead",
				text + 7);
		all = all || filter->match == filter_status || filter->match == filter_exited;
	}
	*ret_all = all;
	return 0;
}

static bool filter_holds(const struct filter *filter, const struct args_value *texts,
			 const struct instance *instance)
{
	bool asked = false, any = false;

	for (unsigned i = 0; i < texts->count; i++) {
		if (filter_of(texts->texts[i]) != filter)
			continue;
		bool match = filter->match(instance, strchr(texts->texts[i], '=') + 1);
		if (filter->all && !match)
			return false;
		asked = true;
		any = any || match;
	}
	return !asked || any;
}

bool ps_filter_match(const struct args_value *texts, const struct instance *instance)
{
	for (size_t i = 0; texts->count && i < ARRAY_SIZE(filters); i++) {
		if (!filter_holds(&filters[i], texts, instance))
			return false;
	}
	return true;
}
