/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Whoever waits for a virtual machine's end need not wait for the kernel to take KVM's VM apart: some 20 ms of grace
 * periods, as measured, nine tenths of a small machine's whole life.
 *
 * Theory of operation. The holder is a process that shares this one's memory and fds, and does nothing. When this one
 * ends it is killed (PR_SET_PDEATHSIG), and the last references go with it: the taking apart happens there. It is as
 * sealed as the rest, and in none of the instance's cgroups, whose removal would wait for it.
 *
 * Root's is born at once, before this process joins its own cgroups: in those of the monitor, and at the top of the v2
 * hierarchy; it sleeps until this process is sealed, and follows it into its namespaces. An ordinary user's, who may not put
 * a process there, is born sealed, in the cgroup that this one is in.
 */
#include <sys/types.h>

#include "base/core/err.h"
#include "engines/vmm/seal.h"

struct vmm_holder {
	int process; /* a pidfd; -EBADF: none yet */
	int self;    /* a pidfd of ours, for it to follow */
	int ask, answer;
	int its_ask, its_answer; /* the ends that it has: fds are shared */
};

/* vmm_holder_begin() - first of all. @home: a v2 cgroup for it, O_PATH, or negative */
int vmm_holder_begin(int home, struct vmm_holder *ret, struct err *err);
/* vmm_holder_seal() - when the process is sealed and has one thread yet: there is one from here on, sealed as well. */
int vmm_holder_seal(struct vmm_holder *holder, struct err *err);
