/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * How the kernel treats a process: its turn at the CPU and at disks, the CPUs it may use, and what it takes the machine for.
 * Source: OCI runtime specification 1.2, config.md, "Linux Process", and config-linux.md, "Personality".
 */
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/core/err.h"

/* sched_setattr(2), struct sched_attr */
struct tune_scheduler {
	bool set;
	uint32_t policy; /* SCHED_x */
	uint64_t flags;	 /* SCHED_FLAG_x */
	int32_t nice;
	uint32_t priority;
	uint64_t runtime_ns, deadline_ns, period_ns;
};

/* set_mempolicy(2); OCI runtime specification 1.3, config-linux.md, "Memory policy" */
struct tune_memory {
	bool set, has_nodes;
	int mode;	 /* MPOL_x, with MPOL_F_x */
	cpu_set_t nodes; /* bit n: node n */
};

struct tune {
	struct tune_memory memory;
	struct tune_scheduler scheduler;
	bool set_io;
	int io_class, io_priority; /* ioprio_set(2) */
	bool set_personality;
	unsigned long personality; /* personality(2) */
	/* Of a further process: while it is not yet in its cgroups, and then. */
	bool set_initial, set_final;
	cpu_set_t initial, final;
};

/* tune_apply() - all but the CPUs, to this process */
int tune_apply(const struct tune *tune, struct err *err);
/* tune_cpus() - to this process; what: where it was asked */
int tune_cpus(const cpu_set_t *cpus, const char *what, struct err *err);
/* tune_cpus_parse() - "0-3,7": cpuset(7), "List format"; -EINVAL, -ERANGE */
int tune_cpus_parse(const char *text, cpu_set_t *ret);
