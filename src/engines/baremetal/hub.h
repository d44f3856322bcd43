/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * One process owns a management channel; everybody else of this host has sessions with it, over a unix socket and by the same
 * protocol (abi/channel.h): the hub.
 *
 *	client --- requests, streams ---+
 *	client -------------------------+-- hub --- one session --- strata-hv
 *	client -------------------------+
 *
 * What a client has is its own: numbers of requests and streams are mapped, and when it goes, however it goes, its streams are
 * closed and the guests that it created destroyed. Guests that nobody has (of a hub that was killed) are destroyed at the
 * beginning; those that the server's own configuration started are let alone. A client that sends nonsense is cut off.
 */
#include <stdbool.h>

#include "base/core/err.h"

struct hub_config {
	int listener;		     /* a listening unix socket, owned */
	int line;		     /* to the hypervisor, owned */
	unsigned hello_ms, ready_ms; /* HELLO again after; give up after */
	unsigned ask_ms,
		deaf_ms; /* whether it lives is asked that often; give up where nothing came for so long */
	unsigned linger_ms; /* without clients the hub ends after so long; 0: never */
	int stop;	    /* readable: end; -EBADF: none */
	/*
	 * Optional: the same line once more, where HELLO had no answer in ready_ms; up to `tries` times. QEMU 7.2 may stay silent to a
	 * client that comes right after one that died in the middle.
	 */
	int (*reopen)(const char *path, struct err *err);
	const char *path;
	unsigned tries;
};

/* hub_run() - both fds are taken over. Until the hypervisor is gone, nobody is there any more, or `stop` is readable. 0, or -errno with why. */
int hub_run(const struct hub_config *config, struct err *err);
