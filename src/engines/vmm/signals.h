/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the VMM's process is sent is meant for its guest: `strata kill`, `stop`, a terminal's new size. With an agent
 * inside, a signal becomes one of the workload's. A bare kernel has a power button: the signals that end programs press
 * it once, and where nobody listens, or the second time, end the machine.
 */
#include "base/core/err.h"

struct vmm;

/* vmm_signals_fd() - block what is the guest's, before there are threads; a signalfd of it, or a negative errno */
int vmm_signals_fd(struct err *err);
/* vmm_signals_open() - before threads: block what is the guest's, and watch for it in the loop. */
int vmm_signals_open(struct vmm *vmm, struct err *err);
