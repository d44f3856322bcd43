/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NVMe: one admin queue, one queue for I/O, namespace 1 (or the first active one).
 * Source: NVM Express Base Specification 1.4: Controller Registers; Admin Command Set; NVM Command Set.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/core/bytes.h"
#include "base/core/macros.h"
#include "core/clock.h"
#include "core/page.h"
#include "core/trap.h"
#include "drivers/disks.h"
#include "drivers/hpci.h"
#include "drivers/iommu.h"

#define NVME_CLASS	 UINT32_C(0x010802)
#define QUEUE_ENTRIES	 32U		       /* more than slots: never full */
#define ADMIN_TIMEOUT_NS UINT64_C(30000000000) /* as HOST_DISK_ANSWER_NS */
#define BAR_BYTES	 0x4000U
#define STATE_ORDER	 2U

enum nvme_reg {
	NVME_CAP = 0x0,
	NVME_CC = 0x14,
	NVME_CSTS = 0x1c,
	NVME_AQA = 0x24,
	NVME_ASQ = 0x28,
	NVME_ACQ = 0x30,
	NVME_DOORBELLS = 0x1000
};
enum { NVME_ADMIN_CREATE_SQ = 0x01, NVME_ADMIN_CREATE_CQ = 0x05, NVME_ADMIN_IDENTIFY = 0x06 };
enum { NVME_IO_FLUSH = 0x00, NVME_IO_WRITE = 0x01, NVME_IO_READ = 0x02 };
enum { IDENTIFY_NAMESPACE = 0, IDENTIFY_CONTROLLER = 1, IDENTIFY_ACTIVE = 2 };

struct nvme_command {
	uint32_t head; /* opcode, flags, command id << 16 */
	uint32_t nsid, reserved[2];
	uint64_t metadata, prp1, prp2;
	uint32_t dword[6]; /* 10 .. 15 */
};

struct nvme_completion {
	uint32_t result, reserved;
	uint16_t sq_head, sq_id, id, status; /* status: bit 0 is the phase */
};

_Static_assert(sizeof(struct nvme_command) == 64 && sizeof(struct nvme_completion) == 16,
	       "NVMe 1.4");

struct nvme_queue {
	struct nvme_command *commands; /* a page each */
	volatile struct nvme_completion *completions;
	volatile uint32_t *tail_doorbell, *head_doorbell;
	uint16_t tail, head, phase;
};

struct nvme {
	struct host_disk disk;
	struct iommu_domain *dma;
	volatile uint8_t *regs;
	struct nvme_queue admin, io;
	uint32_t nsid;
	uint64_t *prps[HOST_DISK_SLOTS]; /* a list each: pages 2.. of the slot's buffer */
	uint8_t *page;			 /* for identify */
};

_Static_assert(sizeof(struct nvme) <= PAGE_BYTES << STATE_ORDER, "fits");

static uint32_t reg_read(const struct nvme *n, enum nvme_reg reg)
{
	return *(volatile uint32_t *)(n->regs + reg);
}

static void reg_write(const struct nvme *n, enum nvme_reg reg, uint32_t value)
{
	*(volatile uint32_t *)(n->regs + reg) = value;
}

/* In two halves: not every controller takes 64 bits at once. */
static void reg_write64(const struct nvme *n, enum nvme_reg reg, uint64_t value)
{
	*(volatile uint32_t *)(n->regs + reg) = (uint32_t)value;
	*(volatile uint32_t *)(n->regs + reg + 4) = (uint32_t)(value >> 32);
}

static bool queue_init(const struct nvme *n, struct nvme_queue *q, unsigned index, unsigned stride)
{
	q->commands = page_alloc(0);
	q->completions = page_alloc(0);
	q->tail_doorbell =
		(volatile uint32_t *)(n->regs + NVME_DOORBELLS + (size_t)(2 * index) * stride);
	q->head_doorbell =
		(volatile uint32_t *)(n->regs + NVME_DOORBELLS + (size_t)(2 * index + 1) * stride);
	q->tail = q->head = 0;
	q->phase = 1;
	return q->commands && q->completions &&
	       iommu_allow(n->dma, q->commands, PAGE_BYTES, true) == 0 &&
	       iommu_allow(n->dma, (const void *)(uintptr_t)q->completions, PAGE_BYTES, false) == 0;
}

static void queue_put(struct nvme_queue *q, const struct nvme_command *command)
{
	q->commands[q->tail] = *command;
	q->tail = (uint16_t)((q->tail + 1) % QUEUE_ENTRIES);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	*q->tail_doorbell = q->tail;
}

/* Return: false: nothing is over. *ret_status: 0 is success. */
static bool queue_get(struct nvme_queue *q, uint16_t *ret_id, uint16_t *ret_status)
{
	volatile struct nvme_completion *c = &q->completions[q->head];
	uint16_t status = c->status;

	if ((status & 1) != q->phase)
		return false;
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	*ret_id = c->id;
	*ret_status = status >> 1 & 0x7ff;
	q->head = (uint16_t)((q->head + 1) % QUEUE_ENTRIES);
	q->phase ^= !q->head;
	*q->head_doorbell = q->head;
	return true;
}

static int admin(struct nvme *n, const struct nvme_command *command)
{
	uint64_t end = clock_ns() + ADMIN_TIMEOUT_NS;
	uint16_t id, status;

	queue_put(&n->admin, command);
	while (!queue_get(&n->admin, &id, &status)) {
		if (clock_ns() > end)
			return -ETIMEDOUT;
		__builtin_ia32_pause();
	}
	return status ? -EIO : 0;
}

static int identify(struct nvme *n, uint32_t what, uint32_t nsid)
{
	const struct nvme_command command = {
		.head = NVME_ADMIN_IDENTIFY,
		.nsid = nsid,
		.prp1 = ptr_to_phys(n->page),
		.dword = { what },
	};

	return admin(n, &command);
}

static int queues_create(struct nvme *n)
{
	const struct nvme_command cq = {
		.head = NVME_ADMIN_CREATE_CQ,
		.prp1 = ptr_to_phys((const void *)(uintptr_t)n->io.completions),
		.dword = { (QUEUE_ENTRIES - 1) << 16 | 1,
			   3 }, /* contiguous, interrupts on, vector 0 */
	};
	const struct nvme_command sq = {
		.head = NVME_ADMIN_CREATE_SQ,
		.prp1 = ptr_to_phys(n->io.commands),
		.dword = { (QUEUE_ENTRIES - 1) << 16 | 1,
			   1 << 16 | 1 }, /* completions to queue 1 */
	};
	int r = admin(n, &cq);

	return r < 0 ? r : admin(n, &sq);
}

static int wait_ready(const struct nvme *n, uint32_t ready)
{
	/* CAP.TO: in units of 500 ms */
	uint64_t end = clock_ns() + ((uint64_t)(reg_read(n, NVME_CAP) >> 24) + 1) * 500000000;

	while ((reg_read(n, NVME_CSTS) & 1) != ready) {
		if (clock_ns() > end || reg_read(n, NVME_CSTS) == UINT32_MAX)
			return -ETIMEDOUT;
		__builtin_ia32_pause();
	}
	return 0;
}

static int controller_start(struct nvme *n)
{
	uint32_t cap_high = *(volatile uint32_t *)(n->regs + NVME_CAP + 4);
	unsigned stride = 4U << (cap_high & 0xf);

	if (stride * 4 > BAR_BYTES - NVME_DOORBELLS ||
	    cap_high >> 16 & 0xf) /* MPSMIN: pages of 4 KiB */
		return -ENODEV;
	reg_write(n, NVME_CC, 0);
	int r = wait_ready(n, 0);
	if (r < 0)
		return r;
	n->page = page_alloc(0);
	if (!n->page || iommu_allow(n->dma, n->page, PAGE_BYTES, false) < 0 ||
	    !queue_init(n, &n->admin, 0, stride) || !queue_init(n, &n->io, 1, stride))
		return -ENOMEM;
	reg_write(n, NVME_AQA, (QUEUE_ENTRIES - 1) << 16 | (QUEUE_ENTRIES - 1));
	reg_write64(n, NVME_ASQ, ptr_to_phys(n->admin.commands));
	reg_write64(n, NVME_ACQ, ptr_to_phys((const void *)(uintptr_t)n->admin.completions));
	reg_write(n, NVME_CC, 4U << 20 | 6U << 16 | 1); /* entries of 16 and 64 bytes, enable */
	r = wait_ready(n, 1);
	return r < 0 ? r : queues_create(n);
}

static void serial_set(struct nvme *n)
{
	size_t len = sizeof(n->disk.disk.id) - 1;

	memcpy(n->disk.disk.id, n->page + 4, len); /* Identify Controller, SN: 20 bytes, padded */
	while (len && n->disk.disk.id[len - 1] == ' ')
		len--;
	n->disk.disk.id[len] = 0;
}

static int namespace_find(struct nvme *n)
{
	int r = identify(n, IDENTIFY_CONTROLLER, 0);

	if (r < 0)
		return r;
	serial_set(n);
	n->nsid = 1;
	if (identify(n, IDENTIFY_ACTIVE, 0) == 0 && le32_load(n->page))
		n->nsid = le32_load(n->page);
	r = identify(n, IDENTIFY_NAMESPACE, n->nsid);
	if (r < 0)
		return r;
	uint8_t shift = n->page[128 + (size_t)(n->page[26] & 0xf) * 4 + 2]; /* LBAF[FLBAS].LBADS */
	uint64_t sectors = le64_load(n->page);
	if (shift < 9 || shift > 12 || !sectors || sectors > UINT64_MAX >> shift)
		return -ENODEV;
	n->disk.sector_bytes = 1U << shift;
	n->disk.disk.size_bytes = sectors << shift;
	return 0;
}

static int nvme_start(struct host_disk *base, unsigned slot, enum disk_op op, uint64_t offset_bytes,
		      uint32_t len_bytes)
{
	struct nvme *n = container_of(base, struct nvme, disk);
	uint64_t lba = offset_bytes / base->sector_bytes,
		 buffer = ptr_to_phys(base->slots[slot].buffer);
	struct nvme_command command = { .nsid = n->nsid };
	uint32_t opcode = op == DISK_READ    ? NVME_IO_READ
			  : op == DISK_WRITE ? NVME_IO_WRITE
					     : NVME_IO_FLUSH;

	command.head = opcode | slot << 16;
	if (op != DISK_FLUSH) {
		command.prp1 = buffer;
		if (len_bytes > 2 * PAGE_BYTES)
			command.prp2 = ptr_to_phys(n->prps[slot]);
		else if (len_bytes > PAGE_BYTES)
			command.prp2 = buffer + PAGE_BYTES;
		command.dword[0] = (uint32_t)lba;
		command.dword[1] = (uint32_t)(lba >> 32);
		command.dword[2] = len_bytes / base->sector_bytes - 1;
	}
	queue_put(&n->io, &command);
	return 0;
}

static void nvme_poll(struct host_disk *base)
{
	struct nvme *n = container_of(base, struct nvme, disk);
	uint16_t id, status;

	for (unsigned i = 0; i < QUEUE_ENTRIES && queue_get(&n->io, &id, &status); i++) {
		if (id < HOST_DISK_SLOTS)
			host_disk_finished(base, id, status ? -EIO : 0);
	}
}

static const struct host_disk_driver nvme_driver = {
	.name = "nvme",
	.start = nvme_start,
	.poll = nvme_poll,
};

/* One list a slot, in one page: the addresses of its buffer's pages but the first never change. */
static int prps_init(struct nvme *n)
{
	const unsigned pages = HOST_DISK_BUFFER_BYTES / PAGE_BYTES;
	uint64_t *lists = page_alloc(0);

	if (!lists)
		return -ENOMEM;
	for (unsigned i = 0; i < HOST_DISK_SLOTS; i++) {
		n->prps[i] = lists + (size_t)i * pages;
		for (unsigned k = 1; k < pages; k++)
			n->prps[i][k - 1] = ptr_to_phys(n->disk.slots[i].buffer) + k * PAGE_BYTES;
	}
	return iommu_allow(n->dma, lists, PAGE_BYTES, true);
}

_Static_assert(HOST_DISK_SLOTS *(HOST_DISK_BUFFER_BYTES / PAGE_BYTES) * 8 <= PAGE_BYTES,
	       "one page");

static int nvme_init(struct nvme *n, unsigned number)
{
	int r = controller_start(n);

	r = r < 0 ? r : namespace_find(n);
	if (r < 0)
		return r;
	n->disk.driver = &nvme_driver;
	r = host_disk_init(&n->disk, "nvme", number);
	r = r < 0 ? r : disks_allow(&n->disk, n->dma);
	r = r < 0 ? r : prps_init(n);
	return r == 0 && !disks_add(&n->disk) ? -ENOSPC : r;
}

int nvme_probe(const struct hpci *pci, const struct hpci_device *device, unsigned *number)
{
	if (device->class_code != NVME_CLASS)
		return -ENODEV;
	struct nvme *n = page_alloc(STATE_ORDER);
	if (!n)
		return -ENOMEM;
	int r = iommu_attach(device, "nvme", &n->dma);
	if (r < 0) {
		page_free(n, STATE_ORDER);
		return r == -ENODEV ? -EIO : r;
	}
	hpci_enable(pci, device);
	n->regs = hpci_bar(pci, device, 0, BAR_BYTES);
	/* Before its queues are made: QEMU's has interrupts for those only that are made while MSI-X is on. */
	int vector = trap_vector_take(disks_interrupt, &n->disk);
	if (vector >= 0 && !iommu_msi(pci, device, (uint8_t)vector)) {
		trap_vector_give(vector);
		vector = -ENODEV;
	}
	r = n->regs ? nvme_init(n, *number) : -EIO;
	if (r < 0) { /* what the controller was told of stays its own: it may still write there */
		if (vector >= 0)
			trap_vector_give(vector);
		return r == -ENODEV ? -EIO : r;
	}
	(*number)++;
	return 0;
}
