/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/os/file.h"
#include "network/private.h"
#include "network/subnet.h"

/*
 * Theory of operation. The rules are a function of the database: all of our one table is rendered
 * and replaced in one transaction of the kernel, so that what a killed command left half-made is
 * right after the next one, whatever it was. The table's comment is the digest of its text: where
 * the kernel already has it, nft is not even started. docs/network.md explains the rules
 * themselves.
 */

void rules_fini(struct rules *rules)
{
	free(rules->networks);
	free(rules->ports);
	*rules = (struct rules){ 0 };
}

/* Each state directory has a table of its own; the usual one has the plain name. */
static void rules_table(const struct store *store, char ret[32])
{
	char mark[NETWORK_MARK + 1];

	network_mark(store, mark);
	(void)snprintf(ret, 32, "strata%s%s", mark[0] ? "_" : "", mark);
}

static int load_networks(struct store *store, const char *except, struct rules *rules,
			 struct err *err)
{
	AUTO(db_stmt_p) sqlite3_stmt *stmt = NULL;
	int r = db_prepare(
		&store->db, &stmt, err,
		"SELECT bridge, subnet, internal, EXISTS (SELECT 1 FROM endpoint e JOIN port USING "
		"(instance) WHERE e.network = n.name AND instance != ?1) FROM network n WHERE "
		"EXISTS (SELECT 1 FROM endpoint e WHERE e.network = n.name AND instance != ?1) ORDER BY "
		"bridge",
		"s", except);

	while (r == 0 && (r = db_step(&store->db, stmt, err)) == 1) {
		struct rule_network *more =
			realloc(rules->networks, (rules->n_networks + 1) * sizeof(*more));
		if (!more)
			return err_set(err, ENOMEM, "network rules");
		rules->networks = more;
		struct rule_network *n = &more[rules->n_networks++];
		*n = (struct rule_network){ .internal = db_col_int(stmt, 2) != 0,
					    .publishes = db_col_int(stmt, 3) != 0 };
		(void)snprintf(n->bridge, sizeof(n->bridge), "%s", db_col_str(stmt, 0));
		(void)snprintf(n->subnet, sizeof(n->subnet), "%s", db_col_str(stmt, 1));
		r = 0;
	}
	return r;
}

static int load_ports(struct store *store, const char *except, struct rules *rules, struct err *err)
{
	AUTO(db_stmt_p) sqlite3_stmt *stmt = NULL;
	int r = db_prepare(
		&store->db, &stmt, err,
		"SELECT host_ip, host, udp, guest, address FROM port JOIN endpoint USING "
		"(instance) WHERE instance != ? ORDER BY host, udp, host_ip",
		"s", except);

	while (r == 0 && (r = db_step(&store->db, stmt, err)) == 1) {
		struct rule_port *more =
			realloc(rules->ports, (rules->n_ports + 1) * sizeof(*more));
		if (!more)
			return err_set(err, ENOMEM, "network rules");
		rules->ports = more;
		struct rule_port *p = &more[rules->n_ports++];
		*p = (struct rule_port){ .host = (uint16_t)db_col_int(stmt, 1),
					 .udp = db_col_int(stmt, 2) != 0,
					 .guest = (uint16_t)db_col_int(stmt, 3) };
		(void)snprintf(p->host_ip, sizeof(p->host_ip), "%s", db_col_str(stmt, 0));
		address_text((uint32_t)db_col_int(stmt, 4), p->ip);
		r = 0;
	}
	return r;
}

int rules_load(struct store *store, const char *except, struct rules *ret, struct err *err)
{
	AUTO(rules_fini) struct rules rules = { 0 };

	rules_table(store, rules.table);
	int r = load_networks(store, except ? except : "", &rules, err);
	if (r == 0)
		r = load_ports(store, except ? except : "", &rules, err);
	if (r < 0)
		return r;
	*ret = rules;
	rules = (struct rules){ 0 };
	return 0;
}

/* An empty list of elements is a syntax error to nft. */
static void text_bridges(const struct rules *rules, bool internal_only, const char *set,
			 struct buf *out)
{
	bool first = true;

	(void)buf_printf(out, "\tset %s { type ifname; ", set);
	for (size_t i = 0; i < rules->n_networks; i++) {
		if (internal_only && !rules->networks[i].internal)
			continue;
		(void)buf_printf(out, "%s\"%s\"", first ? "elements = { " : ", ",
				 rules->networks[i].bridge);
		first = false;
	}
	(void)buf_adds(out, first ? "}\n" : " } }\n");
}

static void text_same(const struct rules *rules, struct buf *out)
{
	(void)buf_adds(out, "\tset same { type ifname . ifname; elements = { ");
	for (size_t i = 0; i < rules->n_networks; i++)
		(void)buf_printf(out, "%s\"%s\" . \"%s\"", i ? ", " : "", rules->networks[i].bridge,
				 rules->networks[i].bridge);
	(void)buf_adds(out, " } }\n");
}

static void text_ports(const struct rules *rules, bool with_ip, struct buf *out)
{
	bool first = true;

	(void)buf_printf(out,
			 "\tmap %s { type %sinet_proto . inet_service : ipv4_addr . inet_service; ",
			 with_ip ? "ports_at" : "ports", with_ip ? "ipv4_addr . " : "");
	for (size_t i = 0; i < rules->n_ports; i++) {
		const struct rule_port *p = &rules->ports[i];
		if ((p->host_ip[0] != '\0') != with_ip)
			continue;
		(void)buf_printf(out, "%s%s%s%s . %u : %s . %u", first ? "elements = { " : ", ",
				 p->host_ip, with_ip ? " . " : "", p->udp ? "udp" : "tcp", p->host,
				 p->ip, p->guest);
		first = false;
	}
	(void)buf_adds(out, first ? "}\n" : " } }\n");
}

static void text_nat(const struct rules *rules, struct buf *out)
{
	static const char dnat[] =
		"\t\tfib daddr type local dnat ip to ip daddr . meta l4proto . th dport "
		"map @ports_at\n"
		"\t\tfib daddr type local dnat ip to meta l4proto . th dport map @ports\n";

	/* From a wire nobody may reach 127.0.0.1, also not a port that is published there. */
	(void)buf_printf(out,
			 "\tchain prerouting {\n"
			 "\t\ttype nat hook prerouting priority dstnat; policy accept;\n"
			 "\t\tip daddr 127.0.0.0/8 return\n%s\t}\n"
			 "\tchain output {\n"
			 "\t\ttype nat hook output priority -100; policy accept;\n%s\t}\n"
			 "\tchain postrouting {\n"
			 "\t\ttype nat hook postrouting priority srcnat; policy accept;\n",
			 dnat, dnat);
	for (size_t i = 0; i < rules->n_networks; i++) {
		const struct rule_network *n = &rules->networks[i];
		if (n->internal)
			continue;
		(void)buf_printf(out,
				 "\t\tip saddr %s oifname != @bridges masquerade\n"
				 "\t\tip saddr { 127.0.0.0/8, %s } oifname \"%s\" ct status dnat "
				 "masquerade\n",
				 n->subnet, n->subnet, n->bridge);
	}
	(void)buf_adds(out, "\t}\n");
}

static void text_filter(const struct rules *rules, struct buf *out)
{
	(void)buf_adds(out, "\tchain guard {\n"
			    "\t\ttype filter hook prerouting priority raw; policy accept;\n"
			    "\t\tiifname @bridges ip daddr 127.0.0.0/8 drop\n");
	for (size_t i = 0; i < rules->n_networks; i++)
		(void)buf_printf(out, "\t\tiifname \"%s\" ip saddr != %s drop\n",
				 rules->networks[i].bridge, rules->networks[i].subnet);
	(void)buf_adds(out, "\t}\n"
			    "\tchain forward {\n"
			    "\t\ttype filter hook forward priority filter; policy accept;\n"
			    "\t\tct state established,related accept\n"
			    "\t\tiifname . oifname @same accept\n"
			    "\t\tiifname @internal drop\n"
			    "\t\toifname @internal drop\n"
			    "\t\toifname @bridges ct status dnat accept\n"
			    "\t\toifname @bridges drop\n"
			    "\t}\n");
}

int rules_text(const struct rules *rules, struct buf *ret)
{
	AUTO(buf_fini) struct buf body = { 0 };
	char stamp[DIGEST_HEX + 1];

	/* Adding a table that is there is no error, deleting one that is not would be. */
	(void)buf_printf(ret, "table ip %s\ndelete table ip %s\n", rules->table, rules->table);
	if (!rules->n_networks)
		return ret->failed ? -ENOMEM : 0;
	text_bridges(rules, false, "bridges", &body);
	text_bridges(rules, true, "internal", &body);
	text_same(rules, &body);
	text_ports(rules, false, &body);
	text_ports(rules, true, &body);
	text_filter(rules, &body);
	text_nat(rules, &body);
	if (body.failed)
		return -ENOMEM;
	digest_of(body.data, body.len, stamp);
	(void)buf_printf(ret, "table ip %s {\n\tcomment \"%s\"\n%s}\n", rules->table, stamp,
			 body.data);
	return ret->failed ? -ENOMEM : 0;
}

/* 127.0.0.1 reaches a bridge only where the kernel is told to let it, and only while it must. */
static int host_settings(const struct rules *rules, struct err *err)
{
	for (size_t i = 0; i < rules->n_networks; i++) {
		const struct rule_network *n = &rules->networks[i];
		AUTO(buf_fini) struct buf now = { 0 };
		char path[96];

		(void)snprintf(path, sizeof(path), "/proc/sys/net/ipv4/conf/%s/route_localnet",
			       n->bridge);
		/* The bridge of another start may be up only in a moment, by its own command. */
		if (file_read(AT_FDCWD, path, 64, &now) < 0 ||
		    (buf_str(&now)[0] == '1') == n->publishes)
			continue;
		int r = file_write(AT_FDCWD, path, n->publishes ? "1" : "0");
		if (r < 0)
			return err_set(err, -r, "write %s", path);
	}
	return 0;
}

static int forward_enable(const struct rules *rules, struct err *err)
{
	static const char path[] = "/proc/sys/net/ipv4/ip_forward";
	AUTO(buf_fini) struct buf now = { 0 };
	bool wanted = false;

	for (size_t i = 0; i < rules->n_networks; i++)
		wanted = wanted || !rules->networks[i].internal;
	if (!wanted || (file_read(AT_FDCWD, path, 64, &now) == 0 && buf_str(&now)[0] == '1'))
		return 0;
	int r = file_write(AT_FDCWD, path, "1");
	return r < 0 ? err_set(err, -r, "turn on IPv4 forwarding (%s)", path) : 0;
}

/* Does the kernel hold this text already? */
static bool rules_current(const struct rules *rules, const struct buf *text)
{
	char stamp[DIGEST_HEX + 1] = "";
	int r = nft_stamp(rules->table, stamp);

	if (!rules->n_networks)
		return r == 0;
	return r == 1 && digest_is_hex(stamp) && strstr(buf_str(text), stamp);
}

int rules_sync(struct store *store, const struct rules *rules, struct err *err)
{
	AUTO(buf_fini) struct buf text = { 0 };
	static const char *const args[] = { "-f", "-", NULL };

	if (rules_text(rules, &text) < 0)
		return err_set(err, ENOMEM, "network rules");
	int r = forward_enable(rules, err);
	if (r == 0 && !rules_current(rules, &text)) {
		r = nft_run(args, text.data, text.len, NULL, err);
		if (r == 0)
			r = foreign_sync(store, rules, err);
	}
	/* After the guard is in place. */
	return r < 0 ? r : host_settings(rules, err);
}
