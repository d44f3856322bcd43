/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * How often each vcpu of a machine left its guest's code, by reason: a file of its run directory, which its VMM has mapped and counts in,
 * and which anybody may read who may enter that directory.
 *
 *	vcpu thread ---> its own place in the mapping            reader: reads the whole file, at any time
 *	loop thread <--- a byte through the FIFO beside it <---  reader, who wants those that the engine counts elsewhere
 *	            ---> their places, then `answers` + 1   ---> reader, who waited a little
 *
 * The file is made, and the mapping with it, before the first instruction of the guest's; the process keeps no fd of it. It is always of
 * one size: a VMM that its guest has taken over can write wrong numbers, and answer never, but nothing else.
 */
#include <stdint.h>

#include "base/core/exits.h"

#define EXITS_FILE   "exits"
#define EXITS_FIFO   "exits.ask"
#define EXITS_FORMAT 1U
#define EXITS_VCPUS  64U

struct exits_file {
	uint32_t format;  /* EXITS_FORMAT */
	uint32_t vcpus;	  /* those that count */
	uint64_t counted; /* EXIT_BIT()s: of those that are missing nothing is known */
	uint32_t asks;	  /* whether there is a FIFO: without, all numbers are as of now */
	uint32_t answers;
	struct exit_counts counts[EXITS_VCPUS];
};
_Static_assert(sizeof(struct exits_file) == 64 + EXITS_VCPUS * sizeof(struct exit_counts),
	       "one size, whatever the machine's");
