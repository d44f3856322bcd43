/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Drives src/network/ as the command and the monitor do, for network_lib.bats:
 *
 *   network_driver DIR create NETWORK [SUBNET|-] [internal]
 *   network_driver DIR up NETWORK ID NAME NETNS [HOST_IP:HOST:GUEST[/udp]]...   prints "IP PORT..."
 *   network_driver DIR down ID | remove NETWORK | plan NETWORK ID NAME [NETNS PORT...] | list
 *   network_driver DIR echo-udp PORT     answers each datagram, until it is killed
 *   network_driver DIR ask-udp ADDRESS PORT OWN-PORT     prints the answer, fails after a second
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/os/fd.h"
#include "base/os/file.h"
#include "network/link.h"
#include "network/network.h"

#define PORTS_MAX 8

static int driver_port(const char *text, struct network_port *ret)
{
	unsigned host, guest;
	char protocol[4] = "tcp";
	const char *colon = strchr(text, ':');

	*ret = (struct network_port){ 0 };
	if (!colon || (size_t)(colon - text) >= sizeof(ret->host_ip) ||
	    sscanf(colon + 1, "%u:%u/%3s", &host, &guest, protocol) < 2)
		return -EINVAL;
	memcpy(ret->host_ip, text, (size_t)(colon - text));
	ret->host = (uint16_t)host;
	ret->guest = (uint16_t)guest;
	ret->udp = !strcmp(protocol, "udp");
	return 0;
}

static int driver_connect(const struct network_plan *plan, const char *netns, struct err *err)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "/run/netns/%s", netns);
	AUTO(fd_close_p) int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_set(err, errno, "open %s", path);
	struct link_endpoint e = { .bridge = plan->bridge,
				   .host_if = plan->host_if,
				   .mac = plan->mac,
				   .address = plan->ip,
				   .gateway = plan->gateway,
				   .prefix = plan->prefix };
	return link_connect(&e, fd, err);
}

static int driver_up(struct store *store, char **argv, int argc, bool connect, struct err *err)
{
	struct network_port ports[PORTS_MAX];
	struct network_plan plan = { .network = argv[0],
				     .instance = argv[1],
				     .name = argv[2],
				     .hostname = argv[2],
				     .ports = ports };

	for (int i = 4; i < argc && plan.n_ports < PORTS_MAX; i++) {
		if (driver_port(argv[i], &ports[plan.n_ports++]) < 0)
			return err_say(err, EINVAL, "bad port %s", argv[i]);
	}
	int alone = network_lock_host();
	int r = network_plan(store, &plan, err);
	if (r == 0 && connect)
		r = network_publish(store, plan.instance, err);
	fd_close(alone);
	if (r == 0 && connect)
		r = driver_connect(&plan, argv[3], err);
	if (r == 0 && connect)
		r = network_hosts_write(store, plan.instance, err);
	if (r < 0)
		return r;
	printf("%s", plan.ip);
	for (unsigned i = 0; i < plan.n_ports; i++)
		printf(" %u", ports[i].host);
	printf("\n");
	return 0;
}

static int driver_list(struct store *store, struct err *err)
{
	struct network *networks = NULL;
	size_t n = 0;
	int r = network_list(store, &networks, &n, err);

	for (size_t i = 0; r == 0 && i < n; i++) {
		printf("%s %s %s\n", networks[i].name, networks[i].bridge, networks[i].subnet);
		network_fini(&networks[i]);
	}
	free(networks);
	return r;
}

static int driver_echo(const char *port, struct err *err)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
				  .sin_port = htons((uint16_t)strtoul(port, NULL, 10)) };
	AUTO(fd_close_p) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (const struct sockaddr *)&sa, sizeof(sa)) < 0)
		return err_set(err, errno, "bind UDP port %s", port);
	for (;;) {
		char data[512];
		socklen_t len = sizeof(sa);
		ssize_t n = recvfrom(fd, data, sizeof(data), 0, (struct sockaddr *)&sa, &len);
		if (n < 0 || sendto(fd, data, (size_t)n, 0, (const struct sockaddr *)&sa, len) < 0)
			return err_set(err, errno, "answer on UDP port %s", port);
	}
}

static int driver_ask(char **argv, struct err *err)
{
	struct sockaddr_in own = { .sin_family = AF_INET,
				   .sin_port = htons((uint16_t)strtoul(argv[2], NULL, 10)) };
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons((uint16_t)strtoul(argv[1], NULL, 10)) };
	struct timeval second = { .tv_sec = 1 };
	char data[16];

	AUTO(fd_close_p) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || inet_pton(AF_INET, argv[0], &to.sin_addr) != 1 ||
	    bind(fd, (const struct sockaddr *)&own, sizeof(own)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof(second)) < 0 ||
	    sendto(fd, "hi", 2, 0, (const struct sockaddr *)&to, sizeof(to)) < 0)
		return err_set(err, errno, "ask");
	ssize_t n = recv(fd, data, sizeof(data), 0);
	if (n < 0)
		return err_set(err, errno, "answer");
	printf("%.*s\n", (int)n, data);
	return 0;
}

static int driver_run(struct store *store, int argc, char **argv, struct err *err)
{
	const char *verb = argv[0];

	if (!strcmp(verb, "create") && argc >= 2) {
		struct network_opts opts = { .subnet = argc > 2 && strcmp(argv[2], "-") != 0
							       ? argv[2]
							       : NULL,
					     .internal = argc > 3 };
		struct network network = { 0 };
		int r = network_create(store, argv[1], &opts, &network, err);
		network_fini(&network);
		return r;
	}
	if (!strcmp(verb, "up") && argc >= 5)
		return driver_up(store, argv + 1, argc - 1, true, err);
	if (!strcmp(verb, "plan") && argc >= 4)
		return driver_up(store, argv + 1, argc - 1, false, err);
	if (!strcmp(verb, "down") && argc == 2)
		return network_release(store, argv[1], err);
	if (!strcmp(verb, "remove") && argc == 2)
		return network_remove(store, argv[1], err);
	if (!strcmp(verb, "echo-udp") && argc == 2)
		return driver_echo(argv[1], err);
	if (!strcmp(verb, "ask-udp") && argc == 4)
		return driver_ask(argv + 1, err);
	if (!strcmp(verb, "list"))
		return driver_list(store, err);
	return err_say(err, EINVAL, "usage: see the head of network_driver.c");
}

int main(int argc, char **argv)
{
	static const struct db_schema *const schemas[] = { &network_schema, NULL };
	struct store store = { .root_fd = -EBADF, .run_fd = -EBADF };
	struct err err = { 0 };
	char root[256], run[256];

	if (argc < 3)
		return 2;
	(void)snprintf(root, sizeof(root), "%s/root", argv[1]);
	(void)snprintf(run, sizeof(run), "%s/run", argv[1]);
	int r = store_open(root, run, schemas, &store, &err);
	if (r == 0)
		r = driver_run(&store, argc - 2, argv + 2, &err);
	store_close(&store);
	if (r < 0)
		fprintf(stderr, "error: %s\n", err.text);
	return r < 0;
}
