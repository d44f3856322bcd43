/* SPDX-License-Identifier: Apache-2.0 */
/* What the channel reaches of a guest: its serial port, the ports of its virtio-console, its vsock. */
#include <errno.h>
#include <string.h>

#include "core/clock.h"
#include "core/page.h"
#include "vm/managed.h"

#define CONSOLE_DELAY_NS                                                                           \
	UINT64_C(2000000) /* bytes of a serial port come one by one: they are told of together */
#define HEAP_ORDER 4U
#define GUEST_CID  3U

_Static_assert(VSOCK_BUFFER_BYTES == PAGE_BYTES << HEAP_ORDER, "one size");
_Static_assert(sizeof(struct managed_end) <= PAGE_BYTES, "a page each");

/* ---- a pipe, from the guest's side: the channel hears of it ---- */

static int64_t guest_write(struct pipe *p, const void *data, size_t len)
{
	bool wake;
	size_t n = pipe_guest_write(p, data, len, &wake);

	if (wake)
		managed_wake();
	return (int64_t)n;
}

static int64_t guest_read(struct pipe *p, void *ret, size_t len)
{
	bool wake;
	int64_t n = pipe_guest_read(p, ret, len, &wake);

	if (wake)
		managed_wake();
	return n;
}

/* ---- the serial port ---- */

static void console_due(struct hv_timer *timer)
{
	struct managed *m = container_of(timer, struct managed, console_timer);

	__atomic_store_n(&m->console_told, false, __ATOMIC_SEQ_CST);
	managed_wake();
}

static void console_keep(struct managed *m, const uint8_t *bytes, size_t len)
{
	spin_lock(&m->console_lock);
	for (size_t i = 0; i < len; i++)
		m->console_kept[m->console_written++ % CHANNEL_CONSOLE_KEEPS] = bytes[i];
	spin_unlock(&m->console_lock);
	if (__atomic_load_n(&m->streams, __ATOMIC_RELAXED) &&
	    !__atomic_exchange_n(&m->console_told, true, __ATOMIC_SEQ_CST))
		timer_arm(&m->console_timer, clock_ns() + CONSOLE_DELAY_NS);
}

static int64_t serial_write(struct console *console, const void *data, size_t len)
{
	struct managed *m = container_of(console, struct managed, serial);

	if (m->config.console != CONFIG_CONSOLE_NONE)
		len = (size_t)m->lines.console.ops->write(&m->lines.console, data, len);
	console_keep(m, data, len);
	if (!len)
		guest_serial_full(
			container_of((struct serial *)console->arg, struct guest, serial));
	return (int64_t)len;
}

/* No lock is held. */
static void serial_room(struct out_waiter *w)
{
	struct managed *m = container_of(w, struct managed, lines.waiter);

	__atomic_store_n(&m->lines_room, true, __ATOMIC_RELEASE);
	managed_ask(m);
}

/* In the guest's turn. */
static void serial_news(struct managed *m, struct guest *guest)
{
	if (!__atomic_exchange_n(&m->lines_room, false, __ATOMIC_ACQ_REL))
		return;
	m->serial.writable(&m->serial, m->serial.arg);
	guest_serial_drained(guest);
}

static int64_t serial_read(struct console *console, void *ret, size_t len)
{
	struct managed *m = container_of(console, struct managed, serial);
	int64_t n = guest_read(&m->keys, ret, len);

	if (n > 0)
		return n;
	/* Its end is none: somebody else may come and type. */
	return m->config.console == CONFIG_CONSOLE_RAW
		       ? m->lines.console.ops->read(&m->lines.console, ret, len)
		       : 0;
}

static void serial_close(struct console *console)
{
	(void)console;
}

static const struct console_ops serial_ops = {
	.write = serial_write,
	.read = serial_read,
	.close = serial_close,
};

size_t managed_console(struct managed *m, uint64_t *at, uint8_t *ret, size_t room)
{
	size_t n = 0;

	spin_lock(&m->console_lock);
	if (m->console_written - *at > CHANNEL_CONSOLE_KEEPS)
		*at = m->console_written - CHANNEL_CONSOLE_KEEPS;
	while (n < room && *at < m->console_written)
		ret[n++] = m->console_kept[(*at)++ % CHANNEL_CONSOLE_KEEPS];
	spin_unlock(&m->console_lock);
	return n;
}

/* ---- the ports ---- */

static int64_t port_write(struct console *console, const void *data, size_t len)
{
	return guest_write(&container_of(console, struct managed_port, console)->pipe, data, len);
}

static int64_t port_read(struct console *console, void *ret, size_t len)
{
	return guest_read(&container_of(console, struct managed_port, console)->pipe, ret, len);
}

static const struct console_ops port_ops = {
	.write = port_write,
	.read = port_read,
	.close = serial_close,
};

struct managed_port *managed_port(struct managed *m, const char *name)
{
	for (unsigned i = 0; i < m->config.n_ports; i++) {
		if (strcmp(m->config.ports[i], name) == 0)
			return &m->ports[i];
	}
	return NULL;
}

/* ---- the vsock: the device's lock is held ---- */

static void end_state(struct managed_end *end, enum end_state state)
{
	__atomic_store_n(&end->state, (uint32_t)state, __ATOMIC_RELEASE);
	managed_wake();
}

/* No byte comes any more; one that the guest never took was refused. */
static void end_over(struct managed_end *end)
{
	pipe_guest_end(&end->pipe);
	if (__atomic_load_n(&end->state, __ATOMIC_ACQUIRE) < END_OPEN)
		end->error = ECONNREFUSED;
	end_state(end, end->error ? END_REFUSED : END_OVER);
}

static int vsock_connect(struct vsock_host *host, struct vsock_stream *stream)
{
	(void)host;
	(void)stream;
	return -ECONNREFUSED; /* guests do not connect to who manages them */
}

static void vsock_connected(struct vsock_host *host, struct vsock_stream *stream)
{
	(void)host;
	end_state(stream->endpoint, END_OPEN);
}

static int64_t vsock_write(struct vsock_host *host, struct vsock_stream *stream, const void *data,
			   size_t len)
{
	struct managed_end *end = stream->endpoint;

	(void)host;
	return guest_write(&end->pipe, data, len);
}

static int64_t vsock_read(struct vsock_host *host, struct vsock_stream *stream, void *ret,
			  size_t len)
{
	struct managed_end *end = stream->endpoint;

	(void)host;
	return guest_read(&end->pipe, ret, len);
}

static void vsock_shutdown(struct vsock_host *host, struct vsock_stream *stream)
{
	struct managed_end *end = stream->endpoint;

	(void)host;
	pipe_guest_end(&end->pipe);
	managed_wake();
}

static void vsock_close(struct vsock_host *host, struct vsock_stream *stream)
{
	struct managed_end *end = stream->endpoint;

	(void)host;
	end->stream = NULL;
	end_over(end);
}

static const struct vsock_host_ops vsock_ops = {
	.connect = vsock_connect,
	.connected = vsock_connected,
	.write = vsock_write,
	.read = vsock_read,
	.shutdown = vsock_shutdown,
	.close = vsock_close,
};

static void *heap_alloc(const struct mem_ops *ops, size_t len)
{
	(void)ops;
	return len <= VSOCK_BUFFER_BYTES ? page_alloc(HEAP_ORDER) : NULL;
}

static void heap_free(const struct mem_ops *ops, void *ptr)
{
	(void)ops;
	page_free(ptr, HEAP_ORDER);
}

static const struct mem_ops heap = { .alloc = heap_alloc, .free = heap_free };

int managed_end_new(struct managed *m, uint32_t port, struct managed_end **ret, struct err *err)
{
	struct managed_end *end = NULL;
	int r = 0;

	if (!m->config.has_vsock)
		return err_say(err, ENODEV, "guest %s has no vsock", m->config.name);
	if (m->n_ends == MANAGED_ENDS)
		return err_say(err, ENOSPC, "guest %s: %u connections, and no room for more",
			       m->config.name, MANAGED_ENDS);
	end = page_alloc(0);
	r = end ? pipe_open(&end->pipe) : -ENOMEM;
	if (r < 0) {
		page_free(end, 0);
		return err_say(err, -r, "guest %s: no memory for a connection", m->config.name);
	}
	end->port = port;
	spin_lock(&m->lock);
	/* Taken apart meanwhile: nobody would say that it is refused. */
	bool is_late = !m->has_machine;
	if (!is_late) {
		end->next = m->ends;
		m->ends = end;
		m->n_ends++;
	}
	spin_unlock(&m->lock);
	if (is_late) {
		pipe_close(&end->pipe);
		page_free(end, 0);
		return err_say(err, ESRCH, "guest %s has ended", m->config.name);
	}
	managed_ask(m);
	*ret = end;
	return 0;
}

/* m->lock is held; it has no stream. */
static void end_free(struct managed *m, struct managed_end *end)
{
	struct managed_end **at = &m->ends;

	while (*at != end)
		at = &(*at)->next;
	*at = end->next;
	m->n_ends--;
	pipe_close(&end->pipe);
	page_free(end, 0);
}

void managed_end_drop(struct managed *m, struct managed_end *end)
{
	spin_lock(&m->lock);
	end->is_dropped = true;
	if (!m->has_machine)
		end_free(m, end);
	spin_unlock(&m->lock);
	managed_ask(m);
}

/* In the guest's turn, m->lock held: what the channel wants of a connection, or has for it. */
static void end_serve(struct managed *m, struct managed_end *end)
{
	struct pipe *p = &end->pipe;

	if (end->is_dropped) {
		if (end->stream)
			virtio_vsock_abort(m->vsock, end->stream);
		end_free(m, end);
		return;
	}
	if (__atomic_load_n(&end->state, __ATOMIC_ACQUIRE) == END_ASKED) {
		__atomic_store_n(&end->state, END_ASKED_GUEST, __ATOMIC_RELEASE);
		int r = virtio_vsock_connect(m->vsock, end->port, end, &end->stream);
		if (r < 0) {
			end->error = -r;
			end_state(end, END_REFUSED);
		}
		return;
	}
	bool in = __atomic_exchange_n(&p->news_in, false, __ATOMIC_ACQ_REL);
	bool out = __atomic_exchange_n(&p->news_out, false, __ATOMIC_ACQ_REL);
	if (in && end->stream)
		virtio_vsock_readable(m->vsock, end->stream);
	if (out && end->stream)
		virtio_vsock_writable(m->vsock, end->stream);
}

/* ---- all of it ---- */

static void console_news(struct console *console, struct pipe *p)
{
	if (__atomic_exchange_n(&p->news_in, false, __ATOMIC_ACQ_REL) && console->readable)
		console->readable(console, console->arg);
	if (__atomic_exchange_n(&p->news_out, false, __ATOMIC_ACQ_REL) && console->writable)
		console->writable(console, console->arg);
}

void managed_serve(struct guest *guest, void *arg)
{
	struct managed *m = arg;

	serial_news(m, guest);
	console_news(&m->serial, &m->keys);
	for (unsigned i = 0; i < m->config.n_ports; i++)
		console_news(&m->ports[i].console, &m->ports[i].pipe);
	if (!m->vsock || !__atomic_load_n(&m->ends, __ATOMIC_ACQUIRE))
		return;
	spin_lock(&m->lock);
	for (struct managed_end *end = m->ends, *next; end; end = next) {
		next = end->next;
		end_serve(m, end);
	}
	spin_unlock(&m->lock);
}

void managed_ask(struct managed *m)
{
	spin_lock(&m->lock);
	if (m->guest)
		guest_service_ask(m->guest);
	spin_unlock(&m->lock);
}

void managed_io_init(struct managed *m)
{
	m->serial.ops = &serial_ops;
	m->console_timer.fired = console_due;
	m->vsock_host.ops = &vsock_ops;
	guest_console_init(&m->lines, m->config.name, m->config.console == CONFIG_CONSOLE_RAW,
			   serial_room);
	for (unsigned i = 0; i < m->config.n_ports; i++)
		m->ports[i].console.ops = &port_ops;
}

int managed_io_add(struct managed *m, struct guest *guest, struct err *err)
{
	struct console_port_config ports[CONFIG_PORTS];
	int r = 0;

	for (unsigned i = 0; i < m->config.n_ports; i++)
		ports[i] = (struct console_port_config){ .name = m->config.ports[i],
							 .console = &m->ports[i].console };
	if (m->config.n_ports)
		r = guest_ports_add(guest, ports, m->config.n_ports, err);
	if (r == 0 && m->config.has_vsock)
		r = guest_vsock_add(guest, GUEST_CID, &m->vsock_host, &heap, &m->vsock, err);
	return r;
}

void managed_io_last(struct managed *m, struct guest *guest)
{
	m->lines.is_last = true;
	(void)serial_service(&guest->serial);
	guest_console_flush(&m->lines);
	m->lines.is_last = false;
}

void managed_io_over(struct managed *m)
{
	m->vsock = NULL;
	guest_console_flush(&m->lines);
	for (unsigned i = 0; i < m->config.n_ports; i++) {
		struct managed_port *port = &m->ports[i];
		port->console = (struct console){ .ops = &port_ops };
		pipe_guest_end(&port->pipe);
	}
	m->serial = (struct console){ .ops = &serial_ops };
	spin_lock(&m->lock);
	m->has_machine = false;
	for (struct managed_end *end = m->ends, *next; end; end = next) {
		next = end->next;
		if (end->is_dropped) {
			end_free(m, end);
			continue;
		}
		end_over(end);
	}
	spin_unlock(&m->lock);
}

/* No stream is left: only what the channel dropped. */
void managed_io_fini(struct managed *m)
{
	spin_lock(&m->lock);
	while (m->ends)
		end_free(m, m->ends);
	spin_unlock(&m->lock);
	timer_finish(&m->console_timer);
	guest_console_fini(&m->lines);
}
