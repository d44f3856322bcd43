/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/baremetal/hv_place.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/core/macros.h"
#include "base/os/fd.h"
#include "base/os/self.h"
#include "engines/baremetal/hub_start.h"
#include "engines/baremetal/hv_guest.h"
#include "engines/baremetal/lab.h"
#include "storage/disk/disk.h"

void hv_place_init(struct hv_place *place)
{
	*place = (struct hv_place){ .hub = 0 };
	for (size_t i = 0; i < HV_DISKS; i++)
		place->holds[i] = -EBADF;
}

/* As storage/disk has it: by the name, and never by content alone. */
static enum disk_format place_format(const struct spec_disk *disk)
{
	const char *dot = strrchr(disk->path, '.');

	if (disk->format == SPEC_DISK_AUTO)
		return dot && !strcmp(dot, ".qcow2") ? DISK_FORMAT_QCOW2 : DISK_FORMAT_AUTO;
	return disk->format == SPEC_DISK_QCOW2 ? DISK_FORMAT_QCOW2 : DISK_FORMAT_RAW;
}

/* Looked at, and locked. */
static int place_disk(struct hv_place *place, const struct spec_disk *disk, size_t i,
		      struct lab_disk *ret, struct err *err)
{
	const enum disk_format format = place_format(disk);
	uint64_t size;
	int r = disk_size(disk->path, format, &size, err);

	if (r < 0)
		return r;
	place->holds[i] = disk_hold(disk->path, disk->read_only, err);
	*ret = (struct lab_disk){ .path = disk->path,
				  .format = format == DISK_FORMAT_QCOW2 ? "qcow2" : "raw",
				  .read_only = disk->read_only,
				  .is_held = true };
	return place->holds[i] < 0 ? place->holds[i] : 0;
}

/* The server's loader takes a file's name for its own; and the path may have what QEMU's words cannot. */
static int place_link(const char *path, const char *name, struct err *err)
{
	if (access(path, R_OK) < 0)
		return err_set(err, errno, "read %s", path);
	if (unlink(name) < 0 && errno != ENOENT)
		return err_set(err, errno, "remove %s", name);
	return symlink(path, name) < 0 ? err_set(err, errno, "link %s", name) : 0;
}

static uint64_t place_file_bytes(const char *path)
{
	struct stat st;

	return path && stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

static int place_launch(struct hv_place *place, const struct lab_server *server, struct err *err)
{
	struct hub_start start = {
		.dir = ".",
		.socket = HV_CHANNEL_NAME,
		.log = HV_HUB_LOG,
		.console = HV_SERVER_LOG,
		.dies_with_us = true,
		.lab = server,
	};

	return hub_start(&start, &place->hub, err);
}

int hv_place_lab(struct hv_place *place, const struct spec *spec, struct hv_files *ret,
		 struct err *err)
{
	static const struct lab_file files[] = { { "kernel" }, { "initrd" } };
	const struct spec_vm *vm = &spec->vm;
	struct lab_disk disks[HV_DISKS];
	char *image = NULL;
	int r = vm->n_disks > HV_DISKS ? err_set(err, E2BIG, "disks")
				       : place_link(vm->kernel, files[0].path, err);

	*ret = (struct hv_files){ .kernel = "kernel" };
	if (r == 0 && vm->initrd) {
		r = place_link(vm->initrd, files[1].path, err);
		(void)snprintf(ret->initrd, sizeof(ret->initrd), "initrd");
	}
	for (size_t i = 0; r == 0 && i < vm->n_disks; i++) {
		r = place_disk(place, &vm->disks[i], i, &disks[i], err);
		(void)snprintf(ret->disks[i], sizeof(ret->disks[i]), "server:vd%zu", i);
	}
	r = r < 0 ? r : lab_image(&image, err);
	if (r < 0)
		return r;
	const struct lab_server server = {
		.image = image,
		.words = "",
		.memory_bytes = hv_guest_memory(spec) + place_file_bytes(vm->kernel) +
				place_file_bytes(vm->initrd),
		.cpus = vm->vcpus,
		.files = files,
		.n_files = vm->initrd ? 2 : 1,
		.disks = disks,
		.n_disks = vm->n_disks,
	};
	r = place_launch(place, &server, err);
	free(image);
	return r;
}

int hv_place_host(const struct spec *spec, struct err *err)
{
	return place_link(spec->vm.host, HV_CHANNEL_NAME, err);
}

void hv_place_fini(struct hv_place *place)
{
	if (place->hub > 0) {
		(void)kill(place->hub, SIGTERM); /* our child: it is there until we wait */
		while (waitpid(place->hub, NULL, 0) < 0 && errno == EINTR)
			;
	}
	for (size_t i = 0; i < HV_DISKS; i++)
		fd_close(place->holds[i]);
	hv_place_init(place);
}
