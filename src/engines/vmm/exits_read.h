/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Reading what a machine's VMM counts; any process. */
#include <stdbool.h>
#include <stdint.h>

#include "base/core/err.h"
#include "base/core/exits.h"

/*
 * vmm_exits_read() - of all vcpus of a machine, together
 * @run: its run directory, of which nothing but this file is looked at
 * @ask: have the VMM fetch what its engine counts elsewhere, and wait for that, 200 ms at most; else, and where it does not answer, such
 *	numbers are as they were when somebody last asked
 * @ret_counted: EXIT_BIT()s of those that are known
 * Errors: -ENOENT: it counts none (it does not run). -EBADMSG: no such file of ours. What a VMM says of itself is not to be trusted: the
 * sums are numbers for a reader, and no more.
 */
int vmm_exits_read(const char *run, bool ask, struct exit_counts *ret, uint64_t *ret_counted,
		   struct err *err);
