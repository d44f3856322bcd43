/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A virtual machine in a network namespace that somebody else has furnished, as container managers do it: the interface that is there
 * becomes the machine's.
 *
 * Theory of operation. The interface's addresses and default route are read, and taken from it; it and a new tap become the ports of
 * a bridge in that namespace, and the machine gets the addresses and, lest anybody's neighbour table be wrong, the MAC. All of it goes
 * with the namespace. Whoever else is in the namespace has no network from then on. When the machine ends its tap goes; the bridge
 * keeps what was read, as its alias (`ip link` shows it), for the next machine in the same namespace.
 */
#include <net/if.h>
#include <stdbool.h>

#include "base/core/err.h"

struct takeover {
	char name[IF_NAMESIZE]; /* of the interface; "": there is none but loopback */
	char mac[18];
	char address[46], gateway[46];	 /* IPv4; "": none */
	char address6[46], gateway6[46]; /* IPv6, of more than the link; likewise */
	unsigned prefix, prefix6, mtu;
	bool again; /* there was a machine before */
};

/*
 * takeover_read() - what is in the caller's network namespace
 * Errors: -EBUSY: another machine is there; -ENOTUNIQ: several interfaces; -EAFNOSUPPORT: one that is no Ethernet.
 */
int takeover_read(struct takeover *ret, struct err *err);
/* takeover_begin() - make it the machine's. @ret_tap: as tap_create()'s */
int takeover_begin(const struct takeover *net, int *ret_tap, struct err *err);
