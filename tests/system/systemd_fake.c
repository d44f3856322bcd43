/* SPDX-License-Identifier: Apache-2.0 */
/*
 * As much of systemd as strata-oci speaks to, on the bus of DBUS_SYSTEM_BUS_ADDRESS: systemd_fake LOG PREFIX ROOT...
 * What it is told goes to LOG, a line a property. A scope is a directory PREFIX/SLICES/UNIT below each ROOT, mounts of cgroups.
 * Names decide what goes wrong: "stale" is in the way until it is forgotten, "taken" for ever, "doomed" is a job that fails, "denied" an error.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#define SYSTEMD	     "org.freedesktop.systemd1"
#define SYSTEMD_PATH "/org/freedesktop/systemd1"

struct fake {
	FILE *log;
	const char *prefix;
	char **roots;
	int n_roots;
	char group[512]; /* of the last unit made, without the first slash */
	bool forgotten;
};

/* ---- what a message holds ---- */

static int dump(sd_bus_message *m, FILE *log);

static int dump_basic(sd_bus_message *m, char type, FILE *log)
{
	union {
		uint8_t y;
		int b;
		int32_t i;
		uint32_t u;
		int64_t x;
		uint64_t t;
		double d;
		const char *s;
	} value;
	int r = sd_bus_message_read_basic(m, type, &value);

	if (r <= 0)
		return r;
	switch (type) {
	case 'y':
		return fprintf(log, " %u", value.y);
	case 'b':
		return fprintf(log, " %s", value.b ? "true" : "false");
	case 'i':
		return fprintf(log, " %d", value.i);
	case 'u':
		return fprintf(log, " %u", value.u);
	case 'x':
		return fprintf(log, " %lld", (long long)value.x);
	case 't':
		return fprintf(log, " %llu", (unsigned long long)value.t);
	case 'd':
		return fprintf(log, " %g", value.d);
	default:
		return fprintf(log, " %s", value.s);
	}
}

static int dump(sd_bus_message *m, FILE *log)
{
	const char *contents;
	char type;
	int r;

	while ((r = sd_bus_message_peek_type(m, &type, &contents)) > 0) {
		if (!strchr("arve", type)) {
			r = dump_basic(m, type, log);
		} else {
			r = sd_bus_message_enter_container(m, type, contents);
			if (r >= 0)
				r = dump(m, log);
			if (r >= 0)
				r = sd_bus_message_exit_container(m);
		}
		if (r < 0)
			return r;
	}
	return r;
}

/* The slice comes back, and whoever is to be in the unit. */
static int dump_properties(sd_bus_message *m, struct fake *fake, const char *verb, const char *unit,
			   char ret_slice[256], uint32_t *ret_pid)
{
	const char *name, *contents;
	char type;
	int r = sd_bus_message_enter_container(m, 'a', "(sv)");

	while (r >= 0 && (r = sd_bus_message_enter_container(m, 'r', "sv")) > 0) {
		r = sd_bus_message_read_basic(m, 's', &name);
		if (r >= 0)
			r = sd_bus_message_peek_type(m, &type, &contents);
		if (r < 0)
			return r;
		fprintf(fake->log, "%s %s %s %s", verb, unit, name, contents);
		if (!strcmp(name, "Slice")) {
			const char *slice;
			r = sd_bus_message_read(m, "v", "s", &slice);
			(void)snprintf(ret_slice, 256, "%s", slice);
			fprintf(fake->log, " %s", slice);
		} else if (!strcmp(name, "PIDs")) {
			r = sd_bus_message_read(m, "v", "au", 1, ret_pid);
			fprintf(fake->log, " some");
		} else {
			r = sd_bus_message_enter_container(m, 'v', contents);
			if (r >= 0)
				r = dump(m, fake->log);
			if (r >= 0)
				r = sd_bus_message_exit_container(m);
		}
		fputc('\n', fake->log);
		if (r >= 0)
			r = sd_bus_message_exit_container(m);
	}
	fflush(fake->log);
	return r < 0 ? r : sd_bus_message_exit_container(m);
}

/* ---- units ---- */

/* "a-b.slice" is in "a.slice". */
static void group_of(struct fake *fake, const char *slice, const char *unit)
{
	size_t n = (size_t)snprintf(fake->group, sizeof(fake->group), "%s", fake->prefix);

	for (const char *p = slice; strcmp(slice, "-.slice") != 0 && *p; p++) {
		if (*p == '-' || !strcmp(p, ".slice"))
			n += (size_t)snprintf(fake->group + n, sizeof(fake->group) - n,
					      "%.*s.slice/", (int)(p - slice), slice);
	}
	(void)snprintf(fake->group + n, sizeof(fake->group) - n, "%s", unit);
}

static void group_make(struct fake *fake, uint32_t pid)
{
	char path[1024];

	for (int i = 0; i < fake->n_roots; i++) {
		const size_t root = strlen(fake->roots[i]) + 1;
		(void)snprintf(path, sizeof(path), "%s/%s/", fake->roots[i], fake->group);
		for (char *p = path + root; (p = strchr(p, '/')); p++) {
			*p = '\0';
			(void)mkdir(path, 0755);
			*p = '/';
		}
		(void)snprintf(path, sizeof(path), "%s/%s/cgroup.procs", fake->roots[i],
			       fake->group);
		FILE *procs = fopen(path, "w");
		if (!procs || fprintf(procs, "%u", pid) < 0 || fclose(procs) != 0)
			perror(path);
	}
}

static void group_remove(struct fake *fake)
{
	char path[1024];

	for (int i = 0; i < fake->n_roots; i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", fake->roots[i], fake->group);
		(void)rmdir(path);
	}
}

static int job_answer(sd_bus_message *m, const char *unit)
{
	const char *result = strstr(unit, "doomed") ? "failed" : "done";
	int r = sd_bus_reply_method_return(m, "o", SYSTEMD_PATH "/job/7");

	if (r >= 0)
		r = sd_bus_emit_signal(sd_bus_message_get_bus(m), SYSTEMD_PATH, SYSTEMD ".Manager",
				       "JobRemoved", "uoss", 6, SYSTEMD_PATH "/job/6", unit,
				       "canceled");
	return r < 0 ? r
		     : sd_bus_emit_signal(sd_bus_message_get_bus(m), SYSTEMD_PATH,
					  SYSTEMD ".Manager", "JobRemoved", "uoss", 7,
					  SYSTEMD_PATH "/job/7", unit, result);
}

static int start(sd_bus_message *m, void *arg, sd_bus_error *error)
{
	struct fake *fake = arg;
	const char *unit, *mode;
	char slice[256] = "";
	uint32_t pid = 0;
	int r = sd_bus_message_read(m, "ss", &unit, &mode);

	if (r >= 0 && strstr(unit, "denied"))
		return sd_bus_error_set(error, SD_BUS_ERROR_ACCESS_DENIED, "not you\n\tof all");
	if (r >= 0 && strstr(unit, "taken"))
		return sd_bus_error_set(error, SYSTEMD ".UnitExists", "it is taken");
	if (r >= 0 && strstr(unit, "stale") && !fake->forgotten)
		return sd_bus_error_setf(error, SYSTEMD ".UnitExists", "%s exists", unit);
	if (r >= 0)
		r = dump_properties(m, fake, "start", unit, slice, &pid);
	if (r < 0)
		return r;
	group_of(fake, slice, unit);
	if (!strstr(unit, "doomed"))
		group_make(fake, pid);
	return job_answer(m, unit);
}

static int set(sd_bus_message *m, void *arg, sd_bus_error *error)
{
	struct fake *fake = arg;
	const char *unit;
	char slice[256];
	uint32_t pid;
	int runtime, r = sd_bus_message_read(m, "sb", &unit, &runtime);

	(void)error;
	if (r >= 0)
		r = dump_properties(m, fake, "set", unit, slice, &pid);
	return r < 0 ? r : sd_bus_reply_method_return(m, "");
}

static int stop(sd_bus_message *m, void *arg, sd_bus_error *error)
{
	struct fake *fake = arg;
	const char *unit, *mode;
	int r = sd_bus_message_read(m, "ss", &unit, &mode);

	if (r < 0)
		return r;
	fprintf(fake->log, "stop %s\n", unit);
	fflush(fake->log);
	if (!fake->group[0])
		return sd_bus_error_setf(error, SYSTEMD ".NoSuchUnit", "%s is not there", unit);
	group_remove(fake);
	fake->group[0] = '\0';
	return job_answer(m, unit);
}

static int forget(sd_bus_message *m, void *arg, sd_bus_error *error)
{
	struct fake *fake = arg;

	(void)error;
	fake->forgotten = true;
	return sd_bus_reply_method_return(m, "");
}

static int subscribe(sd_bus_message *m, void *arg, sd_bus_error *error)
{
	(void)arg;
	(void)error;
	return sd_bus_reply_method_return(m, "");
}

static int group(sd_bus *bus, const char *path, const char *interface, const char *property,
		 sd_bus_message *reply, void *arg, sd_bus_error *error)
{
	const struct fake *fake = arg;
	char text[520];

	(void)bus;
	(void)path;
	(void)interface;
	(void)property;
	(void)error;
	(void)snprintf(text, sizeof(text), "/%s", fake->group);
	return sd_bus_message_append(reply, "s", text);
}

static const sd_bus_vtable manager[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD("Subscribe", "", "", subscribe, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("StartTransientUnit", "ssa(sv)a(sa(sv))", "o", start,
		      SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("SetUnitProperties", "sba(sv)", "", set, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("StopUnit", "ss", "o", stop, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("ResetFailedUnit", "s", "", forget, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END,
};
static const sd_bus_vtable scope[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("ControlGroup", "s", group, 0, 0),
	SD_BUS_VTABLE_END,
};

static int found(sd_bus *bus, const char *path, const char *interface, void *arg, void **ret_found,
		 sd_bus_error *error)
{
	(void)bus;
	(void)path;
	(void)interface;
	(void)error;
	*ret_found = arg;
	return 1;
}

int main(int argc, char **argv)
{
	sd_bus *bus = NULL;

	if (argc < 3)
		return 2;
	struct fake fake = {
		.log = fopen(argv[1], "a"),
		.prefix = argv[2],
		.roots = argv + 3,
		.n_roots = argc - 3,
	};
	int r = fake.log ? sd_bus_open_system(&bus) : -errno;
	if (r >= 0)
		r = sd_bus_add_object_vtable(bus, NULL, SYSTEMD_PATH, SYSTEMD ".Manager", manager,
					     &fake);
	if (r >= 0)
		r = sd_bus_add_fallback_vtable(bus, NULL, SYSTEMD_PATH "/unit", SYSTEMD ".Scope",
					       scope, found, &fake);
	if (r >= 0)
		r = sd_bus_request_name(bus, SYSTEMD, 0);
	if (r >= 0) {
		fputs("ready\n", fake.log);
		fflush(fake.log);
	}
	while (r >= 0) {
		r = sd_bus_process(bus, NULL);
		if (r == 0)
			r = sd_bus_wait(bus, UINT64_MAX);
	}
	fprintf(stderr, "systemd_fake: %s\n", strerror(-r));
	return 1;
}
