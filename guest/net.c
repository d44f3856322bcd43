/* SPDX-License-Identifier: Apache-2.0 */
#include "net.h"

#include <dirent.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "file.h"
#include "network/nl.h"

#define NET_WAIT_MS 10000
#define NET_STEP_MS 5
#define NET_IFF_UP  1U /* IFF_UP: <linux/if.h> and <net/if.h> do not go together */

static int net_up(int fd, int index)
{
	const struct ifinfomsg link = { .ifi_index = index,
					.ifi_flags = NET_IFF_UP,
					.ifi_change = NET_IFF_UP };
	struct nl_msg msg;

	nl_begin(&msg, RTM_NEWLINK, 0, &link, sizeof(link));
	return nl_call(fd, &msg, NULL, 0);
}

static int net_address(int fd, int index, const struct agent_net *net)
{
	/* IFA_F_NODAD: the host gave it to nobody else. */
	const struct ifaddrmsg address = { .ifa_family = net->family == 4 ? AF_INET : AF_INET6,
					   .ifa_prefixlen = net->prefix,
					   .ifa_flags = net->family == 4 ? 0 : IFA_F_NODAD,
					   .ifa_index = (unsigned)index };
	size_t len = net->family == 4 ? 4 : 16;
	struct nl_msg msg;

	nl_begin(&msg, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, &address, sizeof(address));
	nl_attr(&msg, IFA_LOCAL, net->address, len);
	nl_attr(&msg, IFA_ADDRESS, net->address, len);
	return nl_call(fd, &msg, NULL, 0);
}

static int net_route(int fd, int index, const struct agent_net *net)
{
	const struct rtmsg route = { .rtm_family = net->family == 4 ? AF_INET : AF_INET6,
				     .rtm_table = RT_TABLE_MAIN,
				     .rtm_protocol = RTPROT_BOOT,
				     .rtm_scope = RT_SCOPE_UNIVERSE,
				     .rtm_type = RTN_UNICAST };
	struct nl_msg msg;

	nl_begin(&msg, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, &route, sizeof(route));
	nl_attr(&msg, RTA_GATEWAY, net->gateway, net->family == 4 ? 4 : 16);
	nl_u32(&msg, RTA_OIF, (uint32_t)index);
	return nl_call(fd, &msg, NULL, 0);
}

static bool net_zero(const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (bytes[i])
			return false;
	}
	return true;
}

static bool net_is(const char *name, const uint8_t mac[6])
{
	char path[96], text[32], want[32];

	if (net_zero(mac, 6))
		return !strcmp(name, "eth0");
	(void)snprintf(path, sizeof(path), "/sys/class/net/%.31s/address", name);
	(void)snprintf(want, sizeof(want), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2],
		       mac[3], mac[4], mac[5]); /* both fit */
	return file_line(path, text, sizeof(text)) >= 0 && !strcmp(text, want);
}

static int net_look(const uint8_t mac[6], char ret[IF_NAMESIZE])
{
	DIR *dir = opendir("/sys/class/net");
	const struct dirent *entry;
	int index = 0;

	if (!dir)
		return 0;
	while (!index && (entry = readdir(dir))) {
		if (strlen(entry->d_name) >= IF_NAMESIZE || !net_is(entry->d_name, mac))
			continue;
		index = (int)if_nametoindex(entry->d_name);
		(void)snprintf(ret, IF_NAMESIZE, "%.15s", entry->d_name); /* fits */
	}
	(void)closedir(dir);
	return index;
}

static int net_find(const uint8_t mac[6], char ret[IF_NAMESIZE], struct err *err)
{
	for (int ms = 0; ms < NET_WAIT_MS; ms += NET_STEP_MS) {
		int index = net_look(mac, ret);
		if (index > 0)
			return index;
		(void)usleep(NET_STEP_MS *
			     1000); /* a driver's probe has no end that one could wait for */
	}
	return err_say(err, ENODEV,
		       "network interface %02x:%02x:%02x:%02x:%02x:%02x: this machine has none",
		       mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
}

static int net_one(int fd, const struct agent_net *net, struct err *err)
{
	char name[IF_NAMESIZE];

	if ((net->family != 0 && net->family != 4 && net->family != 6) ||
	    net->prefix > (net->family == 6 ? 128 : 32))
		return err_say(err, EPROTO, "the host's message: bad network address");
	int index = net_find(net->mac, name, err);
	if (index < 0)
		return index;
	int r = net_up(fd, index);
	if (r == 0 && net->family)
		r = net_address(fd, index, net);
	if (r == 0 && net->family && !net_zero(net->gateway, sizeof(net->gateway)))
		r = net_route(fd, index, net);
	return r < 0 ? err_set(err, -r, "network interface %s", name) : 0;
}

/* A guest on a network may bind low ports and ping without more capabilities, as at OS level. */
static void net_sysctls(void)
{
	(void)file_put_text("/proc/sys/net/ipv4/ip_unprivileged_port_start",
			    "0"); /* a convenience */
	(void)file_put_text("/proc/sys/net/ipv4/ping_group_range", "0 2147483647"); /* likewise */
}

int net_setup(const struct config *config, struct err *err)
{
	AUTO(fd_close_p) int fd = nl_open(NETLINK_ROUTE);
	if (fd < 0)
		return err_set(err, -fd, "netlink socket");
	int lo = (int)if_nametoindex("lo");
	int r = lo ? net_up(fd, lo) : 0;
	if (r < 0)
		return err_set(err, -r, "network interface lo");
	for (size_t i = 0; r == 0 && i < config->n_nets; i++)
		r = net_one(fd, &config->nets[i], err);
	if (r == 0 && config->n_nets)
		net_sysctls();
	return r;
}
