/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A hypervisor at the other end of a management channel, as far as the host's side has to do with one: a child process that knows
 * guests by number and name, echoes what consoles and ports are sent, and takes files. No memory, no machines.
 */
#include <sys/types.h>

enum fake_manner {
	FAKE_NORMAL,
	FAKE_NOISY, /* prints before it answers, and in between */
	FAKE_DEAF,  /* answers the second HELLO only */
	FAKE_SLOW,  /* takes 100 ms for each HELLO */
	FAKE_NEWER, /* another version */
	FAKE_CROWDED, /* has guests at the beginning: 1 "own" of the server's, 2 "left" of somebody's */
	FAKE_LIAR,    /* sends streams more than it was given credit for, and nonsense */
	FAKE_ENDLESS, /* its list of guests has no end */
	FAKE_LOSSY,   /* a serial line that loses, damages or doubles one byte of 40000 */
	FAKE_MUTE,    /* the same, until a guest is paused: then nothing goes through any more */
};

#define FAKE_PRINTED	  "one\ntwo\033[2J\r\n" /* by its server */
#define FAKE_PRINTED_LOST 100U

/* fake_start() - the channel's other end in *ret_line. The child ends when that is closed. */
pid_t fake_start(enum fake_manner manner, int *ret_line);
void fake_wait(pid_t pid); /* it ended by itself, with 0 */
