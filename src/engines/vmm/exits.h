/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the machine's vcpus count: engines/vmm/exits_file.h. */
#include <stdint.h>

struct exits_file;

struct vmm_exits {
	struct exits_file *file; /* the mapping */
	uint64_t ours;		 /* EXIT_BIT()s: counted by how run() returned */
	int fifo; /* both ends, so that a reader's end is never the last; -EBADF: none */
};
