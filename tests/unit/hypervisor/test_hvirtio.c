/* SPDX-License-Identifier: Apache-2.0 */
/* A device whose registers are memory, and which says what it likes. Offsets: virtio 1.2, 4.1.4 Virtio Structure PCI Capabilities. */
#include "scratch.h"

#include <errno.h>
#include <string.h>

#include "drivers/hvirtio.h"

#define PAGE 0x1000U

enum { COMMON_AT = 0, NOTIFY_AT = PAGE, DEVICE_AT = 2 * PAGE };
enum { QUEUE_SIZE = 0x18, QUEUE_ENABLE = 0x1c, QUEUE_NOTIFY = 0x1e };

static struct {
	uint8_t bar[3 * PAGE];
	uint8_t config[256];
	uint64_t mapped;
} rig;

uint32_t hpci_read(const struct hpci *pci, const struct hpci_device *d, unsigned reg, unsigned size)
{
	uint32_t value = 0;

	(void)pci;
	(void)d;
	memcpy(&value, rig.config + reg, size);
	return value;
}

unsigned hpci_capability(const struct hpci *pci, const struct hpci_device *d, uint8_t kind,
			 unsigned after)
{
	(void)pci;
	(void)d;
	assert_int_equal(kind, HPCI_CAP_VENDOR);
	return after == 0xc0 ? 0 : after ? after + 0x40 : 0x40;
}

volatile void *hpci_bar(const struct hpci *pci, const struct hpci_device *d, unsigned bar,
			uint64_t least)
{
	(void)pci;
	(void)d;
	assert_int_equal(bar, 4);
	rig.mapped = least > rig.mapped ? least : rig.mapped;
	return rig.bar;
}

static void capability(unsigned at, uint8_t kind, uint32_t offset, uint32_t len,
		       uint32_t multiplier)
{
	const uint32_t words[] = { offset, len, multiplier };

	rig.config[at + 3] = kind;
	rig.config[at + 4] = 4;
	memcpy(rig.config + at + 8, words, sizeof(words));
}

static void word_set(unsigned at, uint16_t value)
{
	memcpy(rig.bar + at, &value, sizeof(value));
}

static int setup(void **state)
{
	(void)state;
	memset(&rig, 0, sizeof(rig));
	memset(rig.bar + 4, 0xff, 4); /* features, all of them */
	word_set(QUEUE_SIZE, 64);
	capability(0x40, 1, COMMON_AT, 60, 0);
	capability(0x80, 2, NOTIFY_AT, 0x10, 4);
	capability(0xc0, 4, DEVICE_AT, 8, 0);
	return 0;
}

static int queue_start(uint16_t notify, struct hvirtio_queue *q)
{
	static struct hvirtio_ring ring;
	struct hvirtio v = { .has_msix = true };
	uint64_t features;

	*q = (struct hvirtio_queue){ .ring = &ring };
	assert_int_equal(hvirtio_start(&v, NULL, NULL, 0, &features), 0);
	word_set(QUEUE_NOTIFY, notify);
	return hvirtio_queue_start(&v, q, 1);
}

static void a_queue_is_rung_at_its_doorbell(void **state)
{
	struct hvirtio_queue q;
	uint16_t rung;

	(void)state;
	assert_int_equal(queue_start(3, &q), 0);
	hvirtio_kick(&q);
	memcpy(&rung, rig.bar + NOTIFY_AT + 12, sizeof(rung));
	assert_int_equal(rung, 1);
	assert_int_equal(rig.bar[QUEUE_ENABLE], 1);
}

/* Wherever the device said was written to, up to 2^48 behind its registers. */
static void a_doorbell_outside_of_its_structure_is_refused(void **state)
{
	struct hvirtio_queue q;

	(void)state;
	assert_int_equal(queue_start(4, &q), -EPROTO);
	assert_int_equal(rig.bar[QUEUE_ENABLE], 0);
	capability(0x80, 2, NOTIFY_AT, 0x10, UINT32_MAX);
	assert_int_equal(queue_start(UINT16_MAX, &q), -EPROTO);
	capability(0x80, 2, NOTIFY_AT, 1, 0);
	assert_int_equal(queue_start(0, &q), -EPROTO);
}

static void all_doorbells_are_mapped(void **state)
{
	struct hvirtio_queue q;

	(void)state;
	capability(0x80, 2, NOTIFY_AT, 16 * PAGE, 4 * PAGE);
	assert_int_equal(queue_start(0, &q), 0);
	assert_int_equal(rig.mapped, NOTIFY_AT + 16 * PAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_queue_is_rung_at_its_doorbell, setup),
		cmocka_unit_test_setup(a_doorbell_outside_of_its_structure_is_refused, setup),
		cmocka_unit_test_setup(all_doorbells_are_mapped, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
