/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/amdvi.h"

#include <errno.h>
#include <stddef.h>

#include "base/core/macros.h"
#include "core/apic.h"
#include "core/clock.h"
#include "core/map.h"
#include "core/page.h"
#include "drivers/dma_memory.h"
#include "drivers/ivrs.h"

#define ANSWER_NS UINT64_C(20000000000) /* it answers at once, if its emulator is let */
#define EVENT_NS                                                                                   \
	UINT64_C(100000) /* between a tail that moved and its event: the unit writes it at once */
#define REG_BYTES     0x4000U
#define COMMANDS      256U
#define COMMAND_BYTES 16U
#define PENDING_MOST  200U /* commands without a wait: less than there is room for */
#define EVENT_BYTES   16U
#define EVENT_WORDS   2U
#define RING_MASK     (PAGE_BYTES - EVENT_BYTES)
#define RING_256      (UINT64_C(8) << 56) /* ComLen, EventLen: 2^8 */
#define TABLE_SIZE    UINT64_C(0x1ff)	  /* Size: 512 pages, less one */
#define TABLE_ORDER   PAGE_ORDER_2M

_Static_assert(AMDVI_ENTRIES * sizeof(struct amdvi_entry) == (uint64_t)PAGE_BYTES << TABLE_ORDER,
	       "the table is such a block");

enum amdvi_reg {
	AMDVI_TABLE = 0x00,
	AMDVI_COMMANDS = 0x08,
	AMDVI_EVENTS = 0x10,
	AMDVI_CONTROL = 0x18,
	AMDVI_EXCLUSION = 0x20,
	AMDVI_FEATURES = 0x30,
	AMDVI_COMMAND_HEAD = 0x2000,
	AMDVI_COMMAND_TAIL = 0x2008,
	AMDVI_EVENT_HEAD = 0x2010,
	AMDVI_EVENT_TAIL = 0x2018,
	AMDVI_STATUS = 0x2020,
};

#define CONTROL_ON	  UINT64_C(0x0001)
#define CONTROL_TUNNEL	  UINT64_C(0x0002)
#define CONTROL_EVENTS	  UINT64_C(0x0004)
#define CONTROL_INTERRUPT UINT64_C(0x0008) /* of events */
#define CONTROL_PASS	  UINT64_C(0x0100)
#define CONTROL_PASS_BACK UINT64_C(0x0200)
#define CONTROL_COHERENT  UINT64_C(0x0400)
#define CONTROL_ISOC	  UINT64_C(0x0800)
#define CONTROL_COMMANDS  UINT64_C(0x1000)

#define STATUS_OVERFLOW UINT64_C(0x01)
#define STATUS_EVENT	UINT64_C(0x02)
#define STATUS_EVENTS	UINT64_C(0x08) /* its log runs */
#define STATUS_COMMANDS UINT64_C(0x10) /* it takes commands */

#define FEATURE_ALL (UINT64_C(1) << 6) /* IASup: one command for all of its caches */

#define OPCODE_AT	   60U
#define COMMAND_WAIT	   (UINT64_C(1) << OPCODE_AT)
#define COMMAND_DEVICE	   (UINT64_C(2) << OPCODE_AT)
#define COMMAND_PAGES	   (UINT64_C(3) << OPCODE_AT)
#define COMMAND_INTERRUPTS (UINT64_C(5) << OPCODE_AT)
#define COMMAND_ALL	   (UINT64_C(8) << OPCODE_AT)
#define WAIT_STORE	   UINT64_C(1)
#define INTERRUPT_ADDRESS  UINT64_C(0xfee00000)
#define DOMAIN_AT	   32U
#define PAGES_ALL                                                                                  \
	UINT64_C(0x7ffffffffffff003) /* S, PDE: the whole domain, tables above leaves too */

/* Events: EventCode, and flags of IO_PAGE_FAULT */
#define CODE_AT		60U
#define CODE_PAGE	2U
#define CODE_ILLEGAL	5U /* ILLEGAL_COMMAND_ERROR */
#define CODE_COMMAND	6U /* COMMAND_HARDWARE_ERROR */
#define CODE_COUNTER	10U
#define FAULT_INTERRUPT (UINT64_C(1) << 51)
#define FAULT_PRESENT	(UINT64_C(1) << 52)
#define FAULT_WRITE	(UINT64_C(1) << 53)

static struct amdvi_unit *amdvi_of(struct iommu_unit *unit)
{
	return container_of(unit, struct amdvi_unit, unit);
}

static uint64_t reg_read(const struct amdvi_unit *u, unsigned reg)
{
	return *(volatile uint64_t *)(u->regs + reg);
}

static void reg_write(const struct amdvi_unit *u, unsigned reg, uint64_t value)
{
	*(volatile uint64_t *)(u->regs + reg) = value;
}

static void control_set(struct amdvi_unit *u, uint64_t bits, bool is_set)
{
	u->control = is_set ? u->control | bits : u->control & ~bits;
	reg_write(u, AMDVI_CONTROL, u->control);
}

/* Waits until it has stopped what these bits of its status say. */
static int stopped_wait(const struct amdvi_unit *u, uint64_t bits)
{
	uint64_t end = clock_ns() + ANSWER_NS;

	while (reg_read(u, AMDVI_STATUS) & bits) {
		if (clock_ns() > end)
			return -ETIMEDOUT;
		__builtin_ia32_pause();
	}
	return 0;
}

static void command_put(struct amdvi_unit *u, uint64_t low, uint64_t high)
{
	struct amdvi_command *at = &u->commands[u->tail];

	*at = (struct amdvi_command){ { low, high } };
	dma_write_out(at, sizeof(*at));
	u->tail = (u->tail + 1) % COMMANDS;
	u->n_pending++;
}

/* The unit has done all that it was told. */
static int commands_wait(struct amdvi_unit *u)
{
	uint64_t end = clock_ns() + ANSWER_NS;

	u->n_waits++;
	command_put(u, COMMAND_WAIT | ptr_to_phys(u->answer) | WAIT_STORE, u->n_waits);
	u->n_pending = 0;
	reg_write(u, AMDVI_COMMAND_TAIL, u->tail * COMMAND_BYTES);
	while (__atomic_load_n(u->answer, __ATOMIC_ACQUIRE) != u->n_waits) {
		if (clock_ns() > end)
			return -ETIMEDOUT;
		__builtin_ia32_pause();
	}
	return 0;
}

static int command(struct amdvi_unit *u, uint64_t low, uint64_t high)
{
	int r = u->n_pending < PENDING_MOST ? 0 : commands_wait(u);

	if (r == 0)
		command_put(u, low, high);
	return r;
}

/* What the firmware left in the unit's caches. Old units are told one by one. */
static int caches_empty(struct amdvi_unit *u)
{
	int r = 0;

	if (u->features & FEATURE_ALL) {
		r = command(u, COMMAND_ALL, 0);
		return r < 0 ? r : commands_wait(u);
	}
	for (uint64_t id = 0; r == 0 && id < AMDVI_ENTRIES; id++)
		r = command(u, COMMAND_DEVICE | id, 0);
	for (uint64_t id = 0; r == 0 && id <= AMDVI_ID_LAST; id++)
		r = command(u, COMMAND_PAGES | id << DOMAIN_AT, PAGES_ALL);
	return r < 0 ? r : commands_wait(u);
}

static int unit_enable(struct iommu_unit *unit)
{
	struct amdvi_unit *u = amdvi_of(unit);

	control_set(u, CONTROL_COMMANDS | CONTROL_EVENTS | (u->vector ? CONTROL_INTERRUPT : 0),
		    true);
	control_set(u, CONTROL_ON, true);
	u->is_on = true;
	return caches_empty(u);
}

static int unit_flush(struct iommu_unit *unit, const struct dma_domain *domain)
{
	struct amdvi_unit *u = amdvi_of(unit);

	if (!u->is_on)
		return 0;
	int r = command(u, COMMAND_PAGES | (uint64_t)domain->id << DOMAIN_AT, PAGES_ALL);
	return r < 0 ? r : commands_wait(u);
}

static int unit_domain_new(struct iommu_unit *unit, struct dma_domain *domain)
{
	struct amdvi_shared *shared = amdvi_of(unit)->shared;

	if (shared->n_domains > AMDVI_ID_LAST - AMDVI_ID_FIRST)
		return -ENOSPC;
	int r = dma_domain_init(domain, &dma_memory, &amdvi_format, AMDVI_LEVELS,
				(uint16_t)(AMDVI_ID_FIRST + shared->n_domains));
	if (r == 0)
		shared->n_domains++;
	return r;
}

static int unit_set(struct iommu_unit *unit, uint16_t id, const struct dma_domain *domain)
{
	struct amdvi_unit *u = amdvi_of(unit);
	int r = amdvi_entry_set(u->shared->table, &dma_memory, id, domain);

	return r < 0 || !u->is_on ? r : command(u, COMMAND_DEVICE | id, 0);
}

static uint16_t unit_get(const struct iommu_unit *unit, uint16_t id)
{
	const struct amdvi_unit *u = (const void *)unit; /* its first member */

	return amdvi_entry_get(u->shared->table, id);
}

/* An event whose code is 0 is not there yet, though the tail has passed it. */
static uint64_t event_wait(const volatile uint64_t *event)
{
	uint64_t end = clock_ns() + EVENT_NS, low;

	while (!((low = event[0]) >> CODE_AT) && clock_ns() <= end)
		__builtin_ia32_pause();
	return low;
}

static void event_decode(uint64_t low, uint64_t high, struct iommu_fault *ret)
{
	uint8_t code = (uint8_t)(low >> CODE_AT);

	*ret = (struct iommu_fault){ .phys = high,
				     .id = (uint16_t)low,
				     .reason = code,
				     .access = IOMMU_REACH,
				     .is_units = code == CODE_ILLEGAL || code == CODE_COMMAND ||
						 code == CODE_COUNTER };
	/* RW says something only where the page is present. */
	if (code == CODE_PAGE && low & FAULT_INTERRUPT)
		ret->access = IOMMU_INTERRUPT;
	else if (code == CODE_PAGE && low & FAULT_PRESENT)
		ret->access = low & FAULT_WRITE ? IOMMU_WRITE : IOMMU_READ;
}

/* A log that ran over stands still until it is begun anew. */
static void events_begin(struct amdvi_unit *u)
{
	control_set(u, CONTROL_EVENTS, false);
	if (stopped_wait(u, STATUS_EVENTS) < 0)
		return;
	u->head = 0;
	reg_write(u, AMDVI_EVENTS, ptr_to_phys((const void *)(uintptr_t)u->events) | RING_256);
	reg_write(u, AMDVI_EVENT_HEAD, 0);
	reg_write(u, AMDVI_EVENT_TAIL, 0);
	reg_write(u, AMDVI_STATUS, STATUS_OVERFLOW | STATUS_EVENT);
	control_set(u, CONTROL_EVENTS, true);
}

static unsigned events_tail(const struct amdvi_unit *u)
{
	return (unsigned)(reg_read(u, AMDVI_EVENT_TAIL) & RING_MASK);
}

static bool unit_fault_take(struct iommu_unit *unit, struct iommu_fault *ret)
{
	struct amdvi_unit *u = amdvi_of(unit);

	if (u->head == events_tail(u)) {
		if (reg_read(u, AMDVI_STATUS) & STATUS_OVERFLOW)
			events_begin(u);
		return false;
	}
	volatile uint64_t *event = &u->events[u->head / EVENT_BYTES * EVENT_WORDS];
	uint64_t low = event_wait(event);
	event_decode(low, event[1], ret);
	event[0] = 0;
	u->head = (u->head + EVENT_BYTES) & RING_MASK;
	reg_write(u, AMDVI_EVENT_HEAD, u->head);
	return true;
}

/* What came while it was held back is an interrupt now: the unit has one for what comes next only. */
static void unit_fault_hush(struct iommu_unit *unit, bool is_held)
{
	struct amdvi_unit *u = amdvi_of(unit);

	if (!u->vector)
		return;
	if (!is_held)
		reg_write(u, AMDVI_STATUS, STATUS_EVENT);
	control_set(u, CONTROL_INTERRUPT, !is_held);
	if (!is_held && (u->head != events_tail(u) || reg_read(u, AMDVI_STATUS) & STATUS_OVERFLOW))
		apic_send(apic_id(), u->vector);
}

static int unit_interrupt(struct iommu_unit *unit, const uint16_t *ids, unsigned n, uint8_t vector,
			  uint32_t apic, struct hpci_message *ret)
{
	struct amdvi_unit *u = amdvi_of(unit);

	if (apic > UINT8_MAX)
		return -ERANGE;
	int index =
		amdvi_interrupt_add(u->shared->table, &dma_memory, ids, n, vector, (uint8_t)apic);
	int r = index < 0 ? index : 0;
	for (unsigned i = 0; r == 0 && i < n; i++) {
		r = command(u, COMMAND_DEVICE | ids[i], 0);
		r = r < 0 ? r : command(u, COMMAND_INTERRUPTS | ids[i], 0);
	}
	r = r < 0 ? r : commands_wait(u);
	if (r == 0)
		*ret = (struct hpci_message){ INTERRUPT_ADDRESS, (uint32_t)index };
	return r;
}

static const struct iommu_unit_ops amdvi_ops = {
	.enable = unit_enable,
	.flush = unit_flush,
	.domain_new = unit_domain_new,
	.set = unit_set,
	.get = unit_get,
	.fault_take = unit_fault_take,
	.fault_hush = unit_fault_hush,
	.interrupt = unit_interrupt,
};

static int unit_find(struct amdvi_unit *u, uint64_t base, bool has_features)
{
	if (!map_range(base, REG_BYTES))
		return -ENOMEM;
	u->regs = (volatile uint8_t *)(uintptr_t)base;
	if (reg_read(u, AMDVI_CONTROL) == UINT64_MAX)
		return -ENODEV;
	u->features = has_features ? reg_read(u, AMDVI_FEATURES) : 0;
	return 0;
}

/* IVHD flags: the unit is told what the firmware says of the links that it is on. Its own accesses see the CPUs' caches in any case. */
static uint64_t control_of(uint8_t flags)
{
	return CONTROL_COHERENT | (flags & IVRS_TUNNEL ? CONTROL_TUNNEL : 0) |
	       (flags & IVRS_PASS_WRITES ? CONTROL_PASS : 0) |
	       (flags & IVRS_PASS_ANSWERS ? CONTROL_PASS_BACK : 0) |
	       (flags & IVRS_ISOCHRONOUS ? CONTROL_ISOC : 0);
}

static int memory_start(struct amdvi_unit *u)
{
	u->commands = page_alloc(0);
	u->events = page_alloc(0);
	u->answer = page_alloc(0);
	if (!u->commands || !u->events || !u->answer)
		return -ENOMEM;
	/* The unit writes there: no line of them is to be written back over it. */
	dma_write_out((const void *)(uintptr_t)u->events, PAGE_BYTES);
	dma_write_out(u->answer, PAGE_BYTES);
	return 0;
}

int amdvi_shared_start(struct amdvi_shared *shared, bool remaps)
{
	void *empty = page_alloc(0);

	*shared = (struct amdvi_shared){ .table = page_alloc(TABLE_ORDER), .remaps = remaps };
	if (!empty || !shared->table)
		return -ENOMEM;
	dma_write_out(empty, PAGE_BYTES);
	amdvi_table_block(shared->table, &dma_memory, ptr_to_phys(empty), remaps);
	return 0;
}

int amdvi_start(struct amdvi_unit *u, struct amdvi_shared *shared, uint64_t base, uint8_t flags,
		bool has_features, uint8_t vector)
{
	*u = (struct amdvi_unit){ .unit = { &amdvi_ops, shared->remaps },
				  .shared = shared,
				  .vector = vector };
	int r = unit_find(u, base, has_features);

	if (r < 0)
		return r;
	reg_write(u, AMDVI_CONTROL, 0);
	r = stopped_wait(u, STATUS_EVENTS | STATUS_COMMANDS);
	r = r < 0 ? r : memory_start(u);
	if (r < 0)
		return r;
	u->control = control_of(flags);
	reg_write(u, AMDVI_TABLE, ptr_to_phys(shared->table) | TABLE_SIZE);
	reg_write(u, AMDVI_EXCLUSION, 0); /* a range that passes by all tables */
	reg_write(u, AMDVI_COMMANDS, ptr_to_phys(u->commands) | RING_256);
	reg_write(u, AMDVI_COMMAND_HEAD, 0);
	reg_write(u, AMDVI_COMMAND_TAIL, 0);
	reg_write(u, AMDVI_EVENTS, ptr_to_phys((const void *)(uintptr_t)u->events) | RING_256);
	reg_write(u, AMDVI_EVENT_HEAD, 0);
	reg_write(u, AMDVI_EVENT_TAIL, 0);
	reg_write(u, AMDVI_STATUS, STATUS_OVERFLOW | STATUS_EVENT); /* what the firmware left */
	return 0;
}
