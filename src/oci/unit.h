/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What systemd is told of a container: a transient scope in a slice, whose properties are its limits.
 * Source: org.freedesktop.systemd1(5); systemd.resource-control(5); systemd.slice(5); runc, docs/systemd.md, for the forms that
 * managers use.
 */
#include <jansson.h>

#include "oci/config.h"

#define UNIT_NAME_MAX 256 /* systemd's own, with the NUL */

struct unit {
	char name[UNIT_NAME_MAX];  /* "crio-ID.scope" */
	char slice[UNIT_NAME_MAX]; /* "machine.slice" */
};

/*
 * unit_parse() - linux.cgroupsPath as "slice:prefix:name"; "": the default of all three
 * @user: of a user's own systemd
 * Errors: -EINVAL: of another form, or no names of units.
 */
int unit_parse(const char *cgroups_path, const char *id, bool user, struct unit *ret,
	       struct err *err);
/* unit_group() - where systemd's own manager puts its cgroup: "a.slice/a-b.slice/x.scope"; -ENAMETOOLONG */
int unit_group(const struct unit *unit, char *ret, size_t size);

/*
 * unit_start_properties() - what systemd_main.c takes; the caller's to json_decref(), NULL with err set
 * @pid: whoever is in it first   @config: with its unit_slice
 */
json_t *unit_start_properties(const char *id, pid_t pid, const struct config *config,
			      struct err *err);
/* unit_limits() - those of its resources alone, without devices: for a running one */
json_t *unit_limits(const struct bundle *bundle, struct err *err);

/*
 * unit_annotation() - org.systemd.property.NAME: VALUE, as a property; a NAME of whole seconds ("TimeoutStopSec") becomes one of
 * microseconds
 * @value: text of a GVariant: true, 'text', 5, uint64 5, ['a', 'b']
 * Return: [NAME, type, value], or NULL with err set.
 */
json_t *unit_annotation(const char *name, const char *value, struct err *err);
