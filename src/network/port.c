/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "base/os/fd.h"
#include "base/os/file.h"
#include "network/private.h"
#include "network/subnet.h"

static const char *port_proto(const struct network_port *port)
{
	return port->udp ? "udp" : "tcp";
}

/* "every address" has several spellings. */
static int port_normalise(struct network_port *port, struct err *err)
{
	uint32_t ip;

	if (!port->guest)
		return err_say(err, EINVAL, "published port: the instance's port is missing");
	if (!port->host_ip[0])
		return 0;
	if (memchr(port->host_ip, '\0', sizeof(port->host_ip)) == NULL ||
	    address_parse(port->host_ip, &ip) < 0)
		return err_say(err, EINVAL, "published port %u: %.15s is not an IPv4 address",
			       port->host ? port->host : port->guest, port->host_ip);
	address_text(ip, port->host_ip);
	if (!ip)
		port->host_ip[0] = '\0';
	return 0;
}

/* 1 and the name of the instance that has it, or 0. */
static int port_holder(struct store *store, const struct network_port *port, char ret_who[80],
		       struct err *err)
{
	AUTO(db_stmt_p) sqlite3_stmt *stmt = NULL;
	int r = db_prepare(
		&store->db, &stmt, err,
		"SELECT coalesce(e.name, substr(p.instance, 1, 12)) FROM port p LEFT JOIN "
		"endpoint e USING (instance) WHERE "
		"p.host = ? AND p.udp = ? AND (p.host_ip = '' OR ? = '' OR p.host_ip = ?)",
		"iiss", (int64_t)port->host, (int64_t)port->udp, port->host_ip, port->host_ip);

	if (r == 0)
		r = db_step(&store->db, stmt, err);
	if (r == 1)
		(void)snprintf(ret_who, 80, "%s", db_col_str(stmt, 0));
	return r;
}

/* Ask the kernel: 0 where a program could listen there now, else a negative errno. */
static int port_bind_test(const struct network_port *port)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons(port->host) };
	int on = 1;

	if (port->host_ip[0] && inet_pton(AF_INET, port->host_ip, &sa.sin_addr) != 1)
		return -EINVAL;
	AUTO(fd_close_p)
	int fd = socket(AF_INET, (port->udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/*
	 * Connections that only wait for their end do not count; for UDP the option would hide
	 * users.
	 */
	if (!port->udp && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
		return -errno;
	if (bind(fd, (const struct sockaddr *)&sa, sizeof(sa)) < 0)
		return -errno;
	/* Two sockets may be bound with that option as long as neither listens. */
	if (!port->udp && listen(fd, 1) < 0)
		return -errno;
	return 0;
}

static int port_check(struct store *store, const struct network_port *port, struct err *err)
{
	char who[80];
	char at[24] = "";

	if (port->host_ip[0])
		(void)snprintf(at, sizeof(at), "%s:", port->host_ip);
	int r = port_holder(store, port, who, err);
	if (r < 0)
		return r;
	if (r == 1)
		return err_say(err, EADDRINUSE, "port %s%u/%s is taken by instance %s", at,
			       port->host, port_proto(port), who);
	r = port_bind_test(port);
	switch (r) {
	case 0:
		return 0;
	case -EADDRINUSE:
		return err_say(err, EADDRINUSE,
			       "port %s%u/%s is taken by another program (ss -lnp shows which)", at,
			       port->host, port_proto(port));
	case -EADDRNOTAVAIL:
		return err_say(err, EADDRNOTAVAIL,
			       "port %s%u/%s: this host does not have that address", at, port->host,
			       port_proto(port));
	case -EACCES:
		return err_say(err, EACCES,
			       "port %s%u/%s is not for an ordinary user: take one from "
			       "net.ipv4.ip_unprivileged_port_start (mostly 1024) up",
			       at, port->host, port_proto(port));
	default:
		return err_set(err, -r, "port %s%u/%s", at, port->host, port_proto(port));
	}
}

/* The kernel's own range for ports that nobody asked for by number. */
static void port_range(uint16_t *ret_low, unsigned *ret_n)
{
	AUTO(buf_fini) struct buf text = { 0 };
	unsigned low = 32768, high = 60999;

	if (file_read(AT_FDCWD, "/proc/sys/net/ipv4/ip_local_port_range", 256, &text) < 0 ||
	    sscanf(buf_str(&text), "%u %u", &low, &high) != 2 || !low || low > high ||
	    high > 65535) {
		low = 32768;
		high = 60999;
	}
	*ret_low = (uint16_t)low;
	*ret_n = high - low + 1;
}

/* From a random start: a port given back a moment ago is not the next one's at once. */
static int port_choose(struct store *store, struct network_port *port, struct err *err)
{
	struct network_port p = *port;
	uint16_t low = 0;
	unsigned n = 0;
	uint32_t start = 0;

	port_range(&low, &n);
	(void)getrandom(&start, sizeof(start), GRND_NONBLOCK); /* 0 does too */
	for (unsigned i = 0; i < n; i++) {
		p.host = (uint16_t)(low + (start % n + i) % n);
		int r = port_check(store, &p, err);
		if (r == 0)
			port->host = p.host;
		if (r != -EADDRINUSE)
			return r;
	}
	return err_say(err, EADDRINUSE, "no free %s port in ip_local_port_range", port_proto(port));
}

/* What the instance holds already for that port of its own: a second plan gives the same. */
static int port_keep(struct store *store, const char *instance, struct network_port *port,
		     struct err *err)
{
	AUTO(db_stmt_p) sqlite3_stmt *stmt = NULL;
	int r = db_prepare(&store->db, &stmt, err,
			   "SELECT host FROM port WHERE instance = ? AND guest = ? AND udp = ? AND "
			   "host_ip = ?",
			   "siis", instance, (int64_t)port->guest, (int64_t)port->udp,
			   port->host_ip);

	if (r == 0)
		r = db_step(&store->db, stmt, err);
	if (r == 1)
		port->host = (uint16_t)db_col_int(stmt, 0);
	return r < 0 ? r : 0;
}

static int port_one(struct store *store, const char *instance, struct network_port *port,
		    struct err *err)
{
	int r = port->host ? port_check(store, port, err) : port_choose(store, port, err);

	if (r < 0)
		return r;
	return db_run(
		&store->db, err,
		"INSERT INTO port (instance, host_ip, host, udp, guest) VALUES (?, ?, ?, ?, ?)",
		"ssiii", instance, port->host_ip, (int64_t)port->host, (int64_t)port->udp,
		(int64_t)port->guest);
}

int port_reserve(struct store *store, struct network_plan *plan, struct err *err)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < plan->n_ports; i++) {
		r = port_normalise(&plan->ports[i], err);
		if (r == 0 && !plan->ports[i].host)
			r = port_keep(store, plan->instance, &plan->ports[i], err);
	}
	if (r == 0)
		r = db_run(&store->db, err, "DELETE FROM port WHERE instance = ?", "s",
			   plan->instance);
	for (unsigned i = 0; r == 0 && i < plan->n_ports; i++)
		r = port_one(store, plan->instance, &plan->ports[i], err);
	return r;
}

static void port_from_row(sqlite3_stmt *stmt, struct network_published *ret)
{
	struct network_published p = {
		.port = { .host = (uint16_t)db_col_int(stmt, 2),
			  .udp = db_col_int(stmt, 3) != 0,
			  .guest = (uint16_t)db_col_int(stmt, 4) },
	};

	(void)snprintf(p.instance, sizeof(p.instance), "%s",
		       db_col_str(stmt, 0)); /* 64 digits of ours */
	(void)snprintf(p.port.host_ip, sizeof(p.port.host_ip), "%s",
		       db_col_str(stmt, 1)); /* an address of ours */
	*ret = p;
}

int network_published(struct store *store, const char *instance, struct network_published **ret,
		      size_t *ret_n, struct err *err)
{
	AUTO(db_stmt_p) sqlite3_stmt *stmt = NULL;
	struct network_published *list = NULL;
	size_t n = 0;
	int r = db_prepare(&store->db, &stmt, err,
			   instance ? "SELECT instance, host_ip, host, udp, guest FROM port "
				      "WHERE instance = ? ORDER BY guest, udp, host"
				    : "SELECT instance, host_ip, host, udp, guest FROM port "
				      "ORDER BY instance, guest, udp, host",
			   instance ? "s" : "", instance);

	while (r == 0 && (r = db_step(&store->db, stmt, err)) == 1) {
		struct network_published *more =
			n & (n - 1) ? list : realloc(list, (n ? n * 2 : 1) * sizeof(*list));
		if (!more) {
			r = err_set(err, ENOMEM, "published ports");
			break;
		}
		list = more;
		port_from_row(stmt, &list[n++]);
		r = 0;
	}
	if (r < 0) {
		free(list);
		return r;
	}
	*ret = list;
	*ret_n = n;
	return 0;
}
