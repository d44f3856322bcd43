/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What hangs on a machine's buses, and the back ends behind it. Inside this room. */
#include "devices/legacy/debug_exit.h"
#include "devices/legacy/i8042.h"
#include "devices/legacy/pc_testdev.h"
#include "devices/legacy/pci_testdev.h"
#include "devices/legacy/rtc.h"
#include "devices/legacy/serial.h"
#include "devices/virtio/balloon.h"
#include "devices/virtio/blk.h"
#include "devices/virtio/fs.h"
#include "devices/virtio/net.h"
#include "devices/virtio/rng.h"
#include "engines/vmm/console_fd.h"
#include "engines/vmm/console_tail.h"
#include "engines/vmm/private.h"
#include "engines/vmm/vhost_fs.h"
#include "engines/vmm/virtio_host.h"
#include "machine/events.h"
#include "machine/fwcfg.h"
#include "machine/pci.h"
#include "machine/pm.h"
#include "storage/disk/disk.h"

/* Of what kvm-unit-tests need: only where the spec asks for it. */
struct vmm_test_devices {
	struct vmm *vmm;
	struct pc_testdev pc;
	struct pci_testdev pci;
	int bell; /* an eventfd that nobody reads: the engine takes writes to doorbells with it */
};

struct vmm_blk {
	struct vmm_virtio host;
	struct virtio_blk dev;
	struct disk *disk;
};

/* What the spec shares of the host's, whatever it is: one program serves it all. */
struct vmm_shares {
	struct vmm_virtio host;
	struct virtio_fs dev;
	struct vhost_fs server;
};

/* Each where the spec asks for it. */
struct vmm_extras {
	struct vmm *vmm;
	struct entropy entropy;
	struct vmm_virtio rng_host, balloon_host, nic_host;
	struct virtio_rng rng;
	struct balloon_host balloon_ops;
	struct virtio_balloon balloon;
	int target_fifo; /* with a balloon, and a run directory */
	struct net *net;
	struct virtio_net nic;
};

struct vmm_devices {
	struct machine_events events;
	struct vmm *vmm;
	struct pci_bus pci;
	struct pm pm;
	struct fwcfg fwcfg;
	struct debug_exit debug_exit;
	struct rtc rtc;
	struct i8042 i8042;
	struct serial serial;
	struct console_fd serial_console;
	struct console_tail serial_tail; /* in its place where nobody shall see it */
	struct vmm_test_devices *test;	 /* or NULL */

	struct aio *aio; /* of all disks; NULL without one */
	struct vmm_blk *disks;
	unsigned n_disks;
	struct vmm_extras *extras;
	struct vmm_shares *shares; /* or NULL */
	struct vmm_agent *agent;   /* or NULL: a bare kernel */
};

/* extras.c */
int vmm_extras_create(struct vmm *vmm, struct err *err);

/* target_serve.c: others may set the balloon's target */
int vmm_target_open(struct vmm *vmm, struct vmm_extras *x, struct err *err);

/* shares.c */
int vmm_shares_create(struct vmm *vmm, struct err *err);

/* test_devices.c */
int vmm_test_devices_create(struct vmm *vmm, struct err *err);

/* disks.c */
int vmm_disks_create(struct vmm *vmm, struct err *err);
/*
 * vmm_disks_seal() - the disks' queue, and the loop's filter for its threads, where there are any
 * After the process entered its namespaces: with a second thread it could not (unshare(2), CLONE_NEWUSER).
 */
int vmm_disks_seal(struct vmm *vmm, struct err *err);
/* vmm_disks_drain() - the vcpus are gone: until no request is under way. */
void vmm_disks_drain(struct vmm *vmm);
