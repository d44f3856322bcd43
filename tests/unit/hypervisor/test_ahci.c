/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One controller with a disk, played by the test: its registers are memory, and it does what it was told whenever the driver looks at the
 * clock. Bits are the specification's (Serial ATA AHCI 1.3.1: HBA Memory Registers; Error Recovery; Port Reset), not the driver's.
 */
#include "scratch.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/bytes.h"
#include "base/core/macros.h"
#include "core/clock.h"
#include "core/page.h"
#include "core/print.h"
#include "core/trap.h"
#include "drivers/ahci.h"
#include "drivers/disks.h"
#include "drivers/hpci.h"
#include "drivers/iommu.h"

#define DISK_BYTES (1U << 20)
#define MS	   UINT64_C(1000000)
#define NOBODY	   32U

enum { P0_IS = 0x110, P0_CMD = 0x118, P0_TFD = 0x120, P0_SIG = 0x124, P0_SSTS = 0x128 };
enum { P0_SCTL = 0x12c, P0_SERR = 0x130, P0_CI = 0x138, P0_CLB = 0x100 };
enum { ST = 1, CR = 0x8000, CCS = 0x1f00, SERR_X = 1 << 26, TFES = 1 << 30 };

static struct {
	uint32_t regs[0x1100 / 4];
	uint64_t now;
	uint8_t *bytes;
	char serial[21];
	uint32_t ci;
	unsigned steps;		 /* a command at most in each */
	unsigned lost, bad;	 /* the slot whose command it keeps, fails; NOBODY */
	unsigned keeps;		 /* it has such a one: nothing else is done */
	bool is_gone;		 /* the disk */
	bool is_list_kept;	 /* CR stays, whatever is told */
	bool was_reset, is_busy; /* DET is 1; the first FIS has not come */
	unsigned resets, done;
	struct host_disk *disk;
	char said[1024];
} hba;

static uint32_t get(unsigned at)
{
	return hba.regs[at / 4];
}

static void set(unsigned at, uint32_t value)
{
	hba.regs[at / 4] = value;
}

static void ata_string(uint8_t *to, const char *text, unsigned len)
{
	for (unsigned i = 0; i < len; i++)
		to[i ^ 1] = i < strlen(text) ? (uint8_t)text[i] : ' ';
}

static void identify(uint8_t *to)
{
	memset(to, 0, 512);
	ata_string(to + 20, hba.serial, 20);
	le16_store(to + 166, 0x400);
	le64_store(to + 200, DISK_BYTES / 512);
}

static void command_do(unsigned slot)
{
	const uint8_t *list = (void *)(uintptr_t)(get(P0_CLB) | (uint64_t)get(P0_CLB + 4) << 32);
	const uint8_t *table = (void *)(uintptr_t)le64_load(list + slot * 32U + 8);
	uint8_t *buffer = (void *)(uintptr_t)le64_load(table + 128);
	uint32_t len = le32_load(table + 140) + 1;
	uint64_t at = (table[4] | (uint64_t)table[5] << 8 | (uint64_t)table[6] << 16) * 512;

	hba.done++;
	if (table[2] == 0xec) {
		assert_int_equal(len, 512);
		identify(buffer);
	} else if (table[2] == 0x25) {
		memcpy(buffer, hba.bytes + at, len);
	} else if (table[2] == 0x35) {
		memcpy(hba.bytes + at, buffer, len);
	}
}

/* The first in CI; the one at fault stays there. */
static void list_step(void)
{
	unsigned slot = (unsigned)__builtin_ctz(hba.ci);

	if (hba.keeps != NOBODY)
		return;
	set(P0_CMD, (get(P0_CMD) & ~(uint32_t)CCS) | slot << 8);
	if (slot == hba.lost || slot == hba.bad) {
		hba.keeps = slot;
		set(P0_TFD, slot == hba.lost ? 0xd0 : 0x51); /* busy; an error */
		set(P0_IS, slot == hba.bad ? TFES : 0);
		return;
	}
	command_do(slot);
	hba.ci &= ~(UINT32_C(1) << slot);
}

static void link_step(void)
{
	bool is_reset = (get(P0_SCTL) & 0xf) == 1;

	if (get(P0_SERR) == UINT32_MAX)
		set(P0_SERR, 0);
	if (is_reset) {
		assert_false(get(P0_CMD) & ST);
		hba.resets += !hba.was_reset;
		set(P0_SSTS, 0);
		set(P0_TFD, 0x7f);
	} else if (hba.was_reset && !hba.is_gone) {
		set(P0_SSTS, 0x123);
		set(P0_TFD, 0x80);
		set(P0_SERR, SERR_X);
		hba.is_busy = true;
	} else if (hba.is_busy && !(get(P0_SERR) & SERR_X)) {
		set(P0_TFD, 0x50);
		hba.is_busy = false;
	}
	hba.was_reset = is_reset;
}

static void step(void)
{
	hba.ci |= get(P0_CI);
	set(P0_IS, hba.keeps != NOBODY && hba.keeps == hba.bad ? TFES : 0);
	link_step();
	if (!(get(P0_CMD) & ST)) {
		hba.ci = 0;
		hba.keeps = NOBODY;
		if (!hba.is_list_kept)
			set(P0_CMD, get(P0_CMD) & ~(uint32_t)CR);
	} else {
		set(P0_CMD, get(P0_CMD) | CR);
		if (hba.ci)
			list_step();
	}
	set(P0_CI, hba.ci);
}

/* ---- the hypervisor's, as the driver calls them ---- */

uint64_t clock_ns(void)
{
	step();
	return hba.now += MS;
}

void *page_alloc(unsigned order)
{
	void *page = aligned_alloc(PAGE_BYTES, (size_t)PAGE_BYTES << order);

	return memset(page, 0, (size_t)PAGE_BYTES << order);
}

void page_free(void *block, unsigned order)
{
	(void)order;
	free(block);
}

void print(const char *fmt, ...)
{
	size_t n = strlen(hba.said);
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(hba.said + n, sizeof(hba.said) - n, fmt, args);
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
	assert_int_equal(bar, 5);
	assert_true(least <= sizeof(hba.regs));
	return hba.regs;
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
	hba.disk = disk;
	return true;
}

/* ---- who asks ---- */

struct request {
	struct disk_request req;
	struct mem_iov iov;
	uint8_t data[512];
	unsigned n_done;
	int result;
};

static int begin(void **state)
{
	static const struct hpci_device device = { .class_code = 0x010601 };
	unsigned number = 0;

	(void)state;
	memset(&hba, 0, sizeof(hba));
	hba.bytes = malloc(DISK_BYTES);
	for (unsigned i = 0; i < DISK_BYTES; i++)
		hba.bytes[i] = (uint8_t)(i / 512);
	hba.lost = hba.bad = hba.keeps = NOBODY;
	(void)snprintf(hba.serial, sizeof(hba.serial), "S1");
	hba.regs[0] = 1U << 31;
	hba.regs[3] = 1;
	set(P0_SSTS, 0x123);
	set(P0_SIG, 0x101);
	set(P0_TFD, 0x50);
	assert_int_equal(ahci_probe(NULL, &device, &number), 0);
	assert_int_equal(number, 1);
	assert_non_null(hba.disk);
	assert_string_equal(hba.disk->disk.id, "S1");
	assert_int_equal(hba.disk->disk.size_bytes, DISK_BYTES);
	hba.done = 0;
	return 0;
}

static int end(void **state)
{
	struct ahci *a = container_of(hba.disk, struct ahci, disk);

	(void)state;
	host_disk_fini(hba.disk);
	free(a->memory);
	free(a);
	free(hba.bytes);
	return 0;
}

static void request_done(struct disk_request *req, int result)
{
	struct request *r = container_of(req, struct request, req);

	r->n_done++;
	r->result = result;
}

static void submit(struct request *r, enum disk_op op, unsigned sector)
{
	*r = (struct request){ .iov = { r->data, sizeof(r->data) } };
	memset(r->data, 0xe0, sizeof(r->data));
	r->req = (struct disk_request){ .op = op,
					.offset_bytes = sector * 512UL,
					.len_bytes = 512,
					.iov = &r->iov,
					.n_iov = 1,
					.done = request_done };
	hba.disk->disk.ops->submit(&hba.disk->disk, &r->req);
}

static void poll(void)
{
	(void)clock_ns(); /* the controller has seen what it was told */
	host_disk_poll(hba.disk);
}

/* Until it is over, by so much time at most. */
static void finish(const struct request *r, uint64_t ns)
{
	uint64_t last = hba.now + ns;

	while (!r->n_done && hba.now < last)
		poll();
	assert_int_equal(r->n_done, 1);
}

static void assert_read(const struct request *r, unsigned sector)
{
	assert_int_equal(r->n_done, 1);
	assert_int_equal(r->result, 0);
	assert_memory_equal(r->data, hba.bytes + sector * 512UL, 512);
}

/* ---- what is tested ---- */

static void all_slots_at_once_are_read_and_written(void **state)
{
	static struct request r[HOST_DISK_SLOTS + 3];

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(r); i++)
		submit(&r[i], i == 2 ? DISK_WRITE : DISK_READ, 10 + i);
	for (unsigned i = 0; i < ARRAY_SIZE(r); i++)
		finish(&r[i], 100 * MS);
	for (unsigned i = 0; i < ARRAY_SIZE(r); i++)
		assert_read(&r[i], 10 + i);
	assert_int_equal(hba.bytes[512 * 12], 0xe0);
	assert_int_equal(hba.resets, 0);
}

/* One lost command kept the list: all that came after it were lost behind it, and the disk was dead. */
static void after_a_lost_command_the_port_is_reset_and_only_that_one_failed(void **state)
{
	static struct request r[HOST_DISK_SLOTS + 2], late;

	(void)state;
	hba.lost = 1;
	for (unsigned i = 0; i < ARRAY_SIZE(r); i++)
		submit(&r[i], i == 4 ? DISK_WRITE : DISK_READ, i);
	finish(&r[1], 2 * HOST_DISK_ANSWER_NS);
	assert_int_equal(r[1].result, -ETIMEDOUT);
	hba.lost = NOBODY;
	submit(&late, DISK_READ, 99); /* while it is taken back */
	finish(&late, 1000 * MS);
	assert_read(&late, 99);
	for (unsigned i = 0; i < ARRAY_SIZE(r); i++) {
		finish(&r[i], 1000 * MS);
		if (i != 1)
			assert_read(&r[i], i);
	}
	assert_int_equal(hba.bytes[512 * 4], 0xe0);
	assert_int_equal(hba.resets, 1);
	assert_string_equal(hba.said, "disk ahci0: its port was reset, and it answers again\n");
	for (unsigned i = 0; i < HOST_DISK_SLOTS; i++)
		assert_false(hba.disk->slots[i].is_lost);
}

/* No poll waits: the others' interrupts and guests do not either. */
static void taking_it_back_takes_many_short_steps(void **state)
{
	static struct request r;
	uint64_t longest = 0;

	(void)state;
	hba.lost = 0;
	submit(&r, DISK_READ, 7);
	finish(&r, 2 * HOST_DISK_ANSWER_NS);
	hba.lost = NOBODY;
	hba.is_gone = true;
	for (unsigned i = 0; i < 1000; i++) {
		uint64_t before = hba.now;
		poll();
		longest = hba.now - before > longest ? hba.now - before : longest;
	}
	assert_true(longest <= 20 * MS); /* each look at the clock is one */
	assert_true(hba.disk->is_resetting);
	hba.is_gone = false;
	hba.was_reset = true; /* it comes */
	submit(&r, DISK_READ, 8);
	finish(&r, 1000 * MS);
	assert_read(&r, 8);
}

/* An error of one guest's sector failed what others had under way. */
static void a_command_that_fails_fails_alone_and_needs_no_reset(void **state)
{
	static struct request r[HOST_DISK_SLOTS];

	(void)state;
	hba.bad = 3;
	for (unsigned i = 0; i < ARRAY_SIZE(r); i++)
		submit(&r[i], DISK_READ, i);
	finish(&r[3], 1000 * MS);
	assert_int_equal(r[3].result, -EIO);
	hba.bad = NOBODY;
	set(P0_TFD, 0x50);
	for (unsigned i = 0; i < ARRAY_SIZE(r); i++) {
		finish(&r[i], 1000 * MS);
		if (i != 3)
			assert_read(&r[i], i);
	}
	assert_int_equal(hba.resets, 0);
}

/* CR stays for 500 ms: then it is reset. */
static void a_list_that_is_not_let_go_is_reset_too(void **state)
{
	static struct request r, next;

	(void)state;
	hba.bad = 0;
	hba.is_list_kept = true;
	submit(&r, DISK_READ, 1);
	for (unsigned i = 0; i < 2000 && !hba.resets; i++)
		poll();
	assert_int_equal(hba.resets, 1);
	assert_int_equal(r.n_done, 0); /* its buffer may still be written to */
	hba.bad = NOBODY;
	hba.is_list_kept = false;
	finish(&r, 1000 * MS);
	assert_int_equal(r.result, -EIO);
	submit(&next, DISK_READ, 2);
	finish(&next, 1000 * MS);
	assert_read(&next, 2);
}

static void a_disk_that_is_gone_fails_at_once_and_is_used_when_it_is_back(void **state)
{
	static struct request r[3];

	(void)state;
	hba.lost = 0;
	hba.is_gone = true;
	submit(&r[0], DISK_READ, 1);
	submit(&r[1], DISK_WRITE, 2);
	finish(&r[0], 2 * HOST_DISK_ANSWER_NS);
	finish(&r[1], HOST_DISK_ANSWER_NS);
	assert_int_equal(r[0].result, -ETIMEDOUT);
	assert_int_equal(r[1].result, -EIO);
	assert_string_equal(hba.said,
			    "disk ahci0: its port was reset, and it is not there any more: "
			    "its requests fail\n");
	submit(&r[2], DISK_READ, 3);
	assert_int_equal(r[2].n_done, 1);
	assert_int_equal(r[2].result, -EIO);
	for (uint64_t last = hba.now + 4 * HOST_DISK_ANSWER_NS; hba.now < last;)
		poll();
	assert_true(hba.resets >= 2);
	assert_null(strstr(strchr(hba.said, '\n'), "disk")); /* once is enough */
	hba.lost = NOBODY;
	hba.is_gone = false;
	for (uint64_t last = hba.now + 4 * HOST_DISK_ANSWER_NS;
	     hba.disk->is_resetting && hba.now < last;)
		poll();
	submit(&r[2], DISK_READ, 3);
	finish(&r[2], 1000 * MS);
	assert_read(&r[2], 3);
	assert_non_null(strstr(hba.said, "it answers again"));
	assert_int_equal(hba.bytes[512 * 2], 2); /* what failed was not written later */
}

static void another_disk_in_its_place_is_not_written_to(void **state)
{
	static struct request r[2];

	(void)state;
	hba.lost = 0;
	submit(&r[0], DISK_READ, 1);
	submit(&r[1], DISK_WRITE, 2);
	finish(&r[0], 2 * HOST_DISK_ANSWER_NS);
	hba.lost = NOBODY;
	(void)snprintf(hba.serial, sizeof(hba.serial), "S2");
	finish(&r[1], HOST_DISK_ANSWER_NS);
	assert_int_equal(r[1].result, -EIO);
	assert_int_equal(hba.bytes[512 * 2], 2);
	assert_non_null(strstr(hba.said, "another disk is there"));
}

#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(all_slots_at_once_are_read_and_written),
		T(after_a_lost_command_the_port_is_reset_and_only_that_one_failed),
		T(taking_it_back_takes_many_short_steps),
		T(a_command_that_fails_fails_alone_and_needs_no_reset),
		T(a_list_that_is_not_let_go_is_reset_too),
		T(a_disk_that_is_gone_fails_at_once_and_is_used_when_it_is_back),
		T(another_disk_in_its_place_is_not_written_to),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
