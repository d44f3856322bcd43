/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One controller with a namespace, played by the test. Bits are the specification's (NVM Express Base 1.4: Controller Registers; Identify
 * command; Create I/O Submission Queue command; NVM Command Set), not the driver's.
 */
#include "disk_rig.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/core/bytes.h"
#include "base/core/macros.h"
#include "drivers/disks.h"

#define NOBODY 32U

enum { CAP = 0x0, CC = 0x14, CSTS = 0x1c, AQA = 0x24, ASQ = 0x28, ACQ = 0x30, BELLS = 0x1000 };
enum { EN = 1, RDY = 1, CFS = 2 };

struct queue {
	uint64_t commands, completions;
	unsigned n, head, tail, phase;
};

static struct {
	char serial[21];
	struct queue queues[2];
	unsigned nsid, metadata, mdts;
	unsigned lost, bad; /* the slot whose command is not answered, fails; NOBODY */
	bool is_deaf;	    /* no command is answered */
	bool is_stuck;	    /* RDY stays, whatever is told */
	bool is_broken;	    /* it does not start */
	unsigned resets, enables;
	bool was_on;
} ctrl;

/* By the identifier of the structure: NVMe 1.4, Identify command, CNS. */
static bool identify(uint8_t *to, unsigned what, uint32_t nsid)
{
	memset(to, 0, 4096);
	if (what == 1) {
		memset(to + 4, ' ', 20);
		memcpy(to + 4, ctrl.serial, strlen(ctrl.serial));
		to[77] = (uint8_t)ctrl.mdts;
	} else if (what == 2) {
		le32_store(to, ctrl.nsid);
	} else if (nsid == ctrl.nsid) {
		le64_store(to, RIG_BYTES / RIG_SECTOR);
		to[26] = 1; /* the second format */
		le16_store(to + 132, (uint16_t)ctrl.metadata);
		to[134] = 9;
	}
	return what == 2 || what == 1 || nsid == ctrl.nsid;
}

static bool admin_do(const uint8_t *c)
{
	uint64_t prp = le64_load(c + 24);
	uint32_t d10 = le32_load(c + 40), d11 = le32_load(c + 44);

	if (c[0] == 6)
		return identify((void *)(uintptr_t)prp, d10, le32_load(c + 4));
	assert_int_equal(d10 & 0xffff, 1);
	ctrl.queues[1].n = (d10 >> 16) + 1;
	if (c[0] == 5) {
		assert_int_equal(d11, 3);
		ctrl.queues[1].completions = prp;
	} else {
		assert_int_equal(c[0], 1);
		assert_int_equal(d11, 1 << 16 | 1);
		assert_true(ctrl.queues[1].completions != 0);
		ctrl.queues[1].commands = prp;
	}
	return true;
}

static bool io_do(const uint8_t *c)
{
	uint8_t *buffer = (void *)(uintptr_t)le64_load(c + 24);
	uint64_t at = le64_load(c + 40) * RIG_SECTOR;

	assert_int_equal(le32_load(c + 4), ctrl.nsid);
	assert_int_equal(le32_load(c + 48), 0); /* one sector */
	if (c[0] == 2)
		memcpy(buffer, rig.bytes + at, RIG_SECTOR);
	else if (c[0] == 1)
		memcpy(rig.bytes + at, buffer, RIG_SECTOR);
	return true;
}

static void complete(unsigned index, unsigned id, bool is_good)
{
	struct queue *q = &ctrl.queues[index];
	uint8_t *c = (uint8_t *)(uintptr_t)q->completions + (size_t)q->tail * 16;

	le16_store(c + 10, (uint16_t)index);
	le16_store(c + 12, (uint16_t)id);
	le16_store(c + 14, (uint16_t)((is_good ? 0 : 0x281 << 1) | q->phase));
	q->tail = (q->tail + 1) % q->n;
	q->phase ^= !q->tail;
}

/* One command, if there is one. */
static void queue_step(unsigned index)
{
	struct queue *q = &ctrl.queues[index];

	if (!q->commands || q->head == rig_get(BELLS + 8 * index))
		return;
	const uint8_t *c = (uint8_t *)(uintptr_t)q->commands + (size_t)q->head * 64;
	unsigned id = le16_load(c + 2);
	q->head = (q->head + 1) % q->n;
	if (ctrl.is_deaf || (index && id == ctrl.lost))
		return;
	if (index && id == ctrl.bad)
		complete(index, id, false);
	else
		complete(index, id, index ? io_do(c) : admin_do(c));
}

static void turn_on(void)
{
	uint32_t entries = rig_get(AQA);

	ctrl.enables++;
	ctrl.queues[0] =
		(struct queue){ .commands = rig_get(ASQ) | (uint64_t)rig_get(ASQ + 4) << 32,
				.completions = rig_get(ACQ) | (uint64_t)rig_get(ACQ + 4) << 32,
				.n = (entries & 0xfff) + 1,
				.phase = 1 };
	ctrl.queues[1] = (struct queue){ .phase = 1 };
	for (unsigned i = 0; i < 4; i++)
		rig_set(BELLS + 4 * i, 0);
	rig_set(CSTS, ctrl.is_broken ? CFS : RDY);
}

static void step(void)
{
	bool is_on = rig_get(CC) & EN;

	if (rig_get(CSTS) == UINT32_MAX)
		return; /* pulled out */
	if (!is_on && ctrl.was_on && !ctrl.is_stuck)
		ctrl.resets++;
	if (!is_on && !ctrl.is_stuck)
		rig_set(CSTS, 0);
	else if (is_on && !ctrl.was_on)
		turn_on();
	if (is_on || !ctrl.is_stuck)
		ctrl.was_on = is_on;
	for (unsigned i = 0; is_on && rig_get(CSTS) == RDY && i < 2; i++)
		queue_step(i);
}

static int probe(void)
{
	static const struct hpci_device device = { .class_code = 0x010802 };
	unsigned number = 0;
	int r = nvme_probe(NULL, &device, &number);

	assert_int_equal(number, r == 0);
	assert_int_equal(rig.disk != NULL, r == 0);
	return r;
}

static int bare(void **state)
{
	(void)state;
	memset(&ctrl, 0, sizeof(ctrl));
	rig_begin(0, step);
	ctrl.lost = ctrl.bad = NOBODY;
	ctrl.nsid = 3;
	(void)snprintf(ctrl.serial, sizeof(ctrl.serial), "N1");
	rig_set(CAP, 0x01000000 | 127); /* 500 ms, 128 entries */
	return 0;
}

static int begin(void **state)
{
	(void)bare(state);
	assert_int_equal(probe(), 0);
	assert_string_equal(rig.disk->disk.id, "N1");
	assert_int_equal(rig.disk->disk.size_bytes, RIG_BYTES);
	assert_int_equal(rig.disk->sector_bytes, RIG_SECTOR);
	ctrl.resets = 0;
	return 0;
}

/* ---- what is tested ---- */

static void all_slots_at_once_are_read_and_written(void **state)
{
	static struct rig_request r[100]; /* the queues' ends are passed three times */

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(r); i++)
		rig_submit(&r[i], i == 2 ? DISK_WRITE : DISK_READ, 10 + i);
	rig_all_read(r, ARRAY_SIZE(r), 10);
	assert_int_equal(rig.bytes[RIG_SECTOR * 12], 0xe0);
	assert_int_equal(ctrl.resets, 0);
}

/* Its slot was lost for good: after eight of them the disk was dead until the next power-on. */
static void after_a_lost_command_it_is_reset_and_only_that_one_failed(void **state)
{
	static struct rig_request r[HOST_DISK_SLOTS + 2], late;

	(void)state;
	ctrl.is_deaf = true;
	for (unsigned i = 0; i < ARRAY_SIZE(r); i++)
		rig_submit(&r[i], i == 4 ? DISK_WRITE : DISK_READ, i);
	rig_finish(&r[0], 2 * HOST_DISK_ANSWER_NS);
	assert_int_equal(r[0].result, -ETIMEDOUT);
	ctrl.is_deaf = false;
	rig_submit(&late, DISK_READ, 99); /* while it is taken back */
	rig_finish(&late, 2000 * MS);
	rig_assert_read(&late, 99);
	for (unsigned i = 1; i < ARRAY_SIZE(r); i++) {
		rig_finish(&r[i], 1000 * MS);
		rig_assert_read(&r[i], i);
	}
	assert_int_equal(rig.bytes[RIG_SECTOR * 4], 0xe0);
	assert_int_equal(ctrl.resets, 1);
	assert_string_equal(rig.said, "disk nvme0: it was reset, and it answers again\n");
	for (unsigned i = 0; i < HOST_DISK_SLOTS; i++)
		assert_false(rig.disk->slots[i].is_lost);
}

static void one_that_fails_fails_alone_and_needs_no_reset(void **state)
{
	static struct rig_request r[HOST_DISK_SLOTS];

	(void)state;
	ctrl.bad = 3;
	for (unsigned i = 0; i < ARRAY_SIZE(r); i++)
		rig_submit(&r[i], DISK_READ, i);
	rig_all_read_but(r, ARRAY_SIZE(r), 3);
	assert_int_equal(r[3].result, -EIO);
	assert_int_equal(ctrl.resets, 0);
}

/* No poll waits: the others' interrupts and guests do not either. */
static void taking_it_back_takes_many_short_steps(void **state)
{
	static struct rig_request r;
	uint64_t longest = 0;

	(void)state;
	ctrl.lost = 0;
	ctrl.is_stuck = true;
	rig_submit(&r, DISK_READ, 7);
	rig_finish(&r, 2 * HOST_DISK_ANSWER_NS);
	ctrl.lost = NOBODY;
	for (unsigned i = 0; i < 100; i++) {
		uint64_t before = rig.now;
		rig_poll();
		longest = rig.now - before > longest ? rig.now - before : longest;
	}
	assert_true(longest <= 20 * MS); /* each look at the clock is one */
	assert_true(rig.disk->is_resetting);
	ctrl.is_stuck = false;
	rig_submit(&r, DISK_READ, 8);
	rig_finish(&r, 1000 * MS);
	rig_assert_read(&r, 8);
}

/* Until it has stopped it may write to the buffers that it had. */
static void one_that_does_not_stop_keeps_its_buffers_and_is_tried_again(void **state)
{
	static struct rig_request r[2];

	(void)state;
	ctrl.lost = 0;
	ctrl.is_stuck = true;
	rig_submit(&r[0], DISK_READ, 1);
	rig_finish(&r[0], 2 * HOST_DISK_ANSWER_NS);
	rig_pass(2000 * MS);
	assert_string_equal(rig.said, "disk nvme0: it was reset, and it does not stop: "
				      "its requests fail\n");
	assert_true(rig.disk->slots[0].is_lost);
	rig_submit(&r[1], DISK_READ, 2);
	assert_int_equal(r[1].n_done, 1);
	assert_int_equal(r[1].result, -EIO);
	ctrl.lost = NOBODY;
	ctrl.is_stuck = false;
	rig_comes_back(2 * HOST_DISK_ANSWER_NS);
	assert_false(rig.disk->slots[0].is_lost);
	rig_submit(&r[1], DISK_READ, 2);
	rig_finish(&r[1], 1000 * MS);
	rig_assert_read(&r[1], 2);
	assert_non_null(strstr(rig.said, "it answers again"));
}

static void one_that_is_pulled_out_fails_at_once_and_is_used_when_it_is_back(void **state)
{
	static struct rig_request r[3];

	(void)state;
	ctrl.is_deaf = true;
	rig_submit(&r[0], DISK_READ, 1);
	rig_submit(&r[1], DISK_WRITE, 2);
	rig_set(CSTS, UINT32_MAX);
	rig_finish(&r[0], 2 * HOST_DISK_ANSWER_NS);
	rig_finish(&r[1], HOST_DISK_ANSWER_NS);
	assert_int_equal(r[0].result, -ETIMEDOUT);
	assert_int_equal(r[1].result, -EIO);
	assert_string_equal(rig.said, "disk nvme0: it was reset, and it is not there any more: "
				      "its requests fail\n");
	rig_pass(4 * HOST_DISK_ANSWER_NS);
	assert_null(strstr(strchr(rig.said, '\n'), "disk")); /* once is enough */
	ctrl.is_deaf = false;
	rig_set(CSTS, 0);
	rig_comes_back(4 * HOST_DISK_ANSWER_NS);
	rig_submit(&r[2], DISK_READ, 3);
	rig_finish(&r[2], 1000 * MS);
	rig_assert_read(&r[2], 3);
	assert_int_equal(rig.bytes[RIG_SECTOR * 2], 2); /* what failed was not written later */
}

static void one_that_does_not_start_again_or_does_not_answer_is_dead(void **state)
{
	static struct rig_request r[2];

	(void)state;
	ctrl.is_deaf = ctrl.is_broken = true;
	rig_submit(&r[0], DISK_READ, 1);
	rig_submit(&r[1], DISK_READ, 2);
	rig_finish(&r[1], 2 * HOST_DISK_ANSWER_NS);
	assert_int_equal(r[1].result, -EIO);
	assert_non_null(strstr(rig.said, "it does not start: its requests fail\n"));
	ctrl.is_broken = false;
	rig.said[0] = '\0';
	rig_pass(3 * HOST_DISK_ANSWER_NS);
	assert_true(rig.disk->is_resetting);
	assert_string_equal(rig.said, ""); /* it was said */
	assert_true(ctrl.enables >= 3);
}

static void another_disk_in_its_place_is_not_written_to(void **state)
{
	static struct rig_request r[2];

	(void)state;
	ctrl.is_deaf = true;
	rig_submit(&r[0], DISK_READ, 1);
	rig_submit(&r[1], DISK_WRITE, 2);
	rig_finish(&r[0], 2 * HOST_DISK_ANSWER_NS);
	ctrl.is_deaf = false;
	(void)snprintf(ctrl.serial, sizeof(ctrl.serial), "N2");
	rig_finish(&r[1], HOST_DISK_ANSWER_NS);
	assert_int_equal(r[1].result, -EIO);
	assert_int_equal(rig.bytes[RIG_SECTOR * 2], 2);
	assert_non_null(strstr(rig.said, "another disk is there"));
}

/* With metadata behind each sector a transfer is longer than its buffer. */
static void what_cannot_be_driven_is_refused(void **state)
{
	for (unsigned i = 0; i < 5; i++) {
		(void)bare(state);
		ctrl.metadata = i == 0 ? 8 : 0;
		ctrl.mdts = i == 1 ? 3 : 0; /* 32 KiB */
		ctrl.is_deaf = i == 2;
		if (i == 3)
			rig_set(CAP, 0x01000000 | 15); /* 16 entries */
		else if (i == 4)
			rig_set(CSTS, UINT32_MAX);
		assert_int_equal(probe(), -EIO);
		(void)rig_end(state);
	}
}

/* All of it was begun again: of a disk that loses everything, each cost its guest's end another HOST_DISK_ANSWER_NS. */
static void what_nobody_waits_for_any_more_is_over_with_the_first_reset(void **state)
{
	static struct rig_request r[HOST_DISK_SLOTS];

	(void)state;
	ctrl.is_deaf = true;
	rig_unwanted_lost(r, ARRAY_SIZE(r));
	ctrl.is_deaf = false;
	rig_assert_unwanted_over(r, ARRAY_SIZE(r));
}

#define T(name) cmocka_unit_test_setup_teardown(name, begin, rig_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(all_slots_at_once_are_read_and_written),
		T(after_a_lost_command_it_is_reset_and_only_that_one_failed),
		T(one_that_fails_fails_alone_and_needs_no_reset),
		T(taking_it_back_takes_many_short_steps),
		T(one_that_does_not_stop_keeps_its_buffers_and_is_tried_again),
		T(one_that_is_pulled_out_fails_at_once_and_is_used_when_it_is_back),
		T(one_that_does_not_start_again_or_does_not_answer_is_dead),
		T(another_disk_in_its_place_is_not_written_to),
		T(what_nobody_waits_for_any_more_is_over_with_the_first_reset),
		cmocka_unit_test(what_cannot_be_driven_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
