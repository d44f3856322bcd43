/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "base/core/err.h"

/*
 * caps_apply() - in the container's child: drop the bounding set to caps, change user, keep caps (root) or none
 * (others), as Docker: a non-root user starts with empty sets, and gets what set-user-ID programs leave it within
 * the bounding set. Inheritable and ambient sets are empty for both (CVE-2022-24769).
 * @groups: supplementary. Must be called by a single-threaded process with the right to do all this.
 * Errors: -EPERM with the name of a capability that this process lacks itself. The process is then neither what it
 * was nor what it should be: it must exit.
 */
int caps_apply(uint64_t caps, uint32_t uid, uint32_t gid, const uint32_t *groups, unsigned n_groups,
	       struct err *err);

/* The five sets of capabilities(7), "Thread capability sets". */
struct caps_sets {
	uint64_t bounding, effective, permitted, inheritable, ambient;
};
/* caps_of() - those that caps_apply() gives. */
struct caps_sets caps_of(uint64_t caps, uint32_t uid);
/* caps_apply_sets() - the same with sets of any kind, whoever the user becomes. */
int caps_apply_sets(const struct caps_sets *sets, uint32_t uid, uint32_t gid,
		    const uint32_t *groups, unsigned n_groups, struct err *err);
/* caps_apply_root() - root of the user namespace we are in, with no other group where that can be. */
int caps_apply_root(struct err *err);
/* caps_keep() - leave out of the sets what this process lacks itself. */
int caps_keep(struct caps_sets *sets, struct err *err);
