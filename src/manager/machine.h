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
int machine_find_volumes(struct manager *manager, json_t *spec, struct err *err);
int machine_use_volumes(struct manager *manager, const json_t *spec, const char *id,
			struct err *err);
/* machine_check_disks() - then: -EBUSY where one disk is given twice, by whatever names, and not both times read-only. */
int machine_check_disks(struct manager *manager, const json_t *spec, struct err *err);
/*
 * machine_check_volume() - one that is mounted inside: only a raw disk can be, -ENOTSUP says what to do instead
 * machine_need_volume() - there is none of that name, or it has no name: -ENOENT, -ENOTSUP, with what to do
 */
int machine_check_volume(const struct volume *volume, struct err *err);
int machine_need_volume(const char *name, struct err *err);
/*
 * machine_fill() - at a start: the files, and file systems in volumes, made where they are not there yet
 * @spec: the running one, its volumes' paths absolute; its "vm" is replaced   @state_dir: the instance's, for what it writes
 * Of a bare kernel only the disks are looked at; no machine at all is a no-op.
 */
int machine_fill(struct manager *manager, const struct instance *instance, json_t *spec,
		 struct err *err);
