/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What an image needs to run in a virtual machine: a kernel, its initramfs, the image as a disk, a disk of its own. */
#include "manager/manager.h"

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
/*
 * machine_fill() - at a start: the files, made where they are not there yet
 * @spec: the running one; its "vm" is replaced   @state_dir: the instance's, for what it writes
 * A bare kernel, or no machine at all, is a no-op.
 */
int machine_fill(struct manager *manager, const struct instance *instance, json_t *spec,
		 struct err *err);
