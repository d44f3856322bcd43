/* SPDX-License-Identifier: Apache-2.0 */
/* features.md of the specification: what this build does, wherever it runs. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/os/json.h"
#include "engines/caps.h"
#include "oci/oci.h"
#include "oci/vm.h"

static const struct opt features_opts[] = { { 0 } };

static const char *const features_namespaces[] = { "cgroup", "ipc",  "mount", "network", "pid",
						   "time",   "user", "uts",   NULL };
static const char *const features_actions[] = { "SCMP_ACT_ALLOW",  "SCMP_ACT_ERRNO",
						"SCMP_ACT_KILL",   "SCMP_ACT_KILL_PROCESS",
						"SCMP_ACT_LOG",	   "SCMP_ACT_KILL_THREAD",
						"SCMP_ACT_NOTIFY", "SCMP_ACT_TRACE",
						"SCMP_ACT_TRAP",   NULL };
static const char *const features_operators[] = { "SCMP_CMP_EQ", "SCMP_CMP_GE",
						  "SCMP_CMP_GT", "SCMP_CMP_LE",
						  "SCMP_CMP_LT", "SCMP_CMP_MASKED_EQ",
						  "SCMP_CMP_NE", NULL };

/* Of a config.json: they change what is run, and how. One that ends in a point stands for all that begin so. */
static const char *const features_unsafe[] = { VM_ANNOTATION, "org.systemd.property.", NULL };

static json_t *features_words(const char *const *words)
{
	json_t *list = json_array();

	for (; list && *words; words++)
		(void)json_array_append_new(list,
					    json_string(*words)); /* memory: seen at the end */
	return list;
}

static json_t *features_caps(void)
{
	json_t *list = json_array();

	for (unsigned cap = 0; list && caps_name(cap); cap++)
		(void)json_array_append_new(list, json_string(caps_name(cap)));
	return list;
}

static void features_option(void *list, const char *name)
{
	(void)json_array_append_new(list, json_string(name));
}

static json_t *features_options(void)
{
	json_t *list = json_array();

	if (list)
		config_mount_options(features_option, list);
	return list;
}

static json_t *features_memory(bool modes)
{
	json_t *list = json_array();

	for (unsigned i = 0; list && config_memory_word(modes, i); i++)
		(void)json_array_append_new(list, json_string(config_memory_word(modes, i)));
	return list;
}

static json_t *features_flags(void)
{
	json_t *list = json_array();

	for (const struct config_flag *flag = config_seccomp_flags; list && flag->name; flag++)
		(void)json_array_append_new(list, json_string(flag->name));
	return list;
}

/* Labels are applied wherever the kernel takes them: what this build can, not what this host has. */
static json_t *features_linux(void)
{
	json_t *seccomp = json_pack("{s:b, s:o, s:o, s:o, s:o}", "enabled", 1, "actions",
				    features_words(features_actions), "operators",
				    features_words(features_operators), "knownFlags",
				    features_flags(), "supportedFlags", features_flags());

	return json_pack("{s:o, s:o, s:{s:b, s:b, s:b, s:b, s:b}, s:o, s:{s:b}, s:{s:b}, s:{s:b}, "
			 "s:{s:{s:b}}, s:{s:b}, s:{s:o, s:o}}",
			 "namespaces", features_words(features_namespaces), "capabilities",
			 features_caps(), "cgroup", "v1", 1, "v2", 1, "systemd", 1, "systemdUser",
			 1, "rdma", 1, "seccomp", seccomp, "apparmor", "enabled", 1, "selinux",
			 "enabled", 1, "intelRdt", "enabled", 0, "mountExtensions", "idmap",
			 "enabled", 1, "netDevices", "enabled", 0, "memoryPolicy", "modes",
			 features_memory(true), "flags", features_memory(false));
}

static int features(const struct oci *oci, const struct args *args, struct err *err)
{
	(void)oci;
	(void)args;
	AUTO(json_decref_p)
	json_t *json = json_pack(
		"{s:s, s:s, s:o, s:o, s:o, s:o, s:{s:s, s:s}}", "ociVersionMin", "1.0.0",
		"ociVersionMax", CONFIG_VERSION, "hooks", features_words(hook_names),
		"mountOptions", features_options(), "potentiallyUnsafeConfigAnnotations",
		features_words(features_unsafe), "linux", features_linux(), "annotations",
		"io.strata.version", STRATA_VERSION, VM_ANNOTATION, "auto,os-level,hosted,hybrid");
	char *text = json ? json_text(json, 2) : NULL;

	if (!text)
		return err_set(err, ENOMEM, "features");
	(void)puts(text); /* main looks at the stream's end */
	free(text);
	return 0;
}

const struct verb oci_verb_features = {
	.name = "features",
	.operands = "",
	.summary = "print what this runtime can do, as JSON",
	.opts = features_opts,
	.run = features,
};
