/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/pit.h"

#include <string.h>

#include "base/core/macros.h"
#include "machine/layout.h"

#define NS_PER_S UINT64_C(1000000000)
/* Interrupts are not closer than this: else a guest could keep the clock's thread busy. About 100 us. */
#define EDGE_MIN_TICKS 120U
/* Port 0x61, bit 4 toggles with each refresh of memory, as channel 1 paced it: every 18 ticks. */
#define REFRESH_TICKS 18U

enum { SYSTEM_B_GATE = 0x01, SYSTEM_B_KEPT = 0x0f, SYSTEM_B_REFRESH = 0x10, SYSTEM_B_OUT = 0x20 };

/* ---- time ---- */

static uint64_t ticks_of_ns(uint64_t ns)
{
	return ns / NS_PER_S * PIT_HZ + ns % NS_PER_S * PIT_HZ / NS_PER_S;
}

/* Rounded up, so that the tick has come at that time. */
static uint64_t ns_of_ticks(uint64_t ticks)
{
	return ticks / PIT_HZ * NS_PER_S + (ticks % PIT_HZ * NS_PER_S + PIT_HZ - 1) / PIT_HZ;
}

static uint64_t pit_now(struct pit *pit)
{
	return ticks_of_ns(pit->clock->ops->now_ns(pit->clock));
}

/* ---- one channel ---- */

static bool channel_is_periodic(const struct pit_channel *ch)
{
	return ch->mode == 2 || ch->mode == 3;
}

static bool channel_is_triggered_mode(const struct pit_channel *ch)
{
	return ch->mode == 1 || ch->mode == 5;
}

/* Ticks since the count was loaded, without those that a closed gate held. */
static uint64_t channel_elapsed(const struct pit_channel *ch, uint64_t now)
{
	if (!ch->gate && !channel_is_triggered_mode(ch))
		return ch->held_ticks;
	return now - ch->start_tick;
}

static void channel_load(struct pit_channel *ch, uint64_t now)
{
	if (ch->next_count)
		ch->count = ch->next_count;
	ch->next_count = 0;
	ch->start_tick = now;
	ch->held_ticks = 0;
}

/* A count that was written while another ran is loaded when that one's period ends: Mode 2, Mode 3. */
static void channel_sync(struct pit_channel *ch, uint64_t now)
{
	if (ch->next_count && channel_is_periodic(ch) && ch->gate && now >= ch->swap_tick)
		channel_load(ch, ch->swap_tick);
}

static bool channel_out(const struct pit_channel *ch, uint64_t now)
{
	uint64_t elapsed = channel_elapsed(ch, now);
	bool runs = ch->loaded && ch->gate;

	switch (ch->mode) {
	case 0:
		return ch->loaded && elapsed >= ch->count;
	case 1:
		return !ch->triggered || elapsed >= ch->count;
	case 2:
		return !runs || elapsed % ch->count != ch->count - 1;
	case 3:
		return !runs || elapsed % ch->count < (ch->count + 1) / 2;
	case 4:
		return !ch->loaded || elapsed != ch->count;
	default:
		return !ch->triggered || elapsed != ch->count;
	}
}

static uint16_t to_bcd(unsigned value)
{
	return (uint16_t)(value / 1000 % 10 << 12 | value / 100 % 10 << 8 | value / 10 % 10 << 4 |
			  value % 10);
}

static uint32_t from_bcd(unsigned value)
{
	return (value >> 12 & 15) * 1000 + (value >> 8 & 15) * 100 + (value >> 4 & 15) * 10 +
	       (value & 15);
}

/* The counting element as the guest reads it. */
static uint16_t channel_count(const struct pit_channel *ch, uint64_t now)
{
	uint32_t wrap = ch->is_bcd ? 10000 : 65536;
	uint64_t elapsed = channel_elapsed(ch, now);
	uint32_t value = ch->count;

	if (!ch->loaded || (channel_is_triggered_mode(ch) && !ch->triggered)) {
		value = ch->count;
	} else if (ch->mode == 2) {
		value = ch->count - (uint32_t)(elapsed % ch->count);
	} else if (ch->mode == 3) { /* by twos, twice in a period */
		uint32_t at = (uint32_t)(elapsed % ch->count), high = (ch->count + 1) / 2;
		value = (ch->count & ~1U) - 2 * (at < high ? at : at - high);
	} else {
		value = (uint32_t)((ch->count + wrap - elapsed % wrap) % wrap);
	}
	value %= wrap;
	return ch->is_bcd ? to_bcd(value) : (uint16_t)value;
}

static void channel_gate(struct pit_channel *ch, bool gate, uint64_t now)
{
	channel_sync(ch, now);
	if (gate == ch->gate)
		return;
	if (!gate) {
		ch->held_ticks = channel_elapsed(ch, now);
		ch->gate = false;
		return;
	}
	ch->gate = true;
	if (channel_is_triggered_mode(ch)) {
		ch->triggered = ch->loaded;
		channel_load(ch, now);
	} else if (channel_is_periodic(ch)) {
		channel_load(ch, now);
	} else {
		ch->start_tick = now - ch->held_ticks;
	}
}

/* A whole count has been written. */
static void channel_count_set(struct pit_channel *ch, unsigned written, uint64_t now)
{
	uint32_t count = ch->is_bcd ? from_bcd(written) : written;

	if (!count)
		count = ch->is_bcd ? 10000 : 65536;
	if (ch->mode == 2 && count == 1)
		count = 2; /* 1 is illegal there: Mode 2 */
	if (ch->mode == 3 && count == 1)
		count = 2;
	bool was_loaded = ch->loaded;
	ch->next_count = count;
	ch->loaded = true;
	if (channel_is_triggered_mode(ch)) {
		if (!was_loaded)
			ch->count = count;
	} else if (!was_loaded || !channel_is_periodic(ch)) {
		channel_load(ch, now);
	} else {
		uint64_t elapsed = channel_elapsed(ch, now);
		ch->swap_tick = now + (ch->count - elapsed % ch->count);
	}
}

/* ---- ports ---- */

static void channel_write(struct pit_channel *ch, uint8_t value, uint64_t now)
{
	if (ch->access == 1) {
		channel_count_set(ch, value, now);
	} else if (ch->access == 2) {
		channel_count_set(ch, (unsigned)value << 8, now);
	} else if (!ch->high_is_next_write) {
		ch->low_byte = value;
		ch->high_is_next_write = true;
		if (ch->mode == 0)
			ch->loaded = false; /* the first byte stops it: Mode 0 */
	} else {
		ch->high_is_next_write = false;
		channel_count_set(ch, ch->low_byte | (unsigned)value << 8, now);
	}
}

static uint8_t channel_read(struct pit_channel *ch, uint64_t now)
{
	if (ch->status_latched) {
		ch->status_latched = false;
		return ch->status;
	}
	uint16_t count = ch->latch_bytes ? ch->latch : channel_count(ch, now);
	bool high = ch->access == 2 || (ch->access == 3 && ch->high_is_next_read);
	if (ch->latch_bytes)
		ch->latch_bytes--;
	if (ch->access == 3)
		ch->high_is_next_read = !ch->high_is_next_read;
	return (uint8_t)(high ? count >> 8 : count);
}

/* Counter Latch Command: a second one before the first is read changes nothing. */
static void channel_latch(struct pit_channel *ch, uint64_t now)
{
	if (ch->latch_bytes)
		return;
	ch->latch = channel_count(ch, now);
	ch->latch_bytes = ch->access == 3 ? (ch->high_is_next_read ? 1 : 2) : 1;
}

static void channel_latch_status(struct pit_channel *ch, uint64_t now)
{
	if (ch->status_latched)
		return;
	bool null_count = !ch->loaded || ch->next_count;
	ch->status = (uint8_t)((unsigned)channel_out(ch, now) << 7 | (unsigned)null_count << 6 |
			       (unsigned)ch->access << 4 | (unsigned)ch->mode << 1 |
			       (unsigned)ch->is_bcd);
	ch->status_latched = true;
}

static void channel_control(struct pit_channel *ch, uint8_t value)
{
	static const uint8_t modes[8] = { 0, 1, 2, 3, 4, 5, 2, 3 }; /* bit 2 does not count there */
	bool gate = ch->gate;

	*ch = (struct pit_channel){ .gate = gate,
				    .mode = modes[value >> 1 & 7],
				    .access = value >> 4 & 3,
				    .is_bcd = value & 1,
				    .count = 1 };
}

/* Read-Back Command */
static void pit_read_back(struct pit *pit, uint8_t value, uint64_t now)
{
	for (unsigned i = 0; i < PIT_CHANNELS; i++) {
		if (!(value >> (i + 1) & 1))
			continue;
		if (!(value & 0x20))
			channel_latch(&pit->channels[i], now);
		if (!(value & 0x10))
			channel_latch_status(&pit->channels[i], now);
	}
}

/* ---- channel 0's interrupt ---- */

static void pit_irq(struct pit *pit, bool level)
{
	if (pit->irq_level == level)
		return;
	pit->irq_level = level;
	pit->irq->ops->line(pit->irq, GSI_PIT, level);
}

/* When its output rises next, after now; 0: never. Its gate is always open. */
static uint64_t pit_next_edge(const struct pit_channel *ch, uint64_t now)
{
	uint64_t edge;

	if (!ch->loaded || channel_is_triggered_mode(ch))
		return 0;
	if (channel_is_periodic(ch)) {
		edge = ch->start_tick + ((now - ch->start_tick) / ch->count + 1) * ch->count;
		return edge;
	}
	edge = ch->start_tick + ch->count + (ch->mode == 4);
	return edge > now ? edge : 0;
}

static void pit_arm(struct pit *pit, uint64_t now)
{
	const struct pit_channel *ch = &pit->channels[0];

	pit->edge_tick = pit_next_edge(ch, now);
	if (pit->edge_tick && pit->edge_tick < now + EDGE_MIN_TICKS && channel_is_periodic(ch) &&
	    ch->count < EDGE_MIN_TICKS)
		pit->edge_tick = now + EDGE_MIN_TICKS;
	if (pit->edge_tick)
		pit->clock->ops->arm(pit->clock, &pit->timer, ns_of_ticks(pit->edge_tick));
	else
		pit->clock->ops->cancel(pit->clock, &pit->timer);
}

/* The output's low time in between is not seen: no guest looks at it there. */
static void pit_fired(struct timer *timer)
{
	struct pit *pit = container_of(timer, struct pit, timer);

	lock_acquire(&pit->lock);
	uint64_t now = pit_now(pit);
	if (pit->edge_tick && now >= pit->edge_tick) {
		channel_sync(&pit->channels[0], now);
		pit_irq(pit, false);
		pit_irq(pit, true);
		pit_arm(pit, now);
	} else if (pit->edge_tick) {
		pit->clock->ops->arm(pit->clock, timer, ns_of_ticks(pit->edge_tick));
	}
	lock_release(&pit->lock);
}

/* Channel 0 was written. That its output may rise by that alone is kept from the guest: only counts interrupt. */
static void pit_restart(struct pit *pit, uint64_t now)
{
	if (!channel_out(&pit->channels[0], now))
		pit_irq(pit, false);
	pit_arm(pit, now);
}

static uint64_t pit_read(struct bus_region *region, uint64_t offset, unsigned len)
{
	struct pit *pit = container_of(region, struct pit, ports);
	uint64_t now = pit_now(pit);

	(void)len;
	if (offset >= PIT_CHANNELS)
		return 0xff; /* the control word cannot be read */
	channel_sync(&pit->channels[offset], now);
	return channel_read(&pit->channels[offset], now);
}

static void pit_write(struct bus_region *region, uint64_t offset, unsigned len, uint64_t value)
{
	struct pit *pit = container_of(region, struct pit, ports);
	uint64_t now = pit_now(pit);
	uint8_t byte = (uint8_t)value;
	unsigned target = offset < PIT_CHANNELS ? (unsigned)offset : byte >> 6;

	(void)len;
	for (unsigned i = 0; i < PIT_CHANNELS; i++)
		channel_sync(&pit->channels[i], now);
	if (target >= PIT_CHANNELS) {
		pit_read_back(pit, byte, now);
		return;
	}
	struct pit_channel *ch = &pit->channels[target];
	if (offset < PIT_CHANNELS) {
		channel_write(ch, byte, now);
	} else if (!(byte & 0x30)) {
		channel_latch(ch, now);
		return;
	} else {
		channel_control(ch, byte);
	}
	if (target == 0)
		pit_restart(pit, now);
}

static uint64_t port_b_read(struct bus_region *region, uint64_t offset, unsigned len)
{
	struct pit *pit = container_of(region, struct pit, port_b);
	struct pit_channel *ch = &pit->channels[2];
	uint64_t now = pit_now(pit);

	(void)offset;
	(void)len;
	channel_sync(ch, now);
	return pit->system_b | (now / REFRESH_TICKS % 2 ? SYSTEM_B_REFRESH : 0U) |
	       (channel_out(ch, now) ? SYSTEM_B_OUT : 0U);
}

static void port_b_write(struct bus_region *region, uint64_t offset, unsigned len, uint64_t value)
{
	struct pit *pit = container_of(region, struct pit, port_b);

	(void)offset;
	(void)len;
	pit->system_b = value & SYSTEM_B_KEPT;
	channel_gate(&pit->channels[2], value & SYSTEM_B_GATE, pit_now(pit));
}

static const struct bus_ops pit_ops = {
	.name = "pit",
	.read = pit_read,
	.write = pit_write,
};

static const struct bus_ops port_b_ops = {
	.name = "port61",
	.read = port_b_read,
	.write = port_b_write,
};

void pit_reset(struct pit *pit)
{
	lock_acquire(&pit->lock);
	pit->system_b = 0;
	pit->edge_tick = 0;
	pit->clock->ops->cancel(pit->clock, &pit->timer);
	for (unsigned i = 0; i < PIT_CHANNELS; i++)
		pit->channels[i] = (struct pit_channel){ .access = 3, .count = 1, .gate = i != 2 };
	pit_irq(pit, false);
	lock_release(&pit->lock);
}

void pit_init(struct pit *pit, struct irq_sink *irq, struct clock *clock)
{
	memset(pit, 0, sizeof(*pit));
	pit->irq = irq;
	pit->clock = clock;
	pit->timer.fired = pit_fired;
	pit->ports = (struct bus_region){
		.ops = &pit_ops, .lock = &pit->lock, .base = PORT_PIT, .size = 4
	};
	pit->port_b = (struct bus_region){
		.ops = &port_b_ops, .lock = &pit->lock, .base = PORT_SYSTEM_B, .size = 1
	};
	pit_reset(pit);
}

void pit_fini(struct pit *pit)
{
	lock_acquire(&pit->lock);
	pit->edge_tick = 0;
	pit->clock->ops->cancel(pit->clock, &pit->timer);
	lock_release(&pit->lock);
}
