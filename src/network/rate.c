/* SPDX-License-Identifier: Apache-2.0 */
#include "network/rate.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/tc_act/tc_mirred.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "base/core/macros.h"
#include "base/os/fd.h"
#include "network/link.h"
#include "network/nl.h"

#define RATE_HANDLE (1U << 16) /* "1:" */
#define RATE_BURST                                                                                 \
	(16U << 10)	/* bytes: ten frames of an Ethernet's length, and at any rate 10 ms of it */
#define RATE_BURSTS 100 /* of a second */
#define RATE_QUEUE                                                                                 \
	(64U << 10) /* bytes that may wait, and at any rate 100 ms of it: one send of 64 KiB */
#define RATE_QUEUES    10 /* of a second */
#define RATE_BYTES_MAX (UINT32_C(1) << 30)

/* "veth0123456789a" to "ifb0123456789a": as unique. */
static void rate_ifb(const char *host_if, char ret[IF_NAMESIZE])
{
	const size_t skip = strncmp(host_if, "veth", 4) ? 0 : 4;

	(void)snprintf(ret, IF_NAMESIZE, "ifb%.12s", host_if + skip); /* fits */
}

static struct tcmsg rate_tc(unsigned index, uint32_t handle, uint32_t parent)
{
	return (struct tcmsg){ .tcm_family = AF_UNSPEC,
			       .tcm_ifindex = (int)index,
			       .tcm_handle = handle,
			       .tcm_parent = parent };
}

static uint32_t rate_part(uint64_t bytes, unsigned parts, uint32_t least)
{
	const uint64_t n = bytes / parts;

	return n < least ? least : n > RATE_BYTES_MAX ? RATE_BYTES_MAX : (uint32_t)n;
}

static int bucket_set(int fd, unsigned index, uint64_t bits)
{
	const uint64_t bytes = bits / 8;
	const uint32_t burst = rate_part(bytes, RATE_BURSTS, RATE_BURST);
	struct tcmsg tc = rate_tc(index, RATE_HANDLE, TC_H_ROOT);
	struct tc_tbf_qopt opt = {
		/* A link layer that is said needs no table of sizes beside. */
		.rate = { .linklayer = TC_LINKLAYER_ETHERNET,
			  .rate = bytes > UINT32_MAX ? UINT32_MAX : (uint32_t)bytes },
		.limit = burst + rate_part(bytes, RATE_QUEUES, RATE_QUEUE),
	};
	struct nl_msg msg;

	nl_begin(&msg, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, &tc, sizeof(tc));
	nl_str(&msg, TCA_KIND, "tbf");
	size_t options = nl_nest(&msg, TCA_OPTIONS);
	nl_attr(&msg, TCA_TBF_PARMS, &opt, sizeof(opt));
	nl_u32(&msg, TCA_TBF_BURST, burst);
	if (bytes > UINT32_MAX)
		nl_attr(&msg, TCA_TBF_RATE64, &bytes, sizeof(bytes));
	nl_nest_end(&msg, options);
	return nl_call(fd, &msg, NULL, 0);
}

/* A queue that is not there is an answer of its own in each kernel. */
static int queue_drop(int fd, unsigned index, uint32_t handle, uint32_t parent)
{
	struct tcmsg tc = rate_tc(index, handle, parent);
	struct nl_msg msg;

	nl_begin(&msg, RTM_DELQDISC, 0, &tc, sizeof(tc));
	int r = nl_call(fd, &msg, NULL, 0);
	return r == -ENOENT || r == -EINVAL ? 0 : r;
}

static int ingress_add(int fd, unsigned index)
{
	struct tcmsg tc = rate_tc(index, 0xffff0000U, TC_H_INGRESS);
	struct nl_msg msg;

	nl_begin(&msg, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, &tc, sizeof(tc));
	nl_str(&msg, TCA_KIND, "ingress");
	return nl_call(fd, &msg, NULL, 0);
}

/* Every packet that comes in goes out at the other link. cls_u32 is in more kernels than cls_matchall. */
static int redirect_add(int fd, unsigned from, unsigned to)
{
	struct tcmsg tc = rate_tc(from, 0, 0xffff0000U);
	/* One key behind it, of nothing but zeros: it is in every packet. */
	const struct tc_u32_sel sel = { .flags = TC_U32_TERMINAL, .nkeys = 1 };
	unsigned char all[sizeof(sel) + sizeof(struct tc_u32_key)] = { 0 };
	const struct tc_mirred mirred = { .action = TC_ACT_STOLEN,
					  .eaction = TCA_EGRESS_REDIR,
					  .ifindex = to };
	struct nl_msg msg;

	memcpy(all, &sel, sizeof(sel));
	tc.tcm_info = TC_H_MAKE(1U << 16, (uint32_t)__builtin_bswap16(ETH_P_ALL));
	nl_begin(&msg, RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, &tc, sizeof(tc));
	nl_str(&msg, TCA_KIND, "u32");
	size_t options = nl_nest(&msg, TCA_OPTIONS);
	nl_attr(&msg, TCA_U32_SEL, all, sizeof(all));
	size_t actions = nl_nest(&msg, TCA_U32_ACT);
	size_t first = nl_nest(&msg, 1);
	nl_str(&msg, TCA_ACT_KIND, "mirred");
	size_t action = nl_nest(&msg, TCA_ACT_OPTIONS);
	nl_attr(&msg, TCA_MIRRED_PARMS, &mirred, sizeof(mirred));
	nl_nest_end(&msg, action);
	nl_nest_end(&msg, first);
	nl_nest_end(&msg, actions);
	nl_nest_end(&msg, options);
	return nl_call(fd, &msg, NULL, 0);
}

static int ifb_add(int fd, const char *name)
{
	struct ifinfomsg ifi = { .ifi_family = AF_UNSPEC };
	struct nl_msg msg;

	nl_begin(&msg, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &ifi, sizeof(ifi));
	nl_str(&msg, IFLA_IFNAME, name);
	size_t info = nl_nest(&msg, IFLA_LINKINFO);
	nl_str(&msg, IFLA_INFO_KIND, "ifb");
	nl_nest_end(&msg, info);
	int r = nl_call(fd, &msg, NULL, 0);
	return r == -EEXIST ? 0 : r;
}

/* The redirection is made anew: one who was killed may have left half of it. */
static int egress_set(int fd, unsigned index, const char *ifb, uint64_t bits)
{
	int r = ifb_add(fd, ifb);
	const unsigned to = r == 0 ? if_nametoindex(ifb) : 0;

	if (r == 0 && !to)
		r = -errno;
	if (r == 0)
		r = bucket_set(fd, to, bits);
	if (r == 0) {
		link_quiet(fd, (int)to);
		r = link_up(fd, (int)to);
	}
	if (r == 0)
		r = queue_drop(fd, index, 0xffff0000U, TC_H_INGRESS);
	if (r == 0)
		r = ingress_add(fd, index);
	return r == 0 ? redirect_add(fd, index, to) : r;
}

static int egress_lift(int fd, unsigned index, const char *ifb)
{
	int r = queue_drop(fd, index, 0xffff0000U, TC_H_INGRESS);

	return r == 0 && if_nametoindex(ifb) ? link_remove(ifb, NULL) : r;
}

/* What a kernel says that has no such module: of a link, of a queue, of a filter. */
static int rate_error(int r, const char *what, const char *modules, struct err *err)
{
	if (r == -EOPNOTSUPP || r == -ENOENT)
		return err_say(
			err, ENOTSUP,
			"the kernel cannot hold back what an instance %s: it lacks one of %s", what,
			modules);
	return r < 0 ? err_set(err, -r, "rate of what an instance %s", what) : 0;
}

static int rate_ingress(int fd, unsigned index, int64_t bits, struct err *err)
{
	int r = bits > 0 ? bucket_set(fd, index, (uint64_t)bits)
			 : queue_drop(fd, index, RATE_HANDLE, TC_H_ROOT);

	return rate_error(r, "is sent", "sch_tbf", err);
}

static int rate_egress(int fd, unsigned index, const char *ifb, int64_t bits, struct err *err)
{
	int r = bits > 0 ? egress_set(fd, index, ifb, (uint64_t)bits) : egress_lift(fd, index, ifb);

	if (r < 0 && bits > 0)
		(void)egress_lift(fd, index, ifb); /* the first error is the one to report */
	return rate_error(r, "sends", "ifb, sch_tbf, sch_ingress, cls_u32, act_mirred", err);
}

int rate_set(const char *host_if, const struct rates *rates, struct err *err)
{
	char ifb[IF_NAMESIZE];
	const unsigned index = if_nametoindex(host_if);

	if (!index)
		return err_set(err, ENODEV, "rate of link %s", host_if);
	AUTO(fd_close_p) int fd = nl_open(NETLINK_ROUTE);
	if (fd < 0)
		return err_set(err, -fd, "netlink socket");
	rate_ifb(host_if, ifb);
	int r = rates->ingress ? rate_ingress(fd, index, rates->ingress, err) : 0;
	return r == 0 && rates->egress ? rate_egress(fd, index, ifb, rates->egress, err) : r;
}

int rate_forget(const char *host_if, struct err *err)
{
	char ifb[IF_NAMESIZE];

	rate_ifb(host_if, ifb);
	return if_nametoindex(ifb) ? link_remove(ifb, err) : 0;
}
