/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A 16550 as the management channel: 115200 8N1, a byte each 87 us. A timer polls it, often enough that its FIFO of 16 bytes
 * does not run over, and keeps what came until the channel has its turn: that may be behind a frame that goes out, which takes
 * up to 0.4 s, or when the channel has used up its part of the CPU. There is no flow control: what comes while the CPU does one
 * thing for more than a millisecond is lost, and is sent again (base/core/link.h).
 * Source: 16550D data sheet, Registers.
 */
#include "base/core/macros.h"
#include "core/io.h"
#include "core/page.h"
#include "core/timer.h"
#include "drivers/line.h"

#define POLL_NS	   UINT64_C(500000)
#define FIFO_BYTES 16U
#define POLL_MOST  256U /* the largest FIFO that there is, and more than comes in between */
#define KEPT_ORDER 4U
#define KEPT_BYTES (PAGE_BYTES << KEPT_ORDER) /* a power of two; 6 s of the line */

enum serial_reg { SERIAL_DATA, SERIAL_IER, SERIAL_FCR, SERIAL_LCR, SERIAL_MCR, SERIAL_LSR };
enum { LSR_DATA = 0x1, LSR_EMPTY = 0x20 };

struct serial_line {
	struct line line;
	uint16_t port;
	struct hv_timer timer;
	/* What came: the timer puts it in, read() takes it out. They are free-running, atomic, and one side's each. */
	uint8_t *kept;
	uint32_t put, taken;
	bool is_full; /* atomic: write() could not write all */
};

static uint16_t reg(const struct serial_line *s, unsigned number)
{
	return (uint16_t)(s->port + number);
}

static size_t serial_line_read(struct line *line, void *ret, size_t room)
{
	struct serial_line *s = container_of(line, struct serial_line, line);
	const uint32_t put = __atomic_load_n(&s->put, __ATOMIC_ACQUIRE);
	uint32_t at = s->taken;
	uint8_t *to = ret;
	size_t n = 0;

	while (n < room && at != put)
		to[n++] = s->kept[at++ % KEPT_BYTES];
	__atomic_store_n(&s->taken, at, __ATOMIC_RELEASE);
	return n;
}

/* Into what is kept. So many at a time: a line that breaks may say for ever that it has something. */
static bool serial_line_keep(struct serial_line *s)
{
	const uint32_t taken = __atomic_load_n(&s->taken, __ATOMIC_ACQUIRE);
	const uint32_t from = s->put;
	uint32_t put = from;

	for (unsigned i = 0; i < POLL_MOST && port_in8(reg(s, SERIAL_LSR)) & LSR_DATA; i++) {
		uint8_t byte = port_in8(reg(s, SERIAL_DATA));
		if (put - taken < KEPT_BYTES)
			s->kept[put++ % KEPT_BYTES] = byte;
	}
	__atomic_store_n(&s->put, put, __ATOMIC_RELEASE);
	return put != from;
}

/* The FIFO is empty, or it takes nothing. */
static size_t serial_line_write(struct line *line, const void *bytes, size_t len)
{
	struct serial_line *s = container_of(line, struct serial_line, line);
	const uint8_t *from = bytes;
	size_t n = 0;

	if (port_in8(reg(s, SERIAL_LSR)) & LSR_EMPTY) {
		while (n < len && n < FIFO_BYTES)
			port_out8(reg(s, SERIAL_DATA), from[n++]);
	}
	if (n < len)
		__atomic_store_n(&s->is_full, true, __ATOMIC_RELEASE);
	return n;
}

static const struct line_ops serial_line_ops = {
	.name = "a serial line",
	.is_lossy = true,
	.read = serial_line_read,
	.write = serial_line_write,
};

static void serial_line_tick(struct hv_timer *timer)
{
	struct serial_line *s = container_of(timer, struct serial_line, timer);
	const bool is_due = serial_line_keep(s);

	if (__atomic_exchange_n(&s->is_full, false, __ATOMIC_ACQ_REL) || is_due)
		s->line.wake();
	timer_arm(timer, clock_ns() + POLL_NS);
}

struct line *serial_line_find(uint16_t port, void (*wake)(void))
{
	static struct serial_line serial; /* a server has one channel */
	struct serial_line *s = &serial;

	*s = (struct serial_line){ .line = { .ops = &serial_line_ops, .wake = wake },
				   .port = port,
				   .timer = { .fired = serial_line_tick } };
	port_out8(reg(s, 7), 0x5a); /* the scratch register */
	if (port_in8(reg(s, 7)) != 0x5a)
		return NULL;
	s->kept = page_alloc(KEPT_ORDER);
	if (!s->kept)
		return NULL;
	port_out8(reg(s, SERIAL_IER), 0);
	port_out8(reg(s, SERIAL_LCR), 0x80); /* divisor latch */
	port_out8(reg(s, SERIAL_DATA), 1);   /* 115200 */
	port_out8(reg(s, SERIAL_IER), 0);
	port_out8(reg(s, SERIAL_LCR), 3); /* 8 bits, no parity, 1 stop bit */
	/*
	 * FIFOs on and empty; told of 8 bytes. QEMU's gives no more at a time than it has to tell of, so few would be slow; Bochs's shows
	 * none before it has as many, so the rest is what may come until the next poll.
	 */
	port_out8(reg(s, SERIAL_FCR), 0x87);
	port_out8(reg(s, SERIAL_MCR), 3); /* DTR, RTS */
	timer_arm(&s->timer, clock_ns() + POLL_NS);
	return &s->line;
}
