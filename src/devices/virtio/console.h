/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * virtio-console: up to CONSOLE_PORTS byte streams.
 *
 * Port 0 has queues 0 and 1, the control messages 2 and 3, port i > 0 has 2i + 2 and 2i + 3. What the device has to say of
 * a port is a set of bits, sent in order as the guest gives buffers: so nothing is queued without bound. Data flows to the
 * guest while its side of the port is open; bytes stay with the back end until then, and while the guest gives no
 * buffers. The end of the back end's stream closes the host's side: the guest reads end of file.
 * Source: virtio 1.2, 5.3 Console Device.
 */
#include "base/core/bytes.h"
#include "devices/virtio/virtio_dev.h"
#include "machine/ops.h"

#define CONSOLE_PORTS	   16U
#define CONSOLE_NAME_BYTES 32U

struct console_port_config {
	const char *name; /* /dev/virtio-ports/NAME in a Linux guest; NULL: none; cut at 32 bytes */
	struct console *console; /* borrowed, its callbacks are set */
	bool is_console;	 /* the guest shall make it a terminal: hvc0... */
};

/* 5.3.4 Device configuration layout */
struct console_config {
	struct le16 cols, rows;
	struct le32 max_nr_ports;
};

struct virtio_console;

struct console_port {
	struct virtio_console *dev;
	struct console *console;
	char name[CONSOLE_NAME_BYTES];
	unsigned name_bytes;
	bool is_console;
	bool guest_ready, guest_open; /* what the driver said */
	bool host_open;		      /* the back end's stream has not ended */
	bool tx_blocked;	      /* until writable() */
	uint32_t say;		      /* one bit a message that waits */
	struct le16 cols, rows;
	uint64_t tx_done; /* bytes of the first waiting chain that are written already */
};

struct virtio_console {
	struct virtio_dev virtio;
	struct console_config config;
	unsigned n_ports;
	struct console_port ports[CONSOLE_PORTS];
	struct chain chain; /* the one that is looked at */
};

/* virtio_console_init() - @ports: 1..CONSOLE_PORTS, the first is the one of a driver without multiport */
void virtio_console_init(struct virtio_console *dev, const struct virtio_place *place,
			 const struct console_port_config *ports, unsigned n);
/* virtio_console_resize() - I/O thread: the terminal behind a console port has this size now. */
void virtio_console_resize(struct virtio_console *dev, unsigned port, uint16_t cols, uint16_t rows);
