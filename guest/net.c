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

#define NET_WAIT_MS 10000
#define NET_STEP_MS 5
#define NET_IFF_UP  1U /* IFF_UP: <linux/if.h> and <net/if.h> do not go together */

struct net_message {
	struct nlmsghdr head;
	union {
		struct ifinfomsg link;
		struct ifaddrmsg address;
		struct rtmsg route;
	};
	char attributes[128];
};

static void net_begin(struct net_message *m, uint16_t type, uint16_t flags, size_t body)
{
	*m = (struct net_message){ 0 };
	m->head.nlmsg_type = type;
	m->head.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
	m->head.nlmsg_len = (uint32_t)NLMSG_LENGTH(body);
}

/* Callers add three attributes of 16 bytes at most: they fit. */
static void net_attribute(struct net_message *m, uint16_t type, const void *data, size_t len)
{
	struct rtattr *attr = (void *)((char *)m + NLMSG_ALIGN(m->head.nlmsg_len));

	attr->rta_type = type;
	attr->rta_len = (uint16_t)RTA_LENGTH(len);
	memcpy(RTA_DATA(attr), data, len);
	m->head.nlmsg_len = (uint32_t)(NLMSG_ALIGN(m->head.nlmsg_len) + RTA_SPACE(len));
}

static int net_talk(int fd, const struct net_message *m)
{
	struct {
		struct nlmsghdr head;
		struct nlmsgerr error;
		char rest[512];
	} answer;

	if (send(fd, m, m->head.nlmsg_len, 0) < 0)
		return -errno;
	ssize_t n = recv(fd, &answer, sizeof(answer), 0);
	if (n < 0)
		return -errno;
	if ((size_t)n < NLMSG_LENGTH(sizeof(answer.error)) || answer.head.nlmsg_type != NLMSG_ERROR)
		return -EBADMSG;
	return answer.error.error;
}

static int net_up(int fd, int index)
{
	struct net_message m;

	net_begin(&m, RTM_NEWLINK, 0, sizeof(m.link));
	m.link.ifi_index = index;
	m.link.ifi_flags = m.link.ifi_change = NET_IFF_UP;
	return net_talk(fd, &m);
}

static int net_address(int fd, int index, const struct agent_net *net)
{
	struct net_message m;
	size_t len = net->family == 4 ? 4 : 16;

	net_begin(&m, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, sizeof(m.address));
	m.address.ifa_family = net->family == 4 ? AF_INET : AF_INET6;
	m.address.ifa_prefixlen = net->prefix;
	m.address.ifa_index = (unsigned)index;
	m.address.ifa_flags =
		net->family == 4 ? 0 : IFA_F_NODAD; /* the host gave it to nobody else */
	net_attribute(&m, IFA_LOCAL, net->address, len);
	net_attribute(&m, IFA_ADDRESS, net->address, len);
	return net_talk(fd, &m);
}

static int net_route(int fd, int index, const struct agent_net *net)
{
	struct net_message m;

	net_begin(&m, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, sizeof(m.route));
	m.route.rtm_family = net->family == 4 ? AF_INET : AF_INET6;
	m.route.rtm_table = RT_TABLE_MAIN;
	m.route.rtm_protocol = RTPROT_BOOT;
	m.route.rtm_scope = RT_SCOPE_UNIVERSE;
	m.route.rtm_type = RTN_UNICAST;
	net_attribute(&m, RTA_GATEWAY, net->gateway, net->family == 4 ? 4 : 16);
	net_attribute(&m, RTA_OIF, &index, sizeof(index));
	return net_talk(fd, &m);
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
	AUTO(fd_close_p) int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (fd < 0)
		return err_set(err, errno, "netlink socket");
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
