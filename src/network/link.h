/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Links by rtnetlink, without a database or another program: the monitor links this. */
#include <stdbool.h>

#include "base/core/err.h"

struct link_endpoint {
	const char *bridge, *host_if, *mac, *address, *gateway; /* gateway NULL: no default route */
	unsigned prefix;
};
/*
 * link_connect() - veth from the bridge into a network namespace, there named eth0, up, addressed, routed; lo up too
 * @netns_fd: of the instance's namespace. Nothing is left on an error: the pair goes with either end.
 */
int link_connect(const struct link_endpoint *endpoint, int netns_fd, struct err *err);
/* link_lo_up() - loopback up in the calling thread's own network namespace. */
int link_lo_up(struct err *err);
/* link_bridge_ensure() - make and address the bridge where it is missing. */
int link_bridge_ensure(const char *name, const char *address, unsigned prefix, struct err *err);
int link_remove(const char *name, struct err *err); /* absent is fine */
