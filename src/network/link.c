/* SPDX-License-Identifier: Apache-2.0 */
#include "network/link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/os/fd.h"
#include "base/os/file.h"
#include "network/nl.h"

#define LINK_LO_INDEX 1 /* the first link of every namespace */

/* Every MAC here: locally administered, a mark, and the IPv4 address. */
#define MAC_0 0x02
#define MAC_1 0x53

struct link_info {
	int index;
	bool is_bridge;
	bool is_half_made; /* by us: killed before it put the owner's name on it */
	char alias[256];
};

int link_mac_parse(const char *text, uint8_t ret[6])
{
	unsigned b[6];
	char end;

	if (strlen(text) != 17 || sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%c", &b[0], &b[1], &b[2],
					 &b[3], &b[4], &b[5], &end) != 6)
		return -EINVAL;
	for (int i = 0; i < 6; i++)
		ret[i] = (uint8_t)b[i];
	return 0;
}

void link_host_if(const char *instance, char ret[LINK_NAME])
{
	(void)snprintf(ret, LINK_NAME, "veth%.11s", instance); /* fits */
}

/* Attributes hold no promise of a NUL. */
static void attr_text(const void *data, size_t len, char *ret, size_t size)
{
	size_t n = data ? strnlen(data, len) : 0;

	if (n >= size)
		n = size - 1;
	if (n)
		memcpy(ret, data, n);
	ret[n] = '\0';
}

static int link_get(int fd, const char *name, struct link_info *ret)
{
	_Alignas(8) unsigned char answer[16384];
	struct ifinfomsg ifi = { .ifi_family = AF_UNSPEC };
	struct nl_msg msg;
	size_t skip = sizeof(struct nlmsghdr) + sizeof(ifi);
	size_t len = 0;

	nl_begin(&msg, RTM_GETLINK, 0, &ifi, sizeof(ifi));
	nl_str(&msg, IFLA_IFNAME, name);
	int n = nl_call(fd, &msg, answer, sizeof(answer));
	if (n < 0)
		return n;
	if ((size_t)n < skip)
		return -EPROTO;

	struct link_info info = { 0 };
	memcpy(&ifi, answer + sizeof(struct nlmsghdr), sizeof(ifi));
	info.index = ifi.ifi_index;
	const void *alias = nl_find(answer, (size_t)n, skip, IFLA_IFALIAS, &len);
	attr_text(alias, len, info.alias, sizeof(info.alias));
	const void *nest = nl_find(answer, (size_t)n, skip, IFLA_LINKINFO, &len);
	const void *kind = nest ? nl_find(nest, len, 0, IFLA_INFO_KIND, &len) : NULL;
	info.is_bridge = kind && len == sizeof("bridge") && !memcmp(kind, "bridge", len);
	const unsigned char *mac = nl_find(answer, (size_t)n, skip, IFLA_ADDRESS, &len);
	info.is_half_made = info.is_bridge && !info.alias[0] && mac && len == 6 &&
			    mac[0] == MAC_0 && mac[1] == MAC_1;
	*ret = info;
	return 0;
}

void link_quiet(int fd, int index)
{
	struct ifinfomsg ifi = { .ifi_index = index };
	struct nl_msg msg;

	nl_begin(&msg, RTM_NEWLINK, 0, &ifi, sizeof(ifi));
	size_t spec = nl_nest(&msg, IFLA_AF_SPEC);
	size_t inet6 = nl_nest(&msg, AF_INET6);
	nl_u8(&msg, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
	nl_nest_end(&msg, inet6);
	nl_nest_end(&msg, spec);
	(void)nl_call(fd, &msg, NULL, 0); /* link.h: it may refuse */
}

int link_up(int fd, int index)
{
	struct ifinfomsg ifi = { .ifi_index = index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP };
	struct nl_msg msg;

	nl_begin(&msg, RTM_NEWLINK, 0, &ifi, sizeof(ifi));
	return nl_call(fd, &msg, NULL, 0);
}

static int link_address_add(int fd, int index, const char *address, unsigned prefix)
{
	struct ifaddrmsg ifa = { .ifa_family = AF_INET,
				 .ifa_prefixlen = (unsigned char)prefix,
				 .ifa_index = (unsigned)index };
	struct in_addr ip;
	struct nl_msg msg;

	if (prefix > 32 || inet_pton(AF_INET, address, &ip) != 1)
		return -EINVAL;
	uint32_t broadcast =
		ip.s_addr | (prefix ? htonl((uint32_t)(0xffffffffULL >> prefix)) : ~0u);
	nl_begin(&msg, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, &ifa, sizeof(ifa));
	nl_attr(&msg, IFA_LOCAL, &ip, sizeof(ip));
	nl_attr(&msg, IFA_ADDRESS, &ip, sizeof(ip));
	nl_u32(&msg, IFA_BROADCAST, broadcast);
	return nl_call(fd, &msg, NULL, 0);
}

static int link_route_add(int fd, int index, const char *gateway)
{
	struct rtmsg rtm = { .rtm_family = AF_INET,
			     .rtm_table = RT_TABLE_MAIN,
			     .rtm_protocol = RTPROT_BOOT,
			     .rtm_scope = RT_SCOPE_UNIVERSE,
			     .rtm_type = RTN_UNICAST };
	struct in_addr ip;
	struct nl_msg msg;

	if (inet_pton(AF_INET, gateway, &ip) != 1)
		return -EINVAL;
	nl_begin(&msg, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, &rtm, sizeof(rtm));
	nl_attr(&msg, RTA_GATEWAY, &ip, sizeof(ip));
	nl_u32(&msg, RTA_OIF, (uint32_t)index);
	return nl_call(fd, &msg, NULL, 0);
}

static int link_delete(int fd, const char *name)
{
	struct ifinfomsg ifi = { .ifi_family = AF_UNSPEC };
	struct nl_msg msg;

	nl_begin(&msg, RTM_DELLINK, 0, &ifi, sizeof(ifi));
	nl_str(&msg, IFLA_IFNAME, name);
	int r = nl_call(fd, &msg, NULL, 0);
	return r == -ENODEV ? 0 : r;
}

/*
 * Both ends at once: nobody ever sees a half of the pair, and it is on its bridge when it appears.
 */
static int link_veth_add(int fd, const struct link_endpoint *e, int bridge, int netns_fd,
			 const unsigned char mac[6])
{
	struct ifinfomsg ifi = { 0 };
	struct ifinfomsg peer_ifi = { 0 };
	struct nl_msg msg;

	nl_begin(&msg, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &ifi, sizeof(ifi));
	nl_str(&msg, IFLA_IFNAME, e->host_if);
	nl_u32(&msg, IFLA_MASTER, (uint32_t)bridge);
	size_t info = nl_nest(&msg, IFLA_LINKINFO);
	nl_str(&msg, IFLA_INFO_KIND, "veth");
	size_t data = nl_nest(&msg, IFLA_INFO_DATA);
	size_t peer = nl_nest(&msg, VETH_INFO_PEER);
	nl_raw(&msg, &peer_ifi, sizeof(peer_ifi));
	nl_str(&msg, IFLA_IFNAME, "eth0");
	nl_attr(&msg, IFLA_ADDRESS, mac, 6);
	nl_u32(&msg, IFLA_NET_NS_FD, (uint32_t)netns_fd);
	nl_nest_end(&msg, peer);
	nl_nest_end(&msg, data);
	nl_nest_end(&msg, info);
	return nl_call(fd, &msg, NULL, 0);
}

/* A netlink socket keeps the namespace it was made in: go there only to make it. */
static int netns_socket(int netns_fd, struct err *err)
{
	AUTO(fd_close_p) int back = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (back < 0)
		return err_set(err, errno, "open own network namespace");
	if (setns(netns_fd, CLONE_NEWNET) < 0)
		return err_set(err, errno, "enter the instance's network namespace");
	AUTO(fd_close_p) int fd = nl_open(NETLINK_ROUTE);
	if (setns(back, CLONE_NEWNET) < 0)
		return err_say(err, ENOTRECOVERABLE,
			       "come back from the instance's network namespace: %s",
			       strerror(errno));
	if (fd < 0)
		return err_set(err, -fd, "netlink socket in the instance's network namespace");
	return fd_take(&fd);
}

static int link_inside(const struct link_endpoint *e, int netns_fd, struct err *err)
{
	AUTO(fd_close_p) int fd = netns_socket(netns_fd, err);
	if (fd < 0)
		return fd;

	struct link_info eth0;
	int r = link_get(fd, "eth0", &eth0);
	if (r < 0)
		return err_set(err, -r, "find eth0 inside the instance");
	r = link_up(fd, LINK_LO_INDEX);
	if (r < 0)
		return err_set(err, -r, "loopback up inside the instance");
	r = link_address_add(fd, eth0.index, e->address, e->prefix);
	if (r < 0)
		return err_set(err, -r, "address %s/%u on eth0 inside the instance", e->address,
			       e->prefix);
	link_quiet(fd, eth0.index);
	r = link_up(fd, eth0.index);
	if (r < 0)
		return err_set(err, -r, "eth0 up inside the instance");
	if (!e->gateway || !e->gateway[0])
		return 0;
	r = link_route_add(fd, eth0.index, e->gateway);
	return r < 0 ? err_set(err, -r, "default route through %s inside the instance", e->gateway)
		     : 0;
}

/*
 * With br_netfilter loaded, a bridge applies NAT itself and does not hand the packet up to be
 * routed: an instance's own published port would lead out by the port it came in by, which a
 * bridge refuses.
 */
static int link_hairpin(int fd, int index)
{
	struct ifinfomsg ifi = { .ifi_index = index };
	struct nl_msg msg;

	nl_begin(&msg, RTM_NEWLINK, 0, &ifi, sizeof(ifi));
	size_t info = nl_nest(&msg, IFLA_LINKINFO);
	nl_str(&msg, IFLA_INFO_SLAVE_KIND, "bridge");
	size_t data = nl_nest(&msg, IFLA_INFO_SLAVE_DATA);
	nl_u8(&msg, IFLA_BRPORT_MODE, 1);
	nl_nest_end(&msg, data);
	nl_nest_end(&msg, info);
	return nl_call(fd, &msg, NULL, 0);
}

static int link_host_up(int fd, const char *name, struct err *err)
{
	struct link_info info;
	int r = link_get(fd, name, &info);

	if (r == 0) {
		link_quiet(fd, info.index);
		r = link_hairpin(fd, info.index);
	}
	if (r == 0)
		r = link_up(fd, info.index);
	return r < 0 ? err_set(err, -r, "link %s up", name) : 0;
}

int link_connect(const struct link_endpoint *endpoint, int netns_fd, struct err *err)
{
	const struct link_endpoint *e = endpoint;
	unsigned char mac[6];
	struct link_info bridge;

	if (link_mac_parse(e->mac, mac) < 0)
		return err_say(err, EINVAL, "%s is not a MAC address", e->mac);
	AUTO(fd_close_p) int fd = nl_open(NETLINK_ROUTE);
	if (fd < 0)
		return err_set(err, -fd, "netlink socket");
	int r = link_get(fd, e->bridge, &bridge);
	if (r < 0)
		return err_set(err, -r, "find bridge %s", e->bridge);

	r = link_veth_add(fd, e, bridge.index, netns_fd, mac);
	if (r == -EEXIST) {
		/*
		 * The kernel takes a dead namespace apart in its own time: a restart may come
		 * first.
		 */
		(void)link_delete(fd, e->host_if); /* the next attempt tells */
		r = link_veth_add(fd, e, bridge.index, netns_fd, mac);
	}
	if (r < 0)
		return err_set(err, -r, "make link %s on bridge %s", e->host_if, e->bridge);
	r = link_host_up(fd, e->host_if, err);
	if (r == 0)
		r = link_inside(e, netns_fd, err);
	if (r < 0)
		(void)link_delete(fd, e->host_if); /* the first error is the one to report */
	return r;
}

static int link_master(int fd, int index, int master)
{
	struct ifinfomsg ifi = { .ifi_index = index };
	struct nl_msg msg;

	nl_begin(&msg, RTM_NEWLINK, 0, &ifi, sizeof(ifi));
	nl_u32(&msg, IFLA_MASTER, (uint32_t)master);
	return nl_call(fd, &msg, NULL, 0);
}

int link_join(const char *name, const char *bridge, struct err *err)
{
	struct link_info info, master;
	AUTO(fd_close_p) int fd = nl_open(NETLINK_ROUTE);
	if (fd < 0)
		return err_set(err, -fd, "netlink socket");
	int r = link_get(fd, bridge, &master);
	if (r < 0)
		return err_set(err, -r, "find bridge %s", bridge);
	r = link_get(fd, name, &info);
	if (r == 0)
		r = link_master(fd, info.index, master.index);
	if (r < 0)
		return err_set(err, -r, "put %s on bridge %s", name, bridge);
	return link_host_up(fd, name, err);
}

int link_lo_up(struct err *err)
{
	AUTO(fd_close_p) int fd = nl_open(NETLINK_ROUTE);
	int r = fd < 0 ? fd : link_up(fd, LINK_LO_INDEX);

	return r < 0 ? err_set(err, -r, "loopback up") : 0;
}

static int bridge_add(int fd, const char *name, const unsigned char mac[6])
{
	struct ifinfomsg ifi = { 0 };
	struct nl_msg msg;

	nl_begin(&msg, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &ifi, sizeof(ifi));
	nl_str(&msg, IFLA_IFNAME, name);
	/*
	 * A bridge without a MAC of its own takes its ports': neighbours' caches would break at
	 * each start.
	 */
	nl_attr(&msg, IFLA_ADDRESS, mac, 6);
	size_t info = nl_nest(&msg, IFLA_LINKINFO);
	nl_str(&msg, IFLA_INFO_KIND, "bridge");
	nl_nest_end(&msg, info);
	return nl_call(fd, &msg, NULL, 0);
}

/* The kernel takes an alias only for a link that exists. */
static int bridge_own(int fd, int index, const char *owner)
{
	struct ifinfomsg ifi = { .ifi_index = index };
	struct nl_msg msg;

	nl_begin(&msg, RTM_NEWLINK, 0, &ifi, sizeof(ifi));
	nl_attr(&msg, IFLA_IFALIAS, owner, strnlen(owner, 255));
	return nl_call(fd, &msg, NULL, 0);
}

/* An instance could announce itself as the host's IPv6 router otherwise (CVE-2020-13401). */
static void bridge_ipv6_off(const char *name)
{
	char path[96];

	(void)snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/disable_ipv6", name);
	(void)file_write(AT_FDCWD, path, "1"); /* a kernel without IPv6 has no such file */
}

int link_bridge_ensure(const char *name, const char *address, unsigned prefix, const char *owner,
		       struct err *err)
{
	unsigned char mac[6] = { MAC_0, MAC_1 };
	struct link_info info;

	if (inet_pton(AF_INET, address, mac + 2) != 1)
		return err_say(err, EINVAL, "%s is not an IPv4 address", address);
	AUTO(fd_close_p) int fd = nl_open(NETLINK_ROUTE);
	if (fd < 0)
		return err_set(err, -fd, "netlink socket");
	int r = bridge_add(fd, name, mac);
	if (r < 0 && r != -EEXIST)
		return err_set(err, -r, "make bridge %s", name);
	r = link_get(fd, name, &info);
	if (r < 0)
		return err_set(err, -r, "find bridge %s", name);
	if (info.is_half_made) {
		r = bridge_own(fd, info.index, owner);
		if (r < 0)
			return err_set(err, -r, "name the owner of bridge %s", name);
	} else if (!info.is_bridge || strcmp(info.alias, owner) != 0) {
		return err_say(err, EEXIST, "interface %s belongs to %s: rename or remove it", name,
			       info.alias[0] ? info.alias : "another program");
	}
	bridge_ipv6_off(name);
	r = link_address_add(fd, info.index, address, prefix);
	if (r < 0)
		return err_set(err, -r, "address %s/%u on bridge %s", address, prefix, name);
	r = link_up(fd, info.index);
	return r < 0 ? err_set(err, -r, "bridge %s up", name) : 0;
}

int link_remove(const char *name, struct err *err)
{
	AUTO(fd_close_p) int fd = nl_open(NETLINK_ROUTE);
	int r = fd < 0 ? fd : link_delete(fd, name);

	return r < 0 ? err_set(err, -r, "remove interface %s", name) : 0;
}

int link_owner(const char *name, char *ret, size_t size)
{
	struct link_info info;
	AUTO(fd_close_p) int fd = nl_open(NETLINK_ROUTE);
	int r = fd < 0 ? fd : link_get(fd, name, &info);

	if (r == -ENODEV || (r == 0 && info.is_half_made))
		return 0;
	if (r < 0)
		return r;
	attr_text(info.alias, sizeof(info.alias), ret, size);
	return 1;
}
