/* SPDX-License-Identifier: Apache-2.0 */
#include "net_store.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

static void make(struct store *store, const char *name, const char *subnet, bool internal)
{
	struct network n = { 0 };
	const struct network_opts opts = { .subnet = subnet, .internal = internal };

	assert_int_equal(network_create(store, name, &opts, &n, NULL), 0);
	network_fini(&n);
}

/* As network_release() without the kernel's part, which the system tests have. */
static void forget(struct store *store, const char *instance)
{
	assert_int_equal(
		db_run(&store->db, NULL, "DELETE FROM endpoint WHERE instance = ?", "s", instance),
		0);
	assert_int_equal(
		db_run(&store->db, NULL, "DELETE FROM port WHERE instance = ?", "s", instance), 0);
}

static const char *address(struct store *store, const char *network, const char *id, char ret[16])
{
	struct network_plan plan = net_plan(network, id, id);

	assert_int_equal(network_plan(store, &plan, NULL), 0);
	memcpy(ret, plan.ip, 16);
	return ret;
}

static void lowest_free_address_is_given_and_kept(void **state)
{
	char ip[16];

	make(*state, "n", "10.77.0.0/24", false);
	assert_string_equal(address(*state, "n", "a1", ip), "10.77.0.2");
	assert_string_equal(address(*state, "n", "b1", ip), "10.77.0.3");
	assert_string_equal(address(*state, "n", "c1", ip), "10.77.0.4");
	assert_string_equal(address(*state, "n", "a1", ip), "10.77.0.2");
	forget(*state, "b1");
	assert_string_equal(address(*state, "n", "d1", ip), "10.77.0.3");
	assert_string_equal(address(*state, "n", "e1", ip), "10.77.0.5");
	assert_int_equal(network_address(*state, "e1", ip, NULL), 0);
	assert_string_equal(ip, "10.77.0.5");
	assert_int_equal(network_address(*state, "zz", ip, NULL), 0);
	assert_string_equal(ip, "");
}

static void a_full_subnet_says_so(void **state)
{
	struct network_plan plan = net_plan("n", "b1", "two");
	struct err err = { 0 };
	char ip[16];

	make(*state, "n", "10.77.0.0/30", false);
	assert_string_equal(address(*state, "n", "a1", ip), "10.77.0.2");
	assert_int_equal(network_plan(*state, &plan, &err), -ENOSPC);
	assert_non_null(strstr(err.text, "every address of 10.77.0.0/30"));
	assert_string_equal(plan.ip, "");
}

static void given_addresses_are_checked(void **state)
{
	struct network_plan plan = net_plan("n", "b1", "two");
	struct err err = { 0 };
	char ip[16];

	make(*state, "n", "10.77.0.0/24", false);
	address(*state, "n", "a1", ip);
	plan.address = "10.77.0.2";
	assert_int_equal(network_plan(*state, &plan, &err), -EADDRINUSE);
	assert_non_null(strstr(err.text, "instance a1 has it"));
	plan.address = "10.77.0.1";
	assert_int_equal(network_plan(*state, &plan, &err), -EADDRINUSE);
	plan.address = "10.77.0.255";
	assert_int_equal(network_plan(*state, &plan, &err), -EINVAL);
	plan.address = "10.77.1.2";
	assert_int_equal(network_plan(*state, &plan, &err), -EINVAL);
	plan.address = "ten";
	assert_int_equal(network_plan(*state, &plan, &err), -EINVAL);
	plan.address = "10.77.0.9";
	assert_int_equal(network_plan(*state, &plan, &err), 0);
	assert_string_equal(plan.mac, "02:53:0a:4d:00:09");
	assert_int_equal(plan.prefix, 24);
	assert_string_equal(plan.gateway, "10.77.0.1");
	assert_string_equal(plan.host_if, "vethb1");
}

static void ports_are_reserved(void **state)
{
	struct network_port ports[] = { { .host_ip = "127.0.0.1", .guest = 80 } };
	struct network_port again[1];
	struct network_plan plan = net_plan("n", "a1", "one");
	struct network_plan other = net_plan("n", "b1", "two");
	struct err err = { 0 };

	make(*state, "n", "10.77.0.0/24", false);
	plan.ports = ports;
	plan.n_ports = 1;
	assert_int_equal(network_plan(*state, &plan, &err), 0);
	assert_int_not_equal(ports[0].host, 0);

	memcpy(again, ports, sizeof(again));
	other.ports = again;
	other.n_ports = 1;
	assert_int_equal(network_plan(*state, &other, &err), -EADDRINUSE);
	assert_non_null(strstr(err.text, "taken by instance one"));
	again[0].host_ip[0] = '\0'; /* every address has that one too */
	assert_int_equal(network_plan(*state, &other, &err), -EADDRINUSE);
	again[0].udp = true;
	assert_int_equal(network_plan(*state, &other, &err), 0);

	uint16_t chosen = ports[0].host;
	ports[0].host = 0;
	assert_int_equal(network_plan(*state, &plan, &err), 0);
	assert_int_equal(ports[0].host, chosen);
	ports[0].guest = 0;
	assert_int_equal(network_plan(*state, &plan, &err), -EINVAL);
}

static void another_programs_port_is_found(void **state)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sa);
	struct network_port port = { .host_ip = "127.0.0.1", .guest = 80 };
	struct network_plan plan = net_plan("n", "a1", "one");
	struct err err = { 0 };
	char ip[16];
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
	make(*state, "n", "10.77.0.0/24", false);
	port.host = ntohs(sa.sin_port);
	plan.ports = &port;
	plan.n_ports = 1;
	assert_int_equal(network_plan(*state, &plan, &err), -EADDRINUSE);
	assert_non_null(strstr(err.text, "taken by another program"));
	assert_int_equal(network_address(*state, "a1", ip, NULL), 0);
	assert_string_equal(ip, ""); /* nothing is left of a plan that failed */
	close(fd);
	assert_int_equal(network_plan(*state, &plan, &err), 0);
}

static void internal_networks_have_no_way_out(void **state)
{
	struct network_port port = { .guest = 80 };
	struct network_plan plan = net_plan("n", "a1", "one");

	make(*state, "n", NULL, true);
	assert_int_equal(network_plan(*state, &plan, NULL), 0);
	assert_true(plan.internal);
	assert_string_equal(plan.gateway, "");
	plan.ports = &port;
	plan.n_ports = 1;
	assert_int_equal(network_plan(*state, &plan, NULL), -EINVAL);
}

static void hostile_names_are_refused(void **state)
{
	static const char *const aliases[] = { "ok", "evil\n127.0.0.1 bank", NULL };
	struct network_plan plan = net_plan("bridge", "a1", "a b");

	assert_int_equal(network_plan(*state, &plan, NULL), -EINVAL);
	plan.name = "one";
	plan.hostname = "x\ty";
	assert_int_equal(network_plan(*state, &plan, NULL), -EINVAL);
	plan.hostname = NULL;
	plan.aliases = aliases;
	assert_int_equal(network_plan(*state, &plan, NULL), -EINVAL);
	assert_int_equal(network_rename(*state, "a1", "two words", NULL), -EINVAL);
}

static void the_callers_transaction_is_kept(void **state)
{
	struct store *store = *state;
	struct network_plan plan = net_plan("bridge", "a1", "one");
	char ip[16];

	assert_int_equal(db_begin(&store->db, false, NULL), 0);
	assert_int_equal(network_plan(store, &plan, NULL), 0);
	assert_int_equal(network_publish(store, "a1", NULL), -EDEADLK);
	assert_int_equal(network_release(store, "a1", NULL), -EDEADLK);
	assert_int_equal(network_hosts_write(store, "a1", NULL), -EDEADLK);
	assert_int_equal(network_release(store, "unknown", NULL), 0);
	db_rollback(&store->db);
	assert_int_equal(network_address(store, "a1", ip, NULL), 0);
	assert_string_equal(ip, "");
}

static void passt_has_fixed_addresses_and_ports_like_any_other(void **state)
{
	struct network_port mine[] = { { .host = 0, .guest = 80 },
				       { .host = 0, .guest = 53, .udp = true } };
	struct network_port his[] = { { .guest = 8080 } };
	struct network_plan plan = net_plan(NULL, "aaaabbbbcccc0000", "one");
	struct network_plan other = net_plan(NULL, "ddddeeeeffff0000", "two");
	struct network_published *list = NULL;
	struct err err = { 0 };
	size_t n = 0;
	char ip[16];

	plan.ports = mine;
	plan.n_ports = 2;
	if (network_plan_passt(*state, &plan, &err) < 0)
		fail_msg("%s", err.text);
	assert_string_equal(plan.network, "passt");
	assert_string_equal(plan.ip, "10.0.2.15");
	assert_string_equal(plan.gateway, "10.0.2.2");
	assert_string_equal(plan.mac, "02:53:0a:00:02:0f");
	assert_int_equal(plan.prefix, 24);
	assert_string_equal(plan.bridge, "");
	assert_string_equal(plan.host_if, "");
	assert_true(mine[0].host && mine[1].host);
	assert_int_equal(network_address(*state, plan.instance, ip, NULL), 0);
	assert_string_equal(ip, ""); /* no place in a network of ours */
	his[0].host = mine[0].host;
	other.ports = his;
	other.n_ports = 1;
	assert_int_equal(network_plan_passt(*state, &other, &err), -EADDRINUSE);
	assert_non_null(strstr(err.text, "instance aaaabbbbcccc"));
	assert_int_equal(network_release(*state, plan.instance, NULL), 0);
	assert_int_equal(network_published(*state, plan.instance, &list, &n, NULL), 0);
	assert_int_equal(n, 0);
	free(list);
	assert_int_equal(network_plan_passt(*state, &other, NULL), 0);
	assert_int_equal(network_release(*state, other.instance, NULL), 0);
	assert_int_equal(network_release(*state, other.instance, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		NET_TEST(lowest_free_address_is_given_and_kept),
		NET_TEST(a_full_subnet_says_so),
		NET_TEST(given_addresses_are_checked),
		NET_TEST(ports_are_reserved),
		NET_TEST(another_programs_port_is_found),
		NET_TEST(internal_networks_have_no_way_out),
		NET_TEST(hostile_names_are_refused),
		NET_TEST(the_callers_transaction_is_kept),
		NET_TEST(passt_has_fixed_addresses_and_ports_like_any_other),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
