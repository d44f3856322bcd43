/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/machine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os/json.h"
#include "manager/private.h"
#include "network/network.h"
#include "storage/ext4.h"
#include "storage/image.h"
#include "storage/initramfs.h"
#include "storage/kernel.h"
#include "storage/rootdisk.h"
#include "storage/volume.h"

#define MACHINE_PAGE	      4096
#define MACHINE_UPPER_BYTES   (INT64_C(16) << 30) /* sparse: what is not written takes no room */
#define MACHINE_UPPER_JOURNAL 16 /* MiB: mke2fs would write eight times that for the disk's size */

/* What is said to a kernel before what the user has to say to it. */
#define MACHINE_APPEND "console=ttyS0 quiet panic=-1 reboot=t"

static void machine_text_p(char **text)
{
	free(*text);
	*text = NULL;
}

/* --cpus 1.5 needs two vcpus, which the cgroup holds to 1.5. */
static json_int_t machine_vcpus(const json_t *limits)
{
	int64_t quota = json_int(limits, "cpu_quota_us", 0);
	int64_t period = json_int(limits, "cpu_period_us", 0);

	return quota > 0 && period > 0 ? (quota + period - 1) / period : 1;
}

int machine_ask(json_t *spec, const json_t *config, bool image, struct err *err)
{
	const json_t *limits = json_object_get(config, "limits");
	const json_t *asked = json_object_get(config, "vm");
	AUTO(json_decref_p)
	json_t *vm = asked ? json_copy((json_t *)(uintptr_t)asked) : json_object();
	int64_t memory = json_int(limits, "memory_bytes", 0);
	int r = vm ? 0 : -1;

	if (image) {
		r |= json_object_set_new(vm, "agent", json_true());
		r |= json_object_set_new(vm, "upper",
					 json_boolean(!json_bool(config, "read_only", false)));
	}
	if (memory) /* whole pages, as the guest sees them */
		r |= json_object_set_new(vm, "memory_bytes",
					 json_integer(memory / MACHINE_PAGE * MACHINE_PAGE));
	if (!json_object_get(vm, "vcpus"))
		r |= json_object_set_new(vm, "vcpus", json_integer(machine_vcpus(limits)));
	r |= json_object_set(spec, "vm", vm);
	return r ? err_set(err, ENOMEM, "new instance") : 0;
}

/* "hv-lab1": what a network may be called. */
static void machine_host_network_name(const struct manager *manager, char ret[64])
{
	(void)snprintf(
		ret, 64, "hv-%.60s",
		manager->host); /* cut, it may be two servers': they are two subnets in one */
	for (char *c = ret; *c; c++)
		*c = *c == '+' ? '.' : *c;
}

int machine_host_network(struct manager *manager, json_t *spec, bool image, struct err *err)
{
	const json_t *asked = json_object_get(spec, "network");
	const struct network_opts opts = { .internal = true };
	AUTO(network_fini) struct network network = { 0 };
	char name[64];

	if (asked ? strcmp(json_str(asked, "mode", ""), "bridge") != 0 : !image)
		return 0;
	if (json_str(asked, "network", NULL))
		return err_say(
			err, ENOTSUP,
			"--network %s: on a server of --host there are none, and the switch between "
			"its guests (--network bridge)",
			json_str(asked, "network", ""));
	machine_host_network_name(manager, name);
	int r = network_create(&manager->store, name, &opts, &network, err);
	if (r < 0 && r != -EEXIST)
		return r;
	json_t *ours = asked ? json_copy((json_t *)(uintptr_t)asked)
			     : json_pack("{s:s}", "mode", "bridge");
	return !ours || json_object_set_new(ours, "network", json_string(name)) ||
			       json_object_set_new(spec, "network", ours)
		       ? err_set(err, ENOMEM, "new instance")
		       : 0;
}

int machine_on_host(const struct manager *manager, json_t *spec, struct err *err)
{
	json_t *vm = json_object_get(spec, "vm");

	if (json_object_set_new(vm, "host", json_string(manager->host_socket)) ||
	    json_object_set_new(vm, "upper", json_false()))
		return err_set(err, ENOMEM, "new instance");
	return 0;
}

static int machine_find_volume(struct manager *manager, json_t *disk, const char *name,
			       struct err *err)
{
	AUTO(volume_fini) struct volume volume = { 0 };

	int r = volume_find(&manager->store, name, &volume, NULL);
	if (r == -ENOENT)
		return err_say(err, ENOENT,
			       "--disk %s: there is neither a file nor a volume of that name",
			       name);
	if (r < 0)
		return err_set(err, -r, "--disk %s", name);
	if (volume.kind == VOLUME_DIRECTORY)
		return err_say(
			err, EINVAL,
			"--disk %s: that volume is a directory; 'strata volume create --size' makes "
			"a disk",
			name);
	r = json_object_set_new(disk, "path", json_string(volume.path));
	r |= json_object_set_new(disk, "format", json_string(volume_kind_name(volume.kind)));
	return r ? err_set(err, ENOMEM, "new instance") : 0;
}

int machine_find_volumes(struct manager *manager, json_t *spec, struct err *err)
{
	json_t *vm = json_object_get(spec, "vm");
	AUTO(json_decref_p) json_t *disks = json_deep_copy(json_object_get(vm, "disks"));
	json_t *disk;
	size_t i;
	int r = 0;

	json_array_foreach(disks, i, disk)
	{
		const char *name = json_str(disk, "volume", NULL);
		if (r == 0 && name)
			r = machine_find_volume(manager, disk, name, err);
	}
	if (r == 0 && disks && json_object_set(vm, "disks", disks))
		r = err_set(err, ENOMEM, "new instance");
	return r;
}

static size_t machine_depth(const json_t *mount)
{
	const char *target = json_str(mount, "target", "");
	size_t depth = 0;

	for (; *target; target++)
		depth += target[0] == '/' && target[1] && target[1] != '/';
	return depth;
}

int machine_order_mounts(json_t *mounts, struct err *err)
{
	AUTO(json_decref_p) json_t *ordered = json_array();
	size_t deepest = 0, i;
	json_t *mount;

	json_array_foreach(mounts, i, mount)
	{
		const size_t depth = machine_depth(mount);
		deepest = depth > deepest ? depth : deepest;
	}
	for (size_t depth = 0; depth <= deepest; depth++) {
		json_array_foreach(mounts, i, mount)
		{
			if (machine_depth(mount) == depth && json_array_append(ordered, mount))
				return err_set(err, ENOMEM, "new instance");
		}
	}
	return json_array_clear(mounts) || json_array_extend(mounts, ordered)
		       ? err_set(err, ENOMEM, "new instance")
		       : 0;
}

int machine_take_volume(json_t *mount, const struct volume *volume, struct err *err)
{
	if (volume->kind == VOLUME_QCOW2)
		return err_say(
			err, ENOTSUP,
			"volume %s is a qcow2 disk: a virtual machine mounts raw ones ('strata "
			"volume create --size 1g NAME'); --disk %s gives it unmounted",
			volume->name, volume->name);
	if (volume->kind == VOLUME_RAW)
		return 0;
	return json_object_set_new(mount, "shared", json_true())
		       ? err_set(err, ENOMEM, "new instance")
		       : 0;
}

static bool machine_has_disk(const json_t *mount)
{
	return !strcmp(json_str(mount, "type", ""), "volume") && !json_bool(mount, "shared", false);
}

/* The disk of a volume that is mounted: one, in however many places, which can be written to if one of them can. */
static int machine_add_volume(json_t *disks, size_t first, const char *path, bool read_only)
{
	for (size_t i = first; i < json_array_size(disks); i++) {
		json_t *disk = json_array_get(disks, i);
		if (!strcmp(json_str(disk, "path", ""), path))
			return json_object_set_new(
				disk, "read_only",
				json_boolean(read_only && json_bool(disk, "read_only", false)));
	}
	return json_array_append_new(disks, json_pack("{s:s,s:s,s:b}", "path", path, "format",
						      "raw", "read_only", (int)read_only));
}

/* Two openings of one file or device, of which at least one is for writing. */
static bool machine_is_twice(const json_t *a, const json_t *b)
{
	struct stat one, two;

	if (json_bool(a, "read_only", false) && json_bool(b, "read_only", false))
		return false;
	if (stat(json_str(a, "path", ""), &one) < 0 || stat(json_str(b, "path", ""), &two) < 0)
		return false; /* whoever opens it has the words */
	if (S_ISBLK(one.st_mode) && S_ISBLK(two.st_mode))
		return one.st_rdev == two.st_rdev;
	return one.st_dev == two.st_dev && one.st_ino == two.st_ino;
}

static int machine_say_twice(const char *path, const char *before, struct err *err)
{
	static const char todo[] = "leave out one, or give both read-only (,ro)";

	if (!strcmp(path, before))
		return err_say(err, EBUSY, "disk %s is given twice: %s", path, todo);
	return err_say(err, EBUSY, "disk %s is given twice, also as %s: %s", path, before, todo);
}

/* Else the machine's own lock would keep itself out, and say that another machine has the disk. */
static int machine_check_twice(const json_t *disks, struct err *err)
{
	for (size_t i = 0; i < json_array_size(disks); i++) {
		const json_t *disk = json_array_get(disks, i);
		for (size_t k = 0; k < i; k++) {
			const json_t *before = json_array_get(disks, k);
			if (machine_is_twice(before, disk))
				return machine_say_twice(json_str(disk, "path", ""),
							 json_str(before, "path", ""), err);
		}
	}
	return 0;
}

int machine_check_disks(struct manager *manager, const json_t *spec, struct err *err)
{
	AUTO(json_decref_p)
	json_t *disks = json_copy(json_object_get(json_object_get(spec, "vm"), "disks"));
	size_t first = json_array_size(disks), i;
	const json_t *mount;

	if (!disks)
		return 0; /* a volume may be mounted in several places */
	json_array_foreach(json_object_get(spec, "mounts"), i, mount)
	{
		AUTO(volume_fini) struct volume volume = { 0 };
		if (!machine_has_disk(mount))
			continue;
		int r = volume_find(&manager->store, json_str(mount, "source", ""), &volume, err);
		if (r < 0)
			return r;
		if (machine_add_volume(disks, first, volume.path,
				       json_bool(mount, "read_only", false)))
			return err_set(err, ENOMEM, "new instance");
	}
	return machine_check_twice(disks, err);
}

int machine_use_volumes(struct manager *manager, const json_t *spec, const char *id,
			struct err *err)
{
	json_t *disk;
	size_t i;
	int r = 0;

	json_array_foreach(json_object_get(json_object_get(spec, "vm"), "disks"), i, disk)
	{
		const char *name = json_str(disk, "volume", NULL);
		if (r == 0 && name)
			r = volume_use(&manager->store, name, id, err);
	}
	return r;
}

/* The disk that takes what the instance writes: made before its first start, whole or not at all. */
static int machine_upper(const char *state_dir, char **ret, struct err *err)
{
	AUTO(machine_text_p) char *path = NULL;
	AUTO(machine_text_p) char *making = NULL;

	if (asprintf(&path, "%s/upper.ext4", state_dir) < 0 ||
	    asprintf(&making, "%s/upper.new", state_dir) < 0)
		return err_set(err, ENOMEM, "disk of an instance");
	if (access(path, F_OK) == 0) {
		*ret = TAKE(path);
		return 0;
	}
	(void)unlink(making); /* of a command that was killed */
	int r = ext4_make(making, MACHINE_UPPER_BYTES, MACHINE_UPPER_JOURNAL, err);
	if (r == 0 && rename(making, path) < 0)
		r = err_set(err, errno, "rename %s", making);
	if (r < 0) {
		(void)unlink(making); /* the first error is the one to report */
		return r;
	}
	*ret = TAKE(path);
	return 0;
}

struct machine_files {
	char *initramfs, *root, *upper;
};

static void machine_files_fini(struct machine_files *files)
{
	free(files->initramfs);
	free(files->root);
	free(files->upper);
}

static int machine_files(struct manager *manager, const struct instance *instance,
			 const struct kernel *kernel, bool upper, struct machine_files *files,
			 struct err *err)
{
	char state_dir[4096];
	struct image image;
	int r = image_find(&manager->store, json_str(instance->spec, "image_id", ""), &image, err);

	if (r < 0)
		return r;
	r = rootdisk_path(&manager->store, &image, &files->root, err);
	image_fini(&image);
	if (r == 0)
		r = initramfs_path(&manager->store, kernel, &files->initramfs, err);
	if (r < 0 || !upper)
		return r;
	if (instance_dir(manager, instance->id, false, state_dir) < 0)
		return err_set(err, ENAMETOOLONG, "start %s", instance->name);
	return machine_upper(state_dir, &files->upper, err);
}

/* Volumes that are mounted inside come last; the one of a mount is found by its path. */
static int machine_mounts(const json_t *mounts, json_t *disks, struct err *err)
{
	size_t first = json_array_size(disks), i;
	const json_t *mount;
	int r = 0;

	json_array_foreach(mounts, i, mount)
	{
		if (machine_has_disk(mount) &&
		    machine_add_volume(disks, first, json_str(mount, "source", ""),
				       json_bool(mount, "read_only", false)))
			return err_set(err, ENOMEM, "start");
	}
	for (i = first; r == 0 && i < json_array_size(disks); i++) {
		const json_t *disk = json_array_get(disks, i);
		r = ext4_ensure(json_str(disk, "path", ""), json_bool(disk, "read_only", false),
				err);
	}
	return r == 0 ? machine_check_twice(disks, err) : r;
}

static json_t *machine_disks(const struct machine_files *files, const json_t *more)
{
	json_t *disks =
		json_pack("[{s:s,s:s,s:b}]", "path", files->root, "format", "raw", "read_only", 1);

	if (disks && files->upper &&
	    json_array_append_new(disks,
				  json_pack("{s:s,s:s}", "path", files->upper, "format", "raw"))) {
		json_decref(disks);
		return NULL;
	}
	if (disks && more)
		(void)json_array_extend(disks, (json_t *)(uintptr_t)more);
	return disks;
}

static int machine_set(json_t *vm, const json_t *mounts, const struct kernel *kernel,
		       const struct machine_files *files, struct err *err)
{
	const char *append = json_str(vm, "append", "");
	char *text;

	if (asprintf(&text, MACHINE_APPEND "%s%s", append[0] ? " " : "", append) < 0)
		return err_set(err, ENOMEM, "start");
	int r = json_object_set_new(vm, "append", json_string(text));
	free(text);
	r |= json_object_set_new(vm, "kernel", json_string(kernel->path));
	r |= json_object_set_new(vm, "initrd", json_string(files->initramfs));
	r |= json_object_set_new(vm, "disks", machine_disks(files, json_object_get(vm, "disks")));
	return r ? err_set(err, ENOMEM, "start")
		 : machine_mounts(mounts, json_object_get(vm, "disks"), err);
}

int machine_fill(struct manager *manager, const struct instance *instance, json_t *spec,
		 struct err *err)
{
	const json_t *stored = json_object_get(spec, "vm");
	struct machine_files files = { NULL, NULL, NULL };
	struct kernel kernel;

	if (!json_bool(stored, "agent", false))
		return machine_check_twice(json_object_get(stored, "disks"), err);
	AUTO(json_decref_p) json_t *vm = json_copy((json_t *)(uintptr_t)stored);
	int r = vm ? kernel_find(&manager->store, json_str(vm, "kernel_name", NULL), &kernel, err)
		   : err_set(err, ENOMEM, "start");
	if (r < 0)
		return r;
	r = machine_files(manager, instance, &kernel, json_bool(vm, "upper", false), &files, err);
	if (r == 0)
		r = machine_set(vm, json_object_get(spec, "mounts"), &kernel, &files, err);
	if (r == 0 && json_object_set(spec, "vm", vm))
		r = err_set(err, ENOMEM, "start");
	machine_files_fini(&files);
	kernel_fini(&kernel);
	return r;
}
