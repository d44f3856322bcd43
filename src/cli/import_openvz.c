/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/core/macros.h"
#include "base/os/fd.h"
#include "base/os/file.h"
#include "base/os/json.h"
#include "cli/flags.h"
#include "cli/image_use.h"
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

/* A script is not executed; what it plainly binds is said in the words of --volume. */
static void import_script(const char *stem, const char *kind)
{
	AUTO(buf_fini) struct buf text = { 0 };
	AUTO(json_decref_p) json_t *binds = NULL;
	const json_t *bind;
	char path[4128];
	size_t i;

	(void)snprintf(path, sizeof(path), "%s.%s", stem, kind); /* fits */
	if (access(path, F_OK) < 0)
		return;
	(void)printf("not taken over %s: a script, which is not executed", path);
	if (file_read(AT_FDCWD, path, OPENVZ_CONF_MAX, &text) == 0 &&
	    openvz_binds(buf_str(&text), text.len, &binds, NULL) == 0) {
		json_array_foreach(binds, i, bind)(void) printf(
			"%s--volume %s", i ? ", " : "; what it binds is ", json_string_value(bind));
	}
	(void)puts(json_array_size(binds) ? "" : ": what it mounts is for --volume or --mount");
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
	for (i = 0; i < ARRAY_SIZE(import_scripts); i++)
		import_script(stem, import_scripts[i]);
}

/* An image that a template has become. */
struct imported {
	char tag[128];
	char id[DIGEST_HEX + 1];     /* "": none has been made */
	char before[DIGEST_HEX + 1]; /* which had the tag, or "" */
};

/* The template becomes an image of the instance's name. */
static int import_template(struct manager *manager, const char *source, json_t *config,
			   struct imported *ret, struct err *err)
{
	AUTO(image_fini) struct image image = { 0 };
	AUTO(image_fini) struct image before = { 0 };
	struct import_opts opts = { .tag = ret->tag };
	int n = snprintf(ret->tag, sizeof(ret->tag), "openvz-%s", json_str(config, "name", ""));

	for (char *c = ret->tag; n > 0 && *c; c++) /* an image's name has no capitals */
		*c = *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c;
	if (image_find(&manager->store, ret->tag, &before, NULL) == 0)
		memcpy(ret->before, before.id, sizeof(ret->before));
	int r = image_import(&manager->store, source, &opts, &image, err);
	if (r < 0)
		return r;
	memcpy(ret->id, image.id, sizeof(ret->id));
	return flag_set(config, "image", json_string(image.id), err);
}

/* The first error is the one to tell: what cannot be undone stays, as an image that `strata image rm` removes. */
static void import_undo(struct manager *manager, const struct imported *made)
{
	AUTO(image_use_p) char **in_use = NULL;
	const bool again = !strcmp(made->id, made->before);

	if (!made->id[0] || again || image_in_use(manager, &in_use, NULL) < 0)
		return;
	if (made->before[0])
		(void)image_tag(&manager->store, made->before, made->tag, NULL);
	(void)image_remove(&manager->store, made->before[0] ? made->id : made->tag, false,
			   (const char *const *)in_use, NULL);
}

static int import_make(struct cli *cli, const struct args *args, json_t *config,
		       struct instance *ret, struct err *err)
{
	struct imported made = { .id = "" };
	struct manager *manager;
	int r = cli_manager(cli, &manager, err);

	if (r < 0)
		return r;
	if (args->argc > 1)
		r = import_template(manager, args->argv[1], config, &made, err);
	if (r == 0 && !json_object_get(config, "image"))
		r = err_say(err, EINVAL, "%s: no OSTEMPLATE, and no template was given",
			    args->argv[0]);
	if (r == 0)
		r = manager_create(manager, config, ret, err);
	if (r < 0)
		import_undo(manager, &made);
	return r;
}

/* The whole disk that a directory is on, or is going to be; NULL where the file system says none. */
static const char *import_disk(const char *root, char ret[64])
{
	char dir[4096], path[64], real[4096];
	struct stat st;

	(void)snprintf(
		dir, sizeof(dir), "%s",
		root ? root
		     : "/var/lib/strata"); /* base/os/store.h; a cut one is asked for in vain */
	while (stat(dir, &st) < 0 && strrchr(dir, '/') > dir)
		*strrchr(dir, '/') = '\0';
	(void)snprintf(path, sizeof(path), "/sys/dev/block/%u:%u", major(st.st_dev),
		       minor(st.st_dev)); /* fits */
	if (stat(dir, &st) < 0 || !realpath(path, real))
		return NULL;
	AUTO(fd_close_p) int dir_fd = open(real, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd >= 0 && faccessat(dir_fd, "partition", F_OK, 0) == 0 &&
	    strrchr(real, '/') > real)
		*strrchr(real, '/') = '\0';
	int n = snprintf(ret, 64, "/dev/%s", strrchr(real, '/') + 1);
	return n > 0 && n < 64 && stat(ret, &st) == 0 && S_ISBLK(st.st_mode) ? ret : NULL;
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
	char disk[64];
	const struct openvz_host host = { .cpus = cpus > 0 ? (unsigned)cpus : 1,
					  .network = args_text(args, "network", NULL),
					  .disk = import_disk(cli->root, disk) };
	char stem[4096];

	int r = import_stem(args->argv[0], stem, err);
	if (r == 0)
		r = import_read(args->argv[0], &host, &config, &report, err);
	if (r == 0)
		r = import_names(args, stem, config, err);
	if (r == 0 && !args_on(args, "dry-run")) {
		r = import_make(cli, args, config, &instance, err);
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
