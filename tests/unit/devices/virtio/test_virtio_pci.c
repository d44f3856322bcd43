/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio/driver.h"

#include "scratch.h"

#include <errno.h>
#include <string.h>

#include "base/core/bytes.h"
#include "base/core/macros.h"
#include "devices/virtio/virtio_dev.h"
#include "machine/layout.h"

/* A device that gives every chain back, and keeps those of queue 1 as if a back end had them. */
struct echo {
	struct virtio_dev virtio;
	uint8_t config[6];
	unsigned starts, resets, handled;
	uint16_t held;
};

static struct echo *echo_of(struct virtio_dev *dev)
{
	return container_of(dev, struct echo, virtio);
}

static int echo_handle(struct virtio_dev *dev, uint16_t queue)
{
	struct chain chain;
	int r;

	while ((r = virtq_pop(&dev->queues[queue], &chain)) > 0) {
		echo_of(dev)->handled++;
		if (queue == 1) {
			virtio_begin(dev);
			echo_of(dev)->held = chain.head;
			continue;
		}
		virtq_put(&dev->queues[queue], chain.head, 1);
	}
	virtio_signal(dev, queue);
	return r;
}

static void echo_start(struct virtio_dev *dev)
{
	echo_of(dev)->starts++;
}

static void echo_reset(struct virtio_dev *dev)
{
	echo_of(dev)->resets++;
}

static bool echo_features_ok(struct virtio_dev *dev, uint64_t features)
{
	(void)dev;
	return !(features & FEATURE(1)) || features & FEATURE(0); /* 1 needs 0 */
}

static void echo_config_write(struct virtio_dev *dev, unsigned offset, const void *data,
			      unsigned len)
{
	memcpy(&echo_of(dev)->config[offset], data, len);
}

static const struct virtio_dev_ops echo_ops = {
	.name = "echo",
	.device_id = 42,
	.class_code = 0x00ff00,
	.handle = echo_handle,
	.start = echo_start,
	.reset = echo_reset,
	.features_ok = echo_features_ok,
	.config_write = echo_config_write,
};

struct scene {
	struct rig rig;
	struct echo echo;
};

static struct scene *scene_new(void)
{
	struct scene *s = test_calloc(1, sizeof(*s));

	assert_true(rig_init(&s->rig));
	virtio_dev_init(&s->echo.virtio, &echo_ops, &s->rig.place, 7, 2, 16, s->echo.config,
			sizeof(s->echo.config));
	memcpy(s->echo.config, "config", 6);
	assert_true(rig_attach(&s->rig, &s->echo.virtio));
	return s;
}

static void scene_free(struct scene *s)
{
	rig_fini(&s->rig);
	test_free(s);
}

static const uint64_t usual = F_VERSION_1 | F_EVENT_IDX | F_INDIRECT;

static void one_chain(struct scene *s, uint16_t queue)
{
	const struct rig_buf buf = { RIG_DATA_GPA, 8, true };

	rig_add(&s->rig, queue, &buf, 1, false);
	rig_kick(&s->rig, queue);
	rig_run(&s->rig);
}

static void device_is_found_by_its_numbers(void **state)
{
	struct scene *s = scene_new();

	(void)state;
	assert_int_equal(rig_config_in(&s->rig, 0, 4), 0x106a1af4);
	assert_int_equal(rig_config_in(&s->rig, 8, 1), 1);
	assert_int_equal(s->rig.notify_step, 4);
	assert_int_equal(rig_common(&s->rig, CC_NUM_QUEUES, 2), 2);
	assert_int_equal(rig_common(&s->rig, CC_QUEUE_SIZE, 2), 16);
	rig_common_set(&s->rig, CC_QUEUE_SELECT, 2, 2);
	assert_int_equal(rig_common(&s->rig, CC_QUEUE_SIZE, 2), 0);
	rig_common_set(&s->rig, CC_QUEUE_SELECT, 2, 1);
	assert_int_equal(rig_common(&s->rig, CC_QUEUE_NOTIFY_OFF, 2), 1);
	assert_int_equal(rig_dev_config(&s->rig, 0, 4), le32_load("conf"));
	assert_int_equal(rig_dev_config(&s->rig, 4, 8), le16_load("ig"));
	scene_free(s);
}

static void driver_starts_kicks_and_is_interrupted(void **state)
{
	struct scene *s = scene_new();
	uint32_t head, len;

	(void)state;
	assert_true(rig_start(&s->rig, usual, 2, 16));
	assert_int_equal(s->echo.starts, 1);
	one_chain(s, 0);
	assert_true(rig_used(&s->rig, 0, &head, &len));
	assert_true(s->rig.line_level);
	assert_int_equal(bus_read(&s->rig.mmio, s->rig.isr, 1), 1);
	assert_false(s->rig.line_level);
	assert_int_equal(bus_read(&s->rig.mmio, s->rig.isr, 1), 0);
	scene_free(s);
}

static void msix_has_a_vector_a_queue(void **state)
{
	struct scene *s = scene_new();

	(void)state;
	assert_true(rig_features(&s->rig, usual));
	rig_queue_setup(&s->rig, 0, 16);
	rig_msix_on(&s->rig);
	rig_driver_ok(&s->rig);
	one_chain(s, 0);
	assert_int_equal(s->rig.msis[0], 1);
	lock_acquire(&s->echo.virtio.lock);
	virtio_config_changed(&s->echo.virtio);
	lock_release(&s->echo.virtio.lock);
	assert_int_equal(s->rig.msis[2], 1);
	assert_false(s->rig.line_level);
	assert_int_equal(rig_common(&s->rig, CC_GENERATION, 1), 1);
	scene_free(s);
}

static void vector_that_is_not_there_reads_back_as_none(void **state)
{
	struct scene *s = scene_new();

	(void)state;
	rig_common_set(&s->rig, CC_CONFIG_VECTOR, 2, 3);
	assert_int_equal(rig_common(&s->rig, CC_CONFIG_VECTOR, 2), 0xffff);
	rig_common_set(&s->rig, CC_CONFIG_VECTOR, 2, 2);
	assert_int_equal(rig_common(&s->rig, CC_CONFIG_VECTOR, 2), 2);
	rig_common_set(&s->rig, CC_QUEUE_VECTOR, 2, 0x1000);
	assert_int_equal(rig_common(&s->rig, CC_QUEUE_VECTOR, 2), 0xffff);
	scene_free(s);
}

static void features_that_do_not_hold_are_refused(void **state)
{
	struct scene *s = scene_new();

	(void)state;
	assert_int_equal(rig_offered(&s->rig), usual | 7);
	assert_false(rig_features(&s->rig, F_EVENT_IDX));	       /* no VERSION_1 */
	assert_false(rig_features(&s->rig, F_VERSION_1 | FEATURE(9))); /* not offered */
	assert_false(rig_features(&s->rig, F_VERSION_1 | FEATURE(1))); /* without what it needs */
	rig_common_set(&s->rig, CC_STATUS, 1, 15);
	assert_false(rig_status(&s->rig) & ST_DRIVER_OK);
	assert_true(rig_features(&s->rig, F_VERSION_1 | 3));
	/* And they are fixed now. */
	rig_common_set(&s->rig, CC_DRIVER_FEATURE, 4, 0);
	assert_int_equal(s->echo.virtio.accepted, F_VERSION_1 | 3);
	scene_free(s);
}

static void reset_waits_for_what_is_under_way(void **state)
{
	struct scene *s = scene_new();
	struct virtio_dev *dev = &s->echo.virtio;

	(void)state;
	assert_true(rig_start(&s->rig, usual, 2, 16));
	one_chain(s, 1);
	one_chain(s, 1);
	assert_false(rig_reset(&s->rig));
	assert_int_equal(s->echo.resets, 0);
	one_chain(s, 0); /* queues are silent meanwhile */
	assert_int_equal(s->echo.handled, 2);
	rig_common_set(&s->rig, CC_STATUS, 1, 1);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_not_equal(rig_status(&s->rig), 0);
		lock_acquire(&dev->lock);
		virtio_end(dev);
		lock_release(&dev->lock);
	}
	assert_int_equal(rig_status(&s->rig), 0);
	assert_int_equal(s->echo.resets, 1);
	assert_int_equal(rig_common(&s->rig, CC_QUEUE_ENABLE, 2), 0);
	assert_true(rig_start(&s->rig, usual, 1, 8));
	one_chain(s, 0);
	assert_int_equal(s->echo.handled, 3);
	scene_free(s);
}

static void broken_ring_asks_for_a_reset(void **state)
{
	struct scene *s = scene_new();

	(void)state;
	assert_true(rig_start(&s->rig, usual, 2, 16));
	rig_avail(&s->rig, 0, 77);
	rig_kick(&s->rig, 0);
	rig_run(&s->rig);
	assert_true(rig_status(&s->rig) & ST_NEEDS_RESET);
	assert_true(virtio_needs_reset(&s->echo.virtio));
	assert_int_equal(bus_read(&s->rig.mmio, s->rig.isr, 1), 2);
	one_chain(s, 1); /* nothing is served until the reset */
	assert_int_equal(s->echo.handled, 0);
	assert_true(rig_start(&s->rig, usual, 2, 16));
	one_chain(s, 0);
	assert_int_equal(s->echo.handled, 1);
	scene_free(s);
}

static void queue_outside_memory_breaks_the_device(void **state)
{
	struct scene *s = scene_new();

	(void)state;
	assert_true(rig_features(&s->rig, usual));
	rig_common_set(&s->rig, CC_QUEUE_DESC, 8, UINT64_C(1) << 60);
	rig_common_set(&s->rig, CC_QUEUE_ENABLE, 2, 1);
	assert_int_equal(rig_common(&s->rig, CC_QUEUE_ENABLE, 2), 0);
	assert_true(rig_status(&s->rig) & ST_NEEDS_RESET);
	scene_free(s);
}

static void queue_is_frozen_once_enabled(void **state)
{
	struct scene *s = scene_new();

	(void)state;
	rig_common_set(&s->rig, CC_QUEUE_ENABLE, 2, 1); /* too early */
	assert_int_equal(rig_common(&s->rig, CC_QUEUE_ENABLE, 2), 0);
	assert_true(rig_features(&s->rig, usual));
	rig_queue_setup(&s->rig, 0, 16);
	rig_common_set(&s->rig, CC_QUEUE_SIZE, 2, 4);
	rig_common_set(&s->rig, CC_QUEUE_DESC + 4, 4, 1);
	assert_int_equal(rig_common(&s->rig, CC_QUEUE_SIZE, 2), 16);
	assert_int_equal(rig_common(&s->rig, CC_QUEUE_DESC, 8), s->rig.queues[0].desc);
	assert_int_equal(rig_common(&s->rig, CC_QUEUE_DESC, 4), (uint32_t)s->rig.queues[0].desc);
	scene_free(s);
}

static void accesses_of_the_wrong_width_do_nothing(void **state)
{
	struct scene *s = scene_new();

	(void)state;
	rig_common_set(&s->rig, CC_STATUS, 4, 3);
	rig_common_set(&s->rig, CC_QUEUE_SIZE, 1, 3);
	rig_common_set(&s->rig, 200, 4, 3);
	assert_int_equal(rig_status(&s->rig), 0);
	assert_int_equal(rig_common(&s->rig, CC_QUEUE_SIZE, 2), 16);
	assert_int_equal(rig_common(&s->rig, CC_NUM_QUEUES, 1), 0);
	assert_int_equal(rig_common(&s->rig, CC_QUEUE_DESC + 2, 4), 0);
	assert_int_equal(rig_common(&s->rig, 4000, 8), 0);
	rig_kick(&s->rig, 900);
	assert_int_equal(s->rig.kicks, 0);
	scene_free(s);
}

/* 4.1.4.9: the whole device through configuration space. */
static void configuration_access_reaches_the_bar(void **state)
{
	struct scene *s = scene_new();
	const unsigned cap = s->rig.access_cap;

	(void)state;
	rig_config_out(&s->rig, cap + 8, 4, VIRTIO_PCI_DEVICE);
	rig_config_out(&s->rig, cap + 12, 4, 2);
	assert_int_equal(rig_config_in(&s->rig, cap + 16, 2), le16_load("co"));
	rig_config_out(&s->rig, cap + 16, 2, le16_load("CO"));
	assert_memory_equal(s->echo.config, "COnfig", 6);
	rig_config_out(&s->rig, cap + 8, 4, CC_STATUS);
	rig_config_out(&s->rig, cap + 12, 4, 1);
	rig_config_out(&s->rig, cap + 16, 4, 0xabcdef03);
	assert_int_equal(rig_status(&s->rig), 3);
	rig_config_out(&s->rig, cap + 8, 4, VIRTIO_PCI_NOTIFY + 4);
	rig_config_out(&s->rig, cap + 12, 4, 2);
	rig_config_out(&s->rig, cap + 16, 2, 1);
	assert_int_equal(s->rig.kicks, 2);
	/* Nonsense is ignored. */
	static const struct {
		uint32_t bar, offset, len;
	} bad[] = { { 1, 0, 4 }, { 0, VIRTIO_PCI_BAR_BYTES, 4 },
		    { 0, 2, 4 }, { 0, 0, 3 },
		    { 0, 0, 0 }, { 0, UINT32_MAX, 1 } };
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		rig_config_out(&s->rig, cap + 4, 1, bad[i].bar);
		rig_config_out(&s->rig, cap + 8, 4, bad[i].offset);
		rig_config_out(&s->rig, cap + 12, 4, bad[i].len);
		rig_config_out(&s->rig, cap + 16, 4, 0x12345678);
		assert_int_equal(rig_config_in(&s->rig, cap + 16, 4), 0x12345678);
	}
	scene_free(s);
}

static void moved_doorbells_are_told(void **state)
{
	struct scene *s = scene_new();

	(void)state;
	assert_int_equal(virtio_pci_doorbell(&s->echo.virtio, 1), s->rig.notify + 4);
	assert_int_equal(s->rig.n_moves, 1); /* by the bus, when it placed the BAR */
	rig_config_out(&s->rig, 0x10, 4, 0xd0000000);
	assert_int_equal(s->rig.n_moves, 3); /* off, and on */
	assert_int_equal(virtio_pci_doorbell(&s->echo.virtio, 1), 0xd0003004);
	rig_config_out(&s->rig, 4, 2, 0);
	assert_int_equal(s->rig.n_moves, 4);
	assert_int_equal(virtio_pci_doorbell(&s->echo.virtio, 1), 0);
	rig_config_out(&s->rig, 0x3c, 1,
		       5); /* anything else of its configuration, its other BAR too */
	rig_config_out(&s->rig, 0x14, 4, 0xd0010000);
	assert_int_equal(s->rig.n_moves, 4);
	scene_free(s);
}

static uint64_t other_read(struct bus_region *region, uint64_t offset, unsigned len)
{
	(void)region;
	(void)offset;
	(void)len;
	return 0;
}

static void other_write(struct bus_region *region, uint64_t offset, unsigned len, uint64_t value)
{
	(void)region;
	(void)offset;
	(void)len;
	(void)value;
}

static void doorbells_that_another_bar_made_room_for_are_told(void **state)
{
	static const struct bus_ops other_ops = { .name = "other",
						  .read = other_read,
						  .write = other_write };
	static const struct pci_dev_ops other_pci_ops = { .name = "other" };
	const struct pci_ids ids = { .vendor = 1, .device = 2 };
	const uint64_t other_config = LAYOUT_ECAM + (4 << 15);
	struct scene *s = scene_new();
	struct pci_dev *other = test_calloc(1, sizeof(*other));

	(void)state;
	pci_dev_init(other, &other_pci_ops, &ids);
	pci_bar_set(other, 0, &other_ops, NULL, VIRTIO_PCI_BAR_BYTES, false, false);
	assert_int_equal(pci_add(&s->rig.pci, other, 4, NULL), 0);
	const uint64_t taken = other->bars[0].region.base;

	s->rig.n_moves = 0;
	rig_config_out(&s->rig, 0x10, 4, (uint32_t)taken);
	assert_int_equal(s->rig.n_moves, 1); /* off: somebody is there */
	assert_int_equal(virtio_pci_doorbell(&s->echo.virtio, 0), 0);
	bus_write(&s->rig.mmio, other_config + 0x10, 4, 0xd0000000);
	assert_int_equal(s->rig.n_moves, 2);
	assert_int_equal(virtio_pci_doorbell(&s->echo.virtio, 0), taken + VIRTIO_PCI_NOTIFY);
	scene_free(s);
	test_free(other);
}

static void configuration_writes_end_at_its_end(void **state)
{
	struct scene *s = scene_new();

	(void)state;
	bus_write(&s->rig.mmio, s->rig.config + 4, 4, 0); /* two bytes too many */
	bus_write(&s->rig.mmio, s->rig.config + 6, 1, 0);
	assert_memory_equal(s->echo.config, "config", 6);
	scene_free(s);
}

static void stop_is_a_reset_by_the_host(void **state)
{
	struct scene *s = scene_new();

	(void)state;
	assert_true(rig_start(&s->rig, usual, 2, 16));
	one_chain(s, 1);
	assert_false(virtio_stop(&s->echo.virtio));
	lock_acquire(&s->echo.virtio.lock);
	virtio_end(&s->echo.virtio);
	lock_release(&s->echo.virtio.lock);
	assert_true(virtio_stop(&s->echo.virtio));
	assert_int_equal(s->echo.resets, 1);
	scene_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(device_is_found_by_its_numbers),
		cmocka_unit_test(driver_starts_kicks_and_is_interrupted),
		cmocka_unit_test(msix_has_a_vector_a_queue),
		cmocka_unit_test(vector_that_is_not_there_reads_back_as_none),
		cmocka_unit_test(features_that_do_not_hold_are_refused),
		cmocka_unit_test(reset_waits_for_what_is_under_way),
		cmocka_unit_test(broken_ring_asks_for_a_reset),
		cmocka_unit_test(queue_outside_memory_breaks_the_device),
		cmocka_unit_test(queue_is_frozen_once_enabled),
		cmocka_unit_test(accesses_of_the_wrong_width_do_nothing),
		cmocka_unit_test(configuration_access_reaches_the_bar),
		cmocka_unit_test(moved_doorbells_are_told),
		cmocka_unit_test(doorbells_that_another_bar_made_room_for_are_told),
		cmocka_unit_test(configuration_writes_end_at_its_end),
		cmocka_unit_test(stop_is_a_reset_by_the_host),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
