/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A virtual machine's end of a network: a tap device. It is made, and put on its bridge, by the monitor, which has
 * the right to; the VMM gets the fd and moves frames. It goes when the last fd is closed.
 * Source: Linux Documentation/networking/tuntap.rst; linux/if_tun.h.
 */
#include "base/core/err.h"
#include "machine/ops.h"

struct loop;

/*
 * tap_create() - a tap of this name on this bridge, up
 * @ret_fd: the caller's; frames with a virtio_net_hdr of 12 bytes
 * Errors: -EBUSY where the name is in use, what the kernel says.
 */
int tap_create(const char *name, const char *bridge, int *ret_fd, struct err *err);
/* tap_open() - the tap alone, in the caller's network namespace, on no bridge and down. */
int tap_open(const char *name, int *ret_fd, struct err *err);
/*
 * net_tap_open() - the frames of a tap as a device's back end
 * @fd: taken over, also on an error   @loop: of the device's thread
 */
int net_tap_open(int fd, struct loop *loop, struct net **ret, struct err *err);

/* What net_tap's offload_set asks of ioctl(2), for a filter. */
#define NET_TAP_IOCTL 0x400454d0U /* TUNSETOFFLOAD */
