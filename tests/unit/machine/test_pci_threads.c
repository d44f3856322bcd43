/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device that fires and sets its line while one guest thread moves its BARs, masks its vectors and turns everything on
 * and off, and another reads through the BARs. For TSan, and for the lock order.
 */
#include "scratch.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/macros.h"
#include "machine/layout.h"
#include "machine/pci.h"

#define ROUNDS	  3000U
#define DEVS	  2U
#define BAR_BYTES 0x1000U

struct scene {
	struct bus mmio, pio;
	struct irq_sink irq;
	struct pci_bus pci;
	uint32_t lines, msis; /* atomic: how often */
	struct scene_dev {
		struct pci_dev dev;
		struct lock lock;
		uint32_t value; /* the lock's */
		uint64_t moved_to;
	} devs[DEVS]; /* slots 1 and 9: they share a line */
};

static void scene_line(struct irq_sink *sink, uint32_t gsi, bool level)
{
	(void)gsi;
	(void)level;
	(void)__atomic_add_fetch(&container_of(sink, struct scene, irq)->lines, 1,
				 __ATOMIC_RELAXED);
}

static void scene_msi(struct irq_sink *sink, uint64_t addr, uint32_t data)
{
	(void)addr;
	(void)data;
	(void)__atomic_add_fetch(&container_of(sink, struct scene, irq)->msis, 1, __ATOMIC_RELAXED);
}

static const struct irq_sink_ops irq_ops = { .line = scene_line, .msi = scene_msi };

static struct scene_dev *scene_dev(struct bus_region *region)
{
	return container_of(container_of(region, struct pci_bar, region)->dev, struct scene_dev,
			    dev);
}

/* Also of a BAR that is moved between the search and the call: who looked at it twice went past its end. */
static void scene_within(uint64_t offset, unsigned len)
{
	if (offset >= BAR_BYTES || BAR_BYTES - offset < len)
		abort(); /* a thread cannot fail an assertion */
}

/* A device under its lock raises what it has to say. */
static uint64_t scene_read(struct bus_region *region, uint64_t offset, unsigned len)
{
	struct scene_dev *d = scene_dev(region);

	scene_within(offset, len);
	pci_intx_set(&d->dev, d->value & 1);
	pci_msix_fire(&d->dev, (uint16_t)(d->value & 3));
	return d->value++;
}

static void scene_write(struct bus_region *region, uint64_t offset, unsigned len, uint64_t value)
{
	scene_within(offset, len);
	scene_dev(region)->value = (uint32_t)value;
}

static const struct bus_ops bar_ops = { .name = "scene", .read = scene_read, .write = scene_write };

static void scene_moved(struct pci_dev *dev, unsigned bar)
{
	struct scene_dev *d = container_of(dev, struct scene_dev, dev);

	if (bar)
		return;
	lock_acquire(&d->lock);
	d->moved_to = dev->bars[0].mapped ? dev->bars[0].region.base : 0;
	lock_release(&d->lock);
}

static const struct pci_dev_ops dev_ops = { .name = "scene", .bar_moved = scene_moved };

static void scene_init(struct scene *s)
{
	static const struct pci_ids ids = { .vendor = 0x1af4, .device = 0x1042 };

	memset(s, 0, sizeof(*s));
	s->irq.ops = &irq_ops;
	assert_int_equal(pci_bus_init(&s->pci, &s->mmio, &s->pio, &s->irq, NULL), 0);
	for (unsigned i = 0; i < DEVS; i++) {
		struct scene_dev *d = &s->devs[i];
		pci_dev_init(&d->dev, &dev_ops, &ids);
		pci_bar_set(&d->dev, 0, &bar_ops, &d->lock, BAR_BYTES, false, false);
		assert_int_equal(pci_msix_init(&d->dev, 1, 4), 0);
		assert_int_equal(pci_add(&s->pci, &d->dev, (int)(1 + 8 * i), NULL), 0);
	}
}

static uint64_t config_at(unsigned dev, unsigned offset)
{
	return LAYOUT_ECAM + ((uint64_t)(1 + 8 * dev) << 15) + offset;
}

/* Each BAR 0 wanders over four pages: the two meet, and one waits. */
static void *guest_configures(void *arg)
{
	struct scene *s = arg;

	for (unsigned i = 0; i < ROUNDS; i++) {
		unsigned dev = i % DEVS;
		bus_write(&s->mmio, config_at(dev, 0x10), 4, 0xd0000000 + (i * 7 % 4) * 0x1000);
		bus_write(&s->mmio, config_at(dev, 0x42), 2, (i * 5 % 4) << 14);
		bus_write(&s->mmio, config_at(dev, 4), 2, i % 13 ? 7 : 0x400);
		(void)bus_read(&s->mmio, config_at(dev, 4), 4);
	}
	return NULL;
}

static void *guest_accesses(void *arg)
{
	struct scene *s = arg;

	for (unsigned i = 0; i < ROUNDS; i++) {
		(void)bus_read(&s->mmio, 0xd0000000 + (i % 4) * 0x1000, 4);
		bus_write(&s->mmio, 0xd0000000 + (i % 4) * 0x1000, 4, i);
		for (unsigned v = 0; v < 4; v++)
			bus_write(&s->mmio, LAYOUT_PCI32 + 0x1000 + 16 * v + 12, 4, i & 1);
	}
	return NULL;
}

static void *device_fires(void *arg)
{
	struct scene *s = arg;

	for (unsigned i = 0; i < ROUNDS; i++) {
		struct pci_dev *dev = &s->devs[i % DEVS].dev;
		if (pci_msix_enabled(dev))
			pci_msix_fire(dev, (uint16_t)(i % 5));
		else
			pci_intx_set(dev, i & 2);
	}
	return NULL;
}

static void threads_do_not_get_into_each_others_way(void **state)
{
	static struct scene s;
	void *(*const work[])(void *) = { guest_configures, guest_accesses, device_fires };
	pthread_t threads[ARRAY_SIZE(work)];

	(void)state;
	scene_init(&s);
	for (unsigned i = 0; i < ARRAY_SIZE(work); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, work[i], &s), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(work); i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);

	/* In the end all is as the registers say. */
	for (unsigned i = 0; i < DEVS; i++) {
		struct scene_dev *d = &s.devs[i];
		bus_write(&s.mmio, config_at(i, 4), 2, 7);
		bus_write(&s.mmio, config_at(i, 0x10), 4, 0xe0000000 + i * 0x1000);
		bus_write(&s.mmio, config_at(i, 0x42), 2, 0);
		assert_true(d->dev.bars[0].mapped);
		assert_int_equal(d->moved_to, 0xe0000000 + i * 0x1000);
		pci_intx_set(&d->dev, false);
	}
	assert_int_equal(s.pci.intx[1], 0);
	assert_int_equal(s.mmio.n, 1 + 2 * DEVS);
	pci_intx_set(&s.devs[0].dev, true);
	assert_int_equal(s.pci.intx[1], 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(threads_do_not_get_into_each_others_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
