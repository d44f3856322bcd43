/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/baremetal/hv_ask.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/core/macros.h"
#include "base/os/loop.h"
#include "engines/baremetal/hv_config.h"
#include "engines/baremetal/hv_guest.h"

#define ASK_GUESTS 4096U /* a hypervisor that has more does not tell the truth: MANAGED_MOST */

static void ask_lost(struct chan *chan, const struct err *why)
{
	(void)chan; /* chan_call() says it */
	(void)why;
}

static const struct chan_events ask_events = { .lost = ask_lost };

int hv_ask_open(struct hv_ask *ask, int dir, struct err *err)
{
	*ask = (struct hv_ask){ .loop = NULL };
	int r = loop_create(&ask->loop, err);

	if (r == 0)
		r = chan_connect(&ask->chan, dir, HV_CHANNEL_NAME, ask->loop, &ask_events, err);
	if (r < 0)
		hv_ask_close(ask);
	return r;
}

void hv_ask_close(struct hv_ask *ask)
{
	chan_fini(&ask->chan);
	loop_free(ask->loop);
	ask->loop = NULL;
}

struct ask_shared {
	struct hv_ask ask;
	dev_t dev; /* of the hub's socket */
	ino_t ino;
};

static void ask_shared_close(void *of)
{
	struct ask_shared *s = of;

	hv_ask_close(&s->ask);
	free(s);
}

int hv_ask_shared(struct stats_session *shared, int dir, struct hv_ask **ret, struct err *err)
{
	struct ask_shared *s = shared->of;
	struct stat st;

	if (fstatat(dir, HV_CHANNEL_NAME, &st, 0) < 0)
		return err_set(err, errno, "find the hypervisor's channel");
	if (s && !s->ask.chan.dead && s->dev == st.st_dev && s->ino == st.st_ino) {
		*ret = &s->ask;
		return 0;
	}
	stats_session_close(shared); /* of another server, or one that is gone */
	s = malloc(sizeof(*s));
	if (!s)
		return err_set(err, ENOMEM, "ask the hypervisor");
	s->dev = st.st_dev;
	s->ino = st.st_ino;
	int r = hv_ask_open(&s->ask, dir, err);
	if (r < 0) {
		free(s);
		return r;
	}
	*shared = (struct stats_session){ .of = s, .close = ask_shared_close };
	*ret = &s->ask;
	return 0;
}

int hv_ask_list(struct hv_ask *ask, struct buf *ret, struct err *err)
{
	AUTO(buf_fini) struct buf some = { 0 };
	struct channel_after after = { 0 };
	struct channel_guest last;

	for (;;) {
		int r = chan_call(&ask->chan, CHANNEL_LIST, &after, sizeof(after), &some, err);
		if (r < 0 || some.len < sizeof(last))
			return r;
		size_t whole = some.len / sizeof(last) * sizeof(last);
		if (buf_add(ret, some.data, whole) < 0)
			return err_set(err, ENOMEM, "list the hypervisor's guests");
		memcpy(&last, some.data + whole - sizeof(last), sizeof(last));
		if (last.id <= after.after || ret->len > ASK_GUESTS * sizeof(last))
			return err_say(err, EPROTO, "the hypervisor's list goes round");
		after.after = last.id;
	}
}

int hv_ask_guest(struct hv_ask *ask, const char *name, struct channel_guest *ret, struct err *err)
{
	AUTO(buf_fini) struct buf list = { 0 };
	int r = hv_ask_list(ask, &list, err);

	for (size_t at = 0; r == 0 && at + sizeof(*ret) <= list.len; at += sizeof(*ret)) {
		memcpy(ret, list.data + at, sizeof(*ret));
		ret->name[sizeof(ret->name) - 1] = '\0';
		if (ret->state != CHANNEL_ENDED && !strcmp(ret->name, name))
			return 0;
	}
	return r < 0 ? r : err_say(err, ESRCH, "the hypervisor has no guest %s (any more)", name);
}

int hv_ask_verb(struct hv_ask *ask, enum channel_verb verb, uint32_t guest, struct err *err)
{
	const struct channel_ref ref = { .guest = guest };

	return chan_call(&ask->chan, verb, &ref, sizeof(ref), NULL, err);
}

int hv_ask_shares(struct hv_ask *ask, uint32_t guest, uint32_t weight, uint32_t cap_percent,
		  struct err *err)
{
	const struct channel_update update = { .guest = guest,
					       .weight = weight,
					       .cap_percent = cap_percent };

	return chan_call(&ask->chan, CHANNEL_UPDATE, &update, sizeof(update), NULL, err);
}

int hv_ask_memory(struct hv_ask *ask, uint32_t guest, uint64_t bytes, struct err *err)
{
	const struct channel_update update = {
		.guest = guest,
		.cap_percent = CHANNEL_LEAVE,
		.memory_mib = (uint32_t)(bytes / HV_MEMORY_STEP * (HV_MEMORY_STEP >> 20)),
	};

	return chan_call(&ask->chan, CHANNEL_UPDATE, &update, sizeof(update), NULL, err);
}

int hv_ask_printed(struct hv_ask *ask, uint64_t *at, struct buf *ret, uint64_t *ret_lost,
		   struct err *err)
{
	struct channel_printed printed = { .at = *at };
	AUTO(buf_fini) struct buf data = { 0 };
	int r = chan_call(&ask->chan, CHANNEL_PRINTED, &printed, sizeof(printed), &data, err);

	if (r < 0)
		return r;
	const size_t len = data.len < sizeof(printed) ? 0 : data.len - sizeof(printed);
	if (data.len >= sizeof(printed))
		memcpy(&printed, data.data, sizeof(printed));
	if (data.len < sizeof(printed) || printed.at < len || printed.at - len < *at)
		return err_say(err, EPROTO,
			       "what the hypervisor says of its console makes no sense");
	char *text = data.data + sizeof(printed);
	for (size_t i = 0; i < len; i++) {
		if (text[i] != '\n' && (text[i] < ' ' || text[i] > '~'))
			text[i] = '?';
	}
	if (buf_add(ret, text, len) < 0)
		return err_set(err, ENOMEM, "read the server's console");
	*ret_lost = printed.at - len - *at;
	*at = printed.at;
	return 0;
}

/* The hypervisor's words for why a vcpu was left, and ours. What has no word of ours is in EXIT_ALL alone. */
static enum exit_reason ask_reason(const char *name)
{
	static const struct {
		const char *name;
		enum exit_reason reason;
	} reasons[] = {
		{ "cpuid", EXIT_CPUID },
		{ "hlt", EXIT_HALT },
		{ "hypercall", EXIT_HYPERCALL },
		{ "msr", EXIT_MSR },
		{ "pio", EXIT_IO },
		{ "npf", EXIT_MEMORY },
		{ "ept", EXIT_MEMORY },
		{ "window", EXIT_IRQ_WINDOW },
		{ "host", EXIT_INTERRUPT },
		{ "shutdown", EXIT_OTHER },
		{ "fail", EXIT_OTHER },
	};

	for (size_t i = 0; i < ARRAY_SIZE(reasons); i++) {
		if (!strcmp(reasons[i].name, name))
			return reasons[i].reason;
	}
	return EXIT_ALL;
}

static void ask_exits(const char *data, size_t n, struct guest_stats *ret)
{
	static const uint64_t counted = EXIT_BIT(EXIT_ALL) | EXIT_BIT(EXIT_CPUID) |
					EXIT_BIT(EXIT_HALT) | EXIT_BIT(EXIT_HYPERCALL) |
					EXIT_BIT(EXIT_MSR) | EXIT_BIT(EXIT_IO) |
					EXIT_BIT(EXIT_MEMORY) | EXIT_BIT(EXIT_IRQ_WINDOW) |
					EXIT_BIT(EXIT_INTERRUPT) | EXIT_BIT(EXIT_OTHER);
	struct channel_exits e;

	ret->exits = (struct exit_counts){ { 0 } };
	ret->exits_counted = n ? counted : 0;
	for (size_t i = 0; i < n; i++) {
		memcpy(&e, data + i * sizeof(e), sizeof(e));
		e.reason[sizeof(e.reason) - 1] = '\0';
		enum exit_reason reason = ask_reason(e.reason);
		ret->exits.n[EXIT_ALL] += e.count;
		if (reason != EXIT_ALL)
			ret->exits.n[reason] += e.count;
	}
}

int hv_ask_stats(struct hv_ask *ask, uint32_t guest, struct guest_stats *ret, struct err *err)
{
	const struct channel_ref ref = { .guest = guest };
	AUTO(buf_fini) struct buf data = { 0 };
	struct channel_stats s;
	int r = chan_call(&ask->chan, CHANNEL_STATS, &ref, sizeof(ref), &data, err);

	if (r < 0)
		return r;
	if (data.len >= sizeof(s))
		memcpy(&s, data.data, sizeof(s));
	if (data.len < sizeof(s) || data.len < sizeof(s) + s.vcpus * sizeof(uint64_t) +
						       s.exits * sizeof(struct channel_exits))
		return err_say(err, EPROTO, "the hypervisor's figures make no sense");
	ret->cpu_ns = s.cpu_ns;
	ret->memory_bytes = s.memory_bytes + s.overhead_bytes;
	ret->io_read_bytes = s.disk_read_bytes;
	ret->io_write_bytes = s.disk_write_bytes;
	ret->net_rx_bytes = s.net_rx_bytes;
	ret->net_tx_bytes = s.net_tx_bytes;
	ask_exits(data.data + sizeof(s) + s.vcpus * sizeof(uint64_t), s.exits, ret);
	return 0;
}
