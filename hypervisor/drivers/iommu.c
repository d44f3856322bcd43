/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/iommu.h"

#include <errno.h>
#include <stddef.h>

#include "base/core/macros.h"
#include "boot/memory.h"
#include "core/apic.h"
#include "core/clock.h"
#include "core/page.h"
#include "core/print.h"
#include "core/timer.h"
#include "core/trap.h"
#include "drivers/iommu_unit.h"

#define DOMAINS	      64U
#define FAULTS_SHOWN  4U
#define FAULTS_LOOKED 64U /* at once: a device makes them as fast as we read */
#define HOLD_LEAST_NS UINT64_C(100000000)
#define HOLD_MOST_NS  UINT64_C(60000000000)
#define RESERVED_MOST (UINT64_C(1) << 30) /* of one range: its tables are ours */

struct iommu_domain {
	struct dma_domain dma;
	struct iommu_unit *unit;
	struct hpci_device device; /* the first that was attached */
	const char *driver;
};

/* One server; the boot CPU's. */
static struct {
	const struct hpci *pci;
	const struct iommu_server_ops *server;
	struct iommu_unit *units[IOMMU_UNITS]; /* NULL: not on */
	unsigned n_units, n_on;
	struct iommu_domain domains[DOMAINS];
	unsigned n_domains;
	struct hv_timer timer; /* ends the time in which units are held back */
	uint64_t hold_ns, held_at_ns, n_faults;
} iommu;

/* NULL: none is on for it. */
static struct iommu_unit *unit_of(const struct hpci_device *d)
{
	int n = iommu.server->unit_of(iommu.pci, d);

	return n >= 0 ? iommu.units[n] : NULL;
}

static struct iommu_domain *domain_at(const struct iommu_unit *unit, uint16_t id)
{
	uint16_t number = unit->ops->get(unit, id);

	for (unsigned i = 0; number && i < iommu.n_domains; i++) {
		if (iommu.domains[i].unit == unit && iommu.domains[i].dma.id == number)
			return &iommu.domains[i];
	}
	return NULL;
}

static int domain_make(struct iommu_unit *unit, const struct hpci_device *d,
		       struct iommu_domain **ret)
{
	if (iommu.n_domains == DOMAINS)
		return -ENOSPC;
	struct iommu_domain *domain = &iommu.domains[iommu.n_domains];
	*domain = (struct iommu_domain){ .unit = unit, .device = *d };
	int r = unit->ops->domain_new(unit, &domain->dma);
	if (r < 0)
		return r;
	iommu.n_domains++;
	*ret = domain;
	return 0;
}

/* The domain in which any of its names is already, or a new one; then all of them are in it. */
static int domain_get(struct iommu_unit *unit, const struct hpci_device *d,
		      struct iommu_domain **ret)
{
	uint16_t ids[IOMMU_NAMES];
	unsigned n = iommu.server->names(iommu.pci, d, ids);
	struct iommu_domain *domain = NULL;
	int r = 0;

	for (unsigned i = 0; !domain && i < n; i++)
		domain = domain_at(unit, ids[i]);
	if (!domain)
		r = domain_make(unit, d, &domain);
	for (unsigned i = 0; r == 0 && i < n; i++)
		r = unit->ops->set(unit, ids[i], &domain->dma);
	*ret = domain;
	return r;
}

/* Memory that we hand out, or that holds a file of the loader's: a table of the firmware's may not give it away. */
static bool is_ours(const struct boot_info *info, const struct iommu_range *range)
{
	static struct boot_free free; /* large, and used once */
	uint64_t end = range->start + range->len;

	boot_free_memory(info, NULL, 0, &free);
	for (unsigned i = 0; i < free.n; i++) {
		if (range->start < free.ranges[i].start + free.ranges[i].len &&
		    free.ranges[i].start < end)
			return true;
	}
	return free.is_cut || boot_has_file(info, range->start, end);
}

static int reserved_allow(const struct iommu_range *range, const struct hpci_device *d)
{
	struct iommu_unit *unit = unit_of(d);
	struct iommu_domain *domain;

	if (!unit)
		return 0;
	int r = range->len > RESERVED_MOST ? -EFBIG : domain_get(unit, d, &domain);
	for (uint64_t done = 0; r == 0 && done < range->len; done += PAGE_BYTES) {
		r = dma_domain_allow(&domain->dma, range->start + done, PAGE_BYTES,
				     range->read_only);
		r = r == -EEXIST ? 0 : r; /* of another range, or of a device that shares it */
	}
	return r;
}

static void reserved_start(void *arg, const struct iommu_range *range, const struct hpci_device *d)
{
	const struct boot_info *info = arg;
	bool is_wrong = is_ours(info, range);
	int r = is_wrong ? -EPERM : reserved_allow(range, d);

	print("IOMMU: %x:%x.%u %s 0x%lx to 0x%lx, the firmware's%s\n", d->bus, d->slot, d->function,
	      r < 0 ? "does not reach" : "reaches", range->start, range->start + range->len - 1,
	      is_wrong ? ": the memory map says that it is free" : "");
}

static const char *fault_driver(const struct iommu_unit *unit, uint16_t id)
{
	const struct iommu_domain *domain = domain_at(unit, id);

	return domain && domain->driver ? domain->driver : "no driver";
}

static void fault_say(const struct iommu_unit *unit, const struct iommu_fault *fault)
{
	static const char *const access[] = {
		[IOMMU_READ] = "read", [IOMMU_WRITE] = "write", [IOMMU_REACH] = "reach"
	};

	if (fault->is_units)
		print("IOMMU: a unit cannot go on, reason %u, at 0x%lx\n", fault->reason,
		      fault->phys);
	else if (fault->access == IOMMU_INTERRUPT)
		print("IOMMU: %x:%x.%u (%s) may not interrupt so: blocked, reason %u\n",
		      fault->id >> 8, fault->id >> 3 & 31, fault->id & 7U,
		      fault_driver(unit, fault->id), fault->reason);
	else
		print("IOMMU: %x:%x.%u (%s) may not %s 0x%lx: blocked, reason %u\n", fault->id >> 8,
		      fault->id >> 3 & 31, fault->id & 7U, fault_driver(unit, fault->id),
		      access[fault->access], fault->phys, fault->reason);
}

static unsigned unit_faults(struct iommu_unit *unit)
{
	struct iommu_fault fault;
	unsigned n = 0;

	for (; n < FAULTS_LOOKED && unit->ops->fault_take(unit, &fault); n++) {
		if (n < FAULTS_SHOWN)
			fault_say(unit, &fault);
	}
	if (n > FAULTS_SHOWN)
		print("IOMMU: %u more were blocked\n", n - FAULTS_SHOWN);
	return n;
}

bool iommu_msi(const struct hpci *pci, const struct hpci_device *device, uint8_t vector)
{
	struct iommu_unit *unit = iommu.n_on ? unit_of(device) : NULL;
	struct hpci_message message = hpci_message(vector);
	uint16_t ids[IOMMU_NAMES];

	if (unit && unit->remaps) {
		unsigned n = iommu.server->names(pci, device, ids);
		int r = unit->ops->interrupt(unit, ids, n, vector, apic_id(), &message);
		if (r < 0)
			return false;
	}
	return hpci_msi(pci, device, &message);
}

unsigned iommu_units(void)
{
	return iommu.n_on;
}

uint64_t iommu_faults(void)
{
	for (unsigned i = 0; i < iommu.n_units; i++)
		iommu.n_faults += iommu.units[i] ? unit_faults(iommu.units[i]) : 0;
	return iommu.n_faults;
}

static void units_hush(bool is_held)
{
	for (unsigned i = 0; i < iommu.n_units; i++) {
		if (iommu.units[i])
			iommu.units[i]->ops->fault_hush(iommu.units[i], is_held);
	}
}

static void hold_ends(struct hv_timer *timer)
{
	(void)timer;
	units_hush(false);
}

/* Each time that comes soon after the last one, units are held back twice as long. */
static void fault_interrupt(void *arg)
{
	uint64_t now = clock_ns();

	(void)arg;
	units_hush(true);
	(void)iommu_faults();
	if (now - iommu.held_at_ns > HOLD_MOST_NS + iommu.hold_ns)
		iommu.hold_ns = HOLD_LEAST_NS;
	else if (iommu.hold_ns < HOLD_MOST_NS)
		iommu.hold_ns *= 2;
	iommu.held_at_ns = now;
	timer_arm(&iommu.timer, now + iommu.hold_ns);
}

static void unit_start(unsigned n, uint8_t vector)
{
	struct iommu_unit *unit;
	int r = iommu.server->start(iommu.pci, n, vector, &unit);

	if (r == 0) {
		iommu.units[n] = unit;
		iommu.n_on++;
		return;
	}
	print("IOMMU: unit %u cannot be used: error %d: devices behind it reach all of memory\n", n,
	      -r);
}

static void unit_enable(unsigned n)
{
	int r = iommu.units[n] ? iommu.units[n]->ops->enable(iommu.units[n]) : 0;

	if (r == 0)
		return;
	iommu.units[n] = NULL;
	iommu.n_on--;
	print("IOMMU: unit %u does not do what it is told: error %d\n", n, -r);
}

static void units_start(const struct boot_info *info)
{
	int vector = trap_vector_take(fault_interrupt, NULL);

	iommu.hold_ns = HOLD_LEAST_NS;
	iommu.timer.fired = hold_ends;
	for (unsigned i = 0; i < iommu.n_units; i++)
		unit_start(i, vector < 0 ? 0 : (uint8_t)vector);
	iommu.server->reserved(iommu.pci, (void *)(uintptr_t)info, reserved_start);
	for (unsigned i = 0; i < iommu.n_units; i++)
		unit_enable(i);
	unsigned n_remap = 0;
	for (unsigned i = 0; i < iommu.n_units; i++)
		n_remap += iommu.units[i] && iommu.units[i]->remaps;
	print("IOMMU: %s, %u of %u units on: devices without a driver reach no memory; interrupts are %s\n",
	      iommu.server->name, iommu.n_on, iommu.n_units,
	      n_remap && n_remap == iommu.n_units ? "their drivers' only" : "not remapped");
}

/* Whose table the firmware has. Return: how many units, or -errno. */
static int server_find(const struct firmware *firmware)
{
	static const struct iommu_server_ops *const servers[] = { &iommu_vtd, &iommu_amdvi };
	int r = -ENOENT;

	for (unsigned i = 0; r == -ENOENT && i < ARRAY_SIZE(servers); i++) {
		iommu.server = servers[i];
		r = servers[i]->read(firmware);
	}
	return r;
}

void iommu_start(const struct boot_info *info, const struct firmware *firmware,
		 const struct hpci *pci)
{
	char word[8] = "";

	iommu.pci = pci;
	if (!firmware->has_iommu)
		return;
	if (boot_info_word(info, "iommu", word, sizeof(word))) {
		print("IOMMU: off, as the command line says: devices reach all of memory\n");
		return;
	}
	int r = server_find(firmware);
	if (r < 0) {
		print("IOMMU: the firmware's table cannot be used, error %d: devices reach all of memory\n",
		      -r);
		return;
	}
	iommu.n_units = (unsigned)r;
	units_start(info);
}

int iommu_attach(const struct hpci_device *device, const char *driver, struct iommu_domain **ret)
{
	struct iommu_unit *unit = iommu.n_on ? unit_of(device) : NULL;

	*ret = NULL;
	if (!unit) {
		if (iommu.n_units)
			print("IOMMU: %x:%x.%u (%s) is behind none that is on: it reaches all of memory\n",
			      device->bus, device->slot, device->function, driver);
		return 0;
	}
	int r = domain_get(unit, device, ret);
	r = r < 0 ? r : unit->ops->flush(unit, &(*ret)->dma);
	if (r < 0)
		return r;
	if (!(*ret)->driver)
		(*ret)->driver = driver;
	print("IOMMU: %x:%x.%u (%s) reaches its driver's buffers\n", device->bus, device->slot,
	      device->function, driver);
	return 0;
}

int iommu_allow(struct iommu_domain *domain, const void *at, uint64_t len_bytes, bool read_only)
{
	if (!domain)
		return 0;
	int r = dma_domain_allow(&domain->dma, ptr_to_phys(at), len_bytes, read_only);
	return r < 0 ? r : domain->unit->ops->flush(domain->unit, &domain->dma);
}

int iommu_forbid(struct iommu_domain *domain, const void *at, uint64_t len_bytes)
{
	if (!domain)
		return 0;
	int r = dma_domain_forbid(&domain->dma, ptr_to_phys(at), len_bytes);
	return r < 0 ? r : domain->unit->ops->flush(domain->unit, &domain->dma);
}

void iommu_passed(const struct iommu_domain *domain)
{
	if (domain)
		print("IOMMU: %x:%x.%u (%s) goes round it, it says: it reaches all of memory\n",
		      domain->device.bus, domain->device.slot, domain->device.function,
		      domain->driver);
}
