/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/run_config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "base/core/macros.h"
#include "base/os/clock.h"
#include "base/os/json.h"
#include "cli/flags.h"

#define RUN_ROOT_MIN (INT64_C(16) << 20) /* bytes: docs/spec.md, root_bytes */

struct run_member {
	const char *opt;    /* "volume" */
	const char *member; /* "mounts" */
	flag_fn read;	    /* for lists */
};

static int run_texts(const struct args *args, json_t *config, struct err *err)
{
	static const struct run_member members[] = {
		{ "name", "name", NULL },
		{ "user", "user", NULL },
		{ "workdir", "cwd", NULL },
		{ "hostname", "hostname", NULL },
		{ "cgroup-parent", "cgroup_parent", NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		const char *text = args_text(args, members[i].opt, NULL);
		int r = text ? flag_set(config, members[i].member, json_string(text), err) : 0;
		if (r < 0)
			return r;
	}
	const char *cwd = args_text(args, "workdir", "/");
	if (cwd[0] != '/')
		return err_say(err, EINVAL, "--workdir: '%s' is not absolute", cwd);
	const char *entry = args_text(args, "entrypoint", NULL);
	if (!entry)
		return 0;
	return flag_set(config, "entrypoint", *entry ? json_pack("[s]", entry) : json_array(), err);
}

static int run_switches(const struct args *args, json_t *config, struct err *err)
{
	static const struct run_member members[] = {
		{ "interactive", "stdin_open", NULL },
		{ "tty", "tty", NULL },
		{ "rm", "remove", NULL },
		{ "read-only", "read_only", NULL },
		{ "init", "init", NULL },
		{ "privileged", "privileged", NULL },
		{ "system", "system", NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		if (!args_given(args, members[i].opt))
			continue;
		int r = flag_set(config, members[i].member,
				 json_boolean(args_on(args, members[i].opt)), err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* each value of one repeated flag into the member, which may exist: -v and --mount share one */
static int run_list(const struct args *args, const struct run_member *m, bool object, json_t *into,
		    struct err *err)
{
	const struct args_value *value = args_list(args, m->opt);
	char flag[32] = "--";

	if (!value->count)
		return 0;
	strncat(flag, m->opt, sizeof(flag) - 3);
	json_t *list = json_object_get(into, m->member);
	if (!list) {
		int r = flag_set(into, m->member, object ? json_object() : json_array(), err);
		if (r < 0)
			return r;
		list = json_object_get(into, m->member);
	}
	for (unsigned i = 0; i < value->count; i++) {
		int r = m->read(value->texts[i], flag, list, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int run_lists(const struct args *args, json_t *config, struct err *err)
{
	/* files come first, so that a single value given beside them wins */
	static const struct run_member arrays[] = {
		{ "env-file", "env", flag_env_file },  { "env", "env", flag_env },
		{ "volume", "mounts", flag_volume },   { "mount", "mounts", flag_mount },
		{ "tmpfs", "mounts", flag_tmpfs },     { "publish", "ports", flag_publish },
		{ "device", "devices", flag_device },  { "ulimit", "ulimits", flag_ulimit },
		{ "uidmap", "uid_map", flag_idmap },   { "gidmap", "gid_map", flag_idmap },
		{ "cap-add", "cap_add", flag_plain },  { "cap-drop", "cap_drop", flag_plain },
		{ "group-add", "groups", flag_plain },
	};
	static const struct run_member objects[] = {
		{ "label-file", "labels", flag_label_file },
		{ "label", "labels", flag_label },
		{ "log-opt", "log", flag_log_opt },
		{ "time-offset", "time_offsets", flag_time_offset },
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(arrays); i++)
		r = run_list(args, &arrays[i], false, config, err);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(objects); i++)
		r = run_list(args, &objects[i], true, config, err);
	const struct args_value *value = args_list(args, "security-opt");
	for (unsigned i = 0; r == 0 && i < value->count; i++)
		r = flag_security_opt(value->texts[i], "--security-opt", config, err);
	return r;
}

static int run_limits(const struct args *args, json_t *config, struct err *err)
{
	AUTO(json_decref_p) json_t *limits = json_object();

	if (!limits)
		return err_set(err, ENOMEM, "read the flags");
	int r = flag_limits(args, false, limits, err);
	if (r < 0 || !json_object_size(limits))
		return r;
	return flag_set(config, "limits", TAKE(limits), err);
}

static int run_network(const struct args *args, json_t *config, struct err *err)
{
	static const struct run_member aliases = { "network-alias", "aliases", flag_plain };
	const char *name = args_text(args, "network", NULL);
	const char *ip = args_text(args, "ip", NULL);
	bool alone =
		name && (!strcmp(name, "none") || !strcmp(name, "host") || !strcmp(name, "passt"));
	struct in_addr address;

	if (!name && !ip && !args_given(args, "network-alias"))
		return 0;
	if (name && !*name)
		return err_say(err, EINVAL, "--network: the name is empty");
	if (alone && (ip || args_given(args, "network-alias")))
		return err_say(err, EINVAL,
			       "--network %s leaves no place for --ip and --network-alias", name);
	if (ip && inet_pton(AF_INET, ip, &address) != 1)
		return err_say(err, EINVAL, "--ip: '%s' is not an IPv4 address", ip);

	AUTO(json_decref_p) json_t *network = json_pack("{s:s}", "mode", alone ? name : "bridge");
	if (!network)
		return err_set(err, ENOMEM, "read the flags");
	int r = name && !alone ? flag_set(network, "network", json_string(name), err) : 0;
	r = r < 0 || !ip ? r : flag_set(network, "ip", json_string(ip), err);
	r = r < 0 ? r : run_list(args, &aliases, false, network, err);
	return r < 0 ? r : flag_set(config, "network", TAKE(network), err);
}

/* whether this build has it, and whether it runs here, is the manager's to say */
static int run_virt(const struct args *args, json_t *config, struct err *err)
{
	static const char *const names[] = { "auto", "os-level", "hosted", "hybrid", "bare-metal" };
	const char *virt = args_text(args, "virt", NULL);

	for (size_t i = 0; virt && i < ARRAY_SIZE(names); i++) {
		if (!strcmp(virt, names[i]))
			return flag_set(config, "virt", json_string(virt), err);
	}
	return !virt ? 0
		     : err_say(err, EINVAL,
			       "--virt: '%s' is not an architecture; write auto, os-level, hosted, "
			       "hybrid or bare-metal",
			       virt);
}

/* A user namespace takes both: who says one means the other so, too. */
static int run_idmaps(json_t *config, struct err *err)
{
	const json_t *uid = json_object_get(config, "uid_map");
	const json_t *gid = json_object_get(config, "gid_map");

	if (!uid == !gid)
		return 0;
	return flag_set(config, uid ? "gid_map" : "uid_map", json_deep_copy(uid ? uid : gid), err);
}

static int run_userns(const struct args *args, json_t *config, struct err *err)
{
	const char *userns = args_text(args, "userns", NULL);
	bool mapped = args_given(args, "uidmap") || args_given(args, "gidmap");

	if (!userns)
		return run_idmaps(config, err);
	if (strcmp(userns, "host") != 0 && strcmp(userns, "auto") != 0)
		return err_say(err, EINVAL, "--userns: '%s' is not known; write host or auto",
			       userns);
	if (mapped)
		return err_say(err, EINVAL,
			       "--userns %s and --uidmap or --gidmap exclude each other", userns);
	return flag_set(config, "userns", json_string(userns), err);
}

/* how and when it ends */
static int run_end(const struct args *args, json_t *config, struct err *err)
{
	const char *signal = args_text(args, "stop-signal", NULL);
	const char *timeout = args_text(args, "stop-timeout", NULL);
	const char *restart = args_text(args, "restart", NULL);
	int64_t seconds;
	int number, r = 0;

	if (signal) {
		r = args_signal(signal, "--stop-signal", &number, err);
		r = r < 0 ? r : flag_set(config, "stop_signal", json_integer(number), err);
	}
	if (r == 0 && timeout) {
		r = args_int(timeout, "--stop-timeout", 0, 86400, &seconds, err);
		r = r < 0 ? r
			  : flag_set(config, "stop_timeout_ms", json_integer(seconds * 1000), err);
	}
	if (r < 0 || !restart)
		return r;
	if (args_on(args, "rm") && strcmp(restart, "no") != 0)
		return err_say(err, EINVAL, "--rm and --restart %s exclude each other", restart);
	r = flag_set(config, "restart", json_object(), err);
	return r < 0 ? r
		     : flag_restart(restart, "--restart", json_object_get(config, "restart"), err);
}

static int run_operands(const struct args *args, json_t *config, struct err *err)
{
	bool kernel = args_given(args, "kernel");

	if (!args->argc && kernel)
		return 0; /* nothing but a kernel */
	if (!args->argc)
		return err_say(err, EINVAL, "IMAGE is missing (or --kernel FILE)");
	int r = flag_set(config, "image", json_string(args->argv[0]), err);

	if (r < 0 || args->argc == 1)
		return r;
	r = flag_set(config, "args", json_array(), err);
	for (int i = 1; r == 0 && i < args->argc; i++)
		r = flag_append(json_object_get(config, "args"), json_string(args->argv[i]), err);
	return r;
}

/* JSON holds nothing else, and jansson does not say which text it refuses */
static int run_utf8(const struct args *args, struct err *err)
{
	for (int i = 0; i < args->argc; i++) {
		if (!flag_is_utf8(args->argv[i]))
			return err_say(err, EINVAL, "'%s' is not valid UTF-8", args->argv[i]);
	}
	for (unsigned i = 0; args->opts[i].name; i++) {
		const struct args_value *value = &args->values[i];
		for (unsigned k = 0; value->texts && k < value->count; k++) {
			if (!flag_is_utf8(value->texts[k]))
				return err_say(err, EINVAL, "--%s '%s' is not valid UTF-8",
					       args->opts[i].name, value->texts[k]);
		}
	}
	return 0;
}

int run_config(const struct args *args, json_t **ret, struct err *err)
{
	static int (*const parts[])(const struct args *, json_t *, struct err *) = {
		run_operands, run_texts,  run_switches, run_lists, run_limits,	run_network,
		run_virt,     run_userns, run_end,	flag_vm,   flag_health,
	};
	const char *shm = args_text(args, "shm-size", NULL);
	const char *root = args_text(args, "root-size", NULL);
	int64_t bytes;

	int r = run_utf8(args, err);
	if (r < 0)
		return r;
	AUTO(json_decref_p) json_t *config = json_object();
	if (!config)
		return err_set(err, ENOMEM, "read the flags");
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(parts); i++)
		r = parts[i](args, config, err);
	if (r == 0 && shm) {
		r = args_size(shm, "--shm-size", &bytes, err);
		r = r < 0 ? r : flag_set(config, "shm_bytes", json_integer(bytes), err);
	}
	if (r == 0 && root) {
		r = args_size(root, "--root-size", &bytes, err);
		if (r == 0 && bytes < RUN_ROOT_MIN)
			return err_say(err, EINVAL, "--root-size must be at least 16m, not %s",
				       root);
		r = r < 0 ? r : flag_set(config, "root_bytes", json_integer(bytes), err);
	}
	if (r < 0)
		return r;
	*ret = TAKE(config);
	return 0;
}
