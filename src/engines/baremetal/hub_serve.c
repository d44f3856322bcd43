/* SPDX-License-Identifier: Apache-2.0 */
/* What the hub's clients have of the hypervisor: requests under way, streams, and the guests that they made. */
#include <errno.h>
#include <string.h>

#include "base/core/macros.h"
#include "engines/baremetal/hub_private.h"

/* ---- requests, guests ---- */

static void guest_forget(struct hub *hub, uint32_t guest)
{
	for (size_t i = 0; i < HUB_CLIENTS; i++) {
		for (size_t k = 0; hub->clients[i] && k < HUB_GUESTS; k++) {
			if (hub->clients[i]->guests[k] == guest)
				hub->clients[i]->guests[k] = 0;
		}
	}
}

void hub_guest_destroy(struct hub *hub, uint32_t guest)
{
	if (hub->n_doomed < HUB_DOOMED)
		hub->doomed[hub->n_doomed++] = guest;
}

void hub_guest_send_doomed(struct hub *hub)
{
	while (hub->n_doomed) {
		const struct channel_ref ref = { .guest = hub->doomed[hub->n_doomed - 1] };
		if (chan_request(&hub->up, CHANNEL_DESTROY, &ref, sizeof(ref), NULL, NULL) < 0)
			return;
		hub->n_doomed--;
	}
}

/* Whose it is: without a place in its list, or without anybody, it goes again. */
static void guest_adopt(struct hub *hub, struct hub_client *c, uint32_t guest)
{
	for (size_t i = 0; c && i < HUB_GUESTS; i++) {
		if (!c->guests[i]) {
			c->guests[i] = guest;
			return;
		}
	}
	hub_guest_destroy(hub, guest);
}

static void request_done(void *arg, uint32_t status, const void *data, size_t len)
{
	struct hub_request *r = arg;
	struct hub_client *c = r->client;
	const struct channel_reply reply = { .id = r->id, .status = status };
	uint32_t guest = 0;

	r->used = false;
	if (r->verb == CHANNEL_CREATE && !status && len >= sizeof(guest)) {
		memcpy(&guest, data, sizeof(guest));
		guest_adopt(r->hub, c, guest);
	}
	if (r->verb == CHANNEL_DESTROY && !status)
		guest_forget(r->hub, r->guest);
	if (len > CHANNEL_PAYLOAD_MAX - sizeof(reply))
		len = CHANNEL_PAYLOAD_MAX - sizeof(reply);
	if (c)
		hub_client_say(c, CHANNEL_REPLY, 0, &reply, sizeof(reply), data, len);
	hub_client_go_on(r->hub);
}

static struct hub_request *request_new(struct hub *hub)
{
	for (size_t i = 0; i < ARRAY_SIZE(hub->requests); i++) {
		if (!hub->requests[i].used)
			return &hub->requests[i];
	}
	return NULL;
}

/* Return: -EAGAIN where it has to wait. */
int hub_take_request(struct hub_client *c, const struct channel_frame *frame)
{
	struct hub *hub = c->hub;
	struct channel_request head;
	uint32_t guest = 0;

	if (frame->len < sizeof(head) || frame->stream)
		return -EPROTO;
	memcpy(&head, frame->payload, sizeof(head));
	const uint8_t *body = frame->payload + sizeof(head);
	const size_t len = frame->len - sizeof(head);
	if (head.verb == CHANNEL_DESTROY && len == sizeof(guest))
		memcpy(&guest, body, sizeof(guest));
	struct hub_request *r = request_new(hub);
	if (!r)
		return -EAGAIN;
	*r = (struct hub_request){ .hub = hub,
				   .client = c,
				   .id = head.id,
				   .verb = head.verb,
				   .guest = guest,
				   .used = true };
	int sent = chan_request(&hub->up, (enum channel_verb)head.verb, body, len, request_done, r);
	if (sent < 0)
		r->used = false;
	return sent;
}

/* ---- streams ---- */

static void stream_frame(struct chan_stream *up, const struct channel_frame *frame)
{
	struct hub_stream *s = container_of(up, struct hub_stream, up);
	struct hub_client *c = s->client;

	if (frame->type == CHANNEL_CLOSE)
		s->client = NULL;
	if (c)
		hub_client_say(c, (enum channel_type)frame->type, s->id, frame->payload, frame->len,
			       NULL, 0);
}

static const struct chan_stream_events stream_events = { .frame = stream_frame };

static struct hub_stream *stream_find(struct hub *hub, const struct hub_client *c, uint32_t id)
{
	for (size_t i = 0; i < ARRAY_SIZE(hub->streams); i++) {
		struct hub_stream *s = &hub->streams[i];
		if (s->client == c && (!c || s->id == id))
			return s;
	}
	return NULL;
}

int hub_take_open(struct hub_client *c, const struct channel_frame *frame)
{
	struct channel_open open;
	char name[CHANNEL_PAYLOAD_MAX + 1];

	if (frame->len < sizeof(open) || !frame->stream || stream_find(c->hub, c, frame->stream))
		return -EPROTO;
	memcpy(&open, frame->payload, sizeof(open));
	memcpy(name, frame->payload + sizeof(open), frame->len - sizeof(open));
	name[frame->len - sizeof(open)] = '\0';
	struct hub_stream *s = stream_find(c->hub, NULL, 0);
	int r = s ? chan_stream_open(&c->hub->up, &s->up, &stream_events, &open, name) : -ENFILE;
	if (r == -ENFILE) {
		hub_client_refuse(c, frame->stream, 0, ENFILE,
				  "the hypervisor has no stream left: too much is under way");
		return 0;
	}
	if (r == 0) {
		s->client = c;
		s->id = frame->stream;
	}
	return r;
}

int hub_take_stream(struct hub_client *c, const struct channel_frame *frame)
{
	static const struct channel_closed closed;
	struct hub_stream *s = frame->stream ? stream_find(c->hub, c, frame->stream) : NULL;

	if (!s)
		return frame->stream ? 0 : -EPROTO; /* the hypervisor closed it meanwhile */
	if (frame->type != CHANNEL_CLOSE)
		return chan_stream_frame(&s->up, (enum channel_type)frame->type, frame->payload,
					 frame->len);
	chan_stream_close(&s->up);
	s->client = NULL;
	hub_client_say(c, CHANNEL_CLOSE, frame->stream, &closed, sizeof(closed), NULL, 0);
	return 0;
}

/* ---- a client's end ---- */

void hub_serve_forget(struct hub_client *c)
{
	struct hub *hub = c->hub;

	for (size_t i = 0; i < ARRAY_SIZE(hub->streams); i++) {
		if (hub->streams[i].client != c)
			continue;
		chan_stream_close(&hub->streams[i].up);
		hub->streams[i].client = NULL;
	}
	for (size_t i = 0; i < ARRAY_SIZE(hub->requests); i++) {
		struct hub_request *r = &hub->requests[i];
		if (r->used && r->client == c)
			r->client = NULL;
	}
	for (size_t i = 0; i < HUB_GUESTS; i++) {
		if (c->guests[i])
			hub_guest_destroy(hub, c->guests[i]);
	}
}
