/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Disks by name or by virtio-blk's serial number, waited for while their driver finds them. */
#include "base/core/err.h"

#define DISK_PATH_MAX 64

/*
 * disk_find() - the device node of a disk
 * @source: "vda", or "id=SERIAL" (abi/agent.h, struct agent_mount)
 * Errors: -ENODEV after 10 seconds; -EINVAL.
 */
int disk_find(const char *source, char ret_path[DISK_PATH_MAX], struct err *err);
