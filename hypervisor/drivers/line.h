/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The line to who manages the server: a byte stream over a port of a virtio-console, or a serial line. One entity of the scheduler
 * reads and writes it; wake() is called in interrupts.
 */
#include <stdbool.h>
#include <stddef.h>

#include "boot/info.h"
#include "core/firmware.h"

#define LINE_PORT_NAME "strata.channel" /* of the virtio-console's port */

struct line;

struct line_ops {
	const char *name;
	bool is_lossy; /* bytes may be lost on it: packets (base/core/link.h) */
	/* What came; 0: nothing now. Looks after was_closed, too, with no room as well. */
	size_t (*read)(struct line *line, void *ret, size_t room);
	/* How much was taken; less than len: full, wake() comes when it no longer is. */
	size_t (*write)(struct line *line, const void *bytes, size_t len);
};

struct line { /* embedded by the driver */
	const struct line_ops *ops;
	void (*wake)(
		void); /* set by the owner: there may be something to read, or room. Any CPU, in an interrupt */
	/* The other side is no longer there (set by read(), cleared by the owner): what it began, it will not end. */
	bool was_closed;
};

/*
 * line_find() - the word channel= says which: com1, com2, virtio, none; without it a virtio-console with a port of our name, if there is
 * one. On the boot CPU, after hv_disks_start().
 * Return: NULL: there is none, or it does not work, which was printed.
 */
struct line *line_find(const struct boot_info *info, void (*wake)(void));

/* ---- the drivers: NULL if there is none ---- */

struct hpci;

struct line *virtio_line_find(const struct hpci *pci, void (*wake)(void));
struct line *serial_line_find(uint16_t port, void (*wake)(void));
