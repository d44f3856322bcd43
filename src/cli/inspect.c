/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/core/macros.h"
#include "base/os/json.h"
#include "base/os/log.h"
#include "cli/flags.h"
#include "cli/image.h"
#include "cli/inspect.h"
#include "cli/network.h"
#include "cli/ports.h"
#include "cli/table.h"
#include "cli/verb.h"
#include "cli/verbs.h"
#include "cli/volume.h"
#include "network/network.h"

static const struct opt inspect_opts[] = {
	{ 0, OPT_TEXT, "type", "TYPE", "instance, image, volume, network (default: any)" },
	OPT_INSPECT_FORMAT,
	{ 0 },
};

static json_t *inspect_state(const struct instance *instance)
{
	return json_pack("{s:s, s:i, s:i, s:i, s:b, s:i, s:b, s:s, s:o, s:o}", "status",
			 instance_state_name(instance->state), "pid", (int)instance->pid,
			 "monitor_pid", (int)instance->monitor, "exit_code", instance->exit_code,
			 "oom_killed", instance->oom_killed, "restarts", (int)instance->restarts,
			 "stopped_by_user", instance->stopped_by_user, "error",
			 instance->error ? instance->error : "", "started",
			 verb_time(instance->started_ns), "finished",
			 verb_time(instance->finished_ns));
}

/* the address belongs to the running instance: the spec need not hold it */
static int inspect_address(struct manager *manager, const struct instance *instance, json_t *object,
			   struct err *err)
{
	json_t *network = json_object_get(object, "network");
	char address[16] = "";

	if (!json_is_object(network) || strcmp(json_str(network, "mode", ""), "bridge") != 0)
		return 0;
	int r = network_address(&manager->store, instance->id, address, err);
	return r < 0 ? r : flag_set(network, "address", json_string(address), err);
}

/* and so does the host's port that was chosen for it */
static int inspect_ports(struct manager *manager, const struct instance *instance, json_t *object,
			 struct err *err)
{
	AUTO(ports_fini) struct ports ports = { 0 };

	int r = ports_load(manager, instance->id, &ports, err);
	return r < 0 || !ports.n ? r
				 : flag_set(object, "ports", ports_json(&ports, instance->id), err);
}

/* KVM, or the software CPU: the spec does not say, the host does */
static int inspect_cpu(const struct instance *instance, json_t *object, struct err *err)
{
	const char *cpu = manager_cpu(instance);

	return cpu ? flag_set(json_object_get(object, "vm"), "cpu", json_string(cpu), err) : 0;
}

/* what its own check says; the spec's "health" is how it is made */
static int inspect_health(struct manager *manager, const struct instance *instance, json_t *object,
			  struct err *err)
{
	json_t *health = manager_health(manager, instance);

	return health ? flag_set(json_object_get(object, "state"), "health", health, err) : 0;
}

static int inspect_instance(struct cli *cli, const char *ref, json_t **ret, struct err *err)
{
	AUTO(instance_fini) struct instance instance = { 0 };
	struct manager *manager;

	int r = verb_find(cli, ref, &manager, &instance, err);
	if (r < 0)
		return r;
	AUTO(json_decref_p) json_t *object = json_deep_copy(instance.spec);
	if (!object)
		return err_set(err, ENOMEM, "inspect %s", ref);
	r = flag_set(object, "id", json_string(instance.id), err);
	r = r < 0 ? r : flag_set(object, "name", json_string(instance.name), err);
	r = r < 0 ? r : flag_set(object, "created", verb_time(instance.created_ns), err);
	r = r < 0 ? r : flag_set(object, "state", inspect_state(&instance), err);
	r = r < 0 ? r : inspect_health(manager, &instance, object, err);
	r = r < 0 ? r : inspect_address(manager, &instance, object, err);
	r = r < 0 ? r : inspect_cpu(&instance, object, err);
	r = r < 0 ? r : inspect_ports(manager, &instance, object, err);
	if (r < 0)
		return r;
	*ret = TAKE(object);
	return 0;
}

static const struct {
	const char *type;
	int (*inspect)(struct cli *cli, const char *ref, json_t **ret, struct err *err);
} inspect_types[] = {
	{ "instance", inspect_instance },
	{ "image", image_inspect },
	{ "volume", volume_inspect },
	{ "network", network_inspect },
};

/* type NULL: the first that has it */
static int inspect_any(struct cli *cli, const char *type, const char *ref, json_t **ret,
		       struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(inspect_types); i++) {
		if (type && strcmp(type, inspect_types[i].type) != 0)
			continue;
		int r = inspect_types[i].inspect(cli, ref, ret, err);
		if (r != -ENOENT || type)
			return r;
	}
	if (type)
		return err_say(
			err, EINVAL,
			"--type: '%s' is not known; write instance, image, volume or network",
			type);
	return err_say(err, ENOENT, "no instance, image, volume or network is called '%s'", ref);
}

int inspect_all(struct cli *cli, const struct args *args, const char *type, struct err *err)
{
	AUTO(json_decref_p) json_t *all = json_array();
	const char *format = args_text(args, "format", "json");
	bool failed = false;

	if (strcmp(format, "json") != 0)
		return err_say(err, EINVAL,
			       "--format takes json only; pick members with jq, as in "
			       "strata inspect NAME | jq '.[0].state.pid'");
	for (int i = 0; i < args->argc; i++) {
		AUTO(json_decref_p) json_t *object = NULL;
		*err = (struct err){ 0 };
		int r = inspect_any(cli, type, args->argv[i], &object, err);
		r = r < 0 ? r : verb_row(all, TAKE(object), err);
		if (r == -EINVAL)
			return r;
		if (r < 0) {
			failed = true;
			log_error(err);
		}
	}
	int r = print_json(all, err);
	return r < 0 ? r : failed ? EXIT_STRATA : 0;
}

static int inspect_run(struct cli *cli, const struct args *args, struct err *err)
{
	return inspect_all(cli, args, args_text(args, "type", NULL), err);
}

const struct cmd cmd_inspect = {
	.name = "inspect",
	.operands = "NAME...",
	.summary = "Tell all about anything",
	.notes = "Prints a JSON array with an object for each name: the spec, and what became of\n"
		 "it in \"state\". strata(1) explains the members.",
	.opts = inspect_opts,
	.min_operands = 1,
	.max_operands = -1,
	.run = inspect_run,
};
