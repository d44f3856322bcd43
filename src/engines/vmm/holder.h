/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Whoever waits for a virtual machine's end need not wait for the kernel to take KVM's VM apart: some 20 ms of grace
 * periods, as measured, nine tenths of a small machine's whole life.
 *
 * Theory of operation. The holder is a process that shares this one's memory and fds, and does nothing. When this one
 * ends it is killed (PR_SET_PDEATHSIG), and the last references go with it: the taking apart happens there. It is as
 * sealed as the rest, and in the same cgroup, which is not removed before it is gone.
 */
#include "base/core/err.h"

/* vmm_holder_start() - when the process is sealed and has one thread yet. */
int vmm_holder_start(struct err *err);
