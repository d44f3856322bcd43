/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A machine for a debugger: two vcpus, 16 KiB of memory at gva 0x10000 (gpa 0), nothing runs but what a test says. */
#include "engines/vmm/gdb.h"

#define FAKE_VCPUS     2U
#define FAKE_RAM_BYTES 0x4000U
#define FAKE_GVA       0x10000U
#define FAKE_LOG_BYTES 16384U

struct fake_target {
	struct gdb_target target;
	uint8_t ram[FAKE_RAM_BYTES];
	struct x86_state states[FAKE_VCPUS];
	uint8_t run[FAKE_VCPUS];
	bool held, software;
	struct debug_point points[DEBUG_POINTS];
	unsigned stops, resumes, kills;
};

void fake_target_init(struct fake_target *fake);
