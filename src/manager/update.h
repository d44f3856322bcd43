/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* New limits of an instance that is there already. */
#include <jansson.h>

#include "base/core/err.h"
#include "engines/spec.h"

#define UPDATE_FILE                                                                                \
	"limits" /* of the run directory: what a monitor that starts its guest again goes by */

/*
 * update_merge() - changes into limits: a member replaces, null lifts; of "io" each by its device, where a rate of 0 lifts
 * Both are as docs/spec.md, "limits". Return: a new object, or NULL out of memory.
 */
json_t *update_merge(const json_t *limits, const json_t *changes);
/* update_memory() - a machine's memory is from its next start on as large as its limit; nothing without a machine, or a limit */
int update_memory(json_t *spec, int64_t bytes, struct err *err);
/* update_reread() - what a monitor was started with, with the limits of now, where UPDATE_FILE is in run_fd. */
int update_reread(int run_fd, struct spec *spec, struct err *err);
