/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Starting a hub (hub.h): a process of its own, strata-hub, and QEMU under it where it is the lab's. */
#include <stdbool.h>
#include <sys/types.h>

#include "base/core/err.h"

struct lab_server;

struct hub_start {
	const char *dir;     /* where the following names are; QEMU's working directory */
	const char *socket;  /* its clients' */
	const char *log;     /* what hub and QEMU have to say */
	const char *console; /* the lab: the server's console */
	bool dies_with_us;   /* else it is nobody's: a session of its own */
	/* One of three. */
	const struct lab_server *lab;
	const char *tty, *unix_socket;
};

/*
 * hub_start() - its clients may connect from now on: they wait until the hypervisor answers
 * Errors: what cannot be started. Whether the hypervisor ever answers only a session tells.
 */
int hub_start(const struct hub_start *start, pid_t *ret, struct err *err);
/* hub_log_last() - the last line of one of its files, "" where there is none: why it ended. @dir: its directory's fd */
void hub_log_last(int dir, const char *name, char ret[256]);
