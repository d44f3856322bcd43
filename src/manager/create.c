/* SPDX-License-Identifier: Apache-2.0 */
/* A new instance: the command line over the image's config over the defaults, checked, named, recorded. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/os/clock.h"
#include "base/os/fd.h"
#include "base/os/file.h"
#include "base/os/idspace.h"
#include "base/os/json.h"
#include "engines/caps.h"
#include "engines/rates.h"
#include "manager/machine.h"
#include "manager/private.h"
#include "manager/system.h"
#include "manager/userns.h"
#include "network/network.h"
#include "storage/image.h"
#include "storage/volume.h"

#define CREATE_PATH	  "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define CREATE_SHM_BYTES  (64 << 20)
#define CREATE_STOP_MS	  10000
#define CREATE_LOG_BYTES  (10 << 20)
#define CREATE_LOG_FILES  3
#define CREATE_NAME_MAX	  64 /* a DNS label and what the hosts files take */
#define CREATE_NAME_TRIES 64

static int create_id(char ret[DIGEST_HEX + 1], struct err *err)
{
	uint8_t bytes[DIGEST_HEX / 2];

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		return err_set(err, errno, "random id");
	for (size_t i = 0; i < sizeof(bytes); i++)
		(void)snprintf(ret + 2 * i, 3, "%02x", bytes[i]); /* two digits and the NUL */
	return 0;
}

/* Docker's rule: docs of `docker run`, "--name": [a-zA-Z0-9][a-zA-Z0-9_.-]+ */
int instance_name_check(const char *name, struct err *err)
{
	size_t len = strlen(name);
	bool ok = len >= 1 && len <= CREATE_NAME_MAX && isalnum((unsigned char)name[0]);

	for (size_t i = 0; ok && i < len; i++)
		ok = isalnum((unsigned char)name[i]) || strchr("_.-", name[i]);
	return ok ? 0
		  : err_say(err, EINVAL,
			    "name \"%s\": use up to %d letters, digits, '_', '.' or '-', the first a "
			    "letter or digit",
			    name, CREATE_NAME_MAX);
}

static void create_random_name(char ret[40])
{
	static const char *const first[] = {
		"amber", "brisk", "calm",  "deep",  "early",  "fair",  "gentle", "hazel",
		"ivory", "jolly", "keen",  "lucid", "mellow", "noble", "opal",	 "placid",
		"quick", "rapid", "solid", "tidy",  "urban",  "vivid", "warm",	 "young"
	};
	static const char *const second[] = { "basalt", "chalk",   "clay",   "dune",   "flint",
					      "gneiss", "granite", "gravel", "gypsum", "lava",
					      "loam",	"marble",  "marl",   "mica",   "onyx",
					      "peat",	"pumice",  "quartz", "sand",   "schist",
					      "shale",	"silt",	   "slate",  "tuff" };
	uint16_t dice[3] = { 0 };

	(void)getrandom(dice, sizeof(dice), 0); /* zeros make a name too */
	(void)snprintf(ret, 40, "%s_%s%u", first[dice[0] % ARRAY_SIZE(first)],
		       second[dice[1] % ARRAY_SIZE(second)], dice[2] % 1000U); /* fits */
}

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

static int create_signal(const char *name)
{
	static const struct {
		const char *name;
		int sig;
	} names[] = {
		{ "HUP", SIGHUP },   { "INT", SIGINT },	    { "QUIT", SIGQUIT },
		{ "KILL", SIGKILL }, { "TERM", SIGTERM },   { "USR1", SIGUSR1 },
		{ "USR2", SIGUSR2 }, { "WINCH", SIGWINCH }, { "PWR", SIGPWR },
		{ "STOP", SIGSTOP }, { "CONT", SIGCONT },
	};

	if (!strncmp(name, "SIG", 3))
		name += 3;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (!strcmp(name, names[i].name))
			return names[i].sig;
	}
	if (!strncmp(name, "RTMIN+", 6))
		return SIGRTMIN + (int)strtol(name + 6, NULL, 10);
	long n = strtol(name, NULL, 10);
	return n > 0 && n <= SIGRTMAX ? (int)n : SIGTERM;
}

static int create_caps(json_t *spec, const json_t *config, bool machine, struct err *err)
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

static int create_layers(json_t *spec, const struct image *image)
{
	json_t *layers = json_array();

	for (char **layer = image->layers; *layer; layer++)
		(void)json_array_append_new(layers, json_string(*layer));
	return json_object_set_new(spec, "layers", layers);
}

/* Members that pass from the command line as they are; spec_load() checks them. */
static int create_copy(json_t *spec, const json_t *config)
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

static int create_defaults(json_t *spec, const json_t *config, const json_t *image_config,
			   const char *id, const struct engine_ops *engine, struct err *err)
{
	const json_t *image = json_object_get(image_config, "config");
	const char *cwd = json_str(config, "cwd", json_str(image, "WorkingDir", ""));
	const char *stop = json_str(image, "StopSignal", "TERM");
	char hostname[65];

	if (create_hostname(config, id, hostname) < 0)
		return err_say(err, EINVAL, "host name %s: more than 64 characters",
			       json_str(config, "hostname", ""));
	int r = json_object_set_new(spec, "hostname", json_string(hostname));
	r |= json_object_set_new(spec, "cwd", json_string(cwd[0] ? cwd : "/"));
	r |= json_object_set_new(
		spec, "user", json_string(json_str(config, "user", json_str(image, "User", ""))));
	r |= json_object_set_new(
		spec, "stop_signal",
		json_integer(json_int(config, "stop_signal", create_signal(stop))));
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
	return json_bool(config, "system", false) ? system_ask(spec, config, image, id, err)
						  : create_args(spec, config, image, err);
}

static int create_check_ports(const json_t *spec, struct err *err)
{
	const char *mode = json_str(json_object_get(spec, "network"), "mode", "bridge");

	if (!json_array_size(json_object_get(spec, "ports")) || strcmp(mode, "none") != 0)
		return 0;
	return err_say(err, EINVAL,
		       "--publish: with --network none nothing can be reached; leave out one");
}

/* What is mounted over /dev is the user's, and nothing is made in it. */
static int create_check_devices(const json_t *spec, struct err *err)
{
	const json_t *devices = json_object_get(spec, "devices");
	const json_t *mount;
	size_t i;

	if (!json_array_size(devices))
		return 0;
	json_array_foreach(json_object_get(spec, "mounts"), i, mount)
	{
		const char *target = json_str(mount, "target", "");
		size_t slashes = strspn(target, "/");
		if (slashes && !strncmp(target + slashes, "dev", 3) &&
		    !target[slashes + 3 + strspn(target + slashes + 3, "/")])
			return err_say(err, EINVAL,
				       "--device %s: a mount at /dev hides it; leave out one",
				       json_str(json_array_get(devices, 0), "source", ""));
	}
	return 0;
}

static int create_check_machine(const struct image *image, struct err *err)
{
	const char *arch = json_str(image->config, "architecture", "amd64");
	const char *os = json_str(image->config, "os", "linux");

	if (!strcmp(arch, "amd64") && !strcmp(os, "linux"))
		return 0;
	return err_say(err, ENOEXEC, "image is for %s on %s; this host runs linux on amd64", os,
		       arch);
}

static int create_find_volume(struct manager *manager, const char *name, struct volume *ret,
			      struct err *err)
{
	int r = name ? volume_find(&manager->store, name, ret, NULL) : -ENOENT;

	if (r == -ENOENT)
		r = volume_create(&manager->store, name, NULL, ret, err);
	if (r == -EEXIST) /* made by another command in between */
		r = volume_find(&manager->store, name, ret, err);
	return r;
}

/* A volume of the command line, or one that the image's VOLUME asks for. */
static int create_one_volume(struct manager *manager, json_t *mount, json_t *anonymous,
			     bool machine, struct err *err)
{
	const char *name = json_str(mount, "source", NULL);
	AUTO(volume_fini) struct volume volume = { 0 };

	if (name && !name[0])
		name = NULL;
	int r = create_find_volume(manager, name, &volume, err);
	if (r < 0)
		return r;
	if (machine)
		r = machine_take_volume(mount, &volume, err);
	else if (volume.kind != VOLUME_DIRECTORY)
		r = err_say(err, EINVAL,
			    "volume %s is a virtual machine's disk, and not a directory that a "
			    "container could mount",
			    name);
	if (r < 0)
		return r;
	if (!name)
		r |= json_array_append_new(anonymous, json_string(volume.name));
	r |= json_object_set_new(mount, "source", json_string(volume.name));
	return r ? err_set(err, ENOMEM, "new instance") : 0;
}

static int create_bind_source(const json_t *mount, struct err *err)
{
	const char *source = json_str(mount, "source", "");

	if (access(source, F_OK) == 0)
		return 0;
	if (!json_bool(mount, "create_source", false))
		return err_set(err, errno, "bind mount of %s", source);
	int r = dir_make(AT_FDCWD, source, 0755);
	return r < 0 ? err_set(err, -r, "make %s to mount it", source) : 0;
}

static bool create_has_target(const json_t *mounts, const char *target)
{
	size_t i;
	json_t *m;

	json_array_foreach(mounts, i, m)
	{
		if (!strcmp(json_str(m, "target", ""), target))
			return true;
	}
	return false;
}

static void create_image_volumes(json_t *mounts, const json_t *image)
{
	const char *target;
	json_t *unused;

	json_object_foreach(json_object_get(image, "Volumes"), target, unused)
	{
		if (!create_has_target(mounts, target))
			(void)json_array_append_new(mounts,
						    json_pack("{s:s,s:s,s:b}", "type", "volume",
							      "target", target, "copy_up", 1));
	}
}

/* In a virtual machine what is written is on a disk already: there a VOLUME is a directory in its root. */
static int create_image_directories(json_t *vm, const json_t *mounts, const json_t *image)
{
	json_t *directories = json_array();
	const char *target;
	json_t *unused;
	int r = 0;

	json_object_foreach(json_object_get(image, "Volumes"), target, unused)
	{
		if (!create_has_target(mounts, target))
			r |= json_array_append_new(directories, json_string(target));
	}
	if (json_array_size(directories) == 0) {
		json_decref(directories);
		return r;
	}
	return r | json_object_set_new(vm, "directories", directories);
}

static int create_mounts(struct manager *manager, json_t *spec, const json_t *config,
			 const json_t *image_config, bool machine, struct err *err)
{
	json_t *mounts = json_deep_copy(json_object_get(config, "mounts"));
	json_t *anonymous = json_array();
	json_t *mount;
	size_t i;

	if (!json_is_array(mounts)) {
		json_decref(mounts);
		mounts = json_array();
	}
	(void)json_object_set_new(spec, "mounts", mounts);
	(void)json_object_set_new(spec, "volumes", anonymous);
	const json_t *image = json_object_get(image_config, "config");
	if (!machine)
		create_image_volumes(mounts, image);
	else if (create_image_directories(json_object_get(spec, "vm"), mounts, image))
		return err_set(err, ENOMEM, "new instance");
	json_array_foreach(mounts, i, mount)
	{
		const char *type = json_str(mount, "type", "bind");
		int r = 0;
		if (!strcmp(type, "volume"))
			r = create_one_volume(manager, mount, anonymous, machine, err);
		else if (!strcmp(type, "bind"))
			r = create_bind_source(mount, err);
		if (r < 0)
			return r;
	}
	return machine ? machine_order_mounts(mounts, err) : 0;
}

/* What manager_list() gives: see manager.h. */
char *instance_summary(const json_t *spec)
{
	static const char *const members[] = {
		"image",   "image_id", "virt",		"args",	   "ports",  "labels",
		"restart", "remove",   "cgroup_parent", "network", "limits",
	};
	AUTO(json_decref_p) json_t *summary = json_object();

	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		json_t *value = json_object_get(spec, members[i]);
		if (value && json_object_set(summary, members[i], value) < 0)
			return NULL;
	}
	return json_text(summary, 0);
}

/* *ret_lock: userns_lock()'s where it has ids of its own. */
static int create_ids(struct manager *manager, json_t *spec, int *ret_lock, struct err *err)
{
	bool choose = !strcmp(json_str(spec, "userns", "host"), "auto");

	if (!choose && !json_object_get(spec, "uid_map"))
		return 0;
	int lock = userns_lock(err);
	if (lock < 0)
		return lock;
	*ret_lock = lock;
	return choose ? userns_assign(&manager->store, lock, spec, err) : 0;
}

static int create_insert(struct manager *manager, json_t *spec, const char *id, const char *name,
			 const char *image, int64_t now, struct err *err)
{
	struct db *db = &manager->store.db;
	AUTO(buf_fini) struct buf command = { 0 };
	char *summary = instance_summary(spec);
	char *text = NULL;
	size_t i;
	json_t *mount, *word;

	if (!summary)
		return err_set(err, ENOMEM, "new instance");
	/* What --rm makes need not outlive the machine's power; anything else, once said to exist, does. */
	int r = db_begin(db, !json_bool(spec, "remove", false), err);
	AUTO(fd_close_p) int ids = -EBADF; /* until the row is committed */
	if (r == 0)
		r = create_ids(manager, spec, &ids, err);
	json_array_foreach(json_object_get(spec, "args"), i, word)
	{
		(void)buf_adds(&command, i ? " " : "");		   /* a failure is sticky */
		(void)buf_adds(&command, json_string_value(word)); /* likewise */
	}
	if (r == 0 && (command.failed || !(text = json_text(spec, 0))))
		r = err_set(err, ENOMEM, "new instance");
	if (r == 0)
		r = db_run(
			db, err,
			"INSERT INTO instance (id, name, image, summary, spec, state, created_ns, "
			"ref, virt, command, host) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
			"sssssiissss", id, name, image, summary, text, (int64_t)INSTANCE_CREATED,
			now, json_str(spec, "image", ""), json_str(spec, "virt", ""),
			buf_str(&command), manager->host);
	json_array_foreach(json_object_get(spec, "mounts"), i, mount)
	{
		if (r == 0 && !strcmp(json_str(mount, "type", ""), "volume"))
			r = volume_use(&manager->store, json_str(mount, "source", ""), id, err);
	}
	if (r == 0)
		r = machine_use_volumes(manager, spec, id, err);
	if (r == 0 && ids >= 0)
		r = userns_record(&manager->store, ids, err);
	if (r == 0)
		r = db_commit(db, err);
	if (r < 0)
		db_rollback(db);
	free(text);
	free(summary);
	if (r == -ESTALE)
		return err_say(err, ENOENT, "image %s was removed by another command just now",
			       json_str(spec, "image", ""));
	return r;
}

static int create_name_and_insert(struct manager *manager, json_t *spec, const json_t *config,
				  const char *id, const char *image, int64_t now, struct err *err)
{
	const char *asked = json_str(config, "name", NULL);
	char random[40];

	if (asked) {
		int r = instance_name_check(asked, err);
		if (r < 0)
			return r;
	}
	for (unsigned tries = 0;; tries++) {
		if (!asked)
			create_random_name(random);
		const char *name = asked ? asked : random;
		if (json_object_set_new(spec, "name", json_string(name)) < 0)
			return err_set(err, ENOMEM, "new instance");
		int r = create_insert(manager, spec, id, name, image, now, err);
		if (r != -EEXIST || (!asked && tries < CREATE_NAME_TRIES)) {
			if (r != -EEXIST)
				return r;
			continue;
		}
		return err_say(
			err, EEXIST,
			"the name %s is taken, here or on another --host: remove that instance "
			"('strata rm %s') or choose another --name",
			name, name);
	}
}

/* Whatever volumes were made for an instance that could not be recorded. */
static void create_undo_volumes(struct manager *manager, const json_t *spec)
{
	size_t i;
	json_t *name;

	json_array_foreach(json_object_get(spec, "volumes"), i, name)(void)
		volume_remove(&manager->store, json_string_value(name), NULL); /* best effort */
}

/* Whether that volume is a directory, or will be one. */
static bool create_is_directory(struct manager *manager, const char *name)
{
	AUTO(volume_fini) struct volume volume = { .kind = VOLUME_DIRECTORY };

	return !name || volume_find(&manager->store, name, &volume, NULL) < 0 ||
	       volume.kind == VOLUME_DIRECTORY;
}

/* The mounts that were asked for, those of volumes without a name with some name. */
static int create_stand_ins(struct manager *manager, json_t *copy, const json_t *config)
{
	AUTO(json_decref_p) json_t *mounts = json_deep_copy(json_object_get(config, "mounts"));
	json_t *mount;
	size_t i;

	json_array_foreach(mounts, i, mount)
	{
		const char *name = json_str(mount, "source", NULL);
		if (!strcmp(json_str(mount, "type", ""), "volume") &&
		    create_is_directory(manager, name) &&
		    json_object_set_new(mount, "shared", json_true()))
			return -ENOMEM;
		if (!json_object_get(mount, "source") &&
		    json_object_set_new(mount, "source", json_string("/")))
			return -ENOMEM;
	}
	return mounts && json_object_set(copy, "mounts", mounts) ? -ENOMEM : 0;
}

/* What the architecture cannot do is refused before anything is made. */
static int create_check_engine(struct manager *manager, const struct engine_ops *engine,
			       json_t *spec, const json_t *config, bool image, struct err *err)
{
	AUTO(json_decref_p) json_t *copy = json_copy(spec);
	AUTO(spec_fini) struct spec view = { 0 };

	/* Layers and volumes get their absolute paths at the start: stand-ins show everything else. */
	if (image)
		(void)json_object_set_new(copy, "layers", json_pack("[s]", "/"));
	if (!engine->machines)
		(void)json_object_del(copy, "mounts");
	else if (create_stand_ins(manager, copy, config) < 0)
		return err_set(err, ENOMEM, "new instance");
	int r = spec_load(copy, &view, err);
	if (r == 0)
		r = rates_check(&view, err);
	return r == 0 && engine->check ? engine->check(&view, err) : r;
}

static int create_engine(const struct manager *manager, const json_t *config,
			 const struct engine_ops **ret, struct err *err)
{
	static const char on_host[] = "bare-metal";
	const char *virt = json_str(config, "virt", manager->host[0] ? on_host : "auto");
	bool machine = json_object_get(config, "vm") != NULL;
	const struct engine_ops *engine = engine_find(virt, machine);

	if (!engine)
		return err_say(
			err, ENOTSUP,
			"--virt %s: this build runs os-level, hosted, hybrid and bare-metal; see 'strata "
			"info'",
			virt);
	if (manager->host[0] && strcmp(engine->name, on_host) != 0)
		return err_say(err, EINVAL, "--virt %s: on a server of --host it is bare-metal",
			       engine->name);
	const char *network = json_str(json_object_get(config, "network"), "mode", "");
	if (!engine->machines && !strcmp(network, "passt") && ids_here() == IDS_HOST)
		return err_say(
			err, EINVAL,
			"--network passt is for a virtual machine, or without root: a container "
			"of root's has bridge, none and host");
	if (machine && !engine->machines)
		return err_say(
			err, EINVAL,
			"--virt %s has no virtual machine: --kernel, --disk, --vcpus and their "
			"like go with --virt hosted, hybrid or bare-metal",
			engine->name);
	if (json_bool(config, "system", false) && engine->machines)
		return err_say(
			err, EINVAL,
			"--system is for containers, and %s runs virtual machines, which boot a "
			"system anyway (--kernel, --disk)",
			engine->name);
	*ret = engine;
	return 0;
}

/* @image: NULL for a virtual machine that is nothing but a kernel */
static int create_build(struct manager *manager, const json_t *config, const struct image *image,
			const char *id, json_t *spec, struct err *err)
{
	const struct engine_ops *engine = NULL;
	const json_t *image_config = image ? image->config : NULL;
	int r = create_engine(manager, config, &engine, err);

	if (r == 0 && image)
		r = create_check_machine(image, err);
	if (r < 0)
		return r;
	if (json_object_set_new(spec, "id", json_string(id)) < 0 ||
	    json_object_set_new(spec, "virt", json_string(engine->name)) < 0 ||
	    json_object_set_new(spec, "name", json_string("new")) < 0 || create_copy(spec, config))
		return err_set(err, ENOMEM, "new instance");
	if (image && (json_object_set_new(spec, "image_id", json_string(image->id)) < 0 ||
		      create_layers(spec, image) < 0))
		return err_set(err, ENOMEM, "new instance");
	if (manager->host[0])
		r = machine_host_network(manager, spec, image != NULL, err);
	r = r < 0 ? r : create_defaults(spec, config, image_config, id, engine, err);
	if (r == 0)
		r = create_health(spec, json_object_get(config, "health"),
				  json_object_get(image_config, "config"), err);
	if (r == 0 && engine->machines)
		r = machine_ask(spec, config, image != NULL, err);
	if (r == 0 && manager->host[0])
		r = machine_on_host(manager, spec, err);
	if (r == 0 && engine->machines)
		r = machine_find_volumes(manager, spec, err);
	if (r == 0)
		r = create_caps(spec, config, engine->machines, err);
	if (r == 0)
		r = manager_check_cpus(json_object_get(spec, "limits"), err);
	if (r == 0)
		r = create_check_engine(manager, engine, spec, config, image != NULL, err);
	if (r == 0)
		r = create_check_ports(spec, err);
	if (r == 0)
		r = create_mounts(manager, spec, config, image_config, engine->machines, err);
	if (r == 0 && engine->machines)
		r = machine_check_disks(manager, spec, err);
	return r == 0 ? create_check_devices(spec, err) : r;
}

/* An instance of an image, or of a kernel alone. */
static int create_record(struct manager *manager, const json_t *config, const struct image *image,
			 struct instance *created, json_t *spec, struct err *err)
{
	int r = create_build(manager, config, image, created->id, spec, err);

	if (r == 0)
		r = create_name_and_insert(manager, spec, config, created->id,
					   image ? image->id : NULL, created->created_ns, err);
	if (r < 0)
		create_undo_volumes(manager, spec);
	return r;
}

int manager_create(struct manager *manager, const json_t *config, struct instance *ret,
		   struct err *err)
{
	struct image image = { 0 };
	struct instance created = { .state = INSTANCE_CREATED, .created_ns = clock_real_ns() };
	const char *ref = json_str(config, "image", NULL);
	int r = create_id(created.id, err);

	if (r == 0 && ref)
		r = image_find(&manager->store, ref, &image, err);
	if (r < 0)
		return r;
	AUTO(json_decref_p) json_t *spec = json_object();
	r = create_record(manager, config, ref ? &image : NULL, &created, spec, err);
	image_fini(&image);
	if (r < 0)
		return r;
	created.name = strdup(json_str(spec, "name", ""));
	created.error = strdup("");
	created.spec = TAKE(spec);
	if (!created.name || !created.error) {
		instance_fini(&created);
		return err_set(err, ENOMEM, "new instance");
	}
	event_add(manager, "create", &created, NULL, 0);
	*ret = created;
	return 0;
}
