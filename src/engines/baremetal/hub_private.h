/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Inside of the hub: hub.c has the hypervisor's end and the loop, hub_client.c a client's socket and frames, hub_serve.c what clients
 * have of the hypervisor: requests, streams, guests. One thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/core/buf.h"
#include "engines/baremetal/chan.h"
#include "engines/baremetal/hub.h"

#define HUB_CLIENTS 64
#define HUB_GUESTS  64 /* of one client */
#define HUB_DOOMED  1024

struct hub;

struct hub_client {
	struct hub *hub;
	int fd;
	bool greeted, asks_hello, dead;
	uint32_t watched; /* EPOLLIN, EPOLLOUT */
	uint64_t nonce;
	struct channel_reader reader;
	struct buf out;
	size_t out_at;
	uint32_t guests[HUB_GUESTS]; /* that it created; 0: free */
	unsigned requests;	     /* without a reply yet */
	/* A frame that has to wait until the line takes requests again; then nothing more of it is read. */
	uint8_t *held;
	struct channel_frame held_frame;
};

struct hub_stream {
	struct chan_stream up;
	struct hub_client *client;
	uint32_t id; /* the client's */
};

struct hub_request {
	struct hub *hub;
	struct hub_client *client; /* NULL: gone */
	uint32_t id;		   /* the client's */
	uint16_t verb;
	uint32_t guest; /* DESTROY */
	bool used;
};

struct hub {
	struct loop *loop;
	const struct hub_config *config;
	struct chan up;
	struct hub_client *clients[HUB_CLIENTS];
	struct hub_stream streams[CHANNEL_STREAMS];
	struct hub_request requests[CHANNEL_REQUESTS_MAX];
	uint32_t doomed[HUB_DOOMED]; /* guests that are to go */
	size_t n_doomed;
	bool asks;	  /* INFO is under way, to learn whether the hypervisor lives */
	int64_t asked_ns; /* the last time */
	int64_t heard_ns; /* its last answer, or when none was due */
	int64_t empty_ns; /* since when there are no clients */
	bool over;
	struct err why;
};

/* ---- hub_client.c ---- */

/* A frame to it; one that does not read what it asked for is dead. */
void hub_client_say(struct hub_client *c, enum channel_type type, uint32_t stream,
		    const void *first, size_t first_len, const void *second, size_t second_len);
/* The error of a request (stream 0, its id), or the CLOSE of a stream. @status: errno */
void hub_client_refuse(struct hub_client *c, uint32_t stream, uint32_t id, uint32_t status,
		       const char *text);
/* What the loop is to look for, from now on. */
void hub_client_watch(struct hub_client *c);
/* The line takes requests again: those that were held. */
void hub_client_go_on(struct hub *hub);
/* The loop's callback for the listener; arg: the hub. */
void hub_client_accept(void *arg, uint32_t events);
/* All that it had goes, too. Freed; its place in hub->clients is the caller's. */
void hub_client_drop(struct hub_client *c);

/* ---- hub_serve.c ---- */

/* Frames of a client's. 0; -EAGAIN: it has to wait (hub_take_request()); others: the client makes no sense. */
int hub_take_request(struct hub_client *c, const struct channel_frame *frame);
int hub_take_open(struct hub_client *c, const struct channel_frame *frame);
int hub_take_stream(struct hub_client *c, const struct channel_frame *frame);
/* It is gone: its streams are closed, its guests are to go, its answers are nobody's. */
void hub_serve_forget(struct hub_client *c);
/* Sent when the line takes it: hub_guest_send_doomed(). A list that is full: then the next hub finds it. */
void hub_guest_destroy(struct hub *hub, uint32_t guest);
void hub_guest_send_doomed(struct hub *hub);
