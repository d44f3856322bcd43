/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Between the policy (drivers/iommu.c) and the two kinds of IOMMU: what a unit does, and what a firmware's table says of a server's
 * units. drivers/iommu_vtd.c has Intel's, drivers/iommu_amdvi.c has AMD's. Every slot is mandatory.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/firmware.h"
#include "drivers/dma_tables.h"
#include "drivers/hpci.h"
#include "drivers/requesters.h"

#define IOMMU_UNITS 32U
#define IOMMU_NAMES (REQUESTERS + 1U)

enum iommu_access {
	IOMMU_READ,
	IOMMU_WRITE,
	IOMMU_REACH, /* the unit does not say which of the two */
	IOMMU_INTERRUPT,
};

struct iommu_fault {
	uint64_t phys;
	uint16_t id;	/* of the requester */
	uint8_t reason; /* as the unit has it */
	enum iommu_access access;
	bool is_units; /* nothing was blocked: the unit itself cannot go on */
};

struct iommu_unit {
	const struct iommu_unit_ops *ops;
	bool remaps; /* interrupts: once it is enabled, none comes but as interrupt() says */
};

struct iommu_unit_ops {
	/* Translate: after the devices with reserved memory are set. Return: 0, -ETIMEDOUT. */
	int (*enable)(struct iommu_unit *unit);
	/* The unit forgets what it kept of the domain's tables, and of the devices that were set. Return: 0, -ETIMEDOUT, -EIO. */
	int (*flush)(struct iommu_unit *unit, const struct dma_domain *domain);
	/* A domain of the unit's, empty. Return: 0; -ENOSPC: the unit knows no more of them; -ENOMEM. */
	int (*domain_new)(struct iommu_unit *unit, struct dma_domain *domain);
	/* A requester is in the domain, once it is flushed. Return: 0, -ENOMEM; -EBUSY: it is in another; flush()'s errors. */
	int (*set)(struct iommu_unit *unit, uint16_t id, const struct dma_domain *domain);
	/* Return: the number of its domain; 0: none, it is blocked. */
	uint16_t (*get)(const struct iommu_unit *unit, uint16_t id);
	/* The next access that was blocked, and forget it. Return: false: none. */
	bool (*fault_take)(struct iommu_unit *unit, struct iommu_fault *ret);
	/*
	 * The interrupts of the requesters in ids, which are one device, may come as `vector` to the CPU with that APIC ID. Where it remaps only.
	 * Return: 0, and what the device is to write; -ENOSPC, -ENOMEM, -ERANGE: it does not reach that CPU; flush()'s errors.
	 */
	int (*interrupt)(struct iommu_unit *unit, const uint16_t *ids, unsigned n, uint8_t vector,
			 uint32_t apic_id, struct hpci_message *ret);
	/* Whether its interrupt is held back. */
	void (*fault_hush)(struct iommu_unit *unit, bool is_held);
};

struct iommu_range {
	uint64_t start, len; /* bytes, whole pages */
	bool read_only;
};

struct iommu_server_ops {
	const char *name; /* "VT-d" */
	/* Reads the firmware's table. Return: how many units, at most IOMMU_UNITS; -ENOENT: there is no such table; or its error. */
	int (*read)(const struct firmware *firmware);
	/*
	 * From now on no device behind the unit reaches memory, but as set() says, once it is enabled.
	 * @vector: of its interrupt, to this CPU, when it has blocked something; 0: none   Return: 0, or -errno.
	 */
	int (*start)(const struct hpci *pci, unsigned index, uint8_t vector,
		     struct iommu_unit **ret);
	/* Return: index of the unit in charge of a device; -1: none. */
	int (*unit_of)(const struct hpci *pci, const struct hpci_device *device);
	/* By which names the unit knows it. @ret: IOMMU_NAMES of them. Return: how many, at least 1. */
	unsigned (*names)(const struct hpci *pci, const struct hpci_device *device, uint16_t *ret);
	/* Calls each() for the memory that the firmware reserves, once for each device. */
	void (*reserved)(const struct hpci *pci, void *arg,
			 void (*each)(void *arg, const struct iommu_range *range,
				      const struct hpci_device *device));
};

extern const struct iommu_server_ops iommu_vtd, iommu_amdvi;
