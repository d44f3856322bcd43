/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Connections to the vsock of a guest on a server, for the sockets of engines/vmm/vsock_unix.h: each is a stream of the channel. */
#include "engines/baremetal/chan.h"
#include "engines/vmm/vsock_unix.h"

#define HV_VSOCK_STREAMS 64U

struct hv_vsock;

struct hv_vsock_stream {
	struct chan_stream stream;
	struct vsock_stream vsock; /* what the host's half sees */
	struct hv_vsock *owner;
	struct buf pending; /* what the socket has not taken */
	size_t pending_at;
	bool used, over; /* the guest's side is closed: what waits is still to be written */
	bool host_done, guest_done, done_told;
};

struct hv_vsock {
	struct vsock_side side;
	struct chan *chan; /* borrowed */
	struct vsock_host *host;
	uint32_t guest;
	struct hv_vsock_stream streams[HV_VSOCK_STREAMS];
};

void hv_vsock_init(struct hv_vsock *v, struct chan *chan, uint32_t guest, struct vsock_host *host);
