/* SPDX-License-Identifier: Apache-2.0 */
#include "disk_rig.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/macros.h"
#include "core/clock.h"
#include "core/page.h"
#include "core/print.h"
#include "core/trap.h"
#include "drivers/disks.h"
#include "drivers/iommu.h"

struct disk_rig rig;

/* ---- the hypervisor's, as the driver calls them ---- */

uint64_t clock_ns(void)
{
	rig.step();
	return rig.now += MS;
}

void *page_alloc(unsigned order)
{
	for (unsigned i = 0; i < RIG_PAGES; i++) {
		if (rig.pages[i])
			continue;
		rig.pages[i] = aligned_alloc(PAGE_BYTES, (size_t)PAGE_BYTES << order);
		return memset(rig.pages[i], 0, (size_t)PAGE_BYTES << order);
	}
	return NULL;
}

void page_free(void *block, unsigned order)
{
	(void)order;
	for (unsigned i = 0; block && i < RIG_PAGES; i++)
		rig.pages[i] = rig.pages[i] == block ? NULL : rig.pages[i];
	free(block);
}

void print(const char *fmt, ...)
{
	size_t n = strlen(rig.said);
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(rig.said + n, sizeof(rig.said) - n, fmt, args);
	va_end(args);
}

int iommu_attach(const struct hpci_device *device, const char *driver, struct iommu_domain **ret)
{
	(void)device;
	(void)driver;
	*ret = NULL;
	return 0;
}

int iommu_allow(struct iommu_domain *domain, const void *at, uint64_t len, bool read_only)
{
	(void)domain;
	(void)at;
	(void)len;
	(void)read_only;
	return 0;
}

int iommu_forbid(struct iommu_domain *domain, const void *at, uint64_t len)
{
	return iommu_allow(domain, at, len, false);
}

bool iommu_msi(const struct hpci *pci, const struct hpci_device *device, uint8_t vector)
{
	(void)pci;
	(void)device;
	(void)vector;
	return true;
}

void hpci_enable(const struct hpci *pci, const struct hpci_device *device)
{
	(void)pci;
	(void)device;
}

volatile void *hpci_bar(const struct hpci *pci, const struct hpci_device *device, unsigned bar,
			uint64_t least)
{
	(void)pci;
	(void)device;
	assert_int_equal(bar, rig.bar);
	assert_true(least <= sizeof(rig.regs));
	return rig.regs;
}

int trap_vector_take(void (*handler)(void *arg), void *arg)
{
	(void)handler;
	(void)arg;
	return TRAP_DEVICES;
}

void trap_vector_give(int vector)
{
	(void)vector;
}

void disks_interrupt(void *arg)
{
	(void)arg;
}

int disks_allow(const struct host_disk *disk, struct iommu_domain *domain)
{
	(void)disk;
	(void)domain;
	return 0;
}

bool disks_add(struct host_disk *disk)
{
	rig.disk = disk;
	return true;
}

/* ---- who asks ---- */

void rig_begin(unsigned bar, void (*step)(void))
{
	memset(&rig, 0, sizeof(rig));
	rig.bar = bar;
	rig.step = step;
	for (unsigned i = 0; i < sizeof(rig.bytes); i++)
		rig.bytes[i] = (uint8_t)(i / RIG_SECTOR);
}

int rig_end(void **state)
{
	(void)state;
	for (unsigned i = 0; i < RIG_PAGES; i++)
		free(rig.pages[i]);
	return 0;
}

uint32_t rig_get(unsigned at)
{
	return rig.regs[at / 4];
}

void rig_set(unsigned at, uint32_t value)
{
	rig.regs[at / 4] = value;
}

static void request_done(struct disk_request *req, int result)
{
	struct rig_request *r = container_of(req, struct rig_request, req);

	r->n_done++;
	r->result = result;
}

void rig_submit(struct rig_request *r, enum disk_op op, unsigned sector)
{
	*r = (struct rig_request){ .iov = { r->data, sizeof(r->data) } };
	memset(r->data, 0xe0, sizeof(r->data));
	r->req = (struct disk_request){ .op = op,
					.offset_bytes = (uint64_t)sector * RIG_SECTOR,
					.len_bytes = RIG_SECTOR,
					.iov = &r->iov,
					.n_iov = 1,
					.done = request_done };
	rig.disk->disk.ops->submit(&rig.disk->disk, &r->req);
}

void rig_poll(void)
{
	(void)clock_ns(); /* the controller has seen what it was told */
	host_disk_poll(rig.disk);
}

void rig_finish(const struct rig_request *r, uint64_t ns)
{
	uint64_t last = rig.now + ns;

	while (!r->n_done && rig.now < last)
		rig_poll();
	assert_int_equal(r->n_done, 1);
}

void rig_assert_read(const struct rig_request *r, unsigned sector)
{
	assert_int_equal(r->n_done, 1);
	assert_int_equal(r->result, 0);
	assert_memory_equal(r->data, rig.bytes + (size_t)sector * RIG_SECTOR, RIG_SECTOR);
}

void rig_all_read(const struct rig_request *r, unsigned n, unsigned sector)
{
	for (unsigned i = 0; i < n; i++)
		rig_finish(&r[i], 500 * MS);
	for (unsigned i = 0; i < n; i++)
		rig_assert_read(&r[i], sector + i);
}

void rig_all_read_but(const struct rig_request *r, unsigned n, unsigned failed)
{
	for (unsigned i = 0; i < n; i++) {
		rig_finish(&r[i], 1000 * MS);
		if (i != failed)
			rig_assert_read(&r[i], i);
	}
}

void rig_unwanted_lost(struct rig_request *r, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		rig_submit(&r[i], i ? DISK_WRITE : DISK_READ, i);
		r[i].req.is_unwanted = true;
	}
	rig_finish(&r[0], 2 * HOST_DISK_ANSWER_NS);
}

void rig_assert_unwanted_over(const struct rig_request *r, unsigned n)
{
	for (unsigned i = 1; i < n; i++) {
		rig_finish(&r[i], 2000 * MS);
		assert_true(r[i].result < 0);
	}
	rig_comes_back(2000 * MS);
	for (unsigned i = 1; i < n; i++)
		assert_int_equal(rig.bytes[RIG_SECTOR * i], i);
}

void rig_pass(uint64_t ns)
{
	for (uint64_t last = rig.now + ns; rig.now < last;)
		rig_poll();
}

void rig_comes_back(uint64_t ns)
{
	for (uint64_t last = rig.now + ns; rig.disk->is_resetting && rig.now < last;)
		rig_poll();
	assert_false(rig.disk->is_resetting);
}
