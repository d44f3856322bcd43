/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Rates of an instance's link, held at its end on the host, where nobody inside reaches them; by rtnetlink alone, as link.h.
 *
 * Theory of operation. What the instance is sent leaves by that link (a veth or a tap): a token bucket (sch_tbf) as the link's own
 * queue holds it back. What the instance sends comes in there, where Linux has no queue: it is redirected (ingress, cls_u32, act_mirred)
 * to a link of kind ifb, whose queue is a token bucket as well, and goes on as if it had just come. Nothing is dropped before the
 * bucket's queue is full, so that TCP finds its pace.
 *
 * Life. The buckets go with the link. The ifb does not: rate_forget() when the instance has ended. Its name follows from the link's.
 * Source: Linux net/sched/sch_tbf.c, cls_u32.c, act_mirred.c, drivers/net/ifb.c; linux/pkt_sched.h, linux/pkt_cls.h; tc-tbf(8).
 */
#include <stdint.h>

#include "base/core/err.h"

#define RATE_MIN INT64_C(8000)		/* bits a second: a kilobyte */
#define RATE_MAX INT64_C(1000000000000) /* likewise: a terabit */

struct rates {		 /* bits a second; 0: as it is, -1: none */
	int64_t ingress; /* to the instance */
	int64_t egress;	 /* from it */
};

/*
 * rate_set() - change the rates of a link
 * @host_if: on the host, in the caller's network namespace
 * Errors: -ENODEV; -ENOTSUP where the kernel lacks what it takes, in words; else the kernel's. A rate that was changed before stays so.
 */
int rate_set(const char *host_if, const struct rates *rates, struct err *err);
/* rate_forget() - what outlives a link of this name; absent is fine. */
int rate_forget(const char *host_if, struct err *err);
