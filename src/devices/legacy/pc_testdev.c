/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/legacy/pc_testdev.h"

#include <string.h>

#include "base/core/macros.h"

#define TESTDEV_WORD   0xe0U
#define TESTDEV_FLUSH  0xe4U
#define TESTDEV_BYTES  0xe8U
#define TESTDEV_LINES  0x2000U
#define TESTDEV_MEMORY UINT64_C(0xff000000)

static uint64_t testdev_store_read(struct bus_region *region, uint64_t offset, unsigned len)
{
	const struct testdev_store *store = container_of(region, struct testdev_store, region);
	uint64_t value = 0;

	memcpy(&value, &store->data[offset], len); /* little-endian */
	return value;
}

static void testdev_store_write(struct bus_region *region, uint64_t offset, unsigned len,
				uint64_t value)
{
	struct testdev_store *store = container_of(region, struct testdev_store, region);

	memcpy(&store->data[offset], &value, len);
}

static const struct bus_ops testdev_word_ops = {
	.name = "testdev-word",
	.read = testdev_store_read,
	.write = testdev_store_write,
};

/* The same register: a bus that takes accesses apart would show here. */
static const struct bus_ops testdev_bytes_ops = {
	.name = "testdev-bytes",
	.read = testdev_store_read,
	.write = testdev_store_write,
};

static const struct bus_ops testdev_memory_ops = {
	.name = "testdev-memory",
	.read = testdev_store_read,
	.write = testdev_store_write,
};

static uint64_t testdev_zero(struct bus_region *region, uint64_t offset, unsigned len)
{
	(void)region;
	(void)offset;
	(void)len;
	return 0;
}

static void testdev_flush_write(struct bus_region *region, uint64_t offset, unsigned len,
				uint64_t value)
{
	struct pc_testdev *dev = container_of(region, struct pc_testdev, flush);

	if (offset == 0 && len == 4 && dev->flush_page)
		dev->flush_page(dev, value & ~(uint64_t)(GUEST_PAGE_BYTES - 1), dev->flush_arg);
}

static const struct bus_ops testdev_flush_ops = {
	.name = "testdev-flush",
	.read = testdev_zero,
	.write = testdev_flush_write,
};

static void testdev_line_write(struct bus_region *region, uint64_t offset, unsigned len,
			       uint64_t value)
{
	struct pc_testdev *dev = container_of(region, struct pc_testdev, lines);

	if (len == 1)
		dev->irq->ops->line(dev->irq, (uint32_t)offset, value != 0);
}

static const struct bus_ops testdev_line_ops = {
	.name = "testdev-lines",
	.read = testdev_zero,
	.write = testdev_line_write,
};

int pc_testdev_init(struct pc_testdev *dev, struct bus *mmio, struct bus *pio, struct irq_sink *irq,
		    struct err *err)
{
	memset(dev, 0, sizeof(*dev));
	dev->irq = irq;
	dev->word = (struct testdev_store){
		{ &testdev_word_ops, &dev->lock, TESTDEV_WORD, sizeof(dev->value) }, dev->value
	};
	dev->flush = (struct bus_region){ &testdev_flush_ops, &dev->lock, TESTDEV_FLUSH, 4 };
	dev->bytes = (struct testdev_store){
		{ &testdev_bytes_ops, &dev->lock, TESTDEV_BYTES, sizeof(dev->value) }, dev->value
	};
	dev->lines =
		(struct bus_region){ &testdev_line_ops, &dev->lock, TESTDEV_LINES, IRQ_GSI_COUNT };
	dev->memory = (struct testdev_store){
		{ &testdev_memory_ops, &dev->lock, TESTDEV_MEMORY, sizeof(dev->data) }, dev->data
	};

	struct bus_region *const ports[] = { &dev->word.region, &dev->flush, &dev->bytes.region,
					     &dev->lines };
	int r = bus_add(mmio, &dev->memory.region);
	for (unsigned i = 0; r == 0 && i < ARRAY_SIZE(ports); i++)
		r = bus_add(pio, ports[i]);
	if (r == 0)
		return 0;
	bus_remove(mmio, &dev->memory.region);
	for (unsigned i = 0; i < ARRAY_SIZE(ports); i++)
		bus_remove(pio, ports[i]);
	return err_say(err, -r, "add the test device: its addresses are taken");
}
