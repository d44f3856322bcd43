/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The server's IOMMU: a device reaches what its driver gave it, and no other memory.
 *
 * Theory of operation. iommu_start() turns every unit on before any driver starts, with tables in which nothing is: a device without a
 * driver reaches no memory, but for the ranges that the firmware reserves for it (RMRR, IVMD). A driver attaches its device before it lets it be
 * bus master, and allows each of its buffers; addresses are physical ones, so that a driver does the same where there is no IOMMU, and its
 * domain is NULL. Functions that a conventional bridge makes indistinguishable share a domain. Intel's VT-d and AMD's AMD-Vi are driven, each behind
 * drivers/iommu_unit.h.
 * Where units remap interrupts, a device raises the one that iommu_msi() gave it, and no other.
 * What is blocked is a line on the console; the more there is, the rarer it is looked at.
 * The boot CPU's, at start and in its interrupts; nothing here is for another.
 */
#include <stdbool.h>
#include <stdint.h>

#include "boot/info.h"
#include "core/firmware.h"
#include "drivers/hpci.h"

struct iommu_domain;

/* iommu_start() - after hpci_scan(), before drivers. What there is, or why it is not used, is printed. */
void iommu_start(const struct boot_info *info, const struct firmware *firmware,
		 const struct hpci *pci);

/*
 * iommu_attach() - the device reaches only what iommu_allow() says; before hpci_enable()
 * @driver: static   @ret: NULL: no IOMMU is in the way
 * Return: 0, or -errno: it must not be started.
 */
int iommu_attach(const struct hpci_device *device, const char *driver, struct iommu_domain **ret);
/*
 * iommu_allow() - whole pages at `at`; iommu_forbid(): no longer: before they are given back. A domain of NULL: nothing is done.
 * Return: 0; -ENOMEM, -EEXIST, -ERANGE as dma_domain_allow(); the unit's errors.
 */
int iommu_allow(struct iommu_domain *domain, const void *at, uint64_t len_bytes, bool read_only);
int iommu_forbid(struct iommu_domain *domain, const void *at, uint64_t len_bytes);
/* iommu_passed() - the device said that it does not go through the IOMMU, though it is attached */
void iommu_passed(const struct iommu_domain *domain);

/*
 * iommu_msi() - as hpci_msi(), for `vector` on this CPU; where interrupts are remapped, it is the only one that the device can raise
 * Return: false: it has none, poll it.
 */
bool iommu_msi(const struct hpci *pci, const struct hpci_device *device, uint8_t vector);

/* iommu_units() - how many units are on */
unsigned iommu_units(void);
/* iommu_faults() - say what was blocked since the last time. Return: how many accesses were since the start. */
uint64_t iommu_faults(void);
