/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Back ends in memory, for tests and fuzz targets. abort(): the device broke the contract of machine/ops.h. */
#include "devices/virtio/balloon.h"
#include "devices/virtio/vsock.h"
#include "machine/ops.h"

/* ---- a network: frames that wait for the guest, and the last that it sent ---- */

#define FAKE_FRAMES	 128U
#define FAKE_FRAME_BYTES 70000U

struct fake_net {
	struct net net;
	uint32_t lens[FAKE_FRAMES]; /* header too; bytes are fake_net_byte() */
	unsigned first, n;
	bool full;	      /* the next send is told EAGAIN */
	int receive_error;    /* the next receive's, once */
	uint64_t offload_set; /* the last */
	unsigned n_sent, n_offload_sets;
	uint32_t sent_bytes; /* of the last, header too */
	uint8_t sent[FAKE_FRAME_BYTES];
};

void fake_net_init(struct fake_net *n, uint64_t offloads, uint16_t mtu);
bool fake_net_put(struct fake_net *n, uint32_t len); /* a frame comes; readable() is the caller's */
static inline uint8_t fake_net_byte(uint32_t at, uint32_t len)
{
	return at < 12 ? 0 : (uint8_t)(at * 7 + len);
}

/* ---- a console: bytes both ways ---- */

#define FAKE_CONSOLE_BYTES 4096U

struct fake_console {
	struct console console;
	uint8_t in[FAKE_CONSOLE_BYTES], out[FAKE_CONSOLE_BYTES];
	size_t n_in, n_out;
	size_t room; /* of out: at most FAKE_CONSOLE_BYTES */
	bool ended;  /* read() says so once it is empty */
	bool broken; /* write() fails */
	bool guest_open;
	unsigned n_opens;
};

void fake_console_init(struct fake_console *c);
void fake_console_put(struct fake_console *c, const void *data, size_t len);

/* ---- entropy ---- */

struct fake_entropy {
	struct entropy entropy;
	int fail;
	uint8_t next;
};

void fake_entropy_init(struct fake_entropy *e);

/* ---- who takes a balloon's pages ---- */

struct fake_balloon {
	struct balloon_host host;
	uint64_t released, reclaimed; /* bytes */
	gpa_t last_gpa;
	uint64_t last_len;
	unsigned n_releases, n_stats;
	bool is_short; /* nothing can be reclaimed */
	struct balloon_stats stats;
};

void fake_balloon_init(struct fake_balloon *b);

/* ---- the host's half of a vsock: each stream echoes, or is driven by hand ---- */

struct fake_endpoint {
	struct vsock_stream *stream; /* NULL: free */
	uint8_t in[1024], out[VSOCK_BUFFER_BYTES + 1024];
	size_t n_in, n_out; /* in: for the guest */
	size_t room;	    /* of out */
	bool ended, broken, connected, shut;
};

struct fake_vsock {
	struct vsock_host host;
	struct mem_ops heap;
	int answer; /* connect()'s */
	struct fake_endpoint endpoints[VSOCK_STREAMS];
	unsigned n_closes, n_buffers;
	unsigned buffers_left; /* allocations that may still succeed */
};

void fake_vsock_init(struct fake_vsock *v);
struct fake_endpoint *fake_vsock_find(struct fake_vsock *v, uint32_t guest_port,
				      uint32_t host_port);
