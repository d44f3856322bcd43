/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One unit, played by the test: its registers are memory, and it does what it was told whenever the driver looks at the clock. Bits
 * are the specification's (IOMMU MMIO Registers; Commands; Event Logging), not the driver's.
 */
#include "scratch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/bytes.h"
#include "core/apic.h"
#include "core/clock.h"
#include "core/map.h"
#include "core/page.h"
#include "drivers/amdvi.h"
#include "drivers/ivrs.h"

#define REGS	 0x4000U
#define COMMANDS 0x2000U
#define EVENTS	 0x2010U
#define STATUS	 0x2020U
#define OPCODES	 16U
#define VECTOR	 0x41U

static struct {
	uint8_t *regs;
	uint64_t now;
	bool is_dead;		   /* does nothing */
	uint64_t last[OPCODES][2]; /* of each kind of command */
	unsigned n[OPCODES];
	unsigned starts; /* of its log */
	bool log_runs, ran_over;
	uint64_t shown;	  /* of its status; what is written there clears what is set */
	uint64_t late[2]; /* an event that it writes at the next look; word 0 of 0: none */
	unsigned sent;	  /* interrupts to the CPU itself */
	void *pages[16];
	unsigned n_pages, pages_left;
} fake;

static uint64_t reg(unsigned at)
{
	return le64_load(fake.regs + at);
}

static void reg_set(unsigned at, uint64_t value)
{
	le64_store(fake.regs + at, value);
}

static void *place(uint64_t phys)
{
	return (void *)(uintptr_t)(phys & 0xffffffffff000);
}

static void command_do(const uint64_t *words)
{
	unsigned opcode = (unsigned)(words[0] >> 60);

	memcpy(fake.last[opcode], words, 16);
	fake.n[opcode]++;
	if (opcode == 1 && words[0] & 1) /* COMPLETION_WAIT, s */
		memcpy((void *)(uintptr_t)(words[0] & 0xffffffffffff8), &words[1], 8);
}

static void fake_step(void)
{
	uint64_t control = reg(0x18);
	bool takes = control & 1 && control & 0x1000, logs = control & 1 && control & 4;

	fake.starts += logs && !fake.log_runs;
	fake.log_runs = logs;
	if (reg(STATUS) != fake.shown && reg(STATUS) & 1)
		fake.ran_over = false;
	fake.shown = (fake.ran_over ? 1 : 0) | (logs ? 8 : 0) | (takes ? 16 : 0);
	reg_set(STATUS, fake.shown);
	while (takes && reg(COMMANDS) != reg(COMMANDS + 8)) {
		assert_true(reg(COMMANDS + 8) < 4096);
		command_do((uint64_t *)place(reg(8)) + reg(COMMANDS) / 8);
		reg_set(COMMANDS, (reg(COMMANDS) + 16) % 4096);
	}
	if (fake.late[0]) {
		uint64_t at = (reg(EVENTS + 8) + 4096 - 16) % 4096;
		memcpy((uint8_t *)place(reg(0x10)) + at, fake.late, 16);
		fake.late[0] = 0;
	}
}

static void event_put(uint64_t low, uint64_t high)
{
	uint64_t *log = place(reg(0x10)), at = reg(EVENTS + 8);

	assert_true(fake.log_runs);
	log[at / 8] = low;
	log[at / 8 + 1] = high;
	reg_set(EVENTS + 8, (at + 16) % 4096);
}

/* The hypervisor's, as the driver calls them. */
uint64_t clock_ns(void)
{
	if (!fake.is_dead)
		fake_step();
	return fake.now += 1000;
}

bool map_range(uint64_t start, uint64_t len)
{
	return start == (uintptr_t)fake.regs && len <= REGS;
}

uint32_t apic_id(void)
{
	return 3;
}

void apic_send(uint32_t id, uint8_t vector)
{
	assert_int_equal(id, 3);
	assert_int_equal(vector, VECTOR);
	fake.sent++;
}

void *page_alloc(unsigned order)
{
	if (!fake.pages_left)
		return NULL;
	fake.pages_left--;
	size_t bytes = (size_t)PAGE_BYTES << order;
	void *page = aligned_alloc(bytes, bytes);
	assert_non_null(page);
	fake.pages[fake.n_pages++] = page;
	return memset(page, 0, bytes);
}

/* At the end, all of them. */
void page_free(void *block, unsigned order)
{
	(void)block;
	(void)order;
}

static int begin(void **state)
{
	(void)state;
	memset(&fake, 0, sizeof(fake));
	fake.regs = aligned_alloc(REGS, REGS);
	assert_non_null(fake.regs);
	memset(fake.regs, 0, REGS);
	fake.pages_left = 16;
	return 0;
}

static int end(void **state)
{
	(void)state;
	for (unsigned i = 0; i < fake.n_pages; i++)
		free(fake.pages[i]);
	free(fake.regs);
	return 0;
}

static void start(struct amdvi_unit *u, struct amdvi_shared *shared, bool is_new)
{
	reg_set(0x30, is_new ? 1 << 6 : 0); /* IASup */
	assert_int_equal(amdvi_shared_start(shared, true), 0);
	assert_int_equal(amdvi_start(u, shared, (uintptr_t)fake.regs, IVRS_TUNNEL, is_new, VECTOR),
			 0);
}

static void what_the_firmware_left_is_ended_before_ours_begins(void **state)
{
	struct amdvi_shared shared;
	struct amdvi_unit u;

	(void)state;
	reg_set(0x18, 0x100f);	   /* translating, by its own tables */
	reg_set(0x20, 0x7e000003); /* an exclusion range for all devices */
	start(&u, &shared, true);
	assert_int_equal(reg(0x18), 0);
	assert_int_equal(reg(0x20), 0);
	assert_int_equal(reg(0x00), (uintptr_t)shared.table | 0x1ff); /* 512 pages */
	assert_int_equal(reg(0x08) >> 56, 8);
	assert_int_equal(reg(0x10) >> 56, 8);
	for (unsigned id = 0; id < AMDVI_ENTRIES; id++) {
		assert_int_equal(shared.table[id].words[0] & 3, 3);
		assert_int_equal(shared.table[id].words[0] >> 61, 0);
	}
	assert_int_equal(u.unit.ops->enable(&u.unit), 0);
	assert_int_equal(reg(0x18),
			 0x140f); /* on, tunnel, events and their interrupt, coherent, commands */
	assert_int_equal(fake.n[8], 1); /* INVALIDATE_IOMMU_ALL */
	assert_int_equal(fake.n[1], 1);
}

static void an_old_unit_is_told_one_by_one(void **state)
{
	struct amdvi_shared shared;
	struct amdvi_unit u;

	(void)state;
	start(&u, &shared, false);
	assert_int_equal(u.unit.ops->enable(&u.unit), 0);
	assert_int_equal(fake.n[8], 0);
	assert_int_equal(fake.n[2], 65536);
	assert_int_equal(fake.n[3], 65536);
	assert_int_equal(fake.last[2][0], UINT64_C(2) << 60 | 0xffff);
	assert_int_equal(fake.last[3][0], UINT64_C(3) << 60 | UINT64_C(0xffff) << 32);
}

static void a_device_that_is_attached_is_told_to_the_unit(void **state)
{
	struct amdvi_shared shared;
	struct amdvi_unit u;
	struct dma_domain early, d;

	(void)state;
	start(&u, &shared, true);
	const struct iommu_unit_ops *ops = u.unit.ops;
	assert_int_equal(ops->domain_new(&u.unit, &early), 0); /* reserved memory */
	assert_int_equal(ops->set(&u.unit, 0x10, &early), 0);
	assert_int_equal(ops->flush(&u.unit, &early), 0);
	assert_int_equal(ops->enable(&u.unit), 0);
	assert_int_equal(fake.n[2], 0);
	assert_int_equal(ops->domain_new(&u.unit, &d), 0);
	assert_int_not_equal(d.id, early.id);
	assert_int_equal(ops->get(&u.unit, 0x1234), 0);
	assert_int_equal(ops->set(&u.unit, 0x1234, &d), 0);
	assert_int_equal(ops->get(&u.unit, 0x1234), d.id);
	assert_int_equal(ops->set(&u.unit, 0x10, &d), -EBUSY);
	assert_int_equal(ops->flush(&u.unit, &d), 0);
	assert_int_equal(fake.n[2], 1);
	assert_int_equal(fake.last[2][0], UINT64_C(2) << 60 | 0x1234);
	assert_int_equal(fake.n[3], 1);
	assert_int_equal(fake.last[3][0], UINT64_C(3) << 60 | (uint64_t)d.id << 32);
	assert_int_equal(fake.last[3][1], UINT64_C(0x7ffffffffffff003));
	for (unsigned i = 0; i < 1000; i++) /* the ring goes round */
		assert_int_equal(ops->flush(&u.unit, &d), 0);
	assert_int_equal(fake.n[3], 1001);
}

static void an_interrupt_is_told_to_the_unit_by_each_name(void **state)
{
	struct amdvi_shared shared;
	struct amdvi_unit u;
	struct hpci_message m;
	const uint16_t ids[] = { 0x0509, 0x0308 };

	(void)state;
	start(&u, &shared, true);
	assert_true(u.unit.remaps);
	assert_int_equal(u.unit.ops->enable(&u.unit), 0);
	assert_int_equal(u.unit.ops->interrupt(&u.unit, ids, 2, 0x50, 0x100, &m), -ERANGE);
	assert_int_equal(u.unit.ops->interrupt(&u.unit, ids, 2, 0x50, 3, &m), 0);
	assert_int_equal(m.address, 0xfee00000);
	assert_int_equal(m.data, 0);
	assert_int_equal(fake.n[5], 2); /* INVALIDATE_INTERRUPT_TABLE */
	assert_int_equal(fake.n[2], 2);
	assert_int_equal(fake.last[5][0], UINT64_C(5) << 60 | 0x0308);
	assert_int_equal(u.unit.ops->interrupt(&u.unit, ids, 2, 0x51, 3, &m), 0);
	assert_int_equal(m.data, 1);
}

static void a_unit_that_does_not_answer_is_an_error_not_a_hang(void **state)
{
	struct amdvi_shared shared;
	struct amdvi_unit u;
	struct dma_domain d;

	(void)state;
	start(&u, &shared, true);
	assert_int_equal(u.unit.ops->enable(&u.unit), 0);
	assert_int_equal(u.unit.ops->domain_new(&u.unit, &d), 0);
	fake.is_dead = true;
	assert_int_equal(u.unit.ops->flush(&u.unit, &d), -ETIMEDOUT);
	reg_set(STATUS, 8); /* its log does not stop */
	assert_int_equal(amdvi_start(&u, &shared, (uintptr_t)fake.regs, 0, true, 0), -ETIMEDOUT);
	memset(fake.regs, 0xff, REGS);
	assert_int_equal(amdvi_start(&u, &shared, (uintptr_t)fake.regs, 0, true, 0), -ENODEV);
}

static void without_memory_it_does_not_start(void **state)
{
	struct amdvi_shared shared;
	struct amdvi_unit u;

	(void)state;
	fake.pages_left = 1;
	assert_int_equal(amdvi_shared_start(&shared, false), -ENOMEM);
	fake.pages_left = 2 + 2;
	assert_int_equal(amdvi_shared_start(&shared, false), 0);
	assert_int_equal(amdvi_start(&u, &shared, (uintptr_t)fake.regs, 0, true, 0), -ENOMEM);
}

static void started(struct amdvi_unit *u, struct amdvi_shared *shared)
{
	start(u, shared, true);
	assert_int_equal(u->unit.ops->enable(&u->unit), 0);
	fake_step();
}

/* IO_PAGE_FAULT: PR is bit 52, RW bit 53, which says something only with PR. */
static void what_was_blocked_is_told_once(void **state)
{
	struct amdvi_shared shared;
	struct amdvi_unit u;
	struct iommu_fault f;
	const uint64_t page_fault = UINT64_C(2) << 60 | 0x1234;

	(void)state;
	started(&u, &shared);
	const struct iommu_unit_ops *ops = u.unit.ops;
	assert_false(ops->fault_take(&u.unit, &f));
	event_put(page_fault | UINT64_C(3) << 52, 0x5000);
	event_put(page_fault | UINT64_C(1) << 52, 0x6000);
	event_put(page_fault | UINT64_C(2) << 52, 0x7000);
	event_put(UINT64_C(5) << 60, 0x8000); /* ILLEGAL_COMMAND_ERROR */
	assert_true(ops->fault_take(&u.unit, &f));
	assert_int_equal(f.id, 0x1234);
	assert_int_equal(f.phys, 0x5000);
	assert_int_equal(f.reason, 2);
	assert_int_equal(f.access, IOMMU_WRITE);
	assert_true(ops->fault_take(&u.unit, &f));
	assert_int_equal(f.access, IOMMU_READ);
	assert_true(ops->fault_take(&u.unit, &f));
	assert_int_equal(f.access, IOMMU_REACH);
	assert_false(f.is_units);
	assert_true(ops->fault_take(&u.unit, &f));
	assert_true(f.is_units);
	assert_int_equal(f.reason, 5);
	event_put(page_fault | UINT64_C(1) << 51, 0xfee00000);
	assert_true(ops->fault_take(&u.unit, &f));
	assert_int_equal(f.access, IOMMU_INTERRUPT);
	assert_false(ops->fault_take(&u.unit, &f));
	for (unsigned i = 0; i < 1000; i++) { /* the log goes round */
		event_put(page_fault, i);
		assert_true(ops->fault_take(&u.unit, &f));
		assert_int_equal(f.phys, i);
		assert_int_equal(reg(EVENTS), reg(EVENTS + 8));
	}
}

/* The tail may pass an event before it is written. */
static void an_event_that_comes_late_is_waited_for(void **state)
{
	struct amdvi_shared shared;
	struct amdvi_unit u;
	struct iommu_fault f;

	(void)state;
	started(&u, &shared);
	event_put(0, 0);
	fake.late[0] = UINT64_C(2) << 60 | 0x77;
	fake.late[1] = 0x9000;
	assert_true(u.unit.ops->fault_take(&u.unit, &f));
	assert_int_equal(f.id, 0x77);
	assert_int_equal(f.phys, 0x9000);
	event_put(0, 0); /* never */
	assert_true(u.unit.ops->fault_take(&u.unit, &f));
	assert_int_equal(f.reason, 0);
	assert_false(u.unit.ops->fault_take(&u.unit, &f));
}

static void a_tail_that_cannot_be_stays_in_the_log(void **state)
{
	struct amdvi_shared shared;
	struct amdvi_unit u;
	struct iommu_fault f;

	(void)state;
	started(&u, &shared);
	reg_set(EVENTS + 8, UINT64_MAX);
	for (unsigned i = 0; i < 255; i++)
		assert_true(u.unit.ops->fault_take(&u.unit, &f));
	assert_false(u.unit.ops->fault_take(&u.unit, &f));
}

static void a_log_that_ran_over_is_begun_anew(void **state)
{
	struct amdvi_shared shared;
	struct amdvi_unit u;
	struct iommu_fault f;

	(void)state;
	started(&u, &shared);
	for (unsigned i = 0; i < 7; i++)
		event_put(UINT64_C(2) << 60, 0);
	fake.ran_over = true;
	fake_step();
	for (unsigned i = 0; i < 7; i++)
		assert_true(u.unit.ops->fault_take(&u.unit, &f));
	assert_int_equal(fake.starts, 1);
	assert_false(u.unit.ops->fault_take(&u.unit, &f));
	fake_step();
	assert_false(fake.ran_over);
	assert_int_equal(fake.starts, 2);
	assert_int_equal(reg(EVENTS), 0);
	event_put(UINT64_C(2) << 60 | 5, 0);
	assert_true(u.unit.ops->fault_take(&u.unit, &f));
	assert_int_equal(f.id, 5);
}

static void what_came_while_it_was_held_back_is_an_interrupt(void **state)
{
	struct amdvi_shared shared;
	struct amdvi_unit u;
	struct iommu_fault f;

	(void)state;
	started(&u, &shared);
	u.unit.ops->fault_hush(&u.unit, true);
	assert_int_equal(reg(0x18) & 8, 0);
	u.unit.ops->fault_hush(&u.unit, false);
	assert_int_equal(reg(0x18) & 8, 8);
	assert_int_equal(fake.sent, 0);
	u.unit.ops->fault_hush(&u.unit, true);
	event_put(UINT64_C(2) << 60, 0);
	u.unit.ops->fault_hush(&u.unit, false);
	assert_int_equal(fake.sent, 1);
	assert_true(u.unit.ops->fault_take(&u.unit, &f));
}

#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(what_the_firmware_left_is_ended_before_ours_begins),
		T(an_old_unit_is_told_one_by_one),
		T(a_device_that_is_attached_is_told_to_the_unit),
		T(an_interrupt_is_told_to_the_unit_by_each_name),
		T(a_unit_that_does_not_answer_is_an_error_not_a_hang),
		T(without_memory_it_does_not_start),
		T(what_was_blocked_is_told_once),
		T(an_event_that_comes_late_is_waited_for),
		T(a_tail_that_cannot_be_stays_in_the_log),
		T(a_log_that_ran_over_is_begun_anew),
		T(what_came_while_it_was_held_back_is_an_interrupt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
