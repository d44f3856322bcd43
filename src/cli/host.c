/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/host.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/core/macros.h"
#include "base/os/clock.h"
#include "base/os/fd.h"
#include "base/os/json.h"
#include "cli/stop.h"
#include "engines/baremetal/hosts.h"
#include "engines/baremetal/hub_start.h"
#include "engines/baremetal/hv_ask.h"
#include "engines/baremetal/hv_guest.h"
#include "engines/stats.h"

bool host_is_lab(const struct manager *manager, const char *virt)
{
	return virt && !strcmp(virt, "bare-metal") && manager->host[0] != HOSTS_LINE;
}

int host_use(struct cli *cli, struct err *err)
{
	struct hv_host host;
	int r = hosts_find(cli->manager.store.run_root, cli->host, &host, err);

	if (r == 0)
		manager_use_host(&cli->manager, host.name, host.socket);
	return r;
}

/* Where its hub's socket is. */
static int host_dir(struct cli *cli, struct err *err)
{
	struct manager *manager;
	char path[4096];
	int r = cli_manager(cli, &manager, err);

	if (r < 0)
		return r;
	(void)snprintf(path, sizeof(path), "%s", manager->host_socket); /* as long */
	char *slash = strrchr(path, '/');
	if (slash)
		*slash = '\0';
	int dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return dir < 0 ? err_set(err, errno, "open %s", path) : dir;
}

/* No session: the hub's own last words say more than why. */
static int host_unheard(const struct cli *cli, int dir, const struct err *why, struct err *err)
{
	char last[256];

	hub_log_last(dir, HV_HUB_LOG, last);
	return err_say(err, why->code, "--host %s: %.200s", cli->host, last[0] ? last : why->text);
}

/* A session with the server's hub. */
static int host_open(struct cli *cli, struct hv_ask *ask, struct err *err)
{
	struct err why = { 0 };
	AUTO(fd_close_p) int dir = host_dir(cli, err);

	if (dir < 0)
		return dir;
	return hv_ask_open(ask, dir, &why) < 0 ? host_unheard(cli, dir, &why, err) : 0;
}

/* Only the server's own: an instance's guest has another way. -ENOENT without a word. */
static int host_find(struct hv_ask *ask, const char *name, struct channel_guest *ret,
		     struct err *err)
{
	int r = hv_ask_guest(ask, name, ret, err);

	if (r == 0 && !(ret->flags & CHANNEL_GUEST_SERVERS))
		r = -ESRCH;
	return r == -ESRCH ? -ENOENT : r == -ENOENT ? -EPROTO : r;
}

static int host_look(struct cli *cli, const char *name, struct hv_ask *ask,
		     struct channel_guest *ret, struct err *err)
{
	if (!cli->host)
		return -ENOENT;
	int r = host_open(cli, ask, err);
	if (r < 0)
		return r == -ENOENT ? -EIO : r;
	r = host_find(ask, name, ret, err);
	if (r < 0)
		hv_ask_close(ask);
	return r;
}

#define HOST_STOP_MS   10000 /* as an instance's */
#define HOST_KILLED_MS 60000
#define HOST_NAP_MS    200

/* Until it is gone. -ETIMEDOUT: it is there still. */
static int host_await(struct hv_ask *ask, const struct channel_guest *guest, int64_t ms,
		      struct err *err)
{
	const struct timespec nap = { .tv_nsec = HOST_NAP_MS * NS_PER_MS };
	const int64_t end = clock_mono_ns() + ms * NS_PER_MS;
	struct channel_guest now;

	for (;;) {
		int r = hv_ask_guest(ask, guest->name, &now, err);
		if (r == -ESRCH || (r == 0 && now.id != guest->id))
			return 0;
		if (r < 0)
			return r;
		if (clock_mono_ns() >= end)
			return err_say(err, ETIMEDOUT, "it does not end");
		(void)nanosleep(&nap, NULL); /* a shorter one is one, too */
	}
}

static int host_stop(struct hv_ask *ask, const struct channel_guest *guest, int64_t ms,
		     struct err *err)
{
	int r = hv_ask_verb(ask, CHANNEL_STOP, guest->id, err);

	if (r == 0)
		r = host_await(ask, guest, ms < 0 ? HOST_STOP_MS : ms, err);
	if (r != -EAGAIN && r != -ETIMEDOUT)
		return r;
	*err = (struct err){ 0 };
	r = hv_ask_verb(ask, CHANNEL_KILL, guest->id, err);
	if (r == -ESRCH || r == -ENOENT) /* it went meanwhile */
		return 0;
	return r < 0 ? r : host_await(ask, guest, HOST_KILLED_MS, err);
}

int host_guest(struct cli *cli, const char *name, enum host_verb verb, const struct args *args,
	       struct err *err)
{
	static const enum channel_verb verbs[] = {
		[HOST_KILL] = CHANNEL_KILL,
		[HOST_PAUSE] = CHANNEL_PAUSE,
		[HOST_RESUME] = CHANNEL_RESUME,
	};
	struct channel_guest guest;
	struct hv_ask ask;
	struct err why = { 0 };
	int64_t ms = -1;
	int r = verb == HOST_STOP ? stop_timeout(args, &ms, err) : 0;

	if (r < 0)
		return r;
	r = verb == HOST_NONE ? -ENOENT : host_look(cli, name, &ask, &guest, &why);
	if (r < 0)
		return r == -ENOENT ? r : err_say(err, -r, "%s", why.text);
	r = verb == HOST_STOP ? host_stop(&ask, &guest, ms, &why)
			      : hv_ask_verb(&ask, verbs[verb], guest.id, &why);
	hv_ask_close(&ask);
	return r < 0 ? err_say(err, r == -ENOENT ? ESRCH : -r, "%s: %s", name, why.text) : 0;
}

static int host_shared(struct cli *cli, struct stats_session *session, struct hv_ask **ret,
		       struct err *err)
{
	struct err why = { 0 };
	AUTO(fd_close_p) int dir = host_dir(cli, err);
	int r = dir < 0 ? dir : hv_ask_shared(session, dir, ret, &why);

	if (dir >= 0 && r < 0)
		r = host_unheard(cli, dir, &why, err);
	return r == -ENOENT ? -EIO : r;
}

int host_guest_stats(struct cli *cli, struct stats_session *session, const char *name,
		     struct guest_stats *ret, struct err *err)
{
	struct channel_guest guest;
	struct hv_ask *ask;
	struct err why = { 0 };
	int r = cli->host ? host_shared(cli, session, &ask, &why) : -ENOENT;

	r = r < 0 ? r : host_find(ask, name, &guest, &why);
	if (r == 0) {
		*ret = (struct guest_stats){ .memory_limit_bytes = guest.memory_bytes };
		r = hv_ask_stats(ask, guest.id, ret, &why);
	}
	return r < 0 && r != -ENOENT ? err_say(err, -r, "%s", why.text) : r;
}

static const char *host_state(unsigned state)
{
	static const char *const names[] = {
		[CHANNEL_CREATED] = "created",
		[CHANNEL_RUNS] = "running",
		[CHANNEL_PAUSED] = "paused",
		[CHANNEL_ENDED] = "exited",
	};

	return state < ARRAY_SIZE(names) && names[state] ? names[state] : "unknown";
}

/* A name is a hypervisor's: a guest.cfg's has nothing but these in it. */
static void host_clean(char *name, size_t size)
{
	name[size - 1] = '\0';
	for (char *c = name; *c; c++) {
		if (*c <= ' ' || *c > '~')
			*c = '?';
	}
}

static int host_rows(const struct buf *list, json_t *rows, struct err *err)
{
	struct channel_guest g;

	for (size_t at = 0; at + sizeof(g) <= list->len; at += sizeof(g)) {
		memcpy(&g, list->data + at, sizeof(g));
		host_clean(g.name, sizeof(g.name));
		if (!(g.flags & CHANNEL_GUEST_SERVERS))
			continue;
		json_t *row = json_pack("{s:s, s:s, s:i, s:I, s:i}", "name", g.name, "state",
					host_state(g.state), "vcpus", (int)g.vcpus, "memory_bytes",
					(json_int_t)g.memory_bytes, "weight", (int)g.weight);
		if (json_array_append_new(rows, row))
			return err_set(err, ENOMEM, "list the server's guests");
	}
	return 0;
}

int host_guests(struct cli *cli, json_t **ret, struct err *err)
{
	AUTO(json_decref_p) json_t *rows = json_array();
	AUTO(buf_fini) struct buf list = { 0 };
	struct hv_ask ask;
	int r = 0;

	if (!rows)
		return err_set(err, ENOMEM, "list the server's guests");
	if (cli->host) {
		r = host_open(cli, &ask, err);
		if (r < 0)
			return r;
		r = hv_ask_list(&ask, &list, err);
		hv_ask_close(&ask);
	}
	if (r == 0)
		r = host_rows(&list, rows, err);
	if (r == 0)
		*ret = TAKE(rows);
	return r;
}

/* ---- the server's own console ---- */

#define HOST_LOOK_MS 500

/* What there is by now. */
static int host_logs_look(struct hv_ask *ask, uint64_t *at, struct err *err)
{
	for (;;) {
		AUTO(buf_fini) struct buf text = { 0 };
		uint64_t lost = 0;
		int r = hv_ask_printed(ask, at, &text, &lost, err);
		if (r < 0 || !text.len)
			return r;
		if (lost)
			(void)fprintf(stderr, "(%llu bytes before this are lost)\n",
				      (unsigned long long)lost);
		(void)fwrite(text.data, 1, text.len, stdout); /* main() looks at ferror(stdout) */
	}
}

int host_logs(struct cli *cli, bool follow, struct err *err)
{
	const struct timespec nap = { .tv_nsec = HOST_LOOK_MS * NS_PER_MS };
	struct hv_ask ask;
	uint64_t at = 0;
	int r = host_open(cli, &ask, err);

	if (r < 0)
		return r;
	do {
		r = host_logs_look(&ask, &at, err);
	} while (r == 0 && follow && fflush(stdout) == 0 && nanosleep(&nap, NULL) == 0);
	hv_ask_close(&ask);
	return r;
}

/* ---- a guest's console ---- */

struct host_console {
	struct chan_stream stream;
	bool closed, any;
	uint32_t status;
	char why[128];
};

static void console_data(struct chan_stream *stream, const void *data, size_t len)
{
	struct host_console *c = container_of(stream, struct host_console, stream);

	c->any = true;
	(void)fwrite(data, 1, len, stdout); /* main() looks at ferror(stdout) */
}

static void console_closed(struct chan_stream *stream, uint32_t status, const char *text)
{
	struct host_console *c = container_of(stream, struct host_console, stream);

	c->closed = true;
	c->status = status;
	(void)snprintf(c->why, sizeof(c->why), "%s", text); /* cut where it is long */
}

static const struct chan_stream_events console_events = {
	.data = console_data,
	.closed = console_closed,
};

/* What the hypervisor keeps is there at once: what comes before an answer to a request that was sent behind the OPEN. */
int host_guest_logs(struct cli *cli, const char *name, struct err *err)
{
	struct host_console console = { .closed = false };
	struct channel_guest guest;
	struct hv_ask ask;
	struct err why = { 0 };
	int r = host_look(cli, name, &ask, &guest, &why);

	if (r < 0)
		return r == -ENOENT ? r : err_say(err, -r, "%s", why.text);
	const struct channel_open open = { .kind = CHANNEL_KIND_CONSOLE,
					   .guest = guest.id,
					   .credit = 4 * CHANNEL_CONSOLE_KEEPS };
	r = chan_stream_open(&ask.chan, &console.stream, &console_events, &open, "");
	if (r < 0)
		r = err_set(err, -r, "open the console of %s", name);
	/* Two answers: the first may overtake the first bytes. */
	for (int i = 0; r == 0 && i < 2 && !console.closed; i++)
		r = chan_call(&ask.chan, CHANNEL_INFO, NULL, 0, NULL, err);
	if (r == 0 && console.status)
		r = err_say(err, console.status < 4096 ? (int)console.status : EPROTO, "%s: %s",
			    name, console.why);
	hv_ask_close(&ask);
	return r == -ENOENT ? -ESRCH : r;
}
