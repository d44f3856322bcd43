/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* IPv4 arithmetic and the texts it comes from. Addresses are host byte order here. Pure. */
#include <stdbool.h>
#include <stdint.h>

#include "base/core/err.h"

struct subnet {
	uint32_t base;
	unsigned prefix;
};

/* address_parse() - dotted decimal, nothing before or after; 0 or -EINVAL. */
int address_parse(const char *text, uint32_t *ret);
void address_text(uint32_t address, char ret[16]);
/* subnet_parse() - "10.5.0.0/24": usable for a network (/8 to /30, unicast, no host bits set). */
int subnet_parse(const char *text, struct subnet *ret, struct err *err);
void subnet_text(const struct subnet *subnet, char ret[20]);
uint32_t subnet_last(const struct subnet *subnet); /* its broadcast address */
bool subnet_overlap(const struct subnet *a, const struct subnet *b);
/* subnet_has_host() - inside, and neither the network's nor the broadcast address. */
bool subnet_has_host(const struct subnet *subnet, uint32_t address);
/*
 * routes_overlap() - does a route of the host, the default one aside, meet the subnet?
 * @text: /proc/net/route   @bridge: whose routes do not count   @ret_if: the interface, where it
 * does
 */
bool routes_overlap(const char *text, const struct subnet *subnet, const char *bridge,
		    char ret_if[16]);
