/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/baremetal/hub.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/core/macros.h"
#include "base/os/clock.h"
#include "base/os/fd.h"
#include "base/os/loop.h"
#include "engines/baremetal/hub_private.h"

/* ---- the hypervisor ---- */

static void hub_event(struct chan *up, uint32_t kind, const void *body, size_t len)
{
	struct hub *hub = container_of(up, struct hub, up);
	const struct channel_event event = { .kind = (uint16_t)kind };

	for (size_t i = 0; i < HUB_CLIENTS && kind == CHANNEL_EVENT_ENDED; i++) {
		if (hub->clients[i] && hub->clients[i]->greeted)
			hub_client_say(hub->clients[i], CHANNEL_EVENT, 0, &event, sizeof(event),
				       body, len);
	}
}

static void hub_lost(struct chan *up, const struct err *why)
{
	struct hub *hub = container_of(up, struct hub, up);

	hub->over = true;
	hub->why = *why;
}

static const struct chan_events hub_events = { .event = hub_event, .lost = hub_lost };

/* What a hub that was killed has left there. */
static int hub_clean(struct hub *hub, struct err *err)
{
	AUTO(buf_fini) struct buf list = { 0 };
	struct channel_after after = { 0 };
	struct channel_guest guest;
	unsigned n = 0;

	for (;;) {
		int r = chan_call(&hub->up, CHANNEL_LIST, &after, sizeof(after), &list, err);
		if (r < 0 || list.len < sizeof(guest))
			return r;
		for (size_t at = 0; at + sizeof(guest) <= list.len; at += sizeof(guest)) {
			memcpy(&guest, list.data + at, sizeof(guest));
			if (guest.id <= after.after || ++n > HUB_DOOMED)
				return err_say(err, EPROTO, "the hypervisor's list goes round");
			after.after = guest.id;
			if (!(guest.flags & CHANNEL_GUEST_SERVERS))
				hub_guest_destroy(hub, guest.id);
		}
	}
}

static void hub_stop(void *arg, uint32_t events)
{
	struct hub *hub = arg;

	(void)events;
	hub->over = true;
}

static int hub_begin(struct hub *hub, struct err *err)
{
	const struct hub_config *config = hub->config;
	int line = config->line;
	int r = loop_create(&hub->loop, err);

	if (r == 0 && config->stop >= 0)
		r = loop_add(hub->loop, config->stop, EPOLLIN, hub_stop, hub, err);
	if (r < 0) {
		fd_close(line);
		return r;
	}
	for (unsigned tries = 0;; tries++) {
		r = chan_start(&hub->up, line, hub->loop, &hub_events, err);
		if (r == 0)
			r = chan_wait_ready(&hub->up, config->hello_ms << tries,
					    config->ready_ms << tries, err);
		if (r != -ETIMEDOUT || !config->reopen || tries == config->tries)
			break;
		chan_fini(&hub->up);
		line = config->reopen(config->path, err);
		if (line < 0)
			return line;
	}
	if (r == 0)
		r = hub_clean(hub, err);
	return r == 0 ? loop_add(hub->loop, config->listener, EPOLLIN, hub_client_accept, hub, err)
		      : r;
}

static void hub_heard(void *arg, uint32_t status, const void *data, size_t len)
{
	struct hub *hub = arg;

	(void)status; /* any answer is one */
	(void)data;
	(void)len;
	hub->asks = false;
}

/*
 * A hypervisor that has panicked keeps its line, and says nothing on it, and so does a line whose cable is out. One whose answer does not
 * come is asked again. ms until it is to be looked at again
 */
static int hub_ask(struct hub *hub)
{
	int64_t now = clock_mono_ns();

	/* Nor may it be asked while as many requests as there may be are under way. */
	if (!hub->asks)
		hub->heard_ns = now;
	/* A slow line may have much to say before the answer. */
	if (hub->up.heard_ns > hub->heard_ns)
		hub->heard_ns = hub->up.heard_ns;
	if (now - hub->asked_ns >= (int64_t)hub->config->ask_ms * NS_PER_MS) {
		chan_forget(&hub->up, hub);
		hub->asks = chan_request(&hub->up, CHANNEL_INFO, NULL, 0, hub_heard, hub) == 0;
		hub->asked_ns = now;
	}
	if (now - hub->heard_ns >= (int64_t)hub->config->deaf_ms * NS_PER_MS) {
		hub->over = true;
		(void)err_say(&hub->why, ETIMEDOUT, "the hypervisor does not answer any more");
	}
	return (int)hub->config->ask_ms;
}

/* Once round the loop: who is gone, what waits, whether anybody is left. The longest it may sleep, in ms. */
static int hub_tend(struct hub *hub)
{
	bool any = false;

	for (size_t i = 0; i < HUB_CLIENTS; i++) {
		struct hub_client *c = hub->clients[i];
		if (c && c->dead) {
			hub->clients[i] = NULL;
			hub_client_drop(c);
		}
		any |= hub->clients[i] != NULL;
		if (hub->clients[i])
			hub_client_watch(hub->clients[i]);
	}
	hub_guest_send_doomed(hub);
	const int wait = hub_ask(hub);
	if (any || !hub->config->linger_ms) {
		hub->empty_ns = 0;
		return hub->n_doomed ? 100 : wait;
	}
	int64_t now = clock_mono_ns();
	if (!hub->empty_ns)
		hub->empty_ns = now;
	hub->over |= now - hub->empty_ns >= (int64_t)hub->config->linger_ms * NS_PER_MS;
	return 100;
}

int hub_run(const struct hub_config *config, struct err *err)
{
	struct hub *hub = calloc(1, sizeof(*hub)); /* lives as long as its process */

	if (!hub) {
		fd_close(config->line);
		return err_set(err, ENOMEM, "hub");
	}
	hub->config = config;
	int r = hub_begin(hub, err);
	while (r >= 0 && !hub->over)
		r = loop_run_once(hub->loop, hub_tend(hub), err);
	if (r >= 0 && hub->why.code)
		r = err_say(err, hub->why.code, "%s", hub->why.text);
	for (size_t i = 0; i < HUB_CLIENTS; i++) {
		if (hub->clients[i])
			hub_client_drop(hub->clients[i]);
	}
	chan_fini(&hub->up);
	loop_free(hub->loop);
	fd_close(config->listener);
	free(hub);
	return r < 0 ? r : 0;
}
