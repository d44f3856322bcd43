/* SPDX-License-Identifier: Apache-2.0 */
/*
 * strata-systemd: what strata-oci says to systemd, by sd-bus. A program of its own, so that a runtime that starts thousands of
 * containers without systemd links no library for it.
 *
 *	strata-systemd [--user] start UNIT	make a transient unit, wait until it is there; prints its ControlGroup
 *	strata-systemd [--user] set UNIT	change properties of one that runs
 *	strata-systemd [--user] stop UNIT	end it, and forget that it failed; absent is fine
 *
 * Properties are JSON on standard input: [["MemoryMax", "t", 1048576], ["DeviceAllow", "a(ss)", [["/dev/char/1:3", "rwm"]]]], with the
 * types of D-Bus; in a "t", -1 is its largest number, which systemd calls infinity. Errors are one line on standard error, status 1,
 * or 3 where somebody has a unit of that name.
 * Source: org.freedesktop.systemd1(5), "The Manager Object"; D-Bus specification, "Type System".
 */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>

#include "base/core/macros.h"
#include "base/os/clock.h"

#define SYSTEMD	       "org.freedesktop.systemd1"
#define SYSTEMD_PATH   "/org/freedesktop/systemd1"
#define SYSTEMD_PART   "org.freedesktop.systemd1.Manager"
#define SYSTEMD_DEPTH  8
#define SYSTEMD_JOB_NS (INT64_C(90) * 1000000000) /* as systemd's DefaultTimeoutStartSec */

#define SYSTEMD_EXISTS 3 /* exit status: oci/scope.c */

/* A job that is waited for. */
struct job {
	char path[128];
	char result[32]; /* "": not done yet */
};

static int say(const char *what, int code, const sd_bus_error *error)
{
	const char *why = error && error->message ? error->message : strerror(-code);

	(void)fprintf(stderr, "systemd: %s: %s\n", what, why); /* nowhere else to say it */
	return code < 0 ? code : -EIO;
}

/* ---- JSON by D-Bus's types ---- */

/* The length of one complete type; 0: none. */
static size_t type_len(const char *type)
{
	size_t depth = 0;

	if (*type == 'a') {
		const size_t of = type_len(type + 1);
		return of ? of + 1 : 0;
	}
	if (*type != '(')
		return *type && *type != ')' ? 1 : 0;
	for (size_t i = 0; type[i]; i++) {
		depth += type[i] == '(';
		depth -= type[i] == ')';
		if (!depth)
			return i + 1;
	}
	return 0;
}

static int put_number(sd_bus_message *m, char type, const json_t *value)
{
	const json_int_t n = json_integer_value(value);
	const double real = json_number_value(value);
	const uint8_t y = (uint8_t)n;
	const int16_t as_n = (int16_t)n;
	const uint16_t q = (uint16_t)n;
	const int32_t i = (int32_t)n;
	const uint32_t u = (uint32_t)n;
	const int64_t x = n;
	const uint64_t t = (uint64_t)n;
	const struct {
		char type;
		const void *at;
	} numbers[] = { { 'y', &y }, { 'n', &as_n }, { 'q', &q }, { 'i', &i },
			{ 'u', &u }, { 'x', &x },    { 't', &t }, { 'd', &real } };

	if (!json_is_number(value))
		return -EINVAL;
	for (size_t k = 0; k < ARRAY_SIZE(numbers); k++) {
		if (numbers[k].type == type)
			return sd_bus_message_append_basic(m, type, numbers[k].at);
	}
	return -EINVAL;
}

static int put_basic(sd_bus_message *m, char type, const json_t *value)
{
	const int yes = json_is_true(value);

	if (type == 'b')
		return json_is_boolean(value) ? sd_bus_message_append_basic(m, type, &yes)
					      : -EINVAL;
	if (type == 's' || type == 'o')
		return json_is_string(value)
			       ? sd_bus_message_append_basic(m, type, json_string_value(value))
			       : -EINVAL;
	return put_number(m, type, value);
}

static int put(sd_bus_message *m, const char *type, const json_t *value, unsigned depth);

/* The members of an array are all of one type, those of a structure each of its own. */
static int put_members(sd_bus_message *m, const char *type, bool array, const json_t *value,
		       unsigned depth)
{
	const json_t *member;
	size_t i;
	int r = json_is_array(value) && depth < SYSTEMD_DEPTH ? 0 : -EINVAL;

	json_array_foreach(value, i, member)
	{
		if (r >= 0)
			r = put(m, type, member, depth + 1);
		type += array ? 0 : type_len(type);
	}
	return r >= 0 && !array && *type ? -EINVAL : r;
}

static int put(sd_bus_message *m, const char *type, const json_t *value, unsigned depth)
{
	const bool array = *type == 'a';
	const size_t len = type_len(type);
	char inner[64];

	if (!len || len >= sizeof(inner))
		return -EINVAL;
	if (!array && *type != '(')
		return put_basic(m, *type, value);
	(void)snprintf(inner, sizeof(inner), "%.*s", (int)(array ? len - 1 : len - 2), type + 1);
	int r = sd_bus_message_open_container(m, array ? 'a' : 'r', inner);
	if (r >= 0)
		r = put_members(m, inner, array, value, depth);
	return r < 0 ? r : sd_bus_message_close_container(m);
}

static int put_property(sd_bus_message *m, const json_t *property)
{
	const char *name = json_string_value(json_array_get(property, 0));
	const char *type = json_string_value(json_array_get(property, 1));

	if (!name || !type || type_len(type) != strlen(type))
		return -EINVAL;
	int r = sd_bus_message_open_container(m, 'r', "sv");
	if (r >= 0)
		r = sd_bus_message_append_basic(m, 's', name);
	if (r >= 0)
		r = sd_bus_message_open_container(m, 'v', type);
	if (r >= 0)
		r = put(m, type, json_array_get(property, 2), 0);
	if (r >= 0)
		r = sd_bus_message_close_container(m);
	return r < 0 ? r : sd_bus_message_close_container(m);
}

static int put_properties(sd_bus_message *m, const json_t *list)
{
	const json_t *property;
	size_t i;
	int r = json_is_array(list) ? sd_bus_message_open_container(m, 'a', "(sv)") : -EINVAL;

	json_array_foreach(list, i, property)
	{
		if (r >= 0)
			r = put_property(m, property);
	}
	return r < 0 ? say("properties", r, NULL) : sd_bus_message_close_container(m);
}

/* ---- systemd ---- */

/* Where there is no bus, root and the user himself can speak to it alone. */
static int manager_open_private(bool user, sd_bus **ret)
{
	const char *run = user ? getenv("XDG_RUNTIME_DIR") : "/run";
	char address[512];
	sd_bus *bus = NULL;

	if (!run)
		return -ENOENT;
	(void)snprintf(address, sizeof(address), "unix:path=%s/systemd/private", run);
	int r = sd_bus_new(&bus);
	if (r >= 0)
		r = sd_bus_set_address(bus, address);
	if (r >= 0)
		r = sd_bus_start(bus);
	if (r < 0)
		sd_bus_unref(bus);
	else
		*ret = bus;
	return r;
}

static int manager_open(bool user, sd_bus **ret)
{
	int r = user ? sd_bus_open_user(ret) : sd_bus_open_system(ret);

	if (r < 0 && manager_open_private(user, ret) >= 0)
		r = 0;
	if (r < 0)
		return say(user ? "the user's bus" : "the system's bus", r, NULL);
	sd_bus_error error = SD_BUS_ERROR_NULL;
	r = sd_bus_call_method(*ret, SYSTEMD, SYSTEMD_PATH, SYSTEMD_PART, "Subscribe", &error, NULL,
			       NULL);
	if (r < 0)
		(void)say("the manager", r, &error);
	sd_bus_error_free(&error);
	return r;
}

static int job_removed(sd_bus_message *m, void *arg, sd_bus_error *error)
{
	struct job *job = arg;
	const char *path, *unit, *result;
	uint32_t id;

	(void)error;
	if (sd_bus_message_read(m, "uoss", &id, &path, &unit, &result) < 0 ||
	    strcmp(path, job->path) != 0)
		return 0;
	(void)snprintf(job->result, sizeof(job->result), "%s", result);
	return 0;
}

static int job_wait(sd_bus *bus, struct job *job, const char *unit)
{
	const int64_t end = clock_mono_ns() + SYSTEMD_JOB_NS;

	while (!job->result[0]) {
		const int64_t now = clock_mono_ns();
		int r = sd_bus_process(bus, NULL);
		if (r == 0 && now >= end)
			r = -ETIMEDOUT;
		if (r == 0)
			r = sd_bus_wait(bus, (uint64_t)(end - now) / 1000);
		if (r < 0 && r != -EINTR)
			return say(unit, r, NULL);
	}
	if (!strcmp(job->result, "done"))
		return 0;
	(void)fprintf(stderr, "systemd: %s: the job ended as %s\n", unit, job->result);
	return -EIO;
}

/* A call whose answer is a job.  @m: taken */
static int job_call(sd_bus *bus, sd_bus_message *m, const char *unit, sd_bus_error *error)
{
	struct job job = { .path = "" };
	sd_bus_slot *slot = NULL;
	sd_bus_message *reply = NULL;
	const char *path;

	int r = sd_bus_match_signal(bus, &slot, SYSTEMD, SYSTEMD_PATH, SYSTEMD_PART, "JobRemoved",
				    job_removed, &job);
	if (r >= 0)
		r = sd_bus_call(bus, m, 0, error, &reply);
	if (r >= 0)
		r = sd_bus_message_read(reply, "o", &path);
	if (r >= 0) {
		(void)snprintf(job.path, sizeof(job.path), "%s", path);
		r = job_wait(bus, &job, unit);
	} else if (!sd_bus_error_is_set(error)) {
		(void)say(unit, r, NULL);
	}
	sd_bus_slot_unref(slot);
	sd_bus_message_unref(reply);
	sd_bus_message_unref(m);
	return r;
}

static int unit_forget(sd_bus *bus, const char *unit)
{
	return sd_bus_call_method(bus, SYSTEMD, SYSTEMD_PATH, SYSTEMD_PART, "ResetFailedUnit", NULL,
				  NULL, "s", unit);
}

static int unit_print_group(sd_bus *bus, const char *unit)
{
	char *path = NULL, *group = NULL;
	sd_bus_error error = SD_BUS_ERROR_NULL;
	int r = sd_bus_path_encode(SYSTEMD_PATH "/unit", unit, &path);

	if (r >= 0)
		r = sd_bus_get_property_string(bus, SYSTEMD, path, SYSTEMD ".Scope", "ControlGroup",
					       &error, &group);
	if (r < 0)
		(void)say("its cgroup", r, &error);
	else
		(void)puts(group); /* main looks at the stream's end */
	sd_bus_error_free(&error);
	free(path);
	free(group);
	return r;
}

static int unit_start_once(sd_bus *bus, const char *unit, const json_t *properties,
			   sd_bus_error *error)
{
	sd_bus_message *m = NULL;
	int r = sd_bus_message_new_method_call(bus, &m, SYSTEMD, SYSTEMD_PATH, SYSTEMD_PART,
					       "StartTransientUnit");

	if (r >= 0)
		r = sd_bus_message_append(m, "ss", unit, "replace");
	if (r >= 0)
		r = put_properties(m, properties);
	if (r >= 0)
		r = sd_bus_message_append(m, "a(sa(sv))", 0);
	if (r >= 0)
		return job_call(bus, m, unit, error);
	sd_bus_message_unref(m);
	return r;
}

/* One of that name that failed is in the way until it is forgotten. */
static int unit_start(sd_bus *bus, const char *unit, const json_t *properties)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	int r = unit_start_once(bus, unit, properties, &error);

	if (sd_bus_error_has_name(&error, SYSTEMD ".UnitExists") && unit_forget(bus, unit) >= 0) {
		sd_bus_error_free(&error);
		r = unit_start_once(bus, unit, properties, &error);
	}
	if (sd_bus_error_is_set(&error))
		(void)say(unit, r, &error);
	if (sd_bus_error_has_name(&error, SYSTEMD ".UnitExists"))
		r = -EEXIST; /* whatever the bus made of that name */
	sd_bus_error_free(&error);
	return r < 0 ? r : unit_print_group(bus, unit);
}

static int unit_set(sd_bus *bus, const char *unit, const json_t *properties)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	sd_bus_message *m = NULL;
	int r = sd_bus_message_new_method_call(bus, &m, SYSTEMD, SYSTEMD_PATH, SYSTEMD_PART,
					       "SetUnitProperties");

	if (r >= 0)
		r = sd_bus_message_append(m, "sb", unit, 1); /* until the next boot */
	if (r >= 0)
		r = put_properties(m, properties);
	if (r >= 0)
		r = sd_bus_call(bus, m, 0, &error, NULL);
	if (r < 0)
		(void)say(unit, r, &error);
	sd_bus_error_free(&error);
	sd_bus_message_unref(m);
	return r;
}

static int unit_stop(sd_bus *bus, const char *unit, const json_t *properties)
{
	(void)properties;
	sd_bus_error error = SD_BUS_ERROR_NULL;
	sd_bus_message *m = NULL;
	int r = sd_bus_message_new_method_call(bus, &m, SYSTEMD, SYSTEMD_PATH, SYSTEMD_PART,
					       "StopUnit");

	if (r >= 0)
		r = sd_bus_message_append(m, "ss", unit, "replace");
	if (r >= 0)
		r = job_call(bus, m, unit, &error);
	if (sd_bus_error_has_name(&error, SYSTEMD ".NoSuchUnit"))
		r = 0;
	else if (sd_bus_error_is_set(&error))
		(void)say(unit, r, &error);
	sd_bus_error_free(&error);
	(void)unit_forget(bus, unit); /* mostly there is nothing to forget */
	return r;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(sd_bus *bus, const char *unit, const json_t *properties);
	} verbs[] = { { "start", unit_start }, { "set", unit_set }, { "stop", unit_stop } };
	const bool user = argc == 4 && !strcmp(argv[1], "--user");
	sd_bus *bus = NULL;
	int r = -EINVAL;

	if (argc != 3 + user) {
		(void)fputs("usage: strata-systemd [--user] start|set|stop UNIT\n", stderr);
		return 2;
	}
	json_t *properties = json_loadf(stdin, 0, NULL); /* NULL where none are taken */
	if (manager_open(user, &bus) < 0)
		return 1;
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
		if (!strcmp(argv[1 + user], verbs[i].name))
			r = verbs[i].run(bus, argv[2 + user], properties);
	}
	sd_bus_flush_close_unref(bus);
	json_decref(properties);
	if (r == -EEXIST)
		return SYSTEMD_EXISTS;
	return r < 0 || fflush(stdout) != 0;
}
