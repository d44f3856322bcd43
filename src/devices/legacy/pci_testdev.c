/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/legacy/pci_testdev.h"

#include <string.h>

#include "base/core/bytes.h"
#include "base/core/macros.h"

/* The header at the start of each BAR */
#define TESTDEV_TEST   0U
#define TESTDEV_WIDTH  1U
#define TESTDEV_OFFSET 4U
#define TESTDEV_DATA   8U
#define TESTDEV_COUNT  12U
#define TESTDEV_NAME   16U

#define TESTDEV_MEMORY_BYTES 4096U
#define TESTDEV_PORTS	     256U
#define TESTDEV_NONE	     0xffU
#define TESTDEV_VALUE	     0xfaU
#define TESTDEV_WINDOW	     0x80U /* header: before; where the tests write, a byte each: after */

static const struct {
	const char *name;
	bool doorbell, match;
} testdev_tests[PCI_TESTDEV_TESTS] = {
	{ "no-eventfd", false, false },
	{ "wildcard-eventfd", true, false },
	{ "datamatch-eventfd", true, true },
};

static const struct pci_ids testdev_ids = {
	.vendor = 0x1b36,
	.device = 0x0005,
	.class_code = 0xff0000,
};

static uint32_t testdev_offset(unsigned test)
{
	return TESTDEV_WINDOW + 8 * test;
}

/* ---- the engine's doorbell ---- */

static void testdev_disarm(struct pci_testdev *dev, unsigned space)
{
	if (!dev->spaces[space].armed)
		return;
	dev->spaces[space].armed = false;
	dev->doorbell(dev, dev->spaces[space].armed_addr, space == 1,
		      testdev_tests[dev->spaces[space].armed_test].match, TESTDEV_VALUE, false,
		      dev->doorbell_arg);
}

static void testdev_arm(struct pci_testdev *dev, unsigned space)
{
	uint8_t test = dev->spaces[space].test;

	testdev_disarm(dev, space);
	if (!dev->doorbell || test >= PCI_TESTDEV_TESTS || !testdev_tests[test].doorbell ||
	    !dev->spaces[space].mapped)
		return;
	dev->spaces[space].armed = true;
	dev->spaces[space].armed_addr = dev->spaces[space].base + testdev_offset(test);
	dev->spaces[space].armed_test = test;
	dev->doorbell(dev, dev->spaces[space].armed_addr, space == 1, testdev_tests[test].match,
		      TESTDEV_VALUE, true, dev->doorbell_arg);
}

static void testdev_bar_moved(struct pci_dev *pci, unsigned bar)
{
	struct pci_testdev *dev = container_of(pci, struct pci_testdev, pci);

	if (bar >= PCI_TESTDEV_SPACES)
		return;
	lock_acquire(&dev->lock);
	dev->spaces[bar].mapped = pci->bars[bar].mapped;
	dev->spaces[bar].base = pci->bars[bar].region.base;
	testdev_arm(dev, bar);
	lock_release(&dev->lock);
}

static const struct pci_dev_ops testdev_pci_ops = {
	.name = "pci-testdev",
	.bar_moved = testdev_bar_moved,
};

/* ---- the two spaces: dev->lock is held ---- */

static unsigned testdev_space(const struct pci_testdev *dev, const struct bus_region *region)
{
	return region == &dev->pci.bars[1].region;
}

static struct pci_testdev *testdev_of(struct bus_region *region)
{
	return container_of(container_of(region, struct pci_bar, region)->dev, struct pci_testdev,
			    pci);
}

static void testdev_header(const struct pci_testdev *dev, unsigned space,
			   uint8_t ret[TESTDEV_WINDOW])
{
	unsigned test = dev->spaces[space].test;

	memset(ret, 0, TESTDEV_WINDOW);
	ret[TESTDEV_TEST] = (uint8_t)test;
	le32_store(ret + TESTDEV_COUNT, dev->spaces[space].count);
	if (test >= PCI_TESTDEV_TESTS)
		return; /* a width of 0 says that there is no such test */
	ret[TESTDEV_WIDTH] = 1;
	le32_store(ret + TESTDEV_OFFSET, testdev_offset(test));
	ret[TESTDEV_DATA] = TESTDEV_VALUE;
	for (unsigned i = 0; testdev_tests[test].name[i]; i++)
		ret[TESTDEV_NAME + i] = (uint8_t)testdev_tests[test].name[i];
}

static uint64_t testdev_read(struct bus_region *region, uint64_t offset, unsigned len)
{
	struct pci_testdev *dev = testdev_of(region);
	uint8_t header[TESTDEV_WINDOW + 8];
	uint64_t value = 0;

	if (offset >= TESTDEV_WINDOW)
		return 0;
	testdev_header(dev, testdev_space(dev, region), header);
	memset(header + TESTDEV_WINDOW, 0, 8);
	memcpy(&value, header + offset, len);
	return value;
}

static void testdev_write(struct bus_region *region, uint64_t offset, unsigned len, uint64_t value)
{
	struct pci_testdev *dev = testdev_of(region);
	unsigned space = testdev_space(dev, region);
	uint8_t test = dev->spaces[space].test;

	(void)len;
	if (offset == TESTDEV_TEST) {
		dev->spaces[space].test = (uint8_t)value;
		dev->spaces[space].count = 0;
		testdev_arm(dev, space);
	} else if (test < PCI_TESTDEV_TESTS && offset == testdev_offset(test)) {
		dev->spaces[space].count++;
	}
}

static const struct bus_ops testdev_ops = {
	.name = "pci-testdev",
	.read = testdev_read,
	.write = testdev_write,
};

void pci_testdev_init(struct pci_testdev *dev)
{
	memset(dev, 0, sizeof(*dev));
	pci_dev_init(&dev->pci, &testdev_pci_ops, &testdev_ids);
	pci_bar_set(&dev->pci, 0, &testdev_ops, &dev->lock, TESTDEV_MEMORY_BYTES, false, false);
	pci_bar_set(&dev->pci, 1, &testdev_ops, &dev->lock, TESTDEV_PORTS, true, false);
	for (unsigned i = 0; i < PCI_TESTDEV_SPACES; i++)
		dev->spaces[i].test = TESTDEV_NONE;
}

int pci_testdev_add(struct pci_testdev *dev, struct pci_bus *pci, struct err *err)
{
	return pci_add(pci, &dev->pci, -1, err);
}
