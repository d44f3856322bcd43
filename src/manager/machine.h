/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What an image needs to run in a virtual machine: a kernel, its initramfs, the image as a disk, a disk of its own. */
#include "manager/manager.h"
#include "storage/volume.h"

/*
 * machine_ask() - before an instance is made: the member "vm" of its spec, complete but for what only a start knows
 * @config: what was asked   @image: false: a kernel alone
 */
int machine_ask(json_t *spec, const json_t *config, bool image, struct err *err);
/*
 * machine_find_volumes() - disks of the spec that name a volume get its path and format; then machine_use_volumes(),
 * within the transaction that records the instance, so that a volume in use is not removed
 */
/*
 * machine_host_network() - on a server of strata-hv: an image's network, where none is asked for, is the switch between that
 * server's guests, whose addresses are those of a network that only its instances are in
 * machine_on_host() - after machine_ask(): which server it is, and what it has not there: a disk to write to
 */
int machine_host_network(struct manager *manager, json_t *spec, bool image, struct err *err);
int machine_on_host(const struct manager *manager, json_t *spec, struct err *err);
int machine_find_volumes(struct manager *manager, json_t *spec, struct err *err);
int machine_use_volumes(struct manager *manager, const json_t *spec, const char *id,
			struct err *err);
/* machine_check_disks() - then: -EBUSY where one disk is given twice, by whatever names, and not both times read-only. */
int machine_check_disks(struct manager *manager, const json_t *spec, struct err *err);
/*
 * machine_take_volume() - one that is mounted inside: a directory is shared, which the mount says from now on; a raw disk is
 * mounted by the guest; another is not: -ENOTSUP says what to do instead
 */
int machine_take_volume(json_t *mount, const struct volume *volume, struct err *err);
/* machine_order_mounts() - as a container's: what lies below another mount comes after it; else as they were given. */
int machine_order_mounts(json_t *mounts, struct err *err);
/*
 * machine_fill() - at a start: the files, and file systems in volumes, made where they are not there yet
 * @spec: the running one, its volumes' paths absolute; its "vm" is replaced   @state_dir: the instance's, for what it writes
 * Of a bare kernel only the disks are looked at; no machine at all is a no-op.
 */
int machine_fill(struct manager *manager, const struct instance *instance, json_t *spec,
		 struct err *err);
