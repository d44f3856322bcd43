/* SPDX-License-Identifier: Apache-2.0 */
/* The mounts and volumes of a new instance: those asked for, and those that its image asks for. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/os/file.h"
#include "base/os/json.h"
#include "manager/create.h"
#include "manager/machine.h"
#include "storage/volume.h"

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

int create_mounts(struct manager *manager, json_t *spec, const json_t *config,
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

/* Whatever volumes were made for an instance that could not be recorded. */
void create_undo_volumes(struct manager *manager, const json_t *spec)
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

int create_stand_ins(struct manager *manager, json_t *copy, const json_t *config)
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
