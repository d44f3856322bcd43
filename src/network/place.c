/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/os/file.h"
#include "network/link.h"
#include "network/private.h"
#include "network/subnet.h"

/* Where a network goes: a subnet that meets nothing the host knows, and a bridge nobody has. */

#define POOL	     0x0ac90000u /* 10.201.0.0/16, handed out in /24s */
#define POOL_SUBNETS 256
#define BRIDGES_MAX  4096 /* three hexadecimal digits */
#define BRIDGE_NAME  16
#define ROUTES_MAX   (4u << 20) /* a router with every route of the Internet is no place for this */

/*
 * Host and networks: who already has addresses of the subnet? @self: a network that does not
 * count.
 */
static int subnet_taken(struct store *store, const struct subnet *subnet, const char *self,
			const char *self_bridge, const char *routes, char ret_who[96],
			struct err *err)
{
	AUTO(db_stmt_p) sqlite3_stmt *stmt = NULL;
	int r = db_prepare(&store->db, &stmt, err,
			   "SELECT name, subnet FROM network WHERE name != ?", "s", self);

	while (r == 0 && (r = db_step(&store->db, stmt, err)) == 1) {
		struct subnet other;
		r = subnet_parse(db_col_str(stmt, 1), &other, err);
		if (r == 0 && subnet_overlap(&other, subnet)) {
			(void)snprintf(ret_who, 96, "network %s (%s)", db_col_str(stmt, 0),
				       db_col_str(stmt, 1));
			return 1;
		}
	}
	char route_if[16];
	if (r == 0 && routes_overlap(routes, subnet, self_bridge, route_if)) {
		(void)snprintf(ret_who, 96, "a route of this host through %s", route_if);
		return 1;
	}
	return r;
}

static int routes_read(struct buf *ret, struct err *err)
{
	int r = file_read(AT_FDCWD, "/proc/self/net/route", ROUTES_MAX, ret);

	return r < 0 && r != -ENOENT ? err_set(err, -r, "read the host's routes") : 0;
}

static int subnet_choose(struct store *store, struct network *network, const char *routes,
			 struct err *err)
{
	char who[96];

	for (uint32_t i = 0; i < POOL_SUBNETS; i++) {
		struct subnet s = { POOL | i << 8, 24 };
		int r = subnet_taken(store, &s, network->name, network->bridge, routes, who, err);
		if (r < 0)
			return r;
		if (r == 0) {
			subnet_text(&s, network->subnet);
			address_text(s.base + 1, network->gateway);
			return 0;
		}
	}
	return err_say(err, ENOSPC,
		       "network %s: no free /24 in 10.201.0.0/16; remove unused networks (strata "
		       "network prune) or give --subnet",
		       network->name);
}

/* Is the interface's name free, or already our own bridge of that name? */
bool network_bridge_usable(const char *name, const char *owner)
{
	char alias[256];
	int r = link_owner(name, alias, sizeof(alias));

	return r == 0 || (r == 1 && !strcmp(alias, owner));
}

/*
 * Rules match bridges by name, and those of a store that was killed stay: so a name says whose it is. "strata0" is the usual
 * store's, "strata1f0c9a0" another's, with a hexadecimal number after six digits of its mark, which is what fits.
 */
static void bridge_name(const struct store *store, unsigned number, char ret[BRIDGE_NAME])
{
	char mark[NETWORK_MARK + 1];

	network_mark(store, mark);
	if (mark[0])
		(void)snprintf(ret, BRIDGE_NAME, "strata%.6s%x", mark, number);
	else
		(void)snprintf(ret, BRIDGE_NAME, "strata%u", number);
}

/* Ours by its name? Older versions named those of every store as the usual one's. */
static bool bridge_is_named(const struct store *store, const char *name)
{
	char first[BRIDGE_NAME];

	bridge_name(store, 0, first);
	return !strncmp(name, first, strlen(first) - 1);
}

static int bridge_choose(struct store *store, struct network *network, struct err *err)
{
	char owner[256];
	bool is_default = !strcmp(network->name, NETWORK_DEFAULT);

	network_owner(store, owner);
	for (unsigned i = is_default ? 0 : 1; i < BRIDGES_MAX; i++) {
		char name[BRIDGE_NAME];
		bridge_name(store, i, name);
		AUTO(db_stmt_p) sqlite3_stmt *stmt = NULL;
		int r = db_prepare(&store->db, &stmt, err,
				   "SELECT 1 FROM network WHERE bridge = ? AND name != ?", "ss",
				   name, network->name);
		if (r == 0)
			r = db_step(&store->db, stmt, err);
		if (r < 0)
			return r;
		if (r == 0 && network_bridge_usable(name, owner)) {
			memcpy(network->bridge, name, sizeof(name));
			return 0;
		}
	}
	return err_say(err, ENOSPC, "network %s: too many networks", network->name);
}

/* The subnet the user asked for, and the gateway in it. */
static int subnet_given(struct store *store, struct network *network,
			const struct network_opts *opts, const char *routes, struct err *err)
{
	struct subnet s;
	char who[96];
	int r = subnet_parse(opts->subnet, &s, err);
	if (r < 0)
		return r;
	r = subnet_taken(store, &s, network->name, network->bridge, routes, who, err);
	if (r < 0)
		return r;
	if (r == 1)
		return err_say(err, EADDRINUSE, "subnet %s overlaps %s: choose another",
			       opts->subnet, who);
	subnet_text(&s, network->subnet);
	address_text(s.base + 1, network->gateway);
	return 0;
}

static int gateway_given(struct network *network, const char *gateway, struct err *err)
{
	struct subnet s;
	uint32_t address;
	int r = subnet_parse(network->subnet, &s, err);

	if (r < 0)
		return r;
	if (address_parse(gateway, &address) < 0)
		return err_say(err, EINVAL, "gateway %s: not an IPv4 address", gateway);
	if (!subnet_has_host(&s, address))
		return err_say(err, EINVAL, "gateway %s: not an address of a host in %s", gateway,
			       network->subnet);
	address_text(address, network->gateway);
	return 0;
}

int network_place(struct store *store, struct network *network, const struct network_opts *opts,
		  struct err *err)
{
	AUTO(buf_fini) struct buf routes = { 0 };
	int r = bridge_choose(store, network, err);

	if (r == 0)
		r = routes_read(&routes, err);
	if (r == 0)
		r = opts->subnet ? subnet_given(store, network, opts, buf_str(&routes), err)
				 : subnet_choose(store, network, buf_str(&routes), err);
	if (r == 0 && opts->gateway)
		r = gateway_given(network, opts->gateway, err);
	return r;
}

int network_settle(struct store *store, struct network *network, struct err *err)
{
	AUTO(buf_fini) struct buf routes = { 0 };
	struct subnet s;
	char who[96], owner[256];

	network_owner(store, owner);
	bool usable = network_bridge_usable(network->bridge, owner);
	bool bridge_ok = usable && bridge_is_named(store, network->bridge);
	int r = routes_read(&routes, err);
	if (r == 0)
		r = subnet_parse(network->subnet, &s, err);
	if (r == 0)
		r = subnet_taken(store, &s, network->name, usable ? network->bridge : "",
				 buf_str(&routes), who, err);
	if (r < 0 || (r == 0 && bridge_ok))
		return r;
	if (r == 1 && !network->automatic)
		return err_say(err, EADDRINUSE,
			       "network %s: its subnet %s overlaps %s now; make it anew with "
			       "another --subnet",
			       network->name, network->subnet, who);
	/* What is left of our own old bridge would keep the old address. */
	if (usable)
		(void)link_remove(network->bridge, NULL); /* comes up again, addressed anew */
	bool move = r == 1;
	r = bridge_choose(store, network, err);
	if (r == 0 && move)
		r = subnet_choose(store, network, buf_str(&routes), err);
	if (r < 0)
		return r;
	return db_run(&store->db, err,
		      "UPDATE network SET bridge = ?, subnet = ?, gateway = ? WHERE name = ?",
		      "ssss", network->bridge, network->subnet, network->gateway, network->name);
}
