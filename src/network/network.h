/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Networks: a bridge on the host each, with a subnet, addresses handed out from the state
 * database, NAT and published ports by nftables, names by hosts files.
 *
 * Three steps, in three processes: the command plans (database: network_plan) and publishes
 * (nftables: network_publish), the monitor plumbs (netlink, no database: network/link.h), and
 * whoever records the instance's end releases (network_release).
 */
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/core/buf.h"
#include "base/os/db.h"
#include "base/os/digest.h"
#include "base/os/store.h"

#define NETWORK_DEFAULT "bridge" /* the network of instances that name none; made at first use */

extern const struct db_schema network_schema;

struct network {
	char *name;
	char bridge[16]; /* interface name */
	char subnet[20]; /* "10.201.0.0/24" */
	char gateway[16];
	bool internal;	/* no way out: no NAT, no default route, no published ports */
	bool automatic; /* we chose the subnet, and choose anew where the host needs it */
	json_t *labels;
	int64_t created_ns;
};
void network_fini(struct network *network);

struct network_opts {
	const char *subnet;  /* NULL: the first /24 of 10.201.0.0/16 that meets no route */
	const char *gateway; /* NULL: the subnet's first address */
	bool internal;
	const json_t *labels;
};
/*
 * network_create() - record a network; its bridge comes up with its first instance
 * Errors: -EINVAL a bad name or subnet, -EEXIST the name is taken or reserved, -EADDRINUSE the
 * subnet meets another network's or a route of the host, -ENOSPC.
 */
int network_create(struct store *store, const char *name, const struct network_opts *opts,
		   struct network *ret, struct err *err);
/* network_find() - -ENOENT where there is none; NETWORK_DEFAULT is made when it is asked for. */
int network_find(struct store *store, const char *name, struct network *ret, struct err *err);
int network_list(struct store *store, struct network **ret, size_t *ret_n, struct err *err);
/* network_remove() - -EBUSY while an instance has an address there. Bridge and rules go too. */
int network_remove(struct store *store, const char *name, struct err *err);
int network_prune(struct store *store, json_t **ret_names, struct err *err);

struct network_port {
	char host_ip[16]; /* "" : every address */
	uint16_t host;	  /* 0: choose a free one; written back */
	uint16_t guest;
	bool udp;
};

struct network_plan {
	/* in */
	const char *network;
	const char *instance;	     /* id */
	const char *name, *hostname; /* what others may call it */
	const char *const *aliases;  /* --network-alias, NULL-ended, or NULL */
	const char *address;	     /* --ip, or NULL */
	struct network_port *ports;
	unsigned n_ports;
	/* out */
	char bridge[16], host_if[16], mac[18], ip[16];
	char gateway[16]; /* "" on an internal network; bridge and host_if are "" with passt */
	unsigned prefix;
	bool internal;
};
/*
 * network_plan() - reserve an address and the ports; an instance that has an address keeps it
 * Errors: -EADDRINUSE naming the port and who has it (an instance, or another program: found out by
 * bind(2)); -ENOENT; -EINVAL; -ENOSPC when the subnet is full. Own transaction, unless the caller
 * has begun one.
 */
int network_plan(struct store *store, struct network_plan *plan, struct err *err);
/*
 * network_plan_passt() - the same for a network of the instance's own, made by the program passt: its ports, and what passt.h says
 * Its names are known to nobody, and there is nothing to publish.
 */
int network_plan_passt(struct store *store, struct network_plan *plan, struct err *err);
/*
 * network_lock_host() - no other store of this host chooses a subnet or brings a bridge up until the fd is closed
 * From before network_plan() until network_publish() is done, so that of two that choose at once the second sees the first one's
 * route. Not inside a transaction, nor under network.lock. Return: -EBADF where /run is not ours to write: then it goes without.
 */
int network_lock_host(void);
/*
 * network_publish() - bridge up (after a reboot it is gone), NAT and port rules in place;
 * idempotent
 * Takes <run_root>/network.lock, and the database after it: not inside a transaction (-EDEADLK).
 * Errors: -ENOPKG where the nft program is missing. Nothing needs doing (0) for an instance
 * without an address.
 */
int network_publish(struct store *store, const char *instance, struct err *err);
/*
 * network_release() - rules, address and ports of one instance, and its names in its neighbours'
 * hosts files
 * Idempotent, one SELECT for an id without an address; lock as above. The row goes last: where
 * this is killed half-way, the next call does it all again.
 */
int network_release(struct store *store, const char *instance, struct err *err);
/* network_rename() - others find it by the new name; 0 for an id without an address. */
int network_rename(struct store *store, const char *instance, const char *name, struct err *err);
/*
 * network_blockers() - other programs' chains that drop what is forwarded and that are left alone
 * Names ("inet filter forward"), one a line, for `strata info` and `run -v`; nothing without nft.
 */
int network_blockers(struct buf *ret, struct err *err);
/* What is published, as long as the instance runs or is about to. */
struct network_published {
	char instance[DIGEST_HEX + 1];
	struct network_port port; /* host is never 0 */
};
/*
 * network_published() - of one instance, or (NULL) of all, in the order of their ids; ret is for free()
 */
int network_published(struct store *store, const char *instance, struct network_published **ret,
		      size_t *ret_n, struct err *err);
/* network_address() - of an instance, "" while it has none. */
int network_address(struct store *store, const char *instance, char ret[16], struct err *err);

/* A FIFO beside a hosts file, made by who wants to know of its changes: each time a byte comes. */
#define NETWORK_HOSTS_TOLD "hosts.changed"
/*
 * network_hosts_write() - names that resolve both ways, for everybody on this instance's network
 * Rewrites <run_root>/instances/ID/hosts in place (they are bind-mounted). Missing files are skipped;
 * without an address there is nothing to do (0). Lock as network_publish().
 */
int network_hosts_write(struct store *store, const char *instance, struct err *err);
/* network_resolv() - content for /etc/resolv.conf: the host's, without name servers on loopback. */
int network_resolv(bool host_network, struct buf *ret, struct err *err);
