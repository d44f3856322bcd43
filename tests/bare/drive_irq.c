/* SPDX-License-Identifier: Apache-2.0 */
/* Interrupt controllers and clocks, as an operating system sets them up. */
#include "bare.h"

enum { LAPIC_TPR = 0x80, LAPIC_EOI = 0xb0, LAPIC_SVR = 0xf0, LAPIC_ICR = 0x300 };
enum {
	LAPIC_ICR_HIGH = 0x310,
	LAPIC_LVT_TIMER = 0x320,
	LAPIC_LINT0 = 0x350,
	LAPIC_INITIAL = 0x380
};
enum { LAPIC_CURRENT = 0x390, LAPIC_DIVIDE = 0x3e0 };

static uint32_t lapic_get(struct board *b, unsigned cpu, uint32_t reg)
{
	return (uint32_t)lapic_mmio_read(&b->chip.lapics[cpu], reg, 4);
}

static void lapic_put(struct board *b, unsigned cpu, uint32_t reg, uint32_t value)
{
	lapic_mmio_write(&b->chip.lapics[cpu], reg, 4, value);
}

static bool drive_lapic_timer(struct board *b)
{
	lapic_put(b, 0, LAPIC_DIVIDE, 0xb);
	lapic_put(b, 0, LAPIC_LVT_TIMER, 0x20040);
	lapic_put(b, 0, LAPIC_INITIAL, 1000000);
	for (unsigned i = 0; i < 3; i++) {
		fake_clock_advance(&b->clock, 400000);
		EXPECT(board_serve(b, 0) == -1);
		EXPECT(lapic_get(b, 0, LAPIC_CURRENT) == 600000);
		fake_clock_advance(&b->clock, 600000);
		EXPECT(board_serve(b, 0) == 0x40);
	}
	lapic_put(b, 0, LAPIC_LVT_TIMER, 0x40041);
	EXPECT(lapic_msr_write(&b->chip.lapics[0], MSR_TSC_DEADLINE, b->clock.now_ns + 5000) == 0);
	fake_clock_advance(&b->clock, 4999);
	EXPECT(board_serve(b, 0) == -1);
	fake_clock_advance(&b->clock, 1);
	EXPECT(board_serve(b, 0) == 0x41);
	lapic_put(b, 0, LAPIC_LVT_TIMER, 0x10000);
	return true;
}

bool drive_lapic(struct board *b)
{
	struct lapic *other = &b->chip.lapics[1];
	uint8_t vector = 0;

	lapic_put(b, 0, LAPIC_SVR, 0x1ff);
	lapic_put(b, 0, LAPIC_ICR_HIGH, 1 << 24);
	lapic_put(b, 0, LAPIC_ICR, 0x4500); /* start the other one */
	lapic_put(b, 0, LAPIC_ICR, 0x4608);
	EXPECT(lapic_event_take(other, &vector) == LAPIC_EVENT_INIT);
	EXPECT(lapic_event_take(other, &vector) == LAPIC_EVENT_SIPI && vector == 8);
	lapic_put(b, 1, LAPIC_SVR, 0x1ff);
	lapic_put(b, 1, LAPIC_TPR, 0x50);
	lapic_put(b, 0, LAPIC_ICR, 0x4055);
	EXPECT(board_serve(b, 1) == -1);
	lapic_put(b, 1, LAPIC_TPR, 0);
	EXPECT(board_serve(b, 1) == 0x55);
	lapic_put(b, 0, LAPIC_ICR, 0x84066); /* everybody */
	EXPECT(board_serve(b, 0) == 0x66 && board_serve(b, 1) == 0x66);
	b->chip.sink.ops->msi(&b->chip.sink, 0xfee01000, 0x77);
	EXPECT(board_serve(b, 0) == -1 && board_serve(b, 1) == 0x77);
	return drive_lapic_timer(b);
}

static void ioapic_put(struct board *b, unsigned reg, uint32_t value)
{
	bus_write(&b->mmio, LAYOUT_IOAPIC, 4, reg);
	bus_write(&b->mmio, LAYOUT_IOAPIC + 0x10, 4, value);
}

bool drive_ioapic(struct board *b)
{
	struct irq_sink *sink = &b->chip.sink;

	bus_write(&b->mmio, LAYOUT_IOAPIC, 4, 1);
	EXPECT((bus_read(&b->mmio, LAYOUT_IOAPIC + 0x10, 4) >> 16) + 1 == IOAPIC_PINS);
	ioapic_put(b, 0x10 + 2 * 17 + 1, 1 << 24);
	ioapic_put(b, 0x10 + 2 * 17, 0xa048); /* level, to vcpu 1 */
	sink->ops->line(sink, 17, true);
	EXPECT(board_serve(b, 1) == 0x48 && board_serve(b, 1) == 0x48);
	sink->ops->line(sink, 17, false);
	EXPECT(board_serve(b, 1) == 0x48 && board_serve(b, 1) == -1);
	ioapic_put(b, 0x10 + 2 * 17, 0x10000);
	ioapic_put(b, 0x10 + 2 * 5, 0x49); /* edge, to vcpu 0 */
	sink->ops->line(sink, 5, true);
	sink->ops->line(sink, 5, false);
	EXPECT(board_serve(b, 0) == 0x49 && board_serve(b, 0) == -1);
	ioapic_put(b, 0x10 + 2 * 5, 0x10000);
	return true;
}

static void pic_setup(struct board *b)
{
	static const uint8_t words[2][3] = { { 0x20, 4, 1 }, { 0x28, 2, 1 } };

	for (unsigned chip = 0; chip < 2; chip++) {
		uint16_t port = chip ? PORT_PIC_SLAVE : PORT_PIC_MASTER;
		out(b, port, 1, 0x11);
		for (unsigned i = 0; i < 3; i++)
			out(b, port + 1, 1, words[chip][i]);
		out(b, port + 1, 1, 0xff);
	}
}

bool drive_pic(struct board *b)
{
	struct irq_sink *sink = &b->chip.sink;

	pic_setup(b);
	out(b, PORT_PIC_MASTER + 1, 1, 0xfb);
	out(b, PORT_PIC_SLAVE + 1, 1, 0xf7);
	lapic_put(b, 0, LAPIC_LINT0, 0x700);
	sink->ops->line(sink, 11, true);
	EXPECT(irqchip_has_work(&b->chip, 0) && !irqchip_has_work(&b->chip, 1));
	EXPECT(irqchip_accept(&b->chip, 0) == 0x2b);
	out(b, PORT_PIC_SLAVE, 1, 0x20);
	out(b, PORT_PIC_MASTER, 1, 0x20);
	EXPECT(!irqchip_has_work(&b->chip, 0));
	sink->ops->line(sink, 11, false);
	out(b, PORT_PIC_MASTER + 1, 1, 0xff);
	return true;
}

bool drive_pit(struct board *b)
{
	out(b, PORT_PIC_MASTER + 1, 1, 0xfe);
	out(b, PORT_PIT + 3, 1, 0x34);
	out(b, PORT_PIT, 1, 0x9c);
	out(b, PORT_PIT, 1, 0x2e); /* 11932: 100 Hz */
	for (unsigned i = 0; i < 3; i++) {
		fake_clock_advance(&b->clock, 5000000);
		EXPECT(irqchip_accept(&b->chip, 0) == -1);
		fake_clock_advance(&b->clock, 5001000);
		EXPECT(irqchip_accept(&b->chip, 0) == 0x20);
		out(b, PORT_PIC_MASTER, 1, 0x20);
	}
	out(b, PORT_PIT + 3, 1, 0x30);
	out(b, PORT_PIC_MASTER + 1, 1, 0xff);
	/* How long 10 ms are, with channel 2. */
	out(b, PORT_SYSTEM_B, 1, 1);
	out(b, PORT_PIT + 3, 1, 0xb0);
	out(b, PORT_PIT + 2, 1, 0x9c);
	out(b, PORT_PIT + 2, 1, 0x2e);
	EXPECT(!(in(b, PORT_SYSTEM_B, 1) & 0x20));
	fake_clock_advance(&b->clock, 10001000);
	EXPECT(in(b, PORT_SYSTEM_B, 1) & 0x20);
	return true;
}

static uint8_t rtc_get(struct board *b, uint8_t reg)
{
	out(b, PORT_RTC, 1, reg);
	return (uint8_t)in(b, PORT_RTC + 1, 1);
}

static void rtc_put(struct board *b, uint8_t reg, uint8_t value)
{
	out(b, PORT_RTC, 1, reg);
	out(b, PORT_RTC + 1, 1, value);
}

bool drive_rtc(struct board *b)
{
	uint8_t second = rtc_get(b, 0);

	EXPECT(rtc_get(b, 0x32) == 0x20 && rtc_get(b, 9) == 0x23 && rtc_get(b, 8) == 0x11);
	fake_clock_advance(&b->clock, UINT64_C(60000000000));
	EXPECT(rtc_get(b, 0) == second);
	out(b, PORT_PIC_MASTER + 1, 1, 0xfb);
	out(b, PORT_PIC_SLAVE + 1, 1, 0xfe);
	(void)rtc_get(b, 0x0c);
	rtc_put(b, 0x0b, 0x12); /* an interrupt a second */
	fake_clock_advance(&b->clock, 1000000000);
	EXPECT(irqchip_accept(&b->chip, 0) == 0x28);
	EXPECT((rtc_get(b, 0x0c) & 0x90) == 0x90);
	rtc_put(b, 0x0b, 0x02);
	out(b, PORT_PIC_SLAVE, 1, 0x20);
	out(b, PORT_PIC_MASTER, 1, 0x20);
	out(b, PORT_PIC_MASTER + 1, 1, 0xff);
	EXPECT(!irqchip_has_work(&b->chip, 0));
	return true;
}
