/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "network/link.h"
#include "network/passt.h"
#include "network/private.h"
#include "network/rate.h"
#include "network/subnet.h"

/* 1 and who has the address (instance's name), or 0. */
static int address_holder(struct store *store, const struct network_plan *plan, uint32_t address,
			  char ret_who[80], struct err *err)
{
	AUTO(db_stmt_p) sqlite3_stmt *stmt = NULL;
	int r = db_prepare(&store->db, &stmt, err,
			   "SELECT name FROM endpoint WHERE network = ? AND address = ? AND "
			   "instance != ?",
			   "sis", plan->network, (int64_t)address, plan->instance);

	if (r == 0)
		r = db_step(&store->db, stmt, err);
	if (r == 1)
		(void)snprintf(ret_who, 80, "%s", db_col_str(stmt, 0));
	return r;
}

/* --ip */
static int address_given(struct store *store, const struct network_plan *plan,
			 const struct network *network, uint32_t *ret, struct err *err)
{
	struct subnet s;
	uint32_t address;
	char who[80], text[16];
	int r = subnet_parse(network->subnet, &s, err);

	if (r < 0)
		return r;
	if (address_parse(plan->address, &address) < 0)
		return err_say(err, EINVAL, "address %s: not an IPv4 address", plan->address);
	if (!subnet_has_host(&s, address))
		return err_say(err, EINVAL, "address %s: not one for a host in %s of network %s",
			       plan->address, network->subnet, network->name);
	address_text(address, text);
	if (!strcmp(text, network->gateway))
		return err_say(err, EADDRINUSE, "address %s: it is the gateway of network %s", text,
			       network->name);
	r = address_holder(store, plan, address, who, err);
	if (r == 1)
		return err_say(err, EADDRINUSE, "address %s: instance %s has it", text, who);
	if (r == 0)
		*ret = address;
	return r;
}

/* The lowest free one: the rows come in order, so the first gap is it. */
static int address_lowest(struct store *store, const struct network *network, uint32_t *ret,
			  struct err *err)
{
	AUTO(db_stmt_p) sqlite3_stmt *stmt = NULL;
	struct subnet s;
	uint32_t gateway;
	int r = subnet_parse(network->subnet, &s, err);

	if (r == 0 && address_parse(network->gateway, &gateway) < 0)
		r = err_say(err, EBADMSG, "network %s: gateway %s", network->name,
			    network->gateway);
	if (r == 0)
		r = db_prepare(&store->db, &stmt, err,
			       "SELECT address FROM endpoint WHERE network = ? ORDER BY address",
			       "s", network->name);
	if (r < 0)
		return r;

	uint32_t next = s.base + 1;
	while ((r = db_step(&store->db, stmt, err)) == 1) {
		uint32_t taken = (uint32_t)db_col_int(stmt, 0);
		next += next == gateway;
		if (taken > next)
			break;
		if (taken == next)
			next++;
	}
	if (r < 0)
		return r;
	next += next == gateway;
	if (!subnet_has_host(&s, next))
		return err_say(err, ENOSPC, "network %s: every address of %s is in use",
			       network->name, network->subnet);
	*ret = next;
	return 0;
}

/* 1 and the instance's address on that network, 0 without one there. */
static int address_own(struct store *store, const struct network_plan *plan, uint32_t *ret,
		       struct err *err)
{
	AUTO(db_stmt_p) sqlite3_stmt *stmt = NULL;
	int r = db_prepare(&store->db, &stmt, err,
			   "SELECT address FROM endpoint WHERE instance = ? AND network = ?", "ss",
			   plan->instance, plan->network);

	if (r == 0)
		r = db_step(&store->db, stmt, err);
	if (r == 1)
		*ret = (uint32_t)db_col_int(stmt, 0);
	return r;
}

static int network_is_empty(struct store *store, const char *name, bool *ret, struct err *err)
{
	AUTO(db_stmt_p) sqlite3_stmt *stmt = NULL;
	int r = db_prepare(&store->db, &stmt, err,
			   "SELECT 1 FROM endpoint WHERE network = ? LIMIT 1", "s", name);

	if (r == 0)
		r = db_step(&store->db, stmt, err);
	if (r < 0)
		return r;
	*ret = r == 0;
	return 0;
}

static int plan_names(const struct network_plan *plan, struct buf *aliases, struct err *err)
{
	int r = name_check("instance name", plan->name, err);

	if (r == 0 && plan->hostname && plan->hostname[0])
		r = name_check("hostname", plan->hostname, err);
	for (size_t i = 0; r == 0 && plan->aliases && plan->aliases[i]; i++) {
		r = name_check("network alias", plan->aliases[i], err);
		if (r == 0 && buf_printf(aliases, "%s%s", i ? " " : "", plan->aliases[i]) < 0)
			r = err_set(err, ENOMEM, "network aliases of %s", plan->name);
	}
	return r;
}

static int plan_address(struct store *store, const struct network_plan *plan,
			struct network *network, uint32_t *ret, struct err *err)
{
	bool empty = false;
	int r = network_is_empty(store, network->name, &empty, err);

	if (r == 0 && empty)
		r = network_settle(store, network, err);
	if (r < 0)
		return r;
	if (plan->address && plan->address[0])
		return address_given(store, plan, network, ret, err);
	r = address_own(store, plan, ret, err);
	if (r != 0)
		return r < 0 ? r : 0;
	return address_lowest(store, network, ret, err);
}

static void plan_fill(struct network_plan *plan, const struct network *network, uint32_t address)
{
	memcpy(plan->bridge, network->bridge, sizeof(plan->bridge));
	memcpy(plan->gateway, network->gateway, sizeof(plan->gateway));
	if (network->internal)
		plan->gateway[0] = '\0';
	address_text(address, plan->ip);
	link_host_if(plan->instance, plan->host_if);
	(void)snprintf(plan->mac, sizeof(plan->mac), "02:53:%02x:%02x:%02x:%02x", address >> 24,
		       address >> 16 & 0xff, address >> 8 & 0xff, address & 0xff);
	plan->prefix = (unsigned)strtoul(strchr(network->subnet, '/') + 1, NULL, 10);
	plan->internal = network->internal;
}

/* Inside a transaction. */
static int plan_reserve(struct store *store, struct network_plan *plan, struct err *err)
{
	AUTO(network_fini) struct network network = { 0 };
	AUTO(buf_fini) struct buf aliases = { 0 };
	struct network_plan planned = *plan;
	uint32_t address = 0;

	int r = plan_names(plan, &aliases, err);
	if (r == 0)
		r = network_lookup(store, plan->network, &network, err);
	if (r < 0)
		return r;
	planned.network = network.name; /* "default" is "bridge" */
	if (network.internal && plan->n_ports)
		return err_say(err, EINVAL,
			       "network %s is internal: its instances cannot publish ports",
			       network.name);
	r = plan_address(store, &planned, &network, &address, err);
	if (r == 0)
		r = db_run(&store->db, err,
			   "INSERT OR REPLACE INTO endpoint (instance, network, address, name, "
			   "hostname, aliases) VALUES (?, ?, ?, ?, ?, ?)",
			   "ssisss", plan->instance, network.name, (int64_t)address, plan->name,
			   plan->hostname ? plan->hostname : "", buf_str(&aliases));
	if (r == 0)
		r = port_reserve(store, plan, err);
	if (r == 0)
		plan_fill(plan, &network, address);
	return r;
}

int network_plan(struct store *store, struct network_plan *plan, struct err *err)
{
	bool own;
	int r = network_tx(store, false, &own, err);

	return r < 0 ? r : network_tx_end(store, own, plan_reserve(store, plan, err), err);
}

int network_plan_passt(struct store *store, struct network_plan *plan, struct err *err)
{
	bool own = false;
	int r = plan->n_ports ? network_tx(store, false, &own, err) : 0;

	if (r == 0 && plan->n_ports)
		r = network_tx_end(store, own, port_reserve(store, plan, err), err);
	if (r < 0)
		return r;
	plan->network = "passt";
	plan->bridge[0] = plan->host_if[0] = '\0';
	plan->prefix = PASST_PREFIX;
	(void)snprintf(plan->ip, sizeof(plan->ip), "%s", PASST_ADDRESS); /* all fit */
	(void)snprintf(plan->gateway, sizeof(plan->gateway), "%s", PASST_GATEWAY);
	(void)snprintf(plan->mac, sizeof(plan->mac), "%s", PASST_MAC);
	return 0;
}

int network_address(struct store *store, const char *instance, char ret[16], struct err *err)
{
	AUTO(db_stmt_p) sqlite3_stmt *stmt = NULL;
	int r = db_prepare(&store->db, &stmt, err,
			   "SELECT address FROM endpoint WHERE instance = ?", "s", instance);

	if (r == 0)
		r = db_step(&store->db, stmt, err);
	if (r < 0)
		return r;
	ret[0] = '\0';
	if (r == 1)
		address_text((uint32_t)db_col_int(stmt, 0), ret);
	return 0;
}

int network_rename(struct store *store, const char *instance, const char *name, struct err *err)
{
	int r = name_check("instance name", name, err);

	if (r == 0)
		r = db_run(&store->db, err, "UPDATE endpoint SET name = ? WHERE instance = ?", "ss",
			   name, instance);
	/* Without an endpoint nobody knows its name. */
	return r < 0 || db_changes(&store->db) == 0 ? r : network_hosts_write(store, instance, err);
}

/* 1 and the name of the instance's network and its address, 0 without one. */
static int endpoint_find(struct store *store, const char *instance, char ret_network[80],
			 uint32_t *ret_address, struct err *err)
{
	AUTO(db_stmt_p) sqlite3_stmt *stmt = NULL;
	int r = db_prepare(&store->db, &stmt, err,
			   "SELECT network, address FROM endpoint WHERE instance = ?", "s",
			   instance);

	if (r == 0)
		r = db_step(&store->db, stmt, err);
	if (r == 1) {
		(void)snprintf(ret_network, 80, "%s", db_col_str(stmt, 0));
		*ret_address = (uint32_t)db_col_int(stmt, 1);
	}
	return r;
}

/* UDP knows no end of a connection: flows that began before the rule would never meet it. */
static int udp_forget(struct store *store, const char *instance, struct err *err)
{
	AUTO(db_stmt_p) sqlite3_stmt *stmt = NULL;
	int r = db_prepare(&store->db, &stmt, err,
			   "SELECT host FROM port WHERE instance = ? AND udp = 1", "s", instance);

	while (r == 0 && (r = db_step(&store->db, stmt, err)) == 1) {
		conntrack_forget_udp((uint16_t)db_col_int(stmt, 0));
		r = 0;
	}
	return r;
}

static int publish_locked(struct store *store, const char *instance, const char *name,
			  struct err *err)
{
	AUTO(network_fini) struct network network = { 0 };
	AUTO(rules_fini) struct rules rules = { 0 };
	struct subnet s;
	char owner[256];

	network_owner(store, owner);
	int r = network_find(store, name, &network, err);
	if (r == 0)
		r = subnet_parse(network.subnet, &s, err);
	if (r == 0)
		r = link_bridge_ensure(network.bridge, network.gateway, s.prefix, owner, err);
	if (r == 0)
		r = rules_load(store, NULL, &rules, err);
	if (r == 0)
		r = rules_sync(store, &rules, err);
	if (r == 0)
		r = udp_forget(store, instance, err);
	return r;
}

int network_publish(struct store *store, const char *instance, struct err *err)
{
	char network[80];
	uint32_t address = 0;

	int r = endpoint_find(store, instance, network, &address, err);
	if (r <= 0)
		return r;
	AUTO(fd_close_p) int lock = network_lock(store, err);
	if (lock < 0)
		return lock;
	r = publish_locked(store, instance, network, err);
	return r < 0 ? err_wrap(err, "network %s", network) : 0;
}

/* Bridges that no instance is on any more: the ones of rules stay. */
static int bridges_drop_idle(struct store *store, const struct rules *rules, struct err *err)
{
	AUTO(db_stmt_p) sqlite3_stmt *stmt = NULL;
	char owner[256], alias[256];

	network_owner(store, owner);
	int r = db_prepare(&store->db, &stmt, err, "SELECT bridge FROM network", "");
	while (r == 0 && (r = db_step(&store->db, stmt, err)) == 1) {
		const char *bridge = db_col_str(stmt, 0);
		bool used = false;
		for (size_t i = 0; i < rules->n_networks; i++)
			used = used || !strcmp(rules->networks[i].bridge, bridge);
		r = 0;
		if (used || !if_nametoindex(bridge))
			continue;
		int owned = link_owner(bridge, alias, sizeof(alias));
		if (owned == 0 || (owned == 1 && !strcmp(alias, owner)))
			r = link_remove(bridge, err);
	}
	return r;
}

static int release_locked(struct store *store, const char *instance, const char *network,
			  uint32_t address, struct err *err)
{
	AUTO(rules_fini) struct rules rules = { 0 };
	char host_if[LINK_NAME];

	/*
	 * The veth goes with the instance's namespace, in the kernel's own time: not to be waited
	 * for.
	 */
	link_host_if(instance, host_if);
	int r = if_nametoindex(host_if) ? link_remove(host_if, err) : 0;
	if (r == 0)
		r = rate_forget(host_if, err);
	if (r == 0)
		r = rules_load(store, instance, &rules, err);
	if (r == 0)
		r = rules_sync(store, &rules, err);
	if (r == -ENOPKG || (r == -EPERM && geteuid() != 0))
		r = 0; /* no nft, or no right to: then nobody made rules, or nobody can remove them */
	if (r == 0)
		r = bridges_drop_idle(store, &rules, err);
	if (r < 0)
		return r;
	conntrack_forget(address);

	bool own;
	r = network_tx(store, false, &own, err);
	if (r < 0)
		return r;
	r = db_run(&store->db, err, "DELETE FROM port WHERE instance = ?", "s", instance);
	if (r == 0)
		r = db_run(&store->db, err, "DELETE FROM endpoint WHERE instance = ?", "s",
			   instance);
	r = network_tx_end(store, own, r, err);
	return r < 0 ? r : names_write(store, network, err);
}

/* Ports that passt held for an instance without an address. */
static int release_ports(struct store *store, const char *instance, struct err *err)
{
	AUTO(db_stmt_p) sqlite3_stmt *stmt = NULL;
	int r = db_prepare(&store->db, &stmt, err, "SELECT 1 FROM port WHERE instance = ?", "s",
			   instance);

	if (r == 0)
		r = db_step(&store->db, stmt, err);
	return r <= 0 ? r
		      : db_run(&store->db, err, "DELETE FROM port WHERE instance = ?", "s",
			       instance);
}

int network_release(struct store *store, const char *instance, struct err *err)
{
	char network[80];
	uint32_t address = 0;

	int r = endpoint_find(store, instance, network, &address, err);
	if (r == 0)
		return release_ports(store, instance, err);
	if (r < 0)
		return r;
	AUTO(fd_close_p) int lock = network_lock(store, err);
	if (lock < 0)
		return lock;
	/* Another release of the same instance may have been faster. */
	r = endpoint_find(store, instance, network, &address, err);
	if (r <= 0)
		return r;
	r = release_locked(store, instance, network, address, err);
	return r < 0 ? err_wrap(err, "network %s", network) : 0;
}
