/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio/console.h"

#include <errno.h>
#include <string.h>

#include "base/core/macros.h"

/* 5.3.3 Feature bits */
#define CONSOLE_F_SIZE	    0
#define CONSOLE_F_MULTIPORT 1

/* 5.3.2 Virtqueues */
#define CONSOLE_CONTROL_RX 2U /* device to driver */
#define CONSOLE_CONTROL_TX 3U

#define CONSOLE_QUEUE_SIZE 64U
#define CONSOLE_BUDGET	   32U	  /* chains of one turn */
#define CONSOLE_BYTES	   65536U /* and bytes */

/* 5.3.6.2 Multiport Device Operation */
enum console_event {
	CONSOLE_DEVICE_READY,
	CONSOLE_PORT_ADD,
	CONSOLE_PORT_REMOVE,
	CONSOLE_PORT_READY,
	CONSOLE_CONSOLE_PORT,
	CONSOLE_RESIZE,
	CONSOLE_PORT_OPEN,
	CONSOLE_PORT_NAME,
};
struct console_message {
	struct le32 id;
	struct le16 event, value;
};
_Static_assert(sizeof(struct console_message) == 8, "5.3.6.2");

#define SAY(event) (1U << (event))
/* A port is added before anything else is said of it, and named before it opens. */
static const enum console_event console_order[] = {
	CONSOLE_PORT_ADD, CONSOLE_CONSOLE_PORT, CONSOLE_PORT_NAME,
	CONSOLE_RESIZE,	  CONSOLE_PORT_OPEN,
};

static struct virtio_console *console_of(struct virtio_dev *dev)
{
	return container_of(dev, struct virtio_console, virtio);
}

static uint16_t console_rx_queue(unsigned port)
{
	return (uint16_t)(port == 0 ? 0 : 2 * port + 2);
}

static bool console_multiport(const struct virtio_console *dev)
{
	return virtio_has(&dev->virtio, CONSOLE_F_MULTIPORT);
}

static unsigned console_port_index(const struct console_port *port)
{
	return (unsigned)(port - port->dev->ports);
}

/* ---- control, to the driver ---- */

static unsigned console_message(const struct console_port *port, enum console_event event,
				uint8_t ret[sizeof(struct console_message) + CONSOLE_NAME_BYTES])
{
	uint16_t value = 1;
	unsigned len = sizeof(struct console_message);

	if (event == CONSOLE_PORT_OPEN)
		value = port->host_open;
	if (event == CONSOLE_PORT_NAME) {
		/* No terminator: the used length is the end. */
		memcpy(ret + len, port->name, port->name_bytes);
		len += port->name_bytes;
	} else if (event == CONSOLE_RESIZE) {
		le16_store(ret + len, le16_get(port->cols));
		le16_store(ret + len + 2, le16_get(port->rows));
		len += 4;
	}
	const struct console_message m = { .id = le32_of(console_port_index(port)),
					   .event = le16_of((uint16_t)event),
					   .value = le16_of(value) };
	memcpy(ret, &m, sizeof(m));
	return len;
}

/* 1: said; 0: the driver gave no buffer; < 0: broken. */
static int console_say(struct virtio_console *dev, struct console_port *port,
		       enum console_event event)
{
	struct virtq *vq = &dev->virtio.queues[CONSOLE_CONTROL_RX];
	uint8_t bytes[sizeof(struct console_message) + CONSOLE_NAME_BYTES];
	int r = virtq_pop(vq, &dev->chain);

	if (r <= 0)
		return r;
	unsigned len = console_message(port, event, bytes);
	if (dev->chain.in_bytes < len)
		return -EPROTO;
	(void)chain_put(&dev->chain, 0, bytes, len);
	chain_wrote(&dev->chain, dev->virtio.mem, len);
	virtq_put(vq, dev->chain.head, len);
	port->say &= ~SAY(event);
	return 1;
}

static int console_say_all(struct virtio_console *dev)
{
	int r = 1;

	if (!virtio_live(&dev->virtio, CONSOLE_CONTROL_RX) || !console_multiport(dev))
		return 0;
	for (unsigned i = 0; r > 0 && i < dev->n_ports; i++) {
		for (unsigned k = 0; r > 0 && k < ARRAY_SIZE(console_order); k++) {
			if (dev->ports[i].say & SAY(console_order[k]))
				r = console_say(dev, &dev->ports[i], console_order[k]);
		}
	}
	virtio_signal(&dev->virtio, CONSOLE_CONTROL_RX);
	return r < 0 ? r : 0;
}

/* Something else is to be said: now, if the driver gave buffers. */
static void console_want(struct console_port *port, uint32_t say)
{
	port->say |= say;
	if (console_say_all(port->dev) < 0)
		virtio_broken(&port->dev->virtio);
}

/* ---- data, to the driver ---- */

/* The bytes that a chain got; -EPIPE: the stream ended before the first. */
static int64_t console_read_chain(struct console_port *port)
{
	const struct chain *chain = &port->dev->chain;
	int64_t sum = 0;

	for (unsigned i = chain->n_out; i < chain->n; i++) {
		const struct mem_iov *iov = &chain->iov[i];
		int64_t n = port->console->ops->read(port->console, iov->hva, (size_t)iov->len);
		if (n < 0 && sum == 0)
			return n;
		if (n <= 0)
			break;
		sum += n;
		if ((uint64_t)n < iov->len)
			break;
	}
	return sum;
}

static void console_host_open(struct console_port *port, bool open)
{
	if (port->host_open == open)
		return;
	port->host_open = open;
	if (port->guest_ready)
		console_want(port, SAY(CONSOLE_PORT_OPEN));
}

static bool console_guest_listens(const struct console_port *port)
{
	return !console_multiport(port->dev) || port->guest_open;
}

static int console_receive(struct console_port *port)
{
	struct virtio_console *dev = port->dev;
	const uint16_t queue = console_rx_queue(console_port_index(port));
	struct virtq *vq = &dev->virtio.queues[queue];
	uint64_t sum = 0;
	int r = 0;

	if (!console_guest_listens(port))
		return 0;
	for (unsigned i = 0; i < CONSOLE_BUDGET && sum < CONSOLE_BYTES; i++) {
		r = virtq_pop(vq, &dev->chain);
		if (r <= 0)
			break;
		int64_t n = console_read_chain(port);
		if (n <= 0) {
			virtq_unpop(vq);
			r = 0;
			if (n < 0)
				console_host_open(port, false);
			break;
		}
		chain_wrote(&dev->chain, dev->virtio.mem, (uint64_t)n);
		virtq_put(vq, dev->chain.head, (uint32_t)n);
		sum += (uint64_t)n;
		/* The buffer is the guest's now, whatever console_want() does with dev->chain. */
		console_host_open(port, true);
	}
	virtio_signal(&dev->virtio, queue);
	if (r > 0)
		virtio_again(&dev->virtio, queue);
	return r < 0 ? r : 0;
}

/* ---- data, from the driver ---- */

/* true: all of it is written, or nobody reads any more. */
static bool console_write_chain(struct console_port *port)
{
	const struct chain *chain = &port->dev->chain;
	uint64_t skip = port->tx_done;

	for (unsigned i = 0; i < chain->n_out; i++) {
		const uint8_t *from = chain->iov[i].hva;
		uint64_t len = chain->iov[i].len;
		if (skip >= len) {
			skip -= len;
			continue;
		}
		int64_t n =
			port->console->ops->write(port->console, from + skip, (size_t)(len - skip));
		if (n < 0)
			return true;
		port->tx_done += (uint64_t)n;
		if ((uint64_t)n < len - skip)
			return false;
		skip = 0;
	}
	return true;
}

static int console_transmit(struct console_port *port)
{
	struct virtio_console *dev = port->dev;
	const uint16_t queue = (uint16_t)(console_rx_queue(console_port_index(port)) + 1);
	struct virtq *vq = &dev->virtio.queues[queue];
	uint64_t sum = 0;
	int r = 0;

	for (unsigned i = 0; !port->tx_blocked && i < CONSOLE_BUDGET && sum < CONSOLE_BYTES; i++) {
		r = virtq_pop(vq, &dev->chain);
		if (r <= 0)
			break;
		sum += dev->chain.out_bytes;
		if (!console_write_chain(port)) {
			virtq_unpop(vq);
			port->tx_blocked = true;
			r = 0;
			break;
		}
		port->tx_done = 0;
		virtq_put(vq, dev->chain.head, 0);
	}
	virtio_signal(&dev->virtio, queue);
	if (r > 0)
		virtio_again(&dev->virtio, queue);
	return r < 0 ? r : 0;
}

/* ---- control, from the driver ---- */

static void console_guest_open(struct console_port *port, bool open)
{
	const struct console_ops *ops = port->console->ops;

	if (port->guest_open == open)
		return;
	port->guest_open = open;
	if (ops->guest_open)
		ops->guest_open(port->console, open);
	if (open)
		virtio_again(&port->dev->virtio, console_rx_queue(console_port_index(port)));
}

static void console_port_ready(struct console_port *port)
{
	port->guest_ready = true;
	port->say |= SAY(CONSOLE_PORT_OPEN);
	if (port->name_bytes)
		port->say |= SAY(CONSOLE_PORT_NAME);
	if (!port->is_console)
		return;
	port->say |= SAY(CONSOLE_CONSOLE_PORT);
	if (le16_get(port->cols))
		port->say |= SAY(CONSOLE_RESIZE);
	console_guest_open(port, true); /* a console's driver does not say so */
}

/* What makes no sense is ignored: a driver may know ports that we do not. */
static void console_heed(struct virtio_console *dev, const struct console_message *m)
{
	const uint32_t id = le32_get(m->id);
	const bool on = le16_get(m->value);

	if (le16_get(m->event) == CONSOLE_DEVICE_READY) {
		for (unsigned i = 0; on && i < dev->n_ports; i++)
			dev->ports[i].say |= SAY(CONSOLE_PORT_ADD);
		return;
	}
	if (id >= dev->n_ports)
		return;
	if (le16_get(m->event) == CONSOLE_PORT_READY && on)
		console_port_ready(&dev->ports[id]);
	else if (le16_get(m->event) == CONSOLE_PORT_OPEN)
		console_guest_open(&dev->ports[id], on);
}

static int console_control(struct virtio_console *dev)
{
	struct virtq *vq = &dev->virtio.queues[CONSOLE_CONTROL_TX];
	struct console_message m;
	int r = 1;

	for (unsigned i = 0; r > 0 && i < CONSOLE_BUDGET; i++) {
		r = virtq_pop(vq, &dev->chain);
		if (r <= 0)
			break;
		if (!chain_pull(&dev->chain, &m, sizeof(m)))
			return -EPROTO;
		virtq_put(vq, dev->chain.head, 0);
		if (console_multiport(dev))
			console_heed(dev, &m);
	}
	virtio_signal(&dev->virtio, CONSOLE_CONTROL_TX);
	if (r > 0)
		virtio_again(&dev->virtio, CONSOLE_CONTROL_TX);
	return r < 0 ? r : console_say_all(dev);
}

/* ---- the device ---- */

static int console_handle(struct virtio_dev *virtio, uint16_t queue)
{
	struct virtio_console *dev = console_of(virtio);
	const unsigned port = queue < 2 ? 0 : queue / 2U - 1;

	if (queue == CONSOLE_CONTROL_RX)
		return console_say_all(dev);
	if (queue == CONSOLE_CONTROL_TX)
		return console_control(dev);
	return queue % 2 ? console_transmit(&dev->ports[port]) : console_receive(&dev->ports[port]);
}

static void console_reset(struct virtio_dev *virtio)
{
	struct virtio_console *dev = console_of(virtio);

	for (unsigned i = 0; i < dev->n_ports; i++) {
		struct console_port *port = &dev->ports[i];
		if (port->guest_open && port->console->ops->guest_open)
			port->console->ops->guest_open(port->console, false);
		port->guest_ready = port->guest_open = port->tx_blocked = false;
		port->say = 0;
		port->tx_done = 0;
	}
}

static const struct virtio_dev_ops console_dev_ops = {
	.name = "virtio-console",
	.device_id = VIRTIO_ID_CONSOLE,
	.class_code = 0x078000,
	.handle = console_handle,
	.reset = console_reset,
};

static void console_ready(void *arg, bool is_writable)
{
	struct console_port *port = arg;
	struct virtio_console *dev = port->dev;
	const unsigned queue = console_rx_queue(console_port_index(port)) + (is_writable ? 1U : 0);

	lock_acquire(&dev->virtio.lock);
	if (is_writable)
		port->tx_blocked = false;
	virtio_serve(&dev->virtio, (uint16_t)queue);
	lock_release(&dev->virtio.lock);
}

static void console_readable(struct console *console, void *arg)
{
	(void)console;
	console_ready(arg, false);
}

static void console_writable(struct console *console, void *arg)
{
	(void)console;
	console_ready(arg, true);
}

static void console_port_init(struct virtio_console *dev, struct console_port *port,
			      const struct console_port_config *config)
{
	*port = (struct console_port){ .dev = dev,
				       .console = config->console,
				       .is_console = config->is_console,
				       .host_open = true };
	const char *name = config->name ? config->name : "";
	while (name[port->name_bytes] && port->name_bytes < CONSOLE_NAME_BYTES) {
		port->name[port->name_bytes] = name[port->name_bytes];
		port->name_bytes++;
	}
	port->console->readable = console_readable;
	port->console->writable = console_writable;
	port->console->arg = port;
}

void virtio_console_init(struct virtio_console *dev, const struct virtio_place *place,
			 const struct console_port_config *ports, unsigned n)
{
	dev->n_ports = n < CONSOLE_PORTS ? n : CONSOLE_PORTS;
	virtio_dev_init(&dev->virtio, &console_dev_ops, place,
			VIRTIO_BIT(CONSOLE_F_SIZE) | VIRTIO_BIT(CONSOLE_F_MULTIPORT),
			(uint16_t)(2 * dev->n_ports + 2), CONSOLE_QUEUE_SIZE, &dev->config,
			sizeof(dev->config));
	dev->config = (struct console_config){ .max_nr_ports = le32_of(dev->n_ports) };
	for (unsigned i = 0; i < dev->n_ports; i++)
		console_port_init(dev, &dev->ports[i], &ports[i]);
}

void virtio_console_resize(struct virtio_console *dev, unsigned port, uint16_t cols, uint16_t rows)
{
	if (port >= dev->n_ports)
		return;
	lock_acquire(&dev->virtio.lock);
	struct console_port *p = &dev->ports[port];
	p->cols = le16_of(cols);
	p->rows = le16_of(rows);
	if (port == 0) {
		dev->config.cols = p->cols;
		dev->config.rows = p->rows;
		virtio_config_changed(&dev->virtio);
	}
	if (p->guest_ready && p->is_console)
		console_want(p, SAY(CONSOLE_RESIZE));
	lock_release(&dev->virtio.lock);
}
