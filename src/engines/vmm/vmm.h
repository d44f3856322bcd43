/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A virtual machine in this process, over whatever executes its CPUs. strata-vmm is a main() around this. */
#include <stdint.h>

#include "base/core/err.h"
#include "engines/spec.h"
#include "machine/cpu_ops.h"

/* One way to execute vcpus, and the system calls it needs for that once the process is sealed. */
struct vmm_engine {
	const struct cpu_ops *cpu;
	const uint32_t *ioctls; /* request numbers */
	unsigned n_ioctls;
};

/* What the process was handed; -EBADF: none. vmm_run() owns them. */
struct vmm_fds {
	int in, out, err; /* the guest's standard streams */
	int sync;	  /* engines/vmm/sync.h; -EBADF: nobody waits for words, it just runs */
	int run;	  /* O_PATH of the instance's run directory */
	int state;	  /* O_PATH of its state directory */
	int tap;
};

/*
 * vmm_run() - build, seal, run to the end
 * @ret_status: of the guest: 0 for power off and reset, else as it said; 125 where the machine failed
 * Errors: what could not be set up, or how the machine failed; with @fds.sync they were said there too.
 */
int vmm_run(const struct spec *spec, const struct vmm_engine *engine, const struct vmm_fds *fds,
	    int *ret_status, struct err *err);
