/* SPDX-License-Identifier: Apache-2.0 */
/* In a network namespace of each test's own, which takes root. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/ipv6.h>
#include <net/if.h>
#include <net/route.h>
#include <netinet/in.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/core/macros.h"
#include "base/os/fd.h"
#include "network/takeover.h"
#include "network/tap.h"

static int fresh_namespace(void **state)
{
	(void)state;
	return unshare(CLONE_NEWNET) < 0 ? -1 : 0;
}

static int can_not(void)
{
	AUTO(fd_close_p) int tap = -EBADF;

	return geteuid() != 0 || access("/dev/net/tun", R_OK | W_OK) < 0 ||
	       unshare(CLONE_NEWNET) < 0 || tap_open("try", &tap, NULL) < 0;
}

static void set(unsigned long request, const char *name, const char *address, int number)
{
	AUTO(fd_close_p) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq ifr = { .ifr_flags = 0 };
	struct sockaddr_in *ip = (struct sockaddr_in *)(void *)&ifr.ifr_addr;

	(void)snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (address) {
		ip->sin_family = AF_INET;
		assert_int_equal(inet_pton(AF_INET, address, &ip->sin_addr), 1);
	} else if (request == SIOCSIFFLAGS) {
		ifr.ifr_flags = (short)number;
	} else {
		ifr.ifr_mtu = number;
	}
	assert_int_equal(ioctl(fd, request, &ifr), 0);
}

static int furnish(const char *name, const char *address)
{
	int tap = -EBADF;
	struct err err = { 0 };

	if (tap_open(name, &tap, &err) < 0)
		fail_msg("%s", err.text);
	set(SIOCSIFADDR, name, address, 0);
	set(SIOCSIFNETMASK, name, "255.255.240.0", 0);
	set(SIOCSIFMTU, name, NULL, 1400);
	set(SIOCSIFFLAGS, name, NULL, IFF_UP);
	return tap;
}

static void ip6_add(const char *name, const char *address, const char *gateway)
{
	AUTO(fd_close_p) int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct in6_ifreq ifr = { .ifr6_ifindex = (int)if_nametoindex(name), .ifr6_prefixlen = 80 };
	struct in6_rtmsg route = { .rtmsg_flags = RTF_UP | RTF_GATEWAY,
				   .rtmsg_metric = 1,
				   .rtmsg_ifindex = ifr.ifr6_ifindex };

	assert_int_equal(inet_pton(AF_INET6, address, &ifr.ifr6_addr), 1);
	assert_int_equal(inet_pton(AF_INET6, gateway, &route.rtmsg_gateway), 1);
	assert_int_equal(ioctl(fd, SIOCSIFADDR, &ifr), 0);
	assert_int_equal(ioctl(fd, SIOCADDRT, &route), 0);
}

static void ip4_default(const char *gateway)
{
	AUTO(fd_close_p) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct rtentry route = { .rt_flags = RTF_UP | RTF_GATEWAY };
	struct sockaddr_in *to = (struct sockaddr_in *)(void *)&route.rt_dst;
	struct sockaddr_in *mask = (struct sockaddr_in *)(void *)&route.rt_genmask;
	struct sockaddr_in *ip = (struct sockaddr_in *)(void *)&route.rt_gateway;

	to->sin_family = mask->sin_family = ip->sin_family = AF_INET;
	assert_int_equal(inet_pton(AF_INET, gateway, &ip->sin_addr), 1);
	assert_int_equal(ioctl(fd, SIOCADDRT, &route), 0);
}

static void no_interface_is_no_network(void **state)
{
	struct takeover net;
	struct err err = { 0 };

	(void)state;
	assert_int_equal(takeover_read(&net, &err), 0);
	assert_string_equal(net.name, "");
}

static void what_is_there_is_read(void **state)
{
	struct takeover net;
	struct err err = { 0 };
	AUTO(fd_close_p) int tap = furnish("eth7", "10.7.0.9");

	(void)state;
	assert_true(tap >= 0);
	assert_int_equal(takeover_read(&net, &err), 0);
	assert_string_equal(net.name, "eth7");
	assert_string_equal(net.address, "10.7.0.9");
	assert_string_equal(net.gateway, "");
	assert_string_equal(net.address6, "");
	assert_int_equal(net.prefix, 20);
	assert_int_equal(net.mtu, 1400);
	assert_int_equal(strlen(net.mac), 17);
}

static void default_routes_of_either_kind_are_read(void **state)
{
	struct takeover net;
	struct err err = { 0 };
	AUTO(fd_close_p) int tap = furnish("eth7", "10.7.0.9");

	(void)state;
	assert_true(tap >= 0);
	ip4_default("10.7.0.1");
	ip6_add("eth7", "fd07::9", "fd07::a1");
	assert_int_equal(takeover_read(&net, &err), 0);
	assert_string_equal(net.gateway, "10.7.0.1");
	assert_string_equal(net.address6, "fd07::9");
	assert_int_equal(net.prefix6, 80);
	assert_string_equal(net.gateway6, "fd07::a1");
}

static void two_interfaces_are_refused(void **state)
{
	struct takeover net;
	struct err err = { 0 };
	AUTO(fd_close_p) int one = furnish("one", "10.7.0.9");
	AUTO(fd_close_p) int two = furnish("two", "10.8.0.9");

	(void)state;
	assert_true(one >= 0 && two >= 0);
	assert_int_equal(takeover_read(&net, &err), -ENOTUNIQ);
	assert_non_null(strstr(err.text, "two"));
}

/* The address is the machine's then, and so is the MAC. */
static void the_interface_gives_up_what_it_had(void **state)
{
	struct takeover net, after;
	struct err err = { 0 };
	AUTO(fd_close_p) int tap = furnish("eth7", "10.7.0.9");
	AUTO(fd_close_p) int machine = -EBADF;

	(void)state;
	assert_true(tap >= 0);
	assert_int_equal(takeover_read(&net, &err), 0);
	if (takeover_begin(&net, &machine, &err) < 0)
		fail_msg("%s", err.text);
	assert_true(machine >= 0);
	assert_true(if_nametoindex("strata-br") && if_nametoindex("strata-tap"));
	assert_int_equal(takeover_read(&after, &err), -EBUSY);
	AUTO(fd_close_p) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq ifr = { .ifr_name = "eth7" };
	assert_int_equal(ioctl(fd, SIOCGIFADDR, &ifr), -1);
	assert_int_equal(errno, EADDRNOTAVAIL);
	assert_int_equal(ioctl(fd, SIOCGIFHWADDR, &ifr), 0);
	char mac[18];
	const unsigned char *at = (const unsigned char *)ifr.ifr_hwaddr.sa_data;
	(void)snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", at[0], at[1], at[2],
		       at[3], at[4], at[5]);
	assert_string_not_equal(mac, net.mac);
}

/* A pod's namespace outlives its containers: the next machine there gets what the first had. */
static void the_next_machine_gets_the_same(void **state)
{
	struct takeover net, after, third;
	struct err err = { 0 };
	AUTO(fd_close_p) int tap = furnish("eth7", "10.7.0.9");
	int machine = -EBADF;

	(void)state;
	assert_true(tap >= 0);
	ip4_default("10.7.0.1");
	ip6_add("eth7", "fd07::9", "fd07::a1");
	assert_int_equal(takeover_read(&net, &err), 0);
	assert_int_equal(takeover_begin(&net, &machine, &err), 0);
	fd_close(machine);
	if (takeover_read(&after, &err) < 0)
		fail_msg("%s", err.text);
	assert_true(after.again);
	after.again = false;
	assert_string_equal(after.name, net.name);
	assert_string_equal(after.mac, net.mac);
	assert_string_equal(after.address, "10.7.0.9");
	assert_string_equal(after.gateway, "10.7.0.1");
	assert_string_equal(after.address6, "fd07::9");
	assert_string_equal(after.gateway6, "fd07::a1");
	assert_int_equal(after.prefix, 20);
	assert_int_equal(after.prefix6, 80);
	assert_int_equal(after.mtu, 1400);
	after.again = true;
	if (takeover_begin(&after, &machine, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(takeover_read(&third, &err), -EBUSY);
	fd_close(machine);
}

static void a_foreign_bridge_of_our_name_is_refused(void **state)
{
	struct takeover net;
	struct err err = { 0 };
	AUTO(fd_close_p) int bridge = -EBADF;

	(void)state;
	assert_int_equal(tap_open("strata-br", &bridge, &err), 0);
	assert_int_equal(takeover_read(&net, &err), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(no_interface_is_no_network, fresh_namespace),
		cmocka_unit_test_setup(what_is_there_is_read, fresh_namespace),
		cmocka_unit_test_setup(default_routes_of_either_kind_are_read, fresh_namespace),
		cmocka_unit_test_setup(two_interfaces_are_refused, fresh_namespace),
		cmocka_unit_test_setup(the_next_machine_gets_the_same, fresh_namespace),
		cmocka_unit_test_setup(a_foreign_bridge_of_our_name_is_refused, fresh_namespace),
		cmocka_unit_test_setup(the_interface_gives_up_what_it_had, fresh_namespace),
	};

	if (can_not()) {
		(void)puts("1..0 # SKIP needs root and /dev/net/tun");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
