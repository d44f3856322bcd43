/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The server's disks: found at start by their PCI class, their GUID partition tables read. Names: nvme0, ahci0, vd0 in the order of the
 * PCI functions and ports; partitions nvme0p1.
 */
#include "core/firmware.h"
#include "drivers/host_disk.h"

#define DISKS_MAX 16U

/* disk_find() - a disk or a partition by its name, or a partition by its label ("label:data"). NULL: there is none. */
struct disk *disk_find(const char *name);

/* disks_poll() - finish what is over, on all of them. Any CPU. */
void disks_poll(void);

/* disks_add() - for drivers: initialised by host_disk_init(). Return: false: DISKS_MAX are there. */
bool disks_add(struct host_disk *disk);
/* disks_interrupt() - for trap_vector_take(): arg is the struct host_disk, or NULL: any of them */
void disks_interrupt(void *arg);

struct hpci;
struct hpci_device;

/* Each looks at one function, and adds the disks behind it. Return: 0; -ENODEV: not its kind; -errno: printed by the caller. */
int nvme_probe(const struct hpci *pci, const struct hpci_device *device, unsigned *number);
int ahci_probe(const struct hpci *pci, const struct hpci_device *device, unsigned *number);
int virtio_disk_probe(const struct hpci *pci, const struct hpci_device *device, unsigned *number);
