/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What --system makes of a new instance's spec: docs/system-containers.md. */
#include <jansson.h>

#include "base/core/err.h"

#define SYSTEM_STOP_MS                                                                             \
	60000 /* until a stop becomes a kill: services have more to do than a command */

/*
 * system_root() - before a start: the file system of a root that has a size is made, if it is not there
 * Killed halfway, the next start makes it.
 */
int system_root(const json_t *spec, const char *state_dir, struct err *err);
/*
 * system_ask() - a spec with its defaults filled in becomes that of a whole system: args, environment, terminal, user namespace
 * @config: what was asked   @image: the image's config member "config", or NULL
 * Errors: -EINVAL for what contradicts it.
 */
int system_ask(json_t *spec, const json_t *config, const json_t *image, const char *id,
	       struct err *err);
