/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <errno.h>
#include <string.h>

#include "base/core/macros.h"
#include "machine/pci_rig.h"

static void host_bridge_is_in_slot_0(void **state)
{
	struct rig rig;

	(void)state;
	rig_init(&rig);
	assert_int_equal(rig_in(&rig, 0, 0, 4), 0x00081b36);
	assert_int_equal(rig_in(&rig, 0, 8, 4) >> 8, 0x060000);
	assert_int_equal(rig_in(&rig, 0, 0x3d, 1), 0); /* no interrupt pin */
	assert_int_equal(bus_read(&rig.mmio, LAYOUT_ECAM, 4), 0x00081b36);
	/* Header type and first BAR. */
	assert_int_equal(bus_read(&rig.mmio, LAYOUT_ECAM + 0xc, 8), 0);
}

static void bytes_words_and_dwords_are_parts_of_one_another(void **state)
{
	struct rig rig;
	struct pci_dev dev;

	(void)state;
	rig_init(&rig);
	pci_dev_init(&dev, &rig_dev_ops, &rig_ids);
	assert_int_equal(pci_add(&rig.pci, &dev, 3, NULL), 0);
	assert_int_equal(rig_in(&rig, 3, 0, 2), 0x1af4);
	assert_int_equal(rig_in(&rig, 3, 1, 1), 0x1a);
	assert_int_equal(rig_in(&rig, 3, 2, 2), 0x1042);
	assert_int_equal(rig_in(&rig, 3, 3, 1), 0x10);
	assert_int_equal(rig_in(&rig, 3, 8, 4), 0x01800001);
	assert_int_equal(rig_in(&rig, 3, 0x2c, 4), 0x11001af4);
	assert_int_equal(bus_read(&rig.mmio, rig_ecam(3, 0x2e), 2), 0x1100);
	assert_int_equal(bus_read(&rig.mmio, rig_ecam(3, 1), 1), 0x1a);
	assert_int_equal(bus_read(&rig.mmio, rig_ecam(3, 0), 8), 0x0000000710421af4);

	rig_out(&rig, 3, 0x3c, 1, 0x5a);
	assert_int_equal(rig_in(&rig, 3, 0x3c, 2), 0x015a); /* the pin is read-only */
	bus_write(&rig.mmio, rig_ecam(3, 0x3c), 4, 0xffffffff);
	assert_int_equal(rig_in(&rig, 3, 0x3c, 4), 0x01ff);
}

static void nobody_reads_as_all_ones(void **state)
{
	struct rig rig;

	(void)state;
	rig_init(&rig);
	assert_int_equal(rig_in(&rig, 5, 0, 4), 0xffffffff);
	assert_int_equal(rig_in(&rig, 5, 0, 2), 0xffff);
	assert_int_equal(bus_read(&rig.mmio, rig_ecam(5, 0), 4), 0xffffffff);
	/* Function 1, and bus 1. */
	assert_int_equal(bus_read(&rig.mmio, LAYOUT_ECAM + 0x1000, 4), 0xffffffff);
	assert_int_equal(bus_read(&rig.mmio, LAYOUT_ECAM + 0x100000, 4), 0xffffffff);
	bus_write(&rig.pio, PORT_PCI_ADDRESS, 4, 0x80000100);
	assert_int_equal(bus_read(&rig.pio, PORT_PCI_DATA, 4), 0xffffffff);
	bus_write(&rig.pio, PORT_PCI_ADDRESS, 4, 0x80010000);
	assert_int_equal(bus_read(&rig.pio, PORT_PCI_DATA, 4), 0xffffffff);
	/* Not enabled. */
	bus_write(&rig.pio, PORT_PCI_ADDRESS, 4, 0);
	assert_int_equal(bus_read(&rig.pio, PORT_PCI_DATA, 4), 0xffffffff);
	bus_write(&rig.pio, PORT_PCI_DATA, 4, 0);
	bus_write(&rig.mmio, rig_ecam(5, 0), 4, 0);
}

static void only_dwords_reach_the_address_register(void **state)
{
	struct rig rig;

	(void)state;
	rig_init(&rig);
	bus_write(&rig.pio, PORT_PCI_ADDRESS, 4, 0xffffffff);
	assert_int_equal(bus_read(&rig.pio, PORT_PCI_ADDRESS, 4), 0x80fffffc);
	bus_write(&rig.pio, PORT_PCI_ADDRESS + 3, 1, 1);
	bus_write(&rig.pio, PORT_PCI_ADDRESS, 2, 0);
	assert_int_equal(bus_read(&rig.pio, PORT_PCI_ADDRESS, 4), 0x80fffffc);
	assert_int_equal(bus_read(&rig.pio, PORT_PCI_ADDRESS, 2), 0xffff);
}

struct reset_port {
	struct bus_region region;
	uint64_t offset, value;
	unsigned len;
};

static uint64_t reset_port_read(struct bus_region *region, uint64_t offset, unsigned len)
{
	(void)region;
	return 0x60 + offset + len;
}

static void reset_port_write(struct bus_region *region, uint64_t offset, unsigned len,
			     uint64_t value)
{
	struct reset_port *port = container_of(region, struct reset_port, region);

	port->offset = offset;
	port->len = len;
	port->value = value;
}

static void the_byte_cf9_is_the_reset_port(void **state)
{
	static const struct bus_ops ops = { .read = reset_port_read, .write = reset_port_write };
	struct lock lock = { 0 };
	struct reset_port port = { .region = { .ops = &ops, .lock = &lock }, .offset = 9 };
	struct rig rig;

	(void)state;
	rig_init(&rig);
	assert_int_equal(bus_read(&rig.pio, PORT_RESET, 1), 0xff);
	bus_write(&rig.pio, PORT_RESET, 1, 6);
	pci_reset_port(&rig.pci, &port.region);
	bus_write(&rig.pio, PORT_RESET, 1, 6);
	assert_int_equal(port.offset, 0);
	assert_int_equal(port.len, 1);
	assert_int_equal(port.value, 6);
	assert_int_equal(bus_read(&rig.pio, PORT_RESET, 1), 0x61);
	assert_int_equal(rig_in(&rig, 0, 0, 4), 0x00081b36); /* the dword around it still works */
}

static void past_256_bytes_is_zero_and_stays_zero(void **state)
{
	struct rig rig;

	(void)state;
	rig_init(&rig);
	bus_write(&rig.mmio, LAYOUT_ECAM + 0x100, 4, 0xffffffff);
	assert_int_equal(bus_read(&rig.mmio, LAYOUT_ECAM + 0x100, 4), 0);
	assert_int_equal(bus_read(&rig.mmio, LAYOUT_ECAM + 0xffc, 8), 0);
	bus_write(&rig.mmio, LAYOUT_ECAM + 0xfc, 8, UINT64_MAX);
	assert_int_equal(bus_read(&rig.mmio, LAYOUT_ECAM + 0xfc, 8), 0);
}

static void capabilities_form_a_list(void **state)
{
	struct rig rig;
	struct pci_dev dev;

	(void)state;
	rig_init(&rig);
	pci_dev_init(&dev, &rig_dev_ops, &rig_ids);
	assert_int_equal(pci_cap_add(&dev, 9, 16), 0x40);
	assert_int_equal(pci_cap_add(&dev, 9, 21), 0x50);
	assert_int_equal(pci_cap_add(&dev, 5, 2), 0x68);
	assert_int_equal(pci_add(&rig.pci, &dev, -1, NULL), 0);
	assert_int_equal(dev.slot, 1);
	assert_int_equal(rig_in(&rig, 1, 6, 2) & 0x10, 0x10);
	assert_int_equal(rig_in(&rig, 1, 0x34, 1), 0x40);
	assert_int_equal(rig_in(&rig, 1, 0x40, 2), 0x5009);
	assert_int_equal(rig_in(&rig, 1, 0x50, 2), 0x6809);
	assert_int_equal(rig_in(&rig, 1, 0x68, 2), 0x0005);
}

static void capabilities_fill_the_space_and_no_more(void **state)
{
	struct pci_dev dev;

	(void)state;
	pci_dev_init(&dev, &rig_dev_ops, &rig_ids);
	for (int i = 0; i < 12; i++)
		assert_int_equal(pci_cap_add(&dev, 9, 16), 0x40 + 16 * i);
	assert_int_equal(pci_cap_add(&dev, 9, 2), -ENOSPC);
	pci_dev_init(&dev, &rig_dev_ops, &rig_ids);
	assert_int_equal(pci_cap_add(&dev, 9, 193), -ENOSPC);
	assert_int_equal(pci_cap_add(&dev, 9, 1), -ENOSPC);
	assert_int_equal(pci_cap_add(&dev, 9, 192), 0x40);
	assert_int_equal(pci_cap_add(&dev, 9, 2), -ENOSPC);
}

static void slots_run_out_with_one_line(void **state)
{
	struct rig rig;
	struct pci_dev devs[PCI_SLOTS];
	struct err err = { 0 };

	(void)state;
	rig_init(&rig);
	for (unsigned i = 0; i < PCI_SLOTS; i++)
		pci_dev_init(&devs[i], &rig_dev_ops, &rig_ids);
	for (unsigned i = 1; i < PCI_SLOTS; i++)
		assert_int_equal(pci_add(&rig.pci, &devs[i], -1, &err), 0);
	assert_int_equal(pci_add(&rig.pci, &devs[0], -1, &err), -ENOSPC);
	assert_string_equal(err.text, "add PCI device rig: no room is left on the bus");
	assert_int_equal(pci_add(&rig.pci, &devs[0], 4, &err), -EEXIST);
	assert_int_equal(pci_add(&rig.pci, &devs[0], 32, &err), -ENOSPC);
}

/* Slots 2, 10, 18 and 26 share GSI 18. */
static void a_shared_line_is_up_while_one_holds_it(void **state)
{
	struct rig rig;
	struct pci_dev a, b;

	(void)state;
	rig_init(&rig);
	pci_dev_init(&a, &rig_dev_ops, &rig_ids);
	pci_dev_init(&b, &rig_dev_ops, &rig_ids);
	assert_int_equal(pci_add(&rig.pci, &a, 2, NULL), 0);
	assert_int_equal(pci_add(&rig.pci, &b, 10, NULL), 0);
	assert_int_equal(pci_intx_gsi(2), 18);
	assert_int_equal(pci_intx_gsi(10), 18);
	assert_int_equal(rig_in(&rig, 10, 0x3c, 1), 18);

	pci_intx_set(&a, true);
	pci_intx_set(&b, true);
	pci_intx_set(&b, true);
	assert_true(rig.lines[18]);
	pci_intx_set(&a, false);
	assert_true(rig.lines[18]);
	pci_intx_set(&b, false);
	assert_false(rig.lines[18]);
	assert_int_equal(rig.line_calls, 2);
}

static void the_disable_bit_silences_intx_but_not_its_status(void **state)
{
	struct rig rig;
	struct pci_dev dev;

	(void)state;
	rig_init(&rig);
	pci_dev_init(&dev, &rig_dev_ops, &rig_ids);
	assert_int_equal(pci_add(&rig.pci, &dev, 1, NULL), 0);
	assert_int_equal(rig_in(&rig, 1, 6, 2) & 8, 0);
	pci_intx_set(&dev, true);
	assert_true(rig.lines[17]);
	rig_out(&rig, 1, 4, 2, 0x407);
	assert_false(rig.lines[17]);
	assert_int_equal(rig_in(&rig, 1, 6, 1) & 8, 8);
	rig_out(&rig, 1, 5, 1, 0);
	assert_true(rig.lines[17]);
	pci_intx_set(&dev, false);
	assert_int_equal(rig_in(&rig, 1, 4, 4) & 0x80000, 0);
}

struct hooked {
	struct pci_dev dev;
	unsigned wrote_offset, wrote_len, wrote, reads;
};

static void hooked_wrote(struct pci_dev *dev, unsigned offset, unsigned len)
{
	struct hooked *h = container_of(dev, struct hooked, dev);

	h->wrote++;
	h->wrote_offset = offset;
	h->wrote_len = len;
}

static void hooked_reads(struct pci_dev *dev, unsigned offset, unsigned len)
{
	struct hooked *h = container_of(dev, struct hooked, dev);

	assert_true(offset + len <= PCI_CONFIG_BYTES);
	dev->config[0x44] = (uint8_t)++h->reads;
}

static void hooks_see_the_range_inside_the_256_bytes(void **state)
{
	static const struct pci_dev_ops ops = {
		.name = "hooked",
		.config_wrote = hooked_wrote,
		.config_reads = hooked_reads,
	};
	struct rig rig;
	struct hooked h = { 0 };

	(void)state;
	rig_init(&rig);
	pci_dev_init(&h.dev, &ops, &rig_ids);
	assert_int_equal(pci_add(&rig.pci, &h.dev, 1, NULL), 0);
	assert_int_equal(rig_in(&rig, 1, 0x44, 1), 1);
	assert_int_equal(rig_in(&rig, 1, 0x44, 1), 2);
	rig_out(&rig, 1, 0x46, 2, 0);
	assert_int_equal(h.wrote_offset, 0x46);
	assert_int_equal(h.wrote_len, 2);
	bus_write(&rig.mmio, rig_ecam(1, 0xfc), 8, 0);
	assert_int_equal(h.wrote_len, 4);
	bus_write(&rig.mmio, rig_ecam(1, 0x100), 4, 0);
	assert_int_equal(h.wrote, 2);
	(void)bus_read(&rig.mmio, rig_ecam(1, 0xfc), 8);
}

static void a_bus_whose_ports_are_taken_takes_nothing(void **state)
{
	struct bus mmio = { 0 }, pio = { 0 };
	struct bus_region thief = { .ops = &rig_bar_ops, .base = PORT_PCI_DATA, .size = 1 };
	struct pci_bus pci;
	struct irq_sink irq = { 0 };
	struct err err = { 0 };

	(void)state;
	assert_int_equal(bus_add(&pio, &thief), 0);
	assert_int_equal(pci_bus_init(&pci, &mmio, &pio, &irq, &err), -EEXIST);
	assert_int_equal(mmio.n, 0);
	assert_int_equal(pio.n, 1);
	assert_true(strlen(err.text) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(host_bridge_is_in_slot_0),
		cmocka_unit_test(bytes_words_and_dwords_are_parts_of_one_another),
		cmocka_unit_test(nobody_reads_as_all_ones),
		cmocka_unit_test(only_dwords_reach_the_address_register),
		cmocka_unit_test(the_byte_cf9_is_the_reset_port),
		cmocka_unit_test(past_256_bytes_is_zero_and_stays_zero),
		cmocka_unit_test(capabilities_form_a_list),
		cmocka_unit_test(capabilities_fill_the_space_and_no_more),
		cmocka_unit_test(slots_run_out_with_one_line),
		cmocka_unit_test(a_shared_line_is_up_while_one_holds_it),
		cmocka_unit_test(the_disable_bit_silences_intx_but_not_its_status),
		cmocka_unit_test(hooks_see_the_range_inside_the_256_bytes),
		cmocka_unit_test(a_bus_whose_ports_are_taken_takes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
