/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <errno.h>
#include <string.h>

#include "base/core/macros.h"
#include "machine/pci_rig.h"

/* Slot 1: BAR 0 of 64 KiB, BAR 2 of 32 ports, BAR 4 of 1 GiB, 64 bits wide. Slot 2: BAR 0 of 64 KiB. */
struct scene {
	struct rig rig;
	struct pci_dev a, b;
	unsigned moves;
};

static void moved(struct pci_dev *dev, unsigned bar)
{
	struct scene *s = dev->slot == 1 ? container_of(dev, struct scene, a)
					 : container_of(dev, struct scene, b);

	(void)bar;
	s->moves++;
}

static const struct pci_dev_ops moved_ops = { .name = "moved", .bar_moved = moved };

static void scene_init(struct scene *s)
{
	memset(s, 0, sizeof(*s));
	rig_init(&s->rig);
	pci_dev_init(&s->a, &moved_ops, &rig_ids);
	pci_bar_set(&s->a, 0, &rig_bar_ops, NULL, 0x10000, false, false);
	pci_bar_set(&s->a, 2, &rig_bar_ops, NULL, 32, true, false);
	pci_bar_set(&s->a, 4, &rig_bar_ops, NULL, 1 << 30, false, true);
	s->a.bars[4].prefetchable = true;
	pci_dev_init(&s->b, &moved_ops, &rig_ids);
	pci_bar_set(&s->b, 0, &rig_bar_ops, NULL, 0x10000, false, false);
	assert_int_equal(pci_add(&s->rig.pci, &s->a, 1, NULL), 0);
	assert_int_equal(pci_add(&s->rig.pci, &s->b, 2, NULL), 0);
	assert_int_equal(s->moves, 4);
}

static bool answers(struct scene *s, uint64_t addr)
{
	return bus_read(&s->rig.mmio, addr + 5, 1) == 0x45;
}

static void bars_are_placed_and_decoded_at_start(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s);
	assert_int_equal(rig_in(&s.rig, 1, 0x10, 4), LAYOUT_PCI32);
	assert_int_equal(rig_in(&s.rig, 1, 0x18, 4), PORT_PCI_BARS | 1);
	assert_int_equal(rig_in(&s.rig, 1, 0x20, 4), 0xc);
	assert_int_equal(rig_in(&s.rig, 1, 0x24, 4), LAYOUT_PCI64 >> 32);
	assert_int_equal(rig_in(&s.rig, 2, 0x10, 4), LAYOUT_PCI32 + 0x10000);
	assert_int_equal(rig_in(&s.rig, 1, 4, 2), 7);
	assert_true(answers(&s, LAYOUT_PCI32));
	assert_true(answers(&s, LAYOUT_PCI64));
	assert_int_equal(bus_read(&s.rig.pio, PORT_PCI_BARS + 3, 1), 0x43);
	assert_true(s.a.bars[0].mapped);
	assert_ptr_equal(s.a.bars[0].dev, &s.a);
}

static void sizing_shows_the_size(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s);
	rig_out(&s.rig, 1, 4, 2, 0);
	for (unsigned i = 0; i < 6; i++)
		rig_out(&s.rig, 1, 0x10 + 4 * i, 4, 0xffffffff);
	assert_int_equal(rig_in(&s.rig, 1, 0x10, 4), 0xffff0000);
	assert_int_equal(rig_in(&s.rig, 1, 0x14, 4), 0);
	assert_int_equal(rig_in(&s.rig, 1, 0x18, 4), 0xffe1);
	assert_int_equal(rig_in(&s.rig, 1, 0x20, 4), 0xc000000c);
	assert_int_equal(rig_in(&s.rig, 1, 0x24, 4), 0xffffffff);
	rig_out(&s.rig, 1, 0x30, 4, 0xffffffff);
	assert_int_equal(rig_in(&s.rig, 1, 0x30, 4), 0); /* no ROM */
}

static void a_bar_moves_where_the_guest_says(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s);
	rig_out(&s.rig, 1, 0x10, 4, 0xd0000000);
	assert_true(answers(&s, 0xd0000000));
	assert_false(answers(&s, LAYOUT_PCI32));
	assert_int_equal(s.moves, 6);
	assert_int_equal(s.a.bars[0].region.base, 0xd0000000);
	rig_out(&s.rig, 1, 0x24, 4, 0x41);
	assert_true(answers(&s, UINT64_C(0x4100000000)));
	/* 64 bits wide, but below 4 GiB. */
	rig_out(&s.rig, 1, 0x20, 4, 0xc0000000);
	rig_out(&s.rig, 1, 0x24, 4, 0);
	assert_false(answers(&s, UINT64_C(0x4100000000)));
	assert_false(s.a.bars[4].mapped); /* BAR 0 of slot 2 is there, and BAR 0 of slot 1 */
	rig_out(&s.rig, 1, 0x18, 2, 0xd000);
	assert_int_equal(bus_read(&s.rig.pio, 0xd003, 1), 0x43);
}

static void the_decode_bits_count_each_for_its_space(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s);
	rig_out(&s.rig, 1, 4, 2, 1);
	assert_false(answers(&s, LAYOUT_PCI32));
	assert_int_equal(bus_read(&s.rig.pio, PORT_PCI_BARS + 3, 1), 0x43);
	rig_out(&s.rig, 1, 4, 2, 2);
	assert_true(answers(&s, LAYOUT_PCI32));
	assert_int_equal(bus_read(&s.rig.pio, PORT_PCI_BARS + 3, 1), 0xff);
}

static void a_bar_on_top_of_another_waits_until_it_leaves(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s);
	rig_out(&s.rig, 1, 0x10, 4, LAYOUT_PCI32 + 0x10000);
	assert_false(s.a.bars[0].mapped);
	assert_true(s.b.bars[0].mapped);
	assert_true(answers(&s, LAYOUT_PCI32 + 0x10000));
	rig_out(&s.rig, 2, 0x10, 4, 0xe0000000);
	assert_true(s.a.bars[0].mapped);
	assert_true(answers(&s, LAYOUT_PCI32 + 0x10000));
	assert_true(answers(&s, 0xe0000000));
}

static void bars_outside_the_windows_are_not_decoded(void **state)
{
	static const uint32_t bad[] = {
		0,	    0x100000,	LAYOUT_ECAM,	    0xbfff0000,		  LAYOUT_PCI32_END,
		0xfec00000, 0xfee00000, LAYOUT_PCI32 - 0x8, LAYOUT_PCI32 - 0x100, 0xffff0000,
	};
	struct scene s;

	(void)state;
	scene_init(&s);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		rig_out(&s.rig, 1, 0x10, 4, bad[i]);
		assert_false(s.a.bars[0].mapped);
	}
	rig_out(&s.rig, 1, 0x10, 4, LAYOUT_PCI32_END - 0x10000);
	assert_true(s.a.bars[0].mapped);
	rig_out(&s.rig, 1, 0x24, 4, 0xffffffff);
	assert_false(s.a.bars[4].mapped);
	rig_out(&s.rig, 1, 0x24, 4, 0x4f);
	rig_out(&s.rig, 1, 0x20, 4, 0xc0000000);
	assert_true(s.a.bars[4].mapped); /* the last GiB of the window */
	rig_out(&s.rig, 1, 0x24, 4, 0x50);
	assert_false(s.a.bars[4].mapped);
	rig_out(&s.rig, 1, 0x18, 4, 0x60); /* on the keyboard controller */
	assert_false(s.a.bars[2].mapped);
	rig_out(&s.rig, 1, 0x18, 4, 0xffe0);
	assert_true(s.a.bars[2].mapped);
}

static void a_bar_that_cannot_be_is_refused(void **state)
{
	static const struct {
		unsigned bar;
		uint64_t size;
		bool is_port, is_64bit;
	} bad[] = {
		{ 6, 0x1000, false, false },
		{ 5, 0x1000, false, true },
		{ 0, 8, false, false },
		{ 0, 0, false, false },
		{ 0, 24, false, false },
		{ 0, 2, true, false },
		{ 0, 512, true, false },
		{ 0, 32, true, true },
		{ 0, UINT64_C(1) << 32, false, false },
		{ 0, UINT64_C(1) << 37, false, true },
		{ 3, 0x1000, false, false },
		{ 1, 0x1000, false, true },
		{ 2, 0x1000, false, true },
	};
	struct rig rig;

	(void)state;
	rig_init(&rig);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		struct pci_dev dev;
		struct err err = { 0 };
		pci_dev_init(&dev, &rig_dev_ops, &rig_ids);
		pci_bar_set(&dev, 2, &rig_bar_ops, NULL, 0x1000, false, true);
		pci_bar_set(&dev, bad[i].bar, &rig_bar_ops, NULL, bad[i].size, bad[i].is_port,
			    bad[i].is_64bit);
		assert_int_equal(pci_add(&rig.pci, &dev, -1, &err), -EINVAL);
		assert_string_equal(err.text, "add PCI device rig: a BAR of it cannot be");
	}
}

static void a_window_that_is_full_leaves_nothing_half_placed(void **state)
{
	struct rig rig;
	struct pci_dev dev;

	(void)state;
	rig_init(&rig);
	pci_dev_init(&dev, &rig_dev_ops, &rig_ids);
	pci_bar_set(&dev, 0, &rig_bar_ops, NULL, 16, false, false);
	pci_bar_set(&dev, 1, &rig_bar_ops, NULL, UINT64_C(1) << 31, false, false);
	assert_int_equal(pci_add(&rig.pci, &dev, -1, NULL), -ENOSPC);
	assert_int_equal(rig.pci.next_mmio32, LAYOUT_PCI32);
	assert_null(rig.pci.slots[1]);
	assert_int_equal(rig.mmio.n, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bars_are_placed_and_decoded_at_start),
		cmocka_unit_test(sizing_shows_the_size),
		cmocka_unit_test(a_bar_moves_where_the_guest_says),
		cmocka_unit_test(the_decode_bits_count_each_for_its_space),
		cmocka_unit_test(a_bar_on_top_of_another_waits_until_it_leaves),
		cmocka_unit_test(bars_outside_the_windows_are_not_decoded),
		cmocka_unit_test(a_bar_that_cannot_be_is_refused),
		cmocka_unit_test(a_window_that_is_full_leaves_nothing_half_placed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
