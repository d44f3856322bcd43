/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/core/err.h"

/*
 * fill_volume() - what the image has at a path goes into a volume that is mounted there and is still empty (docs of Docker,
 * "Populate a volume using a container"), with the owner and the mode of the directory itself
 * @root: the image's root   @volume: a detached mount
 * A file FILL_MARK in the volume says that the copy was cut short: it is made again. ext4's lost+found does not count.
 */
int fill_volume(int root, const char *path, int volume, struct err *err);

#define FILL_MARK ".strata-filling"
