/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A virtual machine in this process, over whatever executes its CPUs. strata-vmm is a main() around this. */
#include <stdint.h>

#include "base/core/err.h"
#include "engines/spec.h"
#include "engines/vmm/seal.h"
#include "engines/vmm/sync.h"
#include "machine/cpu_ops.h"

/* Request numbers of ioctl(2). */
struct vmm_ioctls {
	const uint32_t *requests;
	size_t n;
};

/* One way to execute vcpus, and what its threads still ask of the kernel once the process is sealed. */
struct vmm_engine {
	const struct cpu_ops *cpu;
	struct vmm_ioctls vcpu_ioctls, loop_ioctls; /* a vcpu's thread needs both */
	const struct seal_call *vcpu_calls;	    /* others that a vcpu's thread makes */
	size_t n_vcpu_calls;
};

/* What the process was handed; -EBADF: none. vmm_run() owns them. */
struct vmm_fds {
	int in, out, err;     /* the guest's standard streams */
	int sync;	      /* engines/vmm/sync.h; -EBADF: nobody waits for words, it just runs */
	int run;	      /* O_PATH of the instance's run directory */
	int tap;	      /* or the socket to passt */
	int share;	      /* the socket to virtiofsd */
	int home;	      /* engines/vmm/sync.h */
	int joins[VMM_JOINS]; /* v1 cgroups to join, first of all */
	unsigned n_joins;
	/*
	 * Nobody's monitor waits for it: it outlives whoever started it, and keeps the network namespace that it is in, which
	 * others look for by its number.
	 */
	bool free;
};

/*
 * vmm_run() - build, seal, run to the end
 * @ret_status: of the guest: 0 for power off and reset, else as it said; 125 where the machine failed
 * Errors: what could not be set up, or how the machine failed. Where they were said over @fds.sync, *err is empty.
 */
int vmm_run(const struct spec *spec, const struct vmm_engine *engine, const struct vmm_fds *fds,
	    int *ret_status, struct err *err);
