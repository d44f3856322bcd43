/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <string.h>

#include "devices/legacy/pci_testdev.h"
#include "machine/pci_rig.h"

#define BELLS 8U

struct bell {
	uint64_t addr;
	bool is_port, match;
	uint8_t value;
};

struct scene {
	struct rig rig;
	struct pci_testdev dev;
	struct bell bells[BELLS]; /* those that are on */
	unsigned n_bells;
};

static void doorbell(struct pci_testdev *dev, uint64_t addr, bool is_port, bool match,
		     uint8_t value, bool on, void *arg)
{
	struct scene *s = arg;

	assert_ptr_equal(dev, &s->dev);
	if (on) {
		assert_true(s->n_bells < BELLS);
		s->bells[s->n_bells++] = (struct bell){ addr, is_port, match, value };
		return;
	}
	for (unsigned i = 0; i < s->n_bells; i++) {
		if (s->bells[i].addr != addr || s->bells[i].is_port != is_port)
			continue;
		assert_int_equal(s->bells[i].match, match);
		s->bells[i] = s->bells[--s->n_bells];
		return;
	}
	fail_msg("a doorbell was taken back that is not there");
}

static void scene_init(struct scene *s, bool bells)
{
	memset(s, 0, sizeof(*s));
	rig_init(&s->rig);
	pci_testdev_init(&s->dev);
	s->dev.doorbell = bells ? doorbell : NULL;
	s->dev.doorbell_arg = s;
	assert_int_equal(pci_testdev_add(&s->dev, &s->rig.pci, NULL), 0);
}

static uint64_t in(struct scene *s, bool is_port, unsigned offset, unsigned len)
{
	return is_port ? bus_read(&s->rig.pio, PORT_PCI_BARS + offset, len)
		       : bus_read(&s->rig.mmio, LAYOUT_PCI32 + offset, len);
}

static void out(struct scene *s, bool is_port, unsigned offset, unsigned len, uint64_t value)
{
	if (is_port)
		bus_write(&s->rig.pio, PORT_PCI_BARS + offset, len, value);
	else
		bus_write(&s->rig.mmio, LAYOUT_PCI32 + offset, len, value);
}

/* The steps of kvm-unit-tests' driver. Returns how many tests there are. */
static unsigned run_all(struct scene *s, bool is_port, uint64_t counts[PCI_TESTDEV_TESTS])
{
	for (unsigned test = 0;; test++) {
		out(s, is_port, 0, 1, test);
		assert_int_equal(in(s, is_port, 12, 4), 0);
		if (in(s, is_port, 1, 1) != 1)
			return test;
		assert_in_range(test, 0, PCI_TESTDEV_TESTS - 1);
		uint64_t at = in(s, is_port, 4, 4), value = in(s, is_port, 8, 4);
		for (unsigned i = 0; i < 16; i++)
			out(s, is_port, (unsigned)at, 1, value);
		counts[test] = in(s, is_port, 12, 4);
	}
}

static void it_is_found_by_its_numbers(void **state)
{
	static struct scene s;

	(void)state;
	scene_init(&s, false);
	assert_int_equal(rig_in(&s.rig, 1, 0, 4), 0x00051b36);
	assert_int_equal(rig_in(&s.rig, 1, 0x10, 4) & 1, 0);
	assert_int_equal(rig_in(&s.rig, 1, 0x14, 4) & 1, 1);
}

static void every_write_is_counted(void **state)
{
	static struct scene s;
	uint64_t counts[PCI_TESTDEV_TESTS];

	(void)state;
	scene_init(&s, false);
	for (unsigned space = 0; space < 2; space++) {
		assert_int_equal(run_all(&s, space, counts), PCI_TESTDEV_TESTS);
		for (unsigned i = 0; i < PCI_TESTDEV_TESTS; i++)
			assert_int_equal(counts[i], 16);
	}
	assert_int_equal(in(&s, false, 0x800, 4), 0);
	assert_int_equal(in(&s, false, 0x7c, 8), 0);
}

static void tests_have_names(void **state)
{
	static struct scene s;
	char name[32] = { 0 };

	(void)state;
	scene_init(&s, false);
	out(&s, true, 0, 1, 2);
	for (unsigned i = 0; i < sizeof(name) - 1; i++)
		name[i] = (char)in(&s, true, 16 + i, 1);
	assert_string_equal(name, "datamatch-eventfd");
}

static void doorbells_follow_test_and_bar(void **state)
{
	static struct scene s;

	(void)state;
	scene_init(&s, true);
	out(&s, false, 0, 1, 0);
	assert_int_equal(s.n_bells, 0);
	out(&s, false, 0, 1, 1);
	out(&s, true, 0, 1, 2);
	assert_int_equal(s.n_bells, 2);
	assert_int_equal(s.bells[0].addr, LAYOUT_PCI32 + in(&s, false, 4, 4));
	assert_false(s.bells[0].match);
	assert_false(s.bells[0].is_port);
	assert_true(s.bells[1].match);
	assert_true(s.bells[1].is_port);
	assert_int_equal(s.bells[1].value, in(&s, true, 8, 4));

	rig_out(&s.rig, 1, 0x14, 4, 0xd000);
	assert_int_equal(s.n_bells, 2);
	assert_int_equal(s.bells[1].addr & 0xff00, 0xd000);
	rig_out(&s.rig, 1, 4, 2, 0);
	assert_int_equal(s.n_bells, 0);
	rig_out(&s.rig, 1, 4, 2, 3);
	assert_int_equal(s.n_bells, 2);
	out(&s, false, 0, 1, 0xff);
	assert_int_equal(s.n_bells, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_found_by_its_numbers),
		cmocka_unit_test(every_write_is_counted),
		cmocka_unit_test(tests_have_names),
		cmocka_unit_test(doorbells_follow_test_and_bar),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
