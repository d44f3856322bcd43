/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The workload's root file system: the image's disk, read-only, below a writable layer.
 *
 * or, where that is shared, what the host has, and no layer.
 *
 *	ROOT_DIR/lower   the image (erofs, ext4)
 *	ROOT_DIR/share   what the host shares, each by its name
 *	ROOT_DIR/upper   a tmpfs, or the disk of AGENT_MOUNT_UPPER: its directories "upper" and "work"
 *	ROOT_DIR/etc     a tmpfs with hosts, hostname and resolv.conf
 *	ROOT_DIR/at      where a new root hangs for the moment before it becomes "/"
 */
#include "config.h"

#define ROOT_DIR "/strata"

/* A root and what belongs on it, all detached mounts. */
struct root {
	int fd;			    /* the overlay, or what is shared */
	int volumes[CONFIG_MOUNTS]; /* by number in config->mounts; -EBADF for one that is none */
};

void root_init(struct root *root);
void root_fini(struct root *root);
/*
 * root_assemble() - mount the disks and build the overlay
 * Errors: -EINVAL where config has no root or two; -ENODEV; what mount(2) says.
 */
int root_assemble(const struct config *config, struct root *root, struct err *err);
/* root_overlay() - the second half: what is mounted on ROOT_DIR/lower and ROOT_DIR/upper becomes one; its fd. */
int root_overlay(struct err *err);
/* root_etc() - the files of /etc that the host gave, into ROOT_DIR/etc. */
int root_etc(const struct config *config, struct err *err);
/* root_hosts() - the hosts file that root_etc() made says this from now on, in place: it is mounted. 0 or -errno. */
int root_hosts(const void *text, size_t len);
/* root_release() - at the end, when nothing runs any more: write back and unmount what root_assemble() mounted. */
void root_release(void);
