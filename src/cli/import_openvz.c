/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/core/macros.h"
#include "base/os/file.h"
#include "base/os/json.h"
#include "cli/flags.h"
#include "cli/verb.h"
#include "cli/verbs.h"
#include "manager/openvz.h"
#include "storage/image.h"

static const struct opt import_openvz_opts[] = {
	{ 0, OPT_TEXT, "name", "NAME", "call it so (default: its NAME, or ctCTID)" },
	{ 0, OPT_TEXT, "network", "NAME", "where it gets its IP_ADDRESS" },
	{ 0, OPT_SWITCH, "dry-run", NULL, "only say what would be taken over" },
	{ 0 },
};

/* Scripts beside it that vzctl would run. */
static const char *const import_scripts[] = { "mount",	    "umount", "premount",
					      "postumount", "start",  "stop" };

/* "/etc/vz/conf/101.conf" to "/etc/vz/conf/101"; -EINVAL where that is no such name. */
static int import_stem(const char *path, char ret[4096], struct err *err)
{
	size_t len = strlen(path);

	if (len < 6 || len >= 4096 || strcmp(path + len - 5, ".conf") != 0)
		return err_say(err, EINVAL, "%s: not a file CTID.conf", path);
	(void)snprintf(ret, 4096, "%.*s", (int)(len - 5), path); /* fits */
	return 0;
}

static int import_names(const struct args *args, const char *stem, json_t *config, struct err *err)
{
	const char *name = args_text(args, "name", NULL);
	const char *slash = strrchr(stem, '/');
	char text[80];

	if (!name && json_object_get(config, "name"))
		return 0;
	(void)snprintf(text, sizeof(text), "ct%.60s", slash ? slash + 1 : stem); /* fits */
	return flag_set(config, "name", json_string(name ? name : text), err);
}

static void import_print(const json_t *report, const char *stem)
{
	const json_t *one;
	size_t i;

	for (int taken = 1; taken >= 0; taken--) {
		json_array_foreach(report, i, one)
		{
			if (json_bool(one, "taken", false) == taken)
				(void)printf("%-14s %s=%s: %s\n",
					     taken ? "taken over" : "not taken over",
					     json_str(one, "name", ""), json_str(one, "value", ""),
					     json_str(one, "note", ""));
		}
	}
	for (i = 0; i < ARRAY_SIZE(import_scripts); i++) {
		char path[4128];
		(void)snprintf(path, sizeof(path), "%s.%s", stem, import_scripts[i]); /* fits */
		if (access(path, F_OK) == 0)
			(void)printf(
				"not taken over %s: a script, which is not executed: what it mounts "
				"is for --volume or --mount\n",
				path);
	}
}

/* The template becomes an image of the instance's name. */
static int import_template(struct manager *manager, const char *source, json_t *config,
			   struct err *err)
{
	AUTO(image_fini) struct image image = { 0 };
	char tag[128];
	struct import_opts opts = { .tag = tag };
	int n = snprintf(tag, sizeof(tag), "openvz-%s", json_str(config, "name", ""));

	for (char *c = tag; n > 0 && *c; c++) /* an image's name has no capitals */
		*c = *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c;
	int r = image_import(&manager->store, source, &opts, &image, err);
	return r < 0 ? r : flag_set(config, "image", json_string(image.id), err);
}

static int import_read(const char *path, const struct openvz_host *host, json_t **ret_config,
		       json_t **ret_report, struct err *err)
{
	AUTO(buf_fini) struct buf text = { 0 };
	AUTO(json_decref_p) json_t *conf = NULL;
	int r = file_read(AT_FDCWD, path, OPENVZ_CONF_MAX, &text);

	if (r < 0)
		return err_set(err, -r, "%s", path);
	r = openvz_parse(buf_str(&text), text.len, &conf, err);
	if (r == 0)
		r = openvz_config(conf, host, ret_config, ret_report, err);
	return r < 0 ? err_wrap(err, "%s", path) : 0;
}

static int import_openvz_run(struct cli *cli, const struct args *args, struct err *err)
{
	AUTO(instance_fini) struct instance instance = { 0 };
	AUTO(json_decref_p) json_t *config = NULL;
	AUTO(json_decref_p) json_t *report = NULL;
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	const struct openvz_host host = { .cpus = cpus > 0 ? (unsigned)cpus : 1,
					  .network = args_text(args, "network", NULL) };
	struct manager *manager;
	char stem[4096];

	int r = import_stem(args->argv[0], stem, err);
	if (r == 0)
		r = import_read(args->argv[0], &host, &config, &report, err);
	if (r == 0)
		r = import_names(args, stem, config, err);
	if (r == 0 && !args_on(args, "dry-run")) {
		r = cli_manager(cli, &manager, err);
		if (r == 0 && args->argc > 1)
			r = import_template(manager, args->argv[1], config, err);
		if (r == 0 && !json_object_get(config, "image"))
			r = err_say(err, EINVAL, "%s: no OSTEMPLATE, and no template was given",
				    args->argv[0]);
		if (r == 0)
			r = manager_create(manager, config, &instance, err);
		if (r == 0)
			(void)puts(instance.id); /* main() looks at ferror(stdout) */
	}
	if (r == 0)
		import_print(report, stem);
	return r;
}

const struct cmd cmd_import_openvz = {
	.name = "import-openvz",
	.operands = "CTID.conf [TEMPLATE]",
	.summary = "Take over OpenVZ's",
	.opts = import_openvz_opts,
	.min_operands = 1,
	.max_operands = 2,
	.run = import_openvz_run,
};
