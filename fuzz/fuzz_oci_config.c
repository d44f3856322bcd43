/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "oci/unit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The parts that other verbs read by themselves: what was fine in the whole is fine alone. */
static void again(struct config *config)
{
	struct err err = { 0 };
	json_t *process = json_object_get(config->json, "process");
	json_t *linux_part = json_object_get(config->json, "linux");
	json_t *resources = json_object_get(linux_part, "resources");

	if (json_is_object(resources) && config_update(config, resources, &err) < 0)
		abort();
	if (config->has_process && config_process(config, process, &err) < 0)
		abort();
	if (!config->bundle.process.args[0])
		abort();
}

/* What systemd would be told: a unit below its slice, and properties, or one line. */
static void as_unit(const struct config *config)
{
	struct err err = { 0 };
	struct unit unit;
	char group[256];

	int r = unit_parse(config->cgroups_path, "id", false, &unit, &err);
	if (r == 0 && unit_group(&unit, group, sizeof(group)) == 0 &&
	    (!group[0] || group[0] == '/' || strstr(group, "..") == group || strstr(group, "/.")))
		abort();
	json_t *list = r < 0 ? NULL : unit_start_properties("id", 1, config, &err);
	if (!list && (!err.text[0] || strchr(err.text, '\n')))
		abort();
	json_decref(list);
}

/* What was accepted keeps the promises of bundle.h; what was not has one line that says why. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config config;
	struct err err = { 0 };
	int r = config_parse((const char *)data, size, "/bundle", "id", &config, &err);

	if (r < 0 && (!err.text[0] || strchr(err.text, '\n')))
		abort();
	if (r == 0) {
		const struct bundle *bundle = &config.bundle;
		if (!bundle->root || bundle->root[0] != '/' || !bundle->process.args[0] ||
		    bundle->process.cwd[0] != '/' || !bundle->cgroup[0] || bundle->cgroup[0] == '/')
			abort();
		for (size_t i = 0; i < bundle->n_mounts; i++) {
			const struct bundle_mount *mount = &bundle->mounts[i];
			if (mount->target[0] != '/' || (!mount->type && mount->source[0] != '/') ||
			    strstr(mount->target, "/../"))
				abort();
		}
		for (size_t i = 0; i < bundle->n_devices; i++) {
			if (bundle->devices[i].path[0] != '/' || !bundle->devices[i].path[1])
				abort();
		}
		as_unit(&config);
		again(&config);
	}
	config_fini(&config);
	return 0;
}
