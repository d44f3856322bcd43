/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>

#include "base/os/fd.h"
#include "network/nl.h"
#include "network/private.h"

/*
 * One message with a filter instead of a list of all flows; kernels before 5.8 refuse it, which
 * costs nothing.
 */
static void conntrack_delete(const struct nl_msg *msg)
{
	struct nl_msg copy = *msg;
	AUTO(fd_close_p) int fd = nl_open(NETLINK_NETFILTER);

	if (fd >= 0)
		(void)nl_call(fd, &copy, NULL, 0); /* no such flow, mostly */
}

/* CTA_FILTER's bits, "which members count": linux/net/netfilter/nf_internals.h, CTA_FILTER_F_*. */
#define FILTER_IP_SRC	 (1u << 0)
#define FILTER_PROTO_NUM (1u << 3)
#define FILTER_DST_PORT	 (1u << 5)

static void conntrack_filter(struct nl_msg *msg, uint32_t orig, uint32_t reply)
{
	size_t filter = nl_nest(msg, CTA_FILTER);

	nl_u32(msg, CTA_FILTER_ORIG_FLAGS, orig);
	nl_u32(msg, CTA_FILTER_REPLY_FLAGS, reply);
	nl_nest_end(msg, filter);
}

static void conntrack_begin(struct nl_msg *msg)
{
	struct nfgenmsg head = { .nfgen_family = AF_INET, .version = 1 };

	nl_begin(msg, NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE, 0, &head, sizeof(head));
}

void conntrack_forget(uint32_t address)
{
	struct nl_msg msg;

	conntrack_begin(&msg);
	size_t tuple = nl_nest(&msg, CTA_TUPLE_REPLY);
	size_t ip = nl_nest(&msg, CTA_TUPLE_IP);
	nl_u32(&msg, CTA_IP_V4_SRC, htonl(address));
	nl_nest_end(&msg, ip);
	nl_nest_end(&msg, tuple);
	conntrack_filter(&msg, 0, FILTER_IP_SRC);
	conntrack_delete(&msg);
}

void conntrack_forget_udp(uint16_t port)
{
	uint16_t be = htons(port);
	struct nl_msg msg;

	conntrack_begin(&msg);
	size_t tuple = nl_nest(&msg, CTA_TUPLE_ORIG);
	size_t proto = nl_nest(&msg, CTA_TUPLE_PROTO);
	nl_u8(&msg, CTA_PROTO_NUM, IPPROTO_UDP);
	nl_attr(&msg, CTA_PROTO_DST_PORT, &be, sizeof(be));
	nl_nest_end(&msg, proto);
	nl_nest_end(&msg, tuple);
	conntrack_filter(&msg, FILTER_PROTO_NUM | FILTER_DST_PORT, 0);
	conntrack_delete(&msg);
}
