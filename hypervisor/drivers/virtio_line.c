/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The port strata.channel of a virtio-console as the management channel. The queues of the first PORTS ports are set up before the
 * device is, as it demands; the one that has our name gets buffers once the device has named it.
 * Source: virtio 1.2, 5.3 Console Device.
 */
#include <errno.h>
#include <string.h>

#include "base/core/bytes.h"
#include "base/core/macros.h"
#include "core/page.h"
#include "core/print.h"
#include "core/trap.h"
#include "drivers/hvirtio.h"
#include "drivers/iommu.h"
#include "drivers/line.h"

#define CONSOLE_DEVICE	  0x1043U
#define CONSOLE_OLD	  0x1003U
#define CONSOLE_MULTIPORT 1U /* 5.3.3 Feature bits */
#define CONFIG_MAX_PORTS  4U /* 5.3.4: offset of max_nr_ports */
#define CONTROL_RX	  2U
#define CONTROL_TX	  3U
#define PORTS		  4U
#define QUEUES		  (2U * PORTS + 2U)
#define BUFFERS		  16U
#define BUFFER_BYTES	  PAGE_BYTES
#define CONTROL_BYTES	  128U
#define NOBODY		  UINT32_MAX
#define FEATURES	  (UINT64_C(1) << CONSOLE_MULTIPORT)

/* 5.3.6.2 Multiport Device Operation */
enum {
	DEVICE_READY,
	PORT_ADD,
	PORT_REMOVE,
	PORT_READY,
	CONSOLE_PORT,
	RESIZE,
	PORT_OPEN,
	PORT_NAME
};
struct message {
	struct le32 id;
	struct le16 event, value;
};

/* One page: what is said and heard of ports. */
struct control {
	uint8_t heard[HVIRTIO_QUEUE_SIZE / 2][CONTROL_BYTES];
	struct message said[HVIRTIO_QUEUE_SIZE];
};
_Static_assert(sizeof(struct control) <= PAGE_BYTES, "a page");
_Static_assert(sizeof(struct hvirtio_ring) <= PAGE_BYTES, "a page");

struct virtio_line {
	struct line line;
	struct iommu_domain *dma;
	struct hvirtio virtio;
	struct hvirtio_queue queues[QUEUES];
	struct control *control;
	uint32_t said_free;	/* bit n: said[n] is ours */
	uint32_t ports;		/* whose queues are set up */
	uint32_t port;		/* ours; NOBODY: not named yet */
	uint8_t *in[BUFFERS];	/* the device fills them, in any order */
	unsigned in_head;	/* which is read: BUFFERS: none */
	uint32_t in_at, in_len; /* of it */
	uint8_t *out[BUFFERS];
	uint32_t out_free; /* bit n: out[n] is ours */
	bool is_stale; /* the other side went: the device is started again once all of its bytes are read */
};

static unsigned rx_queue(uint32_t port)
{
	return port == 0 ? 0 : 2 * port + 2;
}

static void buffer_offer(struct hvirtio_queue *q, unsigned head, const void *at, uint32_t len,
			 uint16_t flags)
{
	q->ring->desc[head] = (struct hvirtio_desc){ ptr_to_phys(at), len, flags, 0 };
	hvirtio_offer(q, (uint16_t)head);
}

/* What the device has read is ours again: a bit for each of n. One that says so without end is heeded once round its ring. */
static void free_again(struct hvirtio_queue *q, unsigned n, uint32_t *free)
{
	struct hvirtio_used used;

	for (unsigned i = 0; i < HVIRTIO_QUEUE_SIZE && hvirtio_take(q, &used); i++)
		*free |= used.id < n ? 1U << used.id : 0;
}

/* There is one. */
static unsigned free_take(uint32_t *free)
{
	unsigned head = (unsigned)__builtin_ctz(*free);

	*free &= ~(1U << head);
	return head;
}

/* A message to the device; without a free slot it is lost, and the device would have to be mad. */
static void say(struct virtio_line *v, uint32_t id, unsigned event, unsigned value)
{
	struct hvirtio_queue *q = &v->queues[CONTROL_TX];

	free_again(q, HVIRTIO_QUEUE_SIZE, &v->said_free);
	if (!v->said_free)
		return;
	unsigned head = free_take(&v->said_free);
	v->control->said[head] =
		(struct message){ le32_of(id), le16_of((uint16_t)event), le16_of((uint16_t)value) };
	buffer_offer(q, head, &v->control->said[head], sizeof(struct message), 0);
	hvirtio_kick(q);
}

static void port_take(struct virtio_line *v, uint32_t port)
{
	struct hvirtio_queue *q = &v->queues[rx_queue(port)];

	v->port = port;
	for (unsigned i = 0; i < BUFFERS; i++)
		buffer_offer(q, i, v->in[i], BUFFER_BYTES, HVIRTIO_DESC_WRITE);
	hvirtio_kick(q);
	say(v, port, PORT_OPEN, 1);
}

static void heed(struct virtio_line *v, const uint8_t *bytes, uint32_t len)
{
	const size_t name = sizeof(LINE_PORT_NAME) - 1;
	struct message m;

	if (len < sizeof(m))
		return;
	memcpy(&m, bytes, sizeof(m));
	uint32_t id = le32_get(m.id);
	uint16_t event = le16_get(m.event);
	if (id >= v->ports) /* it has no queues, whatever the device says */
		return;
	if (event == PORT_ADD)
		say(v, id, PORT_READY, 1);
	/* Some devices count the name's NUL. */
	if (event == PORT_NAME && v->port == NOBODY && len >= sizeof(m) + name &&
	    len <= sizeof(m) + name + 1 && !memcmp(bytes + sizeof(m), LINE_PORT_NAME, name))
		port_take(v, id);
	if (event == PORT_OPEN && id == v->port && !le16_get(m.value))
		v->line.was_closed = v->is_stale = true;
}

static void control_poll(struct virtio_line *v)
{
	struct hvirtio_queue *q = &v->queues[CONTROL_RX];
	struct hvirtio_used used;

	for (unsigned i = 0; i < HVIRTIO_QUEUE_SIZE && hvirtio_take(q, &used); i++) {
		if (used.id >= HVIRTIO_QUEUE_SIZE / 2)
			continue;
		uint8_t *heard = v->control->heard[used.id];
		heed(v, heard, used.len < CONTROL_BYTES ? used.len : CONTROL_BYTES);
		buffer_offer(q, used.id, heard, CONTROL_BYTES, HVIRTIO_DESC_WRITE);
		hvirtio_kick(q);
	}
}

/* Whether bytes are left of the buffer at hand. */
static bool in_has(const struct virtio_line *v)
{
	return v->in_head < BUFFERS && v->in_at < v->in_len;
}

/* The next buffer with bytes. Return: false: none. */
static bool in_next(struct virtio_line *v)
{
	struct hvirtio_queue *q = &v->queues[rx_queue(v->port)];
	struct hvirtio_used used;

	if (in_has(v))
		return true;
	if (v->in_head < BUFFERS) {
		buffer_offer(q, v->in_head, v->in[v->in_head], BUFFER_BYTES, HVIRTIO_DESC_WRITE);
		hvirtio_kick(q);
		v->in_head = BUFFERS;
	}
	if (!hvirtio_take(q, &used) || used.id >= BUFFERS)
		return false;
	v->in_head = used.id;
	v->in_at = 0;
	v->in_len = used.len < BUFFER_BYTES ? used.len : BUFFER_BYTES;
	return v->in_len;
}

static int queues_start(struct virtio_line *v)
{
	uint32_t ports = *(volatile uint32_t *)(v->virtio.device + CONFIG_MAX_PORTS);
	int r = 0;

	if (ports > PORTS)
		ports = PORTS;
	v->ports = ports;
	v->said_free = UINT32_MAX;
	v->port = NOBODY;
	v->in_head = BUFFERS;
	v->out_free = (1U << BUFFERS) - 1;
	for (unsigned i = 0; i < QUEUES; i++) {
		memset(v->queues[i].ring, 0, sizeof(*v->queues[i].ring));
		v->queues[i].seen = 0;
	}
	for (unsigned i = 0; r == 0 && i < 2 * ports + 2; i++)
		r = hvirtio_queue_start(&v->virtio, &v->queues[i], (uint16_t)i);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < HVIRTIO_QUEUE_SIZE / 2; i++)
		buffer_offer(&v->queues[CONTROL_RX], i, v->control->heard[i], CONTROL_BYTES,
			     HVIRTIO_DESC_WRITE);
	hvirtio_ready(&v->virtio);
	hvirtio_kick(&v->queues[CONTROL_RX]);
	say(v, 0, DEVICE_READY, 1);
	return 0;
}

static bool in_waits(const struct virtio_line *v)
{
	return v->port != NOBODY && (in_has(v) || hvirtio_has(&v->queues[rx_queue(v->port)]));
}

/*
 * QEMU forgets the buffer that it could not write when its client went: it never comes back. So the device begins anew; a client
 * that came in this very moment is not heard, and says HELLO again.
 */
static void line_again(struct virtio_line *v)
{
	uint64_t features;

	v->is_stale = false;
	hvirtio_stop(&v->virtio);
	if (hvirtio_agree(&v->virtio, FEATURES, &features) < 0 || queues_start(v) < 0)
		print("the management channel does not start again: it is lost\n");
}

static size_t virtio_line_read(struct line *line, void *ret, size_t room)
{
	struct virtio_line *v = container_of(line, struct virtio_line, line);
	size_t n = 0;

	while (n < room && v->port != NOBODY && in_next(v)) {
		size_t part = v->in_len - v->in_at < room - n ? v->in_len - v->in_at : room - n;
		memcpy((uint8_t *)ret + n, v->in[v->in_head] + v->in_at, part);
		v->in_at += (uint32_t)part;
		n += part;
	}
	/* Afterwards: the end of one client comes before the bytes of the next. */
	control_poll(v);
	if (v->is_stale && !in_waits(v))
		line_again(v);
	return n;
}

static size_t virtio_line_write(struct line *line, const void *bytes, size_t len)
{
	struct virtio_line *v = container_of(line, struct virtio_line, line);
	size_t n = 0;

	if (v->port == NOBODY)
		return 0;
	struct hvirtio_queue *q = &v->queues[rx_queue(v->port) + 1];
	free_again(q, BUFFERS, &v->out_free);
	while (n < len && v->out_free) {
		unsigned head = free_take(&v->out_free);
		uint32_t part = (uint32_t)(len - n < BUFFER_BYTES ? len - n : BUFFER_BYTES);
		memcpy(v->out[head], (const uint8_t *)bytes + n, part);
		buffer_offer(q, head, v->out[head], part, 0);
		n += part;
	}
	if (n)
		hvirtio_kick(q);
	return n;
}

static const struct line_ops virtio_line_ops = {
	.name = "a virtio-console",
	.read = virtio_line_read,
	.write = virtio_line_write,
};

static void virtio_line_interrupt(void *arg)
{
	const struct virtio_line *v = arg;

	v->line.wake();
}

/* NULL: no memory, or it cannot be shown to the device. */
static void *page_shared(struct virtio_line *v, bool read_only)
{
	void *page = page_alloc(0);

	if (!page || iommu_allow(v->dma, page, PAGE_BYTES, read_only) == 0)
		return page;
	page_free(page, 0);
	return NULL;
}

static bool memory_get(struct virtio_line *v)
{
	bool has_all = (v->control = page_shared(v, false)) != NULL;

	for (unsigned i = 0; has_all && i < QUEUES; i++)
		has_all = (v->queues[i].ring = page_shared(v, false)) != NULL;
	for (unsigned i = 0; has_all && i < BUFFERS; i++)
		has_all = (v->in[i] = page_shared(v, false)) && (v->out[i] = page_shared(v, true));
	return has_all;
}

/* What the device cannot be kept from is not given back. */
static void page_unshare(const struct virtio_line *v, void *page)
{
	if (page && iommu_forbid(v->dma, page, PAGE_BYTES) == 0)
		page_free(page, 0);
}

static void memory_free(const struct virtio_line *v)
{
	page_unshare(v, v->control);
	for (unsigned i = 0; i < QUEUES; i++)
		page_unshare(v, v->queues[i].ring);
	for (unsigned i = 0; i < BUFFERS; i++) {
		page_unshare(v, v->in[i]);
		page_unshare(v, v->out[i]);
	}
}

static int line_start(struct virtio_line *v, const struct hpci *pci, const struct hpci_device *d)
{
	uint64_t features = 0;

	int r = iommu_attach(d, "virtio-console", &v->dma);
	if (r < 0)
		return r;
	hpci_enable(pci, d);
	r = hvirtio_start(&v->virtio, pci, d, FEATURES, &features);
	if (r < 0)
		return r;
	if (!(features >> HVIRTIO_PLATFORM & 1))
		iommu_passed(v->dma);
	if (!(features >> CONSOLE_MULTIPORT & 1))
		return -ENODEV; /* its ports have no names */
	if (!memory_get(v))
		return -ENOMEM;
	int vector = trap_vector_take(virtio_line_interrupt, v);
	v->virtio.has_msix = vector >= 0 && iommu_msi(pci, d, (uint8_t)vector);
	if (!v->virtio.has_msix)
		return -ENODEV; /* every virtual machine has MSI-X */
	return queues_start(v);
}

struct line *virtio_line_find(const struct hpci *pci, void (*wake)(void))
{
	static struct virtio_line virtio_line; /* a server has one channel */
	struct virtio_line *v = &virtio_line;

	for (unsigned i = 0; i < pci->n; i++) {
		const struct hpci_device *d = &pci->devices[i];
		if (d->vendor != HVIRTIO_VENDOR ||
		    (d->device != CONSOLE_DEVICE && d->device != CONSOLE_OLD))
			continue;
		*v = (struct virtio_line){
			.line = { .ops = &virtio_line_ops, .wake = wake },
		};
		int r = line_start(v, pci, d);
		if (r == 0)
			return &v->line;
		if (r != -ENODEV)
			print("virtio-console %x:%x.%u: does not start: error %d\n", d->bus,
			      d->slot, d->function, -r);
		if (v->virtio.common)
			hvirtio_stop(&v->virtio);
		memory_free(v);
	}
	return NULL;
}
