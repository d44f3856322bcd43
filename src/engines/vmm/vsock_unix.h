/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The host's half of a vsock, over unix sockets.
 *
 *   host -> guest: a client connects to PATH and writes "CONNECT PORT\n"; when the guest accepts it reads "OK HOSTPORT\n",
 *                  and from then on the connection is the guest's. A guest that refuses: the connection is closed.
 *   guest -> host: the guest connects to port P of CID 2, and gets what listens on the unix socket PATH_P.
 *
 * All of it belongs to the loop's thread, which is the device's I/O thread. A socket is watched only for what the
 * device ran dry of, so that neither side spins. When it runs sealed, the filter has to let socket(2) and connect(2)
 * of AF_UNIX through, and PATH has to be reachable: a relative one is looked up from the working directory.
 * Source: Firecracker's docs/vsock.md, for what clients of such sockets expect.
 */
#include "base/core/err.h"
#include "devices/virtio/vsock.h"

struct loop;
struct vsock_unix;
struct vsock_side;

/*
 * Who brings a connection to the guest: a virtio_vsock of this process, or one of another's (engines/baremetal/hv_vsock.h). The same
 * four functions, under the same rules, as devices/virtio/vsock.h has for the host's half.
 */
struct vsock_side_ops {
	int (*connect)(struct vsock_side *side, uint32_t guest_port, void *endpoint,
		       struct vsock_stream **ret);
	void (*abort)(struct vsock_side *side, struct vsock_stream *stream);
	void (*readable)(struct vsock_side *side, struct vsock_stream *stream);
	void (*writable)(struct vsock_side *side, struct vsock_stream *stream);
};

struct vsock_side { /* embedded */
	const struct vsock_side_ops *ops;
};

/*
 * vsock_unix_create() - a listening socket at path, mode 0600
 * @path: a socket that nobody listens on any more is replaced   @loop: borrowed
 * Errors: -ENAMETOOLONG where PATH_P would not fit into a sockaddr_un; -EADDRINUSE.
 */
int vsock_unix_create(const char *path, struct loop *loop, struct vsock_unix **ret,
		      struct err *err);
/* For virtio_vsock_init(). */
struct vsock_host *vsock_unix_host(struct vsock_unix *v);
extern const struct mem_ops vsock_unix_heap;
/* vsock_unix_start() - the device is there: clients are served from now on. */
int vsock_unix_start(struct vsock_unix *v, struct virtio_vsock *dev, struct err *err);
/* vsock_unix_serve() - the same over another's device; @side: borrowed until vsock_unix_free() */
int vsock_unix_serve(struct vsock_unix *v, struct vsock_side *side, struct err *err);
/* vsock_unix_free() - every connection closed, PATH removed; the device is stopped. NULL is a no-op. */
void vsock_unix_free(struct vsock_unix *v);
