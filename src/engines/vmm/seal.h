/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What a VMM gives up before the first guest instruction, so that a guest that breaks out of it holds nothing but
 * its own memory, disks and streams.
 *
 * Theory of operation. vmm_seal_process() runs while there is one thread, when all that the VM uses is open: another
 * user, empty mount, network, IPC and UTS namespaces, no capability, no_new_privs. Each thread then installs its own
 * system-call filter with vmm_seal_thread(): what a vcpu thread needs is not what the I/O thread needs. The lists
 * stand beside the code that needs them, as tables of struct seal_call.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/core/err.h"

#define SEAL_NOBODY 65534U /* whom root becomes. Debian: base-passwd */

/* What was given up; a host may refuse parts to an ordinary user. */
struct seal_report {
	bool user, namespaces;
};

/*
 * vmm_seal_process() - before threads
 * Root becomes nobody (or it fails); where an ordinary user may not make namespaces, it goes on without, and says so
 * in the report.
 * @keep_net: it stays in its network namespace, where it has no right to anything
 */
int vmm_seal_process(bool keep_net, struct seal_report *ret, struct err *err);

/* seal_bound() - no capability ever again, for a process that has CAP_SETPCAP. */
int seal_bound(struct err *err);

/* A system call that a thread may make; with n_values > 0 only with one of these as its argument `arg` (0 is the first). */
struct seal_call {
	int nr;
	unsigned arg;
	const uint32_t *values;
	unsigned n_values;
};

/* vmm_seal_thread() - the calling thread makes these calls from now on, and none else: it would be killed. */
int vmm_seal_thread(const struct seal_call *const *lists, const size_t *counts, unsigned n,
		    struct err *err);
