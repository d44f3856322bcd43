/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/file.h"
#include "network/private.h"
#include "network/subnet.h"

#define RESOLV_MAX (64u << 10)

struct host {
	char *instance, *name, *hostname, *aliases; /* aliases: separated by a space */
	char ip[16];
	size_t at, len; /* its line in the common text */
};

static void hosts_free(struct host *hosts, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(hosts[i].instance);
		free(hosts[i].name);
		free(hosts[i].hostname);
		free(hosts[i].aliases);
	}
	free(hosts);
}

static int hosts_load(struct store *store, const char *network, struct host **ret, size_t *ret_n,
		      struct err *err)
{
	AUTO(db_stmt_p) sqlite3_stmt *stmt = NULL;
	struct host *hosts = NULL;
	size_t n = 0;
	int r = db_prepare(&store->db, &stmt, err,
			   "SELECT instance, name, hostname, aliases, address FROM endpoint WHERE "
			   "network = ? ORDER BY address",
			   "s", network);

	while (r == 0 && (r = db_step(&store->db, stmt, err)) == 1) {
		struct host *more = realloc(hosts, (n + 1) * sizeof(*more));
		if (more) {
			hosts = more;
			struct host *h = &hosts[n++];
			*h = (struct host){ .instance = strdup(db_col_str(stmt, 0)),
					    .name = strdup(db_col_str(stmt, 1)),
					    .hostname = strdup(db_col_str(stmt, 2)),
					    .aliases = strdup(db_col_str(stmt, 3)) };
			address_text((uint32_t)db_col_int(stmt, 4), h->ip);
			r = h->instance && h->name && h->hostname && h->aliases ? 0 : -ENOMEM;
		}
		if (!more || r < 0)
			r = err_set(err, ENOMEM, "hosts of network %s", network);
	}
	if (r < 0) {
		hosts_free(hosts, n);
		return r;
	}
	*ret = hosts;
	*ret_n = n;
	return 0;
}

static bool word_in(const char *words, const char *word, size_t n)
{
	for (const char *p = words; *p;) {
		size_t len = strcspn(p, " ");
		if (len == n && !strncasecmp(p, word, n))
			return true;
		p += len + strspn(p + len, " ");
	}
	return false;
}

/*
 * Nobody may stand for "localhost"; a name is its owner's before it is anybody's alias or
 * hostname.
 */
static bool name_is_others(const struct host *hosts, size_t n, size_t self, const char *word,
			   size_t len, bool alias)
{
	if (len == strlen("localhost") && !strncasecmp(word, "localhost", len))
		return true;
	for (size_t i = 0; i < n; i++) {
		if (i == self)
			continue;
		if (strlen(hosts[i].name) == len && !strncasecmp(hosts[i].name, word, len))
			return true;
		if (!alias && word_in(hosts[i].aliases, word, len))
			return true;
	}
	return false;
}

static void line_add(struct buf *line, const char *word, size_t len)
{
	const char *names = line->len ? strchr(line->data, '\t') : NULL;

	if (len && !(names && word_in(names + 1, word, len)))
		(void)buf_printf(line, "%s%.*s", names && names[1] ? " " : "", (int)len, word);
}

static void host_line(const struct host *hosts, size_t n, size_t self, bool own, struct buf *line)
{
	const struct host *h = &hosts[self];
	size_t name_len = strlen(h->name);
	size_t host_len = strlen(h->hostname);
	bool host_ok = own || !name_is_others(hosts, n, self, h->hostname, host_len, false);

	(void)buf_printf(line, "%s\t", h->ip);
	if (own) /* the first name is the canonical one: what hostname -f says */
		line_add(line, h->hostname, host_len);
	if (name_len != strlen("localhost") || strcasecmp(h->name, "localhost") != 0)
		line_add(line, h->name, name_len);
	if (host_ok)
		line_add(line, h->hostname, host_len);
	for (const char *p = h->aliases; *p;) {
		size_t len = strcspn(p, " ");
		if (!name_is_others(hosts, n, self, p, len, true))
			line_add(line, p, len);
		p += len + strspn(p + len, " ");
	}
	line_add(line, h->instance, strnlen(h->instance, 12));
	(void)buf_adds(line, "\n");
}

static int hosts_common(struct host *hosts, size_t n, struct buf *ret)
{
	for (size_t i = 0; i < n; i++) {
		AUTO(buf_fini) struct buf line = { 0 };
		host_line(hosts, n, i, false, &line);
		hosts[i].at = ret->len;
		hosts[i].len = line.len;
		if (line.failed || buf_add(ret, line.data, line.len) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* A virtual machine has its own copy (engines/vmm/hosts.h). A FIFO that is full has told it already. */
static void hosts_tell(struct store *store, const struct host *h)
{
	char path[128];
	struct stat st;

	(void)snprintf(path, sizeof(path), "instances/%.70s/" NETWORK_HOSTS_TOLD, h->instance);
	AUTO(fd_close_p)
	int fd = openat(store->run_fd, path, O_WRONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode))
		(void)!write(fd, "", 1);
}

/*
 * In place, for the file is bind-mounted; the new text goes over the old before what is left of
 * that is cut off, so that a reader finds every line that did not change.
 */
static int hosts_file(struct store *store, const struct host *h, const char *text, size_t len,
		      struct err *err)
{
	char path[128];
	struct stat st;

	(void)snprintf(path, sizeof(path), "instances/%.70s/hosts", h->instance);
	AUTO(fd_close_p)
	int fd = openat(store->run_fd, path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR
			       ? 0
			       : err_set(err, errno, "open %s/%s", store->run_root, path);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return err_say(err, EINVAL, "%s/%s is not a file", store->run_root, path);
	int r = fd_write_all(fd, text, len);
	if (r == 0 && ftruncate(fd, (off_t)len) < 0)
		r = -errno;
	if (r == 0)
		hosts_tell(store, h);
	return r < 0 ? err_set(err, -r, "write %s/%s", store->run_root, path) : 0;
}

static int hosts_one(struct store *store, const struct host *hosts, size_t n, size_t self,
		     const struct buf *common, struct err *err)
{
	AUTO(buf_fini) struct buf own = { 0 };
	AUTO(buf_fini) struct buf text = { 0 };
	const struct host *h = &hosts[self];
	size_t after = h->at + h->len;

	host_line(hosts, n, self, true, &own);
	(void)buf_adds(&text, "127.0.0.1\tlocalhost\n"
			      "::1\tlocalhost ip6-localhost ip6-loopback\n");
	if (own.len)
		(void)buf_add(&text, own.data, own.len);
	(void)buf_add(&text, common->data, h->at);
	(void)buf_add(&text, common->data + after, common->len - after);
	if (own.failed || text.failed)
		return err_set(err, ENOMEM, "hosts file");
	return hosts_file(store, h, text.data, text.len, err);
}

int names_write(struct store *store, const char *network, struct err *err)
{
	AUTO(buf_fini) struct buf common = { 0 };
	struct host *hosts = NULL;
	size_t n = 0;
	int r = hosts_load(store, network, &hosts, &n, err);

	if (r == 0 && hosts_common(hosts, n, &common) < 0)
		r = err_set(err, ENOMEM, "hosts of network %s", network);
	for (size_t i = 0; r == 0 && i < n; i++)
		r = hosts_one(store, hosts, n, i, &common, err);
	hosts_free(hosts, n);
	return r;
}

int network_hosts_write(struct store *store, const char *instance, struct err *err)
{
	AUTO(db_stmt_p) sqlite3_stmt *stmt = NULL;
	char network[80];
	int r = db_prepare(&store->db, &stmt, err,
			   "SELECT network FROM endpoint WHERE instance = ?", "s", instance);

	if (r == 0)
		r = db_step(&store->db, stmt, err);
	if (r <= 0)
		return r;
	(void)snprintf(network, sizeof(network), "%s", db_col_str(stmt, 0));
	db_stmt_p(&stmt);
	AUTO(fd_close_p) int lock = network_lock(store, err);
	return lock < 0 ? lock : names_write(store, network, err);
}

/* Return: is the line a name server; *ret_usable: one that an instance can reach. */
static bool resolv_server(const char *line, size_t len, bool *ret_usable)
{
	static const char word[] = "nameserver";
	char text[64];
	uint32_t address;
	size_t n = sizeof(word) - 1;

	if (len <= n || memcmp(line, word, n) != 0 || (line[n] != ' ' && line[n] != '\t'))
		return false;
	while (n < len && (line[n] == ' ' || line[n] == '\t'))
		n++;
	size_t end = n;
	while (end < len && !strchr(" \t\r#;", line[end]))
		end++;
	*ret_usable = false;
	if (end - n < sizeof(text)) {
		memcpy(text, line + n, end - n);
		text[end - n] = '\0';
		*ret_usable = address_parse(text, &address) == 0 && address >> 24 != 127 && address;
	}
	return true;
}

int resolv_filter(const char *text, size_t len, struct buf *ret, unsigned *ret_servers)
{
	unsigned servers = 0;

	for (size_t at = 0; at < len;) {
		const char *line = text + at;
		const char *end = memchr(line, '\n', len - at);
		size_t n = end ? (size_t)(end - line) : len - at;
		bool usable = true;

		at += n + 1;
		if (memchr(line, '\0', n))
			continue;
		if (resolv_server(line, n, &usable))
			servers += usable;
		if (usable && (buf_add(ret, line, n) < 0 || buf_adds(ret, "\n") < 0))
			return -ENOMEM;
	}
	if (ret->failed)
		return -ENOMEM;
	*ret_servers = servers;
	return 0;
}

int network_resolv(bool host_network, struct buf *ret, struct err *err)
{
	/* The second: the servers behind systemd-resolved's own one on loopback. */
	static const char *const places[] = { "/etc/resolv.conf",
					      "/run/systemd/resolve/resolv.conf" };
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		AUTO(buf_fini) struct buf host = { 0 };
		AUTO(buf_fini) struct buf out = { 0 };
		unsigned servers = 0;
		int r = file_read(AT_FDCWD, places[i], RESOLV_MAX, &host);
		if (r == -ENOENT)
			continue;
		if (r < 0)
			return err_set(err, -r, "read %s", places[i]);
		if (host_network)
			return buf_add(ret, buf_str(&host), host.len) < 0
				       ? err_set(err, ENOMEM, "resolv.conf")
				       : 0;
		if (resolv_filter(buf_str(&host), host.len, &out, &servers) < 0)
			return err_set(err, ENOMEM, "resolv.conf");
		if (servers)
			return buf_add(ret, out.data, out.len) < 0
				       ? err_set(err, ENOMEM, "resolv.conf")
				       : 0;
	}
	/* Nobody's public servers are chosen for the user behind his back. */
	static const char none[] =
		"# The host has no name server that an instance can reach: all are "
		"on loopback or IPv6.\n";
	return !host_network && buf_adds(ret, none) < 0 ? err_set(err, ENOMEM, "resolv.conf") : 0;
}
