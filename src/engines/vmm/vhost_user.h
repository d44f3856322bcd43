/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The vhost-user protocol, front end's side: which memory and which rings a device program of another process shall serve.
 * What it answers is hostile: each message is read once, at its exact length, and nothing is waited for past a deadline.
 * Source: QEMU docs/interop/vhost-user.rst, "Message Specification", "Communication", "Front-end message types".
 */
#include <stdint.h>

#include "base/core/err.h"

#define VHOST_USER_WAIT_MS 60000 /* for all of vhost_user_begin() */

struct vhost_user_ring {
	int kick, call;		    /* eventfds: the back end is rung, and rings */
	uint64_t desc, avail, used; /* offsets in the memory */
	uint16_t size;		    /* entries */
};

struct vhost_user_setup {
	int memory; /* a memfd: to the back end it is guest memory from address 0 on */
	uint64_t memory_bytes;
	const struct vhost_user_ring *rings;
	unsigned n_rings;
};

/*
 * vhost_user_begin() - have the back end serve the rings; it may block
 * @socket: connected; stays the caller's
 * Errors: -ETIMEDOUT, -ECONNRESET: it is gone; -EPROTO: it talks nonsense, or cannot do virtio 1; with no words but those.
 */
int vhost_user_begin(int socket, const struct vhost_user_setup *setup, struct err *err);
