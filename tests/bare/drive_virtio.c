/* SPDX-License-Identifier: Apache-2.0 */
/* Each virtio device, as its driver uses it. Source: virtio 1.2, 5 Device Types. */
#include "driver.h"

#include <string.h>

#include "base/core/bytes.h"

/* ---- 5.2 Block Device ---- */

enum { BLK_IN = 0, BLK_OUT = 1, BLK_FLUSH = 4, BLK_GET_ID = 8, BLK_DISCARD = 11 };
#define BLK_F_FLUSH   (UINT64_C(1) << 9)
#define BLK_F_DISCARD (UINT64_C(1) << 13)

struct blk_driver {
	struct driver d;
	gpa_t header, data, status;
};

/* A request of type for a sector, with len bytes of data; the status byte, or -1: it did not come back. */
static int blk_request(struct blk_driver *blk, uint32_t type, uint64_t sector, uint32_t len)
{
	struct board *b = blk->d.b;
	uint8_t *header = board_at(b, blk->header), *status = board_at(b, blk->status);
	bool device_writes = type == BLK_IN || type == BLK_GET_ID;
	struct piece pieces[3] = { { blk->header, 16, false } };
	unsigned n = 1;
	uint32_t wrote;

	le32_store(header, type);
	le32_store(header + 4, 0);
	le64_store(header + 8, sector);
	*status = 0xff;
	if (len)
		pieces[n++] = (struct piece){ blk->data, len, device_writes };
	pieces[n++] = (struct piece){ blk->status, 1, true };
	driver_put(&blk->d, 0, pieces, n);
	driver_kick(&blk->d, 0);
	if (!driver_take(&blk->d, 0, &wrote))
		return -1;
	if (*status == 0 && wrote != (device_writes ? len : 0) + 1)
		return -1;
	return *status;
}

bool drive_blk(struct board *b)
{
	struct blk_driver blk;

	if (!driver_start(&blk.d, b, 2, BLK_F_FLUSH | BLK_F_DISCARD, 1))
		return false;
	blk.header = board_alloc(b, 16, 16);
	blk.data = board_alloc(b, 4096, 4096);
	blk.status = board_alloc(b, 1, 1);
	uint8_t *data = board_at(b, blk.data);
	EXPECT(driver_config(&blk.d, 0, 8) == RAM_DISK_BYTES / 512);
	EXPECT(blk.d.features & BLK_F_FLUSH && blk.d.features & BLK_F_DISCARD);
	for (unsigned i = 0; i < 4096; i++)
		data[i] = (uint8_t)(i * 7);
	EXPECT(blk_request(&blk, BLK_OUT, 16, 4096) == 0);
	EXPECT(memcmp(b->disk.data + 16 * 512, data, 4096) == 0);
	EXPECT(blk_request(&blk, BLK_FLUSH, 0, 0) == 0 && b->disk.flushes == 1);
	memset(data, 0, 4096);
	EXPECT(blk_request(&blk, BLK_IN, 17, 512) == 0);
	EXPECT(data[0] == 0 && data[1] == 7 && data[511] == (uint8_t)(511 * 7));
	EXPECT(blk_request(&blk, BLK_GET_ID, 0, 20) == 0 && memcmp(data, "bare", 5) == 0);
	EXPECT(blk_request(&blk, BLK_IN, RAM_DISK_BYTES / 512, 512) == 1); /* past the end */
	le64_store(data, 16);
	le32_store(data + 8, 8);
	le32_store(data + 12, 0);
	EXPECT(blk_request(&blk, BLK_DISCARD, 0, 16) == 0 && b->disk.discards == 1);
	EXPECT(b->disk.data[16 * 512 + 1] == 0);
	return driver_reset(&blk.d);
}

/* ---- 5.1 Network Device: what is sent comes back ---- */

#define NET_F_MAC	(UINT64_C(1) << 5)
#define NET_F_MRG_RXBUF (UINT64_C(1) << 15)

bool drive_net(struct board *b)
{
	struct driver d;
	uint32_t len;

	if (!driver_start(&d, b, 1, NET_F_MAC | NET_F_MRG_RXBUF, 2))
		return false;
	EXPECT(driver_config(&d, 0, 4) == 0x01005452 && driver_config(&d, 4, 2) == 0x0302);
	struct piece in = { board_alloc(b, 2048, 16), 2048, true };
	struct piece out = { board_alloc(b, 12 + 60, 16), 12 + 60, false };
	uint8_t *frame = board_at(b, out.gpa), *got = board_at(b, in.gpa);
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < 60; i++)
			frame[12 + i] = (uint8_t)(i + round);
		driver_put(&d, 0, &in, 1);
		driver_kick(&d, 0);
		driver_put(&d, 1, &out, 1);
		driver_kick(&d, 1);
		EXPECT(driver_take(&d, 1, &len) && len == 0);
		EXPECT(driver_take(&d, 0, &len) && len == 12 + 60);
		EXPECT(memcmp(got + 12, frame + 12, 60) == 0);
		EXPECT(le16_load(got + 10) == 1); /* num_buffers */
	}
	return driver_reset(&d);
}

/* ---- 5.3 Console Device ---- */

#define CONSOLE_F_MULTIPORT (UINT64_C(1) << 1)
enum { DEVICE_READY = 0, PORT_ADD = 1, PORT_READY = 3, CONSOLE_PORT = 4, PORT_OPEN = 6 };
enum { PORT_NAME = 7, CONTROL_IN = 2, CONTROL_OUT = 3, AGENT_IN = 4, AGENT_OUT = 5 };

static bool console_text(struct driver *d, unsigned queue, struct ram_console *at, const char *text,
			 uint32_t len)
{
	struct board *b = d->b;
	struct piece out = { board_alloc(b, len, 1), len, false };
	struct piece in = { board_alloc(b, 64, 1), 64, true };
	uint32_t got;

	memcpy(board_at(b, out.gpa), text, len);
	driver_put(d, queue + 1, &out, 1);
	driver_kick(d, queue + 1);
	EXPECT(driver_take(d, queue + 1, &got));
	EXPECT(at->n_out == len && memcmp(at->out, text, len) == 0);
	driver_put(d, queue, &in, 1);
	driver_kick(d, queue);
	ram_console_type(at, text);
	board_service(b);
	EXPECT(driver_take(d, queue, &got) && got == len);
	EXPECT(memcmp(board_at(b, in.gpa), text, len) == 0);
	return true;
}

/* A control message to the device. */
static bool console_tell(struct driver *d, uint32_t port, uint16_t event, uint16_t value)
{
	struct piece out = { board_alloc(d->b, 8, 4), 8, false };
	uint8_t *message = board_at(d->b, out.gpa);
	uint32_t len;

	le32_store(message, port);
	le16_store(message + 4, event);
	le16_store(message + 6, value);
	driver_put(d, CONTROL_OUT, &out, 1);
	driver_kick(d, CONTROL_OUT);
	return driver_take(d, CONTROL_OUT, &len);
}

/* And from it: with a buffer, the next one. */
static bool console_hear(struct driver *d, uint32_t port, uint16_t event, const char *name)
{
	struct piece in = { board_alloc(d->b, 64, 4), 64, true };
	const uint8_t *message = board_at(d->b, in.gpa);
	uint32_t len;

	driver_put(d, CONTROL_IN, &in, 1);
	driver_kick(d, CONTROL_IN);
	EXPECT(driver_take(d, CONTROL_IN, &len) && len >= 8);
	EXPECT(le32_load(message) == port && le16_load(message + 4) == event);
	EXPECT(!name || memcmp(message + 8, name, len - 8) == 0);
	return true;
}

bool drive_console(struct board *b)
{
	struct driver d;

	if (!driver_start(&d, b, 3, 0, 2) || !console_text(&d, 0, &b->hvc, "plain", 5) ||
	    !driver_reset(&d))
		return false;
	b->hvc.n_out = 0;
	if (!driver_start(&d, b, 3, CONSOLE_F_MULTIPORT, 6))
		return false;
	EXPECT(driver_config(&d, 4, 4) >= 2);
	EXPECT(console_tell(&d, UINT32_MAX, DEVICE_READY, 1));
	EXPECT(console_hear(&d, 0, PORT_ADD, NULL) && console_hear(&d, 1, PORT_ADD, NULL));
	EXPECT(console_tell(&d, 0, PORT_READY, 1));
	EXPECT(console_hear(&d, 0, CONSOLE_PORT, NULL) && console_hear(&d, 0, PORT_OPEN, NULL));
	EXPECT(console_tell(&d, 1, PORT_READY, 1));
	EXPECT(console_hear(&d, 1, PORT_NAME, "agent") && console_hear(&d, 1, PORT_OPEN, NULL));
	EXPECT(console_tell(&d, 0, PORT_OPEN, 1) && console_tell(&d, 1, PORT_OPEN, 1));
	EXPECT(console_text(&d, 0, &b->hvc, "terminal", 8));
	EXPECT(console_text(&d, AGENT_IN, &b->agent, "agent's", 7));
	return driver_reset(&d);
}

/* ---- 5.4 Entropy Device ---- */

bool drive_rng(struct board *b)
{
	struct driver d;
	uint32_t len;

	if (!driver_start(&d, b, 4, 0, 1))
		return false;
	struct piece pieces[2] = { { board_alloc(b, 24, 1), 24, true },
				   { board_alloc(b, 8, 1), 8, true } };
	driver_put(&d, 0, pieces, 2);
	driver_kick(&d, 0);
	EXPECT(driver_take(&d, 0, &len) && len == 32);
	const uint8_t *first = board_at(b, pieces[0].gpa), *second = board_at(b, pieces[1].gpa);
	EXPECT(first[0] == 0 && first[23] == 23 && second[0] == 24 && second[7] == 31);
	return driver_reset(&d);
}

/* ---- 5.5 Traditional Memory Balloon Device ---- */

bool drive_balloon(struct board *b)
{
	struct driver d;
	uint32_t len;

	if (!driver_start(&d, b, 5, 0, 2))
		return false;
	EXPECT(driver_config(&d, 0, 4) == 0);
	virtio_balloon_target(&b->balloon, 2 * GUEST_PAGE_BYTES);
	driver_irqs(&d);
	EXPECT(d.irqs >> DRIVER_QUEUES & 1);
	EXPECT(driver_config(&d, 0, 4) == 2);
	gpa_t pages = board_alloc(b, 2 * GUEST_PAGE_BYTES, GUEST_PAGE_BYTES);
	struct piece list = { board_alloc(b, 8, 4), 8, false };
	uint8_t *numbers = board_at(b, list.gpa);
	le32_store(numbers, (uint32_t)(pages / GUEST_PAGE_BYTES));
	le32_store(numbers + 4, (uint32_t)(pages / GUEST_PAGE_BYTES) + 1);
	driver_put(&d, 0, &list, 1);
	driver_kick(&d, 0);
	EXPECT(driver_take(&d, 0, &len));
	EXPECT(b->n_released == 2 && b->released == pages + GUEST_PAGE_BYTES);
	bus_write(&b->mmio, d.config + 4, 4, 2); /* actual */
	EXPECT(virtio_balloon_actual(&b->balloon) == 2 * GUEST_PAGE_BYTES);
	driver_put(&d, 1, &list, 1); /* and back */
	driver_kick(&d, 1);
	EXPECT(driver_take(&d, 1, &len));
	return driver_reset(&d);
}

/* ---- 5.10 Socket Device: a stream to the host's echo ---- */

enum { VSOCK_REQUEST = 1, VSOCK_RESPONSE = 2, VSOCK_RST = 3, VSOCK_SHUTDOWN = 4, VSOCK_RW = 5 };
enum { VSOCK_HEADER = 44, VSOCK_GUEST_PORT = 77, VSOCK_ROOM = 4096 };

struct vsock_driver {
	struct driver d;
	gpa_t in, out;
	uint32_t received; /* bytes of payload: fwd_cnt */
};

static bool vsock_send(struct vsock_driver *v, uint32_t port, uint16_t op, uint32_t flags,
		       const char *text, uint32_t len)
{
	struct piece piece = { v->out, VSOCK_HEADER + len, false };
	uint8_t *packet = board_at(v->d.b, v->out);
	uint32_t wrote;

	memset(packet, 0, VSOCK_HEADER);
	le64_store(packet, BARE_CID);
	le64_store(packet + 8, VSOCK_HOST_CID);
	le32_store(packet + 16, VSOCK_GUEST_PORT);
	le32_store(packet + 20, port);
	le32_store(packet + 24, len);
	le16_store(packet + 28, 1); /* a stream */
	le16_store(packet + 30, op);
	le32_store(packet + 32, flags);
	le32_store(packet + 36, VSOCK_ROOM);
	le32_store(packet + 40, v->received);
	memcpy(packet + VSOCK_HEADER, text, len);
	driver_put(&v->d, 1, &piece, 1);
	driver_kick(&v->d, 1);
	return driver_take(&v->d, 1, &wrote);
}

/* The next packet from the host is this one. A buffer is given for it. */
static bool vsock_hear(struct vsock_driver *v, uint32_t port, uint16_t op, const char *text,
		       uint32_t len)
{
	struct piece piece = { v->in, 128, true };
	const uint8_t *packet = board_at(v->d.b, v->in);
	uint32_t wrote;

	driver_put(&v->d, 0, &piece, 1);
	driver_kick(&v->d, 0);
	EXPECT(driver_take(&v->d, 0, &wrote) && wrote == VSOCK_HEADER + len);
	EXPECT(le64_load(packet) == VSOCK_HOST_CID && le64_load(packet + 8) == BARE_CID);
	EXPECT(le32_load(packet + 16) == port && le32_load(packet + 20) == VSOCK_GUEST_PORT);
	EXPECT(le16_load(packet + 30) == op && le32_load(packet + 24) == len);
	EXPECT(memcmp(packet + VSOCK_HEADER, text, len) == 0);
	v->received += len;
	return true;
}

bool drive_vsock(struct board *b)
{
	struct vsock_driver v = { .received = 0 };

	if (!driver_start(&v.d, b, 19, 0, 3))
		return false;
	v.in = board_alloc(b, 128, 16);
	v.out = board_alloc(b, 128, 16);
	EXPECT(driver_config(&v.d, 0, 8) == BARE_CID);
	EXPECT(vsock_send(&v, 99, VSOCK_REQUEST, 0, "", 0)); /* nobody is there */
	EXPECT(vsock_hear(&v, 99, VSOCK_RST, "", 0));
	EXPECT(vsock_send(&v, ECHO_PORT, VSOCK_REQUEST, 0, "", 0));
	EXPECT(vsock_hear(&v, ECHO_PORT, VSOCK_RESPONSE, "", 0));
	EXPECT(b->echo.stream && b->heap.taken);
	EXPECT(vsock_send(&v, ECHO_PORT, VSOCK_RW, 0, "hello", 5));
	EXPECT(vsock_hear(&v, ECHO_PORT, VSOCK_RW, "hello", 5));
	EXPECT(vsock_send(&v, ECHO_PORT, VSOCK_RW, 0, "again", 5));
	EXPECT(vsock_hear(&v, ECHO_PORT, VSOCK_RW, "again", 5));
	EXPECT(vsock_send(&v, ECHO_PORT, VSOCK_SHUTDOWN, 3, "", 0));
	EXPECT(vsock_hear(&v, ECHO_PORT, VSOCK_RST, "", 0));
	EXPECT(b->echo.closes == 1 && !b->heap.taken);
	return driver_reset(&v.d);
}

/* ---- 4.1.5 PCI-specific Initialization And Device Operation: without MSI-X, and with a driver that errs ---- */

bool drive_intx(struct board *b)
{
	struct driver d;

	if (!driver_start(&d, b, 4, 0, 1))
		return false;
	config_write(b, d.slot, d.msix, config_read(b, d.slot, d.msix) & ~(UINT32_C(1) << 31));
	unsigned pin = pci_intx_gsi(d.slot);
	bus_write(&b->mmio, LAYOUT_IOAPIC, 4, 0x10 + 2 * pin);
	bus_write(&b->mmio, LAYOUT_IOAPIC + 0x10, 4, 0xa080); /* level, low */
	struct piece piece = { board_alloc(b, 8, 1), 8, true };
	driver_put(&d, 0, &piece, 1);
	driver_kick(&d, 0);
	EXPECT(irqchip_accept(&b->chip, 0) == 0x80);
	EXPECT(bus_read(&b->mmio, d.isr, 1) == 1); /* reading it lets the line go */
	EXPECT(bus_read(&b->mmio, d.isr, 1) == 0);
	lapic_mmio_write(&b->chip.lapics[0], 0xb0, 4, 0);
	EXPECT(board_serve(b, 0) == -1);
	bus_write(&b->mmio, LAYOUT_IOAPIC + 0x10, 4, 0x10000);
	config_write(b, d.slot, d.msix, config_read(b, d.slot, d.msix) | UINT32_C(1) << 31);
	return driver_reset(&d);
}

bool drive_broken(struct board *b)
{
	struct piece nowhere = { UINT64_C(0xfffffffffffff000), 4096, true };
	struct driver d;
	uint32_t len;

	if (!driver_start(&d, b, 4, 0, 1))
		return false;
	driver_put(&d, 0, &nowhere, 1);
	driver_kick(&d, 0);
	driver_irqs(&d);
	EXPECT(driver_status(&d) & 64 && d.irqs >> DRIVER_QUEUES & 1); /* DEVICE_NEEDS_RESET */
	if (!driver_reset(&d) || !driver_start(&d, b, 4, 0, 1))
		return false;
	struct piece piece = { board_alloc(b, 8, 1), 8, true };
	driver_put(&d, 0, &piece, 1);
	driver_kick(&d, 0);
	EXPECT(driver_take(&d, 0, &len) && len == 8);
	return driver_reset(&d);
}
