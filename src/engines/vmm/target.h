/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * How much of its memory a running machine is to have: what its balloon's target leaves it.
 *
 *	TARGET_FILE   the VMM, before the first instruction: "536870912\n", bytes, what the machine boots with
 *	TARGET_FIFO   any process --> the VMM's loop: a uint64_t each, bytes, what it is to have from now on
 *
 * Both in its run directory, and neither where it has no balloon. The VMM believes nothing of what comes: more than there is, is nothing.
 * The guest gives, and takes back, in its own time.
 */
#include <stdint.h>

#include "base/core/err.h"
#include "engines/spec.h"

#define TARGET_FILE "memory"
#define TARGET_FIFO "memory.ask"

/* vmm_target_refuse() - more than it booted with, in words that are the same for all who run machines. -ENOTSUP. */
int vmm_target_refuse(const struct spec *spec, uint64_t booted_bytes, struct err *err);
/* vmm_target_none() - the same for one that has no balloon */
int vmm_target_none(const struct spec *spec, struct err *err);
/*
 * vmm_target_limits() - what of these new limits is one of memory, for a machine that runs: 0, or what it is to have, in *ret_bytes
 * Errors: -ENOTSUP, naming the flag: swap, a reservation, processes; no limit of memory at all.
 */
int vmm_target_limits(const struct spec *spec, const struct spec_limits *change,
		      uint64_t *ret_bytes, struct err *err);
/* vmm_target_check() - whether it may have so much. @run_dir: its own. Errors: -ENOTSUP: it booted with less, or has no balloon. */
int vmm_target_check(const struct spec *spec, const char *run_dir, uint64_t bytes, struct err *err);
/* vmm_target_set() - tell it; checked before. Errors: -ESRCH: it does not run. */
int vmm_target_set(const struct spec *spec, const char *run_dir, uint64_t bytes, struct err *err);
