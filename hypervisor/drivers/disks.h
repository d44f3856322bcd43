/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The server's disks: found at start by their PCI class, their GUID partition tables read. Names: nvme0, ahci0, vd0 in the order of the
 * PCI functions and ports; partitions nvme0p1; extents of Strata's own partitions strata:NAME.
 */
#include "abi/channel.h"
#include "core/firmware.h"
#include "drivers/host_disk.h"

#define DISKS_MAX 16U

struct hpci;
struct hpci_device;
struct iommu_domain;

/* disks_pci() - the server's PCI functions, which were scanned for disks */
const struct hpci *disks_pci(void);
/* disk_find() - a disk or a partition by its name, a partition by its label ("label:data"), or an extent ("strata:web"). NULL: there is none. */
struct disk *disk_find(const char *name);

/* disks_next() - the first disk or partition behind a number, as the channel says it. Return: false: none. */
bool disks_next(uint32_t after, struct channel_disk *ret);
unsigned disks_count(void); /* of both */
/* disks_poll() - finish what is over, on all of them. Any CPU. */
void disks_poll(void);

/* disks_add() - for drivers: initialised by host_disk_init(). Return: false: DISKS_MAX are there. */
bool disks_add(struct host_disk *disk);
/* disks_allow() - for drivers: its device reaches the buffers of an initialised one. Return: 0, or iommu_allow()'s error. */
int disks_allow(const struct host_disk *disk, struct iommu_domain *domain);
/* disks_interrupt() - for trap_vector_take(): arg is the struct host_disk, or NULL: any of them */
void disks_interrupt(void *arg);

/* Each looks at one function, and adds the disks behind it. Return: 0; -ENODEV: not its kind; -errno: printed by the caller. */
int nvme_probe(const struct hpci *pci, const struct hpci_device *device, unsigned *number);
int ahci_probe(const struct hpci *pci, const struct hpci_device *device, unsigned *number);
int virtio_disk_probe(const struct hpci *pci, const struct hpci_device *device, unsigned *number);
