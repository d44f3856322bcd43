/* SPDX-License-Identifier: Apache-2.0 */
#include "network/subnet.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t prefix_mask(unsigned prefix)
{
	return prefix ? ~(uint32_t)0 << (32 - prefix) : 0;
}

int address_parse(const char *text, uint32_t *ret)
{
	struct in_addr ip;

	if (inet_pton(AF_INET, text, &ip) != 1)
		return -EINVAL;
	*ret = ntohl(ip.s_addr);
	return 0;
}

void address_text(uint32_t address, char ret[16])
{
	(void)snprintf(ret, 16, "%u.%u.%u.%u", address >> 24, address >> 16 & 0xff,
		       address >> 8 & 0xff, address & 0xff);
}

void subnet_text(const struct subnet *subnet, char ret[20])
{
	char base[16];

	address_text(subnet->base, base);
	(void)snprintf(ret, 20, "%s/%u", base, subnet->prefix & 63);
}

uint32_t subnet_last(const struct subnet *subnet)
{
	return subnet->base | ~prefix_mask(subnet->prefix);
}

bool subnet_overlap(const struct subnet *a, const struct subnet *b)
{
	return a->base <= subnet_last(b) && b->base <= subnet_last(a);
}

bool subnet_has_host(const struct subnet *subnet, uint32_t address)
{
	return address > subnet->base && address < subnet_last(subnet);
}

/* What no network of instances can use: "this host", loopback, link-local, multicast and above. */
static const struct subnet subnet_special[] = {
	{ 0x00000000, 8 },
	{ 0x7f000000, 8 },
	{ 0xa9fe0000, 16 },
	{ 0xe0000000, 3 },
};

int subnet_parse(const char *text, struct subnet *ret, struct err *err)
{
	char base[16];
	struct subnet s;
	const char *slash = strchr(text, '/');
	size_t n = slash ? (size_t)(slash - text) : 0;

	if (!n || n >= sizeof(base) || !slash[1] || strspn(slash + 1, "0123456789") > 2 ||
	    slash[1 + strspn(slash + 1, "0123456789")])
		return err_say(err, EINVAL, "subnet %s: write it like 10.5.0.0/24", text);
	memcpy(base, text, n);
	base[n] = '\0';
	if (address_parse(base, &s.base) < 0)
		return err_say(err, EINVAL,
			       "subnet %s: %s is not an IPv4 address; write it like 10.5.0.0/24",
			       text, base);
	s.prefix = (unsigned)strtoul(slash + 1, NULL, 10);
	if (s.prefix < 8 || s.prefix > 30)
		return err_say(err, EINVAL, "subnet %s: its size must be from /8 to /30", text);
	if (s.base & ~prefix_mask(s.prefix)) {
		char right[20];
		s.base &= prefix_mask(s.prefix);
		subnet_text(&s, right);
		return err_say(err, EINVAL, "subnet %s: not the first address of a /%u; meant %s?",
			       text, s.prefix, right);
	}
	for (size_t i = 0; i < ARRAY_SIZE(subnet_special); i++) {
		if (subnet_overlap(&s, &subnet_special[i]))
			return err_say(err, EINVAL,
				       "subnet %s: reserved addresses; take a private one, like "
				       "10.5.0.0/24",
				       text);
	}
	*ret = s;
	return 0;
}

/* One line of /proc/net/route: interface, destination, gateway, flags, three counters, mask. */
static bool route_parse(const char *line, char ret_if[16], struct subnet *ret)
{
	unsigned destination, mask;

	if (sscanf(line, "%15s %8x %*8x %*x %*d %*u %*d %8x", ret_if, &destination, &mask) != 3)
		return false;
	mask = ntohl(mask);
	ret->base = ntohl(destination);
	ret->prefix = (unsigned)__builtin_popcount(mask);
	return mask == prefix_mask(ret->prefix) && !(ret->base & ~mask);
}

bool routes_overlap(const char *text, const struct subnet *subnet, const char *bridge,
		    char ret_if[16])
{
	for (const char *line = text; *line;) {
		char line_if[16];
		struct subnet route;
		char one[256];
		size_t n = strcspn(line, "\n");
		if (n < sizeof(one)) {
			memcpy(one, line, n);
			one[n] = '\0';
			if (route_parse(one, line_if, &route) && route.prefix &&
			    strcmp(line_if, bridge) != 0 && subnet_overlap(&route, subnet)) {
				memcpy(ret_if, line_if, sizeof(line_if));
				return true;
			}
		}
		line += n + (line[n] == '\n');
	}
	return false;
}
