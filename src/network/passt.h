/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A network for who may change none of the host's: the program passt turns a virtual machine's frames into
 * connections of an ordinary process. The monitor starts it with one end of a socket pair, and the VMM has the other.
 *
 * Life. passt ends by itself when the VMM's end of the socket is closed, however that came; the monitor kills it
 * besides when it takes the machine down. The wire: a stream of frames, each behind its length, four bytes, the most
 * significant first (passt(1) and QEMU's -netdev stream).
 *
 * The guest sees the addresses that QEMU's user network and slirp4netns give, which lie in no network of the host's: what
 * it sends to them passt takes, and answers name lookups from the host's first resolver. The host's own loopback is not reachable.
 */
#include <stdint.h>
#include <sys/types.h>

#include "base/core/err.h"
#include "machine/ops.h"

struct loop;

#define PASST_ADDRESS "10.0.2.15"
#define PASST_PREFIX  24
#define PASST_GATEWAY "10.0.2.2"
#define PASST_DNS     "10.0.2.3"
#define PASST_MAC                                                                                  \
	"02:53:0a:00:02:0f" /* of the guest: as a bridge's from its address (endpoint.c) */

/* The longest frame: 64 KiB - 1 of IP behind an Ethernet header; and the shortest that says what it is. */
#define PASST_FRAME_MAX 65549U
#define PASST_FRAME_MIN 14U
#define PASST_MTU	65520 /* passt(1), --mtu: its own default in a namespace, a multiple of 8 */

struct passt_port {
	const char *host_ip; /* NULL: every address */
	uint16_t host, guest;
	bool udp;
};

struct passt {
	int pidfd; /* -EBADF: none */
	int words; /* what it says on standard error */
	int wire;  /* our end, until it has answered */
};
#define PASST_NONE                                                                                 \
	{                                                                                          \
		-EBADF, -EBADF, -EBADF                                                             \
	}

/*
 * passt_start() - start it; passt_wait() - until it moves frames: meanwhile nobody else may read the socket
 * @ret_fd: the VMM's end, the caller's; does not block
 * Errors: -ENOENT with the package's name where it is not installed; what it says itself; -EINVAL for ports that it cannot
 * tell apart. *ret needs passt_stop() after any.
 */
int passt_start(const struct passt_port *ports, size_t n, struct passt *ret, int *ret_fd,
		struct err *err);
int passt_wait(struct passt *passt, struct err *err);
/*
 * passt_join() - the network of a container without root: passt's other half, pasta, puts an interface eth0 into the network namespace
 * of a process, with the guest's addresses, and is ready when this returns. Started by the creator of the user namespace
 * that this one belongs to, and killed with the thread that called this.
 * @pid: any process in both   @dir: for a pipe by which it says that it is ready
 * Errors: -EACCES where /dev/net/tun is closed; as passt_start()'s.
 */
int passt_join(const struct passt_port *ports, size_t n, pid_t pid, const char *dir,
	       struct passt *ret, struct err *err);
void passt_stop(struct passt *passt); /* killed and waited for; PASST_NONE is a no-op */

/*
 * net_passt_open() - the socket's frames as a device's back end, without offloads
 * @fd: taken over, also on an error   @loop: of the device's thread
 * A length that no frame has, or the stream's end, closes the network: nothing comes any more, and what is sent is lost.
 */
int net_passt_open(int fd, struct loop *loop, struct net **ret, struct err *err);
