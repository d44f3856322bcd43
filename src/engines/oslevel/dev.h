/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What every /dev has, of a container and of a VM's workload. dev: an fd of the directory. */
#include <sys/types.h>

#include "base/core/err.h"

/* dev_node() - a node of that mode, whatever the umask; 0 or a negative errno. */
int dev_node(int dev, const char *name, mode_t mode, dev_t rdev, struct err *err);
/* dev_nodes() - null, zero and their like; 0 or a negative errno. */
int dev_nodes(int dev, struct err *err);
/* dev_links() - fd, stdin and their like; one that is there stays. 0 or a negative errno. */
int dev_links(int dev, struct err *err);
