/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A container's cgroup as systemd makes it (--systemd-cgroup): a scope, asked for through strata-systemd (systemd_main.c). From then
 * on it is a group like any other, at a path that systemd chose; <root>/ID/unit has both, before the scope is there.
 */
#include "oci/oci.h"

/* scope_choose() - the unit that a configuration asks for, by the flags given; the group's path is a guess yet */
int scope_choose(const struct oci *oci, const char *id, struct config *config, struct err *err);
/* scope_start() - nothing where there is none to start. *ret needs scope_settle() in any case. */
int scope_start(const struct container *container, struct config *config, struct scope *ret,
		struct err *err);
void scope_settle(struct scope *scope);
/* scope_adopt() - the groups of a layout that systemd made, and all that it may have made them in */
void scope_adopt(const struct config *config, struct cgroup_layout *layout);
/* scope_load() - what <root>/ID/unit says, if it is there */
void scope_load(const struct container *container, struct config *config);
/* scope_update() - limits that systemd would else write back one day; scope_stop() - it goes. Nothing where there is none. */
int scope_update(const struct config *config, struct err *err);
int scope_stop(const struct config *config, struct err *err);
