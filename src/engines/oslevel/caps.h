/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Capability sets as 64-bit masks, bit n being capability n of <linux/capability.h>. */
#include <stdbool.h>
#include <stdint.h>

#include "base/core/err.h"

/* Docker's default set: docs.docker.com, "Runtime privilege and Linux capabilities". */
extern const uint64_t caps_default;
/* caps_from_name() - "CAP_NET_ADMIN", "net_admin", any case; "ALL" is every bit up to the kernel's last. -EINVAL. */
int caps_from_name(const char *name, uint64_t *ret, struct err *err);
const char *caps_name(unsigned cap); /* "CAP_CHOWN"; NULL for an unknown one */
/* caps_held() - what this process could grant: its permitted and bounding set. */
uint64_t caps_held(void);
/*
 * caps_apply() - in the container's child: drop the bounding set to caps, change user, keep caps (root) or only the
 * ambient none (others), as Docker: a non-root user starts with empty effective sets.
 * @groups: supplementary. Must be called by a single-threaded process with the right to do all this.
 */
int caps_apply(uint64_t caps, uint32_t uid, uint32_t gid, const uint32_t *groups, unsigned n_groups,
	       struct err *err);
