/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What a monitor and its VMM say to each other while a virtual machine starts: messages over a socket pair
 * (SOCK_SEQPACKET). VMM: READY (sealed, all is set up) or FAILED. Monitor: GO. VMM: STARTED (the workload, or the
 * kernel, runs) or FAILED. Then both close it.
 */
#include <stdint.h>

#include "base/core/err.h"

/* Fds of a strata-vmm process beside the standard streams. */
#define VMM_SPEC_FD  3 /* a memfd with the spec's JSON */
#define VMM_SYNC_FD  4
#define VMM_RUN_FD   5 /* O_PATH of the instance's run directory */
#define VMM_HOME_FD  6 /* O_PATH of a v2 cgroup for the holder (vmm/holder.h); not open without v2 */
#define VMM_TAP_FD   7 /* a tap's queue, or passt's socket; not open without a network */
#define VMM_SHARE_FD 8 /* virtiofsd's socket; not open without shared folders */
#define VMM_JOIN_FD                                                                                \
	9 /* this and the next: what cgroup_join() takes; as many are open as are needed */
#define VMM_JOINS 16
#define VMM_FDS	  (VMM_JOIN_FD + VMM_JOINS)

enum vmm_word {
	VMM_WORD_READY = 'R',
	VMM_WORD_GO = 'G',
	VMM_WORD_STARTED = 'S',
	VMM_WORD_FAILED = 'F'
};

struct vmm_message {
	int32_t word;
	int32_t status, code; /* FAILED: exit status (125 to 127), errno */
	char text[480];	      /* FAILED */
};

int vmm_say(int fd, enum vmm_word word); /* 0 or -errno */
void vmm_say_failed(int fd, int status,
		    const struct err *err); /* nobody left to tell is no error */
/*
 * vmm_expect() - wait for a word
 * Errors: what FAILED said, with *ret_status; -ECHILD where the other is gone; -EPROTO.
 */
int vmm_expect(int fd, enum vmm_word word, int *ret_status, struct err *err);
