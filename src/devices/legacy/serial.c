/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/legacy/serial.h"

#include <string.h>

#include "base/core/macros.h"

/* Registers: 8, Table II Summary of Registers. */
#define SERIAL_DATA  0U /* RBR, THR; DLL with DLAB */
#define SERIAL_IER   1U /* DLM with DLAB */
#define SERIAL_IIR   2U /* FCR when written */
#define SERIAL_LCR   3U
#define SERIAL_MCR   4U
#define SERIAL_LSR   5U
#define SERIAL_MSR   6U
#define SERIAL_SCR   7U
#define SERIAL_PORTS 8U

#define IER_RECEIVED 0x01U
#define IER_THRE     0x02U
#define IER_LINE     0x04U
#define IER_MODEM    0x08U
#define IER_BITS     0x0fU

#define IIR_NONE     0x01U
#define IIR_MODEM    0x00U
#define IIR_THRE     0x02U
#define IIR_RECEIVED 0x04U
#define IIR_LINE     0x06U
#define IIR_TIMEOUT  0x0cU
#define IIR_FIFOS    0xc0U

#define FCR_ENABLE	  0x01U
#define FCR_CLEAR_IN	  0x02U
#define FCR_TRIGGER_SHIFT 6U

#define LCR_DLAB 0x80U

#define MCR_DTR	 0x01U
#define MCR_RTS	 0x02U
#define MCR_OUT1 0x04U
#define MCR_OUT2 0x08U /* on a PC: lets the interrupt through */
#define MCR_LOOP 0x10U
#define MCR_BITS 0x1fU

#define LSR_READY   0x01U
#define LSR_OVERRUN 0x02U
#define LSR_THRE    0x20U
#define LSR_TEMT    0x40U

#define MSR_DELTA_RI 0x04U /* trailing edge only */
#define MSR_CTS	     0x10U
#define MSR_DSR	     0x20U
#define MSR_RI	     0x40U
#define MSR_DCD	     0x80U

/* ---- what the guest is told ---- */

static unsigned serial_fifo_room(const struct serial *serial)
{
	return (serial->fifos ? SERIAL_FIFO_BYTES : 1) - serial->n_in;
}

/* Room for a whole FIFO: so many may be written after one look at the LSR. */
static bool serial_can_send(const struct serial *serial)
{
	return SERIAL_LINE_BYTES - serial->n_line >= SERIAL_FIFO_BYTES;
}

/* The interrupt of the highest priority: 8.5 Interrupt Identification Register. */
static uint8_t serial_iir(const struct serial *serial)
{
	if (serial->ier & IER_LINE && serial->overrun)
		return IIR_LINE;
	if (serial->ier & IER_RECEIVED && serial->n_in)
		return serial->fifos && serial->n_in < serial->trigger ? IIR_TIMEOUT : IIR_RECEIVED;
	if (serial->ier & IER_THRE && serial->thre)
		return IIR_THRE;
	if (serial->ier & IER_MODEM && serial->msr_deltas)
		return IIR_MODEM;
	return IIR_NONE;
}

static void serial_update(struct serial *serial)
{
	bool level = serial_iir(serial) != IIR_NONE && serial->mcr & MCR_OUT2 &&
		     !(serial->mcr & MCR_LOOP);

	if (level == serial->level)
		return;
	serial->level = level;
	serial->irq->ops->line(serial->irq, serial->gsi, level);
}

static uint8_t serial_lsr(const struct serial *serial)
{
	return (uint8_t)((serial->n_in ? LSR_READY : 0) | (serial->overrun ? LSR_OVERRUN : 0) |
			 (serial_can_send(serial) ? LSR_THRE | LSR_TEMT : 0));
}

/* The other end is always there; in a loop it is our own outputs: 8.6 Modem Control Register, bit 4. */
static uint8_t serial_modem(const struct serial *serial)
{
	uint8_t mcr = serial->mcr;

	if (!(mcr & MCR_LOOP))
		return MSR_CTS | MSR_DSR | MSR_DCD;
	return (uint8_t)((mcr & MCR_RTS ? MSR_CTS : 0) | (mcr & MCR_DTR ? MSR_DSR : 0) |
			 (mcr & MCR_OUT1 ? MSR_RI : 0) | (mcr & MCR_OUT2 ? MSR_DCD : 0));
}

/* ---- between the port and the console ---- */

static void serial_drain(struct serial *serial)
{
	bool busy = !serial_can_send(serial);

	while (serial->n_line && !serial->gone) {
		unsigned n = SERIAL_LINE_BYTES - serial->line_first;
		if (n > serial->n_line)
			n = serial->n_line;
		int64_t r = serial->console->ops->write(serial->console,
							&serial->line[serial->line_first], n);
		if (r < 0 || (uint64_t)r > n)
			serial->gone = true;
		else if (r == 0)
			break;
		else
			n = (unsigned)r;
		serial->line_first = (serial->line_first + n) % SERIAL_LINE_BYTES;
		serial->n_line -= n;
	}
	if (serial->gone)
		serial->n_line = 0;
	if (busy && serial_can_send(serial))
		serial->thre = true;
}

static void serial_fill(struct serial *serial)
{
	unsigned room = serial_fifo_room(serial);

	if (serial->mcr & MCR_LOOP || !room)
		return;
	int64_t r = serial->console->ops->read(serial->console, &serial->in[serial->n_in], room);
	if (r > 0 && (uint64_t)r <= room)
		serial->n_in += (unsigned)r;
	serial->input_waits = r > 0;
}

static void serial_move(struct serial *serial)
{
	serial->kicked = false;
	serial_drain(serial);
	if (serial->input_waits)
		serial_fill(serial);
	serial_update(serial);
}

/* The guest wrote, or made room: the console's turn. */
static void serial_ask(struct serial *serial)
{
	if (!serial->kick) {
		serial_move(serial);
	} else if (!serial->kicked) {
		serial->kicked = true;
		serial->kick(serial, serial->kick_arg);
	}
}

unsigned serial_service(struct serial *serial)
{
	lock_acquire(&serial->lock);
	serial_move(serial);
	unsigned left = serial->n_line;
	lock_release(&serial->lock);
	return left;
}

static void serial_console_readable(struct console *console, void *arg)
{
	struct serial *serial = arg;

	(void)console;
	lock_acquire(&serial->lock);
	serial->input_waits = true;
	serial_move(serial);
	lock_release(&serial->lock);
}

static void serial_console_writable(struct console *console, void *arg)
{
	(void)console;
	(void)serial_service(arg);
}

/* ---- registers: serial->lock is held ---- */

static void serial_send(struct serial *serial, uint8_t byte)
{
	serial->thre = false;
	if (serial->mcr & MCR_LOOP) {
		if (serial_fifo_room(serial))
			serial->in[serial->n_in++] = byte;
		else
			serial->overrun = true;
		serial->thre = true;
		return;
	}
	if (serial->n_line < SERIAL_LINE_BYTES && !serial->gone)
		serial->line[(serial->line_first + serial->n_line++) % SERIAL_LINE_BYTES] = byte;
	serial_ask(serial);
	if (serial_can_send(serial))
		serial->thre = true;
}

static uint8_t serial_receive(struct serial *serial)
{
	uint8_t byte = serial->n_in ? serial->in[0] : 0;

	if (!serial->n_in)
		return 0;
	serial->n_in--;
	memmove(&serial->in[0], &serial->in[1], serial->n_in);
	if (serial->input_waits && !serial->n_in)
		serial_ask(serial);
	return byte;
}

static uint8_t serial_read_iir(struct serial *serial)
{
	uint8_t iir = serial_iir(serial);

	if (iir == IIR_THRE)
		serial->thre = false;
	return (uint8_t)(iir | (serial->fifos ? IIR_FIFOS : 0));
}

static uint8_t serial_read_register(struct serial *serial, unsigned offset)
{
	bool dlab = serial->lcr & LCR_DLAB;
	uint8_t value;

	switch (offset) {
	case SERIAL_DATA:
		return dlab ? serial->divisor[0] : serial_receive(serial);
	case SERIAL_IER:
		return dlab ? serial->divisor[1] : serial->ier;
	case SERIAL_IIR:
		return serial_read_iir(serial);
	case SERIAL_LCR:
		return serial->lcr;
	case SERIAL_MCR:
		return serial->mcr;
	case SERIAL_LSR:
		value = serial_lsr(serial);
		serial->overrun = false;
		return value;
	case SERIAL_MSR:
		value = (uint8_t)(serial_modem(serial) | serial->msr_deltas);
		serial->msr_deltas = 0;
		return value;
	default:
		return serial->scratch;
	}
}

/* An interrupt that was off while the transmitter is empty comes at once: 8.7 Interrupt Enable Register. */
static void serial_write_ier(struct serial *serial, uint8_t value)
{
	bool thre_on = value & ~serial->ier & IER_THRE;

	serial->ier = value & IER_BITS;
	if (thre_on && serial_can_send(serial))
		serial->thre = true;
}

static void serial_write_fcr(struct serial *serial, uint8_t value)
{
	static const uint8_t triggers[] = { 1, 4, 8, 14 };
	bool fifos = value & FCR_ENABLE;

	/* What is on the line is out of the transmitter's FIFO: clearing that changes nothing. */
	if (fifos != serial->fifos || value & FCR_CLEAR_IN) {
		serial->n_in = 0;
		serial->overrun = false;
	}
	serial->fifos = fifos;
	serial->trigger = triggers[value >> FCR_TRIGGER_SHIFT];
	if (serial->input_waits)
		serial_ask(serial);
}

static void serial_write_mcr(struct serial *serial, uint8_t value)
{
	unsigned before = serial_modem(serial);
	bool loop = serial->mcr & MCR_LOOP;

	serial->mcr = value & MCR_BITS;
	unsigned after = serial_modem(serial), changed = (before ^ after) >> 4;
	serial->msr_deltas |= (uint8_t)(changed & ~MSR_DELTA_RI);
	if (before & ~after & MSR_RI)
		serial->msr_deltas |= MSR_DELTA_RI;
	if (loop && !(value & MCR_LOOP) && serial->input_waits)
		serial_ask(serial);
}

static void serial_write_register(struct serial *serial, unsigned offset, uint8_t value)
{
	bool dlab = serial->lcr & LCR_DLAB;

	switch (offset) {
	case SERIAL_DATA:
		if (dlab)
			serial->divisor[0] = value;
		else
			serial_send(serial, value);
		break;
	case SERIAL_IER:
		if (dlab)
			serial->divisor[1] = value;
		else
			serial_write_ier(serial, value);
		break;
	case SERIAL_IIR:
		serial_write_fcr(serial, value);
		break;
	case SERIAL_LCR:
		serial->lcr = value;
		break;
	case SERIAL_MCR:
		serial_write_mcr(serial, value);
		break;
	case SERIAL_SCR:
		serial->scratch = value;
		break;
	default: /* LSR and MSR are for tests of the chip */
		break;
	}
}

static uint64_t serial_read(struct bus_region *region, uint64_t offset, unsigned len)
{
	struct serial *serial = container_of(region, struct serial, region);
	uint64_t value = 0;

	for (unsigned i = 0; i < len; i++)
		value |= (uint64_t)serial_read_register(serial, (unsigned)offset + i) << (8 * i);
	serial_update(serial);
	return value;
}

static void serial_write(struct bus_region *region, uint64_t offset, unsigned len, uint64_t value)
{
	struct serial *serial = container_of(region, struct serial, region);

	for (unsigned i = 0; i < len; i++)
		serial_write_register(serial, (unsigned)offset + i, (uint8_t)(value >> (8 * i)));
	serial_update(serial);
}

static const struct bus_ops serial_ops = {
	.name = "serial",
	.read = serial_read,
	.write = serial_write,
};

int serial_init(struct serial *serial, struct bus *pio, uint16_t base, struct console *console,
		struct irq_sink *irq, uint32_t gsi, struct err *err)
{
	memset(serial, 0, sizeof(*serial));
	serial->region = (struct bus_region){ &serial_ops, &serial->lock, base, SERIAL_PORTS };
	serial->console = console;
	serial->irq = irq;
	serial->gsi = gsi;
	serial->divisor[0] = 1; /* 115200 baud, 8 bits, no parity: as firmware leaves it */
	serial->lcr = 0x03;
	serial->trigger = 1;
	serial->thre = true;
	serial->input_waits = true;
	int r = bus_add(pio, &serial->region);
	if (r < 0)
		return err_say(err, -r, "add a serial port at %#x: its ports are taken", base);
	console->readable = serial_console_readable;
	console->writable = serial_console_writable;
	console->arg = serial;
	return 0;
}
