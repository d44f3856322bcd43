/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Bytes from one descriptor to another, both O_NONBLOCK, through a buffer.
 *
 * A virtio port that the host has not opened yet looks like one that it has closed (Linux: drivers/char/virtio_console.c,
 * port_fops_poll() and port_fops_read()): a port counts as closed once it was seen open before, or once the host said so.
 */
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct stream {
	int from, to;		 /* owned; -EBADF: that end is over */
	bool from_port, to_port; /* virtio ports, seen open or not: */
	bool seen;
	bool to_stays;	      /* the end of from does not close to: a terminal's master side */
	uint64_t total_bytes; /* that went into to */
	size_t at, len;
	uint8_t data[16384];
};

void stream_init(struct stream *stream, int take_from, int take_to);
void stream_fini(struct stream *stream);
bool stream_over(const struct stream *stream);
/* stream_polls() - what to wait for, two entries; true where the port is to be looked at again after a while. */
bool stream_polls(const struct stream *stream, struct pollfd polls[2]);
/* stream_run() - after poll(): move what can be moved. */
void stream_run(struct stream *stream, const struct pollfd polls[2]);
/* stream_end() - nothing more comes: what from holds is the last. */
void stream_end(struct stream *stream);
