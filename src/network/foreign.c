/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/os/json.h"
#include "base/os/log.h"
#include "network/private.h"

/*
 * Other programs' rules. An accept of ours ends our own chain only: a packet also needs every other
 * program's forward chain to let it pass. Docker sets the policy of `ip filter FORWARD` to drop and
 * offers DOCKER-USER for exactly this; there, and nowhere else, Strata puts rules into a table
 * that is not its own. Isolation does not suffer: our own chain still drops what it drops.
 */
#define RULE_MARK "strata:" /* and the bridge: the comment of our rules there */

static void foreign_chain(const json_t *chain, struct foreign *f)
{
	const char *family = json_str(chain, "family", "");
	const char *table = json_str(chain, "table", "");
	const char *name = json_str(chain, "name", "");
	bool forward = !strcmp(json_str(chain, "hook", ""), "forward");
	bool drop = forward && !strcmp(json_str(chain, "policy", ""), "drop");

	if (!strcmp(family, "ip") && !strcmp(table, "filter")) {
		f->docker_user = f->docker_user || !strcmp(name, "DOCKER-USER");
		if (forward && !strcmp(name, "FORWARD")) {
			f->forward = true;
			f->forward_drop = drop;
			return;
		}
	}
	if (drop && (!strcmp(family, "ip") || !strcmp(family, "inet")))
		(void)buf_printf(&f->others, "%s %s %s\n", family, table, name);
}

/* nft's answers are {"nftables": [{"chain": {...}}, ...]}. */
static int foreign_array(const char *text, size_t len, json_t **ret, const json_t **ret_array,
			 struct err *err)
{
	json_t *json = NULL;
	int r = json_parse(text, len, "nft's list", &json, err);

	if (r < 0)
		return r;
	*ret_array = json_object_get(json, "nftables");
	*ret = json;
	return 0;
}

int foreign_parse(const char *text, size_t len, struct foreign *ret, struct err *err)
{
	AUTO(json_decref_p) json_t *json = NULL;
	const json_t *array = NULL;
	struct foreign f = { 0 };
	int r = foreign_array(text, len, &json, &array, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < json_array_size(array); i++) {
		const json_t *chain = json_object_get(json_array_get(array, i), "chain");
		if (json_is_object(chain))
			foreign_chain(chain, &f);
	}
	if (f.others.failed) {
		buf_fini(&f.others);
		return err_set(err, ENOMEM, "nft's list");
	}
	*ret = f;
	return 0;
}

int foreign_rules_parse(const char *text, size_t len, struct foreign_rule **ret, size_t *ret_n,
			struct err *err)
{
	AUTO(json_decref_p) json_t *json = NULL;
	const json_t *array = NULL;
	size_t n = 0;
	int r = foreign_array(text, len, &json, &array, err);

	if (r < 0)
		return r;
	struct foreign_rule *rules = calloc(json_array_size(array) + 1, sizeof(*rules));
	if (!rules)
		return err_set(err, ENOMEM, "nft's list");
	for (size_t i = 0; i < json_array_size(array); i++) {
		const json_t *rule = json_object_get(json_array_get(array, i), "rule");
		const char *comment = json_str(rule, "comment", "");
		const char *bridge = comment + strlen(RULE_MARK);
		if (strncmp(comment, RULE_MARK, strlen(RULE_MARK)) != 0 ||
		    strlen(bridge) >= sizeof(rules->bridge))
			continue;
		rules[n].handle = json_int(rule, "handle", 0);
		(void)snprintf(rules[n++].bridge, sizeof(rules->bridge), "%s", bridge);
	}
	*ret = rules;
	*ret_n = n;
	return 0;
}

static int foreign_list(struct foreign *ret, struct err *err)
{
	static const char *const args[] = { "-j", "list", "chains", NULL };
	AUTO(buf_fini) struct buf text = { 0 };
	int r = nft_run(args, "", 0, &text, err);

	return r < 0 ? r : foreign_parse(buf_str(&text), text.len, ret, err);
}

static bool bridge_is_live(const struct rules *rules, const char *bridge)
{
	for (size_t i = 0; i < rules->n_networks; i++) {
		if (!strcmp(rules->networks[i].bridge, bridge))
			return true;
	}
	return false;
}

/* Another state directory on this host may have rules there too. */
static int bridge_is_ours(struct store *store, const char *bridge, struct err *err)
{
	AUTO(db_stmt_p) sqlite3_stmt *stmt = NULL;
	int r = db_prepare(&store->db, &stmt, err, "SELECT 1 FROM network WHERE bridge = ?", "s",
			   bridge);

	return r < 0 ? r : db_step(&store->db, stmt, err);
}

static bool has_rule(const struct foreign_rule *have, size_t n, const char *bridge)
{
	for (size_t i = 0; i < n; i++) {
		if (!strcmp(have[i].bridge, bridge))
			return true;
	}
	return false;
}

/* One chain: what is there and must go, what is missing and must come. */
static int chain_diff(struct store *store, const struct rules *rules, const char *chain, bool want,
		      struct buf *script, struct err *err)
{
	const char *const args[] = { "-j", "-a", "list", "chain", "ip", "filter", chain, NULL };
	AUTO(buf_fini) struct buf text = { 0 };
	struct foreign_rule *have = NULL;
	size_t n = 0;
	int r = nft_run(args, "", 0, &text, err);

	if (r == 0)
		r = foreign_rules_parse(buf_str(&text), text.len, &have, &n, err);
	for (size_t i = 0; r == 0 && i < n; i++) {
		if (want && bridge_is_live(rules, have[i].bridge))
			continue;
		r = bridge_is_ours(store, have[i].bridge, err);
		if (r == 1)
			(void)buf_printf(script, "delete rule ip filter %s handle %lld\n", chain,
					 (long long)have[i].handle);
		r = r < 0 ? r : 0;
	}
	for (size_t i = 0; r == 0 && want && i < rules->n_networks; i++) {
		const char *bridge = rules->networks[i].bridge;
		if (has_rule(have, n, bridge))
			continue;
		/* Literal names and a counter: the form that iptables can show as its own. */
		for (int out = 0; out < 2; out++)
			(void)buf_printf(script,
					 "insert rule ip filter %s %sifname \"%s\" counter accept "
					 "comment \"" RULE_MARK "%s\"\n",
					 chain, out ? "o" : "i", bridge, bridge);
	}
	free(have);
	return r;
}

int foreign_sync(struct store *store, const struct rules *rules, struct err *err)
{
	static const char *const args[] = { "-f", "-", NULL };
	AUTO(buf_fini) struct buf script = { 0 };
	struct foreign f = { 0 };

	/*
	 * An nft built without JSON can do everything but look: then nothing is known, nothing
	 * touched.
	 */
	struct err look = { 0 };
	if (foreign_list(&f, &look) < 0) {
		log_debug("network: %s", look.text);
		return 0;
	}
	int r = 0;
	if (f.docker_user)
		r = chain_diff(store, rules, "DOCKER-USER", f.forward_drop, &script, err);
	if (r == 0 && f.forward)
		r = chain_diff(store, rules, "FORWARD", f.forward_drop && !f.docker_user, &script,
			       err);
	if (f.others.len)
		log_debug("network: other chains drop what is forwarded: %s", buf_str(&f.others));
	buf_fini(&f.others);
	if (r == 0 && script.failed)
		r = err_set(err, ENOMEM, "network rules");
	return r < 0 || !script.len ? r : nft_run(args, script.data, script.len, NULL, err);
}

int network_blockers(struct buf *ret, struct err *err)
{
	struct foreign f = { 0 };
	int r = foreign_list(&f, err);

	if (r < 0)
		return r == -ENOPKG ? 0 : r;
	r = f.others.len ? buf_add(ret, f.others.data, f.others.len) : 0;
	buf_fini(&f.others);
	return r < 0 ? err_set(err, -r, "list of chains") : 0;
}
