/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Links by rtnetlink, without a database or another program: the monitor links this. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/core/err.h"

struct link_endpoint {
	const char *bridge, *host_if, *mac, *address,
		*gateway; /* gateway NULL or "": no default route */
	unsigned prefix;
};
/*
 * link_connect() - veth from the bridge into a network namespace, there named eth0, up, addressed,
 * routed; lo up too
 * @netns_fd: of the instance's namespace. Nothing is left on an error: the pair goes with either
 * end.
 * The calling thread enters that namespace and comes back. Errors: -ENOTRECOVERABLE where it could
 * not come back: the process must end.
 */
int link_connect(const struct link_endpoint *endpoint, int netns_fd, struct err *err);
#define LINK_NAME 16 /* bytes of an interface's name, with its NUL */
/* link_host_if() - what an instance's end of its network is called on the host: veth or tap. */
void link_host_if(const char *instance, char ret[LINK_NAME]);
/* link_join() - an interface of this namespace (a tap) becomes a port of the bridge, and up. */
int link_join(const char *name, const char *bridge, struct err *err);
/*
 * link_quiet() - no link-local address: no duplicate address detection and no multicast chatter on each start
 * @fd: of rtnetlink
 * The kernel takes it for a link that exists and is down; one without IPv6 refuses, and needs it not.
 */
void link_quiet(int fd, int index);
/* link_up() - a link is up from now on; 0 or -errno.  @fd: of rtnetlink */
int link_up(int fd, int index);
/* link_lo_up() - loopback up in the calling thread's own network namespace. */
int link_lo_up(struct err *err);
/*
 * link_bridge_ensure() - make and address the bridge where it is missing
 * @owner: kept as the interface's alias (`ip link` shows it), so that two state directories on one
 * host
 *         do not take each other's bridge
 * Errors: -EEXIST where an interface of that name is somebody else's.
 */
int link_bridge_ensure(const char *name, const char *address, unsigned prefix, const char *owner,
		       struct err *err);
/* link_mac_parse() - "02:00:0a:c9:00:02"; 0 or -EINVAL */
int link_mac_parse(const char *text, uint8_t ret[6]);
int link_remove(const char *name, struct err *err); /* absent is fine */
/*
 * link_owner() - the alias of an interface
 * Return: 1 and the text ("" without one); 0: no such interface, or a bridge of ours that a killed
 * command left half-made: free to take; or a negative errno.
 */
int link_owner(const char *name, char *ret, size_t size);
