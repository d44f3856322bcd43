/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <errno.h>
#include <string.h>

#include "machine/pci_rig.h"

#define VECTORS 3U
#define CONTROL 0x42U
#define ENABLE	0x8000U
#define MASK	0x4000U

struct scene {
	struct rig rig;
	struct pci_dev dev; /* slot 1, MSI-X in BAR 1 */
	uint64_t table;
};

static void scene_init(struct scene *s)
{
	memset(s, 0, sizeof(*s));
	rig_init(&s->rig);
	pci_dev_init(&s->dev, &rig_dev_ops, &rig_ids);
	assert_int_equal(pci_msix_init(&s->dev, 1, VECTORS), 0);
	assert_int_equal(pci_add(&s->rig.pci, &s->dev, 1, NULL), 0);
	s->table = LAYOUT_PCI32;
}

static void entry_write(struct scene *s, unsigned vector, uint64_t addr, uint32_t data,
			uint32_t control)
{
	uint64_t at = s->table + vector * 16;

	bus_write(&s->rig.mmio, at, 4, addr & 0xffffffff);
	bus_write(&s->rig.mmio, at + 4, 4, addr >> 32);
	bus_write(&s->rig.mmio, at + 8, 8, data | (uint64_t)control << 32);
}

static void the_capability_says_where_the_table_is(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s);
	assert_int_equal(rig_in(&s.rig, 1, 0x34, 1), 0x40);
	assert_int_equal(rig_in(&s.rig, 1, 0x40, 4), 0x00020011);
	assert_int_equal(rig_in(&s.rig, 1, 0x44, 4), 1);
	assert_int_equal(rig_in(&s.rig, 1, 0x48, 4), 0x801);
	assert_int_equal(rig_in(&s.rig, 1, 0x14, 4), s.table);
	rig_out(&s.rig, 1, CONTROL, 2, 0xffff);
	assert_int_equal(rig_in(&s.rig, 1, CONTROL, 2), ENABLE | MASK | 2);
}

static void a_vector_is_sent_as_the_guest_wrote_it(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s);
	entry_write(&s, 1, UINT64_C(0x1fee00003), 0x4051, 0);
	assert_int_equal(bus_read(&s.rig.mmio, s.table + 16, 8), UINT64_C(0x1fee00000));
	assert_int_equal(bus_read(&s.rig.mmio, s.table + 24, 8), 0x4051);
	assert_int_equal(bus_read(&s.rig.mmio, s.table + 25, 1), 0x40);
	pci_msix_fire(&s.dev, 1); /* not enabled yet: as if it had not been */
	rig_out(&s.rig, 1, CONTROL, 2, ENABLE);
	assert_true(pci_msix_enabled(&s.dev));
	assert_int_equal(s.rig.n_msis, 0);
	pci_msix_fire(&s.dev, 1);
	assert_int_equal(s.rig.n_msis, 1);
	assert_int_equal(s.rig.msis[0].addr, UINT64_C(0x1fee00000));
	assert_int_equal(s.rig.msis[0].data, 0x4051);
	pci_msix_fire(&s.dev, VECTORS);
	pci_msix_fire(&s.dev, 0xffff); /* VIRTIO_MSI_NO_VECTOR */
	assert_int_equal(s.rig.n_msis, 1);
}

static void a_masked_vector_pends_until_unmasked(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s);
	rig_out(&s.rig, 1, CONTROL, 2, ENABLE);
	assert_int_equal(bus_read(&s.rig.mmio, s.table + 2 * 16 + 12, 4), 1); /* at reset */
	pci_msix_fire(&s.dev, 2);
	pci_msix_fire(&s.dev, 2);
	assert_int_equal(s.rig.n_msis, 0);
	assert_int_equal(bus_read(&s.rig.mmio, s.table + 0x800, 8), 4);
	bus_write(&s.rig.mmio, s.table + 0x800, 8, UINT64_MAX); /* read-only */
	assert_int_equal(bus_read(&s.rig.mmio, s.table + 0x800, 8), 4);
	entry_write(&s, 2, 0xfee00000, 7, 0);
	assert_int_equal(s.rig.n_msis, 1);
	assert_int_equal(s.rig.msis[0].data, 7);
	assert_int_equal(bus_read(&s.rig.mmio, s.table + 0x800, 8), 0);
}

static void the_function_mask_holds_all_back(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s);
	entry_write(&s, 0, 0xfee00000, 1, 0);
	entry_write(&s, 1, 0xfee00000, 2, 0);
	rig_out(&s.rig, 1, CONTROL, 2, ENABLE | MASK);
	pci_msix_fire(&s.dev, 0);
	pci_msix_fire(&s.dev, 1);
	pci_msix_fire(&s.dev, 2);
	assert_int_equal(s.rig.n_msis, 0);
	rig_out(&s.rig, 1, CONTROL + 1, 1, ENABLE >> 8);
	assert_int_equal(s.rig.n_msis, 2);
	assert_int_equal(bus_read(&s.rig.mmio, s.table + 0x800, 4), 4);
}

static void a_device_that_is_no_bus_master_writes_no_message(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s);
	entry_write(&s, 0, 0xfee00000, 1, 0);
	rig_out(&s.rig, 1, CONTROL, 2, ENABLE);
	rig_out(&s.rig, 1, 4, 2, 2);
	pci_msix_fire(&s.dev, 0);
	assert_int_equal(s.rig.n_msis, 0);
	rig_out(&s.rig, 1, 4, 2, 6);
	assert_int_equal(s.rig.n_msis, 1);
}

static void turning_it_off_forgets_what_pends(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s);
	rig_out(&s.rig, 1, CONTROL, 2, ENABLE | MASK);
	pci_msix_fire(&s.dev, 0);
	rig_out(&s.rig, 1, CONTROL, 2, 0);
	entry_write(&s, 0, 0xfee00000, 1, 0);
	rig_out(&s.rig, 1, CONTROL, 2, ENABLE);
	assert_int_equal(s.rig.n_msis, 0);
}

static void intx_is_silent_while_msix_is_on(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s);
	pci_intx_set(&s.dev, true);
	assert_true(s.rig.lines[17]);
	rig_out(&s.rig, 1, CONTROL, 2, ENABLE);
	assert_false(s.rig.lines[17]);
	rig_out(&s.rig, 1, CONTROL, 2, 0);
	assert_true(s.rig.lines[17]);
}

static void odd_accesses_read_parts_and_write_nothing(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s);
	entry_write(&s, 0, 0xfee00000, 0x11223344, 0);
	bus_write(&s.rig.mmio, s.table + 8, 2, 0);
	bus_write(&s.rig.mmio, s.table + 8, 1, 0);
	bus_write(&s.rig.mmio, s.table + 4, 8, 0);
	bus_write(&s.rig.mmio, s.table + 10, 4, 0);
	assert_int_equal(bus_read(&s.rig.mmio, s.table + 8, 4), 0x11223344);
	assert_int_equal(bus_read(&s.rig.mmio, s.table + 9, 2), 0x2233);
	assert_int_equal(bus_read(&s.rig.mmio, s.table + 6, 4), 0x33440000);
	/* Past the table, the pending bits and the BAR's end. */
	bus_write(&s.rig.mmio, s.table + VECTORS * 16, 8, UINT64_MAX);
	assert_int_equal(bus_read(&s.rig.mmio, s.table + VECTORS * 16, 8), 0);
	assert_int_equal(bus_read(&s.rig.mmio, s.table + 0x808, 8), 0);
	assert_int_equal(bus_read(&s.rig.mmio, s.table + 0xffc, 8), UINT64_C(0xffffffff00000000));
}

static void impossible_tables_are_refused(void **state)
{
	struct pci_dev dev;

	(void)state;
	pci_dev_init(&dev, &rig_dev_ops, &rig_ids);
	assert_int_equal(pci_msix_init(&dev, 0, 0), -EINVAL);
	assert_int_equal(pci_msix_init(&dev, 0, PCI_MSIX_VECTORS + 1), -EINVAL);
	assert_int_equal(pci_msix_init(&dev, 6, 1), -EINVAL);
	pci_bar_set(&dev, 0, &rig_bar_ops, NULL, 0x1000, false, false);
	assert_int_equal(pci_msix_init(&dev, 0, 1), -EINVAL);
	assert_int_equal(pci_msix_init(&dev, 1, PCI_MSIX_VECTORS), 0);
	assert_int_equal(pci_msix_init(&dev, 2, 1), -EINVAL); /* one is enough */
	pci_dev_init(&dev, &rig_dev_ops, &rig_ids);
	assert_int_equal(pci_cap_add(&dev, 9, 184), 0x40);
	assert_int_equal(pci_msix_init(&dev, 1, 1), -ENOSPC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_capability_says_where_the_table_is),
		cmocka_unit_test(a_vector_is_sent_as_the_guest_wrote_it),
		cmocka_unit_test(a_masked_vector_pends_until_unmasked),
		cmocka_unit_test(the_function_mask_holds_all_back),
		cmocka_unit_test(a_device_that_is_no_bus_master_writes_no_message),
		cmocka_unit_test(turning_it_off_forgets_what_pends),
		cmocka_unit_test(intx_is_silent_while_msix_is_on),
		cmocka_unit_test(odd_accesses_read_parts_and_write_nothing),
		cmocka_unit_test(impossible_tables_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
