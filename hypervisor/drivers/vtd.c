/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/vtd.h"

#include <errno.h>
#include <stddef.h>

#include "base/core/macros.h"
#include "core/apic.h"
#include "core/clock.h"
#include "core/map.h"
#include "core/page.h"
#include "drivers/dma_memory.h"

#define ANSWER_NS     UINT64_C(20000000000) /* it answers at once, if its emulator is let */
#define REG_BYTES     0x5000U		    /* CAP.FRO and CAP.NFR reach no further */
#define QUEUE_ENTRIES 256U
#define FAULT_BYTES   16U

enum vtd_reg {
	VTD_VER = 0x00,
	VTD_CAP = 0x08,
	VTD_ECAP = 0x10,
	VTD_GCMD = 0x18,
	VTD_GSTS = 0x1c,
	VTD_RTADDR = 0x20,
	VTD_FSTS = 0x34,
	VTD_FECTL = 0x38,
	VTD_FEDATA = 0x3c,
	VTD_FEADDR = 0x40,
	VTD_FEUADDR = 0x44,
	VTD_PMEN = 0x64,
	VTD_IQT = 0x88,
	VTD_IQA = 0x90,
	VTD_IRTA = 0xb8,
};

#define CMD_TRANSLATE	    UINT32_C(0x80000000)
#define CMD_ROOT	    UINT32_C(0x40000000)
#define CMD_BUFFERS	    UINT32_C(0x08000000)
#define CMD_QUEUE	    UINT32_C(0x04000000)
#define CMD_INTERRUPT	    UINT32_C(0x02000000)
#define CMD_INTERRUPT_TABLE UINT32_C(0x01000000)
#define CMD_COMPATIBLE	    UINT32_C(0x00800000) /* interrupts that are not remappable pass */
#define STATUS_KEPT                                                                                \
	UINT32_C(0x96ffffff) /* GCMD: what stays, of GSTS; the others are asked for once */

#define CAP_BUFFERS	 4U
#define CAP_PROTECTED	 UINT64_C(0x60)
#define CAP_WIDTH_3	 9U
#define CAP_WIDTH_4	 10U
#define CAP_DRAIN_WRITES 54U
#define CAP_DRAIN_READS	 55U
#define ECAP_COHERENT	 0U
#define ECAP_QUEUE	 1U
#define ECAP_INTERRUPTS	 3U
#define ECAP_X2		 4U

#define TABLE_X2   UINT64_C(0x800)
#define TABLE_SIZE 7U /* 2^(7 + 1) entries */

/* Descriptors: context cache and IOTLB, all of either; wait, with a word written. */
#define FORGET_CONTEXTS	  UINT64_C(0x11)
#define FORGET_PAGES	  UINT64_C(0x12)
#define FORGET_INTERRUPTS UINT64_C(0x04)
#define DRAIN_WRITES	  UINT64_C(0x40)
#define DRAIN_READS	  UINT64_C(0x80)
#define WAIT		  UINT64_C(0x25)

#define FAULT_OVERFLOW 1U
#define FAULT_QUEUE    UINT32_C(0x70) /* an error of the queue, of completion, of time */
#define FAULT_HELD     UINT32_C(0x80000000)
#define PROTECTED_ON   UINT32_C(0x80000000)

static uint32_t reg_read(const struct vtd_unit *u, unsigned reg)
{
	return *(volatile uint32_t *)(u->regs + reg);
}

static uint64_t reg_read64(const struct vtd_unit *u, unsigned reg)
{
	return *(volatile uint64_t *)(u->regs + reg);
}

static void reg_write(const struct vtd_unit *u, unsigned reg, uint32_t value)
{
	*(volatile uint32_t *)(u->regs + reg) = value;
}

static void reg_write64(const struct vtd_unit *u, unsigned reg, uint64_t value)
{
	*(volatile uint64_t *)(u->regs + reg) = value;
}

static struct vtd_unit *vtd_of(struct iommu_unit *unit)
{
	return container_of(unit, struct vtd_unit, unit);
}

/* Waits until GSTS has the bit, or has it not. */
static int status_wait(const struct vtd_unit *u, uint32_t bit, bool is_set)
{
	uint64_t end = clock_ns() + ANSWER_NS;

	while (!!(reg_read(u, VTD_GSTS) & bit) != is_set) {
		if (clock_ns() > end)
			return -ETIMEDOUT;
		__builtin_ia32_pause();
	}
	return 0;
}

static int command(const struct vtd_unit *u, uint32_t bit, bool is_set)
{
	uint32_t kept = reg_read(u, VTD_GSTS) & STATUS_KEPT;

	reg_write(u, VTD_GCMD, is_set ? kept | bit : kept & ~bit);
	return status_wait(u, bit, is_set);
}

/* Old units keep writes to their tables in buffers. The bit of GSTS is set until these are empty. */
static int buffers_flush(const struct vtd_unit *u)
{
	if (!(u->cap >> CAP_BUFFERS & 1))
		return 0;
	reg_write(u, VTD_GCMD, (reg_read(u, VTD_GSTS) & STATUS_KEPT) | CMD_BUFFERS);
	return status_wait(u, CMD_BUFFERS, false);
}

/* The firmware's own use of the unit ends: its queue, its interrupts. Its translation goes on until ours is there. */
static int firmware_leave(const struct vtd_unit *u)
{
	int r = 0;

	if (reg_read(u, VTD_GSTS) & CMD_INTERRUPT)
		r = command(u, CMD_INTERRUPT, false);
	if (r == 0 && reg_read(u, VTD_GSTS) & CMD_QUEUE)
		r = command(u, CMD_QUEUE, false);
	return r;
}

static int unit_find(struct vtd_unit *u, uint64_t base)
{
	if (!map_range(base, REG_BYTES))
		return -ENOMEM;
	u->regs = (volatile uint8_t *)(uintptr_t)base;
	uint32_t version = reg_read(u, VTD_VER);
	if (!version || version == UINT32_MAX)
		return -ENODEV;
	u->cap = reg_read64(u, VTD_CAP);
	u->ecap = reg_read64(u, VTD_ECAP);
	u->levels = u->cap >> CAP_WIDTH_4 & 1 ? 4 : u->cap >> CAP_WIDTH_3 & 1 ? 3 : 0;
	return u->levels && u->ecap >> ECAP_QUEUE & 1 ? 0 : -EOPNOTSUPP;
}

static int queue_start(struct vtd_unit *u)
{
	u->queue = page_alloc(0);
	u->answer = page_alloc(0);
	if (!u->queue || !u->answer)
		return -ENOMEM;
	reg_write64(u, VTD_IQT, 0);
	reg_write64(u, VTD_IQA, ptr_to_phys(u->queue)); /* 256 entries of 16 bytes */
	return command(u, CMD_QUEUE, true);
}

static void hush(const struct vtd_unit *u, bool is_held)
{
	reg_write(u, VTD_FECTL, is_held ? FAULT_HELD : 0);
}

static void faults_start(const struct vtd_unit *u, uint8_t vector)
{
	reg_write(u, VTD_FEDATA, vector);
	reg_write(u, VTD_FEADDR, (uint32_t)apic_msi_address(apic_id()));
	reg_write(u, VTD_FEUADDR, 0);
	reg_write(u, VTD_FSTS, reg_read(u, VTD_FSTS)); /* what the firmware left */
}

static void queue_put(struct vtd_unit *u, uint64_t low, uint64_t high)
{
	u->queue[u->tail] = (struct vtd_queue_entry){ low, high };
	dma_write_out(&u->queue[u->tail], sizeof(*u->queue));
	u->tail = (u->tail + 1) % QUEUE_ENTRIES;
}

/* Contexts first: what is in the other cache is marked by them. */
static int caches_flush(struct vtd_unit *u)
{
	uint64_t end = clock_ns() + ANSWER_NS;
	uint64_t drain = (u->cap >> CAP_DRAIN_WRITES & 1 ? DRAIN_WRITES : 0) |
			 (u->cap >> CAP_DRAIN_READS & 1 ? DRAIN_READS : 0);
	int r = buffers_flush(u);

	if (r < 0)
		return r;
	u->n_waits++;
	queue_put(u, FORGET_CONTEXTS, 0);
	queue_put(u, FORGET_PAGES | drain, 0);
	if (u->unit.remaps)
		queue_put(u, FORGET_INTERRUPTS, 0);
	queue_put(u, WAIT | (uint64_t)u->n_waits << 32,
		  ptr_to_phys((const void *)(uintptr_t)u->answer));
	reg_write64(u, VTD_IQT, u->tail * sizeof(*u->queue));
	while (__atomic_load_n(u->answer, __ATOMIC_ACQUIRE) != u->n_waits) {
		if (reg_read(u, VTD_FSTS) & FAULT_QUEUE)
			return -EIO;
		if (clock_ns() > end)
			return -ETIMEDOUT;
		__builtin_ia32_pause();
	}
	return 0;
}

static int interrupts_enable(const struct vtd_unit *u)
{
	int r = command(u, CMD_COMPATIBLE, false);

	return r < 0 ? r : command(u, CMD_INTERRUPT, true);
}

static int unit_enable(struct iommu_unit *unit)
{
	struct vtd_unit *u = vtd_of(unit);
	int r = buffers_flush(u);

	reg_write64(u, VTD_RTADDR, ptr_to_phys(u->root));
	r = r < 0 ? r : command(u, CMD_ROOT, true);
	if (u->unit.remaps)
		reg_write64(u, VTD_IRTA,
			    ptr_to_phys(u->interrupts) | (apic_is_x2() ? TABLE_X2 : 0) |
				    TABLE_SIZE);
	r = r < 0 || !u->unit.remaps ? r : command(u, CMD_INTERRUPT_TABLE, true);
	r = r < 0 ? r : caches_flush(u);
	r = r < 0 || !u->unit.remaps ? r : interrupts_enable(u);
	r = r < 0 ? r : command(u, CMD_TRANSLATE, true);
	if (r == 0 &&
	    u->cap &
		    CAP_PROTECTED) /* the firmware's regions are closed to devices whatever tables say */
		reg_write(u, VTD_PMEN, reg_read(u, VTD_PMEN) & ~PROTECTED_ON);
	return r;
}

static int unit_flush(struct iommu_unit *unit, const struct dma_domain *domain)
{
	(void)domain; /* all of them: the queue's other forms save nothing where maps change at start only */
	return caches_flush(vtd_of(unit));
}

static int unit_domain_new(struct iommu_unit *unit, struct dma_domain *domain)
{
	struct vtd_unit *u = vtd_of(unit);
	unsigned most =
		1U << (4 + 2 * (unsigned)(u->cap & 7)); /* CAP.ND; number 0 may be the unit's own */

	if (u->n_domains + 1U >= most || u->n_domains == UINT16_MAX)
		return -ENOSPC;
	int r = dma_domain_init(domain, &dma_memory, &vtd_format, u->levels,
				(uint16_t)(u->n_domains + 1));
	if (r == 0)
		u->n_domains++;
	return r;
}

static int unit_set(struct iommu_unit *unit, uint16_t id, const struct dma_domain *domain)
{
	return vtd_context_set(vtd_of(unit)->root, &dma_memory, id, domain);
}

static uint16_t unit_get(const struct iommu_unit *unit, uint16_t id)
{
	const struct vtd_unit *u = (const void *)unit; /* its first member */

	return vtd_context_get(u->root, &dma_memory, id);
}

/* Fault Recording Registers: CAP.FRO, in units of 16 bytes, and CAP.NFR. */
static unsigned record_at(const struct vtd_unit *u, unsigned index)
{
	return (unsigned)(u->cap >> 24 & 0x3ff) * FAULT_BYTES + index * FAULT_BYTES;
}

/* Reasons 20h to 2fh: Interrupt Remapping Fault Conditions. */
static enum iommu_access access_of(uint64_t high)
{
	if ((high >> 32 & 0xf0) == 0x20)
		return IOMMU_INTERRUPT;
	return high >> 62 & 1 ? IOMMU_READ : IOMMU_WRITE;
}

static bool unit_fault_take(struct iommu_unit *unit, struct iommu_fault *ret)
{
	const struct vtd_unit *u = vtd_of(unit);
	unsigned n = (unsigned)(u->cap >> 40 & 0xff) + 1;

	for (unsigned i = 0; i < n; i++) {
		unsigned at = record_at(u, i);
		uint64_t high = reg_read64(u, at + 8);
		if (!(high >> 63))
			continue;
		*ret = (struct iommu_fault){ .phys = reg_read64(u, at) & ~UINT64_C(0xfff),
					     .id = (uint16_t)high,
					     .reason = (uint8_t)(high >> 32),
					     .access = access_of(high) };
		reg_write(u, at + 12, UINT32_C(0x80000000)); /* F: written to be cleared */
		return true;
	}
	reg_write(u, VTD_FSTS, FAULT_OVERFLOW);
	return false;
}

static void unit_fault_hush(struct iommu_unit *unit, bool is_held)
{
	hush(vtd_of(unit), is_held);
}

static int unit_interrupt(struct iommu_unit *unit, const uint16_t *ids, unsigned n, uint8_t vector,
			  uint32_t apic, struct hpci_message *ret)
{
	struct vtd_unit *u = vtd_of(unit);

	if (u->n_interrupts == VTD_INTERRUPTS)
		return -ENOSPC;
	ret->address = vtd_interrupt_set(u->interrupts, &dma_memory, u->n_interrupts++, ids, n,
					 vector, apic, apic_is_x2());
	ret->data = 0;
	return caches_flush(u);
}

static const struct iommu_unit_ops vtd_ops = {
	.enable = unit_enable,
	.flush = unit_flush,
	.domain_new = unit_domain_new,
	.set = unit_set,
	.get = unit_get,
	.fault_take = unit_fault_take,
	.fault_hush = unit_fault_hush,
	.interrupt = unit_interrupt,
};

int vtd_start(struct vtd_unit *u, uint64_t base, uint8_t vector, bool may_remap)
{
	*u = (struct vtd_unit){ .unit.ops = &vtd_ops };
	int r = unit_find(u, base);

	if (r < 0)
		return r;
	hush(u, true);
	r = firmware_leave(u);
	u->root = dma_memory.pages.alloc(NULL);
	u->unit.remaps = may_remap && u->ecap >> ECAP_INTERRUPTS & 1 &&
			 (!apic_is_x2() || u->ecap >> ECAP_X2 & 1);
	u->interrupts = u->unit.remaps ? dma_memory.pages.alloc(NULL) : NULL;
	if (r == 0 && (!u->root || (u->unit.remaps && !u->interrupts)))
		r = -ENOMEM;
	r = r < 0 ? r : queue_start(u);
	if (r < 0)
		return r;
	faults_start(u, vector);
	if (vector)
		hush(u, false);
	return 0;
}
