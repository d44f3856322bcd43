/* SPDX-License-Identifier: Apache-2.0 */
/* A server with a root port, a bridge to conventional PCI below it, and a conventional bridge below that. */
#include "scratch.h"

#include "base/core/macros.h"
#include "drivers/requesters.h"

#define EXPRESS_CAP 0x40U

static const struct {
	struct hpci_device at;
	uint8_t below, last; /* buses; 0: no bridge */
	uint8_t type;	     /* of PCI Express; 0xff: it is conventional */
} functions[] = {
	{ { .bus = 0, .slot = 1 }, 0, 0, 0 },
	{ { .bus = 0, .slot = 2 }, 1, 3, 4 }, /* a root port */
	{ { .bus = 1, .slot = 0 }, 2, 3, 7 },
	{ { .bus = 2, .slot = 5, .function = 1 }, 0, 0, 0xff },
	{ { .bus = 2, .slot = 6 }, 3, 3, 0xff },
	{ { .bus = 3, .slot = 9 }, 0, 0, 0xff },
	{ { .bus = 0, .slot = 3 }, 4, 4, 4 },
	{ { .bus = 4, .slot = 0 }, 0, 0, 0 },
};

static int function_of(const struct hpci_device *d)
{
	for (size_t i = 0; i < ARRAY_SIZE(functions); i++) {
		if (requesters_id(&functions[i].at) == requesters_id(d))
			return (int)i;
	}
	return -1;
}

uint32_t hpci_read(const struct hpci *pci, const struct hpci_device *d, unsigned reg, unsigned size)
{
	int n = function_of(d);

	(void)pci;
	(void)size;
	if (n < 0)
		return reg == HPCI_VENDOR ? 0xffff : UINT32_MAX;
	switch (reg) {
	case HPCI_VENDOR:
		return 0x8086;
	case HPCI_HEADER:
		return functions[n].below ? 0x81 : 0x80;
	case HPCI_BUSES:
		return (uint32_t)functions[n].last << 16 | (uint32_t)functions[n].below << 8;
	case EXPRESS_CAP + 2:
		return (uint32_t)functions[n].type << 4 | 2;
	default:
		return 0;
	}
}

unsigned hpci_capability(const struct hpci *pci, const struct hpci_device *d, uint8_t kind,
			 unsigned after)
{
	int n = function_of(d);

	(void)pci;
	(void)after;
	return n >= 0 && kind == 0x10 && functions[n].type != 0xff ? EXPRESS_CAP : 0;
}

static void server_fill(struct hpci *pci)
{
	*pci = (struct hpci){ .n = ARRAY_SIZE(functions) };
	for (unsigned i = 0; i < pci->n; i++)
		pci->devices[i] = functions[i].at;
}

static void a_conventional_bridge_speaks_for_what_is_below(void **state)
{
	static struct hpci pci;
	uint16_t ids[REQUESTERS];

	(void)state;
	server_fill(&pci);
	assert_int_equal(requesters_of(&pci, &functions[0].at, ids), 1);
	assert_int_equal(ids[0], 0x0008);
	assert_int_equal(requesters_of(&pci, &functions[7].at, ids), 1); /* a root port does not */
	assert_int_equal(ids[0], 0x0400);
	/* both below the bridge from PCI Express have its two names: they share a domain */
	for (unsigned i = 3; i <= 5; i += 2) {
		assert_int_equal(requesters_of(&pci, &functions[i].at, ids), 3);
		assert_int_equal(ids[0], requesters_id(&functions[i].at));
		assert_int_equal(ids[1], 0x0100);
		assert_int_equal(ids[2], 0x0200);
	}
}

static void buses_that_go_round_in_a_ring_end(void **state)
{
	static struct hpci pci;
	uint16_t ids[REQUESTERS];

	(void)state;
	server_fill(&pci);
	/* the conventional bridge on bus 2 is found on bus 3, which is below it */
	struct hpci_device ring = { .bus = 3, .slot = 9 };
	pci.devices[4] = ring;
	assert_int_equal(requesters_of(&pci, &ring, ids), 1);
}

static struct dmar_scope scope(uint8_t kind, uint8_t slot, uint8_t second)
{
	struct dmar_scope s = { .kind = kind, .n_path = second == 0xff ? 1 : 2 };

	s.path[0].slot = slot;
	s.path[1].slot = second;
	return s;
}

static void the_unit_that_names_it_comes_before_the_one_with_the_rest(void **state)
{
	static struct hpci pci;
	static struct dmar dmar;

	(void)state;
	server_fill(&pci);
	dmar.n_units = 3;
	dmar.units[0].has_rest = true;
	dmar.units[1].scopes.at[0] = scope(DMAR_BRIDGE, 2, 0xff);
	dmar.units[1].scopes.n = 1;
	dmar.units[2].scopes.at[0] = scope(DMAR_ENDPOINT, 3, 0);
	dmar.units[2].scopes.n = 1;
	static const int in_charge[] = { 0, 1, 1, 1, 1, 1, 0, 2 };
	for (unsigned i = 0; i < ARRAY_SIZE(functions); i++)
		assert_int_equal(requesters_unit(&pci, &dmar, &functions[i].at), in_charge[i]);
	dmar.units[0].has_rest = false;
	assert_int_equal(requesters_unit(&pci, &dmar, &functions[0].at), -1);
}

static void a_path_over_what_is_no_bridge_leads_nowhere(void **state)
{
	static struct hpci pci;
	struct hpci_device d;

	(void)state;
	server_fill(&pci);
	struct dmar_scope over = scope(DMAR_ENDPOINT, 1, 0), absent = scope(DMAR_ENDPOINT, 4, 0xff),
			  there = scope(DMAR_ENDPOINT, 3, 0);
	assert_false(requesters_find(&pci, &over, &d));
	assert_false(requesters_find(&pci, &absent, &d));
	assert_true(requesters_find(&pci, &there, &d));
	assert_int_equal(d.bus, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_conventional_bridge_speaks_for_what_is_below),
		cmocka_unit_test(buses_that_go_round_in_a_ring_end),
		cmocka_unit_test(the_unit_that_names_it_comes_before_the_one_with_the_rest),
		cmocka_unit_test(a_path_over_what_is_no_bridge_leads_nowhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
