/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest that does what it likes to its interrupt controllers and clocks, with three vcpus. Each step is 8 bytes: what,
 * which vcpu, length, an address's low bytes, a value. Whatever it does: at most one vector of a class is in service, what is
 * offered for injection is above the priority and can be taken, no vector below 16 is pending, lines and what
 * controllers say of them agree, and no timer can be made to fire in a storm.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/bytes.h"
#include "base/core/macros.h"
#include "devices/legacy/rtc.h"
#include "fake_clock.h"
#include "machine/irqchip.h"
#include "machine/layout.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define VCPUS	   3U
#define STEP_BYTES 8U
/* Nothing beats faster than every 100 us but the real-time clock, once for each acknowledgement. */
#define FIRE_MIN_NS 100000U

struct scene {
	struct fake_clock clock;
	struct bus mmio, pio;
	struct irqchip chip;
	struct rtc rtc;
	bool pic_output;
};

struct step {
	uint8_t what, vcpu, len, high;
	uint16_t addr;
	uint16_t value;
};

static void check(bool ok)
{
	if (!ok)
		abort();
}

static void scene_wake(struct irqchip *chip, unsigned index)
{
	(void)chip;
	check(index < VCPUS);
}

static uint64_t scene_tsc_to_ns(struct irqchip *chip, unsigned index, uint64_t tsc)
{
	(void)chip;
	check(index < VCPUS);
	return tsc;
}

static void check_lapic(struct lapic *lapic)
{
	int vector = lapic_highest(lapic);

	for (unsigned i = 0; i < LAPIC_WORDS; i++) {
		check(__builtin_popcount(lapic->isr[i] & 0xffff) <= 1);
		check(__builtin_popcount(lapic->isr[i] >> 16) <= 1);
	}
	check(!(lapic->irr[0] & 0xffff));
	check(vector < 0 || vector >= 16);
	check(vector < 0 || lapic_has_work(lapic) || lapic_waits(lapic));
	if (lapic_owns(lapic, LAYOUT_LAPIC)) {
		unsigned ppr = (unsigned)lapic_mmio_read(lapic, 0xa0, 4);
		unsigned tpr = (unsigned)lapic_mmio_read(lapic, 0x80, 4);
		check(ppr >> 4 >= tpr >> 4);
		check(vector < 0 || (unsigned)vector >> 4 > ppr >> 4);
		/* A count that runs is never more than what it began with. */
		check(lapic_mmio_read(lapic, 0x390, 4) <= lapic_mmio_read(lapic, 0x380, 4));
	}
}

static void check_scene(struct scene *s)
{
	for (unsigned i = 0; i < VCPUS; i++)
		check_lapic(&s->chip.lapics[i]);
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		uint64_t entry = s->chip.ioapic.entries[pin];
		check(!(entry & 0x4000) || entry & 0x8000);	/* remote IRR: level only */
		check(!(entry & UINT64_C(0x00fffffffffe1000))); /* bits that do not exist */
	}
	check((s->chip.ioapic.levels & 1) == pic_output(&s->chip.pic));
	check((s->chip.lapics[0].lint_levels & 1) == pic_output(&s->chip.pic));
	check(!(s->chip.pic.chips[0].elcr & 0x07) && !(s->chip.pic.chips[1].elcr & 0x21));
	check(s->rtc.irq_level == (s->chip.pic.chips[1].lines & 1));
	check(s->clock.n <= VCPUS + 2);
}

static void run_vcpu(struct scene *s, unsigned index)
{
	struct lapic *lapic = &s->chip.lapics[index];
	uint8_t vector = 0;
	unsigned rounds = 0;

	while (lapic_event_take(lapic, &vector) != LAPIC_EVENT_NONE)
		check(++rounds <= 4);
	if (lapic_waits(lapic))
		return;
	bool pending = irqchip_pending(&s->chip, index);
	int taken = irqchip_accept(&s->chip, index);
	check(pending == (taken >= 0));
	check(taken < 256);
}

static void step_memory(struct scene *s, const struct step *step, bool is_write)
{
	static const uint8_t lens[4] = { 1, 2, 4, 8 };
	struct lapic *lapic = &s->chip.lapics[step->vcpu];
	uint32_t value =
		(uint32_t)step->high << 24 | (uint32_t)(step->len >> 4) << 16 | step->value;
	unsigned len = lens[step->len & 3];

	if (step->what & 0x10) {
		uint64_t addr = LAYOUT_IOAPIC + (step->addr & 0x7f);
		if (is_write)
			bus_write(&s->mmio, addr, len, value);
		else
			(void)bus_read(&s->mmio, addr, len);
	} else if (is_write) {
		lapic_mmio_write(lapic, step->addr & 0xfff, len, value);
	} else {
		(void)lapic_mmio_read(lapic, step->addr & 0xfff, len);
	}
}

static void step_msr(struct scene *s, const struct step *step)
{
	struct lapic *lapic = &s->chip.lapics[step->vcpu];
	uint32_t value = (uint32_t)step->high << 24 | step->value;
	uint32_t index = MSR_X2APIC + (step->addr & 0xff);
	uint64_t wide = (uint64_t)(step->len >> 2) << 32 | value, read = 0;
	int r;

	if (step->addr >> 8 == 1)
		index = MSR_APIC_BASE;
	if (step->addr >> 8 == 2)
		index = MSR_TSC_DEADLINE;
	r = step->len & 1 ? lapic_msr_write(lapic, index, wide)
			  : lapic_msr_read(lapic, index, &read);
	check(r == 0 || r == -EINVAL);
}

static void step_port(struct scene *s, const struct step *step)
{
	static const uint16_t ports[] = { 0x20, 0x21, 0xa0, 0xa1, 0x40,	 0x41,	0x42, 0x43,
					  0x61, 0x70, 0x71, 0x71, 0x4d0, 0x4d1, 0x20, 0x70 };
	uint16_t port = ports[step->addr & 15];
	unsigned len = step->len & 2 ? 2 : 1;

	if (step->len & 1)
		bus_write(&s->pio, port, len, step->value);
	else
		(void)bus_read(&s->pio, port, len);
}

static void step_advance(struct scene *s, const struct step *step)
{
	uint64_t ns = (uint64_t)step->value << (step->len & 15);
	unsigned fired = fake_clock_advance(&s->clock, ns);

	/* Each source may also have had one beat due, and one that it moved. */
	check(fired <= (VCPUS + 2) * (ns / FIRE_MIN_NS + 2));
}

static void step_run(struct scene *s, const struct step *step)
{
	struct irq_sink *sink = &s->chip.sink;

	switch (step->what & 7) {
	case 0:
		step_memory(s, step, false);
		break;
	case 1:
		step_memory(s, step, true);
		break;
	case 2:
		step_msr(s, step);
		break;
	case 3:
		step_port(s, step);
		break;
	case 4:
		if ((step->addr & 0x3f) != GSI_RTC)
			sink->ops->line(sink, step->addr & 0x3f, step->len & 1);
		break;
	case 5:
		sink->ops->msi(sink,
			       LAYOUT_LAPIC + ((uint64_t)step->high << 12 | (step->addr & 0xc)),
			       step->value);
		break;
	case 6:
		step_advance(s, step);
		break;
	default:
		lapic_cr8_set(&s->chip.lapics[step->vcpu], step->len & 15);
		break;
	}
}

static void scene_init(struct scene *s)
{
	static const struct irqchip_ops ops = { .wake = scene_wake, .tsc_to_ns = scene_tsc_to_ns };
	struct irqchip_config config = { .ops = &ops,
					 .clock = &s->clock.clock,
					 .mmio = &s->mmio,
					 .pio = &s->pio,
					 .vcpus = VCPUS,
					 .phys_bits = 40 };

	memset(s, 0, sizeof(*s));
	fake_clock_init(&s->clock);
	s->clock.wall_s = 1700000000;
	check(irqchip_init(&s->chip, &config, NULL) == 0);
	check(rtc_init(&s->rtc, &s->pio, &s->chip.sink, &s->clock.clock, 0, 0, NULL) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct scene *s = malloc(sizeof(*s));

	if (!s)
		return 0;
	scene_init(s);
	for (size_t at = 0; at + STEP_BYTES <= size; at += STEP_BYTES) {
		struct step step = { .what = data[at],
				     .vcpu = data[at + 1] % VCPUS,
				     .len = data[at + 2],
				     .high = data[at + 3],
				     .addr = le16_load(data + at + 4),
				     .value = le16_load(data + at + 6) };
		step_run(s, &step);
		if (step.what & 0x80)
			run_vcpu(s, step.vcpu);
		check_scene(s);
	}
	irqchip_reset(&s->chip);
	irqchip_fini(&s->chip);
	rtc_fini(&s->rtc);
	check(s->clock.n == 0);
	free(s);
	return 0;
}
