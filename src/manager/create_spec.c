/* SPDX-License-Identifier: Apache-2.0 */
/* What a new instance is: the command line over the image's config over the defaults. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/os/idspace.h"
#include "base/os/json.h"
#include "base/os/signals.h"
#include "engines/caps.h"
#include "manager/create.h"
#include "manager/system.h"
#include "storage/image.h"

#define CREATE_PATH	 "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define CREATE_SHM_BYTES (64 << 20)
#define CREATE_STOP_MS	 10000
#define CREATE_LOG_BYTES (10 << 20)
#define CREATE_LOG_FILES 3

static const char *create_env_name_end(const char *entry)
{
	return entry + strcspn(entry, "=");
}

static int create_env_put(json_t *env, const char *entry)
{
	size_t len = (size_t)(create_env_name_end(entry) - entry);
	size_t i;
	json_t *old;

	json_array_foreach(env, i, old)
	{
		const char *text = json_string_value(old);
		if (!strncmp(text, entry, len) && text[len] == '=')
			return json_array_set_new(env, i, json_string(entry));
	}
	return json_array_append_new(env, json_string(entry));
}

static int create_env(json_t *spec, const json_t *config, const json_t *image, const char *hostname)
{
	json_t *env = json_array();
	char entry[300];
	size_t i;
	json_t *one;
	int r = create_env_put(env, CREATE_PATH);

	(void)snprintf(entry, sizeof(entry), "HOSTNAME=%s",
		       hostname); /* a host name has 64 at most */
	r |= create_env_put(env, entry);
	json_array_foreach(json_object_get(image, "Env"), i, one)
	{
		if (json_is_string(one) && strchr(json_string_value(one), '='))
			r |= create_env_put(env, json_string_value(one));
	}
	json_array_foreach(json_object_get(config, "env"), i, one)
	{
		if (json_is_string(one) && strchr(json_string_value(one), '='))
			r |= create_env_put(env, json_string_value(one));
	}
	return r | json_object_set_new(spec, "env", env);
}

/* What `ps` shows as the command of a virtual machine that is nothing but a kernel. */
static const char *create_kernel_name(const json_t *config)
{
	const char *path = json_str(json_object_get(config, "vm"), "kernel", "");
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : "kernel";
}

/* Docker: a command replaces CMD; an entry point replaces ENTRYPOINT and drops CMD. */
static int create_args(json_t *spec, const json_t *config, const json_t *image, struct err *err)
{
	const json_t *entry = json_object_get(image, "Entrypoint");
	const json_t *command = json_object_get(image, "Cmd");
	const json_t *asked = json_object_get(config, "entrypoint"); /* []: none at all */
	const json_t *asked_args = json_object_get(config, "args");
	json_t *args = json_array();

	if (asked || json_array_size(asked_args))
		command = NULL;
	if (asked)
		entry = asked;
	if (json_is_array(entry))
		(void)json_array_extend(args, (json_t *)(uintptr_t)entry);
	if (json_is_array(asked_args) && json_array_size(asked_args))
		(void)json_array_extend(args, (json_t *)(uintptr_t)asked_args);
	else if (json_is_array(command))
		(void)json_array_extend(args, (json_t *)(uintptr_t)command);
	if (!json_array_size(args) && !json_str(config, "image", NULL))
		(void)json_array_append_new(args, json_string(create_kernel_name(config)));
	if (!json_array_size(args)) {
		json_decref(args);
		return err_say(err, EINVAL,
			       "image %s names no command: say one after the image's name",
			       json_str(config, "image", ""));
	}
	return json_object_set_new(spec, "args", args);
}

/* The command line's, else the image's. */
static int create_stop_signal(json_t *spec, const json_t *config, const json_t *image,
			      struct err *err)
{
	const char *name = json_str(image, "StopSignal", "");
	const bool asked = json_object_get(config, "stop_signal") != NULL;
	const int usual = name[0] ? signal_parse(name) : SIGTERM;

	if (!asked && !usual)
		return err_say(err, EINVAL,
			       "image %s is stopped by '%s', which is no signal: choose one with "
			       "--stop-signal",
			       json_str(config, "image", ""), name);
	return json_object_set_new(spec, "stop_signal",
				   json_integer(json_int(config, "stop_signal", usual))) < 0
		       ? err_set(err, ENOMEM, "new instance")
		       : 0;
}

int create_caps(json_t *spec, const json_t *config, bool machine, struct err *err)
{
	const char **add = json_strings(json_object_get(config, "cap_add"));
	const char **drop = json_strings(json_object_get(config, "cap_drop"));
	json_t *names = json_array();
	/* In a user namespace of its own its root has all of them. */
	const uint64_t held = caps_grantable(machine || ids_here() != IDS_HOST);
	uint64_t caps = held;
	int r = add && drop && names ? 0 : err_set(err, ENOMEM, "capabilities");

	if (r == 0 && !json_bool(config, "privileged", false))
		r = caps_parse_lists(json_bool(config, "system", false) ? caps_system
									: caps_default,
				     add, drop, held, &caps, err);
	for (unsigned cap = 0; r == 0 && cap < 64; cap++) {
		if (caps & (1ULL << cap) && caps_name(cap) &&
		    json_array_append_new(names, json_string(caps_name(cap))))
			r = err_set(err, ENOMEM, "capabilities");
	}
	free(add);
	free(drop);
	if (r < 0) {
		json_decref(names);
		return r;
	}
	return json_object_set_new(spec, "caps", names);
}

int create_layers(json_t *spec, const struct image *image)
{
	json_t *layers = json_array();

	for (char **layer = image->layers; *layer; layer++)
		(void)json_array_append_new(layers, json_string(*layer));
	return json_object_set_new(spec, "layers", layers);
}

int create_copy(json_t *spec, const json_t *config)
{
	static const char *const members[] = {
		"image",  "tty",	   "stdin_open", "read_only",	 "init",
		"remove", "privileged",	   "groups",	 "devices",	 "ulimits",
		"limits", "uid_map",	   "gid_map",	 "ports",	 "restart",
		"labels", "cgroup_parent", "network",	 "time_offsets", "userns",
		"dns",	  "dns_search",	   "root_bytes", "vm",		 "system",
	};
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		json_t *value = json_object_get(config, members[i]);
		if (value && !json_is_null(value))
			r |= json_object_set(spec, members[i], value);
	}
	return r;
}

static int create_hostname(const json_t *config, const char *id, char ret[65])
{
	const char *asked = json_str(config, "hostname", NULL);
	const char *mode = json_str(json_object_get(config, "network"), "mode", "bridge");
	struct utsname host;

	if (!asked && !strcmp(mode, "host") && uname(&host) == 0)
		asked = host.nodename;
	if (asked && strlen(asked) > 64)
		return -EINVAL;
	(void)snprintf(ret, 65, "%.*s", asked ? 64 : 12, asked ? asked : id); /* measured above */
	return 0;
}

int create_defaults(json_t *spec, const json_t *config, const json_t *image_config, const char *id,
		    const struct engine_ops *engine, struct err *err)
{
	const json_t *image = json_object_get(image_config, "config");
	const char *cwd = json_str(config, "cwd", json_str(image, "WorkingDir", ""));
	char hostname[65];

	if (create_hostname(config, id, hostname) < 0)
		return err_say(err, EINVAL, "host name %s: more than 64 characters",
			       json_str(config, "hostname", ""));
	int r = json_object_set_new(spec, "hostname", json_string(hostname));
	r |= json_object_set_new(spec, "cwd", json_string(cwd[0] ? cwd : "/"));
	r |= json_object_set_new(
		spec, "user", json_string(json_str(config, "user", json_str(image, "User", ""))));
	r |= json_object_set_new(spec, "stop_timeout_ms",
				 json_integer(json_int(config, "stop_timeout_ms", CREATE_STOP_MS)));
	r |= json_object_set_new(spec, "shm_bytes",
				 json_integer(json_int(config, "shm_bytes", CREATE_SHM_BYTES)));
	r |= json_object_set_new(spec, "no_new_privileges",
				 json_boolean(json_bool(config, "no_new_privileges",
							!json_bool(config, "privileged", false))));
	const json_t *log = json_object_get(config, "log");
	r |= json_object_set_new(spec, "log",
				 json_pack("{s:I,s:I}", "max_bytes",
					   (json_int_t)json_int(log, "max_bytes", CREATE_LOG_BYTES),
					   "files",
					   (json_int_t)json_int(log, "files", CREATE_LOG_FILES)));
	const char *seccomp = json_bool(config, "privileged", false) ? "unconfined" : "default";
	r |= json_object_set_new(spec, "seccomp_profile",
				 json_string(json_str(config, "seccomp", seccomp)));
	/* A bare kernel's address would be nobody's to set: it gets a network where one was asked for. A bridge takes root. */
	const bool root = engine->machines ? geteuid() == 0 : ids_here() == IDS_HOST;
	const char *usual = engine->network ? engine->network : root ? "bridge" : "passt";
	if (!json_object_get(spec, "network"))
		r |= json_object_set_new(spec, "network",
					 json_pack("{s:s}", "mode", image_config ? usual : "none"));
	r |= create_env(spec, config, image, hostname);
	if (r)
		return err_set(err, ENOMEM, "new instance");
	r = create_stop_signal(spec, config, image, err);
	if (r < 0)
		return r;
	return json_bool(config, "system", false) ? system_ask(spec, config, image, id, err)
						  : create_args(spec, config, image, err);
}
