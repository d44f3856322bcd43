/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A disk or partition of the server as a guest's device sees it. The server's disk finishes requests on whatever CPU its interrupt
 * comes to; there they are put on a list, and whoever serves the guest's devices is asked to come: server_disk_deliver() then hands
 * them to the device. A guest that ends is taken apart as soon as its last request was delivered, so nothing of it is touched behind the
 * lock.
 */
#include "core/spin.h"
#include "vm/disk_counts.h"

struct server_disk {
	struct disk disk;
	struct disk *server; /* borrowed */
	struct disk_counts counts;
	void (*finished)(
		struct server_disk *d); /* any CPU, under lock: something is to be delivered */
	struct spin lock;
	struct disk_request *over; /* linked; under lock */
};

/* server_disk_init() - @server: of drivers/disks.h; lives longer   @finished: see above */
void server_disk_init(struct server_disk *d, struct disk *server, bool read_only,
		      void (*finished)(struct server_disk *d));
/* server_disk_deliver() - on the device's side: calls done() of what is over */
void server_disk_deliver(struct server_disk *d);
