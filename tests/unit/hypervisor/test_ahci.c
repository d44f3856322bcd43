/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One controller with a disk, played by the test: its registers are memory, and it does what it was told whenever the driver looks at the
 * clock. Bits are the specification's (Serial ATA AHCI 1.3.1: HBA Memory Registers; Error Recovery; Port Reset), not the driver's.
 */
#include "disk_rig.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/core/bytes.h"
#include "base/core/macros.h"
#include "drivers/disks.h"

#define NOBODY 32U

enum { P0_IS = 0x110, P0_CMD = 0x118, P0_TFD = 0x120, P0_SIG = 0x124, P0_SSTS = 0x128 };
enum { P0_SCTL = 0x12c, P0_SERR = 0x130, P0_CI = 0x138, P0_CLB = 0x100 };
enum { ST = 1, CR = 0x8000, CCS = 0x1f00, SERR_X = 1 << 26, TFES = 1 << 30 };

static struct {
	char serial[21];
	uint32_t ci;
	unsigned lost, bad;	 /* the slot whose command it keeps, fails; NOBODY */
	unsigned keeps;		 /* it has such a one: nothing else is done */
	bool is_gone;		 /* the disk */
	bool is_list_kept;	 /* CR stays, whatever is told */
	bool was_reset, is_busy; /* DET is 1; the first FIS has not come */
	unsigned resets;
} hba;

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
	le64_store(to + 200, RIG_BYTES / 512);
}

static void command_do(unsigned slot)
{
	const uint8_t *list =
		(void *)(uintptr_t)(rig_get(P0_CLB) | (uint64_t)rig_get(P0_CLB + 4) << 32);
	const uint8_t *table = (void *)(uintptr_t)le64_load(list + slot * 32U + 8);
	uint8_t *buffer = (void *)(uintptr_t)le64_load(table + 128);
	uint32_t len = le32_load(table + 140) + 1;
	uint64_t at = (table[4] | (uint64_t)table[5] << 8 | (uint64_t)table[6] << 16) * 512;

	if (table[2] == 0xec) {
		assert_int_equal(len, 512);
		identify(buffer);
	} else if (table[2] == 0x25) {
		memcpy(buffer, rig.bytes + at, len);
	} else if (table[2] == 0x35) {
		memcpy(rig.bytes + at, buffer, len);
	}
}

/* The first in CI; the one at fault stays there. */
static void list_step(void)
{
	unsigned slot = (unsigned)__builtin_ctz(hba.ci);

	if (hba.keeps != NOBODY)
		return;
	rig_set(P0_CMD, (rig_get(P0_CMD) & ~(uint32_t)CCS) | slot << 8);
	if (slot == hba.lost || slot == hba.bad) {
		hba.keeps = slot;
		rig_set(P0_TFD, slot == hba.lost ? 0xd0 : 0x51); /* busy; an error */
		rig_set(P0_IS, slot == hba.bad ? TFES : 0);
		return;
	}
	command_do(slot);
	hba.ci &= ~(UINT32_C(1) << slot);
}

static void link_step(void)
{
	bool is_reset = (rig_get(P0_SCTL) & 0xf) == 1;

	if (rig_get(P0_SERR) == UINT32_MAX)
		rig_set(P0_SERR, 0);
	if (is_reset) {
		assert_false(rig_get(P0_CMD) & ST);
		hba.resets += !hba.was_reset;
		rig_set(P0_SSTS, 0);
		rig_set(P0_TFD, 0x7f);
	} else if (hba.was_reset && !hba.is_gone) {
		rig_set(P0_SSTS, 0x123);
		rig_set(P0_TFD, 0x80);
		rig_set(P0_SERR, SERR_X);
		hba.is_busy = true;
	} else if (hba.is_busy && !(rig_get(P0_SERR) & SERR_X)) {
		rig_set(P0_TFD, 0x50);
		hba.is_busy = false;
	}
	hba.was_reset = is_reset;
}

static void step(void)
{
	hba.ci |= rig_get(P0_CI);
	rig_set(P0_IS, hba.keeps != NOBODY && hba.keeps == hba.bad ? TFES : 0);
	link_step();
	if (!(rig_get(P0_CMD) & ST)) {
		hba.ci = 0;
		hba.keeps = NOBODY;
		if (!hba.is_list_kept)
			rig_set(P0_CMD, rig_get(P0_CMD) & ~(uint32_t)CR);
	} else {
		rig_set(P0_CMD, rig_get(P0_CMD) | CR);
		if (hba.ci)
			list_step();
	}
	rig_set(P0_CI, hba.ci);
}

static int begin(void **state)
{
	static const struct hpci_device device = { .class_code = 0x010601 };
	unsigned number = 0;

	(void)state;
	memset(&hba, 0, sizeof(hba));
	rig_begin(5, step);
	hba.lost = hba.bad = hba.keeps = NOBODY;
	(void)snprintf(hba.serial, sizeof(hba.serial), "S1");
	rig_set(0x0, 1U << 31);
	rig_set(0xc, 1);
	rig_set(P0_SSTS, 0x123);
	rig_set(P0_SIG, 0x101);
	rig_set(P0_TFD, 0x50);
	assert_int_equal(ahci_probe(NULL, &device, &number), 0);
	assert_int_equal(number, 1);
	assert_non_null(rig.disk);
	assert_string_equal(rig.disk->disk.id, "S1");
	assert_int_equal(rig.disk->disk.size_bytes, RIG_BYTES);
	return 0;
}

/* ---- what is tested ---- */

static void all_slots_at_once_are_read_and_written(void **state)
{
	static struct rig_request r[HOST_DISK_SLOTS + 3];

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(r); i++)
		rig_submit(&r[i], i == 2 ? DISK_WRITE : DISK_READ, 10 + i);
	rig_all_read(r, ARRAY_SIZE(r), 10);
	assert_int_equal(rig.bytes[512 * 12], 0xe0);
	assert_int_equal(hba.resets, 0);
}

/* One lost command kept the list: all that came after it were lost behind it, and the disk was dead. */
static void after_a_lost_command_the_port_is_reset_and_only_that_one_failed(void **state)
{
	static struct rig_request r[HOST_DISK_SLOTS + 2], late;

	(void)state;
	hba.lost = 1;
	for (unsigned i = 0; i < ARRAY_SIZE(r); i++)
		rig_submit(&r[i], i == 4 ? DISK_WRITE : DISK_READ, i);
	rig_finish(&r[1], 2 * HOST_DISK_ANSWER_NS);
	assert_int_equal(r[1].result, -ETIMEDOUT);
	hba.lost = NOBODY;
	rig_submit(&late, DISK_READ, 99); /* while it is taken back */
	rig_finish(&late, 1000 * MS);
	rig_assert_read(&late, 99);
	for (unsigned i = 0; i < ARRAY_SIZE(r); i++) {
		rig_finish(&r[i], 1000 * MS);
		if (i != 1)
			rig_assert_read(&r[i], i);
	}
	assert_int_equal(rig.bytes[512 * 4], 0xe0);
	assert_int_equal(hba.resets, 1);
	assert_string_equal(rig.said, "disk ahci0: its port was reset, and it answers again\n");
	for (unsigned i = 0; i < HOST_DISK_SLOTS; i++)
		assert_false(rig.disk->slots[i].is_lost);
}

/* No poll waits: the others' interrupts and guests do not either. */
static void taking_it_back_takes_many_short_steps(void **state)
{
	static struct rig_request r;
	uint64_t longest = 0;

	(void)state;
	hba.lost = 0;
	rig_submit(&r, DISK_READ, 7);
	rig_finish(&r, 2 * HOST_DISK_ANSWER_NS);
	hba.lost = NOBODY;
	hba.is_gone = true;
	for (unsigned i = 0; i < 1000; i++) {
		uint64_t before = rig.now;
		rig_poll();
		longest = rig.now - before > longest ? rig.now - before : longest;
	}
	assert_true(longest <= 20 * MS); /* each look at the clock is one */
	assert_true(rig.disk->is_resetting);
	hba.is_gone = false;
	hba.was_reset = true; /* it comes */
	rig_submit(&r, DISK_READ, 8);
	rig_finish(&r, 1000 * MS);
	rig_assert_read(&r, 8);
}

/* An error of one guest's sector failed what others had under way. */
static void a_command_that_fails_fails_alone_and_needs_no_reset(void **state)
{
	static struct rig_request r[HOST_DISK_SLOTS];

	(void)state;
	hba.bad = 3;
	for (unsigned i = 0; i < ARRAY_SIZE(r); i++)
		rig_submit(&r[i], DISK_READ, i);
	rig_finish(&r[3], 1000 * MS);
	assert_int_equal(r[3].result, -EIO);
	hba.bad = NOBODY;
	rig_set(P0_TFD, 0x50);
	rig_all_read_but(r, ARRAY_SIZE(r), 3);
	assert_int_equal(hba.resets, 0);
}

/* CR stays for 500 ms: then it is reset. */
static void a_list_that_is_not_let_go_is_reset_too(void **state)
{
	static struct rig_request r, next;

	(void)state;
	hba.bad = 0;
	hba.is_list_kept = true;
	rig_submit(&r, DISK_READ, 1);
	for (unsigned i = 0; i < 2000 && !hba.resets; i++)
		rig_poll();
	assert_int_equal(hba.resets, 1);
	assert_int_equal(r.n_done, 0); /* its buffer may still be written to */
	hba.bad = NOBODY;
	hba.is_list_kept = false;
	rig_finish(&r, 1000 * MS);
	assert_int_equal(r.result, -EIO);
	rig_submit(&next, DISK_READ, 2);
	rig_finish(&next, 1000 * MS);
	rig_assert_read(&next, 2);
}

static void a_disk_that_is_gone_fails_at_once_and_is_used_when_it_is_back(void **state)
{
	static struct rig_request r[3];

	(void)state;
	hba.lost = 0;
	hba.is_gone = true;
	rig_submit(&r[0], DISK_READ, 1);
	rig_submit(&r[1], DISK_WRITE, 2);
	rig_finish(&r[0], 2 * HOST_DISK_ANSWER_NS);
	rig_finish(&r[1], HOST_DISK_ANSWER_NS);
	assert_int_equal(r[0].result, -ETIMEDOUT);
	assert_int_equal(r[1].result, -EIO);
	assert_string_equal(rig.said,
			    "disk ahci0: its port was reset, and it is not there any more: "
			    "its requests fail\n");
	rig_submit(&r[2], DISK_READ, 3);
	assert_int_equal(r[2].n_done, 1);
	assert_int_equal(r[2].result, -EIO);
	rig_pass(4 * HOST_DISK_ANSWER_NS);
	assert_true(hba.resets >= 2);
	assert_null(strstr(strchr(rig.said, '\n'), "disk")); /* once is enough */
	hba.lost = NOBODY;
	hba.is_gone = false;
	rig_comes_back(4 * HOST_DISK_ANSWER_NS);
	rig_submit(&r[2], DISK_READ, 3);
	rig_finish(&r[2], 1000 * MS);
	rig_assert_read(&r[2], 3);
	assert_non_null(strstr(rig.said, "it answers again"));
	assert_int_equal(rig.bytes[512 * 2], 2); /* what failed was not written later */
}

static void another_disk_in_its_place_is_not_written_to(void **state)
{
	static struct rig_request r[2];

	(void)state;
	hba.lost = 0;
	rig_submit(&r[0], DISK_READ, 1);
	rig_submit(&r[1], DISK_WRITE, 2);
	rig_finish(&r[0], 2 * HOST_DISK_ANSWER_NS);
	hba.lost = NOBODY;
	(void)snprintf(hba.serial, sizeof(hba.serial), "S2");
	rig_finish(&r[1], HOST_DISK_ANSWER_NS);
	assert_int_equal(r[1].result, -EIO);
	assert_int_equal(rig.bytes[512 * 2], 2);
	assert_non_null(strstr(rig.said, "another disk is there"));
}

/* All of it was begun again: of a disk that loses everything, each cost its guest's end another HOST_DISK_ANSWER_NS. */
static void what_nobody_waits_for_any_more_is_over_with_the_first_reset(void **state)
{
	static struct rig_request r[HOST_DISK_SLOTS];

	(void)state;
	hba.lost = 0;
	rig_unwanted_lost(r, ARRAY_SIZE(r));
	hba.lost = NOBODY;
	rig_assert_unwanted_over(r, ARRAY_SIZE(r));
}

#define T(name) cmocka_unit_test_setup_teardown(name, begin, rig_end)

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
		T(what_nobody_waits_for_any_more_is_over_with_the_first_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
