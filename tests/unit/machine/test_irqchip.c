/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "fake_clock.h"
#include "machine/irqchip.h"
#include "machine/layout.h"

struct scene {
	struct fake_clock clock;
	struct bus mmio, pio;
	struct irqchip chip;
	unsigned wakes[LAPIC_MAX]; /* atomic */
};

static void scene_wake(struct irqchip *chip, unsigned index)
{
	struct scene *s = container_of(chip, struct scene, chip);

	__atomic_fetch_add(&s->wakes[index], 1, __ATOMIC_SEQ_CST);
}

static uint64_t scene_tsc_to_ns(struct irqchip *chip, unsigned index, uint64_t tsc)
{
	(void)chip;
	(void)index;
	return tsc;
}

static const struct irqchip_ops scene_ops = { .wake = scene_wake, .tsc_to_ns = scene_tsc_to_ns };

static struct irqchip_config scene_config(struct scene *s, unsigned vcpus)
{
	return (struct irqchip_config){ .ops = &scene_ops,
					.clock = &s->clock.clock,
					.mmio = &s->mmio,
					.pio = &s->pio,
					.vcpus = vcpus,
					.phys_bits = 40 };
}

/* One scene at a time: it is too large for a thread's stack under a sanitizer. */
static void scene_init(struct scene *s, unsigned vcpus)
{
	memset(s, 0, sizeof(*s));
	fake_clock_init(&s->clock);
	struct irqchip_config config = scene_config(s, vcpus);
	assert_int_equal(irqchip_init(&s->chip, &config, NULL), 0);
}

static int setup(void **state)
{
	struct scene *s = test_malloc(sizeof(*s));

	scene_init(s, 4);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct scene *s = *state;

	irqchip_fini(&s->chip);
	assert_int_equal(s->clock.n, 0);
	test_free(s);
	return 0;
}

static void line(struct scene *s, uint32_t gsi, bool level)
{
	s->chip.sink.ops->line(&s->chip.sink, gsi, level);
}

static void msi(struct scene *s, uint64_t addr, uint32_t data)
{
	s->chip.sink.ops->msi(&s->chip.sink, addr, data);
}

static void out(struct scene *s, uint16_t port, uint8_t value)
{
	bus_write(&s->pio, port, 1, value);
}

static void put(struct scene *s, unsigned vcpu, uint32_t reg, uint32_t value)
{
	lapic_mmio_write(&s->chip.lapics[vcpu], reg, 4, value);
}

static void route(struct scene *s, unsigned pin, uint32_t low, uint32_t high)
{
	for (unsigned half = 2; half-- > 0;) {
		bus_write(&s->mmio, LAYOUT_IOAPIC, 4, 0x10 + 2 * pin + half);
		bus_write(&s->mmio, LAYOUT_IOAPIC + 0x10, 4, half ? high : low);
	}
}

static void pic_start(struct scene *s)
{
	static const uint8_t words[2][4] = { { 0x11, 0x30, 4, 1 }, { 0x11, 0x38, 2, 1 } };

	for (unsigned chip = 0; chip < 2; chip++) {
		uint16_t port = chip ? 0xa0 : 0x20;
		for (unsigned i = 0; i < 4; i++)
			out(s, i ? port + 1 : port, words[chip][i]);
		out(s, port + 1, 0);
	}
}

/* A guest without APIC drivers: PIC, virtual wire, PIT. */
static void the_pic_reaches_the_boot_cpu_alone(void **state)
{
	struct scene *s = *state;

	pic_start(s);
	out(s, 0x43, 0x34);
	out(s, 0x40, 0xa9);
	out(s, 0x40, 0x04);
	assert_false(irqchip_has_work(&s->chip, 0));
	fake_clock_advance(&s->clock, 1000000);
	assert_true(s->wakes[0] > 0);
	assert_true(irqchip_has_work(&s->chip, 0));
	assert_false(irqchip_pending(&s->chip, 1));
	assert_int_equal(irqchip_accept(&s->chip, 0), 0x30);
	assert_int_equal(irqchip_accept(&s->chip, 0), -1);
	fake_clock_advance(&s->clock, 1000000);
	assert_false(irqchip_pending(&s->chip, 0));
	out(s, 0x20, 0x20);
	assert_int_equal(irqchip_accept(&s->chip, 0), 0x30);
}

/* And one with: the override says that the timer is pin 2. */
static void the_timer_is_pin_2_of_the_ioapic(void **state)
{
	struct scene *s = *state;

	put(s, 1, 0xf0, 0x1ff);
	route(s, 2, 0x40, 1 << 24);
	route(s, 0, 0x41, 1 << 24);
	line(s, 0, true);
	assert_int_equal(irqchip_accept(&s->chip, 1), 0x40);
	assert_int_equal(irqchip_accept(&s->chip, 1), -1);
	put(s, 1, 0xb0, 0);
	line(s, 0, false);
	line(s, 2, true);
	assert_int_equal(irqchip_accept(&s->chip, 1), -1); /* nobody is at GSI 2 */
	line(s, 0, true);
	assert_int_equal(irqchip_accept(&s->chip, 1), 0x40);
	route(s, 4, 0x44, 1 << 24);
	line(s, 4, true);
	line(s, 4, false);
	assert_int_equal(irqchip_accept(&s->chip, 1), -1); /* 0x40 is in service, 0x44 its class */
	put(s, 1, 0xb0, 0);
	assert_int_equal(irqchip_accept(&s->chip, 1), 0x44);
	line(s, 99, true);
	line(s, UINT32_MAX, true);
}

static void a_pci_line_is_level_and_ends_with_eoi(void **state)
{
	struct scene *s = *state;

	route(s, 16, 0xa050, 0);
	line(s, 16, true);
	assert_int_equal(irqchip_accept(&s->chip, 0), 0x50);
	put(s, 0, 0xb0, 0);
	assert_int_equal(irqchip_accept(&s->chip, 0), 0x50);
	line(s, 16, false);
	put(s, 0, 0xb0, 0);
	assert_int_equal(irqchip_accept(&s->chip, 0), -1);
}

/* Pin 0 carries the PIC's output, for guests that use it so: MultiProcessor Specification 1.4, Virtual Wire Mode. */
static void the_pic_through_the_ioapic(void **state)
{
	struct scene *s = *state;

	pic_start(s);
	put(s, 0, 0x350, 0x10000); /* LINT0 masked */
	put(s, 2, 0xf0, 0x1ff);
	route(s, 0, 0x700, 2 << 24);
	line(s, 4, true);
	assert_false(irqchip_pending(&s->chip, 0));
	assert_true(irqchip_pending(&s->chip, 2));
	assert_int_equal(irqchip_accept(&s->chip, 2), 0x34);
	assert_int_equal(irqchip_accept(&s->chip, 2), -1);
}

/* Message Address Register Format. */
static void messages_are_decoded(void **state)
{
	struct lapic_msg msg;

	(void)state;
	assert_true(irqchip_msi_decode(0xfee03000, 0x4041, &msg));
	assert_int_equal(msg.dest, 3);
	assert_int_equal(msg.vector, 0x41);
	assert_int_equal(msg.delivery, LAPIC_FIXED);
	assert_false(msg.is_logical || msg.is_level || msg.is_lowest || msg.is_wide);
	assert_true(irqchip_msi_decode(0xfeeff00c, 0xc1ff, &msg));
	assert_int_equal(msg.dest, 0xff);
	assert_int_equal(msg.delivery, LAPIC_LOWEST);
	assert_true(msg.is_logical && msg.is_level && msg.is_lowest);
	assert_false(irqchip_msi_decode(0xfee03000, 0x8041, &msg)); /* a level's end */
	assert_false(irqchip_msi_decode(0xfed00000, 0x41, &msg));
	assert_false(irqchip_msi_decode(0xfef00000, 0x41, &msg));
	assert_false(irqchip_msi_decode(UINT64_C(0x1fee00000), 0x41, &msg));
}

static void messages_are_delivered(void **state)
{
	struct scene *s = *state;
	uint8_t vector;

	for (unsigned i = 0; i < 4; i++) {
		put(s, i, 0xf0, 0x1ff);
		put(s, i, 0xd0, 1U << (24 + i));
	}
	msi(s, 0xfee03000, 0x61);
	assert_int_equal(irqchip_accept(&s->chip, 3), 0x61);
	msi(s, 0xfee06004, 0x62); /* logical: 1 and 2 */
	assert_int_equal(irqchip_accept(&s->chip, 1), 0x62);
	assert_int_equal(irqchip_accept(&s->chip, 2), 0x62);
	put(s, 1, 0x80, 0x80);
	msi(s, 0xfee0600c, 0x93); /* redirected: to the less busy one */
	assert_int_equal(irqchip_accept(&s->chip, 1), -1);
	assert_int_equal(irqchip_accept(&s->chip, 2), 0x93);
	msi(s, 0xfee00000, 0x400);
	assert_int_equal(lapic_event_take(&s->chip.lapics[0], &vector), LAPIC_EVENT_NMI);
	msi(s, 0xdeadbeef, 0x64);
	assert_int_equal(irqchip_accept(&s->chip, 3), -1);
}

static void reset_is_as_new(void **state)
{
	struct scene *s = *state;

	pic_start(s);
	line(s, 4, true);
	put(s, 0, 0x320, 0x20040);
	put(s, 0, 0x380, 1000);
	route(s, 16, 0xa050, 0);
	irqchip_reset(&s->chip);
	assert_int_equal(s->clock.n, 0);
	assert_false(irqchip_has_work(&s->chip, 0));
	line(s, 16, true);
	assert_false(irqchip_pending(&s->chip, 0));
	pic_start(s);
	line(s, 5, true);
	assert_int_equal(irqchip_accept(&s->chip, 0), 0x35);
	assert_true(lapic_waits(&s->chip.lapics[3]));
}

static void tsc_deadlines_reach_the_assembler(void **state)
{
	struct scene *s = *state;

	put(s, 0, 0x320, 0x40070);
	assert_int_equal(lapic_msr_write(&s->chip.lapics[0], MSR_TSC_DEADLINE, 1234), 0);
	fake_clock_advance(&s->clock, 1233);
	assert_false(irqchip_pending(&s->chip, 0));
	fake_clock_advance(&s->clock, 1);
	assert_int_equal(irqchip_accept(&s->chip, 0), 0x70);
}

static void what_cannot_be_built(void **state)
{
	struct scene *s = *state;
	struct irqchip *second = test_malloc(sizeof(*second));
	struct irqchip_config config = scene_config(s, 0);
	struct err err = { 0 };
	unsigned mmio = s->mmio.n, pio = s->pio.n;

	assert_int_equal(irqchip_init(second, &config, &err), -EINVAL);
	assert_non_null(strstr(err.text, "0 vcpus"));
	config.vcpus = LAPIC_MAX + 1;
	assert_int_equal(irqchip_init(second, &config, &err), -EINVAL);
	config.vcpus = LAPIC_MAX;
	assert_int_equal(irqchip_init(second, &config, &err), -EEXIST);
	/* A port that is taken, after others were added: all are given back. */
	struct bus other = { 0 }, ports = { 0 };
	struct bus_region taken = { .ops = s->chip.pit.port_b.ops, .base = 0x61, .size = 1 };
	assert_int_equal(bus_add(&ports, &taken), 0);
	config.mmio = &other;
	config.pio = &ports;
	assert_int_equal(irqchip_init(second, &config, &err), -EEXIST);
	assert_int_equal(ports.n, 1);
	assert_int_equal(other.n, 0);
	assert_int_equal(s->mmio.n, mmio);
	assert_int_equal(s->pio.n, pio);
	test_free(second);
}

/* ---- threads: devices assert lines and send messages while two vcpus serve them ---- */

enum { ROUNDS = 1000 };

struct device {
	struct scene *s;
	bool is_msi;
	uint32_t served; /* atomic: how often its handler ran */
};

/* Asserts its interrupt and waits for the handler, as a device with one request at a time. */
static void *device_thread(void *arg)
{
	struct device *d = arg;

	for (uint32_t i = 0; i < ROUNDS; i++) {
		if (d->is_msi)
			msi(d->s, 0xfee01000, 0x70);
		else
			line(d->s, 17, true);
		while (__atomic_load_n(&d->served, __ATOMIC_ACQUIRE) <= i)
			sched_yield();
	}
	return NULL;
}

struct cpu {
	struct scene *s;
	unsigned index;
	uint8_t vector;
	struct device *device;
};

static void *cpu_thread(void *arg)
{
	struct cpu *c = arg;

	for (uint32_t served = 0; served < ROUNDS;) {
		int vector = irqchip_has_work(&c->s->chip, c->index)
				     ? irqchip_accept(&c->s->chip, c->index)
				     : -1;
		if (vector < 0) {
			sched_yield();
			continue;
		}
		assert(vector == c->vector);
		if (!c->device->is_msi) /* the handler quiets the device */
			line(c->s, 17, false);
		lapic_mmio_write(&c->s->chip.lapics[c->index], 0xb0, 4, 0);
		__atomic_store_n(&c->device->served, ++served, __ATOMIC_RELEASE);
	}
	return NULL;
}

static void devices_and_vcpus_on_their_own_threads(void **state)
{
	struct scene *s = *state;
	struct device devices[2] = { { .s = s }, { .s = s, .is_msi = true } };
	struct cpu cpus[2] = { { s, 0, 0x51, &devices[0] }, { s, 1, 0x70, &devices[1] } };
	pthread_t threads[4];

	put(s, 1, 0xf0, 0x1ff);
	route(s, 17, 0x8051, 0);
	s->chip.lapics[1].wait_sipi = false; /* it has been started */
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(pthread_create(&threads[i], NULL, cpu_thread, &cpus[i]), 0);
		assert_int_equal(pthread_create(&threads[2 + i], NULL, device_thread, &devices[i]),
				 0);
	}
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(irqchip_accept(&s->chip, 0), -1);
	assert_int_equal(irqchip_accept(&s->chip, 1), -1);
	assert_true(s->wakes[0] >= ROUNDS);
	assert_true(s->wakes[1] >= ROUNDS);
}

#define CHIP_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CHIP_TEST(the_pic_reaches_the_boot_cpu_alone),
		CHIP_TEST(the_timer_is_pin_2_of_the_ioapic),
		CHIP_TEST(a_pci_line_is_level_and_ends_with_eoi),
		CHIP_TEST(the_pic_through_the_ioapic),
		CHIP_TEST(messages_are_decoded),
		CHIP_TEST(messages_are_delivered),
		CHIP_TEST(reset_is_as_new),
		CHIP_TEST(tsc_deadlines_reach_the_assembler),
		CHIP_TEST(what_cannot_be_built),
		CHIP_TEST(devices_and_vcpus_on_their_own_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
