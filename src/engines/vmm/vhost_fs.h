/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A share that a vhost-user program serves (virtiofsd), with rings and buffers of our own.
 *
 * Theory of operation. One memory file holds two rings and, for each request that may be under way, room for the request and
 * for its reply. It is all that the program sees of us: never the guest's memory. A request is copied in, its reply copied out to
 * where the guest wants it; so the software CPU hears of every write (its translated code), and the guest's memory need
 * not be made for sharing. A copy is cheap beside the system calls that serve a request.
 *
 *   device -> submit(): copy in, descriptors, avail ring, kick ->  program
 *   loop   <- call <- used ring                                <-  program
 *          copy out, done() -> device
 *
 * The program is as hostile as the guest. Its used ring says only which of our requests is over, and how long the reply is:
 * both are loaded once and checked. Who says something else, or is gone, is never listened to again: each request under way, and
 * each that comes later, fails with -EIO.
 * Thread rule: the loop's thread.
 * Source: virtio 1.2, 2.7 Split Virtqueues; 5.11.2 Virtqueues.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/core/err.h"
#include "base/os/loop.h"
#include "machine/ops.h"

#define VHOST_FS_QUEUES 2 /* the urgent one, and the other */
#define VHOST_FS_SLOTS	16
#define VHOST_FS_RING	64 /* entries; a request takes 4 at most */

struct vhost_fs_slot {
	struct share_request *req; /* NULL: free */
	uint8_t *out, *in;	   /* SHARE_MESSAGE_MAX bytes each */
};

struct vhost_fs_queue {
	uint8_t *desc, *avail, *used;
	int kick, call;
	uint16_t avail_next, used_seen;
	unsigned n_busy, n_free;
	uint8_t free[VHOST_FS_SLOTS]; /* the last one freed is used first: its pages are there */
	struct vhost_fs_slot slots[VHOST_FS_SLOTS];
};

struct vhost_fs {
	struct share share;
	struct loop *loop;
	int socket; /* -EBADF: the program is not listened to any more */
	int memory;
	uint8_t *at;
	struct vhost_fs_queue queues[VHOST_FS_QUEUES];
};

/*
 * vhost_fs_open() - take a program's socket, agree with it, and listen to it
 * @socket: taken over, also on an error   @loop: borrowed
 * It may block, up to VHOST_USER_WAIT_MS. vhost_fs_fini() after success only.
 */
int vhost_fs_open(struct vhost_fs *fs, int socket, struct loop *loop, struct err *err);
void vhost_fs_fini(struct vhost_fs *fs); /* whatever is under way is done with -EIO */
/* vhost_fs_alive() - whether the program is listened to. */
bool vhost_fs_alive(const struct vhost_fs *fs);
