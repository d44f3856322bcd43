/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* config.md, "POSIX-platform Hooks". */
#include "oci/container.h"

struct hooks {
	const struct container *container;
	const struct config *config;
	const struct bundle_host *host; /* the maker's; NULL: none of these runs inside */
	int null; /* the host's /dev/null: their output; there is none in every root */
};

/* hooks_open() - borrowed container, config and host; -ENOENT and the like where /dev/null is not there */
int hooks_open(const struct container *container, const struct config *config,
	       const struct bundle_host *host, struct hooks *ret, struct err *err);
void hooks_close(struct hooks *hooks);
/*
 * hooks_run() - one kind, in order; each reads the container's state on its standard input
 * @status: what that says
 * Errors: -ECHILD: one failed, -ETIMEDOUT; those after it are not run.
 */
int hooks_run(const struct hooks *hooks, enum hook_kind kind, enum container_status status,
	      pid_t pid, struct err *err);
