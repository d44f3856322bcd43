/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Under the rig (channel_rig.h): the hypervisor's floor, and what a bad serial line does. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* rig_taken() - bytes of memory that the hypervisor holds */
size_t rig_taken(void);

struct rig_damage {	 /* zeroed: none */
	unsigned one_in; /* bytes: one is damaged; 0: none */
	bool is_out;	 /* the cable: nothing arrives */
	uint64_t seed;
	unsigned cut; /* so many are lost yet */
};

/* rig_damage() - what a serial line makes of these bytes: 2 * len at most */
size_t rig_damage(struct rig_damage *d, const uint8_t *bytes, size_t len, uint8_t *ret);
