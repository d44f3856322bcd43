/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Capability sets as 64-bit masks, bit n being capability n of <linux/capability.h>. */
#include <stdbool.h>
#include <stdint.h>

#include "base/core/err.h"

/* Docker's default set: docs.docker.com, "Runtime privilege and Linux capabilities". */
extern const uint64_t caps_default;
/*
 * Of a system container, whose root is root of a user namespace: what its own namespaces answer for, and none that is about the
 * whole machine (modules, raw I/O, the clock, security modules, BPF). As systemd-nspawn(1), "--capability=", and CAP_NET_ADMIN.
 */
extern const uint64_t caps_system;
/* caps_from_name() - "CAP_NET_ADMIN", "net_admin", any case; "ALL" is every bit up to the kernel's last. -EINVAL. */
int caps_from_name(const char *name, uint64_t *ret, struct err *err);
const char *caps_name(unsigned cap); /* "CAP_CHOWN"; NULL for an unknown one */
/* caps_held() - what this process could grant: its permitted and bounding set. */
uint64_t caps_held(void);
/* caps_grantable() - the same; in a virtual machine (@machine), whose kernel grants them, every one */
uint64_t caps_grantable(bool machine);
/*
 * caps_parse_lists() - what --cap-add and --cap-drop make of the default set, by Docker's rules
 * @base: caps_default or caps_system
 * @add, @drop: NULL-ended lists of names, or NULL for none
 * @held: what can be granted at all, caps_held()
 * ALL on the drop side starts from nothing, ALL on the add side from everything; in every other case a name on
 * both sides is added. What ALL or the default set stands for is cut to held without a word.
 * Errors: -EINVAL for an unknown name; -EPERM for one that was asked for by its name and is not held.
 * Source: moby, daemon/pkg/oci/caps, TweakCapabilities.
 */
int caps_parse_lists(uint64_t base, const char *const *add, const char *const *drop, uint64_t held,
		     uint64_t *ret, struct err *err);
