/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Between the files of this room. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/core/buf.h"
#include "base/core/err.h"
#include "base/os/db.h"
#include "base/os/digest.h"
#include "base/os/store.h"
#include "network/network.h"

/*
 * network_tx() - begin a transaction unless the caller has: *ret_own says who ends it
 * (network_tx_end).
 */
int network_tx(struct store *store, bool durable, bool *ret_own, struct err *err);
int network_tx_end(struct store *store, bool own, int r, struct err *err);
/* network_lookup() - as network_find(), inside the caller's transaction. */
int network_lookup(struct store *store, const char *name, struct network *ret, struct err *err);
/*
 * network_place() - choose or check the bridge's name, the subnet and the gateway of a new
 * network.
 */
int network_place(struct store *store, struct network *network, const struct network_opts *opts,
		  struct err *err);
/* network_bridge_usable() - is the interface's name free, or our own bridge's? */
bool network_bridge_usable(const char *name, const char *owner);
/*
 * network_settle() - a network without instances: does its subnet still suit the host? Else
 * another.
 */
int network_settle(struct store *store, struct network *network, struct err *err);
/* network_owner() - the alias of this store's bridges: "strata /var/lib/strata". */
void network_owner(const struct store *store, char ret[256]);
/*
 * network_mark() - what tells this store's names from another's, be that running, dead or just choosing: digits of its root's
 * digest, "" for the usual root
 */
#define NETWORK_MARK 8
void network_mark(const struct store *store, char ret[NETWORK_MARK + 1]);
/*
 * network_lock() - the fd that holds <run_root>/network.lock until it is closed; or a negative
 * errno.
 */
int network_lock(struct store *store, struct err *err);
/*
 * name_check() - letters, digits, "_.-": safe in a hosts file and in a rule; what names it in the
 * error.
 */
int name_check(const char *what, const char *name, struct err *err);
/* names_write() - hosts files of everybody on the network; the caller holds the lock. */
int names_write(struct store *store, const char *network, struct err *err);

/*
 * port_reserve() - the plan's ports, in the caller's transaction; replaces what the instance had.
 */
int port_reserve(struct store *store, struct network_plan *plan, struct err *err);

/* What the rules are made of: networks with instances, and their published ports. */
struct rule_network {
	char bridge[16], subnet[20];
	bool internal, publishes;
};
struct rule_port {
	char host_ip[16], ip[16];
	uint16_t host, guest;
	bool udp;
};
struct rules {
	char table[32];
	struct rule_network *networks;
	size_t n_networks;
	struct rule_port *ports;
	size_t n_ports;
};
void rules_fini(struct rules *rules);
/* rules_load() - from the database, as if the instance `except` (or NULL) were gone. */
int rules_load(struct store *store, const char *except, struct rules *ret, struct err *err);
/* rules_text() - input for nft -f: one transaction that replaces our table, or removes it. */
int rules_text(const struct rules *rules, struct buf *ret);
/*
 * rules_sync() - make the kernel agree with rules: table, host settings; does nothing where it
 * agrees.
 */
int rules_sync(struct store *store, const struct rules *rules, struct err *err);

/*
 * nft_run() - the nft program with a script on stdin; its output is appended to ret (may be NULL).
 */
int nft_run(const char *const args[], const char *script, size_t len, struct buf *ret,
	    struct err *err);
/* nft_stamp() - the comment of one of our tables: 1 and the text, 0 no such table, -errno. */
int nft_stamp(const char *table, char ret[DIGEST_HEX + 1]);

/* Other programs' forward chains, from `nft -j list chains`. */
struct foreign {
	bool forward;	   /* table ip filter has the base chain FORWARD */
	bool forward_drop; /* and its policy is drop */
	bool docker_user;  /* and there is DOCKER-USER */
	struct buf others; /* further base chains with policy drop, a line each */
};
int foreign_parse(const char *text, size_t len, struct foreign *ret, struct err *err);
/* A rule of ours in another program's chain: the bridge it is for. */
struct foreign_rule {
	char bridge[16];
	int64_t handle;
};
/* foreign_rules_parse() - `nft -j list chain`: the rules with our comment; ret is for free(). */
int foreign_rules_parse(const char *text, size_t len, struct foreign_rule **ret, size_t *ret_n,
			struct err *err);
/*
 * foreign_sync() - accept rules for live bridges in `ip filter` where it drops; ours for others
 * go.
 */
int foreign_sync(struct store *store, const struct rules *rules, struct err *err);

/*
 * resolv_filter() - name servers an instance can reach (IPv4, not loopback), and every other line.
 */
int resolv_filter(const char *text, size_t len, struct buf *ret, unsigned *ret_servers);

/* conntrack_forget() - drop remembered flows to a gone address; best effort. */
void conntrack_forget(uint32_t address);
/* conntrack_forget_udp() - and those that began at a port before it was published. */
void conntrack_forget_udp(uint16_t port);
