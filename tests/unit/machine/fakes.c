/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/fakes.h"

#include <string.h>

#include "base/core/macros.h"
#include "scratch.h"

static uint64_t fake_now_ns(struct clock *clock)
{
	return container_of(clock, struct fake_clock, clock)->now_ns;
}

static void fake_arm(struct clock *clock, struct timer *timer, uint64_t deadline_ns)
{
	timer->deadline_ns = deadline_ns;
	timer->armed = true;
	container_of(clock, struct fake_clock, clock)->timer = timer;
}

static void fake_cancel(struct clock *clock, struct timer *timer)
{
	(void)clock;
	timer->armed = false;
}

static int64_t fake_wall_s(struct clock *clock)
{
	return container_of(clock, struct fake_clock, clock)->wall_s;
}

static const struct clock_ops fake_clock_ops = {
	.now_ns = fake_now_ns,
	.arm = fake_arm,
	.cancel = fake_cancel,
	.wall_s = fake_wall_s,
};

void fake_clock_init(struct fake_clock *clock)
{
	*clock = (struct fake_clock){ .clock.ops = &fake_clock_ops };
}

void fake_clock_advance(struct fake_clock *clock, uint64_t ns)
{
	uint64_t end = clock->now_ns + ns;

	while (clock->timer && clock->timer->armed && clock->timer->deadline_ns <= end) {
		if (clock->timer->deadline_ns > clock->now_ns)
			clock->now_ns = clock->timer->deadline_ns;
		clock->timer->armed = false;
		clock->timer->fired(clock->timer);
	}
	clock->now_ns = end;
}

static void fake_power_off(struct machine_events *events)
{
	container_of(events, struct fake_events, events)->power_offs++;
}

static void fake_reset(struct machine_events *events)
{
	container_of(events, struct fake_events, events)->resets++;
}

static void fake_exit(struct machine_events *events, int status)
{
	container_of(events, struct fake_events, events)->exits++;
	container_of(events, struct fake_events, events)->status = status;
}

static const struct machine_event_ops fake_event_ops = {
	.power_off = fake_power_off,
	.reset = fake_reset,
	.exit = fake_exit,
};

void fake_events_init(struct fake_events *events)
{
	*events = (struct fake_events){ .events.ops = &fake_event_ops };
}

static void fake_line(struct irq_sink *sink, uint32_t gsi, bool level)
{
	struct fake_irq *irq = container_of(sink, struct fake_irq, sink);

	assert_in_range(gsi, 0, 63);
	irq->rises += level && !irq->lines[gsi];
	irq->lines[gsi] = level;
	irq->calls++;
}

static void fake_msi(struct irq_sink *sink, uint64_t addr, uint32_t data)
{
	(void)sink;
	(void)addr;
	(void)data;
	fail_msg("a legacy device sent a message");
}

static const struct irq_sink_ops fake_irq_ops = { .line = fake_line, .msi = fake_msi };

void fake_irq_init(struct fake_irq *irq)
{
	*irq = (struct fake_irq){ .sink.ops = &fake_irq_ops };
}

static int64_t fake_write(struct console *console, const void *data, size_t len)
{
	struct fake_console *c = container_of(console, struct fake_console, console);

	c->writes++;
	if (c->error)
		return c->error;
	if (len > c->room)
		len = c->room;
	assert_true(len <= sizeof(c->out) - c->n_out);
	memcpy(c->out + c->n_out, data, len);
	c->n_out += len;
	c->room -= len;
	return (int64_t)len;
}

static int64_t fake_read(struct console *console, void *ret, size_t len)
{
	struct fake_console *c = container_of(console, struct fake_console, console);

	if (len > c->n_in)
		len = c->n_in;
	if (!len)
		return 0;
	memcpy(ret, c->in, len);
	c->in += len;
	c->n_in -= len;
	return (int64_t)len;
}

static void fake_close(struct console *console)
{
	(void)console;
}

static const struct console_ops fake_console_ops = {
	.write = fake_write,
	.read = fake_read,
	.close = fake_close,
};

void fake_console_init(struct fake_console *console)
{
	*console = (struct fake_console){
		.console.ops = &fake_console_ops,
		.room = sizeof(console->out),
	};
}

void fake_console_type(struct fake_console *console, const char *text, size_t len)
{
	console->in = text;
	console->n_in = len;
	console->console.readable(&console->console, console->console.arg);
}
