/* SPDX-License-Identifier: Apache-2.0 */
/* A new instance: put together (create_spec.c, create_mounts.c), checked, named, recorded. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/os/clock.h"
#include "base/os/fd.h"
#include "base/os/idspace.h"
#include "base/os/json.h"
#include "engines/rates.h"
#include "manager/create.h"
#include "manager/machine.h"
#include "manager/private.h"
#include "manager/userns.h"
#include "storage/image.h"
#include "storage/volume.h"

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
