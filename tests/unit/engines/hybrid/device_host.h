/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A PCI bus with one of each virtio device, over back ends that live in memory: a disk of 1 MiB, a network and a console
 * port (number 1) that send everything back, a stream that does at port 7 of the host, and the host's entropy. One I/O
 * thread for all of them.
 */
#include "machine/bus.h"
#include "machine/cpu_ops.h"
#include "machine/mem.h"

struct device_host;

/* device_host_start() - devices on the buses, and their thread. Fails the test case where that cannot be. */
struct device_host *device_host_start(struct guest_mem *mem, struct bus *mmio, struct bus *pio,
				      struct vm *vm);
/* device_host_stop() - the vcpus have ended. NULL is a no-op. */
void device_host_stop(struct device_host *host);
