/* SPDX-License-Identifier: Apache-2.0 */
#include "network/network.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/os/clock.h"
#include "base/os/fd.h"
#include "base/os/file.h"
#include "base/os/json.h"
#include "network/link.h"
#include "network/private.h"
#include "network/subnet.h"

#define NAME_MAX_LEN 64
#define COLUMNS	     "name, bridge, subnet, gateway, internal, automatic, labels, created_ns"

static const char *const versions[] = {
	"CREATE TABLE network (name TEXT PRIMARY KEY, bridge TEXT NOT NULL UNIQUE,"
	" subnet TEXT NOT NULL, gateway TEXT NOT NULL, internal INTEGER NOT NULL,"
	" automatic INTEGER NOT NULL, labels TEXT NOT NULL, created_ns INTEGER NOT NULL)"
	" WITHOUT ROWID;"
	"CREATE TABLE endpoint (instance TEXT PRIMARY KEY, network TEXT NOT NULL,"
	" address INTEGER NOT NULL, name TEXT NOT NULL, hostname TEXT NOT NULL,"
	" aliases TEXT NOT NULL, UNIQUE (network, address)) WITHOUT ROWID;"
	"CREATE TABLE port (instance TEXT NOT NULL, host_ip TEXT NOT NULL, host INTEGER NOT NULL,"
	" udp INTEGER NOT NULL, guest INTEGER NOT NULL, PRIMARY KEY (host, udp, host_ip))"
	" WITHOUT ROWID;"
	"CREATE INDEX port_instance ON port (instance);",
};
const struct db_schema network_schema = { "network", versions, ARRAY_SIZE(versions) };

void network_fini(struct network *network)
{
	free(network->name);
	json_decref(network->labels);
	*network = (struct network){ 0 };
}

int network_tx(struct store *store, bool durable, bool *ret_own, struct err *err)
{
	bool own = sqlite3_get_autocommit(store->db.handle) != 0;
	int r = own ? db_begin(&store->db, durable, err) : 0;

	if (r == 0)
		*ret_own = own;
	return r;
}

int network_tx_end(struct store *store, bool own, int r, struct err *err)
{
	if (own && r == 0)
		r = db_commit(&store->db, err);
	if (own && r < 0)
		db_rollback(&store->db);
	return r;
}

void network_owner(const struct store *store, char ret[256])
{
	(void)snprintf(ret, 256, "strata %.240s", store->root); /* IFALIASZ: 256 */
}

void network_mark(const struct store *store, char ret[NETWORK_MARK + 1])
{
	char hex[DIGEST_HEX + 1];

	digest_of(store->root, strlen(store->root), hex);
	if (!strcmp(store->root, "/var/lib/strata"))
		hex[0] = '\0';
	(void)snprintf(ret, NETWORK_MARK + 1, "%.*s", NETWORK_MARK, hex);
}

/* Waits; an fd that holds the lock until it is closed, or -errno. */
static int lock_file(int dirfd, const char *path)
{
	AUTO(fd_close_p)
	int fd = openat(dirfd, path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	int r = fd_lock(fd);
	return r < 0 ? r : fd_take(&fd);
}

int network_lock(struct store *store, struct err *err)
{
	/*
	 * Whoever holds the lock writes the database: a writer that waits for the lock would stop
	 * it.
	 */
	if (!sqlite3_get_autocommit(store->db.handle))
		return err_say(err, EDEADLK, "network: its lock is asked for inside a transaction");
	int fd = lock_file(store->run_fd, "network.lock");
	return fd < 0 ? err_set(err, -fd, "lock %s/network.lock", store->run_root) : fd;
}

int network_lock_host(void)
{
	int fd = lock_file(AT_FDCWD, "/run/strata-network.lock");

	return fd < 0 ? -EBADF : fd;
}

int name_check(const char *what, const char *name, struct err *err)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789_.-";
	size_t n = strlen(name);

	if (!n || n > NAME_MAX_LEN || strspn(name, allowed) != n || strchr("_.-", name[0]))
		return err_say(
			err, EINVAL,
			"%s \"%.70s\": up to %d letters, digits, \"_\", \".\" and \"-\", the "
			"first a letter or a digit",
			what, name, NAME_MAX_LEN);
	return 0;
}

static bool name_reserved(const char *name)
{
	return !strcmp(name, "none") || !strcmp(name, "host") || !strcmp(name, "default") ||
	       !strcmp(name, "passt") || !strcmp(name, NETWORK_DEFAULT);
}

static int row_load(sqlite3_stmt *stmt, struct network *ret, struct err *err)
{
	struct network n = { .internal = db_col_int(stmt, 4) != 0,
			     .automatic = db_col_int(stmt, 5) != 0,
			     .created_ns = db_col_int(stmt, 7) };
	const char *labels = db_col_str(stmt, 6);

	n.name = strdup(db_col_str(stmt, 0));
	(void)snprintf(n.bridge, sizeof(n.bridge), "%s", db_col_str(stmt, 1));
	(void)snprintf(n.subnet, sizeof(n.subnet), "%s", db_col_str(stmt, 2));
	(void)snprintf(n.gateway, sizeof(n.gateway), "%s", db_col_str(stmt, 3));
	int r = n.name ? json_parse(labels, strlen(labels), "network labels", &n.labels, err)
		       : err_set(err, ENOMEM, "network");
	if (r < 0) {
		network_fini(&n);
		return r;
	}
	*ret = n;
	return 0;
}

static int network_insert(struct store *store, struct network *network, const json_t *labels,
			  struct err *err)
{
	char *text = labels ? json_text(labels, 0) : strdup("{}");
	if (!text)
		return err_set(err, ENOMEM, "network %s", network->name);
	network->created_ns = clock_real_ns();
	network->labels = labels ? json_deep_copy(labels) : json_object();
	int r = !network->labels
			? err_set(err, ENOMEM, "network %s", network->name)
			: db_run(&store->db, err,
				 "INSERT INTO network (" COLUMNS
				 ") VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
				 "ssssiisi", network->name, network->bridge, network->subnet,
				 network->gateway, (int64_t)network->internal,
				 (int64_t)network->automatic, text, network->created_ns);
	free(text);
	return r;
}

/* Inside a transaction; the name is checked. */
static int network_add(struct store *store, const char *name, const struct network_opts *opts,
		       struct network *ret, struct err *err)
{
	AUTO(network_fini)
	struct network n = { .internal = opts->internal, .automatic = !opts->subnet };

	n.name = strdup(name);
	if (!n.name)
		return err_set(err, ENOMEM, "network %s", name);
	int r = network_place(store, &n, opts, err);
	if (r == 0)
		r = network_insert(store, &n, opts->labels, err);
	if (r < 0)
		return r;
	*ret = n;
	n = (struct network){ 0 };
	return 0;
}

static int network_row(struct store *store, const char *name, struct network *ret, struct err *err)
{
	AUTO(db_stmt_p) sqlite3_stmt *stmt = NULL;
	int r = db_prepare(&store->db, &stmt, err, "SELECT " COLUMNS " FROM network WHERE name = ?",
			   "s", name);

	if (r == 0)
		r = db_step(&store->db, stmt, err);
	if (r == 1)
		return row_load(stmt, ret, err);
	return r < 0 ? r
		     : err_say(err, ENOENT, "no such network: %s (see strata network ls)", name);
}

int network_create(struct store *store, const char *name, const struct network_opts *opts,
		   struct network *ret, struct err *err)
{
	AUTO(network_fini) struct network n = { 0 };
	bool own;
	int r = name_check("network name", name, err);

	if (r < 0)
		return r;
	if (name_reserved(name))
		return err_say(err, EEXIST, "network %s is built in: choose another name", name);
	if (opts->gateway && !opts->subnet)
		return err_say(err, EINVAL, "network %s: a gateway needs a subnet too", name);
	r = network_tx(store, true, &own, err);
	if (r < 0)
		return r;
	struct network old = { 0 };
	r = network_row(store, name, &old, err);
	if (r == 0) {
		network_fini(&old);
		r = err_say(err, EEXIST, "network %s exists already", name);
	} else if (r == -ENOENT) {
		r = network_add(store, name, opts, &n, err);
	}
	r = network_tx_end(store, own, r, err);
	if (r < 0)
		return r;
	*ret = n;
	n = (struct network){ 0 };
	return 0;
}

int network_lookup(struct store *store, const char *name, struct network *ret, struct err *err)
{
	static const struct network_opts none = { 0 };

	if (!strcmp(name, "default"))
		name = NETWORK_DEFAULT;
	int r = network_row(store, name, ret, err);
	return r == -ENOENT && !strcmp(name, NETWORK_DEFAULT)
		       ? network_add(store, name, &none, ret, err)
		       : r;
}

int network_find(struct store *store, const char *name, struct network *ret, struct err *err)
{
	AUTO(network_fini) struct network n = { 0 };
	bool own;

	if (!strcmp(name, "default"))
		name = NETWORK_DEFAULT;
	int r = network_row(store, name, ret, err);
	if (r != -ENOENT || strcmp(name, NETWORK_DEFAULT) != 0)
		return r;
	r = network_tx(store, true, &own, err);
	if (r < 0)
		return r;
	r = network_tx_end(store, own, network_lookup(store, name, &n, err), err);
	if (r < 0)
		return r;
	*ret = n;
	n = (struct network){ 0 };
	return 0;
}

static void networks_free(struct network *networks, size_t n)
{
	for (size_t i = 0; i < n; i++)
		network_fini(&networks[i]);
	free(networks);
}

int network_list(struct store *store, struct network **ret, size_t *ret_n, struct err *err)
{
	AUTO(network_fini) struct network dflt = { 0 };
	AUTO(db_stmt_p) sqlite3_stmt *stmt = NULL;
	struct network *networks = NULL;
	size_t n = 0;

	(void)network_find(store, NETWORK_DEFAULT, &dflt,
			   NULL); /* a list without it is a list too */
	int r = db_prepare(&store->db, &stmt, err, "SELECT " COLUMNS " FROM network ORDER BY name",
			   "");
	while (r == 0 && (r = db_step(&store->db, stmt, err)) == 1) {
		struct network *more = realloc(networks, (n + 1) * sizeof(*more));
		r = more ? 0 : err_set(err, ENOMEM, "list networks");
		if (more) {
			networks = more;
			r = row_load(stmt, &networks[n], err);
			n += r == 0;
		}
	}
	if (r < 0) {
		networks_free(networks, n);
		return r;
	}
	*ret = networks;
	*ret_n = n;
	return 0;
}

static int network_idle(struct store *store, const char *name, struct err *err)
{
	AUTO(db_stmt_p) sqlite3_stmt *stmt = NULL;
	int r = db_prepare(&store->db, &stmt, err,
			   "SELECT name, instance FROM endpoint WHERE network = ? LIMIT 1", "s",
			   name);

	if (r == 0)
		r = db_step(&store->db, stmt, err);
	return r == 1 ? err_say(err, EBUSY, "network %s is in use by instance %s: stop it first",
				name, db_col_str(stmt, 0))
		      : r;
}

int network_remove(struct store *store, const char *name, struct err *err)
{
	AUTO(network_fini) struct network n = { 0 };
	bool own;

	if (name_reserved(name))
		return err_say(err, EPERM, "network %s is built in: it cannot be removed", name);
	int r = network_tx(store, true, &own, err);
	if (r < 0)
		return r;
	r = network_row(store, name, &n, err);
	if (r == 0)
		r = network_idle(store, name, err);
	if (r == 0)
		r = db_run(&store->db, err, "DELETE FROM network WHERE name = ?", "s", name);
	/* Rules went with the last instance; a killed command may have left the bridge. */
	char owner[256];
	network_owner(store, owner);
	if (r == 0 && if_nametoindex(n.bridge) && network_bridge_usable(n.bridge, owner))
		r = link_remove(n.bridge, err);
	return network_tx_end(store, own, r, err);
}

int network_prune(struct store *store, json_t **ret_names, struct err *err)
{
	AUTO(json_decref_p) json_t *names = json_array();
	struct network *networks = NULL;
	size_t n = 0;
	int r = names ? network_list(store, &networks, &n, err)
		      : err_set(err, ENOMEM, "prune networks");

	for (size_t i = 0; r == 0 && i < n; i++) {
		if (name_reserved(networks[i].name))
			continue;
		r = network_remove(store, networks[i].name, err);
		if (r == 0 && json_array_append_new(names, json_string(networks[i].name)) < 0)
			r = err_set(err, ENOMEM, "prune networks");
		if (r == -EBUSY || r == -ENOENT)
			r = 0; /* in use, or somebody else was faster */
	}
	networks_free(networks, n);
	if (r == 0)
		*ret_names = TAKE(names);
	return r;
}
