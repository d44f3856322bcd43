/* SPDX-License-Identifier: Apache-2.0 */
/* In a network namespace of each test's own, which takes root: what the kernel then has is asked of it. */
#include <errno.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/core/macros.h"
#include "base/os/fd.h"
#include "network/nl.h"
#include "network/rate.h"
#include "network/tap.h"

#define LINK "veth0123456789a"
#define IFB  "ifb0123456789a"

static int fresh_namespace(void **state)
{
	(void)state;
	return unshare(CLONE_NEWNET) < 0 ? -1 : 0;
}

/* Bytes a second of the bucket that a link's queue is; 0: it is none. */
static uint64_t bucket_of(const char *name)
{
	_Alignas(8) unsigned char answer[4096];
	struct tcmsg tc = { .tcm_ifindex = (int)if_nametoindex(name), .tcm_parent = TC_H_ROOT };
	struct tc_tbf_qopt opt;
	struct nl_msg msg;
	uint64_t rate64;
	size_t len = 0;
	AUTO(fd_close_p) int fd = nl_open(NETLINK_ROUTE);

	assert_true(tc.tcm_ifindex);
	/* Of a queue that it made itself the kernel says nothing at all: an acknowledgement ends it. */
	nl_begin(&msg, RTM_GETQDISC, NLM_F_ACK | NLM_F_ECHO, &tc, sizeof(tc));
	int n = nl_call(fd, &msg, answer, sizeof(answer));
	if (n <= 0)
		return 0;
	const size_t skip = sizeof(struct nlmsghdr) + sizeof(tc);
	const char *kind = nl_find(answer, (size_t)n, skip, TCA_KIND, &len);
	if (!kind || strcmp(kind, "tbf") != 0)
		return 0;
	const void *options = nl_find(answer, (size_t)n, skip, TCA_OPTIONS, &len);
	assert_non_null(options);
	size_t wide = 0, all = len;
	const void *big = nl_find(options, all, 0, TCA_TBF_RATE64, &wide);
	if (big) {
		memcpy(&rate64, big, sizeof(rate64));
		return rate64;
	}
	const void *parms = nl_find(options, all, 0, TCA_TBF_PARMS, &len);
	assert_true(parms && len == sizeof(opt));
	memcpy(&opt, parms, sizeof(opt));
	return opt.rate.rate;
}

static int made(int64_t ingress, int64_t egress)
{
	const struct rates rates = { .ingress = ingress, .egress = egress };
	struct err err = { 0 };
	int r = rate_set(LINK, &rates, &err);

	if (r < 0)
		print_message("%s\n", err.text);
	return r;
}

static int link_made(void)
{
	int tap = -EBADF;
	struct err err = { 0 };

	if (tap_open(LINK, &tap, &err) < 0)
		fail_msg("%s", err.text);
	return tap;
}

static void each_way_has_a_rate_of_its_own(void **state)
{
	AUTO(fd_close_p) int tap = link_made();

	(void)state;
	assert_true(tap >= 0);
	assert_int_equal(made(8000000, 0), 0);
	assert_int_equal(bucket_of(LINK), 1000000);
	assert_int_equal(if_nametoindex(IFB), 0);
	assert_int_equal(made(0, 16000000), 0);
	assert_int_equal(bucket_of(LINK), 1000000);
	assert_int_equal(bucket_of(IFB), 2000000);
	assert_int_equal(made(24000, 0), 0);
	assert_int_equal(bucket_of(LINK), 3000);
	assert_int_equal(bucket_of(IFB), 2000000);
}

static void rates_change_and_are_lifted_again_and_again(void **state)
{
	AUTO(fd_close_p) int tap = link_made();

	(void)state;
	assert_true(tap >= 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(made(RATE_MIN, RATE_MAX), 0);
		assert_int_equal(bucket_of(LINK), RATE_MIN / 8);
		assert_int_equal(bucket_of(IFB), RATE_MAX / 8);
		assert_int_equal(made(RATE_MAX, RATE_MIN), 0);
		assert_int_equal(bucket_of(LINK), RATE_MAX / 8);
		assert_int_equal(bucket_of(IFB), RATE_MIN / 8);
		assert_int_equal(made(-1, -1), 0);
		assert_int_equal(bucket_of(LINK), 0);
		assert_int_equal(if_nametoindex(IFB), 0);
		assert_int_equal(made(-1, -1), 0);
	}
}

/* A restart finds the ifb of the life before, whose link has gone. */
static void a_new_link_takes_the_old_ifb(void **state)
{
	int tap = link_made();

	(void)state;
	assert_int_equal(made(0, 8000000), 0);
	fd_close(tap);
	assert_int_equal(if_nametoindex(LINK), 0);
	assert_int_not_equal(if_nametoindex(IFB), 0);
	tap = link_made();
	assert_int_equal(made(0, 16000000), 0);
	assert_int_equal(bucket_of(IFB), 2000000);
	fd_close(tap);
	assert_int_equal(rate_forget(LINK, NULL), 0);
	assert_int_equal(if_nametoindex(IFB), 0);
	assert_int_equal(rate_forget(LINK, NULL), 0);
}

static void no_link_is_an_error(void **state)
{
	const struct rates rates = { .ingress = 8000 };
	struct err err = { 0 };

	(void)state;
	assert_int_equal(rate_set(LINK, &rates, &err), -ENODEV);
	assert_non_null(strstr(err.text, LINK));
}

/* In a namespace whose owner may not load modules or lacks them the words say which. */
static int can_not(void)
{
	const struct rates rates = { .ingress = 8000, .egress = 8000 };
	AUTO(fd_close_p) int tap = -EBADF;

	return geteuid() != 0 || access("/dev/net/tun", R_OK | W_OK) < 0 ||
	       unshare(CLONE_NEWNET) < 0 || tap_open(LINK, &tap, NULL) < 0 ||
	       rate_set(LINK, &rates, NULL) == -ENOTSUP;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(each_way_has_a_rate_of_its_own, fresh_namespace),
		cmocka_unit_test_setup(rates_change_and_are_lifted_again_and_again,
				       fresh_namespace),
		cmocka_unit_test_setup(a_new_link_takes_the_old_ifb, fresh_namespace),
		cmocka_unit_test_setup(no_link_is_an_error, fresh_namespace),
	};

	if (can_not()) {
		print_message("needs root, /dev/net/tun and a kernel with tbf, ifb, u32, mirred\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
