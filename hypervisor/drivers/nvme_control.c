/* SPDX-License-Identifier: Apache-2.0 */
/* How a controller is brought up, and taken back; its queues. */
#include <errno.h>
#include <string.h>

#include "base/core/bytes.h"
#include "core/clock.h"
#include "core/page.h"
#include "core/print.h"
#include "drivers/iommu.h"
#include "drivers/nvme.h"

#define READY_UNIT_NS UINT64_C(500000000) /* of CAP.TO */
#define ADMIN_NS      HOST_DISK_ANSWER_NS

enum { CC_EN = 1, CC_SHN = 3 << 14, CC_ENTRIES = 4 << 20 | 6 << 16 /* of 16 and 64 bytes */ };
enum { CSTS_RDY = 1, CSTS_CFS = 2 };
enum { ADMIN_CREATE_SQ = 0x01, ADMIN_CREATE_CQ = 0x05, ADMIN_IDENTIFY = 0x06 };
enum { IDENTIFY_NAMESPACE = 0, IDENTIFY_CONTROLLER = 1, IDENTIFY_ACTIVE = 2 };

/* In this order. */
enum { ASK_CQ, ASK_SQ, ASK_CONTROLLER, ASK_ACTIVE, ASK_NAMESPACE, ASK_N };

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

/* ---- queues ---- */

static bool queue_init(const struct nvme *n, struct nvme_queue *q, unsigned index, unsigned stride)
{
	volatile uint8_t *doorbells = n->regs + NVME_DOORBELLS;

	q->commands = page_alloc(0);
	q->completions = page_alloc(0);
	q->tail_doorbell = (volatile uint32_t *)(doorbells + (size_t)(2 * index) * stride);
	q->head_doorbell = (volatile uint32_t *)(doorbells + (size_t)(2 * index + 1) * stride);
	return q->commands && q->completions &&
	       iommu_allow(n->dma, q->commands, PAGE_BYTES, true) == 0 &&
	       iommu_allow(n->dma, (const void *)(uintptr_t)q->completions, PAGE_BYTES, false) == 0;
}

/* As a controller that was reset takes it. */
static void queue_clear(struct nvme_queue *q)
{
	memset((void *)(uintptr_t)q->completions, 0, PAGE_BYTES);
	q->tail = q->head = 0;
	q->phase = 1;
}

void nvme_queue_put(struct nvme_queue *q, const struct nvme_command *command)
{
	q->commands[q->tail] = *command;
	q->tail = (uint16_t)((q->tail + 1) % NVME_QUEUE_ENTRIES);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	*q->tail_doorbell = q->tail;
}

bool nvme_queue_get(struct nvme_queue *q, uint16_t *ret_id, uint16_t *ret_status)
{
	volatile struct nvme_completion *c = &q->completions[q->head];
	uint16_t status = c->status;

	if ((status & 1) != q->phase)
		return false;
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	*ret_id = c->id;
	*ret_status = status >> 1 & 0x7ff;
	q->head = (uint16_t)((q->head + 1) % NVME_QUEUE_ENTRIES);
	q->phase ^= !q->head;
	*q->head_doorbell = q->head;
	return true;
}

/* ---- states ---- */

static void state_set(struct nvme *n, enum nvme_state state, uint64_t ns)
{
	n->state = state;
	n->until_ns = clock_ns() + ns;
}

static bool is_too_late(const struct nvme *n)
{
	return clock_ns() > n->until_ns;
}

static uint64_t ready_ns(const struct nvme *n)
{
	return ((uint64_t)(reg_read(n, NVME_CAP) >> 24) + 1) * READY_UNIT_NS;
}

/* Whether it still writes to what it had is not known: those buffers are not used before it answers. */
static void dead(struct nvme *n, const char *why)
{
	if (!n->is_dead && n->disk.name[0])
		print("disk %s: it was reset, and %s: its requests fail\n", n->disk.name, why);
	n->is_dead = true;
	host_disk_lost_all(&n->disk, n->under_way);
	n->under_way = 0;
	state_set(n, NVME_DEAD, HOST_DISK_ANSWER_NS);
}

/* It runs: what was given up, or is nobody's any more, is over, the others begin again. */
static void recovered(struct nvme *n)
{
	if (n->disk.name[0])
		print("disk %s: it was reset, and it answers again\n", n->disk.name);
	n->state = NVME_RUNS;
	n->is_dead = false;
	n->under_way = host_disk_recovered(&n->disk, n->under_way & ~n->victim);
	for (unsigned i = 0; i < HOST_DISK_SLOTS; i++) {
		if (n->under_way >> i & 1)
			nvme_queue_put(&n->io, &n->commands[i]);
	}
}

/* ---- what it is asked ---- */

static void ask(struct nvme *n)
{
	const uint32_t entries = (NVME_QUEUE_ENTRIES - 1) << 16 | 1; /* of queue 1 */
	const uint64_t page = ptr_to_phys(n->page);
	const struct nvme_command questions[ASK_N] = {
		[ASK_CQ] = { .head = ADMIN_CREATE_CQ,
			     .prp1 = ptr_to_phys((const void *)(uintptr_t)n->io.completions),
			     .dword = { entries, 3 } }, /* contiguous, interrupts on, vector 0 */
		[ASK_SQ] = { .head = ADMIN_CREATE_SQ,
			     .prp1 = ptr_to_phys(n->io.commands),
			     .dword = { entries, 1 << 16 | 1 } }, /* completions to queue 1 */
		[ASK_CONTROLLER] = { .head = ADMIN_IDENTIFY,
				     .prp1 = page,
				     .dword = { IDENTIFY_CONTROLLER } },
		[ASK_ACTIVE] = { .head = ADMIN_IDENTIFY,
				 .prp1 = page,
				 .dword = { IDENTIFY_ACTIVE } },
		[ASK_NAMESPACE] = { .head = ADMIN_IDENTIFY,
				    .nsid = n->found.nsid,
				    .prp1 = page,
				    .dword = { IDENTIFY_NAMESPACE } },
	};

	nvme_queue_put(&n->admin, &questions[n->question]);
	state_set(n, NVME_ASKED, ADMIN_NS);
}

/* Identify Controller: SN: 20 bytes, padded; MDTS: a power of two of pages, or 0: no limit. */
static bool controller_take(struct nvme *n)
{
	char *serial = n->found.serial;
	uint8_t longest = n->page[77];
	size_t len = sizeof(n->found.serial) - 1;

	memcpy(serial, n->page + 4, len);
	while (len && serial[len - 1] == ' ')
		len--;
	serial[len] = 0;
	n->found.nsid = 1;
	return !longest || longest >= HOST_DISK_BUFFER_ORDER;
}

/*
 * Identify Namespace: NSZE, FLBAS, LBAF. One whose sectors have metadata would have that come behind the data, where the buffer ends: we
 * do not drive it.
 */
static bool namespace_take(struct nvme *n)
{
	const uint8_t *format = n->page + 128 + (size_t)(n->page[26] & 0xf) * 4;
	uint64_t sectors = le64_load(n->page);
	uint8_t shift = format[2];

	if (le16_load(format) || shift < 9 || shift > 12 || !sectors ||
	    sectors > UINT64_MAX >> shift)
		return false;
	n->found.sector_bytes = 1U << shift;
	n->found.size_bytes = sectors << shift;
	return true;
}

/* Return: false: we cannot use it. */
static bool answer_take(struct nvme *n, bool is_good)
{
	switch (n->question) {
	case ASK_CONTROLLER:
		return is_good && controller_take(n);
	case ASK_ACTIVE: /* not every one knows the question */
		if (is_good && le32_load(n->page))
			n->found.nsid = le32_load(n->page);
		return true;
	case ASK_NAMESPACE:
		return is_good && namespace_take(n);
	default:
		return is_good;
	}
}

static bool is_same(const struct nvme *n)
{
	const struct nvme_identity *was = &n->identity, *now = &n->found;

	return was->nsid == now->nsid && was->sector_bytes == now->sector_bytes &&
	       was->size_bytes == now->size_bytes && strcmp(was->serial, now->serial) == 0;
}

/* ---- steps ---- */

static void controller_enable(struct nvme *n)
{
	queue_clear(&n->admin);
	queue_clear(&n->io);
	reg_write(n, NVME_AQA, (NVME_QUEUE_ENTRIES - 1) << 16 | (NVME_QUEUE_ENTRIES - 1));
	reg_write64(n, NVME_ASQ, ptr_to_phys(n->admin.commands));
	reg_write64(n, NVME_ACQ, ptr_to_phys((const void *)(uintptr_t)n->admin.completions));
	reg_write(n, NVME_CC, CC_ENTRIES | CC_EN);
	state_set(n, NVME_STARTS, ready_ns(n));
}

static void step_stops(struct nvme *n, uint32_t status)
{
	if (!(status & CSTS_RDY))
		controller_enable(n);
	else if (is_too_late(n))
		dead(n, "it does not stop");
}

static void step_starts(struct nvme *n, uint32_t status)
{
	if (status & CSTS_RDY) {
		n->question = 0;
		ask(n);
	} else if (status & CSTS_CFS || is_too_late(n)) {
		dead(n, "it does not start");
	}
}

static void step_asked(struct nvme *n)
{
	uint16_t id, status;

	if (!nvme_queue_get(&n->admin, &id, &status)) {
		if (is_too_late(n))
			dead(n, "it does not say what it is");
		return;
	}
	if (!answer_take(n, !status)) {
		dead(n, "it is none that can be used");
		return;
	}
	if (++n->question < ASK_N) {
		ask(n);
		return;
	}
	if (n->disk.name[0] && !is_same(n)) {
		dead(n, "another disk is there");
		return;
	}
	n->identity = n->found;
	recovered(n);
}

void nvme_recover(struct nvme *n)
{
	uint32_t status = reg_read(n, NVME_CSTS);

	if (n->state == NVME_DEAD) {
		if (is_too_late(n))
			nvme_take_back(n, 0);
		return;
	}
	if (status == UINT32_MAX) {
		dead(n, "it is not there any more");
		return;
	}
	if (n->state == NVME_STOPS)
		step_stops(n, status);
	else if (n->state == NVME_STARTS)
		step_starts(n, status);
	else if (n->state == NVME_ASKED)
		step_asked(n);
}

void nvme_take_back(struct nvme *n, uint32_t slots)
{
	n->victim = slots;
	n->disk.is_resetting = true;
	reg_write(n, NVME_CC, reg_read(n, NVME_CC) & ~(uint32_t)(CC_EN | CC_SHN));
	state_set(n, NVME_STOPS, ready_ns(n));
}

int nvme_bring_up(struct nvme *n)
{
	uint32_t cap = reg_read(n, NVME_CAP), high = reg_read(n, NVME_CAP_HIGH);
	unsigned stride = 4U << (high & 0xf);

	/* MPSMIN: pages of 4 KiB; MQES: entries but one */
	if (stride * 4 > NVME_BAR_BYTES - NVME_DOORBELLS || high >> 16 & 0xf ||
	    (cap & 0xffff) < NVME_QUEUE_ENTRIES - 1)
		return -ENODEV;
	n->page = page_alloc(0);
	if (!n->page || iommu_allow(n->dma, n->page, PAGE_BYTES, false) < 0 ||
	    !queue_init(n, &n->admin, 0, stride) || !queue_init(n, &n->io, 1, stride))
		return -ENOMEM;
	nvme_take_back(n, 0);
	while (n->state != NVME_RUNS && n->state != NVME_DEAD) {
		nvme_recover(n);
		__builtin_ia32_pause();
	}
	return n->state == NVME_RUNS ? 0 : -EIO;
}
