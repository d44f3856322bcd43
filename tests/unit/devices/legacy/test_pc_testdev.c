/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <errno.h>
#include <string.h>

#include "devices/legacy/pc_testdev.h"
#include "machine/fakes.h"

struct scene {
	struct bus mmio, pio;
	struct fake_irq irq;
	struct pc_testdev dev;
	gpa_t flushed;
	unsigned flushes;
};

static void flush_page(struct pc_testdev *dev, gpa_t gpa, void *arg)
{
	struct scene *s = arg;

	assert_ptr_equal(dev, &s->dev);
	s->flushed = gpa;
	s->flushes++;
}

static void scene_init(struct scene *s)
{
	memset(s, 0, sizeof(*s));
	fake_irq_init(&s->irq);
	assert_int_equal(pc_testdev_init(&s->dev, &s->mmio, &s->pio, &s->irq.sink, NULL), 0);
}

static void the_port_remembers(void **state)
{
	static struct scene s;

	(void)state;
	scene_init(&s);
	bus_write(&s.pio, 0xe0, 2, 0x9999);
	assert_int_equal(bus_read(&s.pio, 0xe0, 1), 0x99);
	bus_write(&s.pio, 0xe0, 4, 0x11223344);
	assert_int_equal(bus_read(&s.pio, 0xe1, 2), 0x2233);
	bus_write(&s.pio, 0xe2, 1, 0xaa);
	assert_int_equal(bus_read(&s.pio, 0xe8, 4), 0x11aa3344);
	bus_write(&s.pio, 0xe9, 1, 0xbb);
	assert_int_equal(bus_read(&s.pio, 0xe0, 4), 0x11aabb44);
}

static void lines_follow_their_ports(void **state)
{
	static struct scene s;

	(void)state;
	scene_init(&s);
	for (unsigned gsi = 0; gsi < IRQ_GSI_COUNT; gsi++) {
		bus_write(&s.pio, 0x2000 + gsi, 1, 1);
		assert_true(s.irq.lines[gsi]);
		bus_write(&s.pio, 0x2000 + gsi, 1, 0);
		assert_false(s.irq.lines[gsi]);
	}
	bus_write(&s.pio, 0x2000 + IRQ_GSI_COUNT, 1, 1);
	bus_write(&s.pio, 0x2004, 4, 1);
	assert_int_equal(s.irq.calls, 2 * IRQ_GSI_COUNT);
	assert_int_equal(bus_read(&s.pio, 0x2004, 1), 0);
}

static void a_page_is_flushed_whole(void **state)
{
	static struct scene s;

	(void)state;
	scene_init(&s);
	bus_write(&s.pio, 0xe4, 4, 0x12345678); /* nobody to tell */
	s.dev.flush_page = flush_page;
	s.dev.flush_arg = &s;
	bus_write(&s.pio, 0xe4, 4, 0x12345678);
	assert_int_equal(s.flushes, 1);
	assert_int_equal(s.flushed, 0x12345000);
	bus_write(&s.pio, 0xe4, 2, 0x1234);
	bus_write(&s.pio, 0xe5, 1, 0x12);
	assert_int_equal(s.flushes, 1);
	assert_int_equal(bus_read(&s.pio, 0xe4, 4), 0);
}

static void its_memory_is_a_device(void **state)
{
	static struct scene s;

	(void)state;
	scene_init(&s);
	bus_write(&s.mmio, 0xff000000, 8, UINT64_C(0x1122334455667788));
	assert_int_equal(bus_read(&s.mmio, 0xff000003, 2), 0x4455);
	bus_write(&s.mmio, 0xff00fff8, 8, UINT64_MAX);
	assert_int_equal(bus_read(&s.mmio, 0xff00fffc, 8), UINT64_MAX);
	bus_write(&s.mmio, 0xff00ffff, 2, 0x1234); /* half of it */
	assert_int_equal(bus_read(&s.mmio, 0xff00ffff, 1), 0x34);
}

static void taken_addresses_leave_nothing_added(void **state)
{
	static struct scene s;
	static struct pc_testdev second;
	struct err err = { 0 };

	(void)state;
	scene_init(&s);
	bus_remove(&s.mmio, &s.dev.memory.region);
	bus_remove(&s.pio, &s.dev.word.region);
	assert_int_equal(pc_testdev_init(&second, &s.mmio, &s.pio, &s.irq.sink, &err), -EEXIST);
	assert_int_equal(s.mmio.n, 0);
	assert_int_equal(s.pio.n, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_port_remembers),
		cmocka_unit_test(lines_follow_their_ports),
		cmocka_unit_test(a_page_is_flushed_whole),
		cmocka_unit_test(its_memory_is_a_device),
		cmocka_unit_test(taken_addresses_leave_nothing_added),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
