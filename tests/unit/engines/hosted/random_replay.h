/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A case again, one instruction at a time: what was executed, and whether it can be executed twice at all. */
#include "random_rig.h"

struct random_replay {
	unsigned steps; /* instructions that retired */
	/* The clock or the host's random numbers were read: no two runs are the same. */
	bool by_chance;
};

/* random_replay() - from a state, by the interpreter, to where the machine has no answer. @print: the first instructions. */
void random_replay(struct random_rig *rig, const struct x86_state *start, bool print,
		   struct random_replay *ret);
