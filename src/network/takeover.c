/* SPDX-License-Identifier: Apache-2.0 */
#include "network/takeover.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if_arp.h>
#include <netpacket/packet.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/core/buf.h"
#include "base/os/fd.h"
#include "base/os/file.h"
#include "network/link.h"
#include "network/nl.h"
#include "network/tap.h"

#define TAKEOVER_BRIDGE	    "strata-br"
#define TAKEOVER_TAP	    "strata-tap"
#define TAKEOVER_ALIAS	    256 /* linux/if.h, IFALIASZ */
#define TAKEOVER_ROUTES_MAX ((size_t)1 << 20)

static void addresses_free_p(struct ifaddrs **list)
{
	if (*list)
		freeifaddrs(*list);
}

/* ---- what is there ---- */

static int read_link(const struct ifaddrs *at, struct takeover *net, struct err *err)
{
	const struct sockaddr_ll *link = (const struct sockaddr_ll *)(const void *)at->ifa_addr;
	const uint8_t *mac = link->sll_addr;

	if (at->ifa_flags & IFF_LOOPBACK)
		return 0;
	if (net->name[0])
		return err_say(err, ENOTUNIQ,
			       "the network namespace has two interfaces, %s and %.15s: a virtual "
			       "machine takes over one",
			       net->name, at->ifa_name);
	if (link->sll_hatype != ARPHRD_ETHER || link->sll_halen != 6)
		return err_say(
			err, EAFNOSUPPORT,
			"interface %.15s is no Ethernet, which is what a virtual machine has",
			at->ifa_name);
	(void)snprintf(net->name, sizeof(net->name), "%.15s", at->ifa_name); /* fits */
	(void)snprintf(net->mac, sizeof(net->mac), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1],
		       mac[2], mac[3], mac[4], mac[5]); /* fits */
	return 0;
}

/* Bits of a netmask; 0 where there is none. */
static unsigned read_prefix(const struct sockaddr *mask)
{
	const struct sockaddr_in *four = (const struct sockaddr_in *)(const void *)mask;
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)(const void *)mask;
	unsigned bits = 0;

	if (mask && mask->sa_family == AF_INET)
		return (unsigned)__builtin_popcount(four->sin_addr.s_addr);
	for (int i = 0; mask && mask->sa_family == AF_INET6 && i < 16; i++)
		bits += (unsigned)__builtin_popcount(six->sin6_addr.s6_addr[i]);
	return bits;
}

static void read_address6(const struct ifaddrs *at, struct takeover *net)
{
	const struct sockaddr_in6 *ip = (const struct sockaddr_in6 *)(const void *)at->ifa_addr;

	if (net->address6[0] || IN6_IS_ADDR_LINKLOCAL(&ip->sin6_addr))
		return;
	(void)inet_ntop(AF_INET6, &ip->sin6_addr, net->address6, sizeof(net->address6)); /* fits */
	net->prefix6 = read_prefix(at->ifa_netmask);
}

/* The first of each family is the interface's primary one. */
static void read_address(const struct ifaddrs *at, struct takeover *net)
{
	const struct sockaddr_in *ip = (const struct sockaddr_in *)(const void *)at->ifa_addr;

	if (strcmp(at->ifa_name, net->name) != 0)
		return;
	if (at->ifa_addr->sa_family == AF_INET6)
		read_address6(at, net);
	if (at->ifa_addr->sa_family != AF_INET || net->address[0])
		return;
	(void)inet_ntop(AF_INET, &ip->sin_addr, net->address, sizeof(net->address)); /* fits */
	net->prefix = read_prefix(at->ifa_netmask);
}

/* /proc/net/route, of the namespace that the reader is in: Linux net/ipv4/fib_trie.c, fib_route_seq_show(). */
static int read_gateway(struct takeover *net, struct err *err)
{
	AUTO(buf_fini) struct buf text = { 0 };
	char *save = NULL;
	int r = file_read(AT_FDCWD, "/proc/thread-self/net/route", TAKEOVER_ROUTES_MAX, &text);

	if (r < 0)
		return err_set(err, -r, "read the network namespace's routes");
	for (char *line = text.len ? strtok_r(text.data, "\n", &save) : NULL; line;
	     line = strtok_r(NULL, "\n", &save)) {
		char name[IF_NAMESIZE];
		unsigned to, gateway, flags, mask;
		if (sscanf(line, "%15s %x %x %x %*d %*d %*d %x", name, &to, &gateway, &flags,
			   &mask) != 5 ||
		    to || mask || !gateway || strcmp(name, net->name) != 0)
			continue;
		const struct in_addr ip = { .s_addr = gateway };
		(void)inet_ntop(AF_INET, &ip, net->gateway, sizeof(net->gateway)); /* fits */
		return 0;
	}
	return 0;
}

static uint8_t read_nibble(char c)
{
	return (uint8_t)(c >= 'a' ? c - 'a' + 10 : c - '0');
}

/* /proc/net/ipv6_route, likewise: Linux net/ipv6/ip6_fib.c, ipv6_route_native_seq_show(). */
static int read_gateway6(struct takeover *net, struct err *err)
{
	static const char nowhere[] = "00000000000000000000000000000000";
	AUTO(buf_fini) struct buf text = { 0 };
	char *save = NULL;
	int r = file_read(AT_FDCWD, "/proc/thread-self/net/ipv6_route", TAKEOVER_ROUTES_MAX, &text);

	if (r < 0)
		return r == -ENOENT ? 0 /* a kernel without IPv6 */
				    : err_set(err, -r, "read the network namespace's routes");
	for (char *line = text.len ? strtok_r(text.data, "\n", &save) : NULL; line;
	     line = strtok_r(NULL, "\n", &save)) {
		char to[33], gateway[33], name[IF_NAMESIZE];
		struct in6_addr ip;
		unsigned len;
		if (sscanf(line, "%32[0-9a-f] %2x %*s %*s %32[0-9a-f] %*s %*s %*s %*s %15s", to,
			   &len, gateway, name) != 4 ||
		    len || strlen(gateway) != 32 || !strcmp(gateway, nowhere) ||
		    strcmp(name, net->name) != 0)
			continue;
		for (unsigned i = 0; i < 16; i++)
			ip.s6_addr[i] = (uint8_t)(read_nibble(gateway[2 * i]) << 4 |
						  read_nibble(gateway[2 * i + 1]));
		(void)inet_ntop(AF_INET6, &ip, net->gateway6, sizeof(net->gateway6)); /* fits */
		return 0;
	}
	return 0;
}

static int read_mtu(struct takeover *net, struct err *err)
{
	AUTO(fd_close_p) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = { .ifr_mtu = 0 };

	(void)snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", net->name); /* fits */
	if (fd < 0 || ioctl(fd, SIOCGIFMTU, &request) < 0)
		return err_set(err, errno, "interface %s", net->name);
	net->mtu = (unsigned)request.ifr_mtu;
	return 0;
}

/* ---- what a machine before found ---- */

#define ALIAS_FORMAT "strata %15s %17s %u %45s %u %45s %45s %u %45s"

/* "-" where there is none: words are never empty. */
static const char *alias_word(const char *text)
{
	return text[0] ? text : "-";
}

static void alias_write(const struct takeover *net, char *ret, size_t size)
{
	(void)snprintf(ret, size, "strata %s %s %u %s %u %s %s %u %s", net->name, net->mac,
		       net->mtu, alias_word(net->address), net->prefix, alias_word(net->gateway),
		       alias_word(net->address6), net->prefix6,
		       alias_word(net->gateway6)); /* fits */
}

static int alias_read(const char *alias, struct takeover *ret, struct err *err)
{
	struct takeover net = { .again = true };
	char *const words[] = { net.address, net.gateway, net.address6, net.gateway6 };

	if (sscanf(alias, ALIAS_FORMAT, net.name, net.mac, &net.mtu, net.address, &net.prefix,
		   net.gateway, net.address6, &net.prefix6, net.gateway6) != 9)
		return err_say(err, EBADMSG,
			       "the network namespace has a bridge " TAKEOVER_BRIDGE
			       " that is not ours, or was left half-made: remove it");
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (!strcmp(words[i], "-"))
			words[i][0] = '\0';
	}
	*ret = net;
	return 0;
}

/* 1: there was none. */
static int read_again(struct takeover *ret, struct err *err)
{
	char alias[TAKEOVER_ALIAS];

	if (!if_nametoindex(TAKEOVER_BRIDGE))
		return 1;
	if (if_nametoindex(TAKEOVER_TAP))
		return err_say(err, EBUSY,
			       "the network namespace's interface is another virtual machine's");
	int r = link_owner(TAKEOVER_BRIDGE, alias, sizeof(alias));
	return r < 0 ? err_set(err, -r, "bridge " TAKEOVER_BRIDGE)
		     : alias_read(r ? alias : "", ret, err);
}

int takeover_read(struct takeover *ret, struct err *err)
{
	int again = read_again(ret, err);
	AUTO(addresses_free_p) struct ifaddrs *list = NULL;
	struct takeover net = { .prefix = 0 };
	int r = 0;

	if (again <= 0)
		return again;
	if (getifaddrs(&list) < 0)
		return err_set(err, errno, "list network interfaces");
	for (const struct ifaddrs *at = list; at && r == 0; at = at->ifa_next) {
		if (at->ifa_addr && at->ifa_addr->sa_family == AF_PACKET)
			r = read_link(at, &net, err);
	}
	for (const struct ifaddrs *at = list; at && r == 0; at = at->ifa_next) {
		if (at->ifa_addr)
			read_address(at, &net);
	}
	if (r == 0 && net.name[0])
		r = read_mtu(&net, err);
	if (r == 0 && net.name[0])
		r = read_gateway(&net, err);
	if (r == 0 && net.name[0])
		r = read_gateway6(&net, err);
	if (r == 0)
		*ret = net;
	return r;
}

/* ---- taking it ---- */

static int take_address(int fd, const struct ifaddrs *at, int index)
{
	const bool v4 = at->ifa_addr->sa_family == AF_INET;
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)(const void *)at->ifa_addr;
	const struct sockaddr_in *four = (const struct sockaddr_in *)(const void *)at->ifa_addr;
	const struct ifaddrmsg ifa = { .ifa_family = (unsigned char)at->ifa_addr->sa_family,
				       .ifa_prefixlen = (unsigned char)read_prefix(at->ifa_netmask),
				       .ifa_index = (unsigned)index };
	struct nl_msg msg;

	nl_begin(&msg, RTM_DELADDR, 0, &ifa, sizeof(ifa));
	if (v4)
		nl_attr(&msg, IFA_LOCAL, &four->sin_addr, sizeof(four->sin_addr));
	else
		nl_attr(&msg, IFA_ADDRESS, &six->sin6_addr, sizeof(six->sin6_addr));
	int r = nl_call(fd, &msg, NULL, 0);
	return r == -EADDRNOTAVAIL ? 0 : r; /* it went with another */
}

static int take_addresses(int fd, const struct takeover *net, int index)
{
	AUTO(addresses_free_p) struct ifaddrs *list = NULL;
	int r = 0;

	if (getifaddrs(&list) < 0)
		return -errno;
	for (const struct ifaddrs *at = list; at && r == 0; at = at->ifa_next) {
		if (!at->ifa_addr || strcmp(at->ifa_name, net->name) != 0)
			continue;
		if (at->ifa_addr->sa_family == AF_INET || at->ifa_addr->sa_family == AF_INET6)
			r = take_address(fd, at, index);
	}
	return r;
}

static int bridge_make(int fd, unsigned mtu)
{
	const struct ifinfomsg ifi = { .ifi_family = AF_UNSPEC };
	struct nl_msg msg;

	nl_begin(&msg, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &ifi, sizeof(ifi));
	nl_str(&msg, IFLA_IFNAME, TAKEOVER_BRIDGE);
	nl_u32(&msg, IFLA_MTU, mtu);
	size_t info = nl_nest(&msg, IFLA_LINKINFO);
	nl_str(&msg, IFLA_INFO_KIND, "bridge");
	size_t data = nl_nest(&msg, IFLA_INFO_DATA);
	nl_u8(&msg, IFLA_BR_MCAST_SNOOPING, 0); /* two ports: nothing to choose */
	nl_nest_end(&msg, data);
	nl_nest_end(&msg, info);
	return nl_call(fd, &msg, NULL, 0);
}

static int bridge_mark(int fd, const struct takeover *net)
{
	const struct ifinfomsg ifi = { .ifi_index = (int)if_nametoindex(TAKEOVER_BRIDGE) };
	char alias[TAKEOVER_ALIAS];
	struct nl_msg msg;

	alias_write(net, alias, sizeof(alias));
	nl_begin(&msg, RTM_NEWLINK, 0, &ifi, sizeof(ifi));
	nl_str(&msg, IFLA_IFALIAS, alias);
	return nl_call(fd, &msg, NULL, 0);
}

/*
 * A link up, quiet (no address of its own), below a bridge where one is given
 * @mac: a new one, or NULL
 */
static int port_set(int fd, int index, int bridge, const uint8_t *mac, unsigned mtu)
{
	const struct ifinfomsg ifi = { .ifi_index = index,
				       .ifi_flags = IFF_UP,
				       .ifi_change = IFF_UP };
	struct nl_msg msg;

	nl_begin(&msg, RTM_NEWLINK, 0, &ifi, sizeof(ifi));
	if (mac)
		nl_attr(&msg, IFLA_ADDRESS, mac, 6);
	nl_u32(&msg, IFLA_MTU, mtu);
	if (bridge)
		nl_u32(&msg, IFLA_MASTER, (uint32_t)bridge);
	return nl_call(fd, &msg, NULL, 0);
}

/* The interface's own becomes the machine's: it gets another, for a bridge keeps what is sent to its ports' MACs. */
static int take_ports(int fd, const struct takeover *net, int index)
{
	const int bridge = (int)if_nametoindex(TAKEOVER_BRIDGE);
	const int tap = (int)if_nametoindex(TAKEOVER_TAP);
	uint8_t mac[6];

	if (!bridge || !tap || getrandom(mac, sizeof(mac), 0) != sizeof(mac))
		return -errno;
	mac[0] = 0x02; /* locally administered, of one station */
	link_quiet(fd, index);
	link_quiet(fd, bridge);
	link_quiet(fd, tap);
	int r = port_set(fd, index, bridge, mac, net->mtu);
	if (r == 0)
		r = port_set(fd, tap, bridge, NULL, net->mtu);
	return r == 0 ? port_set(fd, bridge, 0, NULL, net->mtu) : r;
}

int takeover_begin(const struct takeover *net, int *ret_tap, struct err *err)
{
	const int index = (int)if_nametoindex(net->name);
	AUTO(fd_close_p) int fd = nl_open(NETLINK_ROUTE);
	AUTO(fd_close_p) int tap = -EBADF;

	if (fd < 0 || !index)
		return err_set(err, fd < 0 ? -fd : errno, "interface %s", net->name);
	int r = tap_open(TAKEOVER_TAP, &tap, err);
	if (r < 0)
		return r;
	r = net->again ? 0 : bridge_make(fd, net->mtu);
	if (r == 0 && !net->again)
		r = bridge_mark(
			fd,
			net); /* before anything is taken: killed from here on, it is done again */
	if (r < 0)
		return err_set(err, -r, "make a bridge for interface %s", net->name);
	r = take_addresses(fd, net, index);
	if (r == 0)
		r = take_ports(fd, net, index);
	if (r < 0)
		return err_set(err, -r, "hand interface %s to the virtual machine", net->name);
	*ret_tap = fd_take(&tap);
	return 0;
}
