/* SPDX-License-Identifier: Apache-2.0 */
#include "net_store.h"

#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os/fd.h"

static void add(struct store *store, const char *id, const char *name, const char *hostname,
		const char *const *aliases)
{
	struct network_plan plan = net_plan("bridge", id, name);
	char path[64];

	plan.hostname = hostname;
	plan.aliases = aliases;
	assert_int_equal(network_plan(store, &plan, NULL), 0);
	(void)snprintf(path, sizeof(path), "instances/%s", id);
	assert_int_equal(dir_make(store->run_fd, path, 0700), 0);
	(void)snprintf(path, sizeof(path), "instances/%s/hosts", id);
	assert_int_equal(
		file_replace(store->run_fd, path, 0644, "old text that is long\n", 22, false), 0);
}

static void read_hosts(struct store *store, const char *id, struct buf *ret)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "instances/%s/hosts", id);
	assert_int_equal(file_read(store->run_fd, path, 65536, ret), 0);
}

/* The name of the second column that this name leads to, as a resolver reads: the first line with it. */
static void first_with(const char *hosts, const char *name, char ret_ip[16])
{
	char copy[4096];
	char *save = NULL;

	(void)snprintf(copy, sizeof(copy), "%s", hosts);
	ret_ip[0] = '\0';
	for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *words = NULL;
		const char *ip = strtok_r(line, "\t ", &words);
		for (char *w = strtok_r(NULL, "\t ", &words); w;
		     w = strtok_r(NULL, "\t ", &words)) {
			if (!strcmp(w, name)) {
				(void)snprintf(ret_ip, 16, "%s", ip);
				return;
			}
		}
	}
}

static void everybody_knows_everybody(void **state)
{
	static const char *const aliases[] = { "db", "db", "store", NULL };
	AUTO(buf_fini) struct buf one = { 0 };
	AUTO(buf_fini) struct buf two = { 0 };

	add(*state, "aaaaaaaaaaaaaaaa", "one", "onehost", NULL);
	add(*state, "bbbbbbbbbbbbbbbb", "two", NULL, aliases);
	assert_int_equal(network_hosts_write(*state, "aaaaaaaaaaaaaaaa", NULL), 0);
	read_hosts(*state, "aaaaaaaaaaaaaaaa", &one);
	read_hosts(*state, "bbbbbbbbbbbbbbbb", &two);
	assert_non_null(strstr(one.data, "\tonehost one aaaaaaaaaaaa\n"));
	assert_non_null(strstr(one.data, "\ttwo db store bbbbbbbbbbbb\n"));
	assert_non_null(strstr(two.data, "\tone onehost aaaaaaaaaaaa\n"));
	assert_non_null(strstr(two.data, "127.0.0.1\tlocalhost\n"));
	assert_null(strstr(two.data, "old text"));
}

static void colliding_names_lead_to_their_owner(void **state)
{
	static const char *const aliases[] = { "cache", "localhost", "two", NULL };
	AUTO(buf_fini) struct buf hosts = { 0 };
	char ip[16];

	/* The first says it is "two" and "localhost"; the second is "two". */
	add(*state, "aaaaaaaaaaaaaaaa", "one", "two", aliases);
	add(*state, "bbbbbbbbbbbbbbbb", "two", "cache", NULL);
	add(*state, "cccccccccccccccc", "three", "three", NULL);
	assert_int_equal(network_hosts_write(*state, "cccccccccccccccc", NULL), 0);
	read_hosts(*state, "cccccccccccccccc", &hosts);
	first_with(hosts.data, "two", ip);
	assert_string_equal(ip + strlen(ip) - 2, ".3");
	first_with(hosts.data, "cache", ip); /* an alias goes before a mere hostname */
	assert_string_equal(ip + strlen(ip) - 2, ".2");
	first_with(hosts.data, "localhost", ip);
	assert_string_equal(ip, "127.0.0.1");
}

static void no_network_nothing_to_do(void **state)
{
	assert_int_equal(network_hosts_write(*state, "unknown", NULL), 0);
}

/* As a virtual machine asks for it. */
static void who_wants_to_know_of_changes_is_told(void **state)
{
	struct store *store = *state;
	char bytes[8];

	add(store, "aaaaaaaaaaaaaaaa", "one", NULL, NULL);
	assert_int_equal(
		mkfifoat(store->run_fd, "instances/aaaaaaaaaaaaaaaa/" NETWORK_HOSTS_TOLD, 0600), 0);
	/* Nobody listens: that holds nobody up. */
	assert_int_equal(network_hosts_write(store, "aaaaaaaaaaaaaaaa", NULL), 0);
	AUTO(fd_close_p)
	int fd = openat(store->run_fd, "instances/aaaaaaaaaaaaaaaa/" NETWORK_HOSTS_TOLD,
			O_RDWR | O_NONBLOCK | O_CLOEXEC);
	assert_int_equal(read(fd, bytes, sizeof(bytes)), -1);
	add(store, "bbbbbbbbbbbbbbbb", "two", NULL, NULL);
	assert_int_equal(network_hosts_write(store, "bbbbbbbbbbbbbbbb", NULL), 0);
	assert_int_equal(read(fd, bytes, sizeof(bytes)), 1);
	assert_int_equal(network_release(store, "bbbbbbbbbbbbbbbb", NULL), 0);
	assert_int_equal(read(fd, bytes, sizeof(bytes)), 1);
}

static void missing_files_are_skipped(void **state)
{
	struct network_plan plan = net_plan("bridge", "a1", "one");

	assert_int_equal(network_plan(*state, &plan, NULL), 0);
	assert_int_equal(network_hosts_write(*state, "a1", NULL), 0);
}

static void resolv_keeps_what_an_instance_can_reach(void **state)
{
	static const char text[] =
		"# by a program\nsearch example.org\nnameserver 127.0.0.53\n"
		"nameserver ::1\nnameserver fe80::1%eth0\nnameserver 192.0.2.53\n"
		"nameserver\t9.9.9.9 # quad\nnameserver 0.0.0.0\noptions ndots:2";
	AUTO(buf_fini) struct buf out = { 0 };
	unsigned servers = 0;

	(void)state;
	assert_int_equal(resolv_filter(text, strlen(text), &out, &servers), 0);
	assert_int_equal(servers, 2);
	assert_string_equal(buf_str(&out),
			    "# by a program\nsearch example.org\nnameserver 192.0.2.53\n"
			    "nameserver\t9.9.9.9 # quad\noptions ndots:2\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		NET_TEST(everybody_knows_everybody),
		NET_TEST(colliding_names_lead_to_their_owner),
		NET_TEST(no_network_nothing_to_do),
		NET_TEST(who_wants_to_know_of_changes_is_told),
		NET_TEST(missing_files_are_skipped),
		cmocka_unit_test(resolv_keeps_what_an_instance_can_reach),
	};
	(void)unshare(CLONE_NEWNET); /* root's release has rules made; others may do neither */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
